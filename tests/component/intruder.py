# SPDX-License-Identifier: GPL-2.0-or-later
"""An attacker who runs code in a process: makes system calls in it, with its user, its filter and its landlock rules, as if
its own code did. The process must sleep in a system call; ptrace(2) sets its registers and lets it run one instruction."""

import ctypes
import errno
import os
import platform
import signal
import time

PTRACE_PEEKTEXT, PTRACE_POKEDATA, PTRACE_KILL, PTRACE_SINGLESTEP, PTRACE_GETREGS, PTRACE_SETREGS = 1, 5, 8, 9, 12, 13
PTRACE_ATTACH, PTRACE_DETACH, PTRACE_SETOPTIONS = 16, 17, 0x4200
OPTION_EXITKILL = 0x100000

OPEN, SOCKET, CONNECT, EXECVE, KILL, RENAME = 2, 41, 42, 59, 62, 82
UNSHARE, CLONE, OPENAT, MOUNT = 272, 56, 257, 165
CHMOD, CHOWN, FCHOWNAT, FCHMODAT = 90, 92, 260, 268
AT_FDCWD = -100
NEWUSER = 0x10000000

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.restype = ctypes.c_long
libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)


class Registers(ctypes.Structure):
    """struct user_regs_struct of x86-64"""
    _fields_ = [(name, ctypes.c_ulonglong) for name in
                "r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs eflags rsp ss fs_base gs_base ds es "
                "fs gs".split()]


class Gone(Exception):
    """The system call ended the process, by this signal."""

    def __init__(self, number):
        super().__init__(signal.Signals(number).name)
        self.signal = number


class Intruder:
    """In the process `pid`, of which this process must be a parent or root."""

    def __init__(self, pid):
        assert platform.machine() == "x86_64"
        self.pid = pid
        self.ended = 0      # or the signal that ended the process
        self.registers = Registers()
        for _ in range(200):        # it may be on its way to the call in which it waits
            self._ptrace(PTRACE_ATTACH)
            os.waitpid(pid, 0x40000000)         # __WALL
            self._ptrace(PTRACE_SETOPTIONS, 0, OPTION_EXITKILL)
            self._ptrace(PTRACE_GETREGS, 0, ctypes.addressof(self.registers))
            self.instruction = self.registers.rip - 2
            if self._ptrace(PTRACE_PEEKTEXT, self.instruction) & 0xffff == 0x050f:
                return
            self._ptrace(PTRACE_DETACH)
            time.sleep(0.01)
        raise RuntimeError("the process sleeps in no system call")

    def _ptrace(self, request, address=0, data=0):
        ctypes.set_errno(0)
        r = libc.ptrace(request, self.pid, address, data)
        if ctypes.get_errno():
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        return r

    def _poke(self, address, content):
        for offset in range(0, len(content), 8):
            word = int.from_bytes(content[offset:offset + 8].ljust(8, b"\0"), "little")
            self._ptrace(PTRACE_POKEDATA, address + offset, word)

    def call(self, number, *arguments):
        """The result of the system call: a negative errno if it failed. Strings are passed as they are in C."""
        registers = Registers.from_buffer_copy(self.registers)
        room = (registers.rsp - 4096) & ~15
        values = []
        for argument in arguments:
            if isinstance(argument, str):
                argument = argument.encode() + b"\0"
            if isinstance(argument, bytes):
                self._poke(room, argument)
                argument, room = room, room - 256
            values.append(argument & (1 << 64) - 1)
        for name, value in zip(("rdi", "rsi", "rdx", "r10", "r8", "r9"), values + [0] * (6 - len(values))):
            setattr(registers, name, value)
        registers.rip, registers.rax, registers.orig_rax = self.instruction, number, (1 << 64) - 1
        self._ptrace(PTRACE_SETREGS, 0, ctypes.addressof(registers))
        self._ptrace(PTRACE_SINGLESTEP)
        status = os.waitpid(self.pid, 0x40000000)[1]
        if os.WIFSIGNALED(status):
            self.ended = os.WTERMSIG(status)
            raise Gone(os.WTERMSIG(status))
        assert os.WIFSTOPPED(status), status
        self._ptrace(PTRACE_GETREGS, 0, ctypes.addressof(registers))
        return ctypes.c_longlong(registers.rax).value

    def error(self, number, *arguments):
        """As call(): the error's name, "" if it worked, "SIGSYS" if that ended the process."""
        try:
            r = self.call(number, *arguments)
        except Gone as gone:
            return str(gone)
        return errno.errorcode[-r] if -4096 < r < 0 else ""
