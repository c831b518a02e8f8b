# SPDX-License-Identifier: GPL-2.0-or-later
"""The TPM's owner with a software TPM: PCR 15 is extended whatever comes first, what a stage may ask, whose keys are taken, and
what the process still can do."""

import hashlib
import itertools
import os
import signal
import socket
import struct
import unittest

from support import DONE, NEVER, Stage, run
from tpmowner import (CLOSE_KEYS, EXTEND, MEASURE, PCR_READ, PCRS, PRESENT, RECORD_CLEAR, RECORD_READ, RECORD_WRITE,
                      REPORT_READ, SEAL, SHELL_KEY, SRK, UNSEAL, VERSION_RAISE, ZEROS, Client, Owner, Swtpm)

from qemu import policy

SECRET = b'sixty-four bytes that nobody but this boot of this image can see'
PROOF = hashlib.sha256(b'a volume').digest()
NO_DISK = hashlib.sha256(b'gantry: closed without a disk').digest()
EKEYREJECTED, ENOENT, EPERM, EBADMSG, EINVAL = -129, -2, -1, -74, -22


def extended(digest):
    return hashlib.sha256(ZEROS + digest).digest()


class OwnerTest(unittest.TestCase):
    def owner(self, tpm):
        owner = Owner(tpm.tcti)
        self.addCleanup(owner.__exit__)
        return owner

    def sealed(self, tpm):
        """A key that was sealed in an earlier boot."""
        tpm.start()
        owner = self.owner(tpm)
        error, sealed = Client(owner).seal(SECRET)
        self.assertEqual(error, 0, sealed)
        self.assertEqual(owner.end(), DONE)
        tpm.stop()
        return sealed


class Closing(OwnerTest):
    def assert_closed(self, owner, sealed, digest):
        owner.wait_event('PCR 15 extended')
        client = Client(owner)
        self.assertEqual(client.pcr(15), extended(digest))
        error, reason = client.unseal(sealed)
        self.assertEqual((error, reason), (EKEYREJECTED, 'PCR 15 has been extended in this boot'))
        error, reason = client.seal(SECRET)
        self.assertEqual(error, EKEYREJECTED, reason)

    def test_pcr_15_is_extended_in_every_order_of_device_disk_and_held_boot(self):
        tpm = Swtpm(self)
        sealed = self.sealed(tpm)
        for order in itertools.permutations(('device', 'opened', 'held', 'retry')):
            with self.subTest(order=order):
                owner, seen = self.owner(tpm), set()
                client = Client(owner)
                for step in order:
                    if step == 'device':
                        tpm.start()
                        owner.wait_event('TPM opened')
                    elif step == 'opened':
                        error, later = client.ask(CLOSE_KEYS, PROOF)
                        self.assertEqual((error, later), (0, struct.pack('=I', 'device' not in seen)))
                        owner.wait_for(lambda told=owner: told.flags, 'word to PID 1')
                        self.assertEqual(set(owner.flags), {'closing'})
                    elif step == 'held':
                        owner.close_pcr_15('the boot is held')
                        if 'device' in seen:
                            owner.wait_event('PCR 15 extended')
                        else:                           # the order was taken once an answer comes after it
                            self.assertEqual(Client(owner).ask(PRESENT)[0], ENOENT)
                    else:
                        error, answer = client.unseal(sealed)
                        closed = seen & {'opened', 'held'}
                        self.assertEqual(error, ENOENT if 'device' not in seen else EKEYREJECTED if closed else 0, answer)
                        if error == 0:
                            self.assertEqual(answer, SECRET)
                    seen.add(step)
                first = next(step for step in order if step in ('opened', 'held'))
                late = order.index('device') > min(order.index('opened'), order.index('held'))
                told = PROOF if first == 'opened' or late and order.index('device') > order.index('opened') else NO_DISK
                self.assert_closed(owner, sealed, told)
                self.assertEqual(owner.end(), DONE)
                owner.wait_event('TPM shut down')
                tpm.stop()

    def test_owner_that_is_started_anew_closes_again_and_never_twice(self):
        tpm = Swtpm(self)
        sealed = self.sealed(tpm)
        tpm.start()
        first = self.owner(tpm)
        self.assertEqual(Client(first).ask(CLOSE_KEYS, PROOF)[0], 0)
        first.kill(9)
        self.assertEqual(first.wait(), -9)
        second = self.owner(tpm)
        second.wait_event('TPM opened, PCR 15 is extended already')
        second.close_pcr_15('a disk is open')
        client = Client(second)
        self.assertEqual(client.unseal(sealed)[0], EKEYREJECTED)
        self.assertEqual(client.pcr(15), extended(PROOF))

    def test_policy_without_pcr_15_neither_seals_nor_unseals(self):
        """Its key would open after the closing. Nor does one with a PCR that can be reset."""
        tpm = Swtpm(self)
        sealed = self.sealed(tpm)
        tpm.start()
        client = Client(self.owner(tpm))
        for pcrs in (PCRS & ~(1 << 15), PCRS | 1 << 16, 0):
            self.assertEqual(client.seal(SECRET, pcrs=pcrs)[0], EINVAL)
            self.assertEqual(client.unseal(sealed, pcrs=pcrs), (EINVAL, 'policy without PCR 15, or with one that can be reset'))
        self.assertEqual(client.unseal(sealed), (0, SECRET))

    def test_until_a_disk_is_open_an_attempt_may_come_again_and_get_the_key_again(self):
        tpm = Swtpm(self)
        sealed = self.sealed(tpm)
        tpm.start()
        owner = self.owner(tpm)
        for _ in range(3):
            self.assertEqual(Client(owner).unseal(sealed), (0, SECRET))

    def test_an_attempt_has_a_bounded_number_of_keys_unsealed(self):
        tpm = Swtpm(self).start()
        owner = self.owner(tpm)
        client = Client(owner)
        _, sealed = client.seal(SECRET)
        answers = [client.unseal(sealed[:1032] + bytes(648))[1] for _ in range(129)]
        self.assertEqual(set(answers[:128]), {'which image sealed the key is not known: no creation data'})
        self.assertEqual(answers[128], 'this attempt has had too many keys unsealed')
        self.assertEqual(Client(owner).unseal(sealed), (0, SECRET))

    def test_disk_without_a_tpm_goes_on_and_is_told_that_it_is_later(self):
        owner = self.owner(Swtpm(self))
        client = Client(owner)
        self.assertEqual(client.ask(CLOSE_KEYS, PROOF), (0, struct.pack('=I', 1)))
        owner.wait_event('no TPM yet: PCR 15 will be extended')
        self.assertEqual(owner.end(), DONE)


