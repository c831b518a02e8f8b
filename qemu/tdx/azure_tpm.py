#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Adds to a new swtpm the objects of a confidential VM's vTPM on Azure: attestation key, storage root key, endorsement key,
the HCL report around a TDREPORT that names the attestation key, and its certificate. All keys are derived from the TPM's
seeds, so a copy of a state folder is the same machine.

One difference from Azure: swtpm's NV indices hold at most 2048 bytes and not 2600, so the runtime data does not contain the
endorsement key, which no verifier needs.

    python3 qemu/tdx/azure_tpm.py STATE-FOLDER      (made by swtpm_setup if it is empty)"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

if __name__ == '__main__':
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from qemu.pki import x509                                # noqa: E402
from qemu.pki.make_pki import AUTHORITIES, key_of        # noqa: E402
from qemu.tdx import quote                               # noqa: E402

AK, SRK, EK = 0x81000003, 0x81000001, 0x81010001
NV_HCL_REPORT, NV_AK_CERTIFICATE = 0x01400001, 0x01C101D0
NV_INDEX_MAX = 2048
PRIMARY = 'fixedtpm|fixedparent|sensitivedataorigin|userwithauth'


class TpmError(Exception):
    """The vTPM cannot be provisioned; the message is the failing program's."""


class Swtpm:
    """A swtpm over a state folder, for as long as the `with` block lasts; `tool` runs a tpm2-tools command."""

    def __init__(self, state):
        self.state = os.path.abspath(state)
        self._folder = self._process = None

    def __enter__(self):
        self._folder = tempfile.TemporaryDirectory(prefix='gantry-tpm-')
        self.path = Path(self._folder.name)
        self._process = subprocess.Popen(
            ['swtpm', 'socket', '--tpm2', '--tpmstate', f'dir={self.state}', '--server', f'type=unixio,path={self.path}/tpm',
             '--ctrl', f'type=unixio,path={self.path}/tpm.ctrl', '--flags', 'not-need-init,startup-clear'],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        deadline = time.monotonic() + 10
        while not (self.path / 'tpm.ctrl').exists() or not (self.path / 'tpm').exists():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self._process.kill()
                raise TpmError(f'swtpm: {self._process.stderr.read().decode().strip()}')
            time.sleep(0.01)
        return self

    @property
    def tcti(self):
        return f'swtpm:path={self.path}/tpm'

    def tool(self, name, *arguments):
        ran = subprocess.run([f'tpm2_{name}', '-T', self.tcti, *arguments],
                             cwd=self.path, capture_output=True, check=False)
        if ran.returncode:
            raise TpmError(f'tpm2_{name}: {ran.stderr.decode().strip()}')
        return ran.stdout

    def __exit__(self, *_):
        try:
            self.tool('shutdown')
        except TpmError:
            pass
        self._process.terminate()
        self._process.wait()
        self._process.stderr.close()
        self._folder.cleanup()


def provision(state, td=None):
    """Puts Azure's objects into the TPM of that folder, which is manufactured first when it has no state yet.
    What is there already stays. `td` (quote.Td) says what the HCL report tells of the TD."""
    if not os.path.exists(os.path.join(state, 'tpm2-00.permall')):
        os.makedirs(state, exist_ok=True)
        made = subprocess.run(['swtpm_setup', '--tpm2', '--tpmstate', os.path.abspath(state), '--pcr-banks', 'sha256',
                               '--overwrite'], capture_output=True, text=True, check=False)
        if made.returncode:
            raise TpmError(f'swtpm_setup: {made.stdout}{made.stderr}')
    with Swtpm(state) as tpm:
        present = (tpm.tool('getcap', 'handles-persistent') + tpm.tool('getcap', 'handles-nv-index')).decode().lower()

        def missing(handle):
            return f'{handle:#x}' not in present

        if missing(AK):
            _primary(tpm, AK, 'e', 'rsa2048:rsassa-sha256:null', f'{PRIMARY}|restricted|sign')
        if missing(SRK):
            _primary(tpm, SRK, 'o', 'rsa2048:null:aes128cfb', f'{PRIMARY}|restricted|decrypt|noda')
        if missing(EK):
            tpm.tool('createek', '-G', 'rsa', '-c', f'{EK:#x}')
            tpm.tool('flushcontext', '-t')
        ak = _modulus(tpm, AK)
        for index, content in (
                (NV_HCL_REPORT, quote.build_hcl_report(quote.runtime_json(ak), td, NV_INDEX_MAX)),
                (NV_AK_CERTIFICATE, _ak_certificate(ak).ljust(NV_INDEX_MAX, b'\0'))):
            if missing(index):
                _store(tpm, index, content)


def _primary(tpm, handle, hierarchy, algorithm, attributes):
    tpm.tool('createprimary', '-C', hierarchy, '-g', 'sha256', '-G', algorithm, '-a', attributes, '-c', 'key.ctx')
    tpm.tool('evictcontrol', '-C', 'o', '-c', 'key.ctx', f'{handle:#x}')
    tpm.tool('flushcontext', '-t')


def _modulus(tpm, handle):
    """The RSA modulus behind a persistent handle, from its TPMT_PUBLIC: the last field but for its size."""
    tpm.tool('readpublic', '-c', f'{handle:#x}', '-f', 'tpmt', '-o', 'public')
    public = (tpm.path / 'public').read_bytes()
    modulus = public[-256:]
    if public[-258:-256] != b'\x01\x00' or not modulus[0] & 0x80:
        raise TpmError(f'{handle:#x} is not an RSA-2048 key')
    return modulus


def _store(tpm, index, content):
    (tpm.path / 'content').write_bytes(content)
    tpm.tool('nvdefine', f'{index:#x}', '-C', 'o', '-s', str(len(content)), '-a', 'ownerread|ownerwrite|authread|no_da')
    tpm.tool('nvwrite', f'{index:#x}', '-C', 'o', '-i', 'content')


def _ak_certificate(modulus):
    return x509.certificate('Gantry TEST vTPM AK', x509.rsa_spki(int.from_bytes(modulus)), AUTHORITIES['vtpm-ca'][0],
                            key_of('vtpm-ca'))


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    started = time.monotonic()
    provision(sys.argv[1])
    print(f'{sys.argv[1]}: provisioned in {time.monotonic() - started:.1f} s')


if __name__ == '__main__':
    main()
