# SPDX-License-Identifier: GPL-2.0-or-later
"""What changes the machine over the System API, with the real PID 1: actions, uploads, the password, the TLS key. The older
System API's contract is tested statement by statement; requests are curl's, from inside PID 1's namespaces."""

import hashlib
import json
import os
import re
import signal
import stat
import subprocess
import tempfile
import threading
import time
import unittest

from fake_control import wait_for
from pid1 import Pid1, boot, service, stage
from support import waits
from test_api import Api
from within import ask

SALT = "bb36ef0b6643"
URL = "https://127.0.0.1:3535"
ACTIONS = [
    {"name": "echo_test", "command": ["/bin/sh", "-c", "echo done >> /t/echoed"]},
    {"name": "fails", "command": ["/bin/sh", "-c", "echo first; echo 'no such <thing>' >&2; exit 3"]},
    {"name": "dies", "command": ["/bin/sh", "-c", "kill -9 $$"]},
    {"name": "missing", "command": ["/usr/bin/not-there"]},
    {"name": "hangs", "command": ["/bin/sh", "-c", "setsid sleep 1000 & echo $! > /t/hung; wait"], "deadline_s": 1},
    {"name": "waits", "command": ["/bin/sh", "-c", "read line < /t/gate"]},
    {"name": "as_reth", "command": ["/bin/sh", "-c", "id -un > /t/who; pwd >> /t/who; echo $COLOUR >> /t/who"], "user": "reth",
     "directory": "/tmp", "environment": {"COLOUR": "blue"}},
    {"name": "svc_restart", "verb": "@restart svc"},
    {"name": "svc_stop", "verb": "@stop svc"},
    {"name": "svc_start", "verb": "@start svc"},
]
UPLOADS = [{"name": "blocklist", "path": "/t/list.json", "max_bytes": 200000}, {"name": "nowhere", "path": "/t/no/such/file"}]


def api(**more):
    return {"listen": "127.0.0.1:3535", "tls_hosts": ["localhost", "127.0.0.1"], "password_file": "/t/secret",
            "password_salt": SALT, "actions": ACTIONS, "uploads": UPLOADS, **more}


def stored(password, salt=SALT):
    return hashlib.sha256(password.encode() + salt.encode()).hexdigest()


class Answer:
    def __init__(self, raw):
        head, _, self.body = raw.partition("\n\n")      # in text mode there is no carriage return
        while self.body.startswith("HTTP/"):        # after 100 Continue
            head, _, self.body = self.body.partition("\n\n")
        lines = head.split("\n")
        self.status = int(lines[0].split()[1])
        self.headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}

    def json(self):
        return json.loads(self.body)


class Machine(Pid1):
    def __init__(self, config=None, files=None, **api_more):
        users = [{"name": "reth", "uid": 1001, "gid": 1001}]
        super().__init__({"users": users, **(config or boot([], [service("svc")], api=api(**api_more)))}, files=files)
        self.wait("gantry", "gantry", kind="message")       # it runs
        os.mkfifo(os.path.join(self.shared, "gate"))
        os.chmod(os.path.join(self.shared, "gate"), 0o666)

    def path(self, name):
        return os.path.join(self.shared, name)

    def curl(self, path, *options):
        def ask():
            return self.inside("curl", "-sS", "-k", "-i", "--http1.1", "--max-time", "60", *options, URL + path, timeout=90)
        r = ask()
        for _ in range(100):
            if r.returncode != 7:       # refused: it does not listen yet
                break
            time.sleep(0.1)
            r = ask()
        if r.returncode != 0:
            raise AssertionError(f"curl {path}: {r.stderr}")
        return Answer(r.stdout)

    def unlocked(self):
        """The role knows what is stored: an act gets its own answer."""
        wait_for(lambda: self.curl("/api/v1/actions/nothing").status != 503, "the api is unlocked")
        return self

    def messages(self, *options):
        return [e["message"] for e in self.curl("/api/v1/events", *options).json()]


