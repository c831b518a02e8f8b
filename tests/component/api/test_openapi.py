# SPDX-License-Identifier: GPL-2.0-or-later
"""docs/openapi.yaml against the server: its paths are those of the table in routes.c, every status code that it names is
provoked with a real PID 1, and an answer that it does not describe, in code, header, type or body, fails the test."""

import json
import os
import re
import unittest
import urllib.parse

import jsonschema
import referencing
import referencing.jsonschema
import yaml

from fake_control import REPO, wait_for
from pid1 import boot, service, stage
from sse import Parser
from machine import Machine, api, stored
from test_api_bootlog import NEWER
from within import Session, ask, connect, exchange, head_of

DOCS = os.path.join(REPO, "docs")
BASE = "file:///docs/"
METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
FRAMING = {"date", "connection", "content-length", "transfer-encoding", "content-type"}

# Status codes of the document that this test cannot bring about: (method, path, code) with the reason.
NOT_PROVOKED = {}

# What OpenAPI 3.1 lets stand where, as far as the document uses it; everything else is refused.
REFERENCE = {"type": "object", "required": ["$ref"], "additionalProperties": False,
             "properties": {"$ref": {"type": "string"}, "description": {"type": "string"}}}


def thing(needed, /, **properties):
    return {"type": "object", "required": needed, "additionalProperties": False,
            "patternProperties": {"^x-": {}}, "properties": properties}


def or_reference(name):
    return {"if": {"type": "object", "required": ["$ref"]}, "then": REFERENCE, "else": {"$ref": f"#/$defs/{name}"}}


TEXT, SCHEMA = {"type": "string", "minLength": 1}, {"type": "object"}
FORM = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    **thing(["openapi", "info", "paths"],
            openapi={"pattern": r"^3\.1\.\d+$"},
            info=thing(["title", "version"], title=TEXT, version=TEXT, description=TEXT,
                       license=thing(["name"], name=TEXT, identifier=TEXT)),
            servers={"type": "array", "items": thing(["url"], url=TEXT, variables={
                "type": "object", "additionalProperties": thing(["default"], default=TEXT, description=TEXT)})},
            security={"type": "array", "items": {"type": "object", "additionalProperties": {"type": "array"}}},
            tags={"type": "array", "items": thing(["name"], name=TEXT)},
            paths={"type": "object", "patternProperties": {"^/": {"$ref": "#/$defs/path"}}, "additionalProperties": False},
            components={"$ref": "#/$defs/components"}),
    "$defs": {
        "path": thing([], parameters={"type": "array", "items": or_reference("parameter")},
                      **{method: {"$ref": "#/$defs/operation"} for method in METHODS}),
        "operation": thing(["operationId", "summary", "tags", "responses"], operationId={"pattern": "^[a-z][A-Za-z]+$"},
                           summary=TEXT, description=TEXT, tags={"type": "array", "items": TEXT},
                           parameters={"type": "array", "items": or_reference("parameter")},
                           requestBody=thing(["content"], description=TEXT, content={"$ref": "#/$defs/content"}),
                           responses={"type": "object", "minProperties": 1, "additionalProperties": False,
                                      "patternProperties": {"^[1-5][0-9]{2}$": or_reference("response")}}),
        "parameter": thing(["name", "in", "schema"], name=TEXT, **{"in": {"enum": ["query", "header", "path"]}}, description=TEXT,
                           required={"type": "boolean"}, explode={"type": "boolean"}, schema=SCHEMA),
        "response": thing(["description"], description=TEXT, content={"$ref": "#/$defs/content"},
                          headers={"type": "object", "additionalProperties": or_reference("header")}),
        "header": thing(["schema"], description=TEXT, required={"type": "boolean"}, schema=SCHEMA),
        "content": {"type": "object", "additionalProperties": False, "patternProperties": {
            "^[a-z]+/[a-z+-]+(; [a-z]+=[a-z0-9.-]+)*$": thing([], schema=SCHEMA, example={})}},
        "components": thing([], schemas={"type": "object", "additionalProperties": SCHEMA},
                            responses={"type": "object", "additionalProperties": {"$ref": "#/$defs/response"}},
                            parameters={"type": "object", "additionalProperties": {"$ref": "#/$defs/parameter"}},
                            headers={"type": "object", "additionalProperties": {"$ref": "#/$defs/header"}},
                            securitySchemes={"type": "object", "additionalProperties": thing(
                                ["type", "scheme"], type={"const": "http"}, scheme={"const": "basic"}, description=TEXT)}),
    },
}


