# SPDX-License-Identifier: GPL-2.0-or-later
"""The stage measure with a software TPM: which platform it finds, and what it extends."""

import hashlib
import os
import unittest

from peers import PeerTest
from support import AGAIN, DONE, NEVER, Stage, private_mounts, private_network, temporary_folder
from tpmowner import MEASURE, Owner, Swtpm
from qemu.peers.imds import Imds
from qemu.peers.platform import configure_network
from qemu.tdx import quote as tdx


class Measure(PeerTest):
    def tpm(self):
        self.swtpm = Swtpm(self).start()
        return self.swtpm

    def measure(self, tpm, options, **more):
        """The stage, with the owner of that TPM (None: of none) beside it."""
        self.owner = Owner(tpm.tcti if tpm else 'device:/dev/none')
        self.addCleanup(self.owner.__exit__)
        return Stage('measure', options, fifth=self.owner.client(MEASURE), **more)

    @staticmethod
    def hcl_report(td=None):
        """As on Azure, but with short claims: swtpm has no NV index of more than 2048 bytes."""
        return tdx.build_hcl_report(b'{"keys":[],"user-data":""}', td)[:2048]

    def azure_signs(self, hcl):
        """The chassis tag, and a vTPM with that HCL report."""
        tpm = self.tpm()
        private_mounts('/sys/class')
        os.makedirs('/sys/class/dmi/id')
        with open('/sys/class/dmi/id/chassis_asset_tag', 'w', encoding='utf-8') as file:
            file.write('7783-7084-3265-9085-8269-3286-77\n')
        if hcl:
            # In pieces: a TPM takes no more than 1024 bytes or so at once.
            self.swtpm.tool('tpm2_nvdefine', '0x01400001', '-C', 'o', '-s', str(len(hcl)), '-a', 'ownerread|ownerwrite')
            folder = temporary_folder(self)
            for at in range(0, len(hcl), 1024):
                with open(f'{folder}/piece', 'wb') as file:
                    file.write(hcl[at:at + 1024])
                self.swtpm.tool('tpm2_nvwrite', '0x01400001', '-C', 'o', '-i', f'{folder}/piece', '--offset', str(at))
        return tpm

    def test_a_plain_machine_is_told_and_nothing_is_taken(self):
        with self.measure(None, {'target': 'none'}) as stage:
            self.assertEqual(stage.wait(), DONE)
            self.assertEqual(stage.result, 'platform plain')
            self.assertEqual(stage.wait_event('platform plain').fields, {'platform': 'plain'})
            self.assertEqual(stage.asked, [])
            self.assertEqual(stage.facts, {'platform': 'plain'})

    def test_pcr_14_is_extended_once_with_the_digest_of_the_document(self):
        tpm = self.tpm()
        content = b'{"a":"secret"}'
        with self.measure(tpm, {'target': 'pcr14'}, artifacts={'config': content}) as stage:
            self.assertEqual(stage.wait(), DONE)
            self.assertRegex(stage.result, '^platform plain, PCR 14 extended with config [0-9a-f]{16}')
            facts = stage.facts
        expected = hashlib.sha256(bytes(32) + hashlib.sha256(content).digest()).hexdigest()
        self.assertEqual(self.owner.end(), 0)
        self.assertEqual(tpm.pcr(14).hex(), expected)
        self.assertEqual(facts, {'platform': 'plain', 'pcr4': '0' * 64, 'pcr9': '0' * 64, 'pcr11': '0' * 64,
                                 'pcr14': expected, 'pcr15': '0' * 64})
        for pcr in (4, 9, 11, 12, 13, 15):
            self.assertEqual(tpm.pcr(pcr), bytes(32))

    def test_without_a_tpm_pcr_14_is_tried_again(self):
        with self.measure(None, {'target': 'pcr14'}, artifacts={'config': b'{}'}) as stage:
            self.assertEqual(stage.wait(), AGAIN)
            self.assertIn('PCR 14: no TPM', stage.result)

    def test_without_the_artifact_it_fails(self):
        tpm = self.tpm()
        with self.measure(tpm, {'target': 'pcr14'}, artifacts={'config': None}) as stage:
            self.assertEqual(stage.wait(), NEVER)
            self.assertEqual(stage.result, 'artifact config is not available, nothing to measure')

    def test_azure_is_found_with_report_and_quote(self):
        rtmrs = [tdx.test_measurement(f'rtmr{i}') for i in range(4)]
        hcl = self.hcl_report(tdx.Td(rtmrs=rtmrs))      # Azure's own are zero
        tpm = self.azure_signs(hcl)
        private_network()
        configure_network()
        self.started(Imds())
        with self.measure(tpm, {'target': 'auto'}, artifacts={'config': b'{}'}) as stage:
            self.assertEqual(stage.wait(60), DONE)
            self.assertEqual(stage.wait_event('platform azure').fields, {'platform': 'azure'})
            fields = stage.wait_event('report and quote read').fields
            self.assertEqual(fields['report'], hashlib.sha256(hcl[32:1056]).hexdigest())
            self.assertEqual(fields['mrtd'], tdx.test_measurement('mrtd').hex())
            self.assertEqual(stage.facts, {**stage.facts, 'platform': 'azure', 'mrtd': fields['mrtd'],
                                           **{f'rtmr{i}': rtmrs[i].hex() for i in range(4)}})
            self.assertEqual(len(stage.facts), 1 + 5 + 5)
            self.assertEqual(len(fields['quote']), 64)
            self.assertEqual(fields['quote_bytes'], '5006')
            self.assertIn('PCR 14 extended', stage.result)

    def test_azure_without_imds_says_what_is_missing(self):
        tpm = self.azure_signs(self.hcl_report())
        private_network()
        configure_network()
        with self.measure(tpm, {'target': 'none'}) as stage:
            self.assertEqual(stage.wait(60), DONE)
            self.assertEqual(stage.result, 'platform azure')
            self.assertEqual(stage.wait_event('quote not read').level, 'warning')

    def test_half_of_azure_s_signs_are_a_plain_machine(self):
        good = self.hcl_report()
        other = bytearray(good)
        other[1240] ^= 1
        tpm = self.azure_signs(None)
        with self.measure(tpm, {'target': 'none'}) as stage:
            self.assertEqual(stage.wait(), DONE)
            self.assertEqual(stage.result, 'platform plain')
            stage.wait_event("Azure's chassis tag, but no HCL report: no such NV index")
        tpm = self.azure_signs(bytes(other))
        with self.measure(tpm, {'target': 'none'}) as stage:
            self.assertEqual(stage.wait(), DONE)
            stage.wait_event('report data is not the digest of the runtime claims')


if __name__ == '__main__':
    unittest.main()
