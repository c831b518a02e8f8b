# SPDX-License-Identifier: GPL-2.0-or-later
"""Each limit that the pages promise, tried at the limit and one beyond it, from the outside."""

import base64
import hashlib
import json
import re
import subprocess
import tempfile
import unittest

from fake_control import wait_for
from machine import Machine, stored
from test_api import Api, ApiTest

PASSWORD_MAX = 4096
BODY_MAX = 65536
HEAD_MAX = 16384
AZURE = "builder-0123456789abcdef0123456789abcdef0123456789abcdef.germanywestcentral.cloudapp.azure.com"


def basic(password):
    return {"Authorization": "Basic " + base64.b64encode(b"admin:" + password).decode()}


class Passwords(unittest.TestCase):
    """One that is accepted can be used, whatever it consists of and however long it is."""

    def try_all(self, *passwords, **options):
        api = Api(password_file="/secret", password_salt="s" * 256, **options)

        def act(kind, body):
            api.hand_password(body)
            api.add("done", "system-api", fields=b"id=5\0result=success\0")
            return 5, b""

        api.act = act
        api.start()
        self.addCleanup(api.kill)
        api.hand_password(b"")
        wait_for(lambda: api.request("/api/v1/file-upload/x", "POST").status == 400, "it knows that there is none")
        present = b""
        for password in passwords:
            r = api.request("/api/v1/set-basic-auth", "POST", basic(present), password)
            self.assertEqual(r.status, 200, r.body)
            self.assertEqual(api.request("/livez", headers=basic(password)).status, 200, len(password))
            self.assertEqual(api.request("/livez", headers=basic(password + b"x")).status, 401, len(password))
            present = password
        r = api.request("/api/v1/set-basic-auth", "POST", basic(present), b"x" * (PASSWORD_MAX + 1))
        self.assertEqual((r.status, api.request("/livez", headers=basic(present)).status), (413, 200))

    def test_with_the_fast_hash(self):
        self.try_all(b"x" * 1018, b"x" * 1019, b"\xff" * (PASSWORD_MAX - 1), b"\0" * PASSWORD_MAX, b":" * PASSWORD_MAX, b"\n",
                     b"")

    def test_with_the_slow_hash(self):
        self.try_all(b"x" * PASSWORD_MAX, password_hash="pbkdf2-sha256")


class Requests(ApiTest):
    options = {"uploads": [{"name": "n" * 63, "path": "/" + "<" * 3999, "max_bytes": 1000}],
               "actions": [{"name": "a" * 63, "verb": "@halt"}]}

    def act(self, kind, body):
        self.api.add("done", "system-api", fields=b"id=5\0result=success\0")
        return 5, b""

    def test_a_body_that_is_not_used(self):
        for size, status in (BODY_MAX, 200), (BODY_MAX + 1, 413):
            self.assertEqual(self.api.request("/livez", body=b"x" * size).status, status)

    def test_an_upload_its_name_and_its_path(self):
        self.api.act = self.act
        for size, status in (1000, 200), (1001, 413):
            r = self.api.request("/api/v1/file-upload/" + "n" * 63, "POST", body=b"x" * size)
            self.assertEqual(r.status, status, r.body)
            if status == 200:
                self.assertEqual(json.loads(r.body)["file"], "/" + "<" * 3999)
        self.assertEqual(self.api.request("/api/v1/file-upload/nothing", "POST", body=b"x" * BODY_MAX).status, 400)
        self.assertEqual(self.api.request("/api/v1/actions/" + "a" * 63, "POST").status, 200)

    def test_a_head(self):
        """Not all of 16 KiB is the client's: what the server keeps of it beside it is in there, too."""
        head = "GET /livez HTTP/1.1\r\nHost: x\r\nX: {}\r\nConnection: close\r\n\r\n"
        for size, served in (HEAD_MAX - 1500, True), (HEAD_MAX, False):
            with self.api.connect() as s:
                s.sendall(head.format("y" * (size - len(head) + 2)).encode())
                got = b""
                try:
                    while piece := s.recv(65536):
                        got += piece
                except OSError:
                    pass
            self.assertEqual(got.startswith(b"HTTP/1.1 200"), served, got[:100])

    def test_arguments(self):
        for path, status in (("/logs?" + "&".join(["source=a"] * 16), 200), ("/logs?" + "&".join(["source=a"] * 17), 400),
                             ("/logs?since=" + "9" * 18, 200), ("/logs?since=" + "9" * 19, 400),
                             ("/logs?boot=-999999", 503), ("/logs?boot=-1000000", 400),     # 503: this PID 1 has no log
                             ("/logs?source=" + "a" * 32, 200), ("/logs?source=" + "a" * 33, 400)):
            self.assertEqual(self.api.request(path).status, status, path)


class Names(unittest.TestCase):
    def san(self, der):
        with tempfile.NamedTemporaryFile() as f:
            f.write(der)
            f.flush()
            out = subprocess.run(["openssl", "x509", "-inform", "DER", "-in", f.name, "-noout", "-ext", "subjectAltName"],
                                 capture_output=True, check=True, text=True).stdout
        return re.findall(r"(DNS|IP Address):([^,\s]+)", out)

    def names(self, hosts):
        api = Api(tls_hosts=hosts).start()
        self.addCleanup(api.kill)
        with api.connect() as s:
            der = s.getpeercert(True)
        told = api.post_from(b"made a certificate for ")[0][1]
        self.assertTrue(told.endswith(b"\0sha256=" + hashlib.sha256(der).hexdigest().encode()), told)
        return self.san(der)

    def test_names_as_machines_have_them(self):
        hosts = [AZURE, "*.example.org", "2001:db8::1", "10.0.0.1", "a_b"]
        self.assertEqual(self.names(hosts), [("DNS", AZURE), ("DNS", "*.example.org"), ("IP Address", "2001:DB8:0:0:0:0:0:1"),
                                             ("IP Address", "10.0.0.1"), ("DNS", "a_b")])

    def test_sixteen_of_the_longest(self):
        hosts = [".".join([chr(97 + i) * 63] * 3 + ["z" * 61]) for i in range(16)]
        self.assertEqual({len(host) for host in hosts}, {253})
        self.assertEqual(self.names(hosts), [("DNS", host) for host in hosts])


class Paths(unittest.TestCase):
    def test_files_with_the_longest_path_that_is_accepted(self):
        """A path that is accepted and then cut would be no path, and no password."""
        folder = "/t/" + "/".join(["d" * 255] * 15)

        def path(name):
            return folder + "/" + name * (3999 - len(folder))

        options = {"password_file": path("p"), "tls_certificate": path("c"), "tls_key": path("k")}
        self.assertEqual(len(options["password_file"]), 4000)
        with Machine(**options, uploads=[{"name": "list", "path": path("u")}]) as pid1:
            pid1.unlocked()
            pid1.wait("system-api", "using the certificate from the disk", kind="message")
            self.assertEqual(pid1.curl("/api/v1/file-upload/list", "-d", "content").status, 200)
            self.assertEqual(pid1.curl("/api/v1/set-basic-auth", "-d", "secret").status, 200)
            self.assertEqual((pid1.curl("/livez").status, pid1.curl("/livez", "-u", "admin:secret").status), (401, 200))
            self.assertEqual(pid1.read(path("p").removeprefix("/t/")), stored("secret"))
            self.assertEqual(pid1.read(path("u").removeprefix("/t/")), "content")


if __name__ == "__main__":
    unittest.main()
