# SPDX-License-Identifier: GPL-2.0-or-later
"""The persistent log: what is in the file after boots, crashes, power cuts and full disks."""

import json
import os
import shutil
import subprocess
import tempfile
import unittest

from fake_control import FakeControl, wait_for
from intruder import KILL, NEWUSER, OPENAT, UNSHARE, Intruder
from patience import PATIENCE
from support import waits

from qemu.accounts import ACCOUNTS


class LoggerTest(unittest.TestCase):
    max_bytes = 1 << 20

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.directory = os.path.join(self.folder.name, "log/gantry")
        self.path = os.path.join(self.directory, "events.log")
        self.loggers = []

    def logger(self, directory=None):
        logger = FakeControl("logger", {"directory": directory or self.directory, "max_bytes": self.max_bytes,
                                        "needs": []})
        self.addCleanup(logger.kill)
        return logger

    def lines(self, path=None):
        with open(path or self.path, "rb") as f:
            return [json.loads(line) for line in f.read().splitlines()]

    def boot_id(self):
        with open("/proc/sys/kernel/random/boot_id") as f:
            return f.read().strip()

    def seqs(self, path=None):
        return [line["seq"] for line in self.lines(path) if "seq" in line]

    def end(self, logger):
        logger.close()
        self.assertEqual(logger.process.wait(10 * PATIENCE), 0)


