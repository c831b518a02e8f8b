# SPDX-License-Identifier: GPL-2.0-or-later
"""The older System API's configuration becomes ours, or is refused with its place; as the image build calls it."""

import contextlib
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
sys.path.insert(0, TOP)
from qemu import import_systemapi  # noqa: E402

INIT = os.environ.get("GANTRY_INIT", os.path.join(TOP, "build", "init"))

# The sample that comes with the older server, in our own words.
SAMPLE = """
[general]
listen_addr = "0.0.0.0:3535"
pipe_file = "pipe.fifo"
pprof = true
log_json = false
log_debug = true
log_max_entries = 1234
basic_auth_secret_path = "basic-auth-secret.txt"
basic_auth_secret_salt = "1_drink_coffee:|"
http_read_timeout_ms = 2500
http_write_timeout_ms = 0
tls_enabled = true
tls_create_if_missing = true
tls_cert_hosts = ["127.0.0.1", "localhost"]
tls_cert_path = "cert.pem"
tls_key_path = "key.pem"

[actions]
# reboot = "reboot"
echo_test = "echo test"

[file_uploads]
testfile = "/tmp/testfile.txt"
"""

# As BuilderNet's, which is rendered from the hub's document on the machine.
TEMPLATE = """[general]
listen_addr = "0.0.0.0:3535"
pipe_file = "/var/volatile/system-api.fifo"
basic_auth_secret_path = "/persistent/system-api/basic-auth-hash"
tls_enabled = true
tls_create_if_missing = true
tls_cert_hosts = ["127.0.0.1","localhost","{{public_ip}}","{{dns_name}}"]
tls_cert_path = "/persistent/system-api/cert.pem"
tls_key_path = "/persistent/system-api/key.pem"

[actions]
reboot = "reboot"
rbuilder_restart = "/etc/init.d/rbuilder restart"
fetch_config = "/etc/init.d/fetch-config start"

[file_uploads]
rbuilder_blocklist = "/persistent/rbuilder/rbuilder.blocklist.json"
"""

BOOT = {"hostname": "node-1", "events": {"ring": 3000, "rate_per_s": 7}, "api": {"before_unlock": "nothing"},
        "stages": [{"name": "config", "type": "config", "options": {"url": "https://hub.example/", "ca": "/hub"}},
                   {"name": "files", "type": "render", "needs": ["config"],
                    "options": {"files": [{"template": "/etc/a.mustache", "path": "/etc/a"}]}},
                   {"name": "data", "type": "disk", "options": {"lun": 10}}],
        "services": [{"name": "rbuilder", "command": ["/bin/rbuilder"]}]}

ENTRY = {"template": "/etc/gantry/templates/tls-hosts.mustache", "path": "/run/gantry/rendered/tls-hosts", "mode": "0644"}


def general(lines):
    return "[general]\n" + lines + "\n"