class Requests(OwnerTest):
    def test_a_stage_gets_only_what_its_type_is_for(self):
        tpm = Swtpm(self)
        sealed = self.sealed(tpm)
        tpm.start()
        owner = self.owner(tpm)
        measure, disk = Client(owner, MEASURE), Client(owner)
        for kind, body in ((CLOSE_KEYS, PROOF), (SHELL_KEY, b''), (RECORD_READ, b''), (RECORD_WRITE, b'x'), (RECORD_CLEAR, b''),
                           (VERSION_RAISE, bytes(4)), (SRK, b''), (SEAL, b''), (UNSEAL, b'')):
            self.assertEqual(measure.ask(kind, body)[0], EPERM, kind)
        self.assertEqual(measure.unseal(sealed)[0], EPERM)
        for kind, body in ((EXTEND, PROOF), (REPORT_READ, b'')):
            self.assertEqual(disk.ask(kind, body)[0], EPERM, kind)
        unknown = Client(owner, 0)
        self.assertEqual(unknown.ask(PRESENT)[0], EPERM)
        self.assertEqual(Client(owner, 77).ask(PRESENT)[0], EPERM)
        self.assertEqual(disk.unseal(sealed), (0, SECRET))
        self.assertEqual(measure.good(EXTEND, PROOF), b'')
        self.assertEqual(measure.pcr(14), extended(PROOF))
        self.assertEqual(disk.pcr(15), ZEROS)

    def test_malformed_requests_are_refused_and_the_owner_goes_on(self):
        tpm = Swtpm(self).start()
        owner = self.owner(tpm)
        client = Client(owner)
        messages = [struct.pack('=II', kind, len(body)) + body for kind, body in (
            (99, b''), (PCR_READ, b''), (UNSEAL, b'short'), (SEAL, b'\xff' * 732), (UNSEAL, b'\xff' * 2280),
            (RECORD_WRITE, bytes(200)))]
        for message in (b'x', bytes(7), bytes(100000), struct.pack('=II', PCR_READ, 4), *messages):
            client.socket.send(message)
            error = struct.unpack_from('=i', client.socket.recv(65536))[0]
            self.assertLess(error, 0, message[:20])
        self.assertEqual(client.ask(PCR_READ, struct.pack('=I', 24))[0], -22)
        self.assertEqual(client.pcr(15), ZEROS)
        clients = [Client(owner) for _ in range(40)]    # only the latest are kept
        self.assertEqual(clients[-1].pcr(15), ZEROS)
        self.assertEqual(owner.end(), DONE)

    def test_record_of_a_formatting_is_kept_and_removed(self):
        tpm = Swtpm(self).start()
        client = Client(self.owner(tpm))
        self.assertEqual(client.good(RECORD_READ), b'')
        client.good(RECORD_WRITE, b'record')
        self.assertEqual(client.good(RECORD_READ), b'record')
        client.good(RECORD_CLEAR)
        self.assertEqual(client.good(RECORD_READ), b'')


