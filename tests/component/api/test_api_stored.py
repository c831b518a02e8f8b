# SPDX-License-Identifier: GPL-2.0-or-later
"""What the System API keeps on the disk, with the real PID 1: the password and the TLS key, and what it does before there is
a disk."""

import fcntl
import hashlib
import os
import pathlib
import re
import shutil
import stat
import subprocess
import tempfile
import time
import unittest

from fake_control import wait_for
from machine import Machine, api, stored
from pid1 import INIT, boot, service, stage
from support import waits


class Password(unittest.TestCase):
    def setUp(self):
        self.pid1 = Machine().unlocked()
        self.addCleanup(self.pid1.__exit__, None)

    def set(self, password, *options):
        with open(self.pid1.path("body"), "wb") as f:
            f.write(password.encode())
        return self.pid1.curl("/api/v1/set-basic-auth", "--data-binary", "@/t/body", *options)

    def status(self, *options, path="/livez"):
        return self.pid1.curl(path, *options).status

    def test_the_password_s_whole_life(self):
        path = self.pid1.path("secret")
        self.assertEqual((os.stat(path).st_size, stat.S_IMODE(os.stat(path).st_mode)), (0, 0o600))
        self.assertEqual((self.status(), self.status("-u", "bogus:credentials")), (200, 200))
        r = self.set("secret")
        self.assertEqual((r.status, r.body), (200, '{"message":"Basic auth secret updated"}\n'))
        self.assertEqual(self.pid1.read("secret"), stored("secret"))
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
        r = self.pid1.curl("/livez")
        self.assertEqual((r.status, r.headers["www-authenticate"], r.body),
                         (401, 'Basic realm="system-api"', '{"code":401,"message":"Unauthorized"}\n'))
        self.assertEqual(self.status("-u", "admin:secret"), 200)
        self.assertEqual(self.status("-u", "admin1:secret"), 401)
        self.assertEqual(self.status("-u", "admin:wrong"), 401)
        for header in "Basic", "Basic ", "Basic !!!", "Bearer x", "Basic YWRtaW4=":
            self.assertEqual(self.status("-H", f"Authorization: {header}"), 401, header)
        for path in "/", "/logs", "/nothing", "/api/v1/status", "/api/v1/actions/echo_test", "/metrics":
            self.assertEqual(self.status(path=path), 401, path)
        self.assertEqual(self.status("-X", "POST", path="/livez"), 401)
        self.assertFalse(os.path.exists(self.pid1.path("echoed")))
        # Another one: what is sent is what counts, its newline too, and the old one is over.
        self.assertEqual(self.set("other\n", "-u", "admin:secret").status, 200)
        self.assertEqual(self.pid1.read("secret"), stored("other\n"))
        codes = [self.status("-u", f"admin:{password}") for password in ("secret", "other", "other\n")]
        self.assertEqual(codes, [401, 401, 200])
        self.assertEqual(self.set("x", "-u", "admin:secret").status, 401)
        self.assertEqual(self.set("", "-u", "admin:other\n").status, 200)
        self.assertEqual(self.status("-u", "admin:"), 200)
        told = self.pid1.curl("/logs", "-u", "admin:").body
        self.assertIn("[system-api] basic auth secret updated", told)
        for password in "secret", "other\n", "":
            self.assertNotIn(stored(password), told)

    def test_it_survives_both_roles_and_a_new_boot(self):
        self.assertEqual(self.set("secret").status, 200)
        for role in "gantry-api", "gantry-api-tls":
            again = len(self.pid1.find("system-api", "api", kind="message"))
            self.pid1.inside("sh", "-c", f"kill -9 $(basename $(dirname $(grep -lx {role} /proc/[0-9]*/comm)))")
            wait_for(lambda: len(self.pid1.find("system-api", "api", kind="message")) > again, f"{role} has ended")
            wait_for(lambda: self.status("-u", "admin:secret") == 200, "it is back")
            self.assertEqual((self.status(), self.status("-u", "admin:wrong")), (401, 401))
        with Machine(files={"secret": self.pid1.read("secret")}) as second:
            wait_for(lambda: second.curl("/livez").status == 401, "the second boot knows it")
            self.assertEqual(second.curl("/livez", "-u", "admin:secret").status, 200)

    def test_an_address_that_guesses_is_not_listened_to_but_who_was_right_before_is(self):
        self.assertEqual(self.set("secret").status, 200)
        self.assertEqual(self.status("-u", "admin:secret"), 200)
        codes = [self.status("-u", f"admin:guess{i}") for i in range(14)]
        self.assertEqual(codes[:10], [401] * 10)
        self.assertIn(429, codes[10:])
        self.assertEqual(self.status("-u", "admin:secret"), 200)
        self.assertEqual(self.status(), 401)
        said = self.pid1.find("system-api", "wrong user or password from 127.0.0.1", kind="message")
        self.assertEqual(len(said), 1)
        self.assertEqual(said[0].level, "warning")

    def test_a_password_that_cannot_be_stored_is_500_and_the_old_one_goes_on(self):
        self.assertEqual(self.set("secret").status, 200)
        self.pid1.inside("mkdir", "-p", "/t/.secret.gantry-new/x")      # in the way of the new file
        r = self.set("other", "-u", "admin:secret")
        self.assertEqual((r.status, r.body), (500, '{"code":500,"message":"Failed to update basic auth secret"}\n'))
        self.assertEqual(self.pid1.read("secret"), stored("secret"))
        self.assertEqual((self.status("-u", "admin:secret"), self.status("-u", "admin:other")), (200, 401))

    def test_who_may_read_the_folder_cannot_hold_it_up(self):
        folder = os.open(self.pid1.shared, os.O_RDONLY | os.O_DIRECTORY)
        self.addCleanup(os.close, folder)
        fcntl.flock(folder, fcntl.LOCK_EX)
        began = time.monotonic()
        self.assertEqual(self.set("secret").status, 200)
        self.assertLess(time.monotonic() - began, 25)

    @unittest.skipUnless(shutil.which("strace"), "no strace here")
    def test_after_an_error_of_the_disk_what_is_there_counts(self):
        """The new file has its name already when the sync of the folder fails."""
        with Machine(files={"secret": stored("old")}) as pid1:
            wait_for(lambda: pid1.curl("/livez").status == 401, "the old one counts")
            forks = pid1.forkserver()
            strace = subprocess.Popen(["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync", "-e",
                                       "inject=fsync:error=EIO:when=2", "-p", str(forks)])
            self.addCleanup(strace.wait)
            self.addCleanup(strace.kill)
            wait_for(lambda: "TracerPid:\t0" not in pathlib.Path(f"/proc/{forks}/status").read_text("ascii"), "strace")
            r = pid1.curl("/api/v1/set-basic-auth", "-u", "admin:old", "-d", "new")
            self.assertEqual(r.status, 500)
            pid1.wait("system-api", "error updating basic auth secret: exit status 1: /t/secret: I/O error", kind="message")
            self.assertEqual(pid1.read("secret"), stored("new"))
            wait_for(lambda: pid1.curl("/livez", "-u", "admin:new").status == 200, "what the next boot would take counts now")
            self.assertEqual(pid1.curl("/livez", "-u", "admin:old").status, 401)

    def test_a_password_has_a_limit(self):
        self.assertEqual(self.set("x" * 4097).status, 413)
        self.assertEqual(self.set("x" * 4096).status, 200)


