# SPDX-License-Identifier: GPL-2.0-or-later
"""A stage run for real, with this process playing PID 1 on its descriptors: options on 4, the report socket on 3,
the log pipe on 1 and 2. Layouts are those of include/gantry/report.h; what a stage sends is checked as strictly as
PID 1 would, so that a malformed message fails the test it happens in."""

import fcntl
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

import sanitizer
from patience import PATIENCE

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, TOP)
from qemu.accounts import group_lines, passwd_lines
INIT = os.environ.get('GANTRY_INIT', os.path.join(TOP, 'build', 'init'))

EVENT, PROGRESS, RESULT, GIVE, TAKE, STARTED, TAKEN, ABSENT, FACTS, CHANGED, FLAGS, TRACE = range(1, 13)
LEVELS = ('debug', 'info', 'notice', 'warning', 'error')
HEAD = struct.Struct('=HBBI')
PROGRESS_BODY = struct.Struct('=QQQII')
SKIPPED = 1
BODY_MAX, FACTS_MAX = 2048, 1024
SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
DONE, AGAIN, NEVER = 0, 75, 125


def _with_accounts():
    """A mount namespace of this process' own, in which this machine has these accounts, too."""
    if os.geteuid() != 0 or _with_accounts.done:
        return
    private_mounts()
    for path, lines in (('/etc/passwd', passwd_lines()), ('/etc/group', group_lines())):
        with open(path, 'a+', encoding='utf-8') as file, tempfile.NamedTemporaryFile('w', encoding='utf-8') as new:
            file.seek(0)
            new.write(file.read() + lines)
            new.flush()
            os.chmod(new.name, 0o644)
            run('mount', '--bind', new.name, path)
    _with_accounts.done = True


_with_accounts.done = False


def waits(seconds):
    """Of a test that does hardly more than wait so long, because a time of the product is like that, and that does not mind
    to do it later: tests/run.py has places beside the others' for these."""
    def mark(test):
        test.waits_s = seconds
        return test
    return mark


def alone(test):
    """Of a test whose figures are worth nothing while another one runs: tests/run.py starts it when it has the machine to
    itself."""
    test.alone = True
    return test


def run(*command, **more):
    """The output of a command that must succeed."""
    return subprocess.run(command, check=True, capture_output=True, text=True, **more).stdout


def private_network():
    """A network namespace of this process' own, with loopback up. Each Python test has a process of its own."""
    os.unshare(os.CLONE_NEWNET)
    os.system('ip link set lo up')


def private_mounts(*tmpfs):
    """A mount namespace of this process' own; each of the folders is an empty tmpfs in it."""
    os.unshare(os.CLONE_NEWNS)
    os.system('mount --make-rprivate /')
    for folder in tmpfs:
        os.makedirs(folder, exist_ok=True)
        if os.system(f'mount -t tmpfs tmpfs {folder}') != 0:
            raise OSError(f'tmpfs on {folder}')


def sealed_memfd(name, content):
    fd = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.write(fd, content) if content else None
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, SEALS)
    return fd


def _high(fd):
    """The same descriptor, out of the way of 3 and 4, which the stage gets."""
    copy = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 20)
    os.close(fd)
    return copy


class Event:
    def __init__(self, level, text, fields=()):
        self.level, self.text = level, text
        self.fields = dict(field.split('=', 1) for field in fields)

    def __repr__(self):
        return f'{self.level}: {self.text} {self.fields or ""}'


