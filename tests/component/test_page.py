# SPDX-License-Identifier: GPL-2.0-or-later
"""The page for browsers and the boot chart: what the server sends, and what a real chromium makes of it against the real
role. Screenshots of every width, light and dark, are left in build/screens."""

import json
import os
import re
import time
import unittest
import xml.etree.ElementTree as ElementTree

import pid1
from browser import Browser
import fake_control
from fake_control import REFRESH_BODY, REPO, ns, wait_for
from test_api import Api

WAITING, RUNNING, RETRYING, READY, DONE, SKIPPED, STOPPING, STOPPED, DISABLED, FAILED, BLOCKED = range(11)
BOOTING, BOOTED, HELD, ENDING = range(4)
MESSAGE, STATE, PROGRESS = range(3)
DEBUG, INFO, NOTICE, WARNING, ERROR = range(5)
STAGE, SERVICE = range(2)
SOURCES = os.path.join(REPO, "init", "api", "page")
SCREENS = os.path.join(REPO, "build", "screens")
GIB = 1 << 30

HOSTILE = "<img src=x onerror=\"document.title='owned'\"></script><script>document.title='owned'</script>&amp;'"


def read(name):
    with open(os.path.join(SOURCES, name), encoding="utf-8") as file:
        return file.read()


def stage(name, state=WAITING, began=0, ended=0, reason="", **more):
    return {"name": name, "type": name, "state": state, "started_s": began, "first_started_s": began, "ended_s": ended,
            "reason": reason, "attempts": 1 if began else 0, **more}


def service(name, state=WAITING, began=0, ready=0, reason="", **more):
    return stage(name, state, began, ready, reason, kind=SERVICE, **{"type": "service", **more})


def booting():
    """Half-way: the snapshot is being fetched, one stage has needed three attempts."""
    return {"state": BOOTING, "now_s": 27.3, "started_s": 0.9, "ended_s": 0, "hostname": "builder-07", "version": "0.1.0"}, [
        stage("network", DONE, 0.95, 2.4, "10.0.0.4/24 via 10.0.0.1 on eth0"),
        stage("azure", DONE, 2.45, 4.1, "ready, incarnation 1"),
        stage("clock", DONE, 2.45, 5.2, "synchronised with 169.254.169.123, off by 12 ms",
              facts=b"synchronised=true\0offset_s=-0.0123\0stratum=3\0source=169.254.169.123\0"),
        stage("config", DONE, 11.9, 12.6, "fetched 4812 bytes, sha256 6a1f0c", first_started_s=5.25, attempts=3),
        stage("disk", DONE, 1.0, 8.3, "opened lun 10, 1.8 TiB, ext4",
              facts=b"device=/dev/sdc\0size_bytes=1979120929996\0rule=lun 10\0opened_by=tpm\0formatted=false\0"
                    b"filesystem=ext4\0mount=/persistent\0luks_uuid=0d6f3c1e-58a1-4b8e-9c61-1f6d0a7f2b43\0"),
        stage("measure", SKIPPED, 12.65, 12.7, "no vTPM"),
        stage("render", DONE, 12.65, 12.71, "7 files"),
        stage("snapshot", RUNNING, 12.8, 0, "fetching static files", pid=204),
        stage("tune", RETRYING, 12.8, 13.1, "/usr/bin/tune: exit status 3: cannot set the governor", attempts=2,
              first_started_s=12.7, next_start_s=29),
        service("chronyd", READY, 2.5, 2.9, pid=120),
        service("reth"), service("rbuilder"), service("node-exporter", READY, 8.4, 8.9, pid=133),
    ]


def booted():
    boot, nodes = booting()
    boot.update(state=BOOTED, now_s=3912.4, ended_s=96.2)
    nodes[7] = stage("snapshot", DONE, 12.8, 71.4, "412.6 GiB in 1182 files")
    nodes[8] = stage("tune", DONE, 29.1, 29.4, "", first_started_s=12.7, attempts=3)
    nodes[10] = service("reth", READY, 71.5, 94.8, pid=310, lines=b"too old to be shown\0one\0two\0peers: 31\0")
    nodes[11] = service("rbuilder", READY, 3801.2, 3803, pid=977, first_started_s=94.9, attempts=4)
    return boot, nodes