class OtherPasswords(unittest.TestCase):
    def test_without_a_place_for_it_501_and_everything_is_open(self):
        config = api()
        del config["password_file"], config["password_salt"]
        with Machine(boot([], [service("svc")], api=config)) as pid1:
            pid1.unlocked()
            r = pid1.curl("/api/v1/set-basic-auth", "-d", "x")
            self.assertEqual((r.status, r.json()["code"]), (501, 501))
            self.assertEqual(pid1.curl("/api/v1/actions/echo_test").status, 200)

    def test_the_slow_hash_is_stored_and_checked(self):
        with Machine(password_hash="pbkdf2-sha256") as pid1:
            pid1.unlocked()
            self.assertEqual(pid1.curl("/api/v1/set-basic-auth", "-d", "secret").status, 200)
            kind, iterations, salt, digest = pid1.read("secret").split("$")
            self.assertEqual((kind, iterations), ("pbkdf2-sha256", "600000"))
            self.assertEqual(hashlib.pbkdf2_hmac("sha256", b"secret", bytes.fromhex(salt), 600000).hex(), digest)
            self.assertEqual(pid1.curl("/livez", "-u", "admin:wrong").status, 401)
            self.assertEqual(pid1.curl("/livez", "-u", "admin:secret").status, 200)
            self.assertEqual(pid1.curl("/livez").status, 401)
        # A machine that is told to use the fast one still opens with what is there, and the other way round.
        with Machine(files={"secret": f"{kind}${iterations}${salt}${digest}"}) as pid1:
            wait_for(lambda: pid1.curl("/livez").status == 401, "it knows")
            self.assertEqual(pid1.curl("/livez", "-u", "admin:secret").status, 200)

    def test_a_file_that_is_no_hash_keeps_the_api_closed_and_is_said(self):
        with Machine(files={"secret": "0123"}) as pid1:
            event = pid1.wait("system-api", "password and TLS key: /t/secret: does not hold a password hash", kind="message")
            self.assertEqual(event.level, "error")
            self.assertEqual(pid1.curl("/api/v1/actions/echo_test").status, 503)
            self.assertEqual(pid1.curl("/logs").status, 200)
            os.unlink(pid1.path("secret"))
            pid1.unlocked()