class Stage:
    """Starts `init stage TYPE NAME`, or another role by its `argv`. `artifacts`: name -> bytes it may take (None: nobody gives
    it; a name that is missing is answered only by give()). `fifth`: its descriptor 5. Use as a context manager: what is left
    running at the end is killed."""

    def __init__(self, kind, options=None, *, name=None, artifacts=None, environment=None, program=None, mode=None,
                 argv=None, fifth=None):
        _with_accounts()
        self.artifacts = dict(artifacts or {})
        self.events, self.lines, self.progress, self.given = [], [], [], {}
        self.results, self.broken, self.asked = [], [], []
        self.skipped = False
        self.facts = {}
        self.changed, self.flags, self.traces = [], [], []
        self.status = None
        self._changed = threading.Condition()
        self._input = b''
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket = ours
        report = _high(theirs.detach())
        text = options if isinstance(options, bytes) else json.dumps(options or {}).encode()
        settings = _high(sealed_memfd('options', text))
        self._log, log = (_high(fd) for fd in os.pipe())
        actions = [(os.POSIX_SPAWN_OPEN, 0, '/dev/null', os.O_RDONLY, 0), (os.POSIX_SPAWN_DUP2, log, 1),
                   (os.POSIX_SPAWN_DUP2, log, 2), (os.POSIX_SPAWN_DUP2, report, 3),
                   (os.POSIX_SPAWN_DUP2, settings, 4)]
        if fifth is not None:
            fifth = _high(fifth)
            actions.append((os.POSIX_SPAWN_DUP2, fifth, 5))
        self.pid = os.posix_spawn(program or INIT, argv or ['init', 'stage', kind, name or kind, *([mode] if mode else [])],
                                  environment if environment is not None else dict(os.environ), file_actions=actions)
        self._pidfd = os.pidfd_open(self.pid)
        for fd in (report, settings, log, fifth):
            if fd is not None:
                os.close(fd)
        self._threads = [threading.Thread(target=target, daemon=True) for target in (self._hear, self._read_log)]
        for thread in self._threads:
            thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.status is None:
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
            self._reap()
        os.close(self._pidfd)
        self._socket.close()
        sanitizer.check(self.lines)

    # what it says

    def _hear(self):
        while True:
            try:
                message, fds, _, _ = socket.recv_fds(self._socket, HEAD.size + BODY_MAX + 1, 4)
            except OSError:
                return
            if not message:
                return
            with self._changed:
                try:
                    self._take_in(message, fds)
                except (AssertionError, ValueError, struct.error) as error:
                    self.broken.append(f'{error!r}: {message!r}')
                self._changed.notify_all()

    def _take_in(self, message, fds):
        kind, level, flags, size = HEAD.unpack_from(message)
        body = message[HEAD.size:]
        assert size == len(body) <= BODY_MAX, f'size {size}, {len(body)} bytes'
        assert len(fds) == (kind == GIVE), f'{len(fds)} descriptors'
        assert flags == 0 or (kind, flags) == (RESULT, SKIPPED), f'flags {flags}'
        if kind == EVENT:
            text, *fields = body.decode().split('\0')
            assert not fields or fields.pop() == '', 'fields without an end'
            self.events.append(Event(LEVELS[level], text, fields))
        elif kind == PROGRESS:
            done, total, rate, eta, reserved = PROGRESS_BODY.unpack_from(body)
            assert reserved == 0
            self.progress.append((done, total, rate, eta, body[PROGRESS_BODY.size:].decode()))
        elif kind == RESULT:
            self.results.append(body.decode())
            self.skipped = bool(flags & SKIPPED)
        elif kind == FACTS:
            *fields, end = body.decode().split('\0')
            assert end == '' and len(body) <= FACTS_MAX, 'facts without an end, or too many'
            self.facts = dict(field.split('=', 1) for field in fields)
        elif kind in (CHANGED, FLAGS, TRACE):
            *strings, end = body.decode().split('\0')
            assert end == '' and strings, 'strings without an end'
            {CHANGED: self.changed, FLAGS: self.flags, TRACE: self.traces}[kind].extend(strings)
        elif kind == GIVE:
            seals = fcntl.fcntl(fds[0], fcntl.F_GET_SEALS)
            assert seals & SEALS == SEALS, f'seals {seals:x}'
            self.given[body.decode()] = os.pread(fds[0], os.fstat(fds[0]).st_size, 0)
            os.close(fds[0])
        elif kind == TAKE:
            name = body.decode()
            self.asked.append(name)
            if name in self.artifacts:
                self._answer(name, self.artifacts[name])
        else:
            raise AssertionError(f'kind {kind}')

    def _answer(self, name, content):
        body = name.encode()
        if content is None:
            self._socket.send(HEAD.pack(ABSENT, 0, 0, len(body)) + body)
            return
        fd = sealed_memfd(name, content)
        socket.send_fds(self._socket, [HEAD.pack(TAKEN, 0, 0, len(body)) + body], [fd])
        os.close(fd)

    def give(self, name, content, timeout=10):
        """Answers a take that was not answered at once; waits for it to be asked."""
        self.wait_for(lambda: name in self.asked, f'a take of {name}', timeout)
        self._answer(name, content)

    def send_raw(self, message, fds=()):
        socket.send_fds(self._socket, [message], fds)

    def _read_log(self):
        rest = b''
        while chunk := os.read(self._log, 65536):
            *lines, rest = (rest + chunk).split(b'\n')
            with self._changed:
                self.lines += [line.decode('utf-8', 'replace') for line in lines]
                self._changed.notify_all()
        os.close(self._log)
        if rest:
            self.lines.append(rest.decode('utf-8', 'replace'))

    # what the test asks

    @property
    def result(self):
        return self.results[-1] if self.results else ''

    def texts(self):
        """Everything it said, for looking for what must not be there."""
        return '\n'.join([event.text + ' ' + ' '.join(event.fields.values()) for event in self.events] +
                         self.results + self.lines + list(self.facts.values()) + [entry[-1] for entry in self.progress])

    def wait_for(self, condition, what, timeout=10):
        end = time.monotonic() + timeout * PATIENCE
        with self._changed:
            while not condition():
                if self.broken:
                    raise AssertionError(f'broken messages: {self.broken}')
                if not self._changed.wait(max(0, end - time.monotonic())) and not condition():
                    raise AssertionError(f'no {what} within {timeout} s; {self._story()}')

    def wait_event(self, part, timeout=10):
        """The first event whose text contains `part`."""
        def find():
            return next((event for event in self.events if part in event.text), None)
        self.wait_for(find, f'event with {part!r}', timeout)
        return find()

    def wait_result(self, part, timeout=10):
        self.wait_for(lambda: any(part in result for result in self.results), f'result with {part!r}', timeout)

    def wait(self, timeout=20):
        """Its exit status (negative: a signal), when all it said has been read."""
        if self.status is None:
            poll = select.poll()
            poll.register(self._pidfd, select.POLLIN)
            if not poll.poll(timeout * PATIENCE * 1000):
                raise AssertionError(f'still running after {timeout} s; {self._story()}')
            self._reap()
        for thread in self._threads:
            thread.join(5)
        if self.broken:
            raise AssertionError(f'broken messages: {self.broken}')
        return self.status

    def _reap(self):
        self.status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def kill(self, number=signal.SIGTERM):
        signal.pidfd_send_signal(self._pidfd, number)

    def _story(self):
        return f'status {self.status}, results {self.results}, events {self.events[-20:]}, lines {self.lines[-20:]}'


def temporary_folder(test):
    """A folder that is gone after the test, readable by everybody."""
    folder = tempfile.TemporaryDirectory(prefix='gantry-')
    test.addCleanup(folder.cleanup)
    os.chmod(folder.name, 0o755)
    return folder.name
