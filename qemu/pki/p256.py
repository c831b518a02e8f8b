# SPDX-License-Identifier: GPL-2.0-or-later
"""ECDSA over P-256 with SHA-256, for test keys only: plain Python integers, not constant-time. It exists because Python's
standard library has no signatures, and because deterministic signatures (RFC 6979) make the test certificates and quotes
the same bytes each time."""

import hashlib
import hmac

P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
G = (0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
     0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5)


def private_key(label):
    """The test key with that name; public by design."""
    return int.from_bytes(hashlib.sha256(label.encode()).digest()) % (N - 1) + 1


def public_key(private):
    """64 bytes: X then Y, big-endian."""
    x, y = _multiply(private, G)
    return x.to_bytes(32) + y.to_bytes(32)


def sign(private, message):
    """64 bytes: r then s, big-endian."""
    digest = hashlib.sha256(message).digest()
    e = int.from_bytes(digest) % N
    for k in _nonces(private, digest):
        r = _multiply(k, G)[0] % N
        s = pow(k, -1, N) * (e + r * private) % N
        if r and s:
            return r.to_bytes(32) + s.to_bytes(32)


def verify(public, message, signature):
    """Whether `signature` (64 bytes) over `message` is by `public` (64 bytes)."""
    if len(public) != 64 or len(signature) != 64:
        return False
    point = int.from_bytes(public[:32]), int.from_bytes(public[32:])
    r, s = int.from_bytes(signature[:32]), int.from_bytes(signature[32:])
    if not (0 < r < N and 0 < s < N) or not _on_curve(point):
        return False
    e = int.from_bytes(hashlib.sha256(message).digest()) % N
    w = pow(s, -1, N)
    total = _add(_jacobian(e * w % N, G), _jacobian(r * w % N, point))
    return total[2] != 0 and _affine(total)[0] % N == r


def _nonces(private, digest):
    secret = private.to_bytes(32) + (int.from_bytes(digest) % N).to_bytes(32)
    k, v = bytes(32), b'\x01' * 32
    for tag in (b'\x00', b'\x01'):
        k = hmac.digest(k, v + tag + secret, 'sha256')
        v = hmac.digest(k, v, 'sha256')
    while True:
        v = hmac.digest(k, v, 'sha256')
        nonce = int.from_bytes(v)
        if 0 < nonce < N:
            yield nonce
        k = hmac.digest(k, v + b'\x00', 'sha256')
        v = hmac.digest(k, v, 'sha256')


def _on_curve(point):
    x, y = point
    return x < P and y < P and (y * y - x * x * x + 3 * x - B) % P == 0


# Jacobian coordinates: (X, Y, Z) is (X/Z^2, Y/Z^3); Z = 0 is the point at infinity.

def _double(point):
    x, y, z = point
    if not z or not y:
        return (1, 1, 0)
    yy = y * y % P
    s = 4 * x * yy % P
    m = 3 * (x - z * z) * (x + z * z) % P
    x3 = (m * m - 2 * s) % P
    return x3, (m * (s - x3) - 8 * yy * yy) % P, 2 * y * z % P


def _add(a, b):
    if not a[2]:
        return b
    if not b[2]:
        return a
    za, zb = a[2] * a[2] % P, b[2] * b[2] % P
    ua, ub = a[0] * zb % P, b[0] * za % P
    sa, sb = a[1] * zb * b[2] % P, b[1] * za * a[2] % P
    if ua == ub:
        return _double(a) if sa == sb else (1, 1, 0)
    h, r = ub - ua, sb - sa
    hh = h * h % P
    hhh, v = h * hh % P, ua * hh % P
    x3 = (r * r - hhh - 2 * v) % P
    return x3, (r * (v - x3) - sa * hhh) % P, h * a[2] * b[2] % P


def _jacobian(scalar, point):
    total, addend = (1, 1, 0), (*point, 1)
    while scalar:
        if scalar & 1:
            total = _add(total, addend)
        addend = _double(addend)
        scalar >>= 1
    return total


def _affine(point):
    inverse = pow(point[2], -1, P)
    square = inverse * inverse % P
    return point[0] * square % P, point[1] * square * inverse % P


def _multiply(scalar, point):
    return _affine(_jacobian(scalar, point))
