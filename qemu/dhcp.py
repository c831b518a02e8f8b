# SPDX-License-Identifier: GPL-2.0-or-later
"""Azure's DHCP server on a tap device. It offers options that QEMU's built-in server does not have, 245 (the wireserver's
address) and 121 (classless routes), and leases short enough for a test to see a renewal. It implements RFC 2131 for one
client on one link and logs every message, so that the test can count them."""

import contextlib
import ipaddress
import socket
import struct
import subprocess
import threading

MAGIC = b"\x63\x82\x53\x63"
DISCOVER, OFFER, REQUEST, ACK, NAK = 1, 2, 3, 5, 6
GUEST, SERVER, PREFIX = "10.0.0.4", "10.0.0.1", 24


def address(text):
    return ipaddress.IPv4Address(text).packed


def classless_routes(routes):
    """RFC 3442: for each (network, gateway) the prefix length, its significant bytes, the gateway."""
    out = b""
    for network, gateway in routes:
        network = ipaddress.IPv4Network(network)
        out += bytes([network.prefixlen]) + network.network_address.packed[:(network.prefixlen + 7) // 8] + address(gateway)
    return out


def parse_options(message):
    """{code: bytes} of a BOOTP frame, or {} for one that is none."""
    options, at = {}, 240
    if message[236:240] != MAGIC:
        return options
    while at + 1 < len(message) and message[at] != 255:
        if message[at] == 0:
            at += 1
            continue
        options[message[at]] = message[at + 2:at + 2 + message[at + 1]]
        at += 2 + message[at + 1]
    return options


class Tap:
    """A tap device in this network namespace, and the DHCP server on it. `offered`: further options by code."""

    def __init__(self, name="tap0", lease_s=3600, wireserver=None, routes=(), offered=None):
        self.name, self.lease_s = name, lease_s
        self.offered = dict(offered or {})
        if wireserver:
            self.offered[245] = address(wireserver)
        if routes:
            self.offered[121] = classless_routes(routes)
        self.changed = threading.Condition()
        self.messages = []                      # (kind of message, kind of the answer)

    def __enter__(self):
        subprocess.run(["ip", "tuntap", "add", self.name, "mode", "tap"], check=True)
        subprocess.run(["ip", "address", "add", f"{SERVER}/{PREFIX}", "dev", self.name], check=True)
        subprocess.run(["ip", "link", "set", self.name, "up"], check=True)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, self.name.encode() + b"\0")
        self.socket.bind(("0.0.0.0", 67))
        threading.Thread(target=self.serve, daemon=True).start()
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        subprocess.run(["ip", "link", "delete", self.name], check=True)

    def serve(self):
        while True:
            try:
                message, _ = self.socket.recvfrom(2048)
            except OSError:
                return
            options = parse_options(message)
            kind = options.get(53, b"\0")[0]
            wanted = options.get(50) or message[12:16]
            if kind == DISCOVER:
                answer = OFFER
            elif kind == REQUEST:
                answer = ACK if wanted == address(GUEST) else NAK
            else:
                continue
            self.answer(message, answer)
            with self.changed:
                self.messages.append((kind, answer))
                self.changed.notify_all()

    def answer(self, message, kind):
        options = {53: bytes([kind]), 54: address(SERVER)}
        if kind != NAK:
            options |= {51: struct.pack(">I", self.lease_s), 1: b"\xff\xff\xff\0", 3: address(SERVER), 6: address(SERVER),
                        **self.offered}
        body = b"".join(bytes([code, len(value)]) + value for code, value in options.items())
        frame = struct.pack(">BBBB4sHH4s4s4s4s", 2, 1, 6, 0, message[4:8], 0, 0x8000, message[12:16],
                            address(GUEST) if kind != NAK else bytes(4), address(SERVER), bytes(4))
        frame += message[28:44] + bytes(192) + MAGIC + body + b"\xff"
        renewing = message[12:16] != bytes(4)
        self.socket.sendto(frame, (GUEST if renewing else "255.255.255.255", 68))

    def wait_for(self, kind, answer, count=1, timeout_s=30):
        with self.changed:
            return self.changed.wait_for(lambda: self.messages.count((kind, answer)) >= count, timeout_s)