class BeforeTheDisk(unittest.TestCase):
    def machine(self, **more):
        disk = stage("disk", "read line < /t/gate")
        return Machine(boot([disk], [service("svc")], api=api(needs=["disk"], **more)),
                       files={"secret": stored("secret")})

    def test_events_are_shown_and_nothing_is_done(self):
        with self.machine() as pid1:
            for path in "/", "/livez", "/logs", "/api/v1/events", "/api/v1/status", "/api/v1/new_event?message=x":
                self.assertEqual(pid1.curl(path).status, 200, path)
            for path, options in (("/api/v1/actions/echo_test", ()), ("/api/v1/file-upload/blocklist", ("-d", "x")),
                                  ("/api/v1/set-basic-auth", ("-d", "stolen")), ("/api/v1/actions/nothing", ()),
                                  ("/api/v1/events?boot=-1", ()), ("/logs?boot=-1", ())):
                r = pid1.curl(path, *options)
                self.assertEqual((r.status, r.json()["message"]), (503, "Not before the disk is open"), path)
            with open(pid1.path("gate"), "w", encoding="ascii") as gate:
                gate.write("open\n")
            wait_for(lambda: pid1.curl("/livez").status == 401, "the password counts")
            self.assertEqual(pid1.read("secret"), stored("secret"))
            self.assertEqual(pid1.curl("/api/v1/actions/echo_test", "-u", "admin:secret").status, 200)

    def test_or_nothing_at_all(self):
        with self.machine(before_unlock="nothing") as pid1:
            self.assertEqual(pid1.curl("/livez").status, 200)
            for path in "/", "/logs", "/api/v1/events", "/api/v1/status", "/nothing", "/api/v1/new_event?message=x":
                r = pid1.curl(path)
                self.assertEqual((r.status, r.json()["code"]), (503, 503), path)
            with open(pid1.path("gate"), "w", encoding="ascii") as gate:
                gate.write("open\n")
            wait_for(lambda: pid1.curl("/livez").status == 401, "the password counts")
            self.assertEqual(pid1.curl("/logs", "-u", "admin:secret").status, 200)


