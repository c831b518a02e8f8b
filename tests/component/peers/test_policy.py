# SPDX-License-Identifier: GPL-2.0-or-later
"""The signed disk policy, held against a TPM and tpm2-tools: what the host computes is what a policy session gives, and
a key that is sealed to the signer opens as long as the counter lets it, and not beyond."""

import base64
import hashlib
import json
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

TOP = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(TOP))

from qemu import policy, uki                             # noqa: E402
from qemu.tdx import azure_tpm                           # noqa: E402

COUNTER = f'{policy.NV_COUNTER:#x}'
SECRET = b'the key of the disk'
EVENTS = {4: [('uki', hashlib.sha256(b'uki').digest())], 9: [('initrd', hashlib.sha256(b'initrd').digest())],
          11: [('linux', hashlib.sha256(b'linux').digest()), ('cmdline', hashlib.sha256(b'cmdline').digest())]}


def run(*command, **options):
    return subprocess.run(command, capture_output=True, check=True, **options).stdout


class Signed(unittest.TestCase):
    """A TPM whose PCR 4, 9 and 11 hold what an image with EVENTS leaves there, and a key of its signer."""

    @classmethod
    def setUpClass(cls):
        cls.folder = Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        azure_tpm.provision(cls.folder / 'template')
        run('openssl', 'genrsa', '-out', 'private.pem', '2048', cwd=cls.folder)
        run('openssl', 'pkey', '-in', 'private.pem', '-pubout', '-out', 'public.pem', cwd=cls.folder)
        cls.private, cls.public = str(cls.folder / 'private.pem'), str(cls.folder / 'public.pem')

    def setUp(self):
        state = self.enterContext(tempfile.TemporaryDirectory())
        run('cp', '-r', f'{self.folder}/template/.', state)
        self.tpm = self.enterContext(azure_tpm.Swtpm(state))
        self.tool = self.tpm.tool
        for pcr, events in EVENTS.items():
            for _, digest in events:
                self.tool('pcrextend', f'{pcr}:sha256={digest.hex()}')
        self.path = self.tpm.path

    def document(self, version):
        with mock.patch.object(uki, 'predict', lambda _: EVENTS):
            return json.loads(policy.document(b'', self.private, version))

    # The machine's half, with tpm2-tools

    def make_counter(self):
        """The counter as the machine makes it: its first increment gives it a value and its final name."""
        self.tool('nvdefine', COUNTER, '-C', 'o', '-a', 'nt=counter|ownerwrite|authwrite|ownerread|authread|no_da')
        self.tool('nvincrement', COUNTER, '-C', COUNTER)

    def counter(self):
        return int.from_bytes(self.tool('nvread', COUNTER, '-C', COUNTER))

    def raise_counter(self, value):
        while self.counter() < value:
            self.tool('nvincrement', COUNTER, '-C', COUNTER)

    def start_session(self):
        self.tool('startauthsession', '--policy-session', '-S', 'session')

    def end_session(self):
        self.tool('flushcontext', 'session')

    def satisfy(self, version):
        """PolicyPCR and PolicyNV in the session; returns its digest."""
        (self.path / 'operand').write_bytes(version.to_bytes(8))
        self.tool('policypcr', '-S', 'session', '-l', 'sha256:4,9,11')
        self.tool('policynv', '-S', 'session', '-C', COUNTER, '-i', 'operand', COUNTER, 'ule', '-L', 'approved')
        return (self.path / 'approved').read_bytes()

    def load_signer(self):
        self.tool('loadexternal', '-G', 'rsa', '-C', 'o', '-u', self.public, '-c', 'signer', '-n', 'signer.name')

    def authorize(self, document):
        """Verifies the document's signature and lets it stand for what the session has satisfied."""
        (self.path / 'message').write_bytes(bytes.fromhex(document['policy']) + policy.POLICY_REF)
        (self.path / 'signature').write_bytes(base64.b64decode(document['signature']))
        (self.path / 'ref').write_bytes(policy.POLICY_REF)
        (self.path / 'approved').write_bytes(bytes.fromhex(document['policy']))
        self.tool('verifysignature', '-c', 'signer', '-g', 'sha256', '-m', 'message', '-s', 'signature', '-f', 'rsassa',
                  '-t', 'ticket')
        self.tool('policyauthorize', '-S', 'session', '-i', 'approved', '-q', 'ref', '-n', 'signer.name',
                  '-t', 'ticket')

    def seal(self):
        """SECRET, for whoever the signer approves while PCR 15 is zero; sealed without any signature."""
        self.load_signer()
        (self.path / 'ref').write_bytes(policy.POLICY_REF)
        name, ref = (self.path / 'signer.name').read_bytes(), policy.POLICY_REF
        authorized = policy.sha256(policy.sha256(bytes(32), (0x16A).to_bytes(4), name), ref)
        (self.path / 'sealed.policy').write_bytes(policy.policy_pcr(authorized, {15: bytes(32)}))
        (self.path / 'secret').write_bytes(SECRET)
        self.tool('create', '-C', f'{azure_tpm.SRK:#x}', '-L', 'sealed.policy', '-i', 'secret', '-u', 'sealed.pub',
                  '-r', 'sealed.priv', '-a', 'fixedtpm|fixedparent')
        self.tool('flushcontext', '-t')

    def unseal(self, document):
        self.start_session()
        try:
            self.load_signer()
            self.satisfy(document['version'])
            self.authorize(document)
            self.tool('flushcontext', '-t')
            self.tool('policypcr', '-S', 'session', '-l', 'sha256:15')
            self.tool('load', '-C', f'{azure_tpm.SRK:#x}', '-u', 'sealed.pub', '-r', 'sealed.priv', '-c', 'sealed')
            return self.tool('unseal', '-c', 'sealed', '-p', 'session:session')
        finally:
            self.end_session()
            self.tool('flushcontext', '-t')

    # What must hold

    def test_digest_is_the_one_that_a_policy_session_gives(self):
        self.make_counter()
        for version in (1, 2, 256, 1000):
            self.start_session()
            self.assertEqual(self.satisfy(version).hex(), self.document(version)['policy'], version)
            self.end_session()

    def test_counter_that_was_written_has_the_name_we_compute(self):
        self.make_counter()
        public = self.tool('nvreadpublic', COUNTER).decode()
        self.assertIn(policy.counter_name().hex(), public.lower())

    def test_openssl_and_the_tpm_verify_the_signature_and_no_changed_one(self):
        document = self.document(7)
        signature = base64.b64decode(document['signature'])
        message = bytes.fromhex(document['policy']) + policy.POLICY_REF
        self.load_signer()
        for name, content, good in (('message', message, True), ('other', message[:-1] + b'2', False)):
            (self.path / name).write_bytes(content)
            (self.path / 'signature').write_bytes(signature)
            command = ['openssl', 'dgst', '-sha256', '-verify', self.public, '-signature', 'signature', name]
            checked = subprocess.run(command, cwd=self.path, capture_output=True, check=False)
            self.assertEqual(checked.returncode == 0, good, checked)
            arguments = ('-c', 'signer', '-g', 'sha256', '-m', name, '-s', 'signature', '-f', 'rsassa', '-t', 'ticket')
            if good:
                self.tool('verifysignature', *arguments)
            else:
                with self.assertRaisesRegex(azure_tpm.TpmError, 'signature is not valid'):
                    self.tool('verifysignature', *arguments)

    def test_sealed_key_opens_with_the_signature_until_the_counter_is_above_its_version(self):
        self.make_counter()
        self.seal()
        self.assertEqual(self.unseal(self.document(1)), SECRET)
        self.assertEqual(self.unseal(self.document(2)), SECRET)
        self.raise_counter(2)
        self.assertEqual(self.unseal(self.document(2)), SECRET)
        with self.assertRaisesRegex(azure_tpm.TpmError, 'policynv'):
            self.unseal(self.document(1))
        self.start_session()
        (self.path / 'operand').write_bytes((1).to_bytes(8))
        self.tool('policypcr', '-S', 'session', '-l', 'sha256:4,9,11')
        with self.assertRaisesRegex(azure_tpm.TpmError, r'(?i)\(0x126\)'):       # TPM_RC_POLICY
            self.tool('policynv', '-S', 'session', '-C', COUNTER, '-i', 'operand', COUNTER, 'ule')

    def test_sealed_key_stays_shut_without_the_signature_and_after_pcr_15_was_extended(self):
        self.make_counter()
        self.seal()
        document = self.document(1)
        unsigned = dict(document, signature=base64.b64encode(bytes(256)).decode())
        with self.assertRaisesRegex(azure_tpm.TpmError, 'signature is not valid'):
            self.unseal(unsigned)
        with self.assertRaisesRegex(azure_tpm.TpmError, 'tpm2_policyauthorize'):     # signed, but not satisfied
            self.unseal(dict(self.document(2), version=1))
        self.assertEqual(self.unseal(document), SECRET)
        self.tool('pcrextend', f'15:sha256={"77" * 32}')
        with self.assertRaisesRegex(azure_tpm.TpmError, r'(?s)tpm2_unseal: .*a policy check failed'):
            self.unseal(document)

    def test_sealed_key_stays_shut_in_another_image(self):
        self.make_counter()
        self.seal()
        self.tool('pcrextend', f'11:sha256={"77" * 32}')
        with self.assertRaisesRegex(azure_tpm.TpmError, 'tpm2_policyauthorize'):
            self.unseal(self.document(1))

    def test_counter_that_is_deleted_and_made_anew_does_not_go_back(self):
        self.make_counter()
        self.raise_counter(3)
        self.seal()
        self.tool('nvundefine', '-C', 'o', COUNTER)
        self.make_counter()
        self.assertEqual(self.counter(), 4)
        with self.assertRaisesRegex(azure_tpm.TpmError, 'policynv'):
            self.unseal(self.document(3))


if __name__ == '__main__':
    unittest.main()
