# SPDX-License-Identifier: GPL-2.0-or-later
"""A small stand-in for PID 1: keeps events and speaks the control protocol on a socket pair, as include/gantry/control.h
describes it, with a role of the real binary at the other end (descriptor 3) and its options on descriptor 4."""

import json
import os
import signal
import socket
import struct
import subprocess
import threading
import time

import sanitizer
from patience import PATIENCE

REPO = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
INIT = os.environ.get("GANTRY_INIT", os.path.join(REPO, "build", "init"))

(EVENTS, STATUS, POST, START, STOP, RESTART, POWEROFF, REBOOT, HALT, CERTIFICATE, REFRESH, ACTION, UPLOAD, PASSWORD,
 BOOT_LOG, SERVICE_LOG, EVENT, GAP, BOOT, NODE, END, RING, HAND, FACTS, LINES, LAST_SHUTDOWN,
 REFRESHES) = range(1, 28)
FOLLOW, OUTSIDE = 1, 2
HAND_PEER, HAND_PASSWORD, HAND_IDENTITY = range(3)
HEAD = struct.Struct("<HHIq")
EVENT_HEAD = struct.Struct("<QqqBBHHH")
BOOT_BODY = struct.Struct("<qqqqB3xIQQ5QQ8QQQ256s32s64s64s64s64s65s5xH512s")
NODE_BODY = struct.Struct("<qqqqiIBBB5x32s32s256sqQQQI4x256s")
REFRESH_BODY = struct.Struct("<qqq3QBB65s5x256s")


def message(kind, argument=0, body=b"", flags=0):
    return HEAD.pack(kind, flags, len(body), argument) + body


def ns(seconds):
    return round(seconds * 1e9)


# As the check of boot.json completes the object before a role gets it.
API_DEFAULTS = {"listen": "0.0.0.0:3535", "connections": 1024, "connections_per_address": 256, "before_unlock": "events",
                "password_hash": "sha256", "tls_hosts": ["localhost"], "tls_create": True}


def complete(role, options):
    if role not in ("api", "api-tls"):
        return options
    uploads = [{"max_bytes": 16777216, **upload} for upload in options.get("uploads", [])]
    return {**API_DEFAULTS, **options, "uploads": uploads}


