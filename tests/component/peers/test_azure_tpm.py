# SPDX-License-Identifier: GPL-2.0-or-later
"""The vTPM that a machine of ours starts with holds what an Azure one does, and its parts name each other."""

import hashlib
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

TOP = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(TOP))

from qemu import pki                                     # noqa: E402
from qemu.pki import x509                                # noqa: E402
from qemu.tdx import azure_tpm, quote as tdx             # noqa: E402


class AzureTpm(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        azure_tpm.provision(cls.folder.name)

    def read_nv(self, tpm, index):
        tpm.tool('nvread', f'{index:#x}', '-C', 'o', '-o', 'out')
        return (tpm.path / 'out').read_bytes()

    def test_report_key_certificate_and_quote_name_the_same_key(self):
        with azure_tpm.Swtpm(self.folder.name) as tpm:
            report = tdx.parse_hcl_report(self.read_nv(tpm, azure_tpm.NV_HCL_REPORT))
            padded = self.read_nv(tpm, azure_tpm.NV_AK_CERTIFICATE)
            _, _, certificate, end = x509.read_tlv(padded)
            self.assertFalse(any(padded[end:]))
            self.assertEqual(x509.Parsed(certificate).spki, x509.rsa_spki(int.from_bytes(report.ak_modulus)))
            (tpm.path / 'ak.pem').write_text(x509.pem('CERTIFICATE', certificate))
            subprocess.run(['openssl', 'verify', '-CAfile', pki.path('vtpm-ca.pem'), 'ak.pem'], cwd=tpm.path,
                           check=True, capture_output=True)
            tpm.tool('quote', '-c', f'{azure_tpm.AK:#x}', '-l', 'sha256:4,9,11', '-q', 'c0ffee', '-m', 'quoted',
                     '-s', 'signature', '-f', 'plain', '-o', 'pcrs')
            (tpm.path / 'key.pem').write_text(x509.pem('PUBLIC KEY', x509.Parsed(certificate).spki))
            subprocess.run(['openssl', 'dgst', '-sha256', '-verify', 'key.pem', '-signature', 'signature', 'quoted'],
                           cwd=tpm.path, check=True, capture_output=True)

    def test_report_turns_into_a_quote_that_binds_the_key(self):
        with azure_tpm.Swtpm(self.folder.name) as tpm:
            report = tdx.parse_hcl_report(self.read_nv(tpm, azure_tpm.NV_HCL_REPORT))
        quote = tdx.quote_from_report(report.report.raw, tdx.AZURE_QUOTE_SIZE)
        parsed = tdx.verify_quote(quote, hashlib.sha256(report.runtime).digest())
        self.assertEqual(parsed.td.rtmrs, [bytes(48)] * 4)

    def test_a_second_provisioning_changes_nothing_and_a_half_one_is_completed(self):
        state = Path(self.folder.name, 'tpm2-00.permall')
        with azure_tpm.Swtpm(self.folder.name) as tpm:
            before = self.read_nv(tpm, azure_tpm.NV_HCL_REPORT)
            tpm.tool('nvundefine', '-C', 'o', f'{azure_tpm.NV_AK_CERTIFICATE:#x}')
            tpm.tool('evictcontrol', '-C', 'o', '-c', f'{azure_tpm.SRK:#x}')
        self.assertTrue(state.exists())
        azure_tpm.provision(self.folder.name)
        azure_tpm.provision(self.folder.name)
        with azure_tpm.Swtpm(self.folder.name) as tpm:
            self.assertEqual(self.read_nv(tpm, azure_tpm.NV_HCL_REPORT), before)
            self.assertTrue(self.read_nv(tpm, azure_tpm.NV_AK_CERTIFICATE))
            tpm.tool('readpublic', '-c', f'{azure_tpm.SRK:#x}')

    def test_two_folders_are_two_machines(self):
        with tempfile.TemporaryDirectory() as other:
            azure_tpm.provision(other)
            reports = []
            for folder in (self.folder.name, other):
                with azure_tpm.Swtpm(folder) as tpm:
                    reports.append(tdx.parse_hcl_report(self.read_nv(tpm, azure_tpm.NV_HCL_REPORT)).ak_modulus)
            self.assertNotEqual(*reports)


if __name__ == '__main__':
    unittest.main()