class Identity(unittest.TestCase):
    FILES = {"tls_certificate": "/t/cert.pem", "tls_key": "/t/key.pem"}

    def fingerprint(self, pid1):
        script = ("openssl s_client -connect 127.0.0.1:3535 </dev/null 2>/dev/null | openssl x509 -outform DER | sha256sum")
        return pid1.inside("sh", "-c", script).stdout.split()[0]

    def from_disk(self, pid1, count=1):
        event = pid1.wait("system-api", "using the certificate from the disk", kind="message", count=count)
        return re.search("sha256=([0-9a-f]{64})", event.text)[1]

    def test_the_key_is_made_on_the_disk_once_and_kept(self):
        with Machine(**self.FILES) as pid1:
            made = pid1.wait("system-api", "made a certificate for localhost, 127.0.0.1", kind="message")
            told = self.from_disk(pid1)
            self.assertNotIn(told, made.text)
            self.assertEqual(self.fingerprint(pid1), told)
            self.assertEqual(pid1.curl("/api/v1/status").json()["api"]["certificate_sha256"], told)
            for name in "cert.pem", "key.pem":
                self.assertEqual(stat.S_IMODE(os.stat(pid1.path(name)).st_mode), 0o600)
            files = {name: pid1.read(name) for name in ("cert.pem", "key.pem")}
            self.assertTrue(files["key.pem"].startswith("-----BEGIN PRIVATE KEY-----\n"))
            text = subprocess.run(["openssl", "pkey", "-in", pid1.path("key.pem"), "-noout", "-text"], capture_output=True,
                                  text=True, check=True).stdout
            self.assertIn("prime256v1", text)
            self.assertEqual(sorted(n for n in os.listdir(pid1.shared) if "gantry-new" in n), [])
            # The TLS role is killed: the disk's key again, not another one.
            pid1.inside("sh", "-c", "kill -9 $(basename $(dirname $(grep -lx gantry-api-tls /proc/[0-9]*/comm)))")
            self.assertEqual(self.from_disk(pid1, count=2), told)
            self.assertEqual(self.fingerprint(pid1), told)
        with Machine(files=files, **self.FILES) as second:
            self.assertEqual(self.from_disk(second), told)

    def test_one_s_own_certificate_is_used(self):
        with tempfile.TemporaryDirectory() as folder:
            files = self.made(folder, "/CN=mine", "-days", "99")
        with Machine(files=files, **self.FILES) as pid1:
            told = self.from_disk(pid1)
            self.assertEqual(self.fingerprint(pid1), told)
            r = pid1.inside("sh", "-c", "openssl s_client -connect 127.0.0.1:3535 </dev/null 2>/dev/null | openssl x509 -subject")
            self.assertIn("mine", r.stdout)

    def made(self, folder, subject, *validity):
        """Certificate and key as openssl makes them, by name."""
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
                        subject, *validity, "-keyout", f"{folder}/key.pem", "-out", f"{folder}/cert.pem"],
                       check=True, capture_output=True)
        files = {}
        for name in "key.pem", "cert.pem":
            with open(f"{folder}/{name}", encoding="ascii") as f:
                files[name] = f.read()
        return files

    def test_one_that_was_made_is_renewed_in_time_with_its_key(self):
        """Expired, not valid yet, and with three weeks to go; with 60 days it stays."""
        day = 86400
        for begin, end, renewed in ((-400, -1, True), (2, 300, True), (-344, 21, True), (-305, 60, False)):
            dates = [time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + days * day)) for days in (begin, end)]
            with self.subTest(begin=begin, end=end), tempfile.TemporaryDirectory() as folder:
                files = self.made(folder, "/O=Acme", "-not_before", dates[0], "-not_after", dates[1])
                with Machine(files=files, **self.FILES) as pid1:
                    told = self.from_disk(pid1)
                    self.assertEqual(self.fingerprint(pid1), told)
                    self.assertEqual(pid1.read("key.pem"), files["key.pem"])
                    self.assertEqual(pid1.read("cert.pem") != files["cert.pem"], renewed)
                    self.assertEqual(len(pid1.find("system-api", "renewed the certificate /t/cert.pem", kind="message")), renewed)
                    end_s = pid1.curl("/api/v1/status").json()["api"]["certificate_end_s"]
                    self.assertAlmostEqual(end_s, time.time() + (365 if renewed else 60) * day, delta=day / 2)
                    said = pid1.find("system-api", "the certificate (has expired|is not valid|expires soon)", kind="message")
                    self.assertEqual(said, [])

    def timer(self, pid1, *commands):
        """What gdb prints of PID 1's daily timer. It is the one way there that needs neither a day nor a switch in PID 1."""
        ran = subprocess.run(["gdb", "-nx", "-batch", "-p", str(pid1.pid), *[word for c in commands for word in ("-ex", c)],
                              INIT + ".debug"], capture_output=True, text=True, check=False)
        return [int(line.split(" = ")[1]) for line in ran.stdout.splitlines() if line.startswith("$")]

    @unittest.skipUnless(os.path.exists(INIT + ".debug"), "no symbols here")
    def test_it_is_looked_every_day_and_after_the_clock_was_set(self):
        day = 86400
        with Machine(**self.FILES) as pid1:
            told, key = self.from_disk(pid1), pid1.read("key.pem")
            dates = [time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + days * day)) for days in (-344, 21)]
            due_s = self.timer(pid1, "print renew_timer.due_ns / 1000000000")[0]
            self.assertAlmostEqual(due_s, time.clock_gettime(time.CLOCK_BOOTTIME) + day, delta=600)
            for count, call in ((2, "call (void)loop_arm(&renew_timer, 1)"), (3, "call (void)act_clock_was_set()")):
                subprocess.run(["openssl", "req", "-x509", "-key", pid1.path("key.pem"), "-subj", "/O=Acme", "-not_before",
                                dates[0], "-not_after", dates[1], "-out", pid1.path("cert.pem")], check=True, capture_output=True)
                self.timer(pid1, call)
                pid1.wait("system-api", "renewed the certificate /t/cert.pem", kind="message", count=count - 1)
                new = self.from_disk(pid1, count=count)
                self.assertNotEqual(new, told)
                self.assertEqual(self.fingerprint(pid1), new)
                self.assertEqual(pid1.read("key.pem"), key)
                end_s = pid1.curl("/api/v1/status").json()["api"]["certificate_end_s"]
                self.assertAlmostEqual(end_s, time.time() + 365 * day, delta=day / 2)
            due_s = self.timer(pid1, "print renew_timer.due_ns / 1000000000")[0]
            self.assertAlmostEqual(due_s, time.clock_gettime(time.CLOCK_BOOTTIME) + day, delta=600)

    def test_an_operator_s_own_is_never_renewed_and_its_end_is_told(self):
        for validity, level, words in ((("-days", "9"), "warning", "the certificate expires soon: "),
                                       (("-not_before", "20200101000000Z", "-not_after", "20200201000000Z"), "error",
                                        "the certificate has expired: 2020-02-01 00:00:00 UTC"),
                                       (("-not_before", "20900101000000Z", "-not_after", "20910201000000Z"), "warning",
                                        "the certificate is not valid before 2090-01-01 00:00:00 UTC")):
            with self.subTest(words=words), tempfile.TemporaryDirectory() as folder:
                files = self.made(folder, "/CN=mine", *validity)
                with Machine(files=files, **self.FILES) as pid1:
                    told = self.from_disk(pid1)
                    self.assertEqual(self.fingerprint(pid1), told)
                    self.assertEqual(pid1.wait("system-api", words, kind="message").level, level)
                    self.assertEqual(pid1.read("cert.pem"), files["cert.pem"])

    def test_exactly_one_of_the_two_is_an_error_and_nothing_is_made(self):
        for present, missing in ("cert.pem", "key.pem"), ("key.pem", "cert.pem"):
            with Machine(files={present: "x"}, **self.FILES) as pid1:
                event = pid1.wait("system-api", f"password and TLS key: /t/{missing}: does not exist, but its", kind="message")
                self.assertEqual(event.level, "error")
                self.assertFalse(os.path.exists(pid1.path(missing)))
                self.assertEqual(pid1.curl("/livez").status, 200)       # with the key in memory

    @waits(10)
    def test_a_broken_certificate_does_not_take_the_password_away(self):
        with Machine(files={"key.pem": "x", "secret": stored("secret")}, **self.FILES) as pid1:
            pid1.wait("system-api", "password and TLS key: /t/cert.pem: does not exist", kind="message", count=2, timeout=30)
            self.assertEqual(pid1.curl("/livez").status, 401)
            self.assertEqual(pid1.curl("/api/v1/actions/echo_test", "-u", "admin:secret").status, 200)
            os.unlink(pid1.path("key.pem"))         # then both are made, while the password goes on
            self.from_disk(pid1)
            self.assertEqual(pid1.curl("/livez", "-u", "admin:secret").status, 200)

    @waits(5)
    def test_a_broken_password_file_does_not_take_the_certificate_away(self):
        with Machine(files={"secret": "0123"}, **self.FILES) as pid1:
            told = self.from_disk(pid1)
            pid1.wait("system-api", "password and TLS key: /t/secret: does not hold a password hash", kind="message", count=2,
                      timeout=30)
            self.assertEqual(self.fingerprint(pid1), told)
            self.assertEqual(len(pid1.find("system-api", "using the certificate from the disk", kind="message")), 1)
            self.assertEqual(pid1.curl("/api/v1/actions/echo_test").status, 503)

    def test_a_cut_between_the_two_renames_is_mended(self):
        with Machine(**self.FILES) as pid1:
            told = self.from_disk(pid1)
            files = {"cert.pem": pid1.read("cert.pem"), ".key.pem.gantry-new": pid1.read("key.pem")}
        with Machine(files=files, **self.FILES) as pid1:
            self.assertEqual(self.from_disk(pid1), told)
            self.assertEqual(pid1.read("key.pem"), files[".key.pem.gantry-new"])

    def test_none_may_be_made_when_boot_json_says_so_and_a_wrong_pair_is_refused(self):
        with Machine(tls_create=False, **self.FILES) as pid1:
            pid1.wait("system-api", "password and TLS key: /t/cert.pem: does not exist, nor does its key", kind="message")
        with Machine(**self.FILES) as one, Machine(**self.FILES) as other:
            self.from_disk(one), self.from_disk(other)
            files = {"cert.pem": one.read("cert.pem"), "key.pem": other.read("key.pem")}
        with Machine(files=files, **self.FILES) as pid1:
            pid1.wait("system-api", "password and TLS key: /t/cert.pem: ", kind="message")

    def test_the_names_may_come_from_a_file_of_the_boot(self):
        with Machine(files={"hosts": "node.example.org\n# more\n10.1.2.3\n"}, tls_hosts_file="/t/hosts", **self.FILES) as pid1:
            self.from_disk(pid1)
            r = subprocess.run(["openssl", "x509", "-in", pid1.path("cert.pem"), "-noout", "-ext", "subjectAltName"],
                               capture_output=True, text=True, check=True)
            self.assertIn("DNS:node.example.org, IP Address:10.1.2.3", r.stdout)


if __name__ == "__main__":
    unittest.main()
