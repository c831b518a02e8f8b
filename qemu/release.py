#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Publishes an image, and holds a published one against one's own build (docs/images.md, Publishing).

    release.py release --key FILE [FOLDER]                 build/NAME/release/: the files, what went in, one signed SHA256SUMS
    release.py verify PUBLISHED --signer FILE.pub [FOLDER] what differs: which file, which PCR, which section, which path

The same commit gives the same bytes. Signatures are OpenSSH's, so that every host can verify them.
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

REPOSITORY = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, REPOSITORY)
from qemu import archive, debs, disk, folder, image, policy, sbom, uki

PLATFORM, ATTESTATION_TYPE = "azure", "azure-tdx"
NAMESPACE = "gantry-image"          # of the signature: one made for something else does not count
SUMS, SIGNATURE = "SHA256SUMS", "SHA256SUMS.sig"
KINDS = ("vhd", "raw", "efi")
DESCRIPTIONS = ("deploy.json", "inputs.json", "measurements.json", "provenance.json", "sbom.cdx.json")
POLICY = "policy.json"              # of an image that was signed
LOCK_KINDS = ("source", "kernel", "headers", "tool")
DEFAULT_LUN, OTHER_CHOICES, DEFAULT_LISTEN = 10, {"nsid", "serial", "wwid", "largest"}, "0.0.0.0:3535"     # docs/configuration.md


class ReleaseError(Exception):
    pass


