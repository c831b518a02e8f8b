#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Signs the disk policy of an image: with it, the image opens the disk of its predecessor.

The policy is computed from the image's bytes alone, as the TPM does it in a policy session (TPM 2.0 library, part 3,
TPM2_PolicyPCR and TPM2_PolicyNV): PCR 4, 9 and 11 are those of this image, and the machine's counter is not above the
version. The signature lies beside the image on its disk, outside of everything that is measured. Only Python,
`openssl` and the key are needed: a machine without a network can do it. Same image, key and version, same bytes.

Without a folder: the image of make's IMAGE or the test image, built first where needed (`make sign-policy`).
"""

import argparse
import base64
import fcntl
import hashlib
import json
import os
import struct
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from qemu import disk, image, uki
from qemu.folder import plain_json
from qemu.pki import x509

PCRS = (4, 9, 11)
POLICY_REF = b"gantry-disk-v1"
VERSION_MAX = 1000
FILE_MAX = 16 << 10                     # more the machine does not read

TPM_ALG_SHA256 = 0x000B
TPM_CC_POLICY_NV, TPM_CC_POLICY_PCR = 0x00000149, 0x0000017F
TPM_EO_UNSIGNED_LE = 0x0009
NV_COUNTER = 0x01801602
# TPMA_NV: type COUNTER, OWNERWRITE, AUTHWRITE, OWNERREAD, AUTHREAD, NO_DA, WRITTEN
NV_COUNTER_ATTRIBUTES = 1 << 4 | 1 << 1 | 1 << 2 | 1 << 17 | 1 << 18 | 1 << 25 | 1 << 29
NV_COUNTER_BYTES = 8

RSA_BITS, RSA_EXPONENT = 2048, 65537    # the exponent that every TPM takes


class PolicyError(Exception):
    """Why there is no signed policy, as one sentence."""


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def policy_pcr(before, values):
    """The session's digest after TPM2_PolicyPCR: VALUES is {PCR: 32 bytes} of the SHA-256 bank."""
    bitmap = sum(1 << pcr for pcr in values).to_bytes(3, "little")
    selection = struct.pack(">IHB", 1, TPM_ALG_SHA256, len(bitmap)) + bitmap
    composite = sha256(*(values[pcr] for pcr in sorted(values)))
    return sha256(before, struct.pack(">I", TPM_CC_POLICY_PCR), selection, composite)


def counter_name():
    """The TPM's name of the counter once it was incremented: of a TPMS_NV_PUBLIC with an empty authPolicy."""
    public = struct.pack(">IHIHH", NV_COUNTER, TPM_ALG_SHA256, NV_COUNTER_ATTRIBUTES, 0, NV_COUNTER_BYTES)
    return struct.pack(">H", TPM_ALG_SHA256) + sha256(public)


def policy_nv(before, version):
    """The session's digest after TPM2_PolicyNV: the counter's value is at most VERSION."""
    operand = version.to_bytes(NV_COUNTER_BYTES)
    arguments = sha256(operand, struct.pack(">HH", 0, TPM_EO_UNSIGNED_LE))
    return sha256(before, struct.pack(">I", TPM_CC_POLICY_NV), arguments, counter_name())


def approved(values, version):
    """The digest that is signed, for {PCR: 32 bytes} and a version."""
    return policy_nv(policy_pcr(bytes(32), values), version)


def check_version(version):
    if not 1 <= version <= VERSION_MAX:
        raise PolicyError(f"version {version}: it must be from 1 to {VERSION_MAX}")


def openssl(*command, refusal, message=None):
    try:
        ran = subprocess.run(["openssl", *command], input=message, capture_output=True, check=False)
    except FileNotFoundError:
        raise PolicyError("the program openssl is missing") from None
    if ran.returncode != 0:
        raise PolicyError(refusal)
    return ran.stdout


