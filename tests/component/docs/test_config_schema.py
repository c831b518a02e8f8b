# SPDX-License-Identifier: GPL-2.0-or-later
"""docs/boot.schema.json and docs/configuration.md say what the program itself says by `gantryctl check --keys`."""

import copy
import json
import os
import re
import subprocess
import tempfile
import unittest

REPO = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
INIT = os.environ.get("GANTRY_INIT", os.path.join(REPO, "build", "init"))
IMAGE = os.path.join(REPO, "qemu", "images", "test", "boot.json")


def text_of(*path):
    with open(os.path.join(REPO, *path), encoding="utf-8") as f:
        return f.read()


def gantryctl(*arguments):
    return subprocess.run(["gantryctl", *arguments], executable=INIT, capture_output=True, text=True, check=False)


def without_comments(text):
    """JSON with its comments made blank; strings stay as they are."""
    return re.sub(r'"(?:[^"\\]|\\.)*"|//[^\n]*|/\*.*?\*/', lambda m: m[0] if m[0][0] == '"' else " ", text, flags=re.S)


class Schema:
    """Enough of JSON Schema 2020-12 for this one schema; a keyword it does not know is an error."""

    ANNOTATIONS = {"$schema", "$defs", "title", "description", "default"}
    TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int, "number": (int, float)}

    def __init__(self, root):
        self.root = root

    def resolve(self, schema):
        return self.root["$defs"][schema["$ref"].removeprefix("#/$defs/")] if "$ref" in schema else schema

    def fits(self, value, schema=None):
        schema = self.root if schema is None else schema
        return all(getattr(self, "check_" + key.replace("$", ""))(value, rule, schema)
                   for key, rule in schema.items() if key not in self.ANNOTATIONS)

    def check_ref(self, value, _rule, schema):
        return self.fits(value, self.resolve(schema))

    def check_type(self, value, rule, _schema):
        return isinstance(value, self.TYPES[rule]) and (rule == "boolean" or not isinstance(value, bool))

    def check_const(self, value, rule, _schema):
        return value == rule and isinstance(value, type(rule))

    def check_enum(self, value, rule, _schema):
        return value in rule

    def check_pattern(self, value, rule, _schema):
        return not isinstance(value, str) or re.search(rule, value) is not None

    def check_minimum(self, value, rule, _schema):
        return not isinstance(value, (int, float)) or value >= rule

    def check_maximum(self, value, rule, _schema):
        return not isinstance(value, (int, float)) or value <= rule

    def check_minLength(self, value, rule, _schema):
        return not isinstance(value, str) or len(value) >= rule

    def check_maxLength(self, value, rule, _schema):
        return not isinstance(value, str) or len(value) <= rule

    def check_minItems(self, value, rule, _schema):
        return not isinstance(value, list) or len(value) >= rule

    def check_maxItems(self, value, rule, _schema):
        return not isinstance(value, list) or len(value) <= rule

    def check_items(self, value, rule, _schema):
        return not isinstance(value, list) or all(self.fits(item, rule) for item in value)

    def check_required(self, value, rule, _schema):
        return not isinstance(value, dict) or all(key in value for key in rule)

    def check_properties(self, value, rule, _schema):
        return not isinstance(value, dict) or all(self.fits(value[key], rule[key]) for key in rule if key in value)

    def check_propertyNames(self, value, rule, _schema):
        return not isinstance(value, dict) or all(self.fits(key, rule) for key in value)

    def check_additionalProperties(self, value, rule, schema):
        others = set(value) - set(schema.get("properties", {})) if isinstance(value, dict) else ()
        return all(rule is not False and self.fits(value[key], rule) for key in others)

    def check_oneOf(self, value, rule, _schema):
        return sum(self.fits(value, one) for one in rule) == 1

    def check_allOf(self, value, rule, _schema):
        return all(self.fits(value, one) for one in rule)

    def check_not(self, value, rule, _schema):
        return not self.fits(value, rule)

    def check_if(self, value, rule, schema):
        return not self.fits(value, rule) or self.fits(value, schema["then"])

    def check_then(self, _value, _rule, _schema):
        return True     # done by `if`


