# SPDX-License-Identifier: GPL-2.0-or-later
"""The System API of a whole machine, over two boots: before its disk is open, on it, while the boot is held, and what is
known of the first boot in the second one."""

import base64
import hashlib
import http.client
import json
import re
import ssl
import unittest
from xml.sax.saxutils import escape

import support
from support import BootTest, add_exec, node, only
from qemu import machine

setUpModule = support.setUpModule
PASSWORD = "correct horse"
LIST = b'{"blocked": ["0x00000000219ab540356cbb839cbe05303d7705fa"]}\n'
LOCKED = (503, {"code": 503, "message": "Not before the disk is open"})


def small(config):
    """The network, a disk, the API of the real image with acts of our own, and a stage that fails: the boot is held."""
    only(config, "network", "dhcpcd", "disk")
    config["modules"] = ["virtio_net", "virtio_scsi", "sd_mod", "dm_mod", "dm_crypt", "aesni_intel", "xts", "button", "evdev"]
    node(config, "disk")["options"].update(
        keys=["tpm2"], directories=[{"path": "uploads", "user": "root", "group": "root", "mode": "0755"}])
    config["api"]["actions"] = [{"name": "reboot", "verb": "@reboot"},
                                {"name": "look", "command": ["/bin/probe", "tree", "/persistent/uploads"]},
                                {"name": "fails", "command": ["/bin/probe", "queue", "99", "scheduler"]}]
    config["api"]["uploads"] = [{"name": "list", "path": "/persistent/uploads/list.json"}]
    add_exec(config, "broken", ["/bin/probe", "queue", "98", "scheduler"], needs=["disk"])


def digest_of_uploads():
    """As probe's `tree` makes it."""
    return hashlib.sha256(b"/list.json\0" + hashlib.sha256(LIST).hexdigest().encode()).hexdigest()


class Client:
    """Of a machine's API, through the port that QEMU forwards."""

    def __init__(self):
        self.headers = {}
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.context.check_hostname, self.context.verify_mode = False, ssl.CERT_NONE

    def log_in(self, password):
        self.headers["Authorization"] = "Basic " + base64.b64encode(f"admin:{password}".encode()).decode()

    def open(self, path, method="GET", body=None, **headers):
        connection = http.client.HTTPSConnection("127.0.0.1", machine.API_PORT, timeout=30 * machine.TIMEOUT_SCALE,
                                                 context=self.context)
        connection.request(method, path, body, {**self.headers, **headers})
        return connection, connection.getresponse()

    def ask(self, path, method="GET", body=None, **headers):
        """(status, text), or the object if it is one."""
        connection, response = self.open(path, method, body, **headers)
        text = response.read().decode()
        connection.close()
        return response.status, json.loads(text) if response.getheader("Content-Type") == "application/json" else text

    def get(self, path, **headers):
        status, answer = self.ask(path, **headers)
        if status != 200:
            raise AssertionError(f"{path}: {status} {answer}")
        return answer

    def stream(self, arguments, until):
        """The stream's events up to the first one that is wanted."""
        connection, response = self.open(f"/api/v1/events/stream?{arguments}")
        events = []
        while not events or not until(events[-1]):
            line = response.readline().decode()
            if not line:
                raise AssertionError("the stream has ended")
            if line.startswith("data: "):
                events.append(json.loads(line[6:]))
        connection.close()
        return events

    def certificate(self):
        """SHA-256 of what a client sees."""
        pem = ssl.get_server_certificate(("127.0.0.1", machine.API_PORT), timeout=30 * machine.TIMEOUT_SCALE)
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()


