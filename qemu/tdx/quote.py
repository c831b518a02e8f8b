# SPDX-License-Identifier: GPL-2.0-or-later
"""Builds, parses and verifies TDREPORTs, TD quotes version 4 and Azure HCL reports. The layouts are Intel's (TDX module ABI,
TDREPORT_STRUCT; DCAP quote format v4); that of the HCL report is as found on Azure machines. Test keys take the place of the
hardware's: an HMAC key for the report's MAC, an ECDSA key for the quote, and an SGX certificate chain of test certificates
(qemu/pki). gantry_tdx_test.c makes the same bytes in the kernel."""

import base64
import hashlib
import hmac
import json
import struct
from dataclasses import dataclass, field

from .. import pki
from ..pki import p256, x509
from ..pki.make_pki import key_of

TDREPORT_SIZE = 1024
QUOTE_HEADER_SIZE, QUOTE_BODY_SIZE = 48, 584
AZURE_QUOTE_SIZE = 5006         # size of IMDS's answer: zero-padded after the used bytes
HCL_SIZE, HCL_REPORT_AT, HCL_DATA_AT = 2600, 32, 1216
MAC_KEY = hashlib.sha256(b'gantry test key: tdreport mac').digest()
ATTESTATION_KEY = 'tdx-attestation'
QE_VENDOR = bytes.fromhex('939a7233f79c4ca9940a0db3957f0607')
QE_AUTH_DATA = bytes(range(32))
ATTRIBUTES = 1 << 28            # SEPT_VE_DISABLE
XFAM = 0x61AE7
TCB_SVN = bytes([5, 1, 6] + [0] * 13)
HASH = 48


class QuoteError(ValueError):
    """A report or quote that does not hold; the message says where."""


def test_measurement(label):
    """A made-up SHA-384 measurement with a name."""
    return hashlib.sha384(f'gantry test measurement: {label}'.encode()).digest()


@dataclass
class Td:
    """What a TD is: its measurements and attributes."""
    mrtd: bytes = field(default_factory=lambda: test_measurement('mrtd'))
    mrseam: bytes = field(default_factory=lambda: test_measurement('mrseam'))
    mrsignerseam: bytes = bytes(HASH)
    mrconfigid: bytes = bytes(HASH)
    mrowner: bytes = bytes(HASH)
    mrownerconfig: bytes = bytes(HASH)
    rtmrs: list = field(default_factory=lambda: [bytes(HASH)] * 4)
    attributes: int = ATTRIBUTES
    xfam: int = XFAM
    tcb_svn: bytes = TCB_SVN
    seam_attributes: int = 0
    servtd_hash: bytes = bytes(HASH)


# TDREPORT

def build_report(reportdata, td=None):
    """The 1024 bytes that TDG.MR.REPORT would give; `reportdata` is padded to 64."""
    td = td or Td()
    if len(reportdata) > 64:
        raise QuoteError('reportdata is longer than 64 bytes')
    tcb = struct.pack('<Q16s48s48sQ', 0x301FF, td.tcb_svn, td.mrseam, td.mrsignerseam, td.seam_attributes).ljust(239, b'\0')
    td_info = struct.pack('<QQ48s48s48s48s', td.attributes, td.xfam, td.mrtd, td.mrconfigid, td.mrowner,
                          td.mrownerconfig) + b''.join(td.rtmrs) + td.servtd_hash
    td_info = td_info.ljust(512, b'\0')
    head = (bytes([0x81, 0, 0, 0]).ljust(16, b'\0') + b'\x06\x06\x02\x02\x03\x01\x00\x02'.ljust(16, b'\0')
            + hashlib.sha384(tcb).digest() + hashlib.sha384(td_info).digest()
            + reportdata.ljust(64, b'\0')).ljust(224, b'\0')
    return head + hmac.digest(MAC_KEY, head, 'sha256') + tcb.ljust(256, b'\0') + td_info


@dataclass
class Report:
    """A parsed TDREPORT."""
    raw: bytes
    reportdata: bytes
    td: Td


def parse_report(raw, check=True):
    """Parses a TDREPORT; with `check`, its hashes and its MAC must hold."""
    if len(raw) != TDREPORT_SIZE:
        raise QuoteError(f'the report has {len(raw)} bytes, not {TDREPORT_SIZE}')
    if raw[0] != 0x81 or raw[1] != 0:
        raise QuoteError(f'report type {raw[0]:#x}/{raw[1]:#x} is not a TD\'s')
    if check:
        if hashlib.sha384(raw[256:495]).digest() != raw[32:80]:
            raise QuoteError('tee_tcb_info_hash does not match')
        if hashlib.sha384(raw[512:1024]).digest() != raw[80:128]:
            raise QuoteError('tee_info_hash does not match')
        if not hmac.compare_digest(hmac.digest(MAC_KEY, raw[:224], 'sha256'), raw[224:256]):
            raise QuoteError('the MAC was not made by this platform')
    _, svn, mrseam, mrsignerseam, seam_attributes = struct.unpack_from('<Q16s48s48sQ', raw, 256)
    attributes, xfam, mrtd, mrconfigid, mrowner, mrownerconfig = struct.unpack_from('<QQ48s48s48s48s', raw, 512)
    rtmrs = [raw[720 + HASH * i:768 + HASH * i] for i in range(4)]
    return Report(raw, raw[128:192], Td(mrtd, mrseam, mrsignerseam, mrconfigid, mrowner, mrownerconfig, rtmrs,
                                        attributes, xfam, svn, seam_attributes, raw[912:960]))