def held():
    boot, nodes = booting()
    why = "disk lun 10: LUKS2 header refused: cipher \"cipher_null-ecb\" is not aes-xts-plain64; the disk was left untouched"
    boot.update(state=HELD, now_s=412.0, ended_s=14.2, reason="disk: " + why)
    nodes[4] = stage("disk", FAILED, 1.0, 14.1, why)
    nodes[7] = stage("snapshot", BLOCKED, reason="needs disk")
    nodes[8] = stage("tune", DONE, 12.8, 13.1)
    nodes[10:12] = [service("reth", BLOCKED, reason="needs snapshot"), service("rbuilder", BLOCKED, reason="needs snapshot")]
    return boot, nodes


class Machine(Api):
    """Its clock goes on."""

    def boot_body(self, now_s=9, **boot):
        return super().boot_body(now_s + time.monotonic() - self.since, **boot)

    since = 0


def set_scene(api, scene):
    api.since = time.monotonic()
    api.boot, api.nodes = scene


def story(api, n=60):
    """Events as a boot tells them."""
    api.add("running", "network", kind=STATE, fields=b"attempt=1\0", boot_ns=950000000)
    api.add("done", "network", kind=STATE, fields=b"attempt=1\0text=10.0.0.4/24 via 10.0.0.1 on eth0\0", boot_ns=2400000000)
    api.add("the goal state has no health endpoint, asking again", "azure", DEBUG, boot_ns=2900000000)
    api.add("hub.example.org: 403 Forbidden; an operator has to allow this node", "config", WARNING, boot_ns=5600000000)
    api.add("retrying", "config", WARNING, STATE, b"attempt=2\0text=403 Forbidden\0", boot_ns=6000000000)
    api.add("done", "config", NOTICE, STATE, b"attempt=3\0text=fetched 4812 bytes\0", boot_ns=12600000000)
    for i in range(n):
        api.add(f"block {21000000 + i} in 11.{i:03} ms, 187 transactions, 29.8 Mgas", "reth", boot_ns=13000000000 + i * 200000000)
    api.add("bidding: connection to relay-2 lost: connection reset by peer", "rbuilder", ERROR, boot_ns=26000000000)
    api.add("120 GiB of 412 GiB", "snapshot", INFO, PROGRESS,
            b"done=%d\0total=%d\0per_second=%d\0eta_s=%d\0" % (120 * GIB, 412 * GIB, 7 * GIB, 42), boot_ns=27000000000)


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