class SystemApi(BootTest):
    def from_disk(self, guest):
        """The certificate of the disk, once the API has it."""
        event = guest.wait_for("system-api", kind="message", text="^using the certificate from the disk", timeout=60,
                               despite_held=True)
        return event.fields["sha256"]

    def test_two_boots_of_a_machine_as_the_api_shows_them(self):
        guest, client = self.boot(change=small), Client()
        guest.wait_for("network", "done", timeout=60)
        self.before_the_disk(guest, client)
        guest.disk = self.blank_disk()
        guest.attach_disk()
        certificate = self.from_disk(guest)
        guest.wait_for("system-api", kind="message", text="^no password is set", despite_held=True)
        self.assertEqual(client.certificate(), certificate)
        self.acts(guest, client)
        self.agree_on_the_failure(guest, client)
        self.assertEqual(client.ask("/api/v1/actions/reboot", "POST"), (200, {"message": "Action executed successfully"}))
        self.assertEqual(guest.wait_end(), "guest-reset")
        self.keep_console(guest.folder, self.boots)

        first, guest, client = guest, self.boot(change=small, disk=self.disk), Client()
        self.assertEqual(self.from_disk(guest), certificate)
        self.assertEqual(client.certificate(), certificate)
        guest.wait_for("gantry", "held", timeout=60)
        self.second_boot(first, client)
        self.power_off(guest)

    def before_the_disk(self, guest, client):
        guest.wait_for("system-api", kind="message", text="^listens on")
        for path in "/api/v1/actions/look", "/api/v1/actions/reboot", "/api/v1/file-upload/list", "/api/v1/set-basic-auth":
            self.assertEqual(client.ask(path, "POST", b"stolen"), LOCKED, path)
        self.assertEqual(client.get("/livez"), {"status": "ok"})
        self.assertEqual(client.get("/api/v1/status")["boot"]["state"], "booting")
        self.assertEqual(client.ask("/api/v1/events?boot=-1"), LOCKED)
        self.assertIsNone(guest.find("disk", "done"))
        made = guest.find("system-api", kind="message", text="^made a certificate for localhost")[1].fields["sha256"]
        self.assertEqual((client.certificate(), client.get("/api/v1/status")["api"]["certificate_sha256"]), (made, made))

    def acts(self, guest, client):
        self.assertEqual(client.ask("/api/v1/set-basic-auth", "POST", PASSWORD.encode()),
                         (200, {"message": "Basic auth secret updated"}))
        self.assertEqual(client.ask("/livez"), (401, {"code": 401, "message": "Unauthorized"}))
        client.log_in(PASSWORD)
        self.assertEqual(client.ask("/api/v1/file-upload/list", "POST", LIST), (200, {
            "message": "File uploaded successfully", "file": "/persistent/uploads/list.json", "size_bytes": str(len(LIST))}))
        self.look_at_upload(client)
        status, answer = client.ask("/api/v1/actions/fails")
        self.assertEqual((status, answer["message"]), (500, "Failed to execute action: fails - error: exit status 1"))
        self.assert_no_line(guest, PASSWORD)

    def look_at_upload(self, client):
        """What was uploaded is on the disk, as an action sees it."""
        status, answer = client.ask("/api/v1/actions/look?async=1", "POST")
        self.assertEqual((status, answer["message"]), (202, "Action accepted"))
        events = client.stream(f"since=0&action={answer['id']}", lambda event: "result" in event["fields"])
        self.assertEqual([event["fields"].get("result") for event in events], [None, "success"])
        said = [event["text"] for event in client.get("/api/v1/events?source=system-api")]
        self.assertIn(f"tree /persistent/uploads is {digest_of_uploads()} with 1 files of {len(LIST)} bytes", said)

    def agree_on_the_failure(self, guest, client):
        """Console, status, metrics, list, stream, chart: one failure, one reason."""
        reason = guest.wait_for("broken", "failed", despite_held=True).fields["text"]
        held = guest.wait_for("gantry", "held").fields["text"]
        self.assertIn("broken", held)
        status = client.get("/api/v1/status")
        self.assertEqual((status["boot"]["state"], status["boot"]["reason"]), ("held", held))
        stages = {stage["name"]: (stage["state"], stage["reason"]) for stage in status["stages"]}
        self.assertEqual(stages["broken"], ("failed", reason))
        self.assertEqual((stages["disk"][0], stages["network"][0]), ("done", "done"))
        metrics = client.get("/metrics").splitlines()
        for line in 'gantry_boot_state{state="held"} 1', 'gantry_stage_state{stage="broken",state="failed"} 1', \
                'gantry_stage_state{stage="disk",state="failed"} 0':
            self.assertIn(line, metrics)
        listed = client.get("/api/v1/events?source=broken")
        self.assertEqual((listed[-1]["text"], listed[-1]["fields"]["text"]), ("failed", reason))
        self.assertEqual(client.stream("since=0&source=broken", lambda event: event["text"] == "failed"), listed)
        chart = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", client.get("/api/v1/boot.svg")))
        self.assertIn(escape(reason)[:40], chart)
        self.assertIn("failed", chart)
        page = client.get("/", Accept="text/html,application/xhtml+xml,*/*;q=0.8")
        self.assertIn("<!doctype html>", page)
        for asset in re.findall(r'(?:src|href)="(/[^"]+)"', page):
            self.assertEqual(client.ask(asset)[0], 200, asset)
        self.assertEqual(client.get("/"), {"status": "ok"})

    def second_boot(self, first, client):
        """The password, the upload and the first boot's events are on the disk."""
        self.assertEqual(client.ask("/livez")[0], 401)
        client.log_in("another")
        self.assertEqual(client.ask("/livez")[0], 401)
        client.log_in(PASSWORD)
        self.assertEqual(client.get("/livez"), {"status": "ok"})
        self.look_at_upload(client)
        earlier = client.get("/api/v1/events?boot=-1")
        self.assertEqual([event["seq"] for event in earlier], list(range(1, len(earlier) + 1)))
        self.assertEqual(earlier[0]["text"], first.events[0].text)
        told = [(event["source"], event["text"], event.get("fields", {}).get("text")) for event in earlier]
        self.assertIn(("broken", "failed", first.find("broken", "failed")[1].fields["text"]), told)
        self.assertIn(("gantry", "reboot requested by system-api: reboot", None), told)
        stopping = next(event for event in earlier if event["source"] == "gantry" and event["text"] == "stopping")
        self.assertEqual(stopping["fields"], {"for": "reboot", "by": "system-api"})
        failures = client.get("/api/v1/events?boot=-1&source=broken&level=error&limit=1")
        self.assertEqual([event["text"] for event in failures], ["failed"])
        self.assertRegex(client.get("/logs?boot=-1&source=broken&limit=1"), r"Z \t \[broken\] failed .*\n$")
        self.assertEqual(client.ask("/api/v1/events?boot=-2"), (404, {"code": 404, "message": "No such boot in the log"}))


if __name__ == "__main__":
    unittest.main()
