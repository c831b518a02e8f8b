# SPDX-License-Identifier: GPL-2.0-or-later
"""A client of the event stream that is as strict as the HTML standard's (9.2.6): it takes a stream apart by the standard's
own rules, so that what an event's text could smuggle in would come out here as an event of its own."""

import http.client
import json
import time

TAKE_S = 60                     # heartbeats keep the socket's own deadline from ever passing


class Notice:
    """One dispatched event: its type, its data, and what the client's last event id was by then."""

    def __init__(self, kind, data, last_id):
        self.kind, self.data, self.last_id = kind, data, last_id

    @property
    def json(self):
        return json.loads(self.data)

    def __repr__(self):
        return f"{self.last_id} {self.kind} {self.data!r}"


class Parser:
    """Lines in, notices out; what a torn connection has begun is thrown away."""

    def __init__(self, last_id=""):
        self.last_id = last_id
        self.comments, self.retry, self.unknown = [], None, []
        self._clear()

    def _clear(self):
        self.kind, self.data, self.id_now = "", [], self.last_id

    def line(self, line):
        """A line without its end. The notice that it completes, or None."""
        if not line:
            notice = Notice(self.kind or "message", "\n".join(self.data), self.id_now) if self.data else None
            self.last_id = self.id_now
            self._clear()
            return notice
        name, _, value = line.partition(":")
        value = value[1:] if value.startswith(" ") else value
        if not name:
            self.comments.append(value)
        elif name == "event":
            self.kind = value
        elif name == "data":
            self.data.append(value)
        elif name == "id":
            self.id_now = value
        elif name == "retry":
            self.retry = int(value)
        else:
            self.unknown.append(line)
        return None


class Stream:
    """One GET of a stream over an open HTTP connection; iterate for notices until it ends."""

    def __init__(self, connection, path="/api/v1/events/stream", headers=None, last_id=None):
        headers = dict(headers or {}, **({"Last-Event-ID": last_id} if last_id is not None else {}))
        self.connection = connection
        connection.request("GET", path, headers=headers)
        self.response = connection.getresponse()
        self.status = self.response.status
        self.parser = Parser(last_id or "")
        self.rest = b""
        self.take_until = None

    def lines(self):
        while True:
            try:
                piece = self.response.read1(65536)
            except http.client.IncompleteRead:
                return
            if not piece:
                return
            if self.take_until and time.monotonic() > self.take_until:
                raise TimeoutError(f"no notice for {TAKE_S:g} s")
            self.rest += piece
            *whole, self.rest = self.rest.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
            for line in whole:
                yield line.decode("utf-8")

    def __iter__(self):
        for line in self.lines():
            notice = self.parser.line(line)
            if notice:
                yield notice

    def take(self, count):
        """The next `count` notices, which all come within TAKE_S."""
        self.take_until = time.monotonic() + TAKE_S
        if not hasattr(self, "running"):
            self.running = iter(self)
        taken = [next(self.running) for _ in range(count)]
        self.take_until = None
        return taken

    def until_begun(self):
        """Reads the first lines: from now on every event comes."""
        for line in self.lines():
            self.parser.line(line)
            if self.parser.retry is not None:
                return self
        raise AssertionError("no retry")

    def close(self):
        self.connection.close()
