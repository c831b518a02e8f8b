# SPDX-License-Identifier: GPL-2.0-or-later
"""The S3 store itself: what it demands and lists, and that clients nobody here wrote (curl with SigV4, rclone) agree with
it."""

import hashlib
import os
import shutil
import subprocess
import tempfile
import unittest
import urllib.parse
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from peers import BUCKET, HERE, PREFIX, PeerTest, curl
from qemu import pki
from qemu.peers import s3 as s3_peer
from qemu.peers.s3 import S3


class S3Test(PeerTest):
    def setUp(self):
        self.peer = self.started(S3(HERE, 0, 0))

    def signed(self, path, *arguments, key=None, code=0, region='auto'):
        user = f'{self.peer.access_key}:{self.peer.secret_key if key is None else key}'
        return curl('--aws-sigv4', f'aws:amz:{region}:s3', '--user', user, *arguments,
                    self.peer.url() + path, code=code)

    def error_code(self, answer):
        return answer[0], ElementTree.fromstring(answer[1]).findtext('Code')

    def test_content_is_the_same_however_it_is_cut(self):
        whole = s3_peer.Seeded('x', 300_001)
        body = b''.join(whole.read(0, whole.size))
        self.assertEqual(len(body), whole.size)
        for start, end in ((0, 1), (31, 33), (65_535, 65_537), (65_536, 65_568), (131_072, 300_001), (5, 299_999), (7, 7)):
            self.assertEqual(b''.join(whole.read(start, end)), body[start:end])
        self.assertNotEqual(body, b''.join(s3_peer.Seeded('y', 300_001).read(0, 300_001)))
        self.assertEqual(len({body[i:i + 4096] for i in range(0, 294_912, 4096)}), 72)

    def test_a_signed_get_is_answered_and_an_unsigned_one_is_not(self):
        self.peer.put('b', 'dir/key', b'hello')
        self.assertEqual(self.signed('/b/dir/key'), (200, b'hello'))
        self.assertEqual(self.error_code(curl(self.peer.url() + '/b/dir/key')), (403, 'AccessDenied'))

    def test_signatures_are_really_checked(self):
        self.peer.put('b', 'key', b'hello')
        self.assertEqual(self.error_code(self.signed('/b/key', key='wrong')), (403, 'SignatureDoesNotMatch'))
        self.assertEqual(self.error_code(self.signed('/b/key', region='eu-west-1')), (400, 'AuthorizationHeaderMalformed'))
        self.signed('/b/key')
        headers = self.peer.requests()[-1]['headers']
        copied = [argument for name in ('authorization', 'x-amz-date', 'x-amz-content-sha256')
                  for argument in ('-H', f'{name}: {headers[name]}')]
        self.assertEqual(curl(*copied, self.peer.url() + '/b/key')[0], 200)
        self.assertEqual(self.error_code(curl(*copied, self.peer.url() + '/b/key2')), (403, 'SignatureDoesNotMatch'))
        self.assertEqual(self.error_code(curl(*copied, '-H', 'x-amz-acl: private', self.peer.url() + '/b/key')),
                         (403, 'AccessDenied'))
        self.peer.access_key = 'SOMEBODYELSE'
        self.assertEqual(self.error_code(curl(*copied, self.peer.url() + '/b/key')), (403, 'InvalidAccessKeyId'))

    def test_a_clock_that_is_far_off_is_refused(self):
        self.peer.put('b', 'key', b'hello')
        for offset, status in ((800, 200), (-800, 200), (1000, 403), (-1000, 403)):
            self.peer.clock_offset_s = offset
            self.assertEqual(self.signed('/b/key')[0], status)
        self.assertEqual(self.error_code(self.signed('/b/key')), (403, 'RequestTimeTooSkewed'))

    def test_ranges_and_if_match(self):
        made = self.peer.put('b', 'big', ('seed', 40_000_000))
        body = b''.join(made.content.read(0, made.size))
        status, part = self.signed('/b/big', '-H', 'Range: bytes=1000000-1999999', '-H', f'If-Match: {made.etag}')
        self.assertEqual((status, part), (206, body[1_000_000:2_000_000]))
        self.assertEqual(self.signed('/b/big', '-r', '39999990-')[1], body[-10:])
        self.assertEqual(self.signed('/b/big', '-r', '-10')[1], body[-10:])
        self.assertEqual(self.error_code(self.signed('/b/big', '-r', '40000000-')), (416, 'InvalidRange'))
        self.assertEqual(self.error_code(self.signed('/b/big', '-H', 'If-Match: "other"')), (412, 'PreconditionFailed'))
        self.assertRegex(made.etag, r'^"[0-9a-f]{32}-3"$')
        self.assertEqual(hashlib.sha256(body).hexdigest(), made.sha256())

    def test_head_gives_size_and_etag(self):
        made = self.peer.put('b', 'k', b'12345')
        status, head = self.signed('/b/k', '-I')
        self.assertEqual(status, 200)
        self.assertIn(b'Content-Length: 5\r\n', head)
        self.assertIn(f'ETag: "{hashlib.md5(b"12345").hexdigest()}"\r\n'.encode(), head)
        self.assertEqual(made.etag, f'"{hashlib.md5(b"12345").hexdigest()}"')

    def test_missing_things_are_404(self):
        self.peer.put('b', 'k', b'')
        self.assertEqual(self.error_code(self.signed('/b/none')), (404, 'NoSuchKey'))
        self.assertEqual(self.error_code(self.signed('/none/k')), (404, 'NoSuchBucket'))
        self.assertEqual(self.error_code(self.signed('/b/k', '-X', 'DELETE')), (405, 'MethodNotAllowed'))

    def pages(self, **parameters):
        """Every key of a listing, page by page."""
        keys, counts, token = [], [], None
        while True:
            query = {'list-type': '2', **parameters, **({'continuation-token': token} if token else {})}
            # Not by curl: 8.14 signs a %2B in a query as if it were a space, and our tokens have such.
            target = f'/{BUCKET}?{urllib.parse.urlencode(query, quote_via=urllib.parse.quote)}'
            headers = s3_peer.signed_headers('GET', target, self.peer.url().removeprefix('http://'),
                                             self.peer.access_key, self.peer.secret_key)
            status, body = curl(*(a for name, value in headers.items() for a in ('-H', f'{name}: {value}')),
                                self.peer.url() + target)
            self.assertEqual(status, 200, body)
            page = ElementTree.fromstring(body)
            at = '{http://s3.amazonaws.com/doc/2006-03-01/}'
            found = [(each.findtext(at + 'Key'), int(each.findtext(at + 'Size'))) for each in page.iter(at + 'Contents')]
            self.assertEqual(int(page.findtext(at + 'KeyCount')), len(found))
            keys += found
            counts.append(len(found))
            token = page.findtext(at + 'NextContinuationToken')
            self.assertEqual(page.findtext(at + 'IsTruncated'), 'true' if token else 'false')
            if not token:
                return keys, counts

    def test_listing_pages_through_everything_once(self):
        directory = self.peer.put_snapshot(1_000_000)
        expected = sorted(self.peer.objects[BUCKET], key=str.encode)
        expected = [key for key in expected if key.startswith(f'{PREFIX}/{directory}/')]
        keys, counts = self.pages(prefix=f'{PREFIX}/{directory}/', **{'max-keys': '7'})
        self.assertEqual([key for key, _ in keys], expected)
        self.assertTrue(all(count == 7 for count in counts[:-1]) and len(counts) > 5)
        keys, _ = self.pages(prefix=f'{PREFIX}/{directory}/', **{'max-keys': '9', 'encoding-type': 'url'})
        self.assertEqual([urllib.parse.unquote_plus(key) for key, _ in keys], expected)
        self.assertIn('static_files/odd+name+%2B+%281%29', ' '.join(key for key, _ in keys))
        self.peer.max_keys, self.peer.space_as_plus = 4, False
        keys, counts = self.pages(prefix=f'{PREFIX}/{directory}/', **{'encoding-type': 'url'})
        self.assertEqual([urllib.parse.unquote(key) for key, _ in keys], expected)
        self.assertEqual(max(counts), 4)

    def test_a_made_up_continuation_token_is_refused(self):
        self.peer.put_snapshot(1000)
        answer = self.signed(f'/{BUCKET}?continuation-token=abcd&list-type=2')
        self.assertEqual(self.error_code(answer), (400, 'InvalidArgument'))

    def test_latest_version_names_the_directory(self):
        self.peer.put_snapshot(1000, directory='reth-old')
        directory = self.peer.put_snapshot(1000, directory='reth-new')
        self.assertEqual(self.signed(f'/{BUCKET}/{PREFIX}/latest_version.meta.txt')[1].decode().strip(), directory)

    def test_over_tls(self):
        self.peer.put('b', 'k', b'x')
        port = self.peer.addresses[1][1]
        user = f'{self.peer.access_key}:{self.peer.secret_key}'
        self.assertEqual(curl('--aws-sigv4', 'aws:amz:auto:s3', '--user', user, '--cacert', pki.path('hub-ca.pem'),
                              '--resolve', f's3.test:{port}:{HERE}', f'https://s3.test:{port}/b/k'), (200, b'x'))

    def test_errors_by_fault_are_s3_errors_and_can_name_one_object(self):
        self.peer.put('b', 'one', b'1')
        self.peer.put('b', 'two', b'2')
        self.peer.faults.set('status:503:1@two')
        self.assertEqual(self.signed('/b/one')[0], 200)
        self.assertEqual(self.error_code(self.signed('/b/two')), (503, 'SlowDown'))
        self.assertEqual(self.signed('/b/two')[0], 200)

    @unittest.skipUnless(shutil.which('rclone'), 'rclone is not installed')
    def test_rclone_syncs_a_snapshot_and_every_byte_is_right(self):
        directory = self.peer.put_snapshot(24_000_000)
        self.peer.max_keys = 10
        self.peer.faults.set('drop_after:1000000:2@mdbx.dat', 'status:503:1@headers')
        with tempfile.TemporaryDirectory() as folder:
            environment = {**os.environ, 'RCLONE_CONFIG': f'{folder}/none', 'RCLONE_CONFIG_R2_TYPE': 's3',
                           'RCLONE_CONFIG_R2_PROVIDER': 'Cloudflare', 'RCLONE_CONFIG_R2_REGION': 'auto',
                           'RCLONE_CONFIG_R2_ENDPOINT': self.peer.url(), 'RCLONE_CONFIG_R2_NO_CHECK_BUCKET': 'true',
                           'RCLONE_CONFIG_R2_ACCESS_KEY_ID': self.peer.access_key,
                           'RCLONE_CONFIG_R2_SECRET_ACCESS_KEY': self.peer.secret_key}
            ran = subprocess.run(
                ['rclone', 'sync', f'r2:{BUCKET}/{PREFIX}/{directory}/', f'{folder}/reth', '--fast-list', '--transfers=4',
                 '--multi-thread-cutoff', '4M', '--multi-thread-streams', '3', '--low-level-retries', '5'],
                env=environment, capture_output=True, text=True, timeout=120, check=False)
            self.assertEqual(ran.returncode, 0, ran.stderr)
            expected = self.peer.manifest(BUCKET, f'{PREFIX}/{directory}/')
            found = {}
            for path in Path(folder, 'reth').rglob('*'):
                if path.is_file():
                    body = path.read_bytes()
                    found[str(path.relative_to(f'{folder}/reth'))] = (len(body), hashlib.sha256(body).hexdigest())
            self.assertEqual(found, expected)
        self.assertGreater(self.peer.count(contains='list-type=2'), 3)
        self.assertGreater(self.peer.count(status=206), 3)
        self.assertEqual([f for f in self.peer.requests() if f['fault']] and self.peer.faults.list(), [])


if __name__ == '__main__':
    unittest.main()