# quote

def quote_tail():
    """Everything after the quote's signature and attestation key: the same for each quote of this platform,
    so the kernel module has it as one table. QE report, its signature by the PCK, and the PCK chain."""
    attestation = p256.public_key(key_of(ATTESTATION_KEY))
    qe = bytearray(384)
    qe[0:16] = b'\x06\x06\x02\x02\x03\x01\x00\x02'.ljust(16, b'\0')
    struct.pack_into('<QQ', qe, 48, 0x15, 0xE7)                     # attributes: initialised, 64-bit; XFRM
    qe[64:96] = hashlib.sha256(b'gantry test QE: mrenclave').digest()
    qe[128:160] = hashlib.sha256(b'gantry test QE: mrsigner').digest()
    struct.pack_into('<HH', qe, 256, 2, 8)                          # product, SVN
    qe[320:352] = hashlib.sha256(attestation + QE_AUTH_DATA).digest()
    chain = ''.join(x509.pem('CERTIFICATE', x509.pem_certificates(_read(name))[0])
                    for name in ('sgx-pck.pem', 'sgx-platform.pem', 'sgx-root.pem')).encode() + b'\0'
    inner = (bytes(qe) + p256.sign(key_of('sgx-pck'), bytes(qe)) + struct.pack('<H', len(QE_AUTH_DATA)) + QE_AUTH_DATA
             + struct.pack('<HI', 5, len(chain)) + chain)
    return struct.pack('<HI', 6, len(inner)) + inner


def quote_header():
    return struct.pack('<HHIHH16s20s', 4, 2, 0x81, 8, 13, QE_VENDOR, b'\0' * 20)


def quote_from_report(report, size=None):
    """The quote over a TDREPORT whose MAC holds; zero-padded to `size` if given."""
    parsed = parse_report(report)
    td = parsed.td
    body = (td.tcb_svn + td.mrseam + td.mrsignerseam + struct.pack('<QQQ', td.seam_attributes, td.attributes, td.xfam)
            + td.mrtd + td.mrconfigid + td.mrowner + td.mrownerconfig + b''.join(td.rtmrs) + parsed.reportdata)
    signed = quote_header() + body
    key = key_of(ATTESTATION_KEY)
    auth = p256.sign(key, signed) + p256.public_key(key) + quote_tail()
    quote = signed + struct.pack('<I', len(auth)) + auth
    if size is not None:
        if len(quote) > size:
            raise QuoteError(f'the quote has {len(quote)} bytes, more than {size}')
        quote = quote.ljust(size, b'\0')
    return quote


@dataclass
class Quote:
    """A parsed quote."""
    reportdata: bytes
    td: Td
    used: int


def verify_quote(raw, reportdata=None, root=None):
    """Checks everything a relying party must: layout, the quote's signature, the QE report that names the
    attestation key, the PCK's signature over that, the certificate chain to `root` (DER, default the test root),
    nothing but zeros behind; and `reportdata`, padded to 64, if given. Gives the parsed quote."""
    if len(raw) < 0x3FC:
        raise QuoteError('the quote is too short')
    version, key_type, tee, _, _, vendor, _ = struct.unpack_from('<HHIHH16s20s', raw)
    if (version, key_type, tee) != (4, 2, 0x81) or vendor != QE_VENDOR:
        raise QuoteError(f'header: version {version}, key type {key_type}, TEE {tee:#x}')
    at = QUOTE_HEADER_SIZE + QUOTE_BODY_SIZE
    auth_size, = struct.unpack_from('<I', raw, at)
    used = at + 4 + auth_size
    if used > len(raw) or any(raw[used:]):
        raise QuoteError('the signature data does not fit, or bytes follow it')
    auth = raw[at + 4:used]
    signature, attestation = auth[:64], auth[64:128]
    if not p256.verify(attestation, raw[:at], signature):
        raise QuoteError('the quote\'s signature does not verify')
    kind, size = struct.unpack_from('<HI', auth, 128)
    inner = auth[134:]
    if kind != 6 or size != len(inner) or size < 450:
        raise QuoteError('the certification data is not a QE report')
    qe, qe_signature = inner[:384], inner[384:448]
    length, = struct.unpack_from('<H', inner, 448)
    auth_data, rest = inner[450:450 + length], inner[450 + length:]
    if qe[320:384] != hashlib.sha256(attestation + auth_data).digest() + bytes(32):
        raise QuoteError('the QE report does not name the attestation key')
    kind, size = struct.unpack_from('<HI', rest)
    if kind != 5 or size != len(rest) - 6:
        raise QuoteError('no PCK chain')
    chain = x509.pem_certificates(rest[6:].rstrip(b'\0').decode('ascii'))
    try:
        leaf = x509.verify_chain(chain, root or x509.pem_certificates(_read('sgx-root.pem'))[0])
    except x509.CertificateError as error:
        raise QuoteError(f'PCK chain: {error}') from None
    if not p256.verify(leaf.public_key(), qe, qe_signature):
        raise QuoteError('the QE report\'s signature does not verify')
    body = raw[QUOTE_HEADER_SIZE:at]
    if reportdata is not None and body[520:584] != reportdata.ljust(64, b'\0'):
        raise QuoteError('reportdata differs')
    seam_attributes, attributes, xfam = struct.unpack_from('<QQQ', body, 112)
    mrtd, mrconfigid, mrowner, mrownerconfig, *rtmrs = (body[136 + HASH * i:184 + HASH * i] for i in range(8))
    return Quote(body[520:584], Td(mrtd, body[16:64], body[64:112], mrconfigid, mrowner, mrownerconfig, rtmrs,
                                   attributes, xfam, body[:16], seam_attributes), used)


