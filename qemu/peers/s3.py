# SPDX-License-Identifier: GPL-2.0-or-later
"""An S3 store, path style and read-only: it verifies the SigV4 signature of every request, pages through ListObjectsV2, and
serves ranges with If-Match. Large objects are not stored: their bytes are a function of a seed and the offset, cheap enough
for a terabyte and different at each offset, so that one misplaced block changes the content's hash."""

import base64
import calendar
import hashlib
import hmac
import re
import time
import urllib.parse
from xml.sax.saxutils import escape

from .hub import DOCUMENT, server_context
from .server import HttpPeer, Response, http_date

CHUNK = 64 * 1024
BASE_SIZE = 1024 * 1024
MAX_SKEW_S = 15 * 60
MULTIPART_FROM = 16 * 1024 * 1024
EMPTY_SHA256 = hashlib.sha256(b'').hexdigest()
EPOCH = 1_760_000_000           # default Last-Modified of the objects


class Seeded:
    """Bytes of any size, made from a seed. Each 64 KiB chunk is the hash of its number, then a window of one pseudo-random
    megabyte at an offset from that hash."""

    def __init__(self, seed, size):
        self.seed, self.size = str(seed).encode(), size
        self._base = None

    def read(self, start, end):
        """Yields the bytes from start to end."""
        if self._base is None:
            self._base = memoryview(hashlib.shake_128(self.seed).digest(BASE_SIZE + CHUNK))
        while start < end:
            number, skip = divmod(start, CHUNK)
            mark = hashlib.sha256(self.seed + number.to_bytes(8)).digest()
            window = int.from_bytes(mark[:4]) % BASE_SIZE
            stop = min(end - number * CHUNK, CHUNK)
            if skip < len(mark):
                yield mark[skip:min(stop, len(mark))]
            body_from, body_to = max(skip, len(mark)), stop
            if body_to > body_from:
                yield self._base[window + body_from:window + body_to]
            start = number * CHUNK + stop


class Given:
    """Given bytes."""

    def __init__(self, body):
        self.body, self.size = body, len(body)

    def read(self, start, end):
        if end > start:
            yield memoryview(self.body)[start:end]


class S3Object:
    def __init__(self, content, modified=EPOCH, metadata=None):
        self.content, self.size = content, content.size
        self.modified = modified
        self.metadata = dict(metadata or {})
        self._etag = self._sha256 = None

    @property
    def etag(self):
        """Quoted. The MD5 of a small object; for a large one not a hash, as after a multipart upload."""
        if self._etag is None:
            if self.size < MULTIPART_FROM:
                self._etag = f'"{self._digest("md5")}"'
            else:
                token = hashlib.md5(f'{getattr(self.content, "seed", b"")}/{self.size}/{self.modified}'.encode())
                self._etag = f'"{token.hexdigest()}-{-(-self.size // MULTIPART_FROM)}"'
        return self._etag

    def sha256(self):
        """Hash of the whole content, for a test to compare with."""
        if self._sha256 is None:
            self._sha256 = self._digest('sha256')
        return self._sha256

    def _digest(self, name):
        digest = hashlib.new(name)
        for piece in self.content.read(0, self.size):
            digest.update(piece)
        return digest.hexdigest()


class S3Error(Exception):
    def __init__(self, status, code, text):
        super().__init__(text)
        self.status, self.code = status, code


