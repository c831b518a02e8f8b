# SPDX-License-Identifier: GPL-2.0-or-later
"""RFC 9112 and 9110 where they say MUST, by requests written byte by byte: what leaves room for two readings of where a request
ends is refused and ends the connection; what every client may send is taken."""

import hashlib
import re
import unittest

from fake_control import PASSWORD, wait_for
from patience import PATIENCE
from test_api import ApiTest

SALT = "salt"
NEXT = b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n"       # 404: it was read as a request of its own
LAST = b"GET /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def get(*fields, line=b"GET /livez HTTP/1.1", body=b""):
    return b"\r\n".join([line, *(fields or (b"Host: x",)), b"", b""]) + body


def chunked(body, *fields):
    return get(b"Host: x", b"Transfer-Encoding: chunked", *fields, line=b"POST /api/v1/set-basic-auth HTTP/1.1", body=body)


class HttpTest(ApiTest):
    options = {"password_file": "/secret", "password_salt": SALT}

    def setUp(self):
        super().setUp()
        self.api.hand_password(b"")
        wait_for(lambda: self.api.request("/api/v1/file-upload/x", "POST").status == 400, "it knows that there is no password")

    def exchange(self, raw):
        """The status codes that these bytes got, and the whole answer, until the server closed."""
        with self.api.connect() as s:
            s.settimeout(10 * PATIENCE)
            s.sendall(raw)
            got = b""
            while piece := s.recv(65536):
                got += piece
        return [int(code) for code in re.findall(rb"HTTP/1\.1 (\d\d\d)", got)], got


