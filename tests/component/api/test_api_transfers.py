# SPDX-License-Identifier: GPL-2.0-or-later
"""Uploads on their way: those whose client has ended leave at once, and the slowest makes room for one more."""

import os
import socket
import struct
import time
import unittest

from fake_control import wait_for
from test_api import ApiTest

PLACES = 4
BODY = 200000


class TransferTest(ApiTest):
    options = {"uploads": [{"name": "list", "path": "/list", "max_bytes": BODY}]}

    def setUp(self):
        super().setUp()
        self.api.act = self.act

    def act(self, kind, body):
        self.api.add("done", "system-api", fields=b"id=5\0result=success\0")
        return 5, b""

    def begin(self, part, size=BODY):
        """A client that has sent so much of a body that was let in."""
        s = self.api.connect(timeout=20)
        self.addCleanup(s.close)
        s.sendall(b"POST /api/v1/file-upload/list HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\nConnection: close\r\n"
                  b"Expect: 100-continue\r\n\r\n" % size)
        got = b""
        while b"100 Continue\r\n\r\n" not in got:
            got += s.recv(65536)
        s.sendall(part)
        return s

    def bodies(self):
        folder, found = f"/proc/{self.api.process.pid}/fd", 0
        for name in os.listdir(folder):
            try:
                found += "memfd:body" in os.readlink(os.path.join(folder, name))
            except FileNotFoundError:
                pass
        return found

    def descriptors(self):
        return [len(os.listdir(f"/proc/{role.pid}/fd")) for role in (self.api.process, self.api.front)]

    def idle(self):
        """The descriptors of both roles without a client: an upload costs each of them two."""
        s = self.begin(b"")
        idle = [count - 2 for count in self.descriptors()]
        s.close()
        wait_for(lambda: self.descriptors() == idle, "it is gone", 10)
        return idle

    def upload(self):
        return self.api.request("/api/v1/file-upload/list", "POST", body=b"x" * 1000)


class Ended(TransferTest):
    def test_a_client_that_ends_right_behind_its_bytes_leaves_its_place_at_once(self):
        def close(s):
            s.close()

        def end_of_file(s):
            socket.socket.shutdown(s, socket.SHUT_WR)

        def reset(s):
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            s.close()

        before = self.idle()
        for end in close, end_of_file, reset:
            for size in 1, 4096, 100000:
                for s in [self.begin(b"x" * size) for _ in range(PLACES)]:
                    end(s)
                wait_for(lambda: self.bodies() == 0, f"{end.__name__} behind {size} bytes: the places are free", 10)
        wait_for(lambda: self.descriptors() == before, "their connections are gone", 10)
        self.assertEqual(self.upload().status, 200)

    def test_so_does_one_that_ends_within_the_head(self):
        before = self.idle()
        for part in b"G", b"GET /livez HTTP/1.1\r\nHost: x\r\n", b"GET /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab":
            for _ in range(8):
                s = self.api.connect()
                s.sendall(part)
                s.close()
            wait_for(lambda: self.descriptors() == before, f"nothing is left of {part}", 10)


class Slow(TransferTest):
    def test_the_slowest_makes_room_and_gets_an_answer(self):
        slow = [self.begin(b"x" * 100, 1000 + i) for i in range(PLACES)]
        self.assertEqual(self.bodies(), PLACES)
        wait_for(lambda: self.upload().status == 200, "one of them has made room", 20)
        self.assertEqual(self.bodies(), PLACES - 1)
        answers = []
        for i, s in enumerate(slow):        # all of them end in order
            s.sendall(b"x" * (900 + i))
            got = b""
            while piece := s.recv(65536):
                got += piece
            answers.append(got)
        codes = sorted(int(got[9:12]) for got in answers)
        self.assertEqual(codes, [200, 200, 200, 503])
        refused = next(got for got in answers if got[9:12] == b"503")
        self.assertTrue(refused.endswith(b'{"code":503,"message":"Too many uploads, try again"}\n'), refused)
        self.assertEqual(self.bodies(), 0)

    def test_dripping_keeps_nobody_out(self):
        drips = [self.begin(b"x") for _ in range(PLACES)]
        end, done = time.monotonic() + 4, 0
        while time.monotonic() < end:
            for s in drips:
                s.sendall(b"x" * 100)
            done += self.upload().status == 200
            time.sleep(0.1)
        self.assertGreater(done, 2)

    def test_one_more_than_there_is_room_for_says_what_is_busy(self):
        """Four that are fast: each has sent half of its body less than a second ago."""
        for _ in range(20):
            began = time.monotonic()
            fast = [self.begin(b"x" * (BODY // 2)) for _ in range(PLACES)]
            r = self.upload()
            if time.monotonic() - began < 1:
                break
            for s in fast:
                s.close()
            wait_for(lambda: self.bodies() == 0, "the places are free")
        self.assertEqual((r.status, r.body), (503, b'{"code":503,"message":"Too many uploads, try again"}\n'))


if __name__ == "__main__":
    unittest.main()
