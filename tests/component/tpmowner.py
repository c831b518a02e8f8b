# SPDX-License-Identifier: GPL-2.0-or-later
"""A software TPM and its owner, the role `tpm`, run for real, with this process playing PID 1 on its descriptors. Layouts are
those of include/gantry/tpm.h and stages/lib/tpmwire.h."""

import contextlib
import os
import re
import socket
import struct
import subprocess
import time

from patience import PATIENCE
from support import Stage, run, temporary_folder

CLIENT, CLOSE = range(2)
MEASURE, DISK = 1, 2
ORDER = struct.Struct('=HH60s')
REQUEST, ANSWER = struct.Struct('=II'), struct.Struct('=iI160s')
(PRESENT, PCR_READ, EXTEND, CLOSE_KEYS, SEAL, UNSEAL, SRK, REPORT_READ, SHELL_KEY, RECORD_READ, RECORD_WRITE, RECORD_CLEAR,
 VERSION_RAISE) = range(13)
POLICY, UUID, SEALED, DIGEST = 560, 40, 1680, 32
PCRS = 1 << 4 | 1 << 9 | 1 << 11 | 1 << 15
ZEROS = bytes(32)


class Swtpm:
    """A new software TPM in a folder (of its own); start() and stop() are its power."""

    def __init__(self, test, folder=None):
        self.folder = folder or temporary_folder(test)
        self.socket = f'{self.folder}/socket'
        self.tcti = f'swtpm:path={self.socket}'
        self.process = None
        test.addCleanup(self.stop)

    def start(self):
        """Its socket appears when it answers, for everybody: libtss2 connects anew for each command, and a device is opened
        once, by who may."""
        new = f'{self.socket}.new'
        self.process = subprocess.Popen(['swtpm', 'socket', '--tpm2', '--tpmstate', f'dir={self.folder}', '--flags',
                                         'startup-clear,not-need-init', '--server', f'type=unixio,path={new}',
                                         '--ctrl', f'type=unixio,path={self.socket}.ctrl'],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + 10 * PATIENCE
        while True:
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
                probe.connect(new)
                break
            assert time.monotonic() < end, 'swtpm did not start'
            time.sleep(0.01)
        os.chmod(new, 0o666)
        os.rename(new, self.socket)
        return self

    def stop(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None
            for path in (self.socket, f'{self.socket}.ctrl'):
                if os.path.exists(path):
                    os.unlink(path)

    def tool(self, *command, **more):
        """One of tpm2-tools; it serves one client at a time, so no owner may run."""
        return run(*command, env={**os.environ, 'TPM2TOOLS_TCTI': self.tcti}, cwd=self.folder, **more)

    def pcr(self, number):
        found = re.search(rf'{number} *: 0x([0-9A-F]{{64}})', self.tool('tpm2_pcrread', f'sha256:{number}'))
        return bytes.fromhex(found[1])


class Owner(Stage):
    def __init__(self, tcti):
        self._orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        super().__init__('tpm', {'tcti': tcti}, argv=['init', 'tpm'], fifth=theirs.detach())

    def __exit__(self, *why):
        self._orders.close()
        super().__exit__(*why)

    def end(self):
        """As PID 1 ends it: its exit status."""
        self.kill()
        return self.wait()

    def client_socket(self, use):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        socket.send_fds(self._orders, [ORDER.pack(CLIENT, use, b'')], [theirs.fileno()])
        theirs.close()
        return ours

    def client(self, use):
        """A stage's descriptor 5."""
        return self.client_socket(use).detach()

    def close_pcr_15(self, why):
        self._orders.send(ORDER.pack(CLOSE, 0, why.encode()))


class Client:
    """A stage as the owner sees it."""

    def __del__(self):
        self.socket.close()

    def __init__(self, owner, use=DISK):
        self.socket = owner.client_socket(use)
        self.socket.settimeout(20 * PATIENCE)

    def ask(self, kind, body=b''):
        """(error, reason or body)"""
        self.socket.send(REQUEST.pack(kind, len(body)) + body)
        answer = self.socket.recv(1 << 16)
        error, size, reason = ANSWER.unpack_from(answer)
        body = answer[ANSWER.size:]
        assert size == len(body), (size, len(body))
        return error, reason.split(b'\0')[0].decode() if error else body

    def good(self, kind, body=b''):
        error, answer = self.ask(kind, body)
        assert error == 0, answer
        return answer

    def pcr(self, number):
        return self.good(PCR_READ, struct.pack('=I', number))

    @staticmethod
    def _policy(pcrs, uuid, approval):
        head = struct.pack('=II', 0 if approval else pcrs, bool(approval)) + approval
        return head.ljust(POLICY, b'\0') + uuid.encode().ljust(UUID, b'\0')

    def seal(self, secret, uuid='volume', pcrs=PCRS, approval=b''):
        """(error, reason or what was sealed)"""
        error, answer = self.ask(SEAL, self._policy(pcrs, uuid, approval) + struct.pack('=I', len(secret)) +
                                 secret.ljust(128, b'\0'))
        return error, answer if error else answer[:SEALED]

    def unseal(self, sealed, uuid='volume', pcrs=PCRS, approval=b''):
        return self.ask(UNSEAL, self._policy(pcrs, uuid, approval) + sealed)
