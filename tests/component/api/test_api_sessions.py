# SPDX-License-Identifier: GPL-2.0-or-later
"""A new password ends what it did not let in: streams that were begun without it, and bodies that were on their way."""

import base64
import hashlib
import unittest

from fake_control import PASSWORD, UPLOAD, wait_for
from test_api import ApiTest

SALT = "salt"
STREAM = "GET /api/v1/events/stream HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{}\r\n"
POST = "POST {} HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\nConnection: close\r\nExpect: 100-continue\r\n{}\r\n"


def stored(password):
    return hashlib.sha256((password + SALT).encode()).hexdigest()


class SessionTest(ApiTest):
    options = {"password_file": "/secret", "password_salt": SALT, "uploads": [{"name": "list", "path": "/list"}]}

    def setUp(self):
        super().setUp()
        self.acts = []
        self.api.act = self.act

    def act(self, kind, body):
        """As PID 1 does: the password is handed over before the event that answers the client."""
        self.acts.append((kind, body.decode()))
        if kind == PASSWORD:
            self.api.hand_password(body)
        self.api.add("done", "system-api", fields=b"id=%d\0result=success\0" % len(self.acts))
        return len(self.acts), b""

    def basic(self, password):
        return f"Authorization: Basic {base64.b64encode(b'admin:' + password.encode()).decode()}\r\n"

    def know(self, password):
        """The role knows that this password is stored; None: that none is."""
        self.api.hand_password(stored(password).encode() if password is not None else b"")
        wanted = 400 if password is None else 401
        wait_for(lambda: self.api.request("/api/v1/file-upload/x", "POST").status == wanted, "it knows")

    def begin(self, raw):
        s = self.api.connect(timeout=20)
        self.addCleanup(s.close)
        s.sendall(raw.encode())
        return s

    def stream(self, password=None):
        s = self.begin(STREAM.format(self.basic(password) if password else ""))
        got = b""
        while b"retry: 1000" not in got:
            got += s.recv(65536)
        return s

    @staticmethod
    def rest(s):
        """What still comes, until the server ends it or sends what is not for this client."""
        got = b""
        while b"not for" not in got and (piece := s.recv(65536)):
            got += piece
        return got

    def goes_on(self, s, mark):
        self.api.add(mark)
        got = b""
        while mark.encode() not in got:
            piece = s.recv(65536)
            self.assertTrue(piece, f"it has ended: {got}")
            got += piece


class Streams(SessionTest):
    def test_those_without_a_password_end_with_the_first_one(self):
        self.know(None)
        open_ones = [self.stream(), self.stream()]
        self.goes_on(open_ones[0], "before")
        r = self.api.request("/api/v1/set-basic-auth", "POST", body=b"secret")
        self.assertEqual(r.status, 200)
        self.api.add("not for them")
        for s in open_ones:
            self.assertNotIn(b"not for them", self.rest(s))
        self.goes_on(self.stream("secret"), "for who has it")

    def test_those_of_an_earlier_password_end_with_the_next_one(self):
        self.know("old")
        old = self.stream("old")
        self.goes_on(old, "before")
        r = self.api.request("/api/v1/set-basic-auth", "POST", {"Authorization": self.basic("old")[15:-2]}, b"new")
        self.assertEqual(r.status, 200)
        self.api.add("not for it")
        self.assertNotIn(b"not for it", self.rest(old))
        new = self.stream("new")
        self.api.hand_password(stored("new").encode())      # the same one again: nobody has to go
        self.goes_on(new, "after")

    def test_those_from_before_the_disk_end_if_it_has_a_password(self):
        early = self.stream()
        self.know("secret")
        self.api.add("not for it")
        self.assertNotIn(b"not for it", self.rest(early))

    def test_those_from_before_the_disk_go_on_if_it_has_none(self):
        early = self.stream()
        self.know(None)
        self.goes_on(early, "for everybody")


class BodyTest(SessionTest):
    def post(self, path, password=None, part="sto"):
        """A request that was let in, and of whose six bytes these are there."""
        s = self.begin(POST.format(path, self.basic(password) if password else ""))
        got = b""
        while b"100 Continue\r\n\r\n" not in got:
            got += s.recv(65536)
        s.sendall(part.encode())
        return s

    def answer(self, s):
        return int(self.rest(s)[9:12])


class Bodies(BodyTest):
    def test_a_body_that_ends_behind_a_new_password_needs_that_one(self):
        for path in "/api/v1/set-basic-auth", "/api/v1/file-upload/list":
            self.know("old")
            late = self.post(path, "old")
            self.know("new")
            late.sendall(b"len")
            self.assertEqual(self.answer(late), 401, path)
        self.assertEqual(self.acts, [])

    def test_one_without_a_password_cannot_overtake_the_first_one(self):
        self.know(None)
        late = self.post("/api/v1/set-basic-auth")
        self.assertEqual(self.api.request("/api/v1/set-basic-auth", "POST", body=b"secret").status, 200)
        late.sendall(b"len")
        self.assertEqual(self.answer(late), 401)
        self.assertEqual(self.acts, [(PASSWORD, stored("secret"))])

    def test_a_body_that_nothing_overtakes_is_stored(self):
        self.know("secret")
        s = self.post("/api/v1/file-upload/list", "secret")
        self.api.hand_password(stored("secret").encode())
        s.sendall(b"len")
        self.assertEqual(self.answer(s), 200)
        self.assertEqual(self.acts, [(UPLOAD, "list")])


class Slow(BodyTest):
    options = {**SessionTest.options, "password_hash": "pbkdf2-sha256"}

    def test_a_new_password_whose_hash_is_not_ready_cannot_overtake_another(self):
        self.know(None)
        s = self.post("/api/v1/set-basic-auth", part="stolen")
        self.api.request("/livez")      # by now its hash is being computed
        self.know("other")
        self.assertIn(self.answer(s), (401, 503))
        self.assertEqual(self.acts, [])


if __name__ == "__main__":
    unittest.main()