class Page(unittest.TestCase):
    """What a browser makes of it. Each test starts from a boot of its own; chromium is started once for all of them."""

    @classmethod
    def setUpClass(cls):
        cls.browser = Browser()
        cls.addClassCleanup(cls.browser.close)

    def setUp(self):
        self.api = Machine().start()
        self.addCleanup(lambda: self.api.kill())
        set_scene(self.api, booting())
        self.browser.size(1440, 900)
        self.browser.complaints()
        self.browser.requests()
        self.addCleanup(self.nothing_was_wrong)

    def nothing_was_wrong(self):
        self.browser.open("about:blank")     # before its server goes
        complaints = [c for c in self.browser.complaints() if not any(known in c for known in self.expected)]
        self.assertEqual(complaints, [])
        for url in self.browser.requests():
            self.assertTrue(url.startswith((f"https://127.0.0.1:{self.api.port}/", "chrome:", "about:")), url)

    expected = []       # complaints of the browser that a test causes

    def open(self):
        self.browser.open(f"https://127.0.0.1:{self.api.port}/")
        self.browser.wait("document.querySelector('#link').dataset.link === 'live' && !document.querySelector('#main').hidden",
                          "the page is live")

    def wait_text(self, selector, text, timeout=10):
        self.browser.wait(f"(document.querySelector({json.dumps(selector)})?.innerText ?? '').includes({json.dumps(text)})",
                          f"{text!r} in {selector}", timeout)

    def rows(self):
        rows = self.browser.script("return [...document.querySelectorAll('#rows .row')].map(r => r.innerText)")
        return [" ".join(row.split()) for row in rows]

    def test_it_follows_a_boot_live(self):
        story(self.api)
        self.open()
        b = self.browser
        self.wait_text("#rows", "relay-2 lost")
        self.assertEqual((b.text("#hostname"), b.text("#state"), b.text("#version")), ("builder-07", "booting", "gantry 0.1.0"))
        self.assertRegex(b.text("#since"), r"^up \d+ s$")
        self.assertEqual(b.script("return [...document.querySelectorAll('#nodes .name')].map(n => n.textContent)"),
                         [node["name"] for node in self.api.nodes])
        self.wait_text("#progress", "120.0 GiB of 412.0 GiB, 7.0 GiB/s, 42 s left")
        self.wait_text("#progress", "29.1 %")
        self.api.add("206 GiB of 412 GiB", "snapshot", INFO, PROGRESS, b"done=%d\0total=%d\0" % (206 * GIB, 412 * GIB))
        self.wait_text("#progress", "50.0 %")
        self.assertFalse(b.script("return document.querySelector('#reason').checkVisibility()"))
        self.assertEqual(b.text("#service-list .service:nth-child(2) .lines").split("\n")[-1][:14], "block 21000059")
        # the end of the boot, told by one event
        set_scene(self.api, booted())
        self.api.refresh = REFRESH_BODY.pack(ns(50), ns(60), 0, 1, 2, 3, 0, 2, b"2c81" * 16, b"config: hub answered 500")
        self.api.add("booted", "gantry", NOTICE, STATE)
        self.wait_text("#state", "booted", 4)       # well before the page would ask by itself
        self.wait_text("#since", "up 1 h 5 min, booted after 1 min 36 s")
        self.wait_text("#said", "The boot is booted")
        self.wait_text("#service-list .service:nth-child(3)", "3 restarts")
        self.wait_text("#fact-list", "config: hub answered 500")
        lines = "return [...document.querySelectorAll('#service-list .service:nth-child(2) .lines p')].map(p => p.textContent)"
        self.assertEqual(b.script(lines), ["one", "two", "peers: 31"])      # what is in its log is no event
        self.assertFalse(b.script("return document.querySelector('#progress').checkVisibility()"))
        self.assertEqual(b.script("return document.title"), "booted · builder-07")
        self.assertIn("[network] done".replace("[", "").replace("] ", " "), " ".join(self.rows()))

    def test_bars_are_where_their_times_are(self):
        for start, first in (0, "0"), (1000, "1000"):       # the axis leaves out a long time before PID 1
            set_scene(self.api, ({"state": BOOTED, "now_s": start + 60, "started_s": start + 0.5, "ended_s": start + 10}, [
                stage("disk", DONE, start + 6, start + 7, first_started_s=start + 2, attempts=2),
                service("reth", READY, start + 7, start + 8)]))
            self.open()
            places = self.browser.script("""return [...document.querySelectorAll('.track > *')].filter(e => !e.hidden)
                .map(e => [e.className, Math.round(parseFloat(e.style.left)), Math.round(parseFloat(e.style.width))])""")
            self.assertEqual(places, [["early", 20, 40], ["bar done", 60, 10], ["bar ready", 70, 10], ["life", 80, 20]])
            ticks = self.browser.script("return [...document.querySelectorAll('.ticks span')].map(e => e.textContent)")
            self.assertEqual((ticks[0], len(ticks)), (first, 6))
            self.assertEqual(self.browser.text("#nodes .node:nth-child(1) .took"), "5.00 s")

    def test_a_held_boot_says_why_in_large_letters(self):
        self.open()
        set_scene(self.api, held())
        self.api.add("failed", "disk", ERROR, STATE, b"text=header refused\0")
        self.wait_text("#state", "held")
        b = self.browser
        self.assertEqual(b.text("#reason"), self.api.boot["reason"])
        self.assertGreaterEqual(b.script("return parseFloat(getComputedStyle(document.querySelector('#reason')).fontSize)"), 18)
        disk = "#nodes .node:nth-child(5) "
        self.assertEqual((b.text(disk + ".word"), b.text(disk + ".why")), ("failed", self.api.nodes[4]["reason"]))
        self.assertEqual(b.text("#nodes .node:nth-child(8) .word"), "blocked")
        self.wait_text("#said", "disk failed")

    def test_hostile_words_are_only_words(self):
        set_scene(self.api, held())
        self.api.boot.update(hostname=HOSTILE[:60], reason=HOSTILE, version=HOSTILE[:30])
        self.api.nodes[0].update(name=HOSTILE[:30], reason=HOSTILE)
        self.api.nodes[9].update(name=HOSTILE[:30])
        self.api.add(HOSTILE, HOSTILE[:30], ERROR, fields=b"key=" + HOSTILE.encode() + b"\0text=" + HOSTILE.encode() + b"\0")
        self.api.add(HOSTILE, HOSTILE[:30], ERROR, PROGRESS, fields=b"done=<b>1</b>\0total=x\0")
        self.open()
        self.wait_text("#rows", HOSTILE)
        b = self.browser
        self.assertEqual(b.text("#reason"), HOSTILE)
        self.assertEqual(b.script("return document.querySelectorAll('main img, main script, header img, #rows b b').length"), 0)
        self.assertNotEqual(b.script("return document.title"), "owned")

    def test_the_log_is_filtered_by_level_source_and_text(self):
        story(self.api)
        self.open()
        b = self.browser
        self.wait_text("#rows", "relay-2 lost")
        everything = len(self.rows())
        self.assertEqual(everything, self.api.seq)
        b.script("const s = document.querySelector('#filter-level'); s.value = '3'; s.dispatchEvent(new Event('input'))")
        self.assertEqual([row.split()[2:4] for row in self.rows()],
                         [["warning", "config"], ["warning", "config"], ["error", "rbuilder"]])
        b.script("const s = document.querySelector('#filter-source'); s.value = 'config'; s.dispatchEvent(new Event('input'))")
        self.assertEqual(len(self.rows()), 2)
        b.type("#filter-text", "FORBIDDEN; an")
        self.assertEqual(len(self.rows()), 1)
        self.assertEqual(b.text("#shown"), f"1 of {everything} events")
        self.api.add("Forbidden; and this one comes later", "config", ERROR)
        self.api.add("this one is not wanted", "config", ERROR)
        self.wait_text("#rows", "comes later")
        self.wait_text("#shown", f"2 of {everything + 2} events")

    def test_the_log_follows_unless_its_reader_looks_back_and_stays_bounded(self):
        story(self.api, 1000)
        self.open()
        b = self.browser
        self.wait_text("#rows", "relay-2 lost")
        at_end = "(r => r.scrollHeight - r.scrollTop - r.clientHeight < 24)(document.querySelector('#rows'))"
        b.wait(at_end, "the newest is seen")
        b.script("document.querySelector('#rows').scrollTop = 200")
        b.wait("document.querySelector('#newest').checkVisibility()", "the way back")
        self.api.add("while looking back", "http")
        self.wait_text("#newest", "1 more")
        self.assertEqual(b.script("return document.querySelector('#rows').scrollTop"), 200)
        b.click("#newest")
        b.wait(at_end, "the newest is seen")
        self.assertFalse(b.script("return document.querySelector('#newest').checkVisibility()"))
        for i in range(3500):
            self.api.add(f"flood {i}", "http")
        self.wait_text("#rows", "flood 3499")
        self.assertLessEqual(len(self.rows()), 2200)
        b.wait(at_end, "the newest is seen")

    def test_a_lost_connection_is_seen_and_nothing_is_shown_twice(self):
        story(self.api)
        self.open()
        self.expected = self.expected + ["ERR_", "/api/v1/status"]
        self.wait_text("#rows", "relay-2 lost")
        self.api.kill()
        self.wait_text("#link", "connection lost, retrying")
        self.api.add("in the meantime", "http")
        self.api.start()
        self.browser.wait("document.querySelector('#link').dataset.link === 'live'", "the page is live again", 30)
        self.wait_text("#rows", "in the meantime")
        self.wait_text("#rows", "listens on")
        seqs = self.browser.script("return [...document.querySelectorAll('#rows .row')].map(r => Number(r.dataset.seq))")
        self.assertEqual(seqs, list(range(1, self.api.seq + 1)))

    def test_another_boot_begins_a_new_log(self):
        story(self.api)
        self.open()
        self.expected = self.expected + ["ERR_", "/api/v1/status"]
        self.wait_text("#rows", "relay-2 lost")
        self.api.kill()
        self.wait_text("#link", "connection lost, retrying")
        self.api.events, self.api.seq = [], 0
        self.api.add("the second boot", "gantry")
        self.api.start()
        self.wait_text("#rows", "the second boot")
        self.assertNotIn("relay-2", " ".join(self.rows()))

    def test_another_boot_is_seen_even_if_it_has_told_more(self):
        self.open()
        self.expected = self.expected + ["ERR_", "/api/v1/status"]
        self.wait_text("#rows", "listens on")
        self.api.kill()
        self.wait_text("#link", "connection lost, retrying")
        self.api.events, self.api.seq = [], 0
        self.api.add("the second boot", "gantry")
        for i in range(100):
            self.api.add(f"more {i}", "gantry")
        self.api.start()
        self.api.boot["now_s"] = 3
        self.wait_text("#rows", "the second boot")

    def test_events_that_were_lost_are_said(self):
        self.api.ring = 50
        self.api.kill()
        self.api.start()
        story(self.api)
        self.open()
        self.wait_text("#rows", "events were before these, no longer kept")
        self.assertEqual(len(self.rows()), 51)
        self.expected = self.expected + ["ERR_", "/api/v1/status"]
        self.api.kill()
        self.wait_text("#link", "connection lost, retrying")
        for i in range(100):
            self.api.add(f"unseen {i}", "http")
        self.api.start()
        self.wait_text("#rows", "events were overwritten before this page got it")
        self.wait_text("#rows", "listens on")
        self.assertNotIn("unseen 1 ", " ".join(self.rows()))

    def test_who_is_refused_is_told_why_and_not_asked_again(self):
        b = self.browser
        script = b.cdp("Page.addScriptToEvaluateOnNewDocument", source="""
            const real = window.fetch;
            window.asked = 0;
            window.fetch = async (path, options) => path !== "/api/v1/status" || !window.refuse ? real(path, options) :
                (window.asked++, new Response('{"code":401,"message":"Unauthorized"}', {status: 401}));""")["identifier"]
        self.addCleanup(lambda: b.cdp("Page.removeScriptToEvaluateOnNewDocument", identifier=script))
        self.open()
        b.script("window.refuse = true")
        self.api.add("done", "clock", kind=STATE)
        self.wait_text("#trouble", "Not allowed: the machine asks for a password")
        self.assertEqual(b.text("#link"), "not allowed")
        self.assertEqual(b.script("refreshSoon(); return new Promise(then => setTimeout(() => then(window.asked), 500))"), 1)

    def test_the_keyboard_reaches_everything(self):
        story(self.api)
        self.open()
        b = self.browser
        self.wait_text("#rows", "relay-2 lost")
        reached = []
        for _ in range(12):
            b.press("Tab")
            reached.append(b.script("""const e = document.activeElement, s = getComputedStyle(e);
                return [e.id || e.getAttribute('href') || e.className, s.outlineStyle, parseFloat(s.outlineWidth)]"""))
            if reached[-1][0] == "rows":
                break
        names = [name for name, _, _ in reached]
        for name in "#rows", "/api/v1/boot.svg", "/logs", "filter-text", "filter-level", "filter-source", "rows":
            self.assertIn(name, names)
        for name, style, width in reached:
            self.assertTrue(style != "none" and width >= 1, f"the focus is not seen on {name}")
        # chromium sometimes swallows such a key while it still draws the last one's scrolling
        for key, reached in (("Home", "r.scrollTop === 0"), ("End", "r.scrollHeight - r.scrollTop - r.clientHeight < 24")):
            def pressed(key=key, reached=reached):
                b.press(key)
                return b.script(f"const r = document.querySelector('#rows'); return {reached}")
            wait_for(pressed, f"{key} moves the log")

    def test_it_speaks_to_those_who_do_not_see_it(self):
        story(self.api)
        self.open()
        tree = self.browser.cdp("Accessibility.getFullAXTree")["nodes"]
        nodes = [(n.get("role", {}).get("value"), n.get("name", {}).get("value")) for n in tree if not n.get("ignored")]
        for wanted in (("banner", ""), ("main", ""), ("heading", "builder-07"), ("heading", "Boot"), ("heading", "Log"),
                       ("region", "Boot"), ("region", "Log"), ("region", "Services"), ("log", "Log"), ("status", ""),
                       ("searchbox", "Text"), ("combobox", "Level"), ("combobox", "Source"), ("progressbar", "snapshot"),
                       ("link", "Skip to the log")):
            self.assertIn(wanted, nodes)
        self.assertEqual(self.browser.script("return document.querySelector('#rows').getAttribute('aria-live')"), "off")
        self.assertEqual(self.browser.script(
            "return [...document.querySelectorAll('button, input, select, a')].filter(e => e.checkVisibility() && "
            "!(e.innerText || e.labels?.length)).map(e => e.outerHTML)"), [])

    FAKE_ACTIONS = """
        const real = window.fetch;
        window.asked = [];
        window.fetch = async (path, options) => {
            const answer = (status, body) => new Response(JSON.stringify(body), {status});
            if (!/^.api.v1.(actions|file-upload)/.test(path))
                return real(path, options);
            if (path === "/api/v1/actions")
                return answer(200, {actions: [{name: "rbuilder_restart"}, {name: "reboot"}],
                                    file_uploads: [{name: "rbuilder_blocklist"}]});
            window.asked.push([options.method, path, options.credentials, options.body ? await options.body.text() : null]);
            if (path.includes("reboot"))
                return answer(401, {code: 401, message: "Unauthorized"});
            if (path.includes("upload"))
                return answer(200, {message: "File uploaded successfully", file: "/x", size_bytes: "2"});
            return answer(202, {id: "7", message: "Action accepted"});
        };"""

    def test_an_action_runs_only_when_confirmed_and_shows_what_became_of_it(self):
        b = self.browser
        script = b.cdp("Page.addScriptToEvaluateOnNewDocument", source=self.FAKE_ACTIONS)["identifier"]
        self.addCleanup(lambda: b.cdp("Page.removeScriptToEvaluateOnNewDocument", identifier=script))
        self.open()
        self.wait_text("#actions", "rbuilder_restart")
        button = "#action-list button:first-child"
        b.click(button)
        self.assertEqual(b.text("#confirm-title"), "Run rbuilder_restart?")
        self.assertEqual(b.script("return document.activeElement.id"), "confirm-no")
        b.press("Escape")
        b.click(button)
        b.click("#confirm-no")
        self.assertEqual(b.script("return window.asked"), [])
        b.click(button)
        b.click("#confirm-yes")
        self.wait_text("#runs", "accepted, number 7")
        self.assertEqual(b.script("return window.asked"),
                         [["POST", "/api/v1/actions/rbuilder_restart?async=1", "same-origin", None]])
        self.api.add("executing action: rbuilder_restart = x", "system-api", fields=b"action=rbuilder_restart\0id=7\0")
        self.wait_text("#runs", "executing action: rbuilder_restart = x")
        self.api.add("another one's", "system-api", fields=b"action=rbuilder_restart\0id=8\0")
        self.api.add("executing action success: rbuilder_restart", "system-api", fields=b"action=rbuilder_restart\0id=7\0")
        self.wait_text("#runs .ok", "done")
        self.assertNotIn("another one's", b.text("#runs"))
        b.click("#action-list button:nth-child(2)")
        b.click("#confirm-yes")
        self.wait_text("#runs .bad", "Not allowed")
        path = os.path.join(self.browser.folder.name, "list.json")
        with open(path, "w", encoding="utf-8") as file:
            file.write("[]")
        b.type("#upload-list input", path)
        b.click("#upload-list button")
        self.assertIn("list.json, 2 bytes", b.text("#confirm-text"))
        b.click("#confirm-yes")
        self.wait_text("#runs", "File uploaded successfully")
        self.assertEqual(b.script("return window.asked.at(-1)"),
                         ["POST", "/api/v1/file-upload/rbuilder_blocklist", "same-origin", "[]"])
        b.script("document.querySelector('#actions').scrollIntoView()")
        b.screenshot(os.path.join(SCREENS, "actions.png"))

    def test_an_action_of_the_real_server_is_run_and_followed(self):
        self.api.kill()
        self.api = Machine(actions=[{"name": "rotate", "command": ["/bin/true"]}, {"name": "fails", "command": ["/bin/false"]}])
        asked = []

        def act(kind, body):
            asked.append((kind, body))
            name = body.decode()
            fields = b"action=%s\0id=%d\0" % (body, len(asked))
            self.api.add(f"executing action: {name} = x", "system-api", fields=fields)
            if name == "fails":
                self.api.add("error executing action: fails - error: exit status 1 (stderr: )", "system-api", ERROR,
                             fields=fields + b"result=failed\0error=exit status 1\0")
            else:
                self.api.add(f"executing action success: {name}", "system-api", fields=fields + b"result=success\0")
            return len(asked), b""
        self.api.act = act
        self.api.start()
        set_scene(self.api, booting())
        self.open()
        self.wait_text("#actions", "rotate")
        for button, outcome, word in ("first", "ok", "done"), ("last", "bad", "failed"):
            self.browser.click(f"#action-list button:{button}-child")
            self.browser.click("#confirm-yes")
            self.wait_text(f"#runs .{outcome}", word)
        self.wait_text("#runs", "exit status 1")
        self.assertEqual(asked, [(fake_control.ACTION, b"rotate"), (fake_control.ACTION, b"fails")])

    def test_without_javascript_the_log_and_the_chart_are_there(self):
        story(self.api)
        wait_for(lambda: b"relay-2" in self.api.request("/logs").body, "the events")
        b = self.browser
        b.cdp("Emulation.setScriptExecutionDisabled", value=True)
        self.addCleanup(lambda: b.cdp("Emulation.setScriptExecutionDisabled", value=False))
        b.open(f"https://127.0.0.1:{self.api.port}/")
        b.cdp("DOMSnapshot.enable")

        def shown():
            snapshot = b.cdp("DOMSnapshot.captureSnapshot", computedStyles=[])
            return [snapshot["strings"][i] for document in snapshot["documents"] for i in document["layout"]["text"] if i >= 0]
        wait_for(lambda: any("relay-2 lost" in text for text in shown()), "the log in its frame")
        self.assertTrue(any("Without JavaScript" in text for text in shown()))
        self.assertIn(f"https://127.0.0.1:{self.api.port}/api/v1/boot.svg", b.requests())
        for width in 320, 1440:
            b.size(width, 900)
            b.screenshot(os.path.join(SCREENS, f"plain-{width}.png"))

    def test_it_fits_every_width_in_the_dark_and_in_the_light(self):
        b = self.browser
        for name, scene in ("booting", booting()), ("booted", booted()), ("held", held()):
            set_scene(self.api, scene)
            if name == "booting":
                story(self.api)
            self.open()
            self.wait_text("#rows", "relay-2 lost")
            for width, height in (320, 640), (768, 1024), (1440, 900), (2560, 1300):
                for dark in False, True:
                    b.size(width, height, dark)
                    time.sleep(0.1)     # for the picture only: a frame with the new size
                    self.assertLessEqual(b.script("return document.documentElement.scrollWidth"), width, (name, width))
                    wide = b.script("""return [...document.querySelectorAll('body *')].filter(e => e.checkVisibility() &&
                        !e.closest('.unseen, .skip, .ticks') && e.getBoundingClientRect().right > innerWidth + 0.5)
                        .map(e => e.outerHTML.slice(0, 99))""")
                    self.assertEqual(wide, [], (name, width))
                    mode = "dark" if dark else "light"
                    b.screenshot(os.path.join(SCREENS, f"{name}-{width}-{mode}.png"), full=width < 1440)
        for name, scene in ("booting", booting()), ("booted", booted()), ("held", held()):
            set_scene(self.api, scene)
            for dark in False, True:
                b.size(960, 560, dark)
                b.open(f"https://127.0.0.1:{self.api.port}/api/v1/boot.svg")
                b.screenshot(os.path.join(SCREENS, f"chart-{name}-{'dark' if dark else 'light'}.png"))


if __name__ == "__main__":
    unittest.main()