def public_key(key):
    """The SubjectPublicKeyInfo (DER) of the private key in the file KEY, which must be one that TPMs verify."""
    try:
        with open(key, "rb"):
            pass
    except OSError as error:
        raise PolicyError(f"the key {key} cannot be read: {error.strerror}") from None
    spki = openssl("pkey", "-in", key, "-pubout", "-outform", "DER",
                   refusal=f"{key} holds no private key in PEM that openssl can read")
    tail = len(x509.integer(RSA_EXPONENT))
    modulus = int.from_bytes(spki[-tail - RSA_BITS // 8:-tail])
    if modulus.bit_length() != RSA_BITS or x509.rsa_spki(modulus, RSA_EXPONENT) != spki:
        raise PolicyError(f"{key} is not an RSA-{RSA_BITS} key with exponent {RSA_EXPONENT}, "
                          "as `openssl genrsa 2048` makes")
    return spki


def sign(key, digest):
    """RSASSA PKCS#1 v1.5 with SHA-256 over what TPM2_PolicyAuthorize wants signed; public_key() said that KEY is fit."""
    return openssl("dgst", "-sha256", "-sign", key, message=digest + POLICY_REF,
                   refusal=f"openssl could not sign with {key}")


def document(content, key, version):
    """The policy file for CONTENT, the bytes of a UKI: canonical JSON."""
    check_version(version)
    values = {pcr: uki.extend(events) for pcr, events in uki.predict(content).items() if pcr in PCRS}
    digest = approved(values, version)
    fields = {"version": version, "pcrs": {str(pcr): values[pcr].hex() for pcr in PCRS}, "policy": digest.hex(),
              "signature": base64.b64encode(sign(key, digest)).decode()}
    text = json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()
    assert len(text) <= FILE_MAX
    return text


def sign_image(folder, key, version):
    """Writes policy.json and gantry.raw (and gantry.vhd, where there is one) of the image in FOLDER, whose gantry.efi
    stays what it is."""
    def path(name):
        return os.path.join(folder, name)

    with open(path("lock"), "a", encoding="ascii") as lock:         # the image builder's
        fcntl.flock(lock, fcntl.LOCK_EX)
        content = image.read_file(path("gantry.efi"))
        text = document(content, key, version)
        image.write_new(path("policy.json"), text)
        size = os.path.getsize(path("gantry.raw")) if os.path.exists(path("gantry.raw")) else 0
        disk.write_disk(path("gantry.raw"), path("gantry.efi"), text, max(disk.ESP_MIN, size - disk.BESIDE_ESP))
        if os.path.exists(path("gantry.vhd")):
            disk.write_vhd(path("gantry.vhd"), path("gantry.raw"))


def version_for(wanted, config):
    """WANTED (text, or None) as the version to sign an image of that configuration for."""
    own = max((options["version"] for options in disk_options(config) if "version" in options), default=1)
    if wanted is None:
        return own
    if not wanted.isascii() or not wanted.isdigit():
        raise PolicyError(f"version {wanted}: it must be a whole number from 1 to {VERSION_MAX}")
    version = int(wanted)
    check_version(version)
    if version < own:
        raise PolicyError(f"version {version} is below the image's own, {own}: "
                          "the image would open the disk once and never again")
    return version


def disk_options(config):
    return [stage.get("options", {}) for stage in config["stages"] if stage["type"] == "disk"]


def check_key(key, spki, config, files):
    """The image verifies the signature with a public key of its own; another key's would be made in vain."""
    for path in {options["policy_key"] for options in disk_options(config) if "policy_key" in options}:
        if path.strip("/") not in files:
            raise PolicyError(f"the image has no {path}, which its stage disk names as policy_key")
        theirs = openssl("pkey", "-pubin", "-outform", "DER", message=files[path.strip("/")],
                         refusal=f"the image's {path} holds no public key in PEM that openssl can read")
        if theirs != spki:
            raise PolicyError(f"{key} does not belong to the image's {path}: the image would refuse its signature")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("folder", nargs="?",
                        help="where gantry.efi is; default: that of make's IMAGE or the test image, built first where needed")
    parser.add_argument("--key", required=True, help="RSA-2048 private key, PEM")
    parser.add_argument("--version", help=f"1 to {VERSION_MAX}; default: that of the image's stage disk, or 1")
    options = parser.parse_args()
    try:
        spki = public_key(options.key)          # before anything is built, and once: it may ask for a passphrase
        folder = options.folder or image.ensure(image.chosen_folder())
        files = uki.initramfs_of(image.read_file(os.path.join(folder, "gantry.efi")))
        config = json.loads(plain_json(files["etc/gantry/boot.json"].decode()))
        check_key(options.key, spki, config, files)
        version = version_for(options.version, config)
        sign_image(folder, options.key, version)
    except (PolicyError, *image.REFUSALS) as error:
        sys.exit(f"policy: {error}")
    print(f"  {os.path.relpath(folder)} is signed for version {version}", file=sys.stderr)


if __name__ == "__main__":
    main()
