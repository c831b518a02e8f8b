# SPDX-License-Identifier: GPL-2.0-or-later
"""What boot tests share: a private network with the peers in it, images with variations, disks in every state, and
machines that leave their console in build/results when a test fails. A test waits for events and never sleeps."""

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import ssl
import subprocess
import sys
import time
import unittest
import urllib.error
import urllib.request

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, REPOSITORY)
sys.path.append(os.path.join(REPOSITORY, "tests", "component"))
from patience import PATIENCE
from qemu import debian, doorstep, image, machine, uki, variant
from qemu.peers.hub import DISK_KEY
from qemu.peers.platform import Platform, configure_network

machine.TIMEOUT_SCALE = PATIENCE        # a test waits for what must come; what may take how long is asserted
BUILD = image.BUILD
IMAGE = image.TEST_OUT
RESULTS = os.path.join(BUILD, "results", "boot")
BOOT = image.TEST_FOLDER
DISK_BYTES = 512 << 20
SNAPSHOT_BYTES = 4 << 20
BOOT_TIMEOUT = 90                       # seconds until `booted`, in either tier, on a busy machine
# Of tier 1: the kernel's tests of its own ciphers would take a second of an emulated processor. Tier 2 has them.
CMDLINE = image.cmdline({}) + " cryptomgr.notests"
# For machines that provoke errors of the kernel: it prints them at once, into the middle of a line of ours.
WITHOUT_KERNEL_ERRORS = CMDLINE + " loglevel=3"
PCRS = ("4", "9", "11")                 # that an image decides
QBOOT = "-bios", "qboot.rom"            # unlike SeaBIOS it extends no PCR
OF_THE_HUB = "disk-of-the-hub"           # what BootTest.disk_of_the_hub() prepares
OF_ALL_SOURCES = "disk-of-all-sources"  # what BootTest.disk_of_all_sources() prepares
RECOVERY = "correct horse battery staple, twice"
MARKER = "the-same-file-system-as-before"
BUCKET, PREFIX = "chain-db-snapshots", "reth-mainnet-full"

RUN = os.environ.get("GANTRY_TEST_RUN") or f"{os.getpid()}-{time.time_ns()}"

_entered = False


def shares(what):
    """Of tests that need the same thing, which the first of them makes: tests/run.py does not let the others wait for it."""
    def mark(test):
        test.shares = what
        return test
    return mark


def setUpModule():
    """Of every test module: the image is there, and its process moves into a network of its own, once."""
    global _entered
    image.ensure()
    if not _entered:
        machine.enter_private_network()
        configure_network()
        _entered = True


def node(config, name):
    """The stage or service of that name in a configuration."""
    return next(item for item in config["stages"] + config["services"] if item["name"] == name)


def only(config, *names):
    """Of all stages and services these are left, and nothing that needs the others. What is printed are events."""
    for kind in ("stages", "services"):
        config[kind] = [item for item in config[kind] if item["name"] in names]
    for item in config["stages"] + config["services"]:
        for key in ("needs", "after"):
            if key in item:
                item[key] = [name for name in item[key] if name in names]
    config.pop("logs", None)
    for service in config["services"]:
        service.pop("log", None)
    if "disk" not in names:
        config.pop("log", None)
    if config.get("refresh", {}).get("stage") not in names:
        config.pop("refresh", None)
        for item in config["services"]:
            item.pop("enabled_if", None)
    fit_api(config)


def fit_api(config):
    """Takes from the API what is no longer there: files of the disk, and actions of stages and services."""
    api, names = config.get("api", {}), {item["name"] for item in config["stages"] + config["services"]}
    if "disk" not in names:
        for key in ("needs", "password_file", "password_salt", "tls_certificate", "tls_key", "uploads"):
            api.pop(key, None)
    if "refresh" not in config:
        api["actions"] = [action for action in api.get("actions", []) if action.get("verb") != "@refresh-config"]
    api["actions"] = [action for action in api.get("actions", [])
                      if " " not in action.get("verb", "") or action["verb"].split()[1] in names]
    for service in config["services"]:
        if "refresh" not in config or "render" not in names:
            service.pop("on_change", None)


def run_what_is_needed(config):
    """What a test's own stages and services need runs whatever the hub's document says; nothing else could need it."""
    nodes = config["stages"] + config["services"]
    for service in config["services"]:
        if any(service["name"] in other.get("needs", []) and other.get("enabled_if") != service.get("enabled_if")
               for other in nodes):
            service.pop("enabled_if", None)


def only_disk(config, **options):
    """The disk stage alone, its key from the TPM unless OPTIONS say otherwise, the modules it needs, and no API: a quick
    boot."""
    only(config, "disk")
    config.pop("api", None)
    node(config, "disk")["options"].update({"keys": ["tpm2"], **options})
    config["modules"] = ["virtio_scsi", "sd_mod", "dm_mod", "dm_crypt", "aesni_intel", "xts", "button", "evdev"]


