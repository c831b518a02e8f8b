# SPDX-License-Identifier: GPL-2.0-or-later
"""Faults of a peer, which may be set and cleared while it serves. The command line, the control socket and Python use the
same text form:

    KIND[:ARGUMENT][:TIMES][@PART]

    down                    refuses connections (the listening socket is closed)
    hang                    accepts, reads the request, never answers
    slow:SECONDS            delays each answer by SECONDS
    slow:N/s                sends bodies at N bytes per second
    status:CODE             answers with that status
    garbage:KIND            answers with random, type, truncated, wrong, empty, huge, deep or http
    drop_after:BYTES        closes the connection after BYTES of the body
    tls:KIND                expired, wrong-name or untrusted certificate (TLS peers)
    offset:SECONDS          serves a time that is wrong by SECONDS (time source)

TIMES limits a fault to that many answers; without it, the fault lasts until cleared. PART limits it to requests whose target
contains that text. Sizes take k, M, G and T (1024). Faults of different kinds may be set at once. This module is separate from
the server so that grammar and counting are tested without a socket."""

import re
import threading
from dataclasses import dataclass, replace

KINDS = {
    # kind: (parser of its argument or None, may be limited to some answers)
    'down': (None, False),
    'hang': (None, True),
    'slow': ('rate', True),
    'status': ('text', True),
    'garbage': ('garbage', True),
    'drop_after': ('size', True),
    'tls': ('tls', False),
    'offset': ('number', False),
}
GARBAGE_KINDS = ('random', 'type', 'truncated', 'wrong', 'empty', 'huge', 'deep', 'http')
TLS_KINDS = ('expired', 'wrong-name', 'untrusted')
UNITS = {'': 1, 'k': 1024, 'M': 1024 ** 2, 'G': 1024 ** 3, 'T': 1024 ** 4}


class FaultError(ValueError):
    """A fault's text is invalid; the message names the text and the reason."""


def parse_size(text):
    """'4096', '64k', '1.5M' -> bytes."""
    match = re.fullmatch(r'(\d+(?:\.\d+)?)([kMGT]?)(?:i?B)?', text)
    if not match:
        raise FaultError(f'not a size: {text!r}')
    return int(float(match[1]) * UNITS[match[2]])


def _parse_argument(form, text):
    if form == 'size':
        return parse_size(text)
    if form == 'number':
        try:
            return float(text)
        except ValueError:
            raise FaultError(f'not a number: {text!r}') from None
    if form == 'rate':
        if text.endswith('/s'):
            return ('rate', max(parse_size(text[:-2]), 1))
        return ('delay', _parse_argument('number', text))
    allowed = {'garbage': GARBAGE_KINDS, 'tls': TLS_KINDS}.get(form)
    if allowed and text not in allowed:
        raise FaultError(f'{text!r} is not one of {", ".join(allowed)}')
    return text


@dataclass
class Fault:
    kind: str
    argument: object = None
    times: int | None = None        # answers left; None: until cleared
    part: str = ''

    @classmethod
    def parse(cls, text):
        body, _, part = text.partition('@')
        kind, *rest = body.split(':')
        kind = kind.replace('-', '_')
        if kind not in KINDS:
            raise FaultError(f'unknown fault {kind!r}; known: {", ".join(KINDS)}')
        form, limitable = KINDS[kind]
        argument = None
        if form:
            if not rest or not rest[0]:
                raise FaultError(f'fault {kind!r} needs an argument')
            argument = _parse_argument(form, rest.pop(0))
        times = None
        if rest and limitable:
            count = rest.pop(0)
            if not count.isdigit() or int(count) == 0:
                raise FaultError(f'not a positive number of answers: {count!r}')
            times = int(count)
        if rest:
            raise FaultError(f'fault {text!r} has too many parts')
        return cls(kind, argument, times, part)

    def __str__(self):
        argument = self.argument
        if isinstance(argument, tuple):
            argument = f'{argument[1]}/s' if argument[0] == 'rate' else argument[1]
        if isinstance(argument, float):
            argument = f'{argument:g}'
        parts = [self.kind, argument, self.times]
        return ':'.join(str(p) for p in parts if p is not None) + (f'@{self.part}' if self.part else '')


class Faults:
    """The faults of one peer. Safe to change from any thread; `on_change` is called after each change."""

    def __init__(self):
        self._faults = {}
        self._condition = threading.Condition()
        self.on_change = lambda: None

    def set(self, *texts):
        """Sets faults; each replaces an earlier one with the same kind and part."""
        parsed = [Fault.parse(text) for text in texts]
        with self._condition:
            for fault in parsed:
                self._faults[(fault.kind, fault.part)] = fault
            self._condition.notify_all()
        self.on_change()

    def clear(self, kind=None):
        """Clears one kind, or all."""
        with self._condition:
            self._faults = {k: f for k, f in self._faults.items() if kind is not None and k[0] != kind}
            self._condition.notify_all()
        self.on_change()

    def list(self):
        with self._condition:
            return [str(fault) for fault in self._faults.values()]

    def get(self, kind, target=''):
        """The fault of that kind for `target`, or None; does not count as an answer."""
        with self._condition:
            return self._find(kind, target)

    def take(self, kind, target=''):
        """Like get(), and counts one answer. Returns the fault as it was before."""
        with self._condition:
            fault = self._find(kind, target)
            if fault and fault.times is not None:
                key = (fault.kind, fault.part)
                if fault.times > 1:
                    self._faults[key] = replace(fault, times=fault.times - 1)
                else:
                    del self._faults[key]
            return fault

    def wait_until_off(self, fault, closing):
        """Blocks until `fault` is cleared or `closing()` is true; checks after each change of the faults."""
        with self._condition:
            self._condition.wait_for(lambda: closing() or self._faults.get((fault.kind, fault.part)) is not fault)

    def wake(self):
        with self._condition:
            self._condition.notify_all()

    def _find(self, kind, target):
        for (known, part), fault in self._faults.items():
            if known == kind and part in target:
                return fault
        return None