class Rows:
    """The schema as `gantryctl check --keys` would print it: {path: (type, bounds, default, values, flags)}."""

    def __init__(self, schema):
        self.schema, self.found = schema, {}
        self.members("", schema.root)
        for name, options in schema.root["$defs"].items():
            if name.startswith("options-"):
                path = f"stages[].options({name.removeprefix('options-')})"
                self.found[path] = ("object", "-", "-", "-")
                self.members(path + ".", options)

    def members(self, prefix, schema):
        one_of = [rule["required"][0] for rule in schema.get("oneOf", [])]
        for name, member in schema["properties"].items():
            flags = "required" if name in schema.get("required", []) else "one of" if name in one_of else "-"
            self.member(prefix + name, member, flags)

    def values(self, schema):
        if "$ref" in schema:
            return schema["$ref"].removeprefix("#/$defs/")
        return "|".join(schema["enum"]) if "enum" in schema else "-"

    def member(self, path, schema, flags):
        kind, values = "boolean" if "const" in schema else schema.get("type", "string"), self.values(schema)
        low, high = schema.get("minimum"), schema.get("maximum")
        if kind == "string":
            low, high = schema.get("minLength", 0), schema.get("maxLength")
        elif kind == "array":
            items = schema["items"]
            kind = {"integer": "integers", "object": "objects"}.get(items.get("type"), "strings")
            low, high = schema.get("minItems", 0), schema.get("maxItems")
            if kind == "integers":
                low, high = items["minimum"], items["maximum"]
            values = self.values(items)
        elif kind == "object" and "propertyNames" in schema:
            values = self.values(schema["propertyNames"])
            kind = "strings by name" if "$ref" in schema["propertyNames"] else "limits by name"
        bounds = "-" if high is None else f"{low}..{high}"
        self.found[path] = (kind, bounds, values, flags)
        if kind == "object" and "properties" in schema:
            self.members(path + ".", schema)
        elif kind == "objects":
            self.members(path + "[].", schema["items"])


