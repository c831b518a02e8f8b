# SPDX-License-Identifier: GPL-2.0-or-later
"""Clients that mean harm, or do none on purpose, against the real roles of the System API: as many as the limits let in,
and more, from one address and from several. Meanwhile a good client is answered within a second, afterwards nothing is
left of them, and both roles are still the same processes. TLS is held against what is promised, by sslscan."""

import errno
import http.client
import os
import socket
import ssl
import subprocess
import threading
import time
import unittest
from xml.etree import ElementTree

from fake_control import wait_for
from patience import PATIENCE, assert_within
from test_api import ApiTest, tls_context

CONNECTIONS, OF_ADDRESS = 256, 64
ATTACKER = "127.0.0.1"          # slowhttptest's
ATTACK_S = 10
HALF_OPEN = 5000
GOOD_WITHIN_S = 1.0
MEMORY_LEFT_KIB = 4096          # the allocator keeps some of what it had


def connect_from(address, port, timeout):
    raw = socket.create_connection(("127.0.0.1", port), timeout * PATIENCE, source_address=(address, 0))
    return tls_context().wrap_socket(raw, server_hostname="localhost")


class Good(threading.Thread):
    """A client at this address that asks over a connection of its own, again and again. One that shares the address of an
    attacker may have to try several times, within the same second; any other may not."""

    def __init__(self, port, address, again=False):
        super().__init__(daemon=True)
        self.port, self.address, self.again = port, address, again
        self.took, self.failed = [], []
        self.over = threading.Event()

    def ask(self):
        began = time.monotonic()
        while True:
            try:
                self.ask_once()
                break
            except OSError:
                if not self.again or time.monotonic() - began > GOOD_WITHIN_S * PATIENCE:
                    raise
        self.took.append(time.monotonic() - began)

    def ask_once(self):
        with connect_from(self.address, self.port, 20) as s:
            s.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            r = http.client.HTTPResponse(s)
            r.begin()
            if (r.status, r.read()) != (200, b'{"status":"ok"}\n'):
                raise OSError(f"status {r.status}")

    def run(self):
        while not self.over.wait(0.1):
            try:
                self.ask()
            except OSError as error:
                self.failed.append(repr(error))

    def stop(self):
        self.over.set()
        self.join(30 * PATIENCE)
        return self


class AbuseTest(ApiTest):
    options = {"connections": CONNECTIONS, "connections_per_address": OF_ADDRESS}

    def setUp(self):
        super().setUp()
        self.pids = self.api.process.pid, self.api.front.pid
        self.good = [Good(self.api.port, "127.0.0.9")]
        for good in self.good:
            good.ask()
        self.http_before = len(os.listdir(f"/proc/{self.pids[0]}/fd"))
        self.before = self.measure()

    def measure(self):
        """(descriptors, resident KiB) of the two roles together."""
        descriptors = memory = 0
        for pid in self.pids:
            descriptors += len(os.listdir(f"/proc/{pid}/fd"))
            with open(f"/proc/{pid}/statm", encoding="ascii") as file:
                memory += int(file.read().split()[1]) * 4
        return descriptors, memory

    def busy_s(self):
        total = 0
        for pid in self.pids:
            with open(f"/proc/{pid}/stat", encoding="ascii") as file:
                total += sum(map(int, file.read().rpartition(")")[2].split()[11:13]))
        return total / os.sysconf("SC_CLK_TCK")

    def during(self, attack, same_address=False):
        """Good clients go on while `attack` runs, one of them at the attacker's own address."""
        if same_address:
            self.good.append(Good(self.api.port, ATTACKER, again=True))
        for good in self.good:
            good.start()
        try:
            attack()
        finally:
            for good in self.good:
                good.stop()
        for good in self.good:
            self.assertEqual(good.failed, [], f"from {good.address}, {len(good.took)} were answered")
            self.assertGreaterEqual(len(good.took), 3, good.address)
            assert_within(self, max(good.took), 0, GOOD_WITHIN_S, f"from {good.address}: {sorted(good.took)[-5:]}")

    def nothing_is_left(self):
        wait_for(lambda: self.measure()[0] <= self.before[0], "all connections to be gone", 20)
        self.assertLess(self.measure()[1] - self.before[1], MEMORY_LEFT_KIB)
        self.assertEqual((self.api.process.poll(), self.api.front.poll()), (None, None))
        self.assertEqual(self.pids, (self.api.process.pid, self.api.front.pid))
        self.good[0].ask()


