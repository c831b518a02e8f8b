# SPDX-License-Identifier: GPL-2.0-or-later
"""HTTPS to a server in the namespaces of a real PID 1 (pid1.py), from this process: a request costs one handshake and no
program, its bytes are the test's own, and the answer is what came, header by header."""

import http.client
import json
import os
import socket
import ssl

from patience import PATIENCE



PORT = 3535


def context():
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    c.check_hostname, c.verify_mode = False, ssl.CERT_NONE
    return c


def plain(pid1, timeout=20):
    """A TCP connection to the API's port, made by this thread in PID 1's network."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open(f"/proc/{pid1.pid}/ns/net", os.O_RDONLY)
    try:
        os.setns(there, os.CLONE_NEWNET)
        return socket.create_connection(("127.0.0.1", PORT), timeout * PATIENCE)
    finally:
        os.setns(home, os.CLONE_NEWNET)
        os.close(home)
        os.close(there)


def connect(pid1, timeout=20):
    """TLS over it, once it listens."""
    pid1.wait("system-api", "listens on", kind="message")
    return context().wrap_socket(plain(pid1, timeout))


class Answer:
    def __init__(self, method, response, body):
        self.method, self.status, self.body = method, response.status, body
        self.headers = response.getheaders()
        self.type = response.getheader("Content-Type")

    def header(self, name):
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    @property
    def text(self):
        return self.body.decode()

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"{self.status} {self.headers} {self.body[:300]!r}"


def head_of(method, path, headers, close=True):
    return "".join([f"{method} {path} HTTP/1.1\r\n", "Host: gantry\r\n", "Connection: close\r\n" if close else "",
                    *(f"{name}: {value}\r\n" for name, value in headers), "\r\n"]).encode()


def read_until(response, enough):
    """The whole body, or as much of it as is enough; `enough` is called with what has come."""
    body = b""
    while not (enough and enough(body)):
        piece = response.read1(65536)
        if not piece:
            break
        body += piece
    return body


def exchange(pid1, raw, method="GET", enough=None, timeout=20):
    """Sends bytes as they are."""
    with connect(pid1, timeout) as connection:
        connection.sendall(raw)
        response = http.client.HTTPResponse(connection, method=method)
        response.begin()
        return Answer(method, response, read_until(response, enough))


def request_of(path, method="GET", headers=(), body=b"", close=True):
    length = [("Content-Length", len(body))] if body or method in ("POST", "PUT", "PATCH") else []
    return head_of(method, path, [*length, *headers], close) + body


def ask(pid1, path, method="GET", headers=(), body=b"", enough=None, timeout=20):
    """One request on a connection of its own."""
    return exchange(pid1, request_of(path, method, headers, body), method, enough, timeout)


class Session:
    """Many requests on one connection, as long as the server keeps it."""

    def __init__(self, pid1):
        self.pid1, self.connection = pid1, None

    def ask(self, path, method="GET", headers=(), body=b"", enough=None):
        if enough:
            return ask(self.pid1, path, method, headers, body, enough)
        if not self.connection:
            self.connection = connect(self.pid1)
        self.connection.sendall(request_of(path, method, headers, body, close=False))
        response = http.client.HTTPResponse(self.connection, method=method)
        response.begin()
        answer = Answer(method, response, response.read())
        if response.will_close:
            self.connection.close()
            self.connection = None
        return answer

    def close(self):
        if self.connection:
            self.connection.close()