def load():
    with open(os.path.join(DOCS, "openapi.yaml"), encoding="utf-8") as file:
        return yaml.safe_load(file)


def registry(document):
    """The document and the two schemas that it refers to, under addresses beside each other."""
    resources = {"openapi.yaml": document}
    for name in "status.schema.json", "event.schema.json":
        with open(os.path.join(DOCS, name), encoding="utf-8") as file:
            resources[name] = json.load(file)
    return referencing.Registry().with_resources([
        (BASE + name, referencing.Resource(content, referencing.jsonschema.DRAFT202012)) for name, content in resources.items()])


class Document:
    def __init__(self):
        self.content = load()
        self.registry = registry(self.content)

    def at(self, *path):
        """What is at this place, or at the one that it refers to, and the place's pointer."""
        pointer = "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in path)
        node = self.content
        for step in path:
            node = node[step]
        if isinstance(node, dict) and node.get("$ref", "").startswith("#/components/") and "schema" not in path[-1:]:
            return self.at(*node["$ref"][2:].split("/"))
        return node, pointer, path

    def validator(self, pointer):
        return jsonschema.Draft202012Validator({"$ref": f"{BASE}openapi.yaml#{pointer}"}, registry=self.registry)

    def problems(self, answer, *path):
        """What of an answer the response at this place of the document does not describe."""
        response, pointer, path = self.at(*path)
        yield from self.header_problems(answer, response, path)
        content = response.get("content", {})
        untyped = response.get("x-body-without-type")
        if untyped:
            if answer.type is not None:
                yield f"Content-Type {answer.type}"
            yield from self.complaints(answer.text, pointer + "/x-body-without-type")
        elif not content:
            if answer.type is not None or answer.body:
                yield f"a body: {answer.type} {answer.body[:80]!r}"
        elif answer.type not in content:
            yield f"Content-Type {answer.type}"
        elif answer.method != "HEAD":
            yield from self.body_problems(answer, *path, "content", answer.type)

    def header_problems(self, answer, response, path):
        described = {name.lower(): name for name in response.get("headers", {})}
        for name, value in answer.headers:
            if name.lower() in FRAMING:
                continue
            if name.lower() not in described:
                yield f"header {name}: {value}"
                continue
            _, pointer, _ = self.at(*path, "headers", described[name.lower()])
            yield from self.complaints(value, pointer + "/schema")
        for name in response.get("headers", {}):
            header, _, _ = self.at(*path, "headers", name)
            if header.get("required") and answer.header(name) is None:
                yield f"no header {name}"

    def body_problems(self, answer, *path):
        media, pointer, _ = self.at(*path)
        if answer.type != "application/json":
            yield from self.complaints(answer.text, pointer + "/schema")
        elif not answer.body.endswith(b"\n"):
            yield "JSON without a newline at its end"
        else:
            yield from self.complaints(answer.json(), pointer + "/schema")
        if "x-events" in media:
            yield from self.stream_problems(answer, media, pointer)

    def stream_problems(self, answer, media, pointer):
        parser = Parser()
        for line in answer.text.split("\n"):
            notice = parser.line(line)
            if notice and notice.kind not in media["x-events"]:
                yield f"event {notice.kind}"
            elif notice:
                yield from self.complaints(notice.json, f"{pointer}/x-events/{notice.kind}")
        if parser.unknown:
            yield f"lines {parser.unknown}"

    def complaints(self, value, pointer):
        for error in self.validator(pointer).iter_errors(value):
            yield f"{error.message[:300]} at {error.json_path}"

    def operations(self):
        for path, item in self.content["paths"].items():
            for method in METHODS:
                if method in item:
                    yield path, method, item[method]

    def parameters(self, path, method):
        item = self.content["paths"][path]
        for at, among in (("paths", path, "parameters"), item), (("paths", path, method, "parameters"), item[method]):
            for i in range(len(among.get("parameters", []))):
                node = among["parameters"][i]
                yield self.at(*node["$ref"][2:].split("/"))[0] if "$ref" in node else node


def walk(node, path=()):
    yield path, node
    for key, value in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        yield from walk(value, (*path, str(key)))


