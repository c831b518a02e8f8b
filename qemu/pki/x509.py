# SPDX-License-Identifier: GPL-2.0-or-later
"""DER to write the test certificates and to check a chain of them: P-256 keys, SHA-256 signatures, basicConstraints,
keyUsage, names. It makes the certificates reproducible and lets quotes be verified without a library; it is not a general
X.509 verifier."""

import base64
import datetime
import hashlib
import ipaddress
import re

from . import p256

EC_PUBLIC_KEY = '1.2.840.10045.2.1'
PRIME256V1 = '1.2.840.10045.3.1.7'
ECDSA_SHA256 = '1.2.840.10045.4.3.2'


class CertificateError(ValueError):
    """A certificate or chain is invalid; the message has the reason."""


# writing

def tlv(tag, *parts):
    body = b''.join(parts)
    size = len(body)
    if size < 128:
        length = bytes([size])
    else:
        digits = size.to_bytes((size.bit_length() + 7) // 8)
        length = bytes([0x80 | len(digits)]) + digits
    return bytes([tag]) + length + body


def sequence(*parts):
    return tlv(0x30, *parts)


def integer(value):
    return tlv(2, value.to_bytes(value.bit_length() // 8 + 1))


def oid(dotted):
    first, second, *rest = (int(part) for part in dotted.split('.'))
    out = bytearray([first * 40 + second])
    for number in rest:
        digits = [number & 0x7F]
        while number := number >> 7:
            digits.append(number & 0x7F | 0x80)
        out += bytes(reversed(digits))
    return tlv(6, bytes(out))


def bits(body):
    return tlv(3, b'\x00', body)


def name(common_name):
    # O first and then CN: whoever meets one of these certificates reads what it is.
    return sequence(*(tlv(0x31, sequence(oid(kind), tlv(12, text.encode())))
                      for kind, text in (('2.5.4.10', 'Gantry TEST ONLY'), ('2.5.4.3', common_name))))


def moment(text):
    at = datetime.datetime.fromisoformat(text)
    if at.year < 2050:
        return tlv(0x17, at.strftime('%y%m%d%H%M%SZ').encode())
    return tlv(0x18, at.strftime('%Y%m%d%H%M%SZ').encode())


def p256_spki(public):
    return sequence(sequence(oid(EC_PUBLIC_KEY), oid(PRIME256V1)), bits(b'\x04' + public))


def rsa_spki(modulus, exponent=65537):
    return sequence(sequence(oid('1.2.840.113549.1.1.1'), tlv(5)), bits(sequence(integer(modulus), integer(exponent))))


def ecdsa_der(signature):
    return sequence(integer(int.from_bytes(signature[:32])), integer(int.from_bytes(signature[32:])))


def certificate(subject, spki, issuer, issuer_key, *, ca=False, path_length=None, hosts=(), server=False,
                not_before='2020-01-01', not_after='2099-12-31'):
    """DER of a certificate. `hosts`: DNS names and IP addresses for subjectAltName."""
    def extension(kind, body, critical=False):
        return sequence(oid(kind), tlv(1, b'\xff') if critical else b'', tlv(4, body))

    issuer_spki = p256_spki(p256.public_key(issuer_key))
    constraints = [tlv(1, b'\xff')] if ca else []
    if ca and path_length is not None:
        constraints.append(integer(path_length))
    usage = bytes([1, 0x06]) if ca else bytes([7, 0x80])
    extensions = [
        extension('2.5.29.19', sequence(*constraints), critical=True),
        extension('2.5.29.15', tlv(3, usage), critical=True),
        extension('2.5.29.14', tlv(4, hashlib.sha1(spki).digest())),
        extension('2.5.29.35', sequence(tlv(0x80, hashlib.sha1(issuer_spki).digest()))),
    ]
    if server:
        extensions.append(extension('2.5.29.37', sequence(oid('1.3.6.1.5.5.7.3.1'))))
    if hosts:
        extensions.append(extension('2.5.29.17', sequence(*(_general_name(host) for host in hosts))))
    algorithm = sequence(oid(ECDSA_SHA256))
    serial = int.from_bytes(hashlib.sha256(f'{issuer}/{subject}'.encode()).digest()[:15])
    body = sequence(tlv(0xA0, integer(2)), integer(serial), algorithm, name(issuer),
                    sequence(moment(not_before), moment(not_after)), name(subject), spki,
                    tlv(0xA3, sequence(*extensions)))
    return sequence(body, algorithm, bits(ecdsa_der(p256.sign(issuer_key, body))))


def _general_name(host):
    try:
        return tlv(0x87, ipaddress.ip_address(host).packed)
    except ValueError:
        return tlv(0x82, host.encode())


def private_key_pem(private):
    """SEC1, with the public key."""
    body = sequence(integer(1), tlv(4, private.to_bytes(32)), tlv(0xA0, oid(PRIME256V1)),
                    tlv(0xA1, bits(b'\x04' + p256.public_key(private))))
    return pem('EC PRIVATE KEY', body)


def pem(label, der):
    text = base64.b64encode(der).decode()
    lines = '\n'.join(text[i:i + 64] for i in range(0, len(text), 64))
    return f'-----BEGIN {label}-----\n{lines}\n-----END {label}-----\n'


# reading

def read_tlv(data, at=0):
    """(tag, body, whole element, end offset) of the element at `at`; lengths are checked."""
    if at + 2 > len(data):
        raise CertificateError('DER ends early')
    tag, size, start = data[at], data[at + 1], at + 2
    if size >= 0x80:
        digits = size & 0x7F
        if not 1 <= digits <= 3:
            raise CertificateError('DER length')
        size, start = int.from_bytes(data[start:start + digits]), start + digits
    if start + size > len(data):
        raise CertificateError('DER ends early')
    return tag, data[start:start + size], data[at:start + size], start + size


def children(body):
    at = 0
    while at < len(body):
        tag, inner, whole, at = read_tlv(body, at)
        yield tag, inner, whole


def pem_certificates(text):
    """The DER certificates in a PEM text, in order."""
    found = re.findall(r'-----BEGIN CERTIFICATE-----\s+([A-Za-z0-9+/=\s]+?)-----END CERTIFICATE-----', text)
    return [base64.b64decode(body) for body in found]


class Parsed:
    """A certificate's parts that a chain check needs."""

    def __init__(self, der):
        _, outer, _, end = read_tlv(der)
        if end != len(der):
            raise CertificateError('bytes after the certificate')
        (_, fields, self.signed), _, (_, signature, _) = children(outer)
        parts = list(children(fields))
        self.issuer, self.subject, self.spki = parts[3][2], parts[5][2], parts[6][2]
        self.extensions = self._extensions(parts[7][1]) if len(parts) > 7 else {}
        r, s = (int.from_bytes(inner) for _, inner, _ in children(read_tlv(signature[1:])[1]))
        self.signature = r.to_bytes(32) + s.to_bytes(32)

    def public_key(self):
        prefix = p256_spki(bytes(64))[:-64]
        if len(self.spki) != len(prefix) + 64 or not self.spki.startswith(prefix):
            raise CertificateError('the key is not P-256')
        return self.spki[-64:]

    def is_ca(self):
        constraints = self.extensions.get(oid('2.5.29.19'), b'')
        return any(tag == 1 and inner == b'\xff' for tag, inner, _ in children(read_tlv(constraints)[1])) \
            if constraints else False

    @staticmethod
    def _extensions(explicit):
        """OID (DER) -> value."""
        found = {}
        for _, inner, _ in children(read_tlv(explicit)[1]):
            parts = list(children(inner))
            found[parts[0][2]] = parts[-1][1]
        return found


def verify_chain(chain, root):
    """`chain` (DER, leaf first) must lead to `root` (DER), which may be its last element; gives the leaf."""
    if not chain:
        raise CertificateError('empty chain')
    if chain[-1] != root:
        chain = [*chain, root]
    parsed = [Parsed(der) for der in chain]
    for child, parent in zip(parsed, [*parsed[1:], parsed[-1]]):
        if child.issuer != parent.subject:
            raise CertificateError('issuer and subject differ')
        if not p256.verify(parent.public_key(), child.signed, child.signature):
            raise CertificateError('signature does not verify')
        if not parent.is_ca():
            raise CertificateError('the issuer is not a CA')
    return parsed[0]