# HCL report

def runtime_json(ak_modulus, ek_modulus=None, vm_id='D2F8A1F4-70C9-4F2C-9D35-0C6B1A9E5F17', user_data=bytes(64)):
    """The runtime data of an HCL report, as bytes; without the second key if that is None."""
    def key(kid, use, modulus):
        return {'kid': kid, 'key_ops': [use], 'kty': 'RSA', 'e': 'AQAB',
                'n': base64.urlsafe_b64encode(modulus).rstrip(b'=').decode()}
    keys = [key('HCLAkPub', 'sign', ak_modulus)]
    if ek_modulus is not None:
        keys.append(key('HCLEkPub', 'encrypt', ek_modulus))
    return json.dumps({
        'keys': keys,
        'vm-configuration': {'console-enabled': True, 'root-cert-thumbprint': '', 'secure-boot': False,
                             'tpm-enabled': True, 'tpm-persisted': True, 'vmUniqueId': vm_id},
        'user-data': user_data.hex().upper(),
    }, separators=(',', ':')).encode()


def build_hcl_report(runtime, td=None, size=HCL_SIZE):
    """The bytes of NV index 0x01400001 around a TDREPORT that binds `runtime`. As on Azure, all RTMRs are zero:
    what the guest did is in the vTPM alone."""
    report = build_report(hashlib.sha256(runtime).digest(), td)
    used = HCL_DATA_AT + 20 + len(runtime)
    if used > size:
        raise QuoteError('the runtime data is too long')
    head = struct.pack('<4sIIII12x', b'HCLA', 2, used, 2, 0)
    data = struct.pack('<IIIII', 20 + len(runtime), 1, 4, 1, len(runtime)) + runtime
    return ((head + report).ljust(HCL_DATA_AT, b'\0') + data).ljust(size, b'\0')


@dataclass
class Hcl:
    """A parsed HCL report."""
    report: Report
    runtime: bytes
    ak_modulus: bytes
    user_data: bytes


def parse_hcl_report(raw):
    """Parses an HCL report and checks that its TDREPORT binds its runtime data."""
    if len(raw) < HCL_DATA_AT + 20:
        raise QuoteError('the HCL report is too short')
    magic, version, _, request, status = struct.unpack_from('<4sIIII', raw)
    if (magic, version, request, status) != (b'HCLA', 2, 2, 0):
        raise QuoteError(f'HCL header: {magic!r} version {version} request {request} status {status}')
    _, version, kind, hash_kind, size = struct.unpack_from('<IIIII', raw, HCL_DATA_AT)
    if (version, kind, hash_kind) != (1, 4, 1):
        raise QuoteError(f'HCL data: version {version} type {kind} hash {hash_kind}')
    runtime = raw[HCL_DATA_AT + 20:HCL_DATA_AT + 20 + size]
    if len(runtime) != size:
        raise QuoteError('the runtime data does not fit')
    report = parse_report(raw[HCL_REPORT_AT:HCL_REPORT_AT + TDREPORT_SIZE])
    if report.reportdata != hashlib.sha256(runtime).digest() + bytes(32):
        raise QuoteError('the report does not bind the runtime data')
    values = json.loads(runtime)
    keys = {key['kid']: key for key in values['keys']}
    modulus = base64.urlsafe_b64decode(keys['HCLAkPub']['n'] + '==')
    return Hcl(report, runtime, modulus, bytes.fromhex(values['user-data']))


def _read(name):
    with open(pki.path(name), encoding='ascii') as file:
        return file.read()