class Keys(OwnerTest):
    def test_a_hundred_stages_at_once_are_all_answered(self):
        tpm = Swtpm(self).start()
        owner = self.owner(tpm)
        owner.wait_event('TPM opened')
        clients = [Client(owner) for _ in range(100)]
        self.assertEqual({client.ask(PRESENT)[0] for client in clients}, {0})

    def test_key_is_for_its_volume_alone(self):
        tpm = Swtpm(self)
        sealed = self.sealed(tpm)
        tpm.start()
        client = Client(self.owner(tpm))
        self.assertEqual(client.unseal(sealed, 'another'), (EKEYREJECTED, 'the key was sealed for another volume'))
        self.assertEqual(client.unseal(sealed), (0, SECRET))

    def test_key_without_or_with_other_creation_data_is_not_taken(self):
        tpm = Swtpm(self).start()
        client = Client(self.owner(tpm))
        (error, one), (_, two) = client.seal(SECRET), client.seal(SECRET)
        self.assertEqual(error, 0, one)
        blob = 8 + 1024
        self.assertEqual(client.unseal(one[:blob] + bytes(648))[1],
                         'which image sealed the key is not known: no creation data')
        self.assertIn('has not created the key', client.unseal(one[:blob] + two[blob:])[1])
        size, = struct.unpack_from('=Q', one, blob)
        for at in range(0, size, 11):
            bad = bytearray(one)
            bad[blob + 8 + at] ^= 1
            self.assertEqual(client.unseal(bytes(bad))[0], EKEYREJECTED, at)
        self.assertEqual(client.unseal(one), (0, SECRET))

    def test_key_that_another_image_sealed_to_our_pcr_values_is_not_taken(self):
        """Who boots another image on this machine can seal a key it knows to the values that ours will have."""
        tpm = Swtpm(self)
        self.sealed(tpm)                                # the storage root key is there
        tpm.start()
        tpm.tool('tpm2_pcrreset', '16')
        values = f'{tpm.folder}/values'
        tpm.tool('tpm2_pcrread', 'sha256:4,9,11,15', '-o', values)      # as they will be in a boot of ours
        tpm.tool('tpm2_pcrextend', '4:sha256=' + '11' * 32)             # and this is the other image
        tpm.tool('tpm2_startauthsession', '-S', 'session')
        tpm.tool('tpm2_policypcr', '-S', 'session', '-l', 'sha256:4,9,11,15', '-f', values, '-L', 'policy')
        tpm.tool('tpm2_flushcontext', 'session')
        names = hashlib.sha256(b'gantry-volume-v1\0' + b'volume'.ljust(40, b'\0') + hashlib.sha256(SECRET).digest())
        with open(f'{tpm.folder}/secret', 'wb') as file:
            file.write(SECRET)
        for pcrs in 'sha256:4,9,11,15', 'sha256:9,11,15', 'none':
            with self.subTest(pcrs=pcrs):
                tpm.tool('tpm2_create', '-C', '0x81000001', '-L', 'policy', '-i', 'secret', '-a', 'fixedtpm|fixedparent|noda',
                         '-u', 'public', '-r', 'private', '--creation-data', 'creation', '-t', 'ticket',
                         '--outside-info', names.hexdigest(), *(() if pcrs == 'none' else ('-l', pcrs)))
                parts = [self.read(tpm, name) for name in ('private', 'public', 'creation', 'ticket')]
                blob, creation = parts[0] + parts[1], parts[2] + parts[3]
                sealed = struct.pack('=Q1024sQ640s', len(blob), blob, len(creation), creation)
                tpm.stop()
                tpm.start()
                owner = self.owner(tpm)
                error, reason = Client(owner).unseal(sealed)
                self.assertEqual(error, EKEYREJECTED, reason)
                self.assertIn('another image sealed the key' if pcrs.count(',') == 3 else 'are about other PCRs', reason)
                self.assertEqual(owner.end(), DONE)
                tpm.stop()
                tpm.start()
                tpm.tool('tpm2_pcrextend', '4:sha256=' + '11' * 32)

    @staticmethod
    def read(tpm, name):
        with open(f'{tpm.folder}/{name}', 'rb') as file:
            return file.read()


