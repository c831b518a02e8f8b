# SPDX-License-Identifier: GPL-2.0-or-later
"""A real browser, headless: chromium through chromedriver, spoken to in WebDriver (W3C) over HTTP. What it wrote to its
console and where it sent requests can be asked for afterwards. Ends its own processes and nobody else's."""

import base64
import http.client
import json
import os
import re
import signal
import subprocess
import tempfile
import time

from patience import PATIENCE

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
KEYS = {"Tab": "\ue004", "Enter": "\ue007", "Escape": "\ue00c", "Space": "\ue00d", "End": "\ue010", "Home": "\ue011",
        "Up": "\ue013", "PageUp": "\ue00e"}


class Browser:
    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="gantry-browser-")
        # chromedriver writes its port to standard output, chromium's complaints go nowhere
        self.driver = subprocess.Popen(["chromedriver", "--port=0"], stdin=subprocess.DEVNULL,
                                       stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=self.folder.name,
                                       env=dict(os.environ, HOME=self.folder.name, TMPDIR=self.folder.name))
        self.session = self.process = None
        for line in self.driver.stdout:
            found = re.search(rb"successfully on port (\d+)", line)
            if found:
                self.port = int(found.group(1))
                break
        else:
            raise AssertionError("chromedriver did not start")
        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                     "--disable-extensions", "--disable-background-networking", "--disable-component-update",
                     "--no-proxy-server", f"--user-data-dir={self.folder.name}/profile"]
        answer = self.call("POST", "/session", {"capabilities": {"alwaysMatch": {
            "acceptInsecureCerts": True,
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
            "goog:chromeOptions": {"args": arguments}}}})
        self.session = answer["sessionId"]
        self.process = answer["capabilities"].get("goog:processID")

    def call(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60 * PATIENCE)
        try:
            connection.request(method, path, None if body is None else json.dumps(body), {"Content-Type": "application/json"})
            value = json.loads(connection.getresponse().read())["value"]
        finally:
            connection.close()
        if isinstance(value, dict) and "error" in value:
            raise AssertionError(f"{method} {path}: {value['error']}: {value['message']}")
        return value

    def do(self, path, body=None, method="POST"):
        return self.call(method, f"/session/{self.session}/{path}", {} if body is None and method == "POST" else body)

    def close(self):
        try:
            if self.session:
                self.call("DELETE", f"/session/{self.session}")
        finally:
            self.driver.terminate()
            self.driver.wait()
            self.driver.stdout.close()
            if self.process and os.path.exists(f"/proc/{self.process}"):
                os.kill(self.process, signal.SIGKILL)
            try:
                self.folder.cleanup()
            except OSError:
                pass        # the profile is still being written to

    # ---- pages

    def open(self, url):
        self.do("url", {"url": url})

    def script(self, source, *arguments):
        return self.do("execute/sync", {"script": source, "args": list(arguments)})

    def wait(self, condition, what, timeout=10):
        """Until the JavaScript expression is true; its value."""
        deadline = time.monotonic() + timeout * PATIENCE
        while time.monotonic() < deadline:
            value = self.script(f"return {condition}")
            if value:
                return value
            time.sleep(0.05)
        raise AssertionError(f"did not happen within {timeout * PATIENCE:g} s: {what}; the page: {self.text('body')}")

    def element(self, selector):
        return self.do("element", {"using": "css selector", "value": selector})[ELEMENT]

    def text(self, selector):
        return self.script("return document.querySelector(arguments[0]).innerText", selector)

    def click(self, selector):
        self.do(f"element/{self.element(selector)}/click")

    def type(self, selector, text):
        self.do(f"element/{self.element(selector)}/value", {"text": text})

    def press(self, *keys, shift=False):
        """Keys by name or character, to what has the focus."""
        actions = [{"type": "keyDown", "value": "\ue008"}] if shift else []
        for key in keys:
            value = KEYS.get(key, key)
            actions += [{"type": "keyDown", "value": value}, {"type": "keyUp", "value": value}]
        actions += [{"type": "keyUp", "value": "\ue008"}] if shift else []
        self.do("actions", {"actions": [{"type": "key", "id": "keys", "actions": actions}]})

    # ---- how it looks

    def size(self, width, height, dark=False):
        self.cdp("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.cdp("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            {"name": "prefers-reduced-motion", "value": "reduce"}])      # and so the browser scrolls at once

    def screenshot(self, path, full=False):
        """Without scroll bars; full: with all that would be seen after scrolling."""
        os.makedirs(os.path.dirname(path), exist_ok=True)
        self.cdp("Emulation.setScrollbarsHidden", hidden=True)
        clip = self.script("return {x: 0, y: 0, width: innerWidth, height: document.documentElement.scrollHeight, scale: 1}") \
            if full else None
        picture = self.cdp("Page.captureScreenshot", format="png", captureBeyondViewport=full,
                           **({"clip": clip} if full else {}))["data"]
        self.cdp("Emulation.setScrollbarsHidden", hidden=False)
        with open(path, "wb") as file:
            file.write(base64.b64decode(picture))

    def cdp(self, command, **parameters):
        return self.do("goog/cdp/execute", {"cmd": command, "params": parameters})

    # ---- what it did

    def log(self, kind):
        return self.do("se/log", {"type": kind})

    def complaints(self):
        """What the page's console has since the last call."""
        return [entry["message"] for entry in self.log("browser") if entry["level"] in ("SEVERE", "WARNING")]

    def requests(self):
        """The addresses of all requests since the last call."""
        messages = [json.loads(entry["message"])["message"] for entry in self.log("performance")]
        return [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
