# SPDX-License-Identifier: GPL-2.0-or-later
"""What loads the System API while it is measured, one process each, started by api.py:

  apiload.py hold PORT COUNT              opens COUNT connections, one request over each; holds them until its input ends
  apiload.py ask PORT SECONDS             one request after the other; prints how long each took, in microseconds
  apiload.py send SOCKET RATE SECONDS     adds events that carry the moment at which they were sent
  apiload.py stream PORT SECONDS          reads the event stream; prints how old each of those events was, in microseconds
"""

import json
import re
import socket
import ssl
import sys
import time

GET = b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n"
SENT = re.compile(rb'"text":"sent at (\d+)"')
SILENCE_S = 30


def connect(port):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context, socket.create_connection(("127.0.0.1", port), 20)


def hold(port, count):
    context, held = connect(port)[0], []
    for _ in range(count):
        s = context.wrap_socket(socket.create_connection(("127.0.0.1", port), 20), server_hostname="localhost")
        s.sendall(GET % b"/livez")
        if b" 200 " not in s.recv(4096):
            raise OSError("no 200")
        held.append(s)
    print("held", flush=True)
    sys.stdin.read()


def ask(port, seconds):
    context, raw = connect(port)
    s = context.wrap_socket(raw, server_hostname="localhost")
    end, took = time.monotonic() + seconds, []
    while time.monotonic() < end:
        began = time.monotonic_ns()
        s.sendall(GET % b"/livez")
        got = b""
        while b"}\n" not in got:
            got += s.recv(4096)
        took.append((time.monotonic_ns() - began) // 1000)
    print(json.dumps(took))


def send(path, rate, seconds):
    """Evenly, a millisecond's worth at a time where single ones would be too many wakes; none is dropped, the socket blocks."""
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    s.connect(path)
    began, sent = time.monotonic(), 0
    while sent < rate * seconds:
        due = min(int((time.monotonic() - began) * rate) + 1, rate * seconds)
        while sent < due:
            s.send(b"sent at %d" % time.monotonic_ns())
            sent += 1
        time.sleep(max(0.001, began + sent / rate - time.monotonic()))
    print(json.dumps({"sent": sent, "seconds": time.monotonic() - began}))


def stream(port, count):
    """Until so many have come, or none in SILENCE_S."""
    context, raw = connect(port)
    s = context.wrap_socket(raw, server_hostname="localhost")
    s.sendall(GET % b"/api/v1/events/stream")
    rest, ages, begun = b"", [], False
    while len(ages) < count:
        try:
            rest += s.recv(65536)
        except TimeoutError:
            break
        now = time.monotonic_ns()
        if not begun and b"retry:" in rest:
            print("begun", flush=True)
            begun = True
            s.settimeout(SILENCE_S)
        whole, _, rest = rest.rpartition(b"\n")
        ages += [(now - int(moment)) // 1000 for moment in SENT.findall(whole)]
    print(json.dumps(ages))


if __name__ == "__main__":
    {"hold": hold, "ask": ask, "send": send, "stream": stream}[sys.argv[1]](*[int(a) if a.isdigit() else a for a in sys.argv[2:]])