def add_exec(config, name, command, needs=(), **more):
    """A stage that runs a program, once; its lines become messages of source NAME, the last one its result."""
    config["stages"].append({"name": name, "type": "exec", "needs": list(needs), "retry": {"limit": 1},
                             "options": {"command": list(command)}, **more})


def add_steps(config, *commands, needs=()):
    """Stages step-1, step-2 ..., each run when the one before has succeeded."""
    for number, command in enumerate(commands, 1):
        add_exec(config, f"step-{number}", command, needs)
        needs = [f"step-{number}"]


def add_probe(config, name, *arguments, needs=(), **more):
    """A stage that runs /bin/probe; its lines become messages of source NAME."""
    config["stages"].append({"name": name, "type": "exec", "needs": list(needs), "required": False,
                             "options": {"command": ["/bin/probe", *arguments]}, **more})


def look_at_snapshot(config):
    """The snapshot's files as the sync left them: no service that adds its own is started."""
    for name in ("reth", "rbuilder"):
        node(config, name)["enabled"] = False
        node(config, name).pop("enabled_if", None)
    add_probe(config, "look", "tree", "/persistent/reth", needs=["snapshot"])


def copy_sparse(source, target):
    subprocess.run(["cp", "--sparse=always", "--reflink=auto", source, target], check=True)


