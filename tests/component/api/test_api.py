# SPDX-License-Identifier: GPL-2.0-or-later
"""The System API's contract, statement by statement, against the real role: HTTP by Python's client, TLS by openssl."""

import hashlib
import http.client
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time
import unittest

import fake_control
from fake_control import FakeControl, wait_for, OUTSIDE
from patience import PATIENCE, assert_within

UID = 4242


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def tls_context(version=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if version:
        context.minimum_version = context.maximum_version = version
    return context


class Api(FakeControl):
    """Both roles of the API, and the pair between them."""

    def __init__(self, ring=2000, **options):
        self.port = free_port()
        self.front = None
        super().__init__("api", {"listen": f"127.0.0.1:{self.port}", "tls_hosts": ["localhost", "127.0.0.1", "::1"],
                                 "before_unlock": "events", **options}, ring, UID)

    def start(self):
        known = len(self.subscriptions)
        self.start_front()
        super().start()
        self.pair()
        wait_for(lambda: len(self.subscriptions) > known, "the role api has begun")
        return self

    def start_front(self, wait=True):
        known = len(self.posts)
        self.front, self.front_ours = self.launch("api-tls")
        threading.Thread(target=self._receive, args=(self.front_ours,), daemon=True).start()
        if wait:
            wait_for(lambda: any(body.startswith(b"listens on") for _, _, body in self.posts[known:]), "it listens")

    def pair(self):
        one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with one, other:
            self.hand(self.ours, fake_control.HAND_PEER, one.fileno())
            self.hand(self.front_ours, fake_control.HAND_PEER, other.fileno())

    def hand_bytes(self, ours, kind, content):
        fd = os.memfd_create("handed")
        os.write(fd, content)
        self.hand(ours, kind, fd)
        os.close(fd)

    def hand_password(self, stored):
        self.hand_bytes(self.ours, fake_control.HAND_PASSWORD, stored)

    def kill_http(self):
        super().kill()

    def kill(self):
        super().kill()
        if self.front:
            self.front.kill()
            self.front.wait()
            self.front_ours.close()

    def connect(self, timeout=10, version=None):
        raw = socket.create_connection(("127.0.0.1", self.port), timeout * PATIENCE)
        return tls_context(version).wrap_socket(raw, server_hostname="localhost")

    def request(self, path, method="GET", headers=None, body=None, version=None, timeout=10):
        c = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=timeout * PATIENCE, context=tls_context(version))
        try:
            c.request(method, path, body, headers or {})
            r = c.getresponse()
            r.body = r.read()
            return r
        finally:
            c.close()

    def openssl(self, *arguments, data=b""):
        return subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{self.port}", *arguments], input=data,
                              capture_output=True, timeout=20 * PATIENCE)


class ApiTest(unittest.TestCase):
    ring = 2000
    options = {}

    def setUp(self):
        self.api = Api(self.ring, **self.options).start()
        self.addCleanup(self.api.kill)

    def own(self):
        """How many events the role itself has made by now: the certificate and the listener."""
        return self.api.seq