class ImportTest(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def path(self, name, content=None):
        path = os.path.join(self.folder, name)
        if content is not None:
            with open(path, "wb" if isinstance(content, bytes) else "w") as file:
                file.write(content)
        return path

    def run_on(self, text, *options, init=INIT):
        path = self.path("systemapi-config.toml", text)
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), mock.patch.object(import_systemapi, "INIT", init):
            try:
                status = import_systemapi.main([path, *options])
            except SystemExit as end:
                status = end.code
        return subprocess.CompletedProcess([], status, out.getvalue(), err.getvalue())

    def imported(self, text, *options, **more):
        """(the object, the notes)"""
        r = self.run_on(text, *options, **more)
        self.assertEqual(r.returncode, 0, r.stderr)
        return json.loads(r.stdout), r.stderr

    def refused(self, text, *options, **more):
        r = self.run_on(text, *options, **more)
        self.assertEqual((r.returncode, r.stdout), (1, ""), r.stderr)
        self.assertEqual(r.stderr.count("\n"), 1, r.stderr)
        return r.stderr.strip().replace(self.folder + "/", "").removeprefix("systemapi-config.toml:")

    def boot(self, **changes):
        return self.path("boot.json", "// a comment\n" + json.dumps(BOOT | changes))

    # What the older server's own tests state: TestLoadConfig and TestEmptyConfig.

    def test_the_sample_is_read(self):
        found, notes = self.imported(SAMPLE, "--relative-to", "/persistent/system-api")
        self.assertEqual(found, {
            "api": {
                "listen": "0.0.0.0:3535", "tls_hosts": ["127.0.0.1", "localhost"],
                "tls_certificate": "/persistent/system-api/cert.pem", "tls_key": "/persistent/system-api/key.pem",
                "tls_create": True, "password_file": "/persistent/system-api/basic-auth-secret.txt",
                "password_salt": "1_drink_coffee:|", "password_hash": "sha256",
                "actions": [{"name": "echo_test", "command": ["/bin/sh", "-c", "echo test"]}],
                "uploads": [{"name": "testfile", "path": "/tmp/testfile.txt"}]},
            "events": {"ring": 1234, "fifo": "/persistent/system-api/pipe.fifo"}})
        for key in ("pprof", "log_json", "log_debug", "http_read_timeout_ms", "http_write_timeout_ms"):
            self.assertRegex(notes, rf"(?m)^note: general\.{key}: has no effect: ")
        self.assertIn("note: general.tls_cert_path: is /persistent/system-api/cert.pem\n", notes)

    def test_an_empty_file_is_valid_and_has_the_older_default_of_events(self):
        for text in ("", "\n# nothing\n", "[general]\n[actions]\n[file_uploads]\n"):
            found, notes = self.imported(text)
            self.assertEqual(found, {"api": {}, "events": {"ring": 1000}})
            self.assertIn("Gantry always uses TLS", notes)
            self.assertIn("events.ring is 1000", notes)

    def test_empty_values_are_as_absent_ones(self):
        found, _ = self.imported(general('listen_addr = ""\npipe_file = ""\ntls_cert_path = ""\ntls_key_path = ""\n'
                                         'tls_cert_hosts = []\nbasic_auth_secret_path = ""\nlog_max_entries = 0'))
        self.assertEqual(found, {"api": {}, "events": {"ring": 1000}})

    def test_a_certificate_that_is_not_to_be_made_is_not(self):
        paths = 'tls_cert_path = "/c.pem"\ntls_key_path = "/k.pem"\n'
        for create in ("", "tls_create_if_missing = false\n"):
            found, _ = self.imported(general("tls_enabled = true\n" + paths + create))
            self.assertEqual(found["api"], {"tls_certificate": "/c.pem", "tls_key": "/k.pem", "tls_create": False})

    def test_a_listener_without_a_numeric_address_gets_one(self):
        for given, meant in ((":3535", "0.0.0.0:3535"), ("localhost:80", "127.0.0.1:80"), ("[::1]:80", "[::1]:80")):
            found, notes = self.imported(general(f'listen_addr = "{given}"'))
            self.assertEqual(found["api"]["listen"], meant)
            self.assertEqual("must be numeric" in notes, given != meant)

    def test_few_entries_become_the_least(self):
        found, notes = self.imported(general("log_max_entries = 5"))
        self.assertEqual(found["events"], {"ring": 16})
        self.assertIn("the minimum", notes)

    # Actions

    def test_a_command_goes_to_the_shell_that_is_asked_for(self):
        found, _ = self.imported('[actions]\na = "x | y"', "--shell", "/bin/ash")
        self.assertEqual(found["api"]["actions"], [{"name": "a", "command": ["/bin/ash", "-c", "x | y"]}])
        self.assertEqual(self.run_on("", "--shell", "ash").returncode, 2)

    def test_what_a_verb_does_becomes_the_verb(self):
        boot = self.boot()
        for command, verb in (
                ("reboot", "@reboot"), ("/sbin/reboot", "@reboot"), ("poweroff", "@poweroff"), ("/sbin/halt", "@halt"),
                ("sudo systemctl --no-pager --no-ask-password reboot", "@reboot"), ("systemctl poweroff", "@poweroff"),
                ("/etc/init.d/rbuilder restart", "@restart rbuilder"), ("service rbuilder stop", "@stop rbuilder"),
                ("systemctl start rbuilder.service", "@start rbuilder"),
                ("sudo systemctl --no-pager --no-ask-password restart rbuilder", "@restart rbuilder"),
                ("reboot -f", None), (" reboot", None), ("reboot; true", None), ("/usr/bin/reboot", None), ("Reboot", None),
                ("/etc/init.d/rbuilder status", None), ("/etc/init.d/rbuilder restart now", None),
                ("/etc/init.d/../rbuilder restart", None), ("systemctl restart rbuilder reth", None),
                ("systemctl daemon-reload", None),
                ("/etc/init.d/other restart", None), ("service other stop", None), ("systemctl start other", None)):
            text = f'[actions]\na = "{command}"'
            with self.subTest(command=command):
                # without build/init: it does not know the keys of actions in every version
                found, notes = self.imported(text, "--boot", boot, init="/nonexistent")
                self.assertEqual(found["api"]["actions"], [
                    {"name": "a", **({"verb": verb} if verb else {"command": ["/bin/sh", "-c", command]})}])
                self.assertEqual(f"actions.a: {command!r} becomes {verb!r}" in notes, verb is not None)
        _, notes = self.imported('[actions]\na = "/etc/init.d/other restart"', "--boot", boot, init="/nonexistent")
        self.assertIn("it would become '@restart other' if boot.json had the service 'other'", notes)
        found, _ = self.imported('[actions]\na = "/etc/init.d/rbuilder restart"')
        self.assertIn("command", found["api"]["actions"][0])

    # Errors: file, line, key, reason

    def test_every_error_names_line_and_key(self):
        paths = 'tls_cert_path = "/c.pem"\n'
        for text, error in (
                ("[general\n", "1: is not TOML: Expected ']' at the end of a table declaration"),
                ("[general]\nlisten_addr =\n", "2: is not TOML: Invalid value"),
                ('[general]\npprof = "', "2: is not TOML: Unterminated string"),
                (general("pprof = true\npprof = true"), "3: is not TOML: Cannot overwrite a value"),
                ("[genral]\n", "1: genral: no such table; did you mean 'general'?"),
                ("[actions]\n[frobnicate]\n", "2: frobnicate: no such table"),
                ("general = 1\n", "1: general: must be a table"),
                ('[general]\npprof = true\nlisten_adr = ":1"', "3: general.listen_adr: no such key; did you mean 'listen_addr'?"),
                (general("zzz = 1"), "2: general.zzz: no such key"),
                (general("listen_addr = 3535"), "2: general.listen_addr: must be a string"),
                (general("pprof = 1"), "2: general.pprof: must be a boolean"),
                (general("log_max_entries = true"), "2: general.log_max_entries: must be an integer"),
                (general("log_max_entries = 1.5"), "2: general.log_max_entries: must be an integer"),
                (general("log_max_entries = -1"), "2: general.log_max_entries: must not be negative"),
                (general("log_max_entries = 100001"), "2: general.log_max_entries: at most 100000"),
                (general('tls_cert_hosts = "x"'), "2: general.tls_cert_hosts: must be a list of strings"),
                (general("tls_cert_hosts = [1]"), "2: general.tls_cert_hosts: must be a list of strings"),
                (general('tls_cert_hosts = ["a b"]'), "2: general.tls_cert_hosts: 'a b' is not a host name or address"),
                (general('tls_cert_hosts = ["*.x"]'), "2: general.tls_cert_hosts: '*.x' is not a host name or address"),
                (general(f'tls_cert_hosts = ["{"a" * 64}"]'),
                 f"2: general.tls_cert_hosts: {'a' * 64!r} is not a host name or address"),
                (general('tls_cert_hosts = ["::g"]'), "2: general.tls_cert_hosts: '::g' is not a host name or address"),
                (general(f"tls_cert_hosts = {['x'] * 17}"), "2: general.tls_cert_hosts: at most 16 names"),
                (general('listen_addr = "0.0.0.0"'), "2: general.listen_addr: '0.0.0.0' has no port from 1 to 65535"),
                (general('listen_addr = "0.0.0.0:0"'), "2: general.listen_addr: '0.0.0.0:0' has no port from 1 to 65535"),
                (general('listen_addr = "node:80"'), "2: general.listen_addr: 'node' is not a numeric address"),
                (general('listen_addr = "::1:80"'), "2: general.listen_addr: '::1' is not a numeric address"),
                (general('listen_addr = "[::1:80"'), "2: general.listen_addr: '[::1' is not a numeric address"),
                (general("tls_enabled = false"),
                 "2: general.tls_enabled: Gantry always uses TLS; remove this key and let clients use https"),
                (general(paths), "2: general.tls_cert_path: needs tls_key_path too: both or none"),
                (general('\ntls_key_path = "/k.pem"'), "3: general.tls_key_path: needs tls_cert_path too: both or none"),
                (general("tls_create_if_missing = false"),
                 "2: general.tls_create_if_missing: needs tls_cert_path and tls_key_path"),
                (general('pipe_file = "a.fifo"'),
                 "2: general.pipe_file: 'a.fifo' is not an absolute path; give its base folder with --relative-to"),
                (general('pipe_file = "/a/../b"'), "2: general.pipe_file: '/a/../b' contains \".\", \"..\", // or a final /"),
                (general('basic_auth_secret_path = "//a"'),
                 "2: general.basic_auth_secret_path: '//a' contains \".\", \"..\", // or a final /"),
                ('[file_uploads]\nx = "/tmp/"', "2: file_uploads.x: '/tmp/' contains \".\", \"..\", // or a final /"),
                ("[file_uploads]\nx = 1", "2: file_uploads.x: must be a string"),
                ('[general]\n[actions]\n"a b" = "x"', "3: actions.a b: a name consists of at most 63 letters, digits, - and _"),
                ('[actions]\na = ["reboot"]', "2: actions.a: must be a string"),
                ('[actions]\na = ""', "2: actions.a: must not be empty"),
                ('[actions]\na = "\\u0000"', "2: actions.a: must not contain NUL"),
                (b"[general]\n# \xff", " is not UTF-8")):
            with self.subTest(text=text):
                self.assertEqual(self.refused(text), error)

    def test_the_line_is_that_of_the_right_table(self):
        self.assertEqual(self.refused('[actions]\npprof = "x"\n\n[general]\npprof = 1\n'), "5: general.pprof: must be a boolean")

    def test_the_program_itself_says_the_same(self):
        path = self.path("x.toml", "[general]\npprof = 1\n")
        r = subprocess.run([sys.executable, os.path.join(TOP, "qemu", "import_systemapi.py"), path], cwd=self.folder,
                           capture_output=True, text=True, timeout=60)
        self.assertEqual((r.returncode, r.stdout, r.stderr), (1, "", f"{path}:2: general.pprof: must be a boolean\n"))

    def test_a_file_that_is_not_there_is_named(self):
        with contextlib.redirect_stderr(io.StringIO()) as err:
            self.assertEqual(import_systemapi.main(["/nonexistent"]), 1)
        self.assertEqual(err.getvalue(), "/nonexistent: No such file or directory\n")

    # Mustache

    def template(self, hosts):
        text = general(f"tls_enabled = true\ntls_cert_hosts = {hosts}\npprof = false")
        found, notes = self.imported(text, "--root", self.folder)
        with open(self.path("etc/gantry/templates/tls-hosts.mustache"), encoding="utf-8") as file:
            return found, notes, file.read()

    def test_names_that_the_hub_gives_become_a_template_and_an_entry_of_render(self):
        found, notes, template = self.template('["127.0.0.1","localhost","{{public_ip}}","node.{{{dns_name}}}"]')
        self.assertEqual(template, "127.0.0.1\nlocalhost\n{{public_ip}}\nnode.{{{dns_name}}}\n")
        self.assertEqual(found["api"], {"tls_hosts_file": "/run/gantry/rendered/tls-hosts"})
        self.assertIn("a stage of type render needs this entry in its files: " + json.dumps(ENTRY), notes)

    def test_sections_in_the_list_stay_sections(self):
        _, _, template = self.template("[ # names\n  'localhost',\n  {{#api.hosts}}\n  \"{{.}}\", # each\n  {{/api.hosts}}\n"
                                       "  {{! none }}{{^api.hosts}}\"{{dns_name}}\"{{/api.hosts}}\n]")
        self.assertEqual(template, "localhost\n{{#api.hosts}}\n{{.}}\n{{/api.hosts}}\n"
                                   "{{^api.hosts}}\n{{dns_name}}\n{{/api.hosts}}\n")

    def test_a_list_without_tags_needs_no_template(self):
        found, _ = self.imported(general('tls_enabled = true\ntls_cert_hosts = ["a"]'), "--root", self.folder)
        self.assertEqual(found["api"], {"tls_hosts": ["a"]})
        self.assertFalse(os.path.exists(self.path("etc")))

    def test_names_as_machines_have_them(self):
        names = ["builder." + "a" * 60 + ".germanywestcentral.cloudapp.azure.com", "*.example.org", "2001:db8::1", "10.0.0.1",
                 "a_b"]
        found, notes = self.imported(general(f'tls_enabled = true\ntls_cert_hosts = {json.dumps(names + [""])}'))
        self.assertEqual(found["api"], {"tls_hosts": names})
        self.assertIn("general.tls_cert_hosts: an empty name is left out", notes)
        found, notes = self.imported(general('tls_enabled = true\ntls_cert_hosts = [""]'))
        self.assertNotIn("tls_hosts", found.get("api", {}))
        _, _, template = self.template('["{{public_ip}}", "", "*.{{domain}}"]')
        self.assertEqual(template, "{{public_ip}}\n*.{{domain}}\n")

    def test_a_tag_anywhere_else_is_refused_with_its_line(self):
        elsewhere = ": a mustache tag: only general.tls_cert_hosts may depend on the hub's document; all other keys decide " \
                    "what the machine does and are measured"
        hosts = 'tls_cert_hosts = ["{{a}}",\n"{{b}}"]\n'
        for text, line in (("{{#a}}\n[general]\n{{/a}}", 1), (general('pipe_file = "/{{a}}"'), 2), (general("# {{a}}"), 2),
                           (general(hosts + 'tls_key_path = "{{k}}"'), 4), (general(hosts) + '[actions]\na = "{{{cmd}}}"', 6),
                           (general(hosts) + "{{>actions}}", 5), (general(hosts) + '[actions]\n{{name}} = "x"', 6),
                           (general("pprof = {{pprof}}"), 2)):
            with self.subTest(text=text):
                self.assertEqual(self.refused(text, "--root", self.folder), f"{line}{elsewhere}")
        self.assertFalse(os.path.exists(self.path("etc")))

    def test_a_list_of_names_that_is_no_list_with_tags_is_refused(self):
        for value, line, error in (
                ('["{{>a}}"]', 2, "{{>a}}: partials and changed delimiters are not supported"),
                ('["{{=<% %>=}}"]', 2, "{{=<% %>=}}: partials and changed delimiters are not supported"),
                ('["{{a b}}"]', 2, "{{a b}}: is not a mustache tag"), ('["{{}}"]', 2, "{{}}: is not a mustache tag"),
                ('["x",\n{{#a}} "{{.}}"]', 3, "the section 'a' is not closed"),
                ('["x",\n{{/a}}]', 3, "{{/a}}: closes a section that is not open"),
                ('[{{#a}}{{#b}}{{/a}}{{/b}}]', 2, "{{/a}}: closes a section that is not open"),
                ('["{{a"]', 2, "'{{a' is not a host name or address"),
                ('["{{a}}", "b c"]', 2, "'b c' is not a host name or address"),
                ('["{{a}}\\n"]', 2, r"'{{a}}\n' is not a host name or address"),
                ('["{{a}}", 1]', 2, "must be a list of strings"), ('["{{a}}"', 3, "must be a list of strings")):
            with self.subTest(value=value):
                self.assertEqual(self.refused(general(f"tls_cert_hosts = {value}"), "--root", self.folder),
                                 f"{line}: general.tls_cert_hosts: {error}")

    def test_a_template_needs_a_place(self):
        self.assertEqual(self.refused(TEMPLATE), "7: general.tls_cert_hosts: has mustache tags: give --root, the image's root "
                                                 "folder, for /etc/gantry/templates/tls-hosts.mustache")

    # boot.json

    def test_boot_json_gets_what_is_imported_and_keeps_the_rest(self):
        found, notes = self.imported(TEMPLATE, "--boot", self.boot(), "--root", self.folder, init="/nonexistent")
        self.assertEqual(found["events"], {"ring": 1000, "rate_per_s": 7, "fifo": "/var/volatile/system-api.fifo"})
        self.assertEqual(found["api"]["before_unlock"], "nothing")
        self.assertEqual(found["api"]["needs"], ["data"])
        self.assertEqual(found["api"]["actions"], [
            {"name": "reboot", "verb": "@reboot"}, {"name": "rbuilder_restart", "verb": "@restart rbuilder"},
            {"name": "fetch_config", "command": ["/bin/sh", "-c", "/etc/init.d/fetch-config start"]}])
        self.assertEqual(found["stages"][1]["options"]["files"],
                         [{"template": "/etc/a.mustache", "path": "/etc/a"}, ENTRY])
        self.assertEqual((found["hostname"], found["services"], found["stages"][::2]),
                         (BOOT["hostname"], BOOT["services"], BOOT["stages"][::2]))
        self.assertIn("the stage 'files' renders", notes)
        self.assertIn("boot.json: not checked: /nonexistent does not exist", notes)

    def test_fetching_the_configuration_is_a_verb_if_there_is_a_refresh(self):
        for command in ("/etc/init.d/fetch-config start", "service fetch-config restart", "systemctl start fetch-config.service"):
            text = f'[actions]\nfetch_config = "{command}"\n'
            found, notes = self.imported(text, "--boot", self.boot(refresh={"stage": "config"}), init="/nonexistent")
            self.assertEqual(found["api"]["actions"], [{"name": "fetch_config", "verb": "@refresh-config"}])
            found, notes = self.imported(text, "--boot", self.boot(), init="/nonexistent")
            self.assertEqual(found["api"]["actions"], [{"name": "fetch_config", "command": ["/bin/sh", "-c", command]}])
            self.assertIn("would become '@refresh-config' if boot.json had a 'refresh'", notes)

    def test_without_one_render_stage_its_entry_is_only_said(self):
        boot = self.boot(stages=BOOT["stages"][::2])
        found, notes = self.imported(TEMPLATE, "--boot", boot, "--root", self.folder, init="/nonexistent")
        self.assertEqual(found["stages"], BOOT["stages"][::2])
        self.assertIn("a stage of type render needs this entry", notes)

    def test_a_second_import_changes_nothing(self):
        first = self.run_on(TEMPLATE, "--boot", self.boot(), "--root", self.folder, init="/nonexistent")
        again = self.run_on(TEMPLATE, "--boot", self.path("again.json", first.stdout), "--root", self.folder, init="/nonexistent")
        self.assertEqual(first.stdout, again.stdout)

    def test_a_boot_json_that_is_none_is_refused(self):
        for text, error in (("{", r"boot\.json: is not JSON: .*"), ("[]", r"boot\.json: is not a boot\.json"),
                            ('{"api": 1}', r"boot\.json: is not a boot\.json"),
                            ('{"api": {}, "api": {}}', r"boot\.json: is not JSON: 'api' is given twice")):
            self.assertRegex(self.refused("", "--boot", self.path("boot.json", text)), error + "$")
        self.assertEqual(self.refused("", "--boot", self.path("not-there")), "not-there: No such file or directory")

    @unittest.skipUnless(os.path.exists(INIT), "no build/init")
    def test_gantryctl_has_the_last_word(self):
        text = general('listen_addr = ":3535"\npipe_file = "/run/gantry/fifo"\ntls_cert_hosts = ["a"]')
        found, notes = self.imported(text, "--boot", self.boot())
        self.assertEqual(found["api"]["listen"], "0.0.0.0:3535")
        self.assertNotIn("not checked", notes)
        error = self.refused(text, "--boot", self.boot(hostnam="x"))
        self.assertRegex(error, r'^gantryctl check refuses the merged boot\.json: boot\.json:\d+: .*hostnam')

    @unittest.skipUnless(os.path.exists(INIT), "no build/init")
    def test_all_that_can_be_imported_is_accepted_by_gantryctl(self):
        keys = subprocess.run(["gantryctl", "check", "--keys"], executable=INIT, capture_output=True, text=True, timeout=60)
        if not re.search(r"^api\.actions", keys.stdout, re.M):
            self.skipTest("this build knows no actions")
        _, notes = self.imported(TEMPLATE, "--boot", self.boot(), "--root", self.folder)
        self.assertNotIn("not checked", notes)
        self.imported(SAMPLE, "--relative-to", "/persistent/system-api", "--boot", self.boot())


if __name__ == "__main__":
    unittest.main()