def source(name):
    with open(os.path.join(REPO, "init", "api", name), encoding="utf-8") as file:
        return file.read()


def routes():
    """The table of routes.c: path -> (methods, access, whether a body is read)."""
    table = re.search(r"routes\[\] = \{\n(.*?)\n\};", source("routes.c"), re.S)[1]
    found = {}
    for path, methods, access, rest in re.findall(r'^\t\{"([^"]+)", "([^"]+)", ACCESS_(\w+)(, .*)\},', table, re.M):
        found[path + "{name}" if len(path) > 1 and path.endswith("/") else path] = (methods, access.lower(), "BODY_" in rest)
    if len(found) != table.count("{"):
        raise AssertionError("the table of routes.c has a row that this test does not understand")
    return found


class Form(unittest.TestCase):
    """The document by itself and against the server's source."""

    def setUp(self):
        self.document = Document()
        self.content = self.document.content

    def test_it_is_well_formed_openapi(self):
        jsonschema.Draft202012Validator.check_schema(FORM)
        jsonschema.Draft202012Validator(FORM).validate(self.content)
        resolver = self.document.registry.resolver(BASE + "openapi.yaml")
        for path, node in walk(self.content):
            if isinstance(node, dict) and isinstance(node.get("$ref"), str):
                resolver.lookup(node["$ref"])       # or it raises
        names = [operation["operationId"] for _, _, operation in self.document.operations()]
        self.assertEqual(len(names), len(set(names)))
        tags = {tag["name"] for tag in self.content["tags"]}
        self.assertEqual(tags, {tag for _, _, operation in self.document.operations() for tag in operation["tags"]})
        for path, method, _ in self.document.operations():
            given = list(self.document.parameters(path, method))
            self.assertEqual(len(given), len({(p["name"], p["in"]) for p in given}), path)
            in_path = [p["name"] for p in given if p["in"] == "path"]
            self.assertEqual(in_path, re.findall(r"\{(\w+)\}", path))
            self.assertTrue(all(p.get("required") for p in given if p["in"] == "path"), path)
        used = {node["$ref"] for _, node in walk(self.content) if isinstance(node, dict) and isinstance(node.get("$ref"), str)}
        for kind, components in self.content["components"].items():
            for name in components if kind != "securitySchemes" else ():
                self.assertTrue(f"#/components/{kind}/{name}" in used or name == "MethodNotAllowed", f"{name} is used nowhere")

    def test_its_schemas_are_schemas_and_its_examples_are_of_them(self):
        examples = 0
        for path, node in walk(self.content):
            if path and path[-1] in ("schema", "x-body-without-type") or path[:2] == ("components", "schemas") and len(path) == 3:
                jsonschema.Draft202012Validator.check_schema(node)
            if isinstance(node, dict) and "example" in node and "schema" in node:
                examples += 1
                pointer = "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in path)
                self.assertEqual(list(self.document.complaints(node["example"], pointer + "/schema")), [], path)
        self.assertGreater(examples, 10)

    def test_its_paths_methods_and_access_are_those_of_the_server_s_table(self):
        table = routes()
        self.assertGreater(len(table), 15)
        described = {path: (item["x-allow"], item["x-access"], "requestBody" in item.get("post", {}))
                     for path, item in self.content["paths"].items()}
        self.assertEqual(described, table)
        for path, item in self.content["paths"].items():
            self.assertEqual([m for m in METHODS if m in item], item["x-allow"].lower().split(", "), path)

    def test_its_arguments_are_those_that_the_server_reads(self):
        of_events = set(re.findall(r'\[FILTER_\w+\] = \{"(\w+)"', source("filter.c")))
        self.assertEqual(len(of_events), 6)
        alone = {name for file in os.listdir(os.path.join(REPO, "init", "api")) if file.endswith(".c")
                 for name in re.findall(r'request_argument\(request, "(\w+)"', source(file))}
        described = {path: {p["name"] for p in self.document.parameters(path, "get") if p["in"] == "query"}
                     for path, item in self.content["paths"].items() if "get" in item}
        for path in "/logs", "/api/v1/events", "/api/v1/events/stream":
            self.assertEqual(described[path] - {"format"}, of_events, path)
        self.assertEqual(set().union(*described.values()) - of_events, alone)


