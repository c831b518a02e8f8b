# SPDX-License-Identifier: GPL-2.0-or-later
"""The page for browsers and the boot chart as the server sends them: to whom, what may be in them, and what hostile words
become."""

import os
import re
import unittest
import xml.etree.ElementTree as ElementTree

import pid1
from fake_control import REPO
from scenes import BLOCKED, FAILED, HOSTILE, booted, booting, held, set_scene, stage
from test_api import Api

SOURCES = os.path.join(REPO, "init", "api", "page")
SCRIPT = ["page.js", "page-status.js", "page-events.js", "page-actions.js", "page-start.js"]


def read(name):
    """What is served under this name."""
    text = ""
    for part in SCRIPT if name == "page.js" else [name]:
        with open(os.path.join(SOURCES, part), encoding="utf-8") as file:
            text += file.read()
    return text


class Served(unittest.TestCase):
    """What comes over HTTP."""

    def setUp(self):
        self.api = Api().start()
        self.addCleanup(self.api.kill)

    def test_only_who_names_html_gets_the_page_and_everybody_else_the_old_answer(self):
        for accept in "text/html", "text/html,application/xhtml+xml,*/*;q=0.8", "TEXT/HTML;q=0.1":
            r = self.api.request("/", headers={"Accept": accept})
            self.assertEqual((r.status, r.getheader("Content-Type")), (200, "text/html; charset=utf-8"), accept)
            self.assertEqual((r.body.decode(), r.getheader("Vary")), (read("page.html"), "Accept"))
        for headers in {}, {"Accept": "*/*"}, {"Accept": "application/json"}, {"Accept": "text/html;q=0"}, {"Accept": "text/*"}:
            r = self.api.request("/", headers=headers)
            self.assertEqual((r.status, r.body, r.getheader("Content-Type"), r.getheader("Vary")),
                             (200, b'{"status":"ok"}\n', "application/json", "Accept"), headers)
        self.assertEqual(self.api.request("/livez", headers={"Accept": "text/html"}).body, b'{"status":"ok"}\n')

    def test_the_page_may_speak_to_its_own_server_only(self):
        for path, name, kind in (("/", "page.html", "text/html; charset=utf-8"),
                                 ("/assets/page.svg", "page.svg", "image/svg+xml"),
                                 ("/assets/page.js", "page.js", "text/javascript; charset=utf-8"),
                                 ("/assets/page.css", "page.css", "text/css; charset=utf-8")):
            r = self.api.request(path, headers={"Accept": "text/html"})
            self.assertEqual((r.status, r.body.decode(), r.getheader("Content-Type")),
                             (200, read(name), kind))
            policy = dict(part.strip().split(" ", 1) for part in r.getheader("Content-Security-Policy").split(";"))
            self.assertEqual(policy, {
                "default-src": "'none'", "script-src": "'self'", "style-src": "'self'", "img-src": "'self'",
                "connect-src": "'self'", "frame-src": "'self'", "base-uri": "'none'", "form-action": "'none'",
                "frame-ancestors": "'none'"})
            self.assertEqual([r.getheader(h) for h in ("Referrer-Policy", "X-Content-Type-Options", "Cache-Control")],
                             ["no-referrer", "nosniff", "no-store"])

    def test_the_page_has_nothing_inline_nothing_foreign_and_is_small(self):
        page, script, style = read("page.html"), read("page.js"), read("page.css")
        self.assertNotRegex(page, r"<style|\sstyle=|\son[a-z]+=|<script(?! src=\"/)|https?://")
        self.assertNotRegex(script, r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b|Function\(|https?://")
        self.assertNotRegex(style, r"url\(|@import|https?://")
        self.assertLess(len(page) + len(script) + len(style), 60000)

    def test_every_colour_of_words_can_be_read_on_every_ground(self):
        def luminance(colour):
            parts = [int(colour[i:i + 2], 16) / 255 for i in (1, 3, 5)]
            parts = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
            return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

        def contrast(one, other):
            light, dark = sorted((luminance(one), luminance(other)), reverse=True)
            return (light + 0.05) / (dark + 0.05)

        chart = self.api.request("/api/v1/boot.svg").body.decode()
        for what, css, grounds in (("page", read("page.css"), ("ground", "panel", "field")), ("chart", chart, ())):
            themes = re.findall(r"(?:--paper:(#\w+);)?\s*((?:--[a-z]+:\s*#\w+;?\s*){5,})", css)
            self.assertEqual(len(themes), 2, what)
            for background, theme in themes:
                colours = dict(re.findall(r"--([a-z]+):\s*(#\w{6})", theme))
                for name in "ink", "dim", "good", "busy", "wait", "bad":
                    for ground in [colours[g] for g in grounds] or [background if len(background) == 7 else "#ffffff"]:
                        self.assertGreaterEqual(contrast(colours[name], ground), 4.5, (what, name, ground))
                for ground in grounds:
                    self.assertGreaterEqual(contrast(colours["edge"], colours[ground]), 3, (what, "edge", ground))

    def test_the_chart_is_a_well_formed_picture_of_every_node(self):
        for scene in booting(), booted(), held():
            set_scene(self.api, scene)
            r = self.api.request("/api/v1/boot.svg")
            self.assertEqual((r.status, r.getheader("Content-Type")), (200, "image/svg+xml"))
            self.assertTrue(r.getheader("Content-Security-Policy").startswith("default-src 'none'; style-src 'unsafe-inline'"))
            root = ElementTree.fromstring(r.body)
            self.assertEqual(root.get("viewBox").split()[:3], ["0", "0", "960"])
            words = [e.text for e in root.iter("{http://www.w3.org/2000/svg}text")]
            for node in scene[1]:
                self.assertIn(node["name"], words)
            bottom = max(float(e.get("y")) for e in root.iter("{http://www.w3.org/2000/svg}text"))
            self.assertLess(bottom + 4, float(root.get("viewBox").split()[3]))
            self.assertGreaterEqual(min(int(n) for n in re.findall(rb"font(?:-size)?:(\d+)px", r.body)), 11)
            self.assertNotRegex(r.body, rb"<script|href|<image|<foreignObject|@import|https?://(?!www\.w3\.org/2000/svg)")

    def test_hostile_words_are_only_words_in_the_chart(self):
        hostile = ("<b>]]>" + HOSTILE)[:31]
        self.api.boot = {"hostname": HOSTILE[:63], "version": hostile, "reason": HOSTILE + "\x01\x1b[31m\ufffe\u202e"}
        self.api.nodes = [stage(hostile, FAILED, 1, 2, HOSTILE * 2), stage("\"&'<>", BLOCKED, reason="\U0001f600" * 60)]
        root = ElementTree.fromstring(self.api.request("/api/v1/boot.svg").body)
        self.assertEqual({e.tag.partition("}")[2] for e in root.iter()},
                         {"svg", "title", "desc", "style", "defs", "pattern", "path", "text", "rect", "g"})
        self.assertIn("\"&'<>", [e.text for e in root.iter("{http://www.w3.org/2000/svg}text")])

    def test_the_chart_is_unavailable_while_pid_1_is(self):
        self.api.nodes = [{"name": "x", "state": 200}]
        self.assertEqual(self.api.request("/api/v1/boot.svg").status, 503)


class Real(unittest.TestCase):
    def test_a_real_held_boot_is_drawn_with_its_reason(self):
        api = {"listen": "127.0.0.1:3535", "tls_hosts": ["localhost"]}
        stages = [pid1.stage("network"), pid1.stage("disk", "echo no key >&2; exit 125", needs=["network"])]
        with pid1.Pid1(pid1.boot(stages, api=api, held={"action": "hold"})) as machine:
            machine.wait("gantry", "held")
            machine.wait("system-api", "listens on", kind="message")
            r = machine.inside("curl", "-sS", "-k", "https://127.0.0.1:3535/api/v1/boot.svg", timeout=30)
            words = [e.text for e in ElementTree.fromstring(r.stdout).iter("{http://www.w3.org/2000/svg}text")]
            for wanted in "network", "done", "disk", "failed":
                self.assertIn(wanted, words)
            self.assertTrue(any(word.startswith("held after ") for word in words), words)
            self.assertEqual(len([word for word in words if "no key" in word]), 2, words)    # of the boot and of the stage


if __name__ == "__main__":
    unittest.main()
