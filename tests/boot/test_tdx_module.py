# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel module that gives a plain machine the TDX guest interfaces: what it says is checked byte by byte against
quote.py, in a machine of its own with nothing else in it. A tiny initramfs, 5 seconds."""

import hashlib
import os
import subprocess
import unittest

import support

from qemu import image
from qemu.archive import Archive
from qemu.tdx import make_tail, quote as tdx

MODULE = os.path.join(support.BUILD, 'modules', 'gantry_tdx_test.ko')
REPORTDATA = b'\xa5' * 64


def boot():
    """Boots the probe and gives what it said: name -> text."""
    inputs = image.Inputs(support.BUILD)
    modules = image.Modules(inputs.modules)
    archive = Archive()
    archive.directory('/dev')
    archive.device('/dev/console', 5, 1)
    archive.directory('/modules')
    archive.file('/init', image.read_file(os.path.join(support.BUILD, 'guest', 'tdxprobe')), 0o755)
    order = modules.in_order(['configfs', 'tsm'])
    for name in order:
        archive.file(f'/modules/{name}.ko', modules.content(name))
    archive.file('/modules/gantry_tdx_test.ko', image.read_file(MODULE))
    archive.file('/modules/list', ''.join(f'/modules/{name}.ko\n' for name in [*order, 'gantry_tdx_test']).encode())
    folder = os.path.join(support.RESULTS, 'tdx-module')
    os.makedirs(folder, exist_ok=True)
    initrd = os.path.join(folder, 'initrd')
    with open(initrd, 'wb') as file:
        file.write(archive.bytes())
    ran = subprocess.run(
        ['qemu-system-x86_64', '-M', 'q35', '-accel', 'tcg', '-cpu', 'EPYC', '-m', '512', '-nodefaults', '-no-reboot',
         '-display', 'none', '-serial', 'stdio', '-kernel', inputs.kernel, '-initrd', initrd,
         '-append', 'console=ttyS0 quiet panic=-1'], stdin=subprocess.DEVNULL, capture_output=True, timeout=90, check=False)
    with open(os.path.join(folder, 'console.log'), 'wb') as file:
        file.write(ran.stdout + ran.stderr)
    said = {}
    for line in ran.stdout.decode('utf-8', 'replace').splitlines():
        name, _, value = line.strip().partition(' ')
        said.setdefault(name, value)
    if said.get('done') != 'yes':
        raise AssertionError(f'the probe did not end:\n{ran.stdout.decode("utf-8", "replace")[-3000:]}')
    return said


class TdxModule(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if not os.path.exists(MODULE):
            raise unittest.SkipTest('the module is not built')

    def test_reports_quotes_and_registers_are_what_the_verifier_expects(self):
        said = boot()
        self.assertNotIn('module', said)

        report = bytes.fromhex(said['report'])
        self.assertEqual(report, tdx.build_report(REPORTDATA))

        self.assertEqual(bytes.fromhex(said['provider']), b'tdx_guest\n')
        self.assertEqual(bytes.fromhex(said['generation-before']), b'0\n')
        self.assertEqual(said['short-inblob'], 'Invalid argument')
        self.assertEqual(said['busy-quote'], 'Resource busy')
        quote = bytes.fromhex(said['quote'])
        self.assertEqual(tdx.verify_quote(quote, REPORTDATA).td, tdx.parse_report(report).td)
        # All but the signature is the same bytes that quote.py makes.
        mine = tdx.quote_from_report(report)
        self.assertEqual(quote[:636] + quote[700:], mine[:636] + mine[700:])
        self.assertEqual(bytes.fromhex(said['generation-after']), b'2\n')
        for number in range(8):
            tdx.verify_quote(bytes.fromhex(said[f'quote-{number}']), bytes([number]) + REPORTDATA[1:])

        self.assertEqual(bytes.fromhex(said['mrtd']), tdx.Td().mrtd)
        self.assertEqual(said['short-extend'], 'Invalid argument')
        self.assertEqual((said['extend'], said['extend-again']), ('accepted', 'accepted'))
        once = hashlib.sha384(bytes(48) + b'\x5a' * 48).digest()
        twice = hashlib.sha384(once + b'\x5a' * 48).digest()
        self.assertEqual(bytes.fromhex(said['rtmr3']), twice)
        extended = tdx.parse_report(bytes.fromhex(said['report-extended']))
        self.assertEqual(extended.td.rtmrs, [bytes(48)] * 3 + [twice])

        self.assertEqual(said['broken-report'], 'I/O error')
        tdx.parse_report(bytes.fromhex(said['mended-report']))

    def test_the_constants_in_the_kernel_are_those_of_quote_py(self):
        self.assertEqual(make_tail.HEADER.read_text(encoding='ascii'), make_tail.text())


if __name__ == '__main__':
    unittest.main()
