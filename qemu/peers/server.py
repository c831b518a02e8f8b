# SPDX-License-Identifier: GPL-2.0-or-later
"""The HTTP/1.1 server under every HTTP peer: one thread per connection, keep-alive, bodies of known length that are streamed
and never held whole. It uses plain sockets and not http.server, because a fault must be able to close the listener, cut a
body at an exact byte, send bytes that are not HTTP, or never answer."""

import collections
import contextlib
import http
import os
import socket
import ssl
import struct
import threading
import time
import urllib.parse
from dataclasses import dataclass, field

from .faults import Faults

MAX_HEAD = 64 * 1024
MAX_BODY = 16 * 1024 * 1024
LOGGED_BODY = 64 * 1024
LOGGED_REQUESTS = 200_000
IDLE_TIMEOUT_S = 300
PIECE = 128 * 1024
HUGE_BYTES = 256 * 1024 * 1024
DEEP_LEVELS = 200_000


class BadRequest(Exception):
    """The request cannot be parsed: the answer is 400, and the connection is closed."""


@dataclass
class Request:
    method: str
    target: str                 # as sent, query included
    path: str                   # percent-decoded
    query: list                 # (name, value) pairs, decoded, in order
    headers: dict               # lower-case names
    body: bytes
    client: str
    secure: bool
    entry: dict = field(default_factory=dict)       # the log entry; a peer may add notes

    def parameter(self, name, default=None):
        return next((value for key, value in self.query if key == name), default)


@dataclass
class Response:
    status: int = 200
    body: bytes = b''
    content_type: str = 'text/plain; charset=utf-8'
    headers: dict = field(default_factory=dict)
    stream: object = None       # for a large body: an iterable of bytes, and its exact size
    size: int | None = None

    def pieces(self):
        return self.stream if self.stream is not None else [self.body]

    def length(self):
        return self.size if self.stream is not None else len(self.body)


def read_request(reader, client, secure, on_continue):
    """One request, or None if the connection ended between requests."""
    line = reader.readline(MAX_HEAD)
    if not line:
        return None
    try:
        method, target, version = line.decode('latin-1').split()
    except ValueError:
        raise BadRequest('request line') from None
    if version not in ('HTTP/1.1', 'HTTP/1.0'):
        raise BadRequest(f'version {version}')
    headers, total = {}, len(line)
    while True:
        line = reader.readline(MAX_HEAD)
        total += len(line)
        if total > MAX_HEAD or not line.endswith(b'\n'):
            raise BadRequest('header section')
        line = line.rstrip(b'\r\n')
        if not line:
            break
        name, colon, value = line.decode('latin-1').partition(':')
        if not colon or name != name.strip():
            raise BadRequest('header line')
        name, value = name.lower(), value.strip()
        headers[name] = f'{headers[name]},{value}' if name in headers else value
    if version == 'HTTP/1.0':
        headers.setdefault('connection', 'close')
    path, _, query = target.partition('?')
    body = b''
    if 'transfer-encoding' in headers:
        raise BadRequest('transfer-encoding is not supported')
    if 'content-length' in headers:
        if not headers['content-length'].isdigit() or int(headers['content-length']) > MAX_BODY:
            raise BadRequest('content-length')
        if headers.get('expect', '').lower() == '100-continue':
            on_continue()
        length = int(headers['content-length'])
        body = reader.read(length)
        if len(body) != length:
            raise BadRequest('body ended early')
    return Request(method, target, urllib.parse.unquote(path),
                   urllib.parse.parse_qsl(query, keep_blank_values=True), headers, body, client, secure)