class Slow(AbuseTest):
    def slowhttptest(self, *arguments):
        """For ATTACK_S, twice as many connections as one address may have; again, if the API is done with it before."""
        count, end = 2 * OF_ADDRESS, time.monotonic() + ATTACK_S
        while (left := int(end - time.monotonic())) > 0:
            process = subprocess.run(["slowhttptest", *arguments, "-c", str(count), "-r", str(count), "-l", str(left), "-p", "3"],
                                     capture_output=True, text=True, timeout=(ATTACK_S + 30) * PATIENCE)
            self.assertRegex(process.stdout, "Hit test time limit|No open connections left", process.stderr)

    def url(self, path="/livez"):
        return f"https://127.0.0.1:{self.api.port}{path}"

    def attack(self, *arguments):
        self.during(lambda: self.slowhttptest(*arguments), same_address=True)
        self.nothing_is_left()

    def test_slow_headers_keep_nobody_out(self):
        self.attack("-H", "-u", self.url(), "-i", "2")

    def test_slow_bodies_keep_nobody_out(self):
        self.attack("-B", "-u", self.url(), "-i", "2", "-s", "8192")

    def test_ranges_keep_nobody_out(self):
        self.attack("-R", "-u", self.url("/logs"), "-a", "1", "-b", "3000")

    def test_slow_reading_keeps_nobody_out(self):
        for _ in range(1500):
            self.api.add("a line of some length, so that the answer is larger than all buffers on its way " * 5)
        self.attack("-X", "-u", self.url("/logs"), "-w", "10", "-y", "20", "-n", "2", "-z", "32", "-k", "1")

    def slow_readers(self, count, events):
        """Clients that ask for all events, for the last time, and read nothing of the answer."""
        for _ in range(events):
            self.api.add("a line of some length, so that it does not take too many of them for an answer of this size" + "." * 80)
        wait_for(lambda: len(self.api.request("/logs").body) > 199 * events, "the events")
        slow = []
        for _ in range(count):
            raw = socket.socket()
            self.addCleanup(raw.close)
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            raw.connect(("127.0.0.1", self.api.port))
            slow.append(tls_context().wrap_socket(raw))
            slow[-1].sendall(b"GET /logs HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        return slow

    def test_a_slow_reader_costs_no_time_when_http_is_done_with_it(self):
        slow = self.slow_readers(3, 600)
        wait_for(lambda: len(os.listdir(f"/proc/{self.pids[0]}/fd")) <= self.http_before, "HTTP to be done with all three")
        began = self.busy_s()
        time.sleep(1)       # what is measured is that nothing is done in this time
        self.assertLess(self.busy_s() - began, 0.1)
        for s in slow:
            got = s.recv(65536)
            while piece := s.recv(65536):
                got += piece
            self.assertGreater(len(got), 199 * 600)
            self.assertTrue(got.endswith(b"0\r\n\r\n"))
            s.close()
        self.nothing_is_left()

    def test_the_kernel_keeps_little_for_a_slow_reader(self):
        slow = self.slow_readers(3, 2000)
        time.sleep(1)       # what is measured is how far it gets
        queues = subprocess.run(["ss", "-Htn", "sport", f"= :{self.api.port}"], check=True, capture_output=True, text=True).stdout
        unsent = [int(line.split()[2]) for line in queues.splitlines()]
        self.assertGreaterEqual(len(unsent), len(slow))
        self.assertLess(max(unsent), 100000)


class HalfOpen(AbuseTest):
    def open(self, count, addresses, first=b""):
        """`count` connections that are never more than begun, spread over these addresses."""
        self.opened = opened = []
        self.addCleanup(lambda: [s.close() for s in opened])
        for i in range(count):
            s = socket.socket()
            opened.append(s)
            s.setblocking(False)
            s.bind((addresses[i % len(addresses)], 0))
            if s.connect_ex(("127.0.0.1", self.api.port)) not in (0, errno.EINPROGRESS):
                raise OSError("connect")
            if first and i >= 32:       # a few later, when it is surely connected
                self.say(opened[i - 32], first)

    @staticmethod
    def say(s, words):
        try:
            s.send(words)
        except OSError:
            pass        # has made room for another already

    @staticmethod
    def half_a_hello():
        out = ssl.MemoryBIO()
        client = tls_context().wrap_bio(ssl.MemoryBIO(), out, server_hostname="localhost")
        try:
            client.do_handshake()
        except ssl.SSLWantReadError:
            pass
        hello = out.read()
        return hello[:len(hello) // 2]

    def attack(self, addresses, first=b"", same_address=False):
        most = CONNECTIONS if len(addresses) > 1 else OF_ADDRESS

        def keep_them_open():
            self.open(HALF_OPEN, addresses, first)
            self.most = self.measure()[0]
            known = len(self.good[0].took)
            wait_for(lambda: len(self.good[0].took) >= known + 10, "ten more requests", 20)
        self.during(keep_them_open, same_address)
        self.assertLess(self.most - self.before[0], most + 32)
        for s in self.opened:
            s.close()
        self.nothing_is_left()



    def test_they_keep_nobody_out_from_one_address(self):
        self.attack([ATTACKER], same_address=True)

    def test_they_keep_nobody_out_from_many_addresses(self):
        self.attack([f"127.0.0.{i}" for i in range(20, 30)])

    def test_half_a_hello_keeps_nobody_out_from_one_address(self):
        self.attack([ATTACKER], self.half_a_hello(), same_address=True)

    def test_half_a_hello_keeps_nobody_out_from_many_addresses(self):
        self.attack([f"127.0.0.{i}" for i in range(20, 30)], self.half_a_hello())


class Tls(ApiTest):
    SUITES = {"TLSv1.3": {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"},
              "TLSv1.2": {"ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305"}}

    def test_sslscan_finds_what_is_promised_and_nothing_else(self):
        out = subprocess.run(["sslscan", "--xml=-", f"127.0.0.1:{self.api.port}"], check=True, capture_output=True, text=True,
                             timeout=60 * PATIENCE).stdout
        # Serial numbers are written over two lines, which is no matter here.
        found = ElementTree.fromstring(out).find("ssltest")
        protocols = {p.get("type") + p.get("version") for p in found.iter("protocol") if p.get("enabled") == "1"}
        self.assertEqual(protocols, {"tls1.2", "tls1.3"})
        self.assertEqual(len(list(found.iter("protocol"))), 6)
        for version, suites in self.SUITES.items():
            self.assertEqual({c.get("cipher") for c in found.iter("cipher") if c.get("sslversion") == version}, suites)
        self.assertEqual({g.get("name").split()[0] for g in found.iter("group") if g.get("sslversion") == "TLSv1.3"},
                         {"secp256r1", "secp384r1", "x25519"})
        for name, attribute in ("renegotiation", "supported"), ("compression", "supported"), ("heartbleed", "vulnerable"):
            every = list(found.iter(name))
            self.assertTrue(every, name)
            self.assertEqual({one.get(attribute) for one in every}, {"0"}, name)

    def test_a_client_that_renegotiates_is_refused(self):
        r = self.api.openssl("-tls1_2", data=b"R\n")
        self.assertIn(b"RENEGOTIATING", r.stdout + r.stderr)
        self.assertIn(b"no renegotiation", r.stderr)

    def test_there_is_no_ticket_to_resume_with(self):
        for version in "-tls1_2", "-tls1_3":
            r = self.api.openssl(version, data=b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            self.assertIn(b"New, TLSv1", r.stdout)
            self.assertNotIn(b"TLS session ticket", r.stdout)

    def test_early_data_and_a_client_s_certificate_request_nothing(self):
        r = self.api.openssl("-tls1_3")
        self.assertIn(b"Early data was not sent", r.stdout)
        self.assertIn(b"No client certificate CA names sent", r.stdout)


if __name__ == "__main__":
    unittest.main()
