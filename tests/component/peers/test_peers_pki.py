# SPDX-License-Identifier: GPL-2.0-or-later
"""The keys, certificates and quotes that the peers show: openssl agrees with them, and any changed byte is found."""

import hashlib
import struct
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from qemu import pki                                     # noqa: E402
from qemu.pki import make_pki, p256, x509                # noqa: E402
from qemu.tdx import quote as tdx                        # noqa: E402


class Certificates(unittest.TestCase):
    def test_committed_files_are_what_the_script_makes(self):
        for name, text in make_pki.files().items():
            self.assertEqual(Path(pki.path(name)).read_text(), text, name)
            self.assertTrue(text.startswith('TEST ONLY'), name)

    def test_openssl_agrees(self):
        def verify(leaf, *chain):
            return subprocess.run(['openssl', 'verify', '-x509_strict', *chain, pki.path(leaf)],
                                  capture_output=True, check=False).returncode == 0
        ca = ('-CAfile', pki.path('hub-ca.pem'))
        self.assertTrue(verify('hub.pem', *ca, '-verify_hostname', 'hub.test'))
        self.assertTrue(verify('hub.pem', *ca, '-verify_ip', '10.77.0.1'))
        self.assertFalse(verify('hub-wrong-name.pem', *ca, '-verify_hostname', 'hub.test'))
        self.assertFalse(verify('hub-expired.pem', *ca))
        self.assertFalse(verify('hub-untrusted.pem', *ca))
        self.assertTrue(verify('sgx-pck.pem', '-CAfile', pki.path('sgx-root.pem'), '-untrusted', pki.path('sgx-platform.pem')))

    def test_signatures_by_known_answer(self):
        # RFC 6979, A.2.5: P-256, SHA-256, "sample".
        key = 0xC9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721
        signature = p256.sign(key, b'sample')
        self.assertEqual(signature.hex().upper(), 'EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716'
                                                  'F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8')
        self.assertTrue(p256.verify(p256.public_key(key), b'sample', signature))
        self.assertFalse(p256.verify(p256.public_key(key), b'Sample', signature))
        self.assertFalse(p256.verify(bytes(64), b'sample', signature))


class Quotes(unittest.TestCase):
    def setUp(self):
        self.report = tdx.build_report(b'data')
        self.quote = tdx.quote_from_report(self.report)

    def test_layout_is_intels(self):
        report, quote = self.report, self.quote
        self.assertEqual((len(report), report[0]), (1024, 0x81))
        self.assertEqual(report[128:192], b'data'.ljust(64, b'\0'))
        self.assertEqual(report[512:520].hex(), '0000001000000000')
        self.assertEqual(report[528:576], tdx.Td().mrtd)
        self.assertEqual(report[32:80], hashlib.sha384(report[256:495]).digest())
        self.assertEqual((quote[0], quote[2], quote[4]), (4, 2, 0x81))
        self.assertEqual(quote[12:28].hex(), '939a7233f79c4ca9940a0db3957f0607')
        self.assertEqual(quote[48 + 136:48 + 184], tdx.Td().mrtd)
        self.assertEqual(quote[48 + 520:48 + 584], report[128:192])
        self.assertEqual(struct.unpack_from('<I', quote, 632)[0], len(quote) - 636)
        self.assertEqual(struct.unpack_from('<H', quote, 636 + 128)[0], 6)

    def test_a_quote_verifies_and_carries_the_report(self):
        parsed = tdx.verify_quote(self.quote + bytes(100), b'data')
        self.assertEqual(parsed.td, tdx.Td())
        self.assertEqual(parsed.used, len(self.quote))

    def test_openssl_verifies_the_signature_too(self):
        key = self.quote[700:764]
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, 'key.pem').write_text(x509.pem('PUBLIC KEY', x509.p256_spki(key)))
            Path(folder, 'signature').write_bytes(x509.ecdsa_der(self.quote[636:700]))
            Path(folder, 'body').write_bytes(self.quote[:632])
            subprocess.run(['openssl', 'dgst', '-sha256', '-verify', 'key.pem', '-signature', 'signature', 'body'],
                           cwd=folder, check=True, capture_output=True)

    def test_any_changed_byte_is_found(self):
        for at in (0, 2, 4, 20, 50, 200, 600, 633, 640, 700, 764, 766, 800, 1100, 1160, 1200, 1214, 1400, len(self.quote) - 200):
            changed = bytearray(self.quote)
            changed[at] ^= 1
            with self.assertRaises((tdx.QuoteError, ValueError), msg=at):
                tdx.verify_quote(bytes(changed), b'data')
        self.assertRaises(tdx.QuoteError, tdx.verify_quote, self.quote, b'other')
        self.assertRaises(tdx.QuoteError, tdx.verify_quote, self.quote + b'x')
        self.assertRaises(tdx.QuoteError, tdx.verify_quote, self.quote[:-1])
        other = x509.pem_certificates(Path(pki.path('hub-ca.pem')).read_text())[0]
        self.assertRaises(tdx.QuoteError, tdx.verify_quote, self.quote, b'data', other)
        for at in (40, 100, 130, 230, 300, 600):
            changed = bytearray(self.report)
            changed[at] ^= 1
            self.assertRaises(tdx.QuoteError, tdx.parse_report, bytes(changed))

    def test_hcl_report_binds_its_runtime_data(self):
        runtime = tdx.runtime_json(b'\xab' * 256, b'\xcd' * 256)
        report = tdx.build_hcl_report(runtime)
        self.assertEqual(len(report), 2600)
        self.assertEqual(report[160:192], hashlib.sha256(runtime).digest())
        parsed = tdx.parse_hcl_report(report)
        self.assertEqual((parsed.ak_modulus, parsed.runtime, parsed.user_data), (b'\xab' * 256, runtime, bytes(64)))
        self.assertEqual(parsed.report.td.rtmrs, [bytes(48)] * 4)
        changed = bytearray(report)
        changed[1300] ^= 1
        self.assertRaises(tdx.QuoteError, tdx.parse_hcl_report, bytes(changed))


if __name__ == '__main__':
    unittest.main()