class Refused(HttpTest):
    """400, and no byte behind it is read as a request."""

    def refused(self, *requests):
        for raw in requests:
            with self.subTest(raw):
                codes, got = self.exchange(raw + NEXT)
                self.assertEqual(codes, [400])
                self.assertIn(b"Connection: close", got)
                self.assertRegex(got, rb"\r\n\r\n<html>.+</html>$")

    def test_two_lengths(self):
        self.refused(get(b"Host: x", b"Content-Length: 5", b"Content-Length: 6", body=b"hello"),
                     get(b"Host: x", b"Content-Length: 0", b"content-length: 40"),
                     get(b"Host: x", b"Content-Length: 5", b"X: y", b"Content-Length: 5", body=b"hello"),
                     get(b"Host: x", b"Content-Length: 5, 5", body=b"hello"),
                     get(b"Host: x", b"Content-Length: +5", body=b"hello"),
                     get(b"Host: x", b"Content-Length: 5", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"))

    def test_two_codings_and_unknown_ones(self):
        self.refused(get(b"Host: x", b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
                     get(b"Host: x", b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity", body=b"0\r\n\r\n"),
                     get(b"Host: x", b"Transfer-Encoding: chunked, gzip", body=b"0\r\n\r\n"))

    def test_a_coding_in_a_version_that_has_none(self):
        self.refused(get(b"Host: x", b"Transfer-Encoding: chunked", b"Connection: keep-alive", line=b"GET /livez HTTP/1.0",
                         body=b"0\r\n\r\n"))

    def test_hosts_that_are_not_one_host(self):
        self.refused(*(get(*fields) for fields in (
            (b"X: y",), (b"Host: x", b"Host: y"), (b"Host: x", b"host: x"), (b"Host: a b",), (b"Host: a/b",), (b"Host: a:b",),
            (b"Host: user@a",), (b"Host: [::1",), (b"Host: []",), (b"Host: [::1]x",), (b"Host: a%2",), (b"Host: a,b c",),
            (b"Host: \x80",), (b"Host: a?b",))))
        self.refused(get(b"Host: x", b"Host: x", line=b"GET /livez HTTP/1.0"))

    def test_names_that_are_not_tokens(self):
        self.refused(*(get(b"Host: x", field) for field in (
            b"X\x80: 1", b"X(: 1", b"X\"Y: 1", b"X Y: 1", b"X : 1", b": 1", b"X\0: 1", b"\xc3\xa4: 1", b"X/Y: 1")))
        self.refused(*(get(line=method + b" /livez HTTP/1.1") for method in (b"GE\x80", b"G(T", b"G@T", b"G/T")))

    def test_values_with_line_ends_and_nuls(self):
        self.refused(*(get(b"Host: x", b"X: a" + middle + b"b") for middle in (b"\0", b"\r", b"\n", b"\r\n ", b"\r\n\t")))

    def test_a_target_that_is_none(self):
        self.refused(*(get(line=b"GET " + target + b" HTTP/1.1") for target in (
            b"livez", b"http:///livez", b"https://:1/livez", b"https://u@h/livez", b"https://h:x/", b"https:/livez",
            b"ftp://h/livez")))

    def test_a_trailer_that_is_none(self):
        self.refused(chunked(b"1\r\nx\r\n0\r\nX\x80: y\r\n\r\n"))
        self.assertEqual(self.api.posts_of_passwords, [])

    def setUp(self):
        super().setUp()
        self.api.posts_of_passwords = []
        self.api.act = lambda kind, body: self.api.posts_of_passwords.append(body) or (-1, b"")


class Taken(HttpTest):
    def test_hosts(self):
        for host in b"x", b"", b"x:3535", b"x:", b"10.0.0.1", b"[::1]:3535", b"[fe80::1%25eth0]", b"a-b_c.example.", \
                b" \tx\t ", b"%41":
            self.assertEqual(self.exchange(get(b"Host: " + host) + LAST)[0], [200, 404], host)
        self.assertEqual(self.exchange(get(b"X: y", line=b"GET /livez HTTP/1.0"))[0], [200])

    def test_targets_in_absolute_form(self):
        for target in b"https://h/livez", b"HTTP://h:1/livez", b"http://[::1]:3535/livez?x=1", b"https://h", b"https://h?x=1", \
                b"http://h/":
            codes, got = self.exchange(get(line=b"GET " + target + b" HTTP/1.1") + LAST)
            self.assertEqual(codes, [200, 404], target)
            self.assertIn(b'{"status":"ok"}', got)
        codes, got = self.exchange(get(line=b"GET https://h/api/v1/new_event?message=https://x/y HTTP/1.1") + LAST)
        self.assertEqual((codes, self.api.posts[-1][2]), ([200, 404], b"https://x/y"))
        self.assertEqual(self.exchange(get(line=b"GET https://h/nothing HTTP/1.1") + LAST)[0], [404, 404])

    def test_versions_names_and_empty_lines(self):
        self.assertEqual(self.exchange(get(line=b"GET /livez HTTP/1.2") + LAST)[0], [200, 404])
        self.assertEqual(self.exchange(get(b"Host: x", b"!#$%&'*+-.^_`|~9aZ: \x80\xff") + LAST)[0], [200, 404])
        self.assertEqual(self.exchange(b"\r\n" + get() + LAST)[0], [200, 404])

    def test_chunks_with_extensions_are_the_body_and_nothing_else(self):
        hashes = []

        def act(kind, body):
            if kind == PASSWORD:
                hashes.append(body.decode())
                self.api.add("updated", "system-api", fields=b"id=7\0result=success\0")
            return 7, b""

        self.api.act = act
        for body in (b"5;a=b\r\nhello\r\n6;x\r\n world\r\n0\r\n\r\n",
                     b"5;a=\"b c\"\r\nhello\r\n6\r\n world\r\n0;last;x=y\r\n\r\n",
                     b"5 ; a=b\r\nhello\r\n6\t;\tx = y\r\n world\r\n0\r\n\r\n",
                     b"005\r\nhello\r\n6\r\n world\r\n000\r\nX: y\r\n\r\n",
                     b"5;" + b"e" * 2000 + b"\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"):
            self.assertEqual(self.exchange(chunked(body) + LAST)[0], [200, 404], body[:40])
            self.assertEqual(hashes.pop(), hashlib.sha256(b"hello world" + SALT.encode()).hexdigest(), body[:40])
        for wrong in b"5 \r\nhello\r\n0\r\n\r\n", b"5;a\nhello\r\n0\r\n\r\n", b"0x5\r\nhello\r\n0\r\n\r\n", \
                b"5\r\nhelloX\r\n0\r\n\r\n":
            self.assertEqual(self.exchange(chunked(wrong) + NEXT)[0], [400], wrong)
        self.assertEqual(hashes, [])

    def test_pieces_as_small_as_they_come(self):
        raw = get(b"Host: x", b"Content-Length: 3", line=b"GET https://h/livez HTTP/1.1", body=b"abc") + LAST
        with self.api.connect() as s:
            s.settimeout(10 * PATIENCE)
            for byte in raw:
                s.sendall(bytes([byte]))
            got = b""
            while piece := s.recv(65536):
                got += piece
        self.assertEqual(re.findall(rb"HTTP/1\.1 (\d\d\d)", got), [b"200", b"404"])


if __name__ == "__main__":
    unittest.main()
