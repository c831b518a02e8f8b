#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes the test certificates and keys into this folder, or into the folder given as the argument. Keys are derived from
their names and signatures are deterministic, so it always writes the same bytes; a test compares them with the committed
files. All are P-256 and valid from 2020 to the end of 2099, except the expired one."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from qemu.pki import p256, x509      # noqa: E402

HUB_HOSTS = ('hub.test', '10.77.0.1')
S3_HOSTS = ('s3.test', '10.77.0.2')

AUTHORITIES = {
    # file: (common name, issuer file, path length)
    'hub-ca': ('Gantry TEST hub CA', 'hub-ca', None),
    'other-ca': ('Gantry TEST CA that nobody pins', 'other-ca', None),
    'vtpm-ca': ('Gantry TEST Global Virtual TPM CA - 03', 'vtpm-ca', None),
    'sgx-root': ('Gantry TEST SGX Root CA', 'sgx-root', 1),
    'sgx-platform': ('Gantry TEST SGX PCK Platform CA', 'sgx-root', 0),
}
LEAVES = {
    # file: (common name, issuer file, options)
    'hub': ('hub.test', 'hub-ca', {'hosts': HUB_HOSTS, 'server': True}),
    'hub-expired': ('hub.test', 'hub-ca', {'hosts': HUB_HOSTS, 'server': True, 'not_after': '2021-01-01'}),
    'hub-wrong-name': ('elsewhere.test', 'hub-ca', {'hosts': ('elsewhere.test', '10.77.0.99'), 'server': True}),
    'hub-untrusted': ('hub.test', 'other-ca', {'hosts': HUB_HOSTS, 'server': True}),
    's3': ('s3.test', 'hub-ca', {'hosts': S3_HOSTS, 'server': True}),
    'sgx-pck': ('Gantry TEST SGX PCK Certificate', 'sgx-platform', {}),
}
NOTICE = 'TEST ONLY: made by qemu/pki/make_pki.py, its private key is public knowledge.\n'


def key_of(file):
    """The private key that belongs to a file of this folder, as an integer."""
    return p256.private_key(f'gantry test key: {file}')


def files():
    """Every file's name and text."""
    made = {}
    for file, (subject, issuer, path_length) in AUTHORITIES.items():
        der = x509.certificate(subject, x509.p256_spki(p256.public_key(key_of(file))), AUTHORITIES[issuer][0],
                               key_of(issuer), ca=True, path_length=path_length)
        made[f'{file}.pem'] = NOTICE + x509.pem('CERTIFICATE', der)
        made[f'{file}.key'] = NOTICE + x509.private_key_pem(key_of(file))
    for file, (subject, issuer, options) in LEAVES.items():
        der = x509.certificate(subject, x509.p256_spki(p256.public_key(key_of(file))), AUTHORITIES[issuer][0],
                               key_of(issuer), **options)
        made[f'{file}.pem'] = NOTICE + x509.pem('CERTIFICATE', der)
        made[f'{file}.key'] = NOTICE + x509.private_key_pem(key_of(file))
    return made


def main():
    directory = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    for file, text in files().items():
        (directory / file).write_text(text)
    print(f'{len(files())} files in {directory}')


if __name__ == '__main__':
    main()