class Open(unittest.TestCase):
    """No password is stored, so everything is open, as in the older System API."""

    @classmethod
    def setUpClass(cls):
        cls.pid1 = Machine(boot([], [service("svc")], api=api(), events={"ring": 5000})).unlocked()
        cls.addClassCleanup(cls.pid1.__exit__, None)

    def last(self, start, count=1):
        found = [m for m in self.pid1.messages() if m.startswith("[system-api] " + start)]
        self.assertGreaterEqual(len(found), count, start)
        return found[-1]

    def test_an_action_runs_and_its_two_events_have_the_older_words(self):
        r = self.pid1.curl("/api/v1/actions/echo_test")
        self.assertEqual((r.status, r.body), (200, '{"message":"Action executed successfully"}\n'))
        self.assertEqual(r.headers["content-type"], "application/json")
        self.assertIn("done", self.pid1.read("echoed"))
        self.assertRegex(self.last("executing action: echo_test"),
                         r"^\[system-api\] executing action: echo_test = /bin/sh -c echo done >> /t/echoed ")
        self.assertRegex(self.last("executing action success: echo_test"),
                         r"^\[system-api\] executing action success: echo_test ")

    def test_post_is_as_good_as_get_and_other_methods_are_405(self):
        self.assertEqual(self.pid1.curl("/api/v1/actions/echo_test", "-X", "POST").status, 200)
        for method in "PUT", "DELETE", "PATCH":
            r = self.pid1.curl("/api/v1/actions/echo_test", "-X", method)
            self.assertEqual((r.status, r.headers["allow"]), (405, "GET, POST"))
        r = self.pid1.curl("/api/v1/file-upload/blocklist")
        self.assertEqual((r.status, r.headers["allow"], r.body), (405, "POST", ""))
        r = self.pid1.curl("/api/v1/set-basic-auth")
        self.assertEqual((r.status, r.headers["allow"], r.body), (405, "POST", ""))

    def test_another_site_cannot_send_a_browser_to_act(self):
        for site in "cross-site", "same-site", "anything":
            for path, options in (("/api/v1/actions/echo_test", ()), ("/api/v1/file-upload/blocklist", ("-d", "x")),
                                  ("/api/v1/set-basic-auth", ("-d", "theirs"))):
                r = self.pid1.curl(path, "-H", f"Sec-Fetch-Site: {site}", *options)
                self.assertEqual((r.status, r.json()["code"]), (403, 403), (site, path))
            self.assertEqual(self.pid1.curl("/logs", "-H", f"Sec-Fetch-Site: {site}").status, 200)
        self.assertEqual(self.pid1.read("secret"), "")
        for site in "same-origin", "none":
            self.assertEqual(self.pid1.curl("/api/v1/actions/echo_test", "-H", f"Sec-Fetch-Site: {site}").status, 200)

    def test_an_unknown_action_is_400_and_runs_nothing(self):
        for name in "nothing", "echo_tes", "echo_test%00", "..", "ECHO_TEST", "a" * 300:
            r = self.pid1.curl(f"/api/v1/actions/{name}", "--path-as-is")
            self.assertEqual((r.status, r.body), (400, '{"code":400,"message":"Specified action not configured"}\n'), name)

    def test_names_with_slashes_are_no_route(self):
        for name in "", "echo_test/", "x/echo_test", "..%2fecho_test", "%2e%2e%2f":
            r = self.pid1.curl(f"/api/v1/actions/{name}", "--path-as-is")
            self.assertEqual((r.status, r.body), (404, "404 page not found\n"), name)

    def test_a_failed_action_is_500_and_says_how(self):
        r = self.pid1.curl("/api/v1/actions/fails")
        self.assertEqual((r.status, r.json()), (500, {
            "code": 500, "message": "Failed to execute action: fails - error: exit status 3"}))
        self.assertTrue(self.last("error executing action: fails").startswith(
            "[system-api] error executing action: fails - error: exit status 3 (stderr: no such <thing>)"))
        self.assertIn("[system-api] first", self.pid1.messages())

    def test_a_killed_action_and_a_missing_program_are_failures(self):
        self.assertEqual(self.pid1.curl("/api/v1/actions/dies").json()["message"],
                         "Failed to execute action: dies - error: signal: Killed")
        r = self.pid1.curl("/api/v1/actions/missing")
        self.assertEqual(r.status, 500)
        self.assertIn("/usr/bin/not-there", self.last("error executing action: missing"))

    def test_an_action_ends_at_its_deadline_with_all_that_it_started(self):
        r = self.pid1.curl("/api/v1/actions/hangs")
        self.assertEqual((r.status, r.json()["message"]), (500, "Failed to execute action: hangs - error: not done within 1 s"))
        hung = self.pid1.read("hung").strip()
        if self.pid1.cgroup:
            wait_for(lambda: self.pid1.inside("sh", "-c", f"kill -0 {hung}").returncode != 0, "what it started has ended")

    def test_an_action_has_the_user_directory_and_environment_of_boot_json(self):
        self.assertEqual(self.pid1.curl("/api/v1/actions/as_reth").status, 200)
        self.assertEqual(self.pid1.read("who"), "reth\n/tmp\nblue\n")

    def test_an_asynchronous_action_is_accepted_and_followed_by_its_id(self):
        r = self.pid1.curl("/api/v1/actions/waits?async=1", "-X", "POST")
        self.assertEqual((r.status, r.json()["message"]), (202, "Action accepted"))
        identity = r.json()["id"]
        of_it = [e for e in self.pid1.curl("/api/v1/events").json() if str(e.get("fields", {}).get("id")) == identity]
        self.assertEqual([e["fields"]["action"] for e in of_it], ["waits"])
        with open(self.pid1.path("gate"), "w", encoding="ascii") as gate:
            gate.write("go\n")

        def outcome():
            return [e["fields"]["result"] for e in self.pid1.curl("/api/v1/events").json()
                    if str(e.get("fields", {}).get("id")) == identity and "result" in e["fields"]]
        self.assertEqual(wait_for(outcome, "its end"), ["success"])

    def test_a_client_that_goes_away_does_not_end_the_action(self):
        with self.assertRaises(AssertionError):
            self.pid1.curl("/api/v1/actions/waits", "--max-time", "1")
        before = len([m for m in self.pid1.messages() if m.startswith("[system-api] executing action success: waits")])
        with open(self.pid1.path("gate"), "w", encoding="ascii") as gate:
            gate.write("go\n")
        wait_for(lambda: len([m for m in self.pid1.messages()
                              if m.startswith("[system-api] executing action success: waits")]) > before, "its end")

    def test_the_verbs_start_stop_and_restart_a_service(self):
        def state():
            return self.pid1.curl("/api/v1/status").json()["services"][0]["state"]
        wait_for(lambda: state() == "ready", "svc runs")
        starts = len(self.pid1.find("svc", "ready"))
        self.assertEqual(self.pid1.curl("/api/v1/actions/svc_restart").status, 200)
        self.pid1.wait("svc", "ready", count=starts + 1)
        self.assertEqual(self.pid1.curl("/api/v1/actions/svc_stop").status, 200)
        wait_for(lambda: state() == "stopped", "svc has stopped")
        self.assertEqual(self.pid1.curl("/api/v1/actions/svc_start").status, 200)
        wait_for(lambda: state() == "ready", "svc runs again")

    def test_what_the_image_allows_is_listed(self):
        listed = self.pid1.curl("/api/v1/actions").json()
        self.assertEqual([a["name"] for a in listed["actions"]], [a["name"] for a in ACTIONS])
        self.assertEqual([u["name"] for u in listed["file_uploads"]], ["blocklist", "nowhere"])

    def upload(self, name, content, *options):
        with open(self.pid1.path("body"), "wb") as f:
            f.write(content)
        return self.pid1.curl(f"/api/v1/file-upload/{name}", "--data-binary", "@/t/body", *options)

    def test_an_upload_is_the_file_and_overwrites_it(self):
        for content in b'{"a": 1}', b"\0\xff" * 70000, b"":
            r = self.upload("blocklist", content)
            self.assertEqual((r.status, r.body), (200, '{"message":"File uploaded successfully","file":"/t/list.json",'
                                                       f'"size_bytes":"{len(content)}"}}\n'))
            with open(self.pid1.path("list.json"), "rb") as f:
                self.assertEqual(f.read(), content)
            self.assertEqual(stat.S_IMODE(os.stat(self.pid1.path("list.json")).st_mode), 0o644)
            self.assertTrue(self.last("file upload success: blocklist").startswith(
                f"[system-api] file upload success: blocklist = /t/list.json - content: {len(content)} bytes"))
        self.assertTrue(self.last("file upload: blocklist").startswith("[system-api] file upload: blocklist = /t/list.json"))

    def test_an_upload_is_never_asynchronous(self):
        with open(self.pid1.path("body"), "wb") as f:
            f.write(b"x")
        self.assertEqual(self.pid1.curl("/api/v1/file-upload/blocklist?async=1", "--data-binary", "@/t/body").status, 200)

    def test_a_body_without_a_length_is_as_good(self):
        r = self.upload("blocklist", b"x" * 100000, "-H", "Transfer-Encoding: chunked")
        self.assertEqual((r.status, r.json()["size_bytes"]), (200, "100000"))

    def test_an_upload_over_its_limit_is_413_and_changes_nothing(self):
        self.upload("blocklist", b"before")
        for more in (), ("-H", "Transfer-Encoding: chunked"), ("-H", "Expect:"):
            r = self.upload("blocklist", b"x" * 200001, *more)
            self.assertEqual((r.status, r.json()["code"]), (413, 413), more)
            self.assertEqual(self.pid1.read("list.json"), "before")
        self.assertEqual([n for n in os.listdir(self.pid1.shared) if n.startswith(".")], [])

    def test_an_unknown_upload_is_400(self):
        for name in "nothing", "..", "blocklist%00":
            r = self.upload(name, b"x", "--path-as-is")
            self.assertEqual((r.status, r.body), (400, '{"code":400,"message":"Specified file upload not configured"}\n'), name)

    def test_an_upload_that_cannot_be_written_is_500_and_said(self):
        r = self.upload("nowhere", b"x")
        self.assertEqual((r.status, r.body), (500, '{"code":500,"message":"Failed to write content to file"}\n'))
        self.assertIn("No such file or directory", self.last("error uploading file: nowhere"))

    def test_a_link_in_the_place_of_an_upload_is_replaced_not_followed(self):
        victim = self.pid1.path("victim")
        with open(victim, "w", encoding="ascii") as f:
            f.write("mine")
        if os.path.lexists(self.pid1.path("list.json")):
            os.unlink(self.pid1.path("list.json"))
        os.symlink("/t/victim", self.pid1.path("list.json"))
        self.assertEqual(self.upload("blocklist", b"theirs").status, 200)
        self.assertEqual((self.pid1.read("victim"), self.pid1.read("list.json")), ("mine", "theirs"))

    def test_uploads_at_once_are_each_whole(self):
        sizes = [150000 + i for i in range(4)]
        for i, size in enumerate(sizes):
            with open(self.pid1.path(f"body{i}"), "wb") as f:
                f.write(bytes([65 + i]) * size)
        script = " & ".join(f"curl -sSk -o /dev/null -w '%{{http_code}}\\n' --data-binary @/t/body{i} "
                            f"{URL}/api/v1/file-upload/blocklist" for i in range(4)) + " & wait"
        codes = self.pid1.inside("sh", "-c", script, timeout=60).stdout.split()
        self.assertEqual(len(codes), 4)
        self.assertLessEqual(set(codes), {"200", "503"})
        content = self.pid1.read("list.json")
        self.assertIn((content[0], len(content)), [(chr(65 + i), size) for i, size in enumerate(sizes)])
        self.assertEqual(set(content), {content[0]})


