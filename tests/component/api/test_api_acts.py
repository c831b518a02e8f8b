# SPDX-License-Identifier: GPL-2.0-or-later
"""What changes the machine over the System API, with the real PID 1: actions and uploads. The older System API's contract is
tested statement by statement."""

import json
import os
import signal
import stat
import threading
import time
import unittest

from fake_control import wait_for
from machine import ACTIONS, URL, Machine, api
from pid1 import boot, service, stage
from test_api import Api
from within import ask


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

    def test_a_client_that_acts_without_a_pause_is_held_to_a_limit(self):
        pid1 = Machine(boot([], [service("svc")], api=api(), events={"ring": 5000})).unlocked()
        self.addCleanup(pid1.__exit__, None)
        codes = pid1.inside("curl", "-sk", "-w", "%{http_code} ", "-o", "/dev/null",
                            URL + "/api/v1/actions/echo_test?n=[1-150]", timeout=60).stdout.split()
        done = codes.count("200")
        self.assertEqual(set(codes), {"200", "429"})
        self.assertEqual(codes[:64], ["200"] * 64)
        self.assertLess(done, 130)
        self.assertEqual(len(pid1.read("echoed").splitlines()), done)
        r = pid1.curl("/api/v1/actions/echo_test")
        if r.status == 429:
            self.assertEqual(r.body, '{"code":429,"message":"Too many operations, try again later"}\n')
        wait_for(lambda: pid1.curl("/api/v1/actions/echo_test").status == 200, "an act after a while")

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


class Links(unittest.TestCase):
    """What a service puts in the path of a file that the API stores."""

    def test_an_upload_and_a_password_behind_a_link_that_is_not_root_s_are_refused(self):
        swap = "mv /t/app/conf /t/app/old && ln -s /opt /t/app/conf; touch /t/swapped; exec sleep 1000"
        setup = stage("setup", "mkdir -p /t/app/conf && chown -R 1001:1001 /t/app && chmod 777 /t")
        app = service("app", swap, user="reth", enabled=False, ready={"path": "/t/swapped"})
        options = api(uploads=[{"name": "list", "path": "/t/app/conf/gantryctl"}], password_file="/t/app/conf/poweroff",
                      needs=["setup"], actions=[])
        with Machine(boot([setup], [app], api=options)) as pid1:
            pid1.unlocked()
            pid1.write("body", "text")
            upload = ("/api/v1/file-upload/list", "--data-binary", "@/t/body")
            self.assertEqual(pid1.curl(*upload).status, 200)
            self.assertEqual(pid1.read("app/conf/gantryctl"), "text")
            self.assertEqual(pid1.ctl("start", "app").returncode, 0)
            pid1.wait("app", "ready")
            before = pid1.inside("ls", "-l", "/opt").stdout
            self.assertEqual(pid1.curl(*upload).status, 500)
            self.assertEqual(pid1.curl("/api/v1/set-basic-auth", "-d", "x").status, 500)
            self.assertEqual(pid1.inside("ls", "-lA", "/opt").stdout, before)
            said = pid1.find("system-api", "error uploading file: list", kind="message")[0].text
            self.assertIn("a symbolic link in the path that is not root's alone", said)


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