class Contract(ApiTest):
    def test_livez_and_root_say_ok(self):
        for path in "/livez", "/":
            r = self.api.request(path)
            self.assertEqual((r.status, r.body), (200, b'{"status":"ok"}\n'))
            self.assertEqual(r.getheader("Content-Type"), "application/json")

    def test_new_event_is_200_with_empty_body_and_adds_one_event_of_its_words(self):
        before = self.api.seq
        r = self.api.request("/api/v1/new_event?message=foo")
        self.assertEqual((r.status, r.body), (200, b""))
        self.assertEqual(self.api.seq, before + 1)
        self.assertEqual(self.api.posts[-1], (1, OUTSIDE, b"foo"))

    def test_new_event_decodes_its_message(self):
        self.api.request("/api/v1/new_event?message=a%20b+c%26d%3D%C3%BC")
        self.assertEqual(self.api.posts[-1][2], "a b c&d=ü".encode())

    def test_new_event_without_a_message_is_an_empty_event(self):
        self.assertEqual(self.api.request("/api/v1/new_event").status, 200)
        self.assertEqual(self.api.posts[-1][2], b"")

    def test_a_nul_in_a_message_does_not_make_fields(self):
        self.assertEqual(self.api.request("/api/v1/new_event?message=a%00source=x").status, 200)
        self.assertNotIn(b"\0", self.api.posts[-1][2])

    def test_events_is_a_json_array_with_the_old_fields_and_ours(self):
        self.api.add("foo", "fifo", wall_ns=1700000000120000000)
        self.api.add("done", "disk", kind=1, fields=b"text=opened\0attempt=2\0", wall_ns=1700000000000000000)
        wait_for(lambda: b"opened" in self.api.request("/api/v1/events").body, "both events")
        r = self.api.request("/api/v1/events")
        self.assertEqual(r.status, 200)
        self.assertEqual(r.getheader("Content-Type"), "application/json")
        self.assertTrue(r.body.startswith(b'[{"received_at":"') and r.body.endswith(b"}]\n"))
        first, second = json.loads(r.body)[-2:]
        self.assertEqual((first["received_at"], first["message"]), ("2023-11-14T22:13:20.12Z", "foo"))
        self.assertEqual((second["received_at"], second["message"]),
                         ("2023-11-14T22:13:20Z", "[disk] done attempt=2 text=opened"))
        self.assertEqual((second["source"], second["kind"], second["level"], second["text"], second["fields"]),
                         ("disk", "state", "info", "done", {"text": "opened", "attempt": 2}))

    def test_the_message_of_new_event_is_unchanged_in_events_and_logs(self):
        self.api.request("/api/v1/new_event?message=foo")
        self.assertEqual(json.loads(self.api.request("/api/v1/events").body)[-1]["message"], "foo")
        self.assertTrue(self.api.request("/logs").body.endswith(b"Z \t foo\n"))

    def test_logs_and_the_text_format_are_the_same_lines(self):
        self.api.add("one", "fifo", wall_ns=1700000000120000000)
        wait_for(lambda: b"one" in self.api.request("/logs").body, "the event")
        logs, text = self.api.request("/logs"), self.api.request("/api/v1/events?format=text")
        for r in logs, text:
            self.assertEqual(r.status, 200)
            self.assertTrue(r.getheader("Content-Type").startswith("text/plain"))
        self.assertEqual(logs.body, text.body)
        self.assertTrue(logs.body.endswith(b"2023-11-14T22:13:20Z \t one\n"))
        for line in logs.body.decode().splitlines():
            self.assertRegex(line, r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ \t .*$")

    def test_another_path_is_404_with_go_s_words(self):
        for path in "/nothing", "/livez/", "/api/v1", "//", "/api/v1/events/x", "/%2e%2e/etc/passwd":
            r = self.api.request(path)
            self.assertEqual((r.status, r.body), (404, b"404 page not found\n"), path)
            self.assertTrue(r.getheader("Content-Type").startswith("text/plain"))

    def test_another_method_is_405_with_allow(self):
        for path in "/", "/livez", "/logs", "/api/v1/events", "/api/v1/new_event":
            for method in "POST", "PUT", "DELETE", "HEAD", "OPTIONS":
                r = self.api.request(path, method)
                self.assertEqual((r.status, r.getheader("Allow"), r.body), (405, "GET", b""), (path, method))
        self.assertEqual(self.api.request("/nothing", "POST").status, 404)

    def test_a_request_body_is_read_and_ignored_or_refused_by_its_size(self):
        self.assertEqual(self.api.request("/livez", "GET", body=b"x" * 5000).status, 200)
        self.assertEqual(self.api.request("/livez", "POST", body=b"x" * 5000).status, 405)
        self.assertEqual(self.api.request("/livez", "POST", {"Content-Length": "99999999"}, b"x").status, 413)
        self.assertEqual(self.api.request("/livez").status, 200)

    def test_a_head_that_is_too_large_is_refused(self):
        r = self.api.request("/livez", headers={"X": "y" * 60000})
        self.assertIn(r.status, (413, 414, 431, 400))
        self.assertEqual(self.api.request("/livez").status, 200)

    def test_status_has_every_node(self):
        r = self.api.request("/api/v1/status")
        self.assertEqual((r.status, r.getheader("Content-Type")), (200, "application/json"))
        status = json.loads(r.body)
        self.assertEqual(status["boot"]["state"], "booted")
        self.assertEqual(status["boot"]["hostname"], "testhost")
        self.assertEqual((len(status["stages"]), len(status["services"])), (100, 100))
        self.assertEqual(status["stages"][1]["reason"], 'because "it" <works>')

    def test_curl_is_served_over_both_versions(self):
        for version in ["--tlsv1.3"], ["--tls-max", "1.2"]:
            r = subprocess.run(["curl", "-sS", "-k", *version, "-w", "%{http_code} %{http_version}", "--get",
                                "--data-urlencode", "message=by curl", f"https://localhost:{self.api.port}/api/v1/new_event",
                                "--resolve", f"localhost:{self.api.port}:127.0.0.1"],
                               capture_output=True, text=True, timeout=20 * PATIENCE)
            self.assertEqual((r.stdout, r.stderr), ("200 1.1", ""))
            self.assertEqual(self.api.posts[-1][2], b"by curl")

    def test_a_hundred_requests_go_over_one_connection(self):
        c = http.client.HTTPSConnection("127.0.0.1", self.api.port, timeout=10 * PATIENCE, context=tls_context())
        self.addCleanup(c.close)
        c.connect()
        local = c.sock.getsockname()
        for i in range(100):
            c.request("GET", "/livez" if i % 2 else f"/api/v1/new_event?message={i}")
            r = c.getresponse()
            r.read()
            self.assertEqual(r.status, 200)
            self.assertEqual(c.sock.getsockname(), local)

    def test_requests_sent_at_once_are_answered_in_order(self):
        s = self.api.connect()
        s.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n" * 3 + b"GET /no HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        got = b""
        while True:
            piece = s.recv(65536)
            if not piece:
                break
            got += piece
        self.assertEqual(re.findall(rb"HTTP/1.1 (\d+)", got), [b"200"] * 3 + [b"404"])
        s.close()


class NothingYet(unittest.TestCase):
    def test_no_event_is_an_empty_array(self):
        api = Api()
        api.answer_posts = False      # so that the role's own first words do not become events
        api.start_front(wait=False)
        FakeControl.start(api)
        api.pair()
        self.addCleanup(api.kill)

        def listens():
            try:
                return api.request("/livez").status == 200
            except OSError:
                return False
        wait_for(listens, "the api listens")
        r = api.request("/api/v1/events")
        self.assertEqual((r.status, r.body, r.getheader("Content-Type")), (200, b"[]\n", "application/json"))
        r = api.request("/logs")
        self.assertEqual((r.status, r.body), (200, b""))
        api.answer_posts = True


class Limit(ApiTest):
    ring = 5

    def test_with_a_ring_of_five_the_sixth_event_pushes_the_oldest_out(self):
        for i in range(6):
            self.api.request(f"/api/v1/new_event?message=event{i}")
        messages = [e["message"] for e in json.loads(self.api.request("/api/v1/events").body)]
        self.assertEqual(messages, [f"event{i}" for i in range(1, 6)])


class Tls(ApiTest):
    def certificate(self):
        with self.api.connect() as s:
            der = s.getpeercert(True)
        with tempfile.NamedTemporaryFile() as f:
            f.write(der)
            f.flush()
            text = subprocess.run(["openssl", "x509", "-inform", "DER", "-in", f.name, "-noout", "-text"],
                                  capture_output=True, check=True, text=True).stdout
        return der, text

    def test_tls_1_3_and_1_2_work_and_older_ones_do_not(self):
        for version, name in (ssl.TLSVersion.TLSv1_3, "TLSv1.3"), (ssl.TLSVersion.TLSv1_2, "TLSv1.2"):
            with self.api.connect(version=version) as s:
                self.assertEqual(s.version(), name)
            self.assertEqual(self.api.request("/livez", version=version).status, 200)
        r = self.api.openssl("-tls1_1", "-cipher", "ALL:@SECLEVEL=0")
        self.assertNotIn(b"Cipher is ECDHE", r.stdout)
        self.assertNotEqual(r.returncode, 0)

    def test_only_ciphers_with_forward_secrecy_and_authenticated_encryption(self):
        for cipher in "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305":
            self.assertIn(b"Cipher is " + cipher.encode(), self.api.openssl("-tls1_2", "-cipher", cipher).stdout)
        for cipher in "ECDHE-ECDSA-AES128-SHA256", "ECDHE-ECDSA-AES256-SHA", "AES128-GCM-SHA256", "AES256-SHA":
            self.assertNotEqual(self.api.openssl("-tls1_2", "-cipher", cipher).returncode, 0, cipher)

    def test_x25519_and_p256_are_both_accepted(self):
        # In TLS 1.2 the list speaks of the certificate's curve too, which is always P-256.
        for version, groups, name in (("-tls1_3", "X25519", b"X25519"), ("-tls1_3", "P-256", b"ECDH, prime256v1"),
                                      ("-tls1_2", "X25519:P-256", b"X25519"), ("-tls1_2", "P-256", b"ECDH, prime256v1")):
            r = self.api.openssl(version, "-groups", groups)
            self.assertEqual(r.returncode, 0, (version, groups, r.stderr))
            self.assertIn(name, r.stdout)

    def test_the_certificate_is_the_older_api_s(self):
        der, text = self.certificate()
        self.assertIn("prime256v1", text)
        self.assertIn("Subject: O = Acme".replace(" ", ""), text.replace(" ", ""))
        self.assertIn("Issuer: O = Acme".replace(" ", ""), text.replace(" ", ""))
        self.assertIn("CA:TRUE", text)
        self.assertRegex(text, r"Key Usage:.*\n\s+Digital Signature, Certificate Sign")
        self.assertRegex(text, r"Extended Key Usage:.*\n\s+TLS Web Server Authentication")
        self.assertRegex(text, r"DNS:localhost, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1")
        self.assertIn("ecdsa-with-SHA256", text)
        serial = re.search(r"Serial Number:\s+([0-9a-f:]+)\n", text).group(1)
        self.assertEqual(len(serial.split(":")), 16)
        before, after = (time.mktime(time.strptime(re.search(word + r" ?: (.*) GMT", text).group(1),
                                                   "%b %d %H:%M:%S %Y")) for word in ("Not Before", "Not After"))
        self.assertEqual(round((after - before) / 86400), 365)

    def test_the_certificate_verifies_itself_for_its_hosts(self):
        der, _ = self.certificate()
        for host in "localhost", "127.0.0.1":
            context = ssl.create_default_context(cadata=ssl.DER_cert_to_PEM_cert(der))
            with socket.create_connection(("127.0.0.1", self.api.port)) as raw:
                with context.wrap_socket(raw, server_hostname=host) as s:
                    self.assertTrue(s.version())

    def test_the_fingerprint_is_an_event(self):
        der, _ = self.certificate()
        level, body = self.api.post_from(b"made a certificate for localhost, 127.0.0.1")[0]
        self.assertEqual(body.partition(b"\0")[2], b"sha256=" + hashlib.sha256(der).hexdigest().encode())

    def test_every_start_makes_another_certificate(self):
        first, _ = self.certificate()
        self.api.kill()
        self.api.start()
        self.assertNotEqual(first, self.certificate()[0])

    def test_http_1_1_is_negotiated(self):
        context = tls_context()
        context.set_alpn_protocols(["h2", "http/1.1"])
        with socket.create_connection(("127.0.0.1", self.api.port)) as raw:
            with context.wrap_socket(raw) as s:
                self.assertEqual(s.selected_alpn_protocol(), "http/1.1")

    def test_a_close_is_announced(self):
        s = self.api.connect()
        s.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        while s.recv(65536):
            pass        # suppress_ragged_eofs hides a missing close_notify, so ask for it
        s.close()
        raw = socket.create_connection(("127.0.0.1", self.api.port), 10)
        s = tls_context().wrap_socket(raw, suppress_ragged_eofs=False)
        s.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        while s.recv(65536):
            pass
        s.close()


class Abuse(ApiTest):
    def good_client_is_served(self, times=1, within=1.0):
        """Each time, and within a second for the API's part: other work on this machine may slow down some, not all."""
        took = []
        for _ in range(times):
            start = time.monotonic()
            self.assertEqual(self.api.request("/livez").status, 200)
            took.append(time.monotonic() - start)
        assert_within(self, min(took), 0, within)

    def test_garbage_does_not_hurt(self):
        for garbage in (b"GET / HTTP/1.0\r\n\r\n", os.urandom(5000), b"\x16\x03\x01\xff\xff" + b"x" * 20000, b""):
            with socket.create_connection(("127.0.0.1", self.api.port)) as s:
                s.settimeout(5 * PATIENCE)
                try:
                    s.sendall(garbage)
                    s.shutdown(socket.SHUT_WR)
                    while s.recv(4096):
                        pass
                except OSError:
                    pass        # a reset or an alert, but not a hang
        for garbage in (b"\0\r\n\r\n", b"GET\r\n\r\n", os.urandom(3000), b"GET /livez HTTP/9.9\r\n\r\n",
                        b"GET /livez HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
                        b"POST /livez HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\n\r\n"):
            with self.api.connect() as s:
                s.sendall(garbage)
                s.settimeout(5 * PATIENCE)
                try:
                    s.recv(4096)
                except (OSError, ssl.SSLError):
                    pass
        self.good_client_is_served()
        self.assertIsNone(self.api.process.poll())

    def test_a_slow_client_does_not_block_a_good_one(self):
        for i in range(2000):
            self.api.add("a line of some length that makes the answer larger than any buffer " * 3)
        wait_for(lambda: len(self.api.request("/logs").body) > 400000, "the events")
        slow = self.api.connect()
        slow.sendall(b"GET /logs HTTP/1.1\r\nHost: x\r\n\r\n")      # and reads nothing
        typing = self.api.connect()
        typing.sendall(b"GET /li")
        half = socket.create_connection(("127.0.0.1", self.api.port))
        half.sendall(b"\x16\x03\x01")
        self.good_client_is_served(20)
        typing.sendall(b"vez HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertIn(b"200 OK", typing.recv(4096))
        got = b""
        while not got.endswith(b"0\r\n\r\n"):       # the slow one still gets all of it
            got += slow.recv(65536)
        for s in slow, typing, half:
            s.close()

    def test_a_thousand_half_open_connections_keep_nobody_out(self):
        half = []
        for _ in range(1000):
            s = socket.socket()
            s.setblocking(False)
            s.connect_ex(("127.0.0.1", self.api.port))
            half.append(s)
        self.addCleanup(lambda: [s.close() for s in half])
        self.good_client_is_served(5)
        self.assertLess(len(os.listdir(f"/proc/{self.api.front.pid}/fd")), 300)     # of one address: 256

    def test_a_client_that_vanishes_while_pid_1_thinks_does_not_hurt(self):
        self.api.answer_posts = False
        for _ in range(5):
            s = self.api.connect()
            s.sendall(b"GET /api/v1/new_event?message=x HTTP/1.1\r\nHost: x\r\n\r\n")
            s.close()
        self.good_client_is_served()
        self.api.answer_posts = True
        wait_for(lambda: len(self.api.post_from(b"x")) == 5, "the requests")
        self.assertEqual(self.api.request("/api/v1/new_event?message=after").status, 200)

    def test_memory_and_descriptors_stay_bounded_over_many_connections(self):
        def measure():
            pid = self.api.process.pid
            with open(f"/proc/{pid}/statm") as f:
                return int(f.read().split()[1]) * 4, len(os.listdir(f"/proc/{pid}/fd"))
        for _ in range(50):
            self.api.request("/logs")
        wait_for(lambda: measure()[1] < 20, "connections to go")
        before = measure()
        for _ in range(200):
            self.api.request("/logs")
        wait_for(lambda: measure()[1] <= before[1], "connections to go")
        self.assertLess(measure()[0] - before[0], 512)

    def test_it_does_not_burn_time_when_nothing_happens(self):
        idle = [self.api.connect() for _ in range(5)]
        def used():
            with open(f"/proc/{self.api.process.pid}/stat") as f:
                return sum(int(n) for n in f.read().rsplit(")", 1)[1].split()[11:13])
        before = used()
        time.sleep(1)       # what is measured is that nothing is done in this time
        self.assertLessEqual(used() - before, 3)
        for s in idle:
            s.close()


class Process(ApiTest):
    def status(self):
        with open(f"/proc/{self.api.process.pid}/status") as f:
            return dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)

    def test_it_has_no_privileges(self):
        status = self.status()
        self.assertEqual(status["Uid"].split(), [str(UID)] * 4)
        self.assertEqual(status["NoNewPrivs"], "1")
        for which in "CapInh", "CapPrm", "CapEff", "CapAmb":
            self.assertEqual(int(status[which], 16), 0)
        with open(f"/proc/{self.api.process.pid}/limits") as f:
            limits = f.read()
        for name in "Max core file size", "Max processes":
            self.assertRegex(limits, name + r"\s+0\s+0")
        self.assertRegex(limits, r"Max file size\s+65536\s+65536")
        self.assertEqual(os.stat(f"/proc/{self.api.process.pid}/mem").st_uid, 0)    # not dumpable

    def test_sigterm_ends_it(self):
        for process in self.api.process, self.api.front:
            process.send_signal(signal.SIGTERM)
            self.assertEqual(process.wait(5 * PATIENCE), 0)

    def test_the_end_of_the_connection_to_pid_1_ends_it(self):
        self.api.close()
        self.assertEqual(self.api.process.wait(5 * PATIENCE), 0)
        self.api.front_ours.shutdown(socket.SHUT_RDWR)
        self.assertEqual(self.api.front.wait(5 * PATIENCE), 0)

    def test_a_restart_loses_and_doubles_nothing(self):
        stop = threading.Event()
        written = []

        def write():
            while not stop.is_set():
                written.append(self.api.add(f"steady {len(written)}", "fifo"))
                time.sleep(0.002)
        writer = threading.Thread(target=write)
        writer.start()
        for _ in range(5):
            self.api.kill()
            self.api.start()
        stop.set()
        writer.join()
        self.assertEqual(self.api.subscriptions, [1] * 6)

        def messages():
            return [e["message"] for e in json.loads(self.api.request("/api/v1/events").body)
                    if e["message"].startswith("steady")]
        wait_for(lambda: len(messages()) >= len(written), "all events")
        self.assertEqual(messages(), [f"steady {i}" for i in range(len(written))])

    def test_a_taken_port_is_said_and_waited_for(self):
        api = Api()
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", api.port))
            taken.listen()
            api.start_front(wait=False)
            FakeControl.start(api)
            api.pair()
            self.addCleanup(api.kill)
            wait_for(lambda: api.post_from(b"cannot listen on"), "the complaint")
            self.assertIn(b"Address in use", api.post_from(b"cannot listen on")[0][1])
        wait_for(lambda: api.post_from(b"listens on"), "the listener")
        self.assertEqual(api.request("/livez").status, 200)

    def test_options_that_are_wrong_are_said_on_standard_error(self):
        for options in {"listen": "nonsense"}, {"listen": "1.2.3.4:99999"}, {"listen": "[::1:3535"}:
            for name in "api", "api-tls":
                role = FakeControl(name, options)
                role.start()
                self.addCleanup(role.kill)
                self.assertEqual(role.process.wait(5 * PATIENCE), 1)
                wait_for(lambda role=role: b"not ADDRESS:PORT" in role.stderr, "the reason")


if __name__ == "__main__":
    unittest.main()