class Signed(OwnerTest):
    """Keys for signed policies: an image opens what another one has sealed, if the policies of both are signed."""

    IMAGES = {name: hashlib.sha256(name.encode()).digest() for name in ('old', 'new', 'stranger')}
    IMAGE = 3 * 32 + 4 + 256        # what creation data say of a signed image, at their end

    def setUp(self):
        self.tpm = Swtpm(self)
        self.key = f'{self.tpm.folder}/key.pem'
        run('openssl', 'genrsa', '-out', self.key, '2048')
        self.modulus = policy.public_key(self.key)[-5 - 256:-5]

    def approval(self, name, version, key=None):
        """The signed policy of an image, as the stage gives it."""
        digest = policy.approved({4: extended(self.IMAGES[name]), 9: ZEROS, 11: ZEROS}, version)
        return self.modulus + struct.pack('=II', version, 1) + digest + policy.sign(key or self.key, digest)

    def boot(self, name):
        """The machine with that image, and a stage of it."""
        if self.tpm.process:
            self.last.end()
            self.tpm.stop()
        self.tpm.start()
        self.tpm.tool('tpm2_pcrextend', f'4:sha256={self.IMAGES[name].hex()}')
        self.last = self.owner(self.tpm)
        return Client(self.last)

    def test_key_is_taken_from_an_image_that_was_signed(self):
        error, sealed = self.boot('old').seal(SECRET, approval=self.approval('old', 1))
        self.assertEqual(error, 0, sealed)
        self.assertEqual(self.boot('old').unseal(sealed, approval=self.approval('old', 1)), (0, SECRET))
        client = self.boot('new')
        self.assertEqual(client.unseal(sealed, approval=self.approval('new', 2)), (0, SECRET))
        self.assertEqual(client.unseal(sealed, 'another', approval=self.approval('new', 2)),
                         (EKEYREJECTED, 'the key was sealed for another volume'))
        client.good(CLOSE_KEYS, PROOF)
        self.assertEqual(client.unseal(sealed, approval=self.approval('new', 2)),
                         (EKEYREJECTED, 'PCR 15 has been extended in this boot'))

    def test_key_that_an_unsigned_image_sealed_for_ours_is_not_taken(self):
        """It needs the public key alone to seal a key that it knows for every image that is signed."""
        ours = self.approval('new', 1)
        _, good = self.boot('new').seal(SECRET, approval=ours)
        another = f'{self.tpm.folder}/another.pem'
        run('openssl', 'genrsa', '-out', another, '2048')
        stranger = self.boot('stranger')
        forged = [stranger.seal(SECRET, approval=approval) for approval in
                  (ours, self.approval('stranger', 1, another), self.approval('stranger', 1, another)[:260] + bytes(292))]
        self.assertEqual([error for error, _ in forged], [0] * 3)
        forged = [sealed for _, sealed in forged]
        not_signed = "another image sealed the key: its policy is not signed by this image's policy key"
        other_values = "another image sealed the key: the PCR values at its creation are not this image's"
        client = self.boot('new')
        for sealed, why in zip(forged, (not_signed, not_signed, other_values)):
            self.assertEqual(client.unseal(sealed, approval=ours), (EKEYREJECTED, why))
        self.assertEqual(client.unseal(self.with_image(forged[0], self.image(good)), approval=ours), (EKEYREJECTED, other_values))
        self.assertEqual(client.unseal(good, approval=ours), (0, SECRET))

    def test_key_of_this_image_is_taken_without_its_signature(self):
        """As one is that this image sealed before creation data had it."""
        _, sealed = self.boot('old').seal(SECRET, approval=self.approval('old', 1))
        sealed = self.with_image(sealed, b'')
        self.assertEqual(self.boot('old').unseal(sealed, approval=self.approval('old', 1)), (0, SECRET))
        self.assertEqual(self.boot('new').unseal(sealed, approval=self.approval('new', 1)),
                         (EKEYREJECTED, "another image sealed the key: the PCR values at its creation are not this image's"))

    def image(self, sealed):
        size, = struct.unpack_from('=Q', sealed, 1032)
        return sealed[1040 + size - self.IMAGE:1040 + size]

    def with_image(self, sealed, image):
        size, = struct.unpack_from('=Q', sealed, 1032)
        data = sealed[1040:1040 + size - self.IMAGE] + image
        return sealed[:1032] + struct.pack('=Q', len(data)) + data.ljust(640, b'\0')


