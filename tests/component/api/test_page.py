# SPDX-License-Identifier: GPL-2.0-or-later
"""The page for browsers: what a real chromium makes of it against the real role. Screenshots of every width, light and dark,
are left in build/screens."""

import json
import os
import time
import unittest

import fake_control
from browser import Browser
from fake_control import REFRESH_BODY, REPO, ns, wait_for
from scenes import (BOOTED, DONE, ERROR, GIB, HOSTILE, INFO, NOTICE, PROGRESS, READY, STATE, Machine, booted, booting, held,
                    service, set_scene, stage, story)

SCREENS = os.path.join(REPO, "build", "screens")


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
        self.assertEqual((b.text("#hostname"), b.text("#state"), b.text("#version")),
                         ("builder-07", "booting", "gantry 0.1.0, image web 1.2.3"))
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
        self.assertRegex(b.text("#fact-list"), r"certificate end\s+20\d\d-\d\d-\d\d \d\d:\d\d UTC")
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
        self.wait_text("#rows", "events were overwritten before these")
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