class HttpPeer:
    """Base class of the HTTP peers: subclasses define `name`, `respond()` and, for errors, `error()`.
    `listeners` is a list of (address, port, ssl context or None); port 0 means a free port."""

    name = 'peer'
    settings = ()               # names of attributes the control socket may change

    def __init__(self, listeners):
        self.listeners = [tuple(listener) for listener in listeners]
        self.faults = Faults()
        self.faults.on_change = self._follow_faults
        self.log = collections.deque(maxlen=LOGGED_REQUESTS)
        self.addresses = [(host, port) for host, port, _ in self.listeners]      # real ports once it listened
        self._changed = threading.Condition()
        self._sequence = 0
        self._state = threading.RLock()
        self._sockets = []
        self._connections = set()
        self._running = False

    # life

    def start(self):
        with self._state:
            self._running = True
            if not self.faults.get('down'):
                self._listen()
        return self

    def stop(self):
        with self._state:
            self._running = False
            self._unlisten()
        self.faults.wake()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    @property
    def address(self):
        """(host, port) of the first listener; the same while it is down."""
        return self.addresses[0]

    def url(self, listener=0):
        host, port = self.addresses[listener]
        secure = self.listeners[listener][2] is not None
        default = 443 if secure else 80
        return f'http{"s" if secure else ""}://{host}' + (f':{port}' if port != default else '')

    def describe(self):
        return ' '.join(self.url(i) for i in range(len(self.listeners)))

    # what a subclass gives

    def respond(self, request):
        raise NotImplementedError

    def error(self, status, text, request):
        """An error answer in this peer's format."""
        return Response(status, f'{text}\n'.encode())

    def tls_context(self, listener):
        """The TLS context for a new connection; a subclass may choose it by fault."""
        return self.listeners[listener][2]

    # the log

    def requests(self, method=None, contains=None, status=None):
        """Log entries (dictionaries) that match, oldest first."""
        with self._changed:
            return [dict(entry) for entry in self.log if self._matches(entry, method, contains, status)]

    def count(self, method=None, contains=None, status=None):
        with self._changed:
            return sum(self._matches(entry, method, contains, status) for entry in self.log)

    def wait_for(self, count=1, timeout_s=30.0, method=None, contains=None, status=None):
        """Waits until `count` requests matched (with `status`: were answered with it); returns False at the time-out."""
        with self._changed:
            return self._changed.wait_for(
                lambda: sum(self._matches(e, method, contains, status) for e in self.log) >= count, timeout_s)

    def forget(self):
        """Empties the log."""
        with self._changed:
            self.log.clear()

    @staticmethod
    def _matches(entry, method, contains, status):
        return ((method is None or entry['method'] == method)
                and (contains is None or contains in entry['target'])
                and (status is None or entry['status'] == status))

    def _note(self, request):
        entry = request.entry
        entry.update(time=time.time(), peer=self.name, method=request.method, target=request.target,
                     headers=request.headers, body=request.body[:LOGGED_BODY].decode('utf-8', 'replace'),
                     client=request.client, secure=request.secure, status=None, sent=0, fault=[])
        with self._changed:
            self._sequence += 1
            entry['sequence'] = self._sequence
            self.log.append(entry)
            self._changed.notify_all()

    def _update(self, entry, **values):
        with self._changed:
            entry.update(values)
            self._changed.notify_all()

    # listening

    def _listen(self):
        if self._sockets:
            return
        bound = []
        for index, (host, port) in enumerate(self.addresses):
            listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind((host, port))
            except OSError as error:
                listener.close()
                self._unlisten()
                raise OSError(error.errno, f'{self.name}: cannot bind {host}:{port}: {error.strerror}') from None
            listener.listen(128)
            self._sockets.append(listener)
            bound.append((host, listener.getsockname()[1]))
            threading.Thread(target=self._accept, args=(listener, index), daemon=True,
                             name=f'{self.name}-accept').start()
        self.addresses = bound

    def _unlisten(self):
        for listener in self._sockets:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)     # wakes the accepting thread
            listener.close()
        self._sockets = []
        for connection in list(self._connections):
            reset(connection)

    def _follow_faults(self):
        with self._state:
            if not self._running:
                return
            if self.faults.get('down'):
                self._unlisten()
            else:
                self._listen()

    def _accept(self, listener, index):
        while True:
            try:
                connection, client = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection, client[0], index), daemon=True,
                             name=f'{self.name}-connection').start()

    # one connection

    def _serve(self, connection, client, index):
        raw = connection
        with self._state:
            if not self._sockets:
                raw.close()
                return
            self._connections.add(raw)
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.settimeout(IDLE_TIMEOUT_S)
            context = self.tls_context(index)
            if context:
                connection = context.wrap_socket(connection, server_side=True)
                with self._state:
                    self._connections.discard(raw)
                    raw = connection
                    self._connections.add(raw)
            reader = connection.makefile('rb', buffering=64 * 1024)
            while self._answer(connection, reader, client, context is not None):
                pass
        except (OSError, ssl.SSLError, ConnectionError):
            pass
        finally:
            with self._state:
                self._connections.discard(raw)
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def _answer(self, connection, reader, client, secure):
        try:
            request = read_request(reader, client, secure,
                                   lambda: connection.sendall(b'HTTP/1.1 100 Continue\r\n\r\n'))
        except BadRequest as error:
            body = f'bad request: {error}\n'.encode()
            connection.sendall(b'HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b'
                               % (len(body), body))
            return False
        if request is None:
            return False
        self._note(request)
        applied = request.entry['fault']

        hang = self.faults.take('hang', request.target)
        if hang:
            self._update(request.entry, fault=applied + [str(hang)])
            self._hang(connection, hang)
            return False
        slow = self.faults.take('slow', request.target)
        if slow and slow.argument[0] == 'delay':
            self._pause(slow.argument[1])
        status = self.faults.take('status', request.target)
        garbage = None if status else self.faults.take('garbage', request.target)
        if status:
            response = self.error(int(status.argument), 'switched on by a fault', request)
        elif garbage and garbage.argument == 'http':
            self._update(request.entry, fault=applied + [str(garbage)])
            connection.sendall(os.urandom(600))
            return False
        else:
            response = self.respond(request)
            if garbage:
                response = self.spoil(response, garbage.argument)
        drop = self.faults.get('drop_after', request.target)
        if drop and request.method != 'HEAD' and response.length() > drop.argument:
            drop = self.faults.take('drop_after', request.target)
        else:
            drop = None
        self._update(request.entry, fault=applied + [str(f) for f in (slow, status, garbage, drop) if f])
        return self._send(connection, request, response, slow, drop)

    def _send(self, connection, request, response, slow, drop):
        rate = slow.argument[1] if slow and slow.argument[0] == 'rate' else 0
        close = request.headers.get('connection', '').lower() == 'close'
        try:
            phrase = http.HTTPStatus(response.status).phrase
        except ValueError:
            phrase = 'Unknown'
        head = {'Date': http_date(self.now()), 'Content-Type': response.content_type,
                'Content-Length': str(response.length()), **response.headers}
        if close:
            head['Connection'] = 'close'
        lines = [f'HTTP/1.1 {response.status} {phrase}', *(f'{k}: {v}' for k, v in head.items()), '', '']
        head = '\r\n'.join(lines).encode('latin-1')
        # Before the first byte, so that who has the answer finds it in the log.
        self._update(request.entry, status=response.status)
        sent, limit = 0, drop.argument if drop else None
        started = time.monotonic()
        if request.method == 'HEAD':
            connection.sendall(head)
            return not close
        try:
            small = response.stream is None and not rate and limit is None and len(response.body) <= PIECE
            if small:
                connection.sendall(head + response.body)
                sent = len(response.body)
                return not close
            connection.sendall(head)
            for piece in response.pieces():
                piece = memoryview(piece)
                step = max(min(PIECE, rate // 10), 1) if rate else PIECE
                while piece:
                    part = piece[:step]
                    if limit is not None:
                        part = part[:limit - sent]
                        if not part:
                            return False
                    connection.sendall(part)
                    sent += len(part)
                    piece = piece[len(part):]
                    if rate:
                        self._pause(sent / rate - (time.monotonic() - started))
                        if not self._running:
                            return False
            return not close
        finally:
            self._update(request.entry, sent=sent)

    def now(self):
        """This peer's time."""
        return time.time()

    def spoil(self, response, kind):
        """The answer, damaged as the garbage fault says."""
        if kind == 'random':
            return Response(response.status, os.urandom(700), response.content_type, dict(response.headers))
        if kind == 'type':
            return Response(response.status, b'<html><body>Sign in to the network</body></html>', 'text/html')
        if kind == 'truncated':
            body = b''.join(bytes(p) for p in response.pieces())
            return Response(response.status, body[:len(body) // 2], response.content_type, dict(response.headers))
        if kind == 'empty':
            return Response(response.status, b'', response.content_type, dict(response.headers))
        xml = 'xml' in response.content_type
        if kind == 'huge':
            opening = b'<?xml version="1.0"?>' if xml else b'{"instance_name":"'
            filler = (b'<!-- x -->' if xml else b'a') * (PIECE // (10 if xml else 1))
            stream = (piece for piece in [opening] + [filler] * (HUGE_BYTES // len(filler)))
            size = len(opening) + len(filler) * (HUGE_BYTES // len(filler))
            return Response(response.status, content_type=response.content_type, stream=stream, size=size)
        if kind == 'deep':
            body = b'<a>' * DEEP_LEVELS if xml else b'[' * DEEP_LEVELS + b']' * DEEP_LEVELS
            return Response(response.status, body, response.content_type)
        body = b'<?xml version="1.0"?><Weather><State>rain</State></Weather>' if xml else b'["not", "what", 1]'
        return Response(response.status, body, response.content_type)

    @staticmethod
    def _pause(seconds):
        if seconds > 0:
            time.sleep(seconds)

    def _hang(self, connection, hang):
        if hang.times is None:
            self.faults.wait_until_off(hang, lambda: not self._running)
        else:
            # This hang was for one answer only: silent until the client gives up.
            with contextlib.suppress(OSError):
                connection.recv(1)


def reset(connection):
    """Closes with a reset, like a host that went away and came back."""
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def http_date(seconds):
    return time.strftime('%a, %d %b %Y %H:%M:%S GMT', time.gmtime(seconds))
