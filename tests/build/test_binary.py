# SPDX-License-Identifier: GPL-2.0-or-later
"""What the binaries of the image must be: one static position-independent file each, hardened, small, and PID 1 free
of every library that touches remote bytes or cryptography."""

import glob
import os
import re
import subprocess
import tempfile
import unittest

MAX_INIT_BYTES = 2_750_000
MAX_BOOT_PROGRAMS_BYTES = 5_000_000
BOOT_PROGRAMS = ("chronyd", "dhcpcd", "mke2fs", "e2fsck")
# Libraries that PID 1's own code may not touch.
PID_1 = ("lib", "event", "plan", "config", "process", "node", "control", "pid1")     # the rooms that run in it
FOREIGN = ("libcurl.a", "libmbedtls.a", "libmbedx509.a", "libmbedcrypto.a", "libcryptsetup.a", "libexpat.a", "libtss2-*.a",
           "libblkid.a", "libmicrohttpd.a")


def paths():
    with open("build/paths.env", encoding="utf-8") as lines:
        return dict(line.strip().split("=", 1) for line in lines)


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def programs():
    libs = paths()["LIBS"]
    return ["build/init", *sorted(glob.glob("build/guest/*")), *sorted(glob.glob(libs + "/bin/*"))]


def symbols(kind, path):
    """Names of the defined or undefined global symbols of an object or archive."""
    listing = output("nm", "-g", kind, "--format=posix", path)
    return {line.split()[0] for line in listing.splitlines() if line and not line.endswith(":")}


class Binary(unittest.TestCase):
    def test_every_program_is_static_pie_without_interpreter_or_needed_library(self):
        for program in programs():
            with self.subTest(program=program):
                self.assertIn("Type:                              DYN", output("readelf", "-hW", program))
                self.assertNotIn("INTERP", output("readelf", "-lW", program))
                dynamic = output("readelf", "-dW", program)
                self.assertNotIn("(NEEDED)", dynamic)
                self.assertNotIn("(RPATH)", dynamic)
                self.assertNotIn("(RUNPATH)", dynamic)
                self.assertNotIn("TEXTREL", dynamic)
                self.assertRegex(dynamic, r"FLAGS_1\).*\bPIE\b")

    def test_every_error_number_of_linux_has_words(self):
        """With the C library that the image's programs are linked with, and for whatever in them asks for words."""
        source = """#include <stdio.h>
#include <string.h>
int main(void)
{
	for (int error = 1; error <= 133; error++)
		if (strstr(strerror(error), "No error information"))
			printf("%d ", error);
	printf("%s", strerror(117));
	return 0;
}
"""
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, "words.c"), "w", encoding="ascii") as file:
                file.write(source)
            compiler = [os.path.join(paths()["LIBS"], "tc/bin/musl-gcc"), "-static", "-I.", "-o", os.path.join(folder, "words"),
                        os.path.join(folder, "words.c")]
            subprocess.run([*compiler, "-Wl,--wrap=strerror", "init/lib/strerror.c"], check=True)
            # 41 and 58 are no errors of Linux.
            self.assertEqual(output(os.path.join(folder, "words")), "41 58 Structure needs cleaning")
        self.assertIn(" T __wrap_strerror", output("nm", "build/init.debug"))

    def test_every_program_has_full_relro_and_a_stack_that_cannot_execute(self):
        for program in programs():
            with self.subTest(program=program):
                segments, dynamic = output("readelf", "-lW", program), output("readelf", "-dW", program)
                self.assertIn("GNU_RELRO", segments)
                self.assertRegex(dynamic, r"BIND_NOW|FLAGS_1\).*\bNOW\b")
                stack = re.search(r"^\s*GNU_STACK.*$", segments, re.M)
                self.assertIsNotNone(stack)
                self.assertRegex(stack.group(0), r"\bRW\s")
                for load in re.findall(r"^\s*LOAD.*$", segments, re.M):
                    self.assertNotRegex(load, r"\bRWE\b")

    def test_init_has_the_stack_protector(self):
        self.assertIn("__stack_chk_fail", output("nm", "build/init.debug"))

    def test_init_is_stripped_and_within_its_size(self):
        self.assertNotIn(".symtab", output("readelf", "-SW", "build/init"))
        self.assertLessEqual(os.path.getsize("build/init"), MAX_INIT_BYTES)

    def test_programs_of_the_boot_are_within_their_size(self):
        libs = paths()["LIBS"]
        total = os.path.getsize("build/init") + sum(os.path.getsize(f"{libs}/bin/{name}") for name in BOOT_PROGRAMS)
        self.assertLessEqual(total, MAX_BOOT_PROGRAMS_BYTES)

    def test_no_path_of_the_build_is_in_a_program(self):
        for program in programs():
            with self.subTest(program=program), open(program, "rb") as file:
                content = file.read()
                for path in (b"/cache/", b"/src/init/", b"/src/stages/", os.environ["GANTRY_HOST_TOP"].encode() + b"/"):
                    place = content.find(path)
                    self.assertEqual(-1, place, f"{path!r} is in it: ...{content[max(0, place - 40):place + 60]!r}...")

    def test_pid_1_refers_to_no_symbol_of_curl_mbedtls_cryptsetup_tss_or_expat(self):
        libs = paths()["LIBS"]
        archives = [path for pattern in FOREIGN for path in glob.glob(f"{libs}/lib/{pattern}")]
        self.assertGreaterEqual(len(archives), 10)
        foreign = set()
        for archive in archives:
            foreign |= symbols("--defined-only", archive)
        self.assertIn("curl_easy_perform", foreign)
        self.assertIn("crypt_load", foreign)
        objects = [path for room in PID_1 for path in glob.glob(f"build/obj/init/{room}/*.o")]
        self.assertGreater(len(objects), len(PID_1))
        for path in objects:
            with self.subTest(object=path):
                self.assertEqual(set(), symbols("--undefined-only", path) & foreign)

    def test_only_tables_that_pid_1_never_reads_are_given_back(self):
        libs = paths()["LIBS"]
        with open("init/process/sections.ld", encoding="utf-8") as script:
            given_back = re.findall(r"\*(lib[\w*-]+\.a):\*\(\.data", script.read())
        self.assertTrue(given_back)
        foreign = {path for pattern in FOREIGN for path in glob.glob(f"{libs}/lib/{pattern}")}
        for pattern in given_back:
            archives = glob.glob(f"{libs}/lib/{pattern}")
            self.assertTrue(archives, pattern)
            self.assertLessEqual(set(archives), foreign)
        marks = re.findall(r"^(\w+) \w image_foreign", output("nm", "build/init.debug"), re.M)
        start, end = sorted(int(address, 16) for address in marks)
        self.assertGreater(end - start, 32768)
        self.assertEqual((start % 4096, end % 4096), (0, 0))


if __name__ == "__main__":
    unittest.main()