class Overtaken(unittest.TestCase):
    """The role learns in one turn that an action has begun and that it is over."""

    def ask(self, path):
        api = Api()
        said = threading.Event()

        def act(kind, body):
            os.kill(api.process.pid, signal.SIGSTOP)
            said.set()
            return 5, b""

        api.act = act
        api.start()
        self.addCleanup(api.kill)
        got = []
        client = threading.Thread(target=lambda: got.append(api.request(path)))
        client.start()
        self.assertTrue(said.wait(10))
        time.sleep(0.2)         # the answer is in its socket, and then the end of the action
        api._wait_sent(api.add("executing action success: x", "system-api", fields=b"action=x\0id=5\0result=success\0"))
        os.kill(api.process.pid, signal.SIGCONT)
        client.join(10)
        return got[0].status, json.loads(got[0].body)

    def test_an_asynchronous_one_is_accepted_whatever_has_become_of_it(self):
        self.assertEqual(self.ask("/api/v1/actions/x?async=1"), (202, {"id": "5", "message": "Action accepted"}))

    def test_another_one_is_answered_with_its_end(self):
        self.assertEqual(self.ask("/api/v1/actions/x"), (200, {"message": "Action executed successfully"}))


class Full(unittest.TestCase):
    def test_an_upload_to_a_full_disk_is_500_and_leaves_the_file_as_it_was(self):
        uploads = [{"name": "small", "path": "/small/file"}]
        setup = stage("mount", "mkdir -p /small && mount -t tmpfs -o size=64k none /small && echo old > /small/file")
        with Machine(boot([setup], api=api(uploads=uploads, needs=["mount"], actions=[]))) as pid1:
            pid1.unlocked()
            with open(pid1.path("body"), "wb") as f:
                f.write(b"x" * 100000)
            r = pid1.curl("/api/v1/file-upload/small", "--data-binary", "@/t/body")
            self.assertEqual((r.status, r.json()["message"]), (500, "Failed to write content to file"))
            self.assertEqual(pid1.inside("ls", "-A", "/small").stdout.split(), ["file"])
            self.assertEqual(pid1.inside("cat", "/small/file").stdout, "old\n")
            self.assertTrue(pid1.find("system-api", "error uploading file: small", kind="message")[0].text.count("No space left"))


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
            event = pid1.wait("system-api", "password and TLS key: /t/secret: holds no hash", kind="message")
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
        event = pid1.wait("system-api", "goes on with the certificate of the disk", kind="message", count=count)
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
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
                            "/CN=mine", "-days", "9", "-keyout", f"{folder}/key.pem", "-out", f"{folder}/cert.pem"],
                           check=True, capture_output=True)
            files = {}
            for name in "key.pem", "cert.pem":
                with open(f"{folder}/{name}", encoding="ascii") as f:
                    files[name] = f.read()
        with Machine(files=files, **self.FILES) as pid1:
            told = self.from_disk(pid1)
            self.assertEqual(self.fingerprint(pid1), told)
            r = pid1.inside("sh", "-c", "openssl s_client -connect 127.0.0.1:3535 </dev/null 2>/dev/null | openssl x509 -subject")
            self.assertIn("mine", r.stdout)

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
            pid1.wait("system-api", "password and TLS key: /t/secret: holds no hash", kind="message", count=2, timeout=30)
            self.assertEqual(self.fingerprint(pid1), told)
            self.assertEqual(len(pid1.find("system-api", "goes on with the certificate of the disk", kind="message")), 1)
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


class Shutdown(unittest.TestCase):
    def end_by(self, verb):
        with Machine(boot([], api=api(actions=[{"name": "end", "verb": verb}]))) as pid1:
            pid1.unlocked()
            # From outside: what runs inside is killed by the shutdown, the test's curl too.
            self.assertEqual(ask(pid1, "/api/v1/actions/end").status, 200)
            pid1.wait("gantry", f"{verb[1:]} requested by system-api: end", kind="message")
            # The answer has time to get out before a service stops that the network hangs on.
            success = pid1.wait("system-api", "executing action success: end", kind="message")
            self.assertGreater(pid1.wait("gantry", "stopping").time - success.time, 0.25)
            return pid1.end()

    def test_reboot_is_an_action(self):
        self.assertEqual(self.end_by("@reboot"), "reboot")

    def test_poweroff_and_halt_are_actions(self):
        self.assertEqual(self.end_by("@poweroff"), "poweroff")
        self.assertEqual(self.end_by("@halt"), "poweroff")      # of a namespace the kernel makes no difference


if __name__ == "__main__":
    unittest.main()
