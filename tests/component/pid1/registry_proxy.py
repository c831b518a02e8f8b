# SPDX-License-Identifier: GPL-2.0-or-later
"""Stands in front of a registry, hands everything on, and does the one wrong thing that its last argument names.

    registry_proxy.py PORT REGISTRY-PORT die-once FILE    ends in the middle of the first layer, once: FILE remembers
    registry_proxy.py PORT REGISTRY-PORT lie MANIFEST     has the file MANIFEST under every digest
    registry_proxy.py PORT REGISTRY-PORT stall            never ends a layer
    registry_proxy.py PORT REGISTRY-PORT document FILE    hands out FILE at /document
"""

import http.client
import http.server
import os
import sys
import time

PORT, BEHIND, WRONG, *ARGUMENT = sys.argv[1:]
LAYER_MIN = 100000              # a blob of this size is a layer


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if WRONG == "document" and self.path == "/document":
            self.answer(200, {"Content-Type": "application/json"}, open(ARGUMENT[0], "rb").read())
            return
        behind = http.client.HTTPConnection("127.0.0.1", int(BEHIND), timeout=10)
        behind.request(self.command, self.path, headers={"Host": self.headers["Host"], "Accept": self.headers["Accept"] or "*/*"})
        answer = behind.getresponse()
        body, headers = answer.read(), dict(answer.getheaders())
        if WRONG == "lie" and "/manifests/" in self.path:
            body = open(ARGUMENT[0], "rb").read()
            headers.pop("Docker-Content-Digest", None)
        if WRONG in ("die-once", "stall") and len(body) > LAYER_MIN and not (ARGUMENT and os.path.exists(ARGUMENT[0])):
            self.answer(200, headers, body, LAYER_MIN)
            if WRONG == "stall":
                time.sleep(1000)
            open(ARGUMENT[0], "w").close()
            os._exit(1)
        self.answer(answer.status, headers, body)

    do_HEAD = do_GET

    def answer(self, status, headers, body, cut=None):
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in ("content-length", "connection", "date", "transfer-encoding"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[:cut])
            self.wfile.flush()

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer.request_queue_size = 16
http.server.ThreadingHTTPServer(("127.0.0.1", int(PORT)), Handler).serve_forever()