def sha256_file(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def git(*arguments, where=REPOSITORY):
    done = subprocess.run(["git", "-c", "safe.directory=*", "-C", where, *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ReleaseError(f"git in {where}: {(done.stderr.strip().splitlines() or ['it failed'])[0]}")
    return done.stdout.strip()


def check_checkout(where=REPOSITORY):
    """Refused unless what goes into an image from Gantry's checkout is as committed: provenance.json names the commit alone."""
    changed = git("status", "--porcelain", "--untracked-files=all", ".", ":!tests", ":!docs", where=where).splitlines()
    if changed:
        raise ReleaseError(f"Gantry's checkout is not as committed, and a release is what a commit says: {changed[0].strip()}")


def version_of(source):
    """The image's version, as it is in the image; without a tag, with the commit besides."""
    if source.version() != folder.UNTAGGED:
        return source.version()
    commit = source.git("rev-parse", "--short=12", "HEAD")
    return f"{folder.UNTAGGED}.{commit}{'.changed' if source.not_committed() else ''}" if commit else folder.UNTAGGED


def dump(value):
    return (json.dumps(value, indent=2, sort_keys=True) + "\n").encode()


# ---- what went in -----------------------------------------------------------------------------------------------------


def entry(kind, place, path):
    return {"kind": kind, "place": place, "sha256": sha256_file(path), "size": os.path.getsize(path)}


def lock_entries():
    """Sources, kernel, headers and the image root's packages, as deps.lock pins them."""
    for line in image.read_file(os.path.join(REPOSITORY, "deps.lock")).decode().splitlines():
        fields = line.split()
        if fields and fields[0] in LOCK_KINDS:
            yield {"kind": fields[0], "name": fields[1], "version": fields[2], "place": fields[5], "sha256": fields[3],
                   "size": int(fields[4])}


def inputs_of(source):
    """Every file that went into the image: of the checkout, of the image's folder, and what the locks pin."""
    listed = git("ls-files").splitlines()
    found = [entry("checkout", name, os.path.join(REPOSITORY, name)) for name in listed
             if os.path.isfile(os.path.join(REPOSITORY, name)) and not name.startswith(("tests/", "docs/"))]
    for place in source.places():
        path = source.where(place)
        if os.path.islink(path):
            found.append({"kind": "image", "place": place, "link": os.readlink(path)})
        elif os.path.isfile(path):
            found.append(entry("image", place, path))
    found += lock_entries()
    found += [{"kind": "OCI image", "name": name, "place": image} for name, image in sorted(source.settings["images"].items())]
    if os.path.exists(source.where("packages.lock")):
        found += [{"kind": "package", "name": name, "version": version, "place": file, "sha256": digest}
                  for name, version, digest, file in debs.entries(source.where("packages.lock"))]
    return found


def for_deployment(config):
    """What docs/deploy asks of boot.json, with its defaults: the data disk's LUN; the System API's port, if others reach it."""
    disks = [stage.get("options", {}) for stage in config.get("stages", []) if stage["type"] == "disk"]
    luns = [disk.get("lun", DEFAULT_LUN) for disk in disks if not disk.keys() & OTHER_CHOICES]
    host, _, port = config.get("api", {}).get("listen", DEFAULT_LISTEN).rpartition(":")
    return {"data_disk_lun": luns[0] if luns else None,
            "api_port": int(port) if "api" in config and not host.startswith(("127.", "[::1]")) else None}


def builder():
    """The image root, by the hashes of its packages."""
    tools = "".join(one["sha256"] for one in lock_entries() if one["kind"] == "tool")
    return f"image root {hashlib.sha256(tools.encode()).hexdigest()[:12]}"


def provenance(source, subjects, version):
    """An in-toto statement with SLSA's predicate: these outputs came from that commit by `make release`."""
    return {"_type": "https://in-toto.io/Statement/v1", "predicateType": "https://slsa.dev/provenance/v1",
            "subject": [{"name": name, "digest": {"sha256": digest}} for name, digest in subjects],
            "predicate": {
                "buildDefinition": {
                    "buildType": "make release", "externalParameters": {"image": source.settings["name"], "version": version},
                    "resolvedDependencies": [
                        {"name": "checkout", "digest": {"gitCommit": git("rev-parse", "HEAD")}}]},
                "runDetails": {"builder": {"id": builder()}}}}


# ---- release ----------------------------------------------------------------------------------------------------------


def sign(key, path):
    done = subprocess.run(["ssh-keygen", "-Y", "sign", "-q", "-f", key, "-n", NAMESPACE], input=image.read_file(path),
                          capture_output=True, check=False)
    if done.returncode != 0:
        raise ReleaseError(f"{key}: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout


def base_of(source, efi):
    return f"{source.settings['name']}-{version_of(source)}-{PLATFORM}-{hashlib.sha256(efi).hexdigest()[:12]}"


def measurements(base, efi):
    return dump([{"measurement_id": f"{base}.vhd", "attestation_type": ATTESTATION_TYPE,
                  "measurements": uki.measurements(efi)["measurements"]}])


def describe(source, out, base, efi):
    """Writes beside the image (and its policy) in OUT what is said of it."""
    def put(name, content):
        image.write_new(os.path.join(out, name), content)

    found = inputs_of(source)
    put("measurements.json", measurements(base, efi))
    put("deploy.json", dump(for_deployment(source.config)))
    put("inputs.json", dump(found))
    put("sbom.cdx.json", dump(sbom.bill_of_materials(base, found)))
    subjects = [(name, sha256_file(os.path.join(out, name))) for name in sorted(os.listdir(out))]
    put("provenance.json", dump(provenance(source, subjects, version_of(source))))


def release(path, key):
    """Makes build/NAME/release/BASE/. Returns its path."""
    source = folder.Folder(path)
    source.check_committed("a release is what a commit says")
    built = image.ensure(path)
    efi = image.read_file(os.path.join(built, "gantry.efi"))
    base = base_of(source, efi)
    out = os.path.join(built, "release", base)
    shutil.rmtree(out, ignore_errors=True)
    os.makedirs(out)
    for kind in KINDS:
        os.link(os.path.join(built, f"gantry.{kind}"), os.path.join(out, f"{base}.{kind}"))
    if os.path.exists(os.path.join(built, POLICY)):
        shutil.copyfile(os.path.join(built, POLICY), os.path.join(out, POLICY))
    describe(source, out, base, efi)
    image.write_new(os.path.join(out, SUMS),
                    "".join(f"{sha256_file(os.path.join(out, name))}  {name}\n" for name in sorted(os.listdir(out))).encode())
    image.write_new(os.path.join(out, SIGNATURE), sign(key, os.path.join(out, SUMS)))
    return out


# ---- verify -----------------------------------------------------------------------------------------------------------


def check_signature(published, signer):
    """Refused unless SHA256SUMS is signed by the key in SIGNER, a public key of OpenSSH."""
    with open(signer, encoding="utf-8") as file, tempfile.NamedTemporaryFile("w", encoding="utf-8") as allowed:
        allowed.write("".join(f'signer namespaces="{NAMESPACE}" {line}' for line in file if line.strip()))
        allowed.flush()
        image.read_file(os.path.join(published, SIGNATURE))         # a plain file
        done = subprocess.run(["ssh-keygen", "-Y", "verify", "-f", allowed.name, "-I", "signer", "-n", NAMESPACE,
                               "-s", os.path.join(published, SIGNATURE)],
                              input=image.read_file(os.path.join(published, SUMS)), capture_output=True, check=False)
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip()).decode(errors="replace").splitlines() or ["ssh-keygen failed"]
        raise ReleaseError(f"{SUMS} is not signed by the key in {os.path.basename(signer)}: {said[-1]}")


def check_sums(published):
    """{name: sha256} of SHA256SUMS; refused where a file is missing or has another."""
    sums = {}
    for number, line in enumerate(image.read_file(os.path.join(published, SUMS)).decode().splitlines(), 1):
        found = re.fullmatch(r"([0-9a-f]{64})  ([\w.+~-]+)", line)
        if not found:
            raise ReleaseError(f"{SUMS}:{number}: not understood: {line}")
        if found[2] in sums:
            raise ReleaseError(f"{SUMS}:{number}: {found[2]} is named twice")
        sums[found[2]] = found[1]
    for name, digest in sums.items():
        path = os.path.join(published, name)
        if not os.path.isfile(path):
            raise ReleaseError(f"{name} is not there, and {SUMS} names it")
        if os.path.islink(path):
            raise ReleaseError(f"{name} is a link")
        if sha256_file(path) != digest:
            raise ReleaseError(f"{name} is not what {SUMS} says: it was changed after it was signed, or it came damaged")
    for name in sorted(os.listdir(published)):
        if name not in sums and name not in (SUMS, SIGNATURE):
            raise ReleaseError(f"{name} is there, and {SUMS} does not name it")
    return sums


def check_names(published, sums):
    """The BASE of the files, which are those that `release` writes and no others; its end is the UKI's hash."""
    bases = [name.removesuffix(".efi") for name in sums if name.endswith(".efi")]
    if len(bases) != 1:
        raise ReleaseError(f"{SUMS} names {len(bases)} UKIs")
    expected = {*(f"{bases[0]}.{kind}" for kind in KINDS), *DESCRIPTIONS}
    for name in sorted(expected - sums.keys()):
        raise ReleaseError(f"{SUMS} does not name {name}, which belongs to a release")
    for name in sorted(sums.keys() - expected - {POLICY}):
        raise ReleaseError(f"{SUMS} names {name}, which does not belong to a release")
    begins = sums[f"{bases[0]}.efi"][:12]
    if not bases[0].endswith(f"-{PLATFORM}-{begins}"):
        raise ReleaseError(f"{bases[0]} is not the name of a release whose UKI's hash begins with {begins}")
    return bases[0]


def check_policy(text, efi):
    """A published policy.json is of the published UKI. The machine verifies its signature, with the key in the image."""
    try:
        said = json.loads(text)
        values = {pcr: uki.extend(events) for pcr, events in uki.predict(efi).items() if pcr in policy.PCRS}
        good = said["pcrs"] == {str(pcr): value.hex() for pcr, value in values.items()} \
            and said["policy"] == policy.approved(values, said["version"]).hex() and len(text) <= policy.FILE_MAX
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
        good = False
    if not good:
        raise ReleaseError(f"{POLICY} is not of the published UKI")


def differences(theirs, ours):
    """What differs between two UKIs (bytes), as lines: registers, sections, and paths of the initramfs."""
    lines = []
    before, after = (uki.measurements(one)["measurements"] for one in (theirs, ours))
    lines += [f"PCR {pcr}: published {before[pcr]['expected']}, own build {after[pcr]['expected']}"
              for pcr in before if before[pcr] != after[pcr]]
    one, other = uki.Image(theirs), uki.Image(ours)
    names = list(dict.fromkeys(name for each in (one, other) for name, *_ in each.sections))
    changed = [name for name in names if one.section(name) != other.section(name)]
    lines += [f"section {name} differs" for name in changed]
    if ".initrd" in changed:
        mine, yours = (archive.files(each.section(".initrd") or b"") for each in (one, other))
        lines += [f"initramfs: /{path} " + ("is only in the own build" if path not in mine else "is only in the published image"
                                             if path not in yours else "differs")
                  for path in sorted(mine.keys() | yours.keys()) if mine.get(path) != yours.get(path)]
    if not changed and theirs != ours:
        lines.append("no section differs: headers or padding of the file do")
    return lines


def verify(published, signer, path):
    """Prints what differs; returns how many lines."""
    check_signature(published, signer)
    sums = check_sums(published)
    base, source = check_names(published, sums), folder.Folder(path)
    built = image.ensure(path)
    theirs, ours = (image.read_file(path) for path in (os.path.join(published, f"{base}.efi"), os.path.join(built, "gantry.efi")))
    signed = image.read_file(os.path.join(published, POLICY)) if POLICY in sums else b""
    if signed:
        check_policy(signed, theirs)
    said = [] if base == base_of(source, ours) else [f"the name is {base}, of the own build it is {base_of(source, ours)}"]
    if image.read_file(os.path.join(published, "measurements.json")) != measurements(base, theirs):
        said.append("measurements.json is not of the published UKI")
    with tempfile.TemporaryDirectory(dir=built) as own:         # the release that it would be here, with the same policy
        efi, raw, vhd = (os.path.join(own, f"{base}.{kind}") for kind in ("efi", "raw", "vhd"))
        os.link(os.path.join(built, "gantry.efi"), efi)
        disk.write_disk(raw, efi, signed, source.settings["esp_mib"] * disk.MIB)
        disk.write_vhd(vhd, raw)
        if signed:
            image.write_new(os.path.join(own, POLICY), signed)
        describe(source, own, base, ours)
        lines = [f"{name} differs" for name in (*(f"{base}.{kind}" for kind in KINDS), *DESCRIPTIONS)
                 if sha256_file(os.path.join(own, name)) != sums[name]]
    lines += differences(theirs, ours) + said
    print("\n".join(lines) if lines else f"{base}: the signature is good, and the own build is the same, byte for byte")
    return len(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    what = parser.add_subparsers(dest="what", required=True)
    one = what.add_parser("release")
    one.add_argument("--key", required=True, help="private key of OpenSSH")
    two = what.add_parser("verify")
    two.add_argument("published", help="the folder with SHA256SUMS")
    two.add_argument("--signer", required=True, help="public key of OpenSSH, of who published it")
    for each in (one, two):
        each.add_argument("folder", nargs="?", help="the image's folder; default: make's IMAGE, or the test image's")
    options = parser.parse_args()
    path = options.folder or image.chosen_folder()
    try:
        if options.what == "release":
            check_checkout()
            print(f"  {os.path.relpath(release(path, options.key), REPOSITORY)}", file=sys.stderr)
        elif verify(options.published, options.signer, path):
            sys.exit(1)
    except (ReleaseError, policy.PolicyError, *image.REFUSALS) as error:
        sys.exit(f"{options.what}: {error}")


if __name__ == "__main__":
    main()