class Recorder:
    """Sends requests and holds every answer against the document."""

    def __init__(self, document):
        self.document = document
        self.seen = set()           # (path of the document, method, status)
        self.bad = []
        self.kept = None

    def session(self, machine):
        if self.kept is None or self.kept.pid1 is not machine:
            if self.kept:
                self.kept.close()
            self.kept = Session(machine)
        return self.kept

    def take(self, what, answer, *place):
        """One answer, which the response at this place of the document has to describe."""
        for problem in self.document.problems(answer, *place):
            self.bad.append(f"{what}: {answer.status}, not described: {problem}")
        return answer

    def path_of(self, url):
        for path in self.document.content["paths"]:
            if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", path), urllib.parse.urlsplit(url).path):
                return path
        return None

    def ask(self, machine, url, method="GET", **more):
        answer = self.session(machine).ask(url, method, **more)
        return self.told(f"{method} {url}", url, method, answer)

    def told(self, what, url, method, answer):
        content, path, code = self.document.content, self.path_of(url), str(answer.status)
        item = content["paths"].get(path, {})
        operation = item.get(method.lower())
        if operation:
            self.seen.add((path, method, answer.status))
            if code not in operation["responses"]:
                self.bad.append(f"{what}: {answer.status} {answer.body[:80]!r} is not described")
                return answer
            return self.take(what, answer, "paths", path, method.lower(), "responses", code)
        if answer.status == (405 if item else 404):
            if item and answer.header("Allow") != item["x-allow"]:
                self.bad.append(f"{what}: Allow: {answer.header('Allow')}")
            return self.take(what, answer, *(("components", "responses", "MethodNotAllowed") if item else ("x-other-paths",)))
        every = {"401": "Unauthorized", "413": "BodyNotWanted", "429": "TooManyTries", "503": "Unavailable"}
        if code not in every:
            self.bad.append(f"{what}: {answer.status} is not described")
            return answer
        return self.take(what, answer, "components", "responses", every[code])

    def missing(self):
        for path, method, operation in self.document.operations():
            for code in operation["responses"]:
                if ((path, method.upper(), int(code)) in self.seen) == ((method, path, code) in NOT_PROVOKED):
                    yield f"{method} {path}: {code}"


ADMIN = [("Authorization", "Basic YWRtaW46c2VjcmV0")]       # admin:secret
WRONG = [("Authorization", "Basic YWRtaW46d3Jvbmc=")]
NAMES = {"/api/v1/actions/{name}": "echo_test", "/api/v1/file-upload/{name}": "blocklist",
         "/api/v1/logs/{name}": "svc"}


def url_of(path):
    return path.replace("{name}", NAMES.get(path, ""))


def beginning(path):
    """How much of an answer is enough: of a stream, until its first event or its silence."""
    return (lambda body: b"retry: " in body) if path.endswith("/stream") else None


