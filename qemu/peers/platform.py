# SPDX-License-Identifier: GPL-2.0-or-later
"""All peers together, on Azure's real addresses or on those that the test hub's document contains. It runs in a network
namespace of its own, which has these addresses on loopback and no route out; configure_network() adds them."""

import subprocess

from .hub import Hub
from .imds import Imds
from .ntp import NtpServer
from .s3 import S3
from .wireserver import Wireserver

ADDRESSES = {
    'wireserver': '168.63.129.16',
    'imds': '169.254.169.254',
    'hub': '10.77.0.1',
    's3': '10.77.0.2',
    'ntp': '10.77.0.3',
}
PEERS = {'wireserver': Wireserver, 'imds': Imds, 'hub': Hub, 's3': S3, 'ntp': NtpServer}


def configure_network(addresses=ADDRESSES.values()):
    """Brings loopback up and adds the peers' addresses, in the current namespace. May be repeated."""
    subprocess.run(['ip', 'link', 'set', 'lo', 'up'], check=True)
    for address in addresses:
        subprocess.run(['ip', 'address', 'replace', f'{address}/32', 'dev', 'lo'], check=True)


class Platform:
    """All peers, started and stopped together. `only` selects some of them; `faults` is {peer: texts}, set before the
    first request; `options` is {peer: arguments of its class}; the store gets a snapshot of `snapshot_bytes` (None: stays
    empty)."""

    def __init__(self, *, only=None, faults=None, options=None, disk_key=None, snapshot_bytes=64 * 1024 * 1024,
                 small_files=40):
        options = {name: dict(value) for name, value in (options or {}).items()}
        if disk_key is not None:
            options.setdefault('hub', {})['disk_key'] = disk_key
        self.peers = {name: PEERS[name](**{'address': ADDRESSES[name], **options.get(name, {})})
                      for name in PEERS if only is None or name in only}
        for name, texts in (faults or {}).items():
            self.peers[name].faults.set(*([texts] if isinstance(texts, str) else texts))
        if snapshot_bytes is not None and 's3' in self.peers:
            self.snapshot = self.s3.put_snapshot(snapshot_bytes, small_files=small_files)

    def __getattr__(self, name):
        if name in PEERS and name in self.__dict__.get('peers', {}):
            return self.peers[name]
        raise AttributeError(name)

    def start(self):
        started = []
        try:
            for peer in self.peers.values():
                peer.start()
                started.append(peer)
        except BaseException:
            for peer in started:
                peer.stop()
            raise
        return self

    def stop(self):
        for peer in self.peers.values():
            peer.stop()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()