class S3(HttpPeer):
    """`objects`: bucket -> key -> S3Object. `clock_offset_s` shifts the store's clock."""

    name = 's3'
    settings = ('clock_offset_s', 'max_keys', 'space_as_plus', 'region')

    def __init__(self, address='10.77.0.2', port=9000, tls_port=9443, access_key=None, secret_key=None):
        listeners = [(address, port, None)]
        if tls_port is not None:
            listeners.append((address, tls_port, server_context('s3')))
        super().__init__(listeners)
        self.access_key = access_key or DOCUMENT['rclone']['access_key_id']
        self.secret_key = secret_key or DOCUMENT['rclone']['secret_access_key']
        self.region = 'auto'
        self.clock_offset_s = 0
        self.max_keys = 1000            # the most a page may hold, whatever is asked
        self.space_as_plus = True       # under encoding-type=url AWS writes a space as '+'
        self.objects = {}

    # filling it

    def put(self, bucket, key, content, **options):
        """`content`: bytes, or (seed, size)."""
        kind = Given(content) if isinstance(content, (bytes, bytearray)) else Seeded(*content)
        self.objects.setdefault(bucket, {})[key] = S3Object(kind, **options)
        return self.objects[bucket][key]

    def put_snapshot(self, size=64 * 1024 * 1024, *, bucket='chain-db-snapshots', prefix='reth-mainnet-full',
                     directory='reth-2026-01-17-test', small_files=40, seed='snapshot', latest=True):
        """Adds a snapshot like those of a reth node's uploader: a few large files, many small ones, names that need
        encoding. `size` is the approximate total. Returns the directory's name; earlier snapshots stay."""
        root = f'{prefix}/{directory}'
        files = {'db/mdbx.dat': size * 3 // 4, 'db/database.version': b'2'}
        files['static_files/static_file_headers_0_499999'] = size // 8
        files['static_files/static_file_headers_0_499999.off'] = size // 64
        files['static_files/static_file_headers_0_499999.conf'] = b'\x00' * 33
        for number in range(small_files):
            first = 500_000 * (number + 1)
            files[f'static_files/static_file_receipts_{first}_{first + 499_999}'] = 1000 + number * 37
        files["static_files/odd name + (1) & <two> 'three' = 100%.bin"] = 4321
        files['static_files/h\u00e9ader \u2713.bin'] = 12
        files['static_files/empty'] = b''
        files['reth.toml'] = b'[stages.headers]\ncommit_threshold = 10000\n'
        for name, content in files.items():
            content = content if isinstance(content, bytes) else (f'{seed}/{directory}/{name}', content)
            made = self.put(bucket, f'{root}/{name}', content)
            made.metadata['mtime'] = f'{EPOCH}.0'
        if latest:
            self.put(bucket, f'{prefix}/latest_version.meta.txt', f'{directory}\n'.encode())
        return directory

    def manifest(self, bucket, prefix):
        """{name below prefix: (size, sha256)} of all files of a complete copy."""
        return {key[len(prefix):]: (found.size, found.sha256())
                for key, found in self.objects.get(bucket, {}).items() if key.startswith(prefix)}

    # serving it

    def now(self):
        return time.time() + self.clock_offset_s

    def respond(self, request):
        try:
            self._authorize(request)
            bucket, _, key = request.path.removeprefix('/').partition('/')
            if request.method not in ('GET', 'HEAD'):
                raise S3Error(405, 'MethodNotAllowed', 'this store is read-only')
            if bucket not in self.objects:
                raise S3Error(404, 'NoSuchBucket', 'the bucket does not exist')
            if key:
                return self._object(request, bucket, key)
            return self._bucket(request, bucket)
        except S3Error as error:
            request.entry['refused'] = f'{error.code}: {error}'
            return self._error(error.status, error.code, str(error), request)

    CODES = {403: 'AccessDenied', 404: 'NoSuchKey', 429: 'SlowDown', 500: 'InternalError', 503: 'SlowDown'}

    def error(self, status, text, request):
        return self._error(status, self.CODES.get(status, 'Error'), text, request)

    @staticmethod
    def _error(status, code, text, request):
        body = (f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{escape(text)}</Message>'
                f'<Resource>{escape(request.path)}</Resource><RequestId>0000TEST</RequestId></Error>')
        return Response(status, body.encode(), 'application/xml')

    def _object(self, request, bucket, key):
        found = self.objects[bucket].get(key)
        if found is None:
            raise S3Error(404, 'NoSuchKey', 'the key does not exist')
        wanted = request.headers.get('if-match')
        if wanted not in (None, '*', found.etag, found.etag.strip('"')):
            raise S3Error(412, 'PreconditionFailed', 'If-Match: the object is another one')
        headers = {'ETag': found.etag, 'Last-Modified': http_date(found.modified), 'Accept-Ranges': 'bytes',
                   **{f'x-amz-meta-{name}': value for name, value in found.metadata.items()}}
        if request.headers.get('if-none-match') in (found.etag, '*'):
            return Response(304, b'', headers=headers)
        start, end, status = 0, found.size, 200
        span = parse_range(request.headers.get('range'), found.size)
        if span == 'beyond':
            raise S3Error(416, 'InvalidRange', f'the object has {found.size} bytes')
        if span:
            (start, end), status = span, 206
            headers['Content-Range'] = f'bytes {start}-{end - 1}/{found.size}'
        return Response(status, content_type='application/octet-stream', headers=headers,
                        stream=found.content.read(start, end), size=end - start)

    def _bucket(self, request, bucket):
        if request.method == 'HEAD':
            return Response(200, b'', 'application/xml')
        if request.parameter('location') is not None:
            return Response(body=b'<?xml version="1.0" encoding="UTF-8"?>\n<LocationConstraint>'
                            + self.region.encode() + b'</LocationConstraint>', content_type='application/xml')
        if request.parameter('list-type') != '2':
            raise S3Error(501, 'NotImplemented', 'only ListObjectsV2 is offered')
        return Response(body=self._list(request, bucket).encode(), content_type='application/xml')

    def _list(self, request, bucket):
        prefix, delimiter = request.parameter('prefix', ''), request.parameter('delimiter', '')
        asked = request.parameter('max-keys', '1000')
        if not asked.isdigit():
            raise S3Error(400, 'InvalidArgument', 'max-keys is not a number')
        encoding = request.parameter('encoding-type')
        if encoding not in (None, 'url'):
            raise S3Error(400, 'InvalidArgument', 'encoding-type is not url')
        limit = min(int(asked), self.max_keys)
        token = request.parameter('continuation-token')
        after = request.parameter('start-after', '') if token is None else self._open_token(token)
        quote = (self._url_encode if encoding else lambda text: text)
        contents, prefixes, last, truncated = [], [], '', False
        for key in sorted(self.objects[bucket], key=str.encode):
            if not key.startswith(prefix):
                continue
            folder = ''
            if delimiter and delimiter in key[len(prefix):]:
                folder = prefix + key[len(prefix):].split(delimiter)[0] + delimiter
            name = folder or key
            if name.encode() <= after.encode() or folder and folder in prefixes:
                continue
            if len(contents) + len(prefixes) >= limit:
                truncated = limit > 0
                break
            last = name
            prefixes.append(folder) if folder else contents.append(key)
        out = ['<?xml version="1.0" encoding="UTF-8"?>\n',
               '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">',
               f'<Name>{escape(bucket)}</Name><Prefix>{escape(quote(prefix))}</Prefix>',
               f'<KeyCount>{len(contents) + len(prefixes)}</KeyCount><MaxKeys>{asked}</MaxKeys>',
               f'<IsTruncated>{"true" if truncated else "false"}</IsTruncated>']
        if encoding:
            out.append('<EncodingType>url</EncodingType>')
        if delimiter:
            out.append(f'<Delimiter>{escape(quote(delimiter))}</Delimiter>')
        if token is not None:
            out.append(f'<ContinuationToken>{escape(token)}</ContinuationToken>')
        if truncated:
            out.append(f'<NextContinuationToken>{self._make_token(last)}</NextContinuationToken>')
        for key in contents:
            found = self.objects[bucket][key]
            modified = time.strftime('%Y-%m-%dT%H:%M:%S.000Z', time.gmtime(found.modified))
            out.append(f'<Contents><Key>{escape(quote(key))}</Key><LastModified>{modified}</LastModified>'
                       f'<ETag>{escape(found.etag, {chr(34): "&quot;"})}</ETag><Size>{found.size}</Size>'
                       '<StorageClass>STANDARD</StorageClass></Contents>')
        out += [f'<CommonPrefixes><Prefix>{escape(quote(folder))}</Prefix></CommonPrefixes>' for folder in prefixes]
        return ''.join(out) + '</ListBucketResult>'

    def _url_encode(self, key):
        encoded = urllib.parse.quote(key, safe='/-_.~*')
        return encoded.replace('%20', '+') if self.space_as_plus else encoded

    def _make_token(self, last):
        # Standard base64: a token with + / = that must be percent-encoded to come back whole.
        mark = hmac.digest(self.secret_key.encode(), last.encode(), 'sha256')[:8]
        return base64.b64encode(mark + last.encode()).decode()

    def _open_token(self, token):
        try:
            opened = base64.b64decode(token, validate=True)
            last = opened[8:].decode()
        except ValueError:
            raise S3Error(400, 'InvalidArgument', 'the continuation token is not one of ours') from None
        if not hmac.compare_digest(opened[:8], hmac.digest(self.secret_key.encode(), last.encode(), 'sha256')[:8]):
            raise S3Error(400, 'InvalidArgument', 'the continuation token is not one of ours')
        return last

    # signatures

    def _authorize(self, request):
        headers = request.headers
        match = re.fullmatch(r'AWS4-HMAC-SHA256\s+Credential=([^,\s]+),\s*SignedHeaders=([^,\s]+),\s*'
                             r'Signature=([0-9a-f]{64})', headers.get('authorization', ''))
        if not match:
            raise S3Error(403, 'AccessDenied', 'no AWS4-HMAC-SHA256 authorization header')
        access_key, _, scope = match[1].partition('/')
        signed, signature = match[2].split(';'), match[3]
        stamp = headers.get('x-amz-date', '')
        if not re.fullmatch(r'\d{8}T\d{6}Z', stamp):
            raise S3Error(403, 'AccessDenied', 'x-amz-date is missing or malformed')
        if scope != f'{stamp[:8]}/{self.region}/s3/aws4_request':
            raise S3Error(400, 'AuthorizationHeaderMalformed', f'the credential scope is wrong: {scope}')
        if access_key != self.access_key:
            raise S3Error(403, 'InvalidAccessKeyId', 'the access key is not known')
        if abs(calendar.timegm(time.strptime(stamp, '%Y%m%dT%H%M%SZ')) - self.now()) > MAX_SKEW_S:
            raise S3Error(403, 'RequestTimeTooSkewed', 'the difference between the request and the store is too large')
        digest = headers.get('x-amz-content-sha256')
        if digest is None:
            raise S3Error(400, 'InvalidRequest', 'x-amz-content-sha256 is missing')
        if digest not in ('UNSIGNED-PAYLOAD', hashlib.sha256(request.body).hexdigest()):
            raise S3Error(400, 'XAmzContentSHA256Mismatch', 'x-amz-content-sha256 is not the hash of the body')
        unsigned = {name for name in headers if name == 'host' or name.startswith('x-amz-')} - set(signed)
        if unsigned or signed != sorted(signed) or any(name not in headers for name in signed):
            raise S3Error(403, 'AccessDenied', f'not signed: {", ".join(sorted(unsigned)) or "the headers named"}')
        canonical = canonical_request(request.method, request.target, headers, signed, digest)
        if not hmac.compare_digest(sign(canonical, self.secret_key, stamp, scope), signature):
            request.entry['canonical'] = canonical
            raise S3Error(403, 'SignatureDoesNotMatch', 'the signature does not match')


def canonical_request(method, target, headers, signed, digest):
    """The canonical request that SigV4 signs (AWS: Signature Version 4, create a canonical request)."""
    path, _, query = target.partition('?')

    def encode(text, safe):
        return urllib.parse.quote(urllib.parse.unquote_to_bytes(text), safe=safe)

    pairs = sorted((encode(name, '-_.~'), encode(value, '-_.~'))
                   for name, _, value in (part.partition('=') for part in query.split('&') if part))
    return '\n'.join([
        method, encode(path, '/-_.~') or '/', '&'.join(f'{name}={value}' for name, value in pairs),
        *(f'{name}:{" ".join(headers[name].split())}' for name in signed), '', ';'.join(signed), digest])


def sign(canonical, secret_key, stamp, scope):
    """The signature in hex (AWS: Signature Version 4, calculate the signature)."""
    text = '\n'.join(['AWS4-HMAC-SHA256', stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = b'AWS4' + secret_key.encode()
    for part in scope.split('/'):
        key = hmac.digest(key, part.encode(), 'sha256')
    return hmac.digest(key, text.encode(), 'sha256').hex()


def signed_headers(method, target, host, access_key, secret_key, region='auto', digest=EMPTY_SHA256):
    """The headers with which a client signs a request without a body."""
    stamp = time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())
    headers = {'host': host, 'x-amz-content-sha256': digest, 'x-amz-date': stamp}
    scope = f'{stamp[:8]}/{region}/s3/aws4_request'
    signature = sign(canonical_request(method, target, headers, sorted(headers), digest), secret_key, stamp, scope)
    headers['authorization'] = (f'AWS4-HMAC-SHA256 Credential={access_key}/{scope}, '
                                f'SignedHeaders={";".join(sorted(headers))}, Signature={signature}')
    return headers


def parse_range(text, size):
    """(start, end) of a single byte range; None: no range, or an unsupported one; 'beyond': answer 416."""
    match = re.fullmatch(r'bytes=(\d*)-(\d*)', text or '')
    if not match or not (match[1] or match[2]):
        return None
    if not match[1]:
        count = int(match[2])
        return (max(size - count, 0), size) if count and size else 'beyond'
    start, end = int(match[1]), int(match[2]) + 1 if match[2] else size
    if end <= start and match[2]:
        return None
    return (start, min(end, size)) if start < size else 'beyond'