class Log(LoggerTest):
    def test_a_boot_begins_with_its_id_and_every_event_follows(self):
        logger = self.logger()
        for i in range(100):
            logger.add(f"before {i}", "disk")
        logger.start()
        wait_for(lambda: os.path.exists(self.path) and len(self.seqs()) == 100, "the earlier events")
        logger.add("later", "disk", kind=1, fields=b"attempt=1\0")
        logger._wait_sent(101)
        self.end(logger)
        first, *events = self.lines()
        with open("/proc/sys/kernel/random/boot_id") as f:
            self.assertEqual(first["boot_id"], f.read().strip())
        self.assertEqual([e["seq"] for e in events], list(range(1, 102)))
        self.assertEqual((events[-1]["text"], events[-1]["source"], events[-1]["fields"]), ("later", "disk", {"attempt": 1}))
        self.assertEqual(os.stat(self.directory).st_mode & 0o777, 0o750)
        self.assertEqual(os.stat(self.path).st_mode & 0o777, 0o640)

    @unittest.skipUnless(os.geteuid() == 0, "only root changes its user")
    def test_it_has_its_own_user_no_capability_and_its_directory_alone(self):
        os.makedirs(self.directory)
        with open(self.path, "w", encoding="ascii") as file:        # of a boot whose logger was root
            file.write('{"boot_id":"a","opened_at":"1970-01-01T00:00:00.000Z","version":"0","continued":false}\n')
        secret = os.path.join(self.folder.name, "secret")
        with open(secret, "w", encoding="ascii") as file:
            file.write("of root")
        os.chmod(secret, 0o600)
        logger = self.logger()
        logger.add("first")
        logger.start()
        wait_for(lambda: len(self.seqs()) == 1, "the event")
        with open(f"/proc/{logger.process.pid}/status", encoding="ascii") as file:
            status = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
        uid = ACCOUNTS["gantry-logger"]
        self.assertEqual((status["Uid"].split(), status["Groups"].split()), ([str(uid)] * 4, []))
        self.assertEqual({int(status[name], 16) for name in ("CapPrm", "CapEff", "CapBnd")}, {0})
        self.assertEqual((status["NoNewPrivs"], status["Seccomp"]), ("1", "2"))
        self.assertEqual({os.stat(path).st_uid for path in (self.directory, self.path)}, {uid})
        attacker = Intruder(logger.process.pid)
        for path, flags in ((secret, os.O_RDONLY), ("/etc/passwd", os.O_RDONLY),
                            (self.folder.name + "/new", os.O_CREAT | os.O_WRONLY)):
            self.assertEqual(attacker.error(OPENAT, -100, path, flags, 0o600), "EACCES", path)
        self.assertEqual(attacker.error(KILL, 1, 0), "EPERM")
        self.assertEqual(attacker.error(UNSHARE, NEWUSER), "SIGSYS")
        logger.process.wait()

    def test_at_the_end_of_file_everything_sent_is_in_the_log(self):
        logger = self.logger().start()
        wait_for(lambda: logger.subscriptions, "the subscription")
        for i in range(1500):
            logger.add(f"event {i}")
        logger._wait_sent(1500)
        self.end(logger)
        self.assertEqual(self.seqs(), list(range(1, 1501)))

    def test_a_killed_logger_goes_on_without_loss_or_doubles(self):
        logger = self.logger()
        for round_ in range(4):
            logger.start()
            wait_for(lambda: len(logger.subscriptions) == round_ + 1, "the subscription")
            for i in range(200):
                logger.add(f"event {round_} {i}")
            wait_for(lambda: len(self.seqs_of_whole_lines()) > 200 * round_ + 50, "some lines")
            if round_ < 3:
                logger.kill()
        logger._wait_sent(800)
        self.end(logger)
        self.assertEqual(self.seqs(), list(range(1, 801)))
        self.assertEqual(sum("boot_id" in line for line in self.lines()), 1)

    def seqs_of_whole_lines(self):
        try:
            with open(self.path, "rb") as f:
                whole = f.read().rpartition(b"\n")[0]
        except FileNotFoundError:
            return []
        return [1 for line in whole.splitlines() if b'"seq"' in line]

    def test_a_torn_last_line_of_an_earlier_boot_is_ended_first(self):
        os.makedirs(self.directory)
        torn = b'{"boot_id":"another"}\n{"received_at":"2020-01-01T00:00:00Z","message":"x","seq":1}\n{"received_at":"20'
        with open(self.path, "wb") as f:
            f.write(torn)
        logger = self.logger()
        logger.add("new")
        logger.start()
        logger._wait_sent(1)
        self.end(logger)
        with open(self.path, "rb") as f:
            content = f.read()
        self.assertTrue(content.startswith(torn + b'\n{"boot_id":"'))
        self.assertEqual(json.loads(content.splitlines()[-1])["message"], "[test] new")

    def test_a_boot_id_in_a_text_is_not_taken_for_one(self):
        logger = self.logger()
        with open("/proc/sys/kernel/random/boot_id") as f:
            logger.add('{"boot_id":"%s"} ,"seq":77777' % f.read().strip())
        logger.start()
        logger._wait_sent(1)
        self.end(logger)
        again = self.logger()
        again.events, again.seq = logger.events, logger.seq
        again.add("two")
        again.start()
        wait_for(lambda: again.subscriptions, "the subscription")
        self.assertEqual(again.subscriptions, [2])
        again._wait_sent(2)
        self.end(again)
        self.assertEqual(self.seqs(), [1, 2])

    def test_garbage_in_the_log_hides_nothing_that_comes_after_it(self):
        os.makedirs(self.directory)
        garbage = b"\0" * 300000 + b"\n" + os.urandom(5000) + b'\n{"boot_id":5}\n{"seq":900}\n' + b"[" * 30000 + b"\0" * 4096
        with open(self.path, "wb") as f:
            f.write(garbage)
        logger = self.logger()
        logger.add("new")
        logger.start()
        logger._wait_sent(1)
        self.end(logger)
        with open(self.path, "rb") as f:
            content = f.read()
        self.assertTrue(content.startswith(garbage + b'\n{"boot_id":"'))
        self.assertEqual([json.loads(line).get("seq") for line in content[len(garbage) + 1:].splitlines()], [None, 1])

    def test_a_torn_line_of_this_boot_is_written_again(self):
        logger = self.logger()
        for i in range(1500):
            logger.add(f"event {i}")
        logger.start()
        wait_for(lambda: len(self.seqs_of_whole_lines()) == 1500, "the events")
        logger.kill()
        with open(self.path, "rb") as f:
            content = f.read()
        # torn within the number of the last event: what is left of it would look like another's
        os.truncate(self.path, content.rindex(b'"seq":1500') + len(b'"seq":15'))
        for start in range(2):
            again = self.logger()
            again.events, again.seq = logger.events, logger.seq
            if start == 0:      # killed again before it has written a whole line
                with open(self.path, "ab") as f:
                    f.write(b"\n")
            again.start()
            wait_for(lambda: again.subscriptions, "the subscription")
            self.assertEqual(again.subscriptions, [1500 + start])
            wait_for(lambda: len(self.seqs_of_whole_lines()) >= 1501, "the event")      # and the torn line, ended
            again.kill()
        with open(self.path, "rb") as f:
            lines = f.read().splitlines()
        whole = [json.loads(line) for line in lines if line.endswith(b"}")]
        self.assertEqual([e["seq"] for e in whole if "seq" in e], list(range(1, 1501)))

    def test_a_logger_killed_between_the_rename_and_the_next_line_goes_on_with_its_boot(self):
        logger = self.logger()
        for i in range(5):
            logger.add(f"event {i}")
        logger.start()
        logger._wait_sent(5)
        self.end(logger)
        os.rename(self.path, self.path + ".1")
        for kept in b"", b'{"boot_id":"%s","continued":true}\n' % self.boot_id().encode():
            with open(self.path, "wb") as f:
                f.write(kept)
            again = self.logger()
            again.events, again.seq = list(logger.events), logger.seq
            again.add("after")
            again.start()
            wait_for(lambda: again.subscriptions, "the subscription")
            self.assertEqual(again.subscriptions, [6])
            again._wait_sent(6)
            self.end(again)
            first, event = self.lines()
            self.assertEqual((first["boot_id"], first["continued"], event["seq"]), (self.boot_id(), True, 6))

    def test_events_that_were_lost_are_said(self):
        logger = self.logger()
        logger.ring = 10
        for i in range(50):
            logger.add(f"event {i}")
        logger.start()
        logger._wait_sent(50)
        self.end(logger)
        self.assertEqual(self.lines()[1], {"lost": 40})
        self.assertEqual(self.seqs(), list(range(41, 51)))

    @waits(5)
    def test_a_link_in_place_of_the_log_is_not_followed(self):
        os.makedirs(self.directory)
        victim = os.path.join(self.folder.name, "victim")
        os.symlink(victim, self.path)
        logger = self.logger().start()
        wait_for(lambda: b"Symbolic link loop" in logger.stderr or b"symbolic link" in logger.stderr.lower(), "the complaint")
        self.assertFalse(os.path.exists(victim))
        os.unlink(self.path)
        wait_for(lambda: b"works again" in logger.stderr, "the log to be opened", 15)
        self.end(logger)


