# SPDX-License-Identifier: GPL-2.0-or-later
"""The time source: a real chronyd (-x: it does not change this machine's clock) that serves this machine's time, behind a
UDP relay. The relay has the faults and the request log, and can shift the time; its delay is well below a millisecond and
counts as network delay."""

import contextlib
import os
import random
import shutil
import socket
import struct
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from .server import HttpPeer

CONFIGURATION = '''local stratum 3
allow all
port {port}
bindaddress 127.0.0.1
cmdport 0
bindcmdaddress /
pidfile {directory}/chronyd.pid
'''
ERA_SECOND = 1 << 32


class NtpError(Exception):
    """The time source failed; the message has the reason."""


class NtpServer(HttpPeer):
    """`program` is the chronyd to run. A `status:XXXX` fault answers with that kiss-o'-death code."""

    name = 'ntp'
    settings = ()

    def __init__(self, address='10.77.0.3', port=123, program=None):
        super().__init__([(address, port, None)])
        self.program = program or shutil.which('chronyd', path=f'{os.environ.get("PATH", "")}:/usr/sbin:/sbin')
        self._chronyd = None
        self._directory = None
        self._upstream = None
        self._thread = None

    def describe(self):
        return f'ntp://{self.addresses[0][0]}:{self.addresses[0][1]}'

    def start(self):
        if not self.program:
            raise NtpError('chronyd is not installed')
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(('127.0.0.1', 0))
            port = probe.getsockname()[1]
        self._directory = tempfile.TemporaryDirectory(prefix='gantry-ntp-')
        configuration = Path(self._directory.name, 'chrony.conf')
        configuration.write_text(CONFIGURATION.format(port=port, directory=self._directory.name))
        log = Path(self._directory.name, 'log')
        with log.open('wb') as output:
            self._chronyd = subprocess.Popen(
                [self.program, '-4', '-x', '-d', '-u', 'root', '-U', '-f', configuration],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True)
        self._upstream = ('127.0.0.1', port)
        self._await_answer(log)
        return super().start()

    def stop(self):
        super().stop()
        if self._chronyd:
            self._chronyd.terminate()
            try:
                self._chronyd.wait(5)
            except subprocess.TimeoutExpired:
                self._chronyd.kill()
                self._chronyd.wait()
            self._chronyd = None
        if self._directory:
            self._directory.cleanup()
            self._directory = None

    def _await_answer(self, log, timeout_s=10.0):
        deadline = time.monotonic() + timeout_s
        query = b'\x23' + bytes(39) + os.urandom(8)
        while time.monotonic() < deadline:
            if self._chronyd.poll() is not None:
                raise NtpError(f'chronyd ended with {self._chronyd.returncode}: {log.read_text().strip()}')
            # chronyd offers no readiness notice, so it is asked until it answers.
            if self._ask(query, 0.2):
                return
        raise NtpError(f'chronyd does not answer: {log.read_text().strip()}')

    def _ask(self, packet, timeout_s=1.0):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as upstream:
            upstream.settimeout(timeout_s)
            upstream.connect(self._upstream)
            try:
                upstream.send(packet)
                return upstream.recv(2048)
            except TimeoutError:
                return None
            except ConnectionRefusedError:
                time.sleep(0.02)
                return None

    # listening: the same life as an HTTP peer's, with one UDP socket

    def _listen(self):
        if self._sockets:
            return
        host, port = self.addresses[0]
        listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            listener.bind((host, port))
        except OSError as error:
            listener.close()
            raise OSError(error.errno, f'ntp: cannot bind {host}:{port}: {error.strerror}') from None
        self._sockets = [listener]
        self.addresses = [(host, listener.getsockname()[1])]
        self._thread = threading.Thread(target=self._relay, args=(listener,), daemon=True, name='ntp-relay')
        self._thread.start()

    def _unlisten(self):
        listeners, self._sockets = self._sockets, []
        for listener in listeners:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)     # not connected, it says, but it wakes the relay
            self._thread.join(5)        # until it let go of the socket, the port is not free
            listener.close()

    def _relay(self, listener):
        while True:
            try:
                packet, client = listener.recvfrom(2048)
            except OSError:
                return
            if listener not in self._sockets:
                return
            threading.Thread(target=self._answer_packet, args=(listener, packet, client), daemon=True).start()

    def _answer_packet(self, listener, packet, client):
        entry = {'time': time.time(), 'peer': self.name, 'method': 'NTP', 'client': client[0], 'secure': False,
                 'target': f'mode {packet[0] & 7} version {packet[0] >> 3 & 7}' if packet else 'empty',
                 'headers': {}, 'body': '', 'status': None, 'sent': 0, 'fault': []}
        with self._changed:
            self._sequence += 1
            entry['sequence'] = self._sequence
            self.log.append(entry)
            self._changed.notify_all()
        for kind in ('hang', 'drop_after'):
            silent = self.faults.take(kind)
            if silent:
                self._update(entry, fault=[str(silent)])
                return
        slow = self.faults.take('slow')
        garbage, kiss, offset = self.faults.take('garbage'), self.faults.take('status'), self.faults.get('offset')
        if len(packet) < 48 and not garbage:
            return
        answer = random.randbytes(48) if garbage else self._ask(packet)
        if answer is None:
            return
        if kiss:
            # Stratum 0 with a code: unsynchronised, or asking to be left alone.
            answer = bytes([0xC0 | answer[0] & 0x3F, 0]) + answer[2:12] + f'{kiss.argument:4.4}'.encode() + answer[16:]
        elif offset and len(answer) >= 48:
            answer = shift(answer, offset.argument)
        if slow and slow.argument[0] == 'delay':
            time.sleep(slow.argument[1])
        with contextlib.suppress(OSError):
            listener.sendto(answer, client)
        self._update(entry, status=200, sent=len(answer), fault=[str(f) for f in (slow, garbage, kiss, offset) if f])


def shift(packet, seconds):
    """An NTP answer with shifted reference, receive and transmit times; the echoed origin stays."""
    moved = bytearray(packet)
    for position in (16, 32, 40):
        stamp, = struct.unpack_from('>Q', packet, position)
        if stamp:
            struct.pack_into('>Q', moved, position, (stamp + round(seconds * ERA_SECOND)) % (1 << 64))
    return bytes(moved)
