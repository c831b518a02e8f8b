# SPDX-License-Identifier: GPL-2.0-or-later
"""The control socket: JSON lines on a Unix socket, for a test outside the network namespace to set and clear faults and
to read the request logs. Each request is one line, each answer one line: {"ok": true, ...} or {"ok": false, "error": "..."}.
It is a Unix socket and not a TCP port, because Unix sockets do not belong to a network namespace.

    {"op": "peers"}                                              names, addresses, faults
    {"op": "fault", "peer": "hub", "faults": ["status:403:3"]}   sets faults;  "clear" clears them ("kind" or all)
    {"op": "requests", "peer": "s3", "contains": "mdbx", "status": 206}      the log; also "count", "forget"
    {"op": "wait", "peer": "imds", "count": 2, "timeout_s": 30}  waits for that many matching requests
    {"op": "set", "peer": "wireserver", "values": {"incarnation": 9}}
    {"op": "health"}                                             reports that the wireserver accepted
    {"op": "snapshot", "size": 1048576, ...}                     S3.put_snapshot's arguments
    {"op": "manifest", "bucket": "...", "prefix": "..."}         name -> [size, sha256]
    {"op": "stop"}"""

import contextlib
import json
import os
import socket
import threading


class ControlServer:
    """Serves a Platform at a socket path. `on_stop` is called when a client asks to stop."""

    def __init__(self, platform, path, on_stop=lambda: None):
        self.platform, self.path, self.on_stop = platform, str(path), on_stop
        self._socket = None

    def start(self):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.bind(self.path)
        self._socket.listen(16)
        threading.Thread(target=self._accept, daemon=True, name='control').start()
        return self

    def stop(self):
        if self._socket:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
            self._socket.close()
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path)
            self._socket = None

    def _accept(self):
        while True:
            try:
                connection, _ = self._socket.accept()
            except (OSError, AttributeError):
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection, connection.makefile('rwb') as lines:
            for line in lines:
                stop = False
                try:
                    ask = json.loads(line)
                    stop = ask.get('op') == 'stop'
                    answer = {'ok': True, **(self._perform(ask) or {})}
                except Exception as error:      # whatever was asked wrongly is the asker's to know
                    answer = {'ok': False, 'error': f'{type(error).__name__}: {error}'}
                with contextlib.suppress(OSError):
                    lines.write(json.dumps(answer).encode() + b'\n')
                    lines.flush()
                if stop:
                    self.on_stop()      # only now: the process may end before another byte is written

    def _perform(self, ask):
        op = ask.pop('op')
        handler = getattr(self, f'_op_{op}', None)
        if handler is None:
            raise ValueError(f'unknown op {op!r}')
        if 'peer' in ask:
            ask['peer'] = self.platform.peers[ask['peer']]
        return handler(**ask)

    def _op_peers(self):
        return {'peers': {name: {'at': peer.describe(), 'faults': peer.faults.list()}
                          for name, peer in self.platform.peers.items()}}

    def _op_fault(self, peer, faults):
        peer.faults.set(*faults)

    def _op_clear(self, peer=None, kind=None):
        for each in [peer] if peer else self.platform.peers.values():
            each.faults.clear(kind)

    def _op_requests(self, peer, **match):
        return {'requests': peer.requests(**match)}

    def _op_count(self, peer, **match):
        return {'count': peer.count(**match)}

    def _op_wait(self, peer, count=1, timeout_s=30.0, **match):
        return {'reached': peer.wait_for(count, timeout_s, **match)}

    def _op_forget(self, peer=None):
        for each in [peer] if peer else self.platform.peers.values():
            each.forget()

    def _op_set(self, peer, values):
        for name, value in values.items():
            if name not in peer.settings:
                raise ValueError(f'{peer.name} has no setting {name!r}; it has {", ".join(peer.settings)}')
            setattr(peer, name, value)

    def _op_health(self, state=None, timeout_s=None):
        wireserver = self.platform.wireserver
        if state is not None and timeout_s is not None:
            wireserver.wait_for_health(state, timeout_s)
        return {'health': [dict(h) for h in wireserver.health if state is None or h['state'] == state]}

    def _op_snapshot(self, **options):
        return {'directory': self.platform.s3.put_snapshot(**options)}

    def _op_manifest(self, bucket, prefix):
        return {'manifest': self.platform.s3.manifest(bucket, prefix)}

    def _op_stop(self):
        pass                            # the connection does it once the answer is out


class ControlClient:
    """The client: `client.fault('hub', 'status:403:3')`, or any op with `client.ask(op, ...)`."""

    def __init__(self, path):
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.connect(str(path))
        self._lines = self._socket.makefile('rwb')
        self._lock = threading.Lock()

    def close(self):
        self._lines.close()
        self._socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def ask(self, op, **arguments):
        with self._lock:
            self._lines.write(json.dumps({'op': op, **arguments}).encode() + b'\n')
            self._lines.flush()
            line = self._lines.readline()
        if not line:
            raise ConnectionError('the platform ended')
        answer = json.loads(line)
        if not answer.pop('ok'):
            raise ValueError(answer['error'])
        return answer

    def peers(self):
        return self.ask('peers')['peers']

    def fault(self, peer, *faults):
        self.ask('fault', peer=peer, faults=list(faults))

    def clear(self, peer=None, kind=None):
        self.ask('clear', **({'peer': peer} if peer else {}), kind=kind)

    def requests(self, peer, **match):
        return self.ask('requests', peer=peer, **match)['requests']

    def count(self, peer, **match):
        return self.ask('count', peer=peer, **match)['count']

    def wait_for(self, peer, count=1, timeout_s=30.0, **match):
        return self.ask('wait', peer=peer, count=count, timeout_s=timeout_s, **match)['reached']

    def set(self, peer, **values):
        self.ask('set', peer=peer, values=values)

    def forget(self, peer=None):
        self.ask('forget', **({'peer': peer} if peer else {}))

    def health(self, state=None, timeout_s=None):
        return self.ask('health', state=state, timeout_s=timeout_s)['health']

    def put_snapshot(self, **options):
        return self.ask('snapshot', **options)['directory']

    def manifest(self, bucket, prefix):
        return {name: tuple(value) for name, value in self.ask('manifest', bucket=bucket, prefix=prefix)['manifest'].items()}