class FakeControl:
    """One role process. `ring`: how many events are kept."""

    def __init__(self, role, options, ring=2000, uid=None):
        self.role, self.options, self.ring, self.uid = role, options, ring, uid
        self.lock = threading.Condition()
        self.events = []            # (seq, record)
        self.seq = 0
        self.posts = []             # (level, flags, body)
        self.subscriptions = []     # first seq wanted, one for each start
        self.answer_posts = True
        self.status_state = 1
        self.status_answered = threading.Event()
        self.status_answered.set()  # while it is clear, no STATUS is answered
        self.hold_at = None         # a follower gets no event after this one
        self.last_shutdown = None   # what the logger found out about the boot before
        self.boot = {}              # what status tells, where it differs from boot_body()
        self.refresh = None         # body of CONTROL_REFRESHES
        self.stderr = b""
        self.process = None
        self.ours = self.next = None
        self.certificate, self.certificate_end_s = b"", 0
        self.nodes = [(b"node-%d" % i, b"exec", i % 2, 4, b"because \"it\" <works>", b"") for i in range(200)]
        self.act = None             # for START to HALT: (kind, body) -> (argument, words)

    # ---- events

    def add(self, text, source="test", level=1, kind=0, fields=b"", wall_ns=None, boot_ns=1500000000, kept=False):
        wall_ns = time.time_ns() if wall_ns is None else wall_ns
        text, source = text.encode(), source.encode()
        with self.lock:
            self.seq += 1
            record = EVENT_HEAD.pack(self.seq, wall_ns, boot_ns, level, kind | kept << 7, len(source), len(text),
                                     len(fields)) + source + text + fields
            self.events.append((self.seq, record))
            del self.events[:-self.ring]
            self.lock.notify_all()
            return self.seq

    # ---- the process

    def launch(self, role):
        """A role's process and our end of its control socket."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        options = os.memfd_create("options")
        os.write(options, json.dumps(complete(self.role, self.options)).encode())
        high = [os.dup2(theirs.fileno(), 100), os.dup2(options, 101)]
        theirs.close()
        os.close(options)

        def before_exec():
            os.dup2(100, 3)
            os.dup2(101, 4)
            if self.uid is not None:
                os.setgroups([])
                os.setgid(self.uid)
                os.setuid(self.uid)

        process = subprocess.Popen([INIT, role], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE, preexec_fn=before_exec, pass_fds=(3, 4))
        for fd in high:
            os.close(fd)
        threading.Thread(target=self._stderr, args=(process.stderr,), daemon=True).start()
        return process, ours

    def start(self):
        self.process, self.ours = self.launch(self.role)
        self.alive = True
        self.next = None
        threading.Thread(target=self._receive, args=(self.ours,), daemon=True).start()
        threading.Thread(target=self._send_events, args=(self.ours,), daemon=True).start()
        return self

    @staticmethod
    def hand(ours, kind, fd):
        socket.send_fds(ours, [message(HAND, kind)], [fd])

    def listen(self, path):
        """Takes connections at a path instead, as PID 1 does from gantryctl; one follower at a time. Returns how to stop."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        listener.bind(path)
        listener.listen()

        def accept():
            while True:
                try:
                    ours, _ = listener.accept()
                except OSError:
                    return
                self.ours, self.alive, self.next = ours, True, None
                threading.Thread(target=self._receive, args=(ours, True), daemon=True).start()
                threading.Thread(target=self._send_events, args=(ours,), daemon=True).start()
        thread = threading.Thread(target=accept, daemon=True)
        thread.start()

        def stop():
            listener.shutdown(socket.SHUT_RDWR)     # first: a thread in accept() would go on with a number used again
            thread.join()
            listener.close()
        return stop

    def _stderr(self, pipe):
        for line in pipe:
            self.stderr += line
        pipe.close()

    def _send_events(self, ours):
        """The followed subscription: one cursor, as in PID 1."""
        while True:
            with self.lock:
                while self.alive and self.ours is ours and (self.next is None or self.next > self.seq or (
                        self.hold_at is not None and self.next > self.hold_at)):
                    self.lock.wait(1)
                if not self.alive or self.ours is not ours:
                    return
                seq, record = next((seq, record) for seq, record in self.events if seq >= self.next)
                gap, self.next = seq - self.next, seq + 1
            try:
                if gap:
                    ours.send(message(GAP, gap))
                ours.send(message(EVENT, 0, record))
            except OSError:
                return
            with self.lock:
                self.sent = seq
                self.lock.notify_all()

    def release(self):
        with self.lock:
            self.hold_at = None
            self.lock.notify_all()

    def _wait_sent(self, seq):
        with self.lock:
            self.lock.wait_for(lambda: getattr(self, "sent", 0) >= seq or self.hold_at is not None, 10)

    def _receive(self, ours, accepted=False):
        while True:
            try:
                datagram = ours.recv(65536)
            except OSError:
                return
            if not datagram:
                if accepted:
                    ours.close()
                return
            kind, flags, size, argument = HEAD.unpack_from(datagram)
            body = datagram[HEAD.size:]
            assert len(body) == size
            try:
                self._answer(ours, kind, flags, argument, body)
            except OSError:
                return

    def boot_body(self, now_s=9, started_s=0.001, ended_s=8, state=None, reason="", version="0.1.0", hostname="testhost",
                  last_shutdown=b""):
        turns = (5, 4, 3, 2, 1, 0, 0, 1)
        return BOOT_BODY.pack(ns(now_s), ns(started_s), ns(ended_s), self.certificate_end_s,
                              self.status_state if state is None else state, 3, self.seq,
                              0, 1, self.seq, 0, 0, 0, 3 << 20, *turns, 250000000, 120000000, reason.encode(), version.encode(),
                              hostname.encode(), b"6.12.0-test", b"web", b"1.2.3", self.certificate, len(last_shutdown),
                              last_shutdown)

    @staticmethod
    def node_body(name, kind=0, state=4, started_s=0, ended_s=0, first_started_s=0, next_start_s=0, pid=0, attempts=1,
                  required=1, type="exec", reason="", facts=b"", lines=None, progress=(0, 0, 0, 0, 0, b"")):
        return NODE_BODY.pack(ns(started_s), ns(ended_s), ns(first_started_s), ns(next_start_s), pid, attempts, kind, state,
                              required, name.encode(), type.encode(), reason.encode(), *progress)

    def node_bodies(self):
        """(body of CONTROL_NODE, bodies of what follows it by kind) of each of self.nodes: dicts for node_body(), or the short
        form."""
        for i, node in enumerate(self.nodes):
            if isinstance(node, dict):
                lines = node.get("lines")
                yield self.node_body(**node), {FACTS: node.get("facts"), LINES: lines and bytes(8) + lines}
                continue
            name, kind, service, state, reason, facts = node
            yield NODE_BODY.pack(1, 2000000000, 1, 0, 100 + i, 1, service, state, 1, name, kind, reason,
                                 1500000000, 10, 40, 5, 6, b"10 of 40 B"), {FACTS: facts}

    def _answer(self, ours, kind, flags, argument, body):
        if kind == EVENTS and flags & FOLLOW:
            ours.send(message(RING, self.ring))
            with self.lock:
                self.sent = 0
                self.subscriptions.append(argument)
                self.next = argument
                self.lock.notify_all()
        elif kind == EVENTS:
            with self.lock:
                chosen = [(seq, record) for seq, record in self.events if seq >= argument]
            if chosen and argument < chosen[0][0]:
                ours.send(message(GAP, chosen[0][0] - argument))
            for _, record in chosen:
                ours.send(message(EVENT, 0, record))
            ours.send(message(END))
        elif kind == POST:
            self.posts.append((argument, flags, body))
            while not self.answer_posts:
                time.sleep(0.02)
            text, _, fields = body.partition(b"\0")
            source = "http" if flags & OUTSIDE else self.role
            seq = self.add(text.decode(), source, argument, fields=fields + b"\0" if fields else b"")
            if self.next is not None and ours is self.ours:
                self._wait_sent(seq)    # a follower gets the event before the end of its request
            ours.send(message(END))
        elif kind == STATUS:
            self.status_answered.wait()
            ours.send(message(BOOT, 0, self.boot_body(**self.boot)))
            if self.refresh:
                ours.send(message(REFRESHES, 0, self.refresh))
            for node, more in self.node_bodies():
                ours.send(message(NODE, 0, node))
                for of, what in more.items():
                    if what:
                        ours.send(message(of, 0, what))
            ours.send(message(END))
        elif kind == LAST_SHUTDOWN:
            self.last_shutdown = dict(field.split("=", 1) for field in body.decode().split("\0") if field)
            ours.send(message(END))
        elif kind == CERTIFICATE:
            self.certificate_end_s, self.certificate = struct.unpack("<q64s", body)
            ours.send(message(END))
        elif self.act:
            ours.send(message(END, *self.act(kind, body)))
        else:
            ours.send(message(END, -1, b"not here"))

    def post_from(self, prefix):
        """The role's own posts whose text starts so."""
        return [(level, body) for level, flags, body in self.posts if body.startswith(prefix)]

    def close(self):
        """The end of file that a shutdown brings."""
        with self.lock:
            self.alive = False
            self.lock.notify_all()
        self.ours.shutdown(socket.SHUT_RDWR)
        self.ours.close()

    def kill(self):
        with self.lock:
            self.alive = False
            self.lock.notify_all()
        if self.process:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        self.ours.close()
        sanitizer.check(self.stderr.decode("utf-8", "replace").splitlines())


def wait_for(condition, what, timeout=10):
    deadline = time.monotonic() + timeout * PATIENCE
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.01)
    raise AssertionError(f"did not happen within {timeout * PATIENCE:g} s: {what}")