class Confinement(OwnerTest):
    def status(self, owner):
        with open(f'/proc/{owner.pid}/status', encoding='ascii') as file:
            return dict(line.rstrip('\n').split(':\t', 1) for line in file)

    def test_it_has_one_right_while_it_waits_and_none_afterwards(self):
        tpm = Swtpm(self)
        owner = self.owner(tpm)
        self.assertEqual(Client(owner).ask(PRESENT)[0], ENOENT)
        for rights in '0000000000000002', '0000000000000000':
            status = self.status(owner)
            self.assertEqual(status['Uid'].split(), ['907'] * 4)
            self.assertEqual(status['Gid'].split(), ['907'] * 4)
            self.assertEqual(status['Groups'].strip(), '')
            self.assertEqual((status['CapEff'], status['CapPrm'], status['CapInh']), (rights, rights, '0' * 16))
            self.assertEqual((status['CapBnd'], status['NoNewPrivs'], status['Seccomp']), ('0000000000000002', '1', '2'))
            if rights[-1] == '2':
                tpm.start()
                owner.wait_event('TPM opened')
        self.assertEqual(self.status(owner)['Seccomp_filters'].strip(), '2')
        self.assertFalse(os.stat(f'/proc/{owner.pid}/mem').st_uid == 907, 'it can be dumped')

    def test_without_its_user_it_does_not_run(self):
        tpm = Swtpm(self).start()
        Owner(tpm.tcti).__exit__()                      # the account is there now
        with open('/etc/passwd', 'w', encoding='utf-8') as file:
            file.write('root:x:0:0::/:/bin/sh\n')
        owner = self.owner(tpm)
        self.assertEqual(owner.wait(), NEVER)
        self.assertIn('looking up user gantry-tpm failed', owner.result)

    def test_descriptor_that_closes_slowly_does_not_stop_it(self):
        """A TCP socket with unsent data that lingers, attached to a request: whoever closes it last waits."""
        tpm = Swtpm(self).start()
        owner = self.owner(tpm)
        good, bad = Client(owner), Client(owner)        # the later one is heard first
        self.assertEqual((good.pcr(15), bad.pcr(15)), (ZEROS, ZEROS))
        lingering = self.lingering()
        owner.kill(signal.SIGSTOP)                      # so that it is the last that has it
        socket.send_fds(bad.socket, [struct.pack('=II', PRESENT, 0)], [lingering.fileno()])
        lingering.close()
        bad.socket.close()
        owner.kill(signal.SIGCONT)
        good.socket.settimeout(10)
        self.assertEqual(good.pcr(15), ZEROS)

    def lingering(self):
        server = socket.create_server(('127.0.0.1', 0))
        self.addCleanup(server.close)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client = socket.create_connection(server.getsockname())
        peer, _ = server.accept()
        self.addCleanup(peer.close)
        client.setblocking(False)
        try:
            while True:
                client.send(bytes(65536))
        except BlockingIOError:
            pass
        client.setblocking(True)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('=ii', 1, 60))
        return client


class Stages(OwnerTest):
    def test_stage_without_an_owner_says_so(self):
        with Stage('measure', {'target': 'pcr14'}, artifacts={'config': b'{}'}) as stage:
            self.assertNotEqual(stage.wait(), DONE)
            self.assertIn('PCR 14: no TPM', stage.result)


if __name__ == '__main__':
    unittest.main()