class Live(unittest.TestCase):
    """One test, as what it is about is that nothing is left out."""

    def setUp(self):
        self.document = Document()
        self.recorder = Recorder(self.document)
        self.operations = [(path, method.upper()) for path, method, _ in self.document.operations()]

    def ask(self, machine, url, method="GET", status=None, **more):
        answer = self.recorder.ask(machine, url, method, **more)
        if status is not None:
            self.assertEqual(answer.status, status, f"{method} {url}: {answer}")
        return answer

    def every(self, machine, status, headers=(), paths=None):
        """Each operation that the document has, as it stands there."""
        for path, method in self.operations:
            if paths is None or path in paths:
                self.ask(machine, url_of(path), method, status, headers=headers, enough=beginning(path))

    def other_methods(self, machine, status=405, headers=()):
        for path, item in self.document.content["paths"].items():
            for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "BREW"):
                if method.lower() not in item:
                    self.ask(machine, url_of(path), method, status, headers=headers)

    def too_large(self, machine, headers=()):
        for path, method in self.operations:
            raw = head_of(method, url_of(path), [("Content-Length", 10000000), *headers])
            answer = self.recorder.told(f"{method} {path}", url_of(path), method, exchange(machine, raw, method))
            self.assertEqual(answer.status, 413, path)

    def reading(self, machine):
        """What may be asked of the routes for events, and what is malformed there."""
        self.ask(machine, "/", status=200, headers=[("Accept", "text/html,*/*;q=0.8")])
        for path in "/logs", "/api/v1/events":
            for arguments in ("since=1", "level=warning", "source=svc&source=gantry", "limit=2", "boot=-1", "boot=-1&limit=1",
                              "action=1", "nothing=1", "format=text", "format=text&boot=-1"):
                self.ask(machine, f"{path}?{arguments}", status=200)
            self.ask(machine, f"{path}?boot=-100", status=404)
        for path in "/logs", "/api/v1/events", "/api/v1/events/stream":
            for p in self.document.parameters(path, "get"):
                if p["name"] != "format" and p["in"] == "query":
                    r = self.ask(machine, f"{path}?{p['name']}=~", status=400)
                    self.assertEqual(r.json()["message"], f"Malformed argument: {p['name']}")
        self.ask(machine, "/api/v1/events/stream", status=400, headers=[("Last-Event-ID", "x")])
        r = self.ask(machine, "/api/v1/events/stream?since=0", status=200, enough=lambda body: body.count(b"\n\n") > 5 and
                     body.endswith(b"\n\n"))
        self.assertGreater(r.text.count("\ndata: {"), 4)
        self.ask(machine, "/api/v1/new_event?message=hello%20there", status=200)
        wait_for(lambda: os.path.exists(machine.path("logs/svc.log")), "the service's log")
        self.assertEqual(self.ask(machine, "/api/v1/logs/svc?lines=1", status=200).text, "hello\n")
        for lines in "0", "x", "-1", "100001":
            self.ask(machine, f"/api/v1/logs/svc?lines={lines}", status=400)
        for name in "quiet", "nothing":
            self.ask(machine, f"/api/v1/logs/{name}", status=404)

    def acting(self, machine):
        for method in "GET", "POST":
            self.ask(machine, "/api/v1/actions/echo_test", method, 200)
            self.ask(machine, "/api/v1/actions/fails", method, 500)
            self.ask(machine, "/api/v1/actions/nothing", method, 400)
            self.ask(machine, "/api/v1/actions/echo_test?async=1", method, 202)
            self.ask(machine, "/api/v1/actions/echo_test?async=0", method, 200)
            self.ask(machine, "/api/v1/actions/echo_test?async=", method, 200)
        self.ask(machine, "/api/v1/file-upload/blocklist", "POST", 200, body=b"content")
        self.ask(machine, "/api/v1/file-upload/nowhere", "POST", 500, body=b"content")
        self.ask(machine, "/api/v1/file-upload/nothing", "POST", 400, body=b"content")

    def malformed(self, machine):
        host = b"Host: gantry\r\n\r\n"
        requests = [(400, b"GET / HTTP/1.1\r\n\r\n"), (400, b"GET //elsewhere/a b HTTP/1.1\r\n" + host),
                    (400, b"GET / HTTP/1.1\r\nA: b\r\n c: d\r\n" + host), (400, b"GET / HTTP/1.1\r\nA b\r\n" + host),
                    (413, b"POST / HTTP/1.1\r\nContent-Length: " + b"9" * 30 + b"\r\n" + host),
                    (414, b"GET /" + b"a" * 20000 + b" HTTP/1.1\r\n" + host), (505, b"GET / HTTP/3.0\r\n" + host),
                    (431, b"GET / HTTP/1.1\r\nX: " + b"a" * 20000 + b"\r\n" + host)]
        self.assertEqual({str(code) for code, _ in requests}, set(self.document.content["x-malformed"]))
        for code, raw in requests:
            answer = exchange(machine, raw)
            self.assertEqual(answer.status, code, f"{raw[:60]}: {answer}")
            self.recorder.take(f"malformed, {code}", answer, "x-malformed", str(code))

    def test_every_status_is_provoked_and_every_answer_is_described(self):
        self.open_machine()
        self.locked_machines()
        self.machine_without_a_place_for_a_password()
        self.machine_with_a_slow_hash()
        self.assertFalse(self.recorder.bad, "\n".join(self.recorder.bad))
        self.assertEqual(list(self.recorder.missing()), [], "named by the document, but not seen")

    def open_machine(self):
        """No password, then one, then too many wrong ones."""
        config = boot([], [service("svc", "echo hello; exec sleep 1000"), service("quiet")],
                      log={"directory": "/t", "max_bytes": 1 << 20, "needs": []}, logs={"directory": "/t/logs"})
        with Machine({**config, "api": api()}, files={"events.log": NEWER}) as machine:
            machine.unlocked()
            paths = self.document.content["paths"]
            self.every(machine, 200, paths=[p for p, item in paths.items() if item["x-access"] != "act"])
            self.reading(machine)
            self.acting(machine)
            self.other_methods(machine)
            for path, method in self.operations:
                if paths[path]["x-access"] == "act":
                    self.ask(machine, url_of(path), method, 403, headers=[("Sec-Fetch-Site", "cross-site")])
            for path in "/nothing", "/livez/", "/api/v1/actions/", "/api/v1/file-upload/a/b", "/assets/", "/API/v1/events":
                for method in "GET", "POST", "HEAD":
                    self.ask(machine, path, method, 404)
            self.too_large(machine)
            self.malformed(machine)
            self.ask(machine, "/api/v1/set-basic-auth", "POST", 200, body=b"secret")
            self.every(machine, 401)
            self.other_methods(machine, 401)
            self.ask(machine, "/nothing", status=401)
            self.every(machine, 200, ADMIN, paths=["/livez", "/api/v1/status", "/api/v1/events/stream", "/api/v1/boot.svg"])
            self.other_methods(machine, 405, ADMIN)
            machine.inside("mkdir", "-p", "/t/.secret.gantry-new/x")        # in the way of the new file
            self.ask(machine, "/api/v1/set-basic-auth", "POST", 500, headers=ADMIN, body=b"other")
            self.guessing(machine)

    def guessing(self, machine):
        for path, method in self.operations:
            for _ in range(30):         # one try in six seconds is allowed
                if self.ask(machine, url_of(path), method, headers=WRONG).status == 429:
                    break
        self.ask(machine, "/livez", status=200, headers=ADMIN)
        self.ask(machine, "/livez", "HEAD", 429, headers=WRONG)

    def locked_machines(self):
        """Before the disk is open, in both ways."""
        paths = self.document.content["paths"]
        disk = stage("disk", "read line < /t/gate")
        for before in "events", "nothing":
            shut = [p for p, item in paths.items() if item["x-access"] in (("read", "act") if before == "nothing" else ("act",))]
            config = api(needs=["disk"], before_unlock=before)
            log = {"directory": "/t", "max_bytes": 1 << 20, "needs": ["disk"]}
            with Machine(boot([disk], [service("svc")], api=config, log=log), files={"secret": stored("secret")}) as machine:
                self.every(machine, 503, paths=shut)
                self.every(machine, 200, paths=[p for p in paths if p not in shut])
                if before == "nothing":
                    self.ask(machine, "/nothing", status=503)
                    self.ask(machine, "/logs", "POST", 503)
                else:
                    for path in "/logs", "/api/v1/events":      # of the disk, so not yet
                        self.ask(machine, f"{path}?boot=-1", status=503)
                self.ask(machine, "/api/v1/set-basic-auth", "GET", 503)

    def machine_without_a_place_for_a_password(self):
        config = api()
        del config["password_file"], config["password_salt"]
        disk = stage("disk", "read line < /t/gate")      # the logger waits for it
        log = {"directory": "/t", "max_bytes": 1 << 20, "needs": ["disk"]}
        logs = {"directory": "/t/logs", "needs": ["disk"]}
        with Machine(boot([disk], [service("svc")], api=config, log=log, logs=logs)) as machine:
            self.ask(machine, "/api/v1/set-basic-auth", "POST", 501, body=b"secret")
            os.makedirs(machine.path("logs/svc.log"))
            self.ask(machine, "/api/v1/logs/svc", status=500)
            os.mkdir(machine.path("events.log"))        # nothing that could be read
            for path in "/logs", "/api/v1/events":
                self.ask(machine, f"{path}?boot=-1", status=500)

    def machine_with_a_slow_hash(self):
        """Four passwords are looked at, the next one finds no place."""
        hashed = f"pbkdf2-sha256$600000${'00' * 16}${'00' * 32}"
        with Machine(boot([], [service("svc")], api=api(password_hash="pbkdf2-sha256")), files={"secret": hashed}) as machine:
            wait_for(lambda: ask(machine, "/livez").status == 401, "it knows the password")
            connections = [connect(machine) for _ in range(4)]
            for connection in connections:
                connection.sendall(head_of("GET", "/livez", WRONG))
            self.ask(machine, "/livez", status=503, headers=WRONG)
            for connection in connections:
                connection.close()


if __name__ == "__main__":
    unittest.main()