def sha256_of(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class BootTest(unittest.TestCase):
    """Each test has a folder; its machines and peers end with it."""

    snapshot_bytes = SNAPSHOT_BYTES

    def setUp(self):
        self.folder = os.path.join(RESULTS, ".".join(self.id().split(".")[-2:]))
        os.makedirs(RESULTS, exist_ok=True)
        lock = self.enterContext(open(self.folder + ".lock", "w", encoding="ascii"))
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:         # the same test runs beside this one
            self.folder += f"-{os.getpid()}"
        shutil.rmtree(self.folder, ignore_errors=True)
        os.makedirs(self.folder)
        self.disk = os.path.join(self.folder, "disk.raw")
        self.state = os.path.join(self.folder, "machine")
        self.boots = self.images = 0

    def tearDown(self):
        outcome = getattr(self._outcome, "result", None)
        problems = [test for test, _ in getattr(outcome, "failures", []) + getattr(outcome, "errors", [])]
        if not any(test is self for test in problems):      # the logs stay, the bulk goes
            for name in os.listdir(self.folder):
                if name.endswith((".raw", ".cpio", ".efi")):
                    os.unlink(os.path.join(self.folder, name))
                elif name.startswith("image-"):
                    shutil.rmtree(os.path.join(self.folder, name))

    # The world around the machine

    def platform(self, **options):
        options.setdefault("snapshot_bytes", self.snapshot_bytes)
        options.setdefault("small_files", 5)
        self.current_platform = self.enterContext(Platform(**options))
        return self.current_platform

    def assert_snapshot_identical(self, guest, platform):
        """The stage that look_at_snapshot() added found what the bucket holds, byte for byte."""
        files = platform.s3.manifest(BUCKET, f"{PREFIX}/{platform.snapshot}")
        digest = hashlib.sha256()
        for name in sorted(files, key=lambda name: name.encode()):
            digest.update(name.encode() + b"\0" + files[name][1].encode())
        line = guest.wait_for("look", text=r"tree /persistent/reth is", kind="message", timeout=90).text
        size = sum(size for size, _ in files.values())
        self.assertIn(f"{digest.hexdigest()} with {len(files)} files of {size} bytes", line)

    @contextlib.contextmanager
    def other_platform(self, **options):
        """A sound platform, in the place of the test's own, which has the same addresses, for as long as it lasts."""
        own = getattr(self, "current_platform", None)
        if own:
            own.stop()
        with Platform(snapshot_bytes=SNAPSHOT_BYTES, small_files=5, **options) as platform:
            yield platform
        if own:
            own.start()

    # Disks

    def blank_disk(self):
        machine.blank_disk(self.disk, DISK_BYTES)
        return self.disk

    def used_machine(self):
        """A disk and a TPM as a first boot of the plain image left them; made once for all tests of an image."""
        with open(os.path.join(IMAGE, "initramfs.cpio"), "rb") as file:
            key = hashlib.file_digest(file, "sha256").hexdigest()[:16]
        folder = os.path.join(RESULTS, "used", key)
        os.makedirs(os.path.dirname(folder), exist_ok=True)
        with open(folder + ".lock", "w", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not os.path.exists(os.path.join(folder, "complete")):
                shutil.rmtree(folder, ignore_errors=True)
                os.makedirs(folder)
                disk = os.path.join(folder, "disk.raw")
                machine.blank_disk(disk, DISK_BYTES)
                with self.other_platform(), self.new_machine(folder=os.path.join(folder, "machine"), disk=disk) as guest:
                    guest.wait_for("gantry", "booted", timeout=BOOT_TIMEOUT)
                    guest.power_button()
                    self.assertEqual(guest.wait_end(), "guest-shutdown")
                open(os.path.join(folder, "complete"), "w", encoding="ascii").close()
                for other in os.listdir(os.path.dirname(folder)):       # of images that are no more
                    if not other.startswith(key):
                        shutil.rmtree(os.path.join(os.path.dirname(folder), other), ignore_errors=True)
        shutil.copytree(os.path.join(folder, "machine", "tpm"), os.path.join(self.state, "tpm"))
        copy_sparse(os.path.join(folder, "disk.raw"), self.disk)
        return self.disk

    def prepared(self, name, make):
        """The disk and the TPM as MAKE() leaves them, done once in a run of the tests and copied for all who ask for NAME."""
        folder = os.path.join(RESULTS, "prepared", name)
        run = os.path.join(folder, RUN)
        os.makedirs(os.path.dirname(folder), exist_ok=True)
        with open(folder + ".lock", "w", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not os.path.exists(run):
                shutil.rmtree(folder, ignore_errors=True)
                make()
                os.makedirs(folder)
                shutil.copytree(os.path.join(self.state, "tpm"), os.path.join(folder, "tpm"))
                copy_sparse(self.disk, os.path.join(folder, "disk.raw"))
                open(run, "w", encoding="ascii").close()
                return
        shutil.copytree(os.path.join(folder, "tpm"), os.path.join(self.state, "tpm"))
        copy_sparse(os.path.join(folder, "disk.raw"), self.disk)

    def disk_of_the_hub(self):
        """A disk that a first boot formatted with the hub's key and no other, and that machine's TPM."""
        def change(config):
            only(config, "network", "clock", "config", "disk", "dhcpcd", "chronyd")
            node(config, "disk")["options"]["keys"] = ["hub"]

        def make():
            with self.new_machine(disk=self.blank_disk(), change=change) as guest:
                self.assertIn("formatted, key from hub", guest.wait_for("disk", "done", timeout=BOOT_TIMEOUT).fields["text"])
                self.wait_booted(guest)
                self.power_off(guest)

        self.prepared(OF_THE_HUB, make)
        return self.disk

    def disk_of_all_sources(self):
        """A disk that a first boot formatted with keys of tpm2, hub and recovery, a file `marker` on it, and its TPM."""
        def change(config):
            only(config, "network", "clock", "config", "disk", "dhcpcd", "chronyd")
            node(config, "disk")["options"].update(keys=["tpm2"], enroll=["tpm2", "hub", "recovery"])
            add_exec(config, "mark", debian.command("cp", "/secret/marker", "/persistent/marker"), needs=["disk"])

        def make():
            files = debian.programs("env", "cp") | {"/secret/marker": MARKER.encode()}
            with self.other_platform(disk_key=DISK_KEY) as platform:
                platform.hub.document["disk_encryption"]["recovery"] = RECOVERY
                with self.new_machine(disk=self.blank_disk(), change=change, files=files) as guest:
                    done = guest.wait_for("disk", "done", timeout=BOOT_TIMEOUT).fields["text"]
                    self.assertIn("formatted, key from tpm2, hub, recovery", done)
                    self.wait_booted(guest)
                    self.power_off(guest)

        self.prepared(OF_ALL_SOURCES, make)
        return self.disk

    # Machines

    def initrd(self, change=None, files=None):
        """The image's initramfs with a changed configuration and further files; checked as at build time."""
        def changed(config):
            change(config)
            run_what_is_needed(config)
        return variant.initramfs(self.folder, changed if change else None, files)

    def image(self, change=None, files=None, sign=None, version=1):
        """The boot disk of another image, for tier 2; its gantry.efi lies beside it. SIGN: a key for its policy."""
        self.images += 1
        return variant.make(os.path.join(self.folder, f"image-{self.images}"), change, files, sign, version)

    def policy_key(self, name="policy"):
        """A new key to sign disk policies with: the paths of its private and its public half."""
        private, public = (os.path.join(self.folder, f"{name}-{half}.pem") for half in ("private", "public"))
        subprocess.run(["openssl", "genrsa", "-out", private, "2048"], check=True, capture_output=True)
        subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-out", public], check=True)
        return private, public

    def measured_initrd(self, boot_disk):
        """(initramfs, command line) of the image beside that boot disk, started directly, with the PCRs that firmware would
        leave: /bin/measured extends them as qemu/uki.py predicts, which boot/test_measured holds against firmware and
        TPM."""
        with open(os.path.join(os.path.dirname(boot_disk), "gantry.efi"), "rb") as file:
            content = file.read()
        events = "".join(f"{pcr} {digest.hex()}\n" for pcr, steps in uki.predict(content).items() for _, digest in steps)
        path = os.path.join(os.path.dirname(boot_disk), "measured.cpio")
        with open(path, "wb") as file:
            file.write(uki.Image(content).section(".initrd") + image.overlay({"/measured": events.encode()}))
        return path, CMDLINE + " rdinit=/bin/measured"

    def assert_pcrs_as_predicted(self, guest, boot_disk):
        """Of the image beside that boot disk, which has a stage `pcrs`: add_probe(config, "pcrs", "pcrs")."""
        with open(os.path.join(os.path.dirname(boot_disk), "gantry.efi"), "rb") as file:
            predicted = uki.measurements(file.read())["measurements"]
        for pcr in PCRS:
            found = guest.wait_for("pcrs", text=rf"^pcr {pcr} is ", kind="message", timeout=90)
            self.assertEqual(found.text, f"pcr {pcr} is {predicted[pcr]['expected']}")

    def from_doorstep(self, options, tpm):
        """A machine of the usual shape, or one that is measured, goes on from the saved one (qemu/doorstep.py)."""
        usual = machine.Machine(self.folder, kernel=options["kernel"], tpm=tpm)
        base = os.path.join(IMAGE, "initramfs.cpio")
        with open(options["initrd"], "rb") as file, open(base, "rb") as standard:
            content, start = file.read(), standard.read()
        if options.get("saved") or not isinstance(options.get("nic", True), bool) or not content.startswith(start) or any(
                options.get(name, getattr(usual, name)) != getattr(usual, name)
                for name in ("asset_tag", "extra") if options.get(name) != QBOOT):
            return
        if not options.get("nic", True):        # the saved one has a card, which is nothing to a machine without its driver
            options["nic"] = None
        shape = {name: options[name] for name in ("kernel", "cmdline", "memory_mib", "cpus", "extra") if name in options}
        options["saved"] = doorstep.saved(os.path.join(RESULTS, "doorstep"), initrd=base, tpm=tpm, **shape)
        options["doorstep"], options["initrd"] = content[len(start):], base

    def new_machine(self, *, folder=None, tier=1, change=None, files=None, tpm=True, whole=False, **options):
        """WHOLE: also in tier 1 the kernel starts anew."""
        template = machine.tpm_template(BUILD) if tpm is True else tpm
        if tier == 1:
            options["kernel"] = image.Inputs(BUILD).vmlinux
            if "boot_disk" in options:
                options["initrd"], options["cmdline"] = self.measured_initrd(options["boot_disk"])
                options["extra"] = QBOOT
            else:
                options["initrd"] = self.initrd(change, files)
            options.setdefault("cmdline", CMDLINE)
            if not whole:
                self.from_doorstep(options, template)
        else:
            options.setdefault("boot_disk", os.path.join(IMAGE, "gantry.raw"))
        return machine.Machine(folder or self.state, tpm=template, **options)

    def boot(self, **options):
        """Starts a machine that ends with the test. Without `disk` there is no data disk; `tpm` may be a folder."""
        self.boots += 1
        guest = self.enterContext(self.new_machine(**options))
        self.addCleanup(self.keep_console, guest.folder, self.boots)
        return guest

    def keep_console(self, folder, number):
        with contextlib.suppress(FileNotFoundError):
            os.replace(os.path.join(folder, "console.log"), os.path.join(self.folder, f"console-{number}.log"))

    def wait_booted(self, guest, timeout=BOOT_TIMEOUT):
        return guest.wait_for("gantry", "booted", timeout=timeout)

    def power_off(self, guest):
        guest.power_button()
        self.assertEqual(guest.wait_end(), "guest-shutdown")

    # Looking

    def api(self, guest, path, timeout=10):
        """GET of the System API, through the port QEMU forwards, once it listens: (status, body)."""
        guest.wait_for("system-api", kind="message", text="^listens on", despite_held=True)
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        try:
            with urllib.request.urlopen(f"https://127.0.0.1:{machine.API_PORT}{path}", context=context,
                                        timeout=timeout * machine.TIMEOUT_SCALE) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def states(self, guest, source):
        return [event.text for event in guest.events if event.source == source and event.kind == "state"]

    def assert_before(self, guest, first, then):
        """The event `first` (source, state) came before `then`."""
        found = [guest.find(*pair) for pair in (first, then)]
        self.assertTrue(all(found), f"{first} or {then} never came")
        self.assertLess(found[0][0], found[1][0], f"{first} came after {then}")

    def assert_no_line(self, guest, pattern):
        for line in guest.lines:
            self.assertIsNone(re.search(pattern, line), line)
