#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes quote_tail.h: the constants that gantry_tdx_test.c shares with quote.py. The bytes are always the same; a test
compares them with the committed file."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from qemu.pki import p256                       # noqa: E402
from qemu.pki.make_pki import key_of            # noqa: E402
from qemu.tdx import quote                      # noqa: E402

HEADER = Path(__file__).with_name('quote_tail.h')


def array(name, content):
    lines = [', '.join(f'0x{byte:02x}' for byte in content[i:i + 16]) for i in range(0, len(content), 16)]
    return f'static const u8 {name}[{len(content)}] = {{\n' + ''.join(f'\t{line},\n' for line in lines) + '};\n'


def text():
    private = key_of(quote.ATTESTATION_KEY)
    return '\n'.join([
        '/* SPDX-License-Identifier: GPL-2.0-or-later */',
        '/* TEST ONLY, made by make_tail.py: keys that everybody knows, and the fixed parts of reports and quotes. */\n',
        array('report_mac_key', quote.MAC_KEY),
        array('report_template', quote.build_report(b'')),
        array('quote_header', quote.quote_header()),
        array('attestation_key', private.to_bytes(32)),
        array('attestation_public', p256.public_key(private)),
        array('quote_tail', quote.quote_tail()),
    ])


if __name__ == '__main__':
    HEADER.write_text(text())