class Rotation(LoggerTest):
    max_bytes = 65536

    def test_two_files_share_the_byte_budget_and_hold_the_newest_events(self):
        logger = self.logger().start()
        wait_for(lambda: logger.subscriptions, "the subscription")
        for i in range(1000):
            logger.add("a text that is long enough to fill the log quickly " * 3)
        logger._wait_sent(1000)
        self.end(logger)
        sizes = os.path.getsize(self.path) + os.path.getsize(self.path + ".1")
        self.assertLessEqual(sizes, self.max_bytes)
        kept = self.seqs(self.path + ".1") + self.seqs()
        self.assertEqual(kept, list(range(kept[0], 1001)))
        for path in self.path, self.path + ".1":
            self.assertEqual(self.lines(path)[0]["continued"], True)
        self.assertEqual(sorted(os.listdir(self.directory)), ["events.log", "events.log.1"])

    def fill(self, logger, n, step=50):
        """n events, one of `step` kept; no faster than the logger writes."""
        for _ in range(n // step):
            logger.add("one that is kept", "gantry", kept=True)
            for _ in range(step - 1):
                logger.add("a text that is long enough to fill the log quickly " * 3)
            logger._wait_sent(logger.seq)

    def kept_seqs(self):
        return [line["seq"] for path in (self.path + ".kept", self.path + ".1", self.path)
                for line in self.lines(path) if line.get("kept")]

    def total(self):
        return sum(os.path.getsize(os.path.join(self.directory, name)) for name in os.listdir(self.directory))

    def test_no_number_of_other_events_takes_the_room_of_kept_ones(self):
        logger = self.logger().start()
        wait_for(lambda: logger.subscriptions, "the subscription")
        logger.add("booting", "gantry", kind=1, kept=True)
        self.fill(logger, 1000)
        wanted = [1, *range(2, 1002, 50)]
        for _ in range(5000):
            logger.add("a text that is long enough to fill the log quickly " * 3)
            if logger.seq % 100 == 0:
                logger._wait_sent(logger.seq)
        logger._wait_sent(logger.seq)
        self.end(logger)
        self.assertEqual(self.kept_seqs(), wanted)
        self.assertLessEqual(self.total(), self.max_bytes)
        first, *events = self.lines(self.path + ".kept")
        self.assertEqual((first["boot_id"], first["continued"]), (self.boot_id(), False))
        self.assertEqual([e["seq"] for e in events], wanted)        # a boot line for each boot, not for each part
        self.assertEqual(sorted(os.listdir(self.directory)), ["events.log", "events.log.1", "events.log.kept"])

    def test_kept_events_have_a_budget_in_which_the_newest_stay(self):
        logger = self.logger().start()
        wait_for(lambda: logger.subscriptions, "the subscription")
        self.fill(logger, 4000, step=2)
        self.end(logger)
        self.assertLessEqual(os.path.getsize(self.path + ".kept"), self.max_bytes // 8)
        self.assertGreater(os.path.getsize(self.path + ".kept"), self.max_bytes // 16)
        self.assertLessEqual(self.total(), self.max_bytes)
        kept = self.kept_seqs()
        self.assertEqual(kept, list(range(kept[0], 4000, 2)))

    def test_a_logger_killed_while_it_rotates_keeps_each_event_once(self):
        logger = self.logger().start()
        wait_for(lambda: logger.subscriptions, "the subscription")
        self.fill(logger, 440, step=20)
        wait_for(lambda: self.seqs_in(self.path) and self.seqs_in(self.path)[-1] == logger.seq, "all lines")
        logger.kill()
        before = self.kept_seqs()
        with open(self.path + ".1", "rb") as f:
            again = [line for line in f.read().splitlines(True) if b'"kept":true' in line]
        self.assertGreater(len(again), 1)
        with open(self.path + ".kept", "ab") as f:      # as if it had not come to the rename, and the last line is torn
            f.write(b"".join(again)[:-20])
        events, seq = logger.events, logger.seq
        logger = self.logger()
        logger.events, logger.seq = events, seq
        logger.start()
        wait_for(lambda: logger.subscriptions, "the subscription")
        self.fill(logger, 400, step=20)
        self.end(logger)
        self.assertEqual(self.kept_seqs(), before + list(range(441, 841, 20)))

    def seqs_in(self, path):
        with open(path, "rb") as f:
            return [json.loads(line)["seq"] for line in f.read().rpartition(b"\n")[0].splitlines() if b'"seq"' in line]

    def test_a_link_in_place_of_the_kept_events_is_not_followed_and_stops_nothing(self):
        os.makedirs(self.directory)
        victim = os.path.join(self.folder.name, "victim")
        os.symlink(victim, self.path + ".kept")
        logger = self.logger().start()
        wait_for(lambda: logger.subscriptions, "the subscription")
        self.fill(logger, 1500)
        self.end(logger)
        self.assertFalse(os.path.exists(victim))
        self.assertEqual(self.seqs()[-1], 1500)
        self.assertEqual(logger.stderr.count(b"are not kept"), 1)

    def test_files_from_a_larger_budget_are_cut_down_to_their_newest_lines(self):
        os.makedirs(self.directory)
        for path, text in (self.path + ".1", "old"), (self.path, "new"):
            with open(path, "w") as f:
                for i in range(1, 3001):
                    f.write('{"boot_id":"%s"}\n' % text if i % 1000 == 1 else
                            '{"received_at":"2020-01-01T00:00:00Z","message":"%s","seq":%d}\n' % (text * 20, i))
        with open(self.path + ".new", "w") as f:
            f.write("left by a power cut")
        logger = self.logger()
        logger.add("now")
        logger.start()
        logger._wait_sent(1)
        self.end(logger)
        self.assertEqual(sorted(os.listdir(self.directory)), ["events.log", "events.log.1"])
        self.assertLessEqual(os.path.getsize(self.path) + os.path.getsize(self.path + ".1"), self.max_bytes)
        # the newer one was full, so the event is in a file of its own
        kept = self.seqs(self.path + ".1")
        self.assertEqual((kept[-1], self.seqs()), (3000, [1]))
        self.assertEqual(kept, list(range(kept[0], 3001)))
        self.assertGreater(os.path.getsize(self.path + ".1"), self.max_bytes * 7 // 16 - 1000)
        self.assertEqual(logger.stderr, b"")


class Removed(LoggerTest):
    def test_a_log_that_somebody_removes_is_told_and_made_anew_from_the_first_event(self):
        for remove in (lambda: shutil.rmtree(self.directory), lambda: os.unlink(self.path)):
            logger = self.logger().start()
            logger.add("before")
            wait_for(lambda: os.path.exists(self.path) and self.seqs() == [1], "the first event")
            remove()
            logger.add("behind it")
            self.assertEqual(logger.process.wait(20 * PATIENCE), 1)
            logger.start()
            wait_for(lambda: os.path.exists(self.path) and self.seqs() == [1, 2], "both events")
            self.end(logger)
            self.assertIn(f"persistent log: {self.path} was removed".encode(), logger.stderr)
            shutil.rmtree(self.directory)


class FullDisk(LoggerTest):
    @waits(5)
    def test_a_full_disk_is_said_once_and_nothing_is_lost_when_there_is_room_again(self):
        small = os.path.join(self.folder.name, "small")
        os.mkdir(small)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "small", small], check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", small])
        ballast = os.path.join(small, "ballast")
        logger = self.logger(os.path.join(small, "log")).start()
        wait_for(lambda: logger.subscriptions, "the subscription")
        with open(ballast, "wb") as f:
            try:
                f.write(b"x" * 1000000)
            except OSError:
                pass
        path = os.path.join(small, "log/events.log")
        for i in range(50):
            logger.add(f"event {i} " * 10)
        wait_for(lambda: b"No space left" in logger.stderr, "the complaint")
        os.unlink(ballast)
        wait_for(lambda: b"works again" in logger.stderr, "room", 15)
        logger._wait_sent(50)
        self.end(logger)
        self.assertEqual(self.seqs(path), list(range(1, 51)))
        self.assertEqual(logger.stderr.count(b"No space left"), 1)


if __name__ == "__main__":
    unittest.main()