@unittest.skipUnless(os.path.exists(INIT), "no build/init")
class SchemaTest(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.schema = Schema(json.loads(text_of("docs", "boot.schema.json")))
        printed = gantryctl("check", "--keys")
        self.assertEqual(printed.returncode, 0, printed.stderr)
        self.rows = [line.split("\t") for line in printed.stdout.splitlines()]
        self.image = json.loads(without_comments(text_of("qemu", "images", "test", "boot.json")))

    def accepted(self, config):
        """(by the program, by the schema)"""
        with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as f:
            json.dump(config, f)
            f.flush()
            checked = gantryctl("check", f.name)
        return checked.returncode == 0, self.schema.fits(config), checked.stderr

    def test_schema_has_exactly_the_keys_types_and_bounds_of_the_program(self):
        types = "|".join(re.findall(r"options\((\w+)\)$", "\n".join(row[0] for row in self.rows), re.M))
        program = {}
        for path, kind, bounds, _, values, flags in self.rows:
            if path == "stages[].type":
                values = types
            if path == "stages[].options":
                kind = "object"
            program[path] = (kind, bounds, values, flags)
        schema = Rows(self.schema).found
        self.assertEqual(sorted(program.items() - schema.items()), [], "not in the schema")
        self.assertEqual(sorted(schema.items() - program.items()), [], "not in the program")

    def test_schema_has_the_defaults_of_the_program(self):
        for path, kind, _, default, _, _ in self.rows:
            # a default in words, or one that depends on another key
            if path.endswith(")") or default == "-" or path == "services[].group" or re.search(
                    r"\.(before_start|when_ready)\[\]\.(user|group|mode)$", path):
                continue
            schema = self.schema.root
            options = re.match(r"stages\[\]\.options\((\w+)\)\.(.*)", path)
            if options:
                schema = schema["$defs"]["options-" + options[1]]
            for part in (options[2] if options else path).split("."):
                schema = schema["properties"][part.removesuffix("[]")]
                schema = schema["items"] if part.endswith("[]") else schema
            expected = default if kind == "string" else json.loads(default)
            with self.subTest(path=path):
                self.assertEqual(schema["default"], expected)

    def test_each_option_is_tied_to_its_stage_type(self):
        rules = self.schema.root["properties"]["stages"]["items"]["allOf"]
        types = self.schema.root["properties"]["stages"]["items"]["properties"]["type"]["enum"]
        for kind, rule in zip(types, rules, strict=True):
            options = self.schema.root["$defs"]["options-" + kind]
            self.assertEqual(rule["if"]["properties"]["type"]["const"], kind)
            self.assertEqual(rule["then"]["properties"]["options"]["$ref"], "#/$defs/options-" + kind)
            self.assertEqual("required" in rule["then"], "required" in options)

    def test_page_describes_every_key(self):
        page = text_of("docs", "configuration.md")
        for path, *_ in self.rows:
            if path.endswith(")"):
                expected = f"### {path[path.index('(') + 1:-1]}\n"
            else:
                expected = f"| `{re.sub(r'^(users|stages|services)\[\]\.(options\(\w+\)\.)?', '', path)}` |"
            with self.subTest(path=path):
                self.assertIn(expected, page)

    def test_page_has_deadline_and_attempts_of_every_stage_type(self):
        page = text_of("docs", "configuration.md")
        for path, _, _, default, _, _ in self.rows:
            if path.endswith(")"):
                kind = path[path.index("(") + 1:-1]
                deadline, limit = re.fullmatch(r"deadline_s (\d+), retry.limit (\d+)", default).groups()
                section = page.split(f"### {kind}\n")[1].split("\n#")[0]
                with self.subTest(type=kind):
                    self.assertIn(f"Deadline of an attempt: {'none' if deadline == '0' else deadline + ' s'}. "
                                  f"Attempts: {'unlimited' if limit == '0' else limit}.", section)

    def test_example_of_the_page_and_the_image_are_accepted_by_both(self):
        example = re.search(r"```json\n(.*?)```", text_of("docs", "configuration.md"), re.S)[1]
        for config in (json.loads(without_comments(example)), self.image, {}):
            self.assertEqual(self.accepted(config), (True, True, ""))
        self.assertEqual(gantryctl("check", IMAGE).stdout, f"{IMAGE}: ok\n")

    def test_what_a_schema_can_refuse_is_refused_by_both(self):
        def at(*path):
            def change(config, value):
                for part in path[:-1]:
                    config = config[part]
                config[path[-1]] = value
            return change

        service = at("services", 0, "ready"), at("services", 0, "before_start")
        for change, value in (
                (at("hostnam"), "x"), (at("hostname"), 5), (at("hostname"), "-x"), (at("modules"), ["a b"]),
                (at("modules"), "a"), (at("sysctls"), {"../x": "1"}), (at("sysctls"), {"kernel.panic": 1}),
                (at("held"), {"action": "shell"}), (at("held"), {"delay_s": -1}), (at("events"), {"ring": 3}),
                (at("events"), {"ring": 20.5}), (at("events"), {"rate_per_s": -1}), (at("events"), {"burst": 0}),
                (at("events"), {"fifo": "x"}), (at("events"), {"fifo": "/a/../b"}),
                (at("events"), {"fifo": "/a/"}), (at("api"), {"listen": "localhost:1"}), (at("api"), {"tls_hosts": []}),
                *((at("api"), {"tls_hosts": [name]}) for name in (
                    "", "a b", "*", "*.x", "a.*.b", "*x.y", "-a", "a-", "a..b", "a.", ".a", "a" * 64, "a." * 127 + "a", "a/b",
                    "[::1]")),
                (at("api"), {"actions": [{"name": "a"}]}), (at("api"), {"actions": [{"name": "a/b", "verb": "@reboot"}]}),
                (at("api"), {"actions": [{"name": "a", "verb": "@reboot", "command": ["/x"]}]}),
                (at("api"), {"actions": [{"name": "a", "verb": "reboot"}]}), (at("api"), {"uploads": [{"name": "a"}]}),
                (at("api"), {"actions": [{"name": "a", "command": []}]}), (at("api"), {"password_hash": "md5"}),
                (at("api"), {"uploads": [{"name": "a", "path": "x"}]}), (at("api"), {"connections": 5000}),
                (at("users", 0, "uid"), 0), (at("users", 0, "name"), "Reth"), (at("stages", 0, "name"), "9"),
                (at("stages", 0, "type"), "netwrok"), (at("stages", 0, "options"), {"lun": 1}),
                (at("stages", 0, "required"), "yes"), (at("stages", 0, "when"), "never"), (at("stages", 0), {}),
                (at("stages", 0, "retry"), {"limit": 1.5}), (at("services", 0, "command"), []),
                (at("services", 0, "nice"), 20), (at("services", 0, "umask"), "1777"),
                (at("services", 0, "limits"), {"nofiles": 1}), (at("services", 0, "limits"), {"nofile": "many"}),
                (at("services", 0, "cgroup"), {"cgroup.procs": "1"}), (at("services", 0, "environment"), {"A=": ""}),
                (at("services", 0, "stop_signal"), "SIGTERM"), (service[0], {}), (service[0], {"notify": False}),
                (service[0], {"path": "/x", "notify": True}), (service[0], {"tcp": "::1:80"}),
                (service[1], [{"mode": "0700"}]), (service[1], [{"directory": "/x", "mode": "rwx"}]),
                (service[1], [{"secret": "/x", "bytes": 8}])):
            config = copy.deepcopy(self.image)
            change(config, value)
            with self.subTest(value=value):
                program, schema, reason = self.accepted(config)
                self.assertEqual((program, schema), (False, False), reason)

    def test_names_for_certificates_are_accepted_by_both(self):
        azure = "builder-0123456789abcdef0123456789abcdef0123456789abcdef." + "a" * 20 + ".germanywestcentral.cloudapp.azure.com"
        for name in ("localhost", azure, "*.example.org", "a_b.example", "10.0.0.1", "::1", "2001:db8::7", "::ffff:10.0.0.1",
                     "a" * 63, ".".join(["a" * 63] * 3 + ["b" * 61])):
            config = copy.deepcopy(self.image)
            config["api"]["tls_hosts"] = [name]
            self.assertEqual(self.accepted(config), (True, True, ""), name)

    def test_what_only_the_program_can_refuse_is_accepted_by_the_schema(self):
        for needs in (["netwrok"], ["network"], ["network", "network"]):
            config = copy.deepcopy(self.image)
            config["stages"][0]["needs"] = needs
            program, schema, reason = self.accepted(config)
            self.assertEqual((program, schema), (False, True), reason)

    def test_an_api_that_cannot_be_is_refused_and_its_place_named(self):
        act = {"name": "a", "command": ["/bin/true"]}
        for api, says in (
                ({"actions": [act, act]}, 'api.actions[1] "a": duplicate name: also the name of actions[0]'),
                ({"actions": [{"name": "a", "command": ["true"]}]}, "is not an absolute path"),
                ({"actions": [{"name": "a", "verb": "@restart rbulider"}]}, 'no such stage or service; did you mean "rbuilder"?'),
                ({"actions": [{"name": "a", "verb": "@stop disk"}]}, '"disk" is a stage'),
                ({"actions": [{"name": "a", "verb": "@reboot", "user": "root"}]}, '"verb" has no "user"'),
                ({"actions": [{**act, "user": "nobody"}]}, 'user: "nobody" is neither'),
                ({"uploads": [{"name": "u", "path": "/a"}, {"name": "u", "path": "/b"}]}, "also the name of uploads[0]"),
                ({"tls_key": "/k"}, "require each other"), ({"tls_certificate": "/c"}, "require each other"),
                ({"tls_certificate": "/c", "tls_key": "/c"}, "must be different files"),
                ({"password_salt": "x"}, 'requires "password_file"'), ({"needs": ["dsik"]}, 'did you mean "disk"')):
            config = copy.deepcopy(self.image)
            config["api"] = api
            program, schema, reason = self.accepted(config)
            self.assertEqual((program, schema), (False, True), reason)
            self.assertIn(says, reason)
        for name in "system-api", "http":
            config = copy.deepcopy(self.image)
            config["services"][0]["name"] = name
            self.assertIn("is a reserved name", self.accepted(config)[2])

    def test_options_of_the_disk_that_do_not_go_together_are_refused_and_named(self):
        signed = {"policy_key": "/etc/gantry/disk-policy.pem", "version": 1}
        for change, says in (({"serial": "one"}, "may have only one of"),
                             ({"keys": ["tpm2-signed"]}, '"tpm2-signed" needs "policy_key" and "version"'),
                             ({"enroll": ["tpm2", "tpm2-signed"], **signed}, "may not enroll both"),
                             ({"pcrs": [4, 9, 11]}, '"pcrs" must have 15'),
                             ({"version": 1}, "need each other"), ({"force_uuid": "x"}, '"force_uuid" needs')):
            config = copy.deepcopy(self.image)
            next(stage for stage in config["stages"] if stage["type"] == "disk")["options"].update(change)
            program, schema, reason = self.accepted(config)
            self.assertEqual((program, schema), (False, True), reason)
            self.assertIn(says, reason)


if __name__ == "__main__":
    unittest.main()
