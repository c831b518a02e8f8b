# SPDX-License-Identifier: GPL-2.0-or-later
"""docs/rights.md as a specification: its tables are read, and what qemu/guest/census.c saw of a process is held against them.
What /proc does not show, landlock, is in component/stages/test_stage_rights and the tests of each role."""

import collections
import fnmatch
import os
import re
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, TOP)
from qemu.accounts import ACCOUNTS  # noqa: E402

NAMES = ('CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE '
         'NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN '
         'SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE '
         'MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE').split()
FIELDS = ('parent', 'uids', 'gids', 'groups', 'permitted', 'effective', 'inheritable', 'bounding', 'ambient', 'no_new_privs',
          'seccomp', 'filters', 'root', 'namespaces')
Seen = collections.namedtuple('Seen', ('pid', 'comm', 'title', *FIELDS, 'holds', 'writes'))
ANY = None


class Row(collections.namedtuple('Row', 'name users capabilities filters group root descriptors')):
    """users and descriptors: sets, capabilities: of numbers, filters: how many at least, group: whether it may be in more
    than its own; ANY: whatever it likes."""


def page():
    with open(f'{TOP}/docs/rights.md', encoding='utf-8') as file:
        return file.read()


def table(text, head):
    """The cells of each row of the table with that head."""
    found = re.search(re.escape(head) + r'.*\n\|[-|]*\n((?:\|.*\n)+)', text)
    if not found:
        raise AssertionError(f'docs/rights.md has no table {head}')
    return [[cell.strip() for cell in line.strip().strip('|').split('|')] for line in found[1].splitlines()]


def numbers(cell):
    words = re.split(r'[ ,]+', cell)
    if 'all' in words:
        return ANY
    unknown = [word for word in words if word.isupper() and word not in NAMES and word not in ('TPM',)]
    if unknown:
        raise AssertionError(f'docs/rights.md: no capability has the name {unknown}')
    return frozenset(NAMES.index(word) for word in words if word in NAMES)


def users(cell):
    if '`user`' in cell:
        return ANY
    names = [str(ACCOUNTS[name]) for name in re.findall(r'`([\w-]+)`', cell)]
    return frozenset(names + re.findall(r'\b\d+\b', cell))


def names(cell):
    return re.findall(r'`([^`/]*)`', cell) + (['PID 1'] if 'PID 1' in cell else [])


def either(one, other):
    """A process with two rows: it may have what either says, since its name does not tell which one is its own."""
    def both(a, b):
        return ANY if ANY in (a, b) else a | b
    return one._replace(users=both(one.users, other.users), capabilities=both(one.capabilities, other.capabilities),
                        filters=min(one.filters, other.filters), group=one.group or other.group)


def specification(text=None):
    """(rows by name, kinds by name: lists of patterns)."""
    text = text or page()
    kinds = {kind.split(':')[0]: re.findall(r'`([^`]*)`', patterns)
             for kind, patterns in table(text, '| descriptor | in `/proc/PID/fd` |')}
    held = {}
    for cell, what in table(text, '| process | descriptors |'):
        words = ANY if what == 'all' else frozenset(word for word in re.split(r',\s*', what) if word != 'none')
        for word in words or ():
            if word not in kinds:
                raise AssertionError(f'docs/rights.md: no kind of descriptor has the name "{word}" (of {cell})')
        held |= {name: words for name in names(cell)}
    rows = {}
    for cell, user, capabilities, calls, *_ in table(text, '| process | user | capabilities | filter |'):
        for name in names(cell):
            row = Row(name, users(user), numbers(capabilities), 0 if 'none' in calls else 1, 'group' in user, '*',
                      held.get(name, frozenset()))
            rows[name] = either(rows[name], row) if name in rows else row
    for cell, user, capabilities, filters, root in table(text, '| process | user | capabilities | filters | root |'):
        for name in names(cell):
            rows[name] = Row(name, users(user), numbers(capabilities), int(filters), False, root.strip('`'),
                             held.get(name, frozenset()))
    missing = sorted(name for name in held if name not in rows)
    if missing:
        raise AssertionError(f'docs/rights.md has descriptors for processes without rights: {missing}')
    return rows, kinds


def observations(lines):
    """What the lines of census.c say, each a Seen, in their order."""
    found = []
    for line in lines:
        kind, _, rest = line.partition(' ')
        if kind == 'process':
            words, *fields = rest.split('|')
            pid, comm, title = words.split(' ')
            found.append(Seen(int(pid), comm, title.replace('_', ' ').strip(), *fields, holds=[], writes=[]))
        elif kind in ('holds', 'writes'):
            pid, *words = rest.split(' ')
            seen = next(seen for seen in reversed(found) if seen.pid == int(pid))
            getattr(seen, kind).extend(word for word in words if word)
    return found


def left(lines):
    """The indexes, in what observations() makes of these lines, of the last one of each process that has not ended."""
    last = {}
    for number, line in enumerate(lines):
        kind, pid, *_ = line.split(' ') if ' ' in line else ('', '')
        if kind == 'process':
            last[pid] = number
        elif kind == 'gone':
            last.pop(pid, None)
    order = [number for number, line in enumerate(lines) if line.startswith('process ')]
    return {order.index(number) for number in last.values()}


def look(*pids):
    """What census.c sees of these processes, which must wait."""
    program = os.path.join(TOP, 'build', 'guest', 'census')
    run = subprocess.run([program, *map(str, pids)], check=True, capture_output=True, text=True)
    return observations(run.stdout.splitlines())


def name_of(seen):
    """Its row's."""
    role = re.match(r'\S*init (?:stage )?([\w-]+)', seen.title)
    dhcpcd = re.match(r'dhcpcd: (\[[^\]]*\])', seen.title)
    if seen.pid == 1:
        return 'PID 1'
    if seen.comm in ('forkserver', 'launch', 'gantry-log-open', 'snapshot-worker', 'render-writer', 'disk-reader', 'mke2fs',
                     'e2fsck'):
        return seen.comm
    if dhcpcd:
        return f'{seen.comm} {dhcpcd[1]}'
    if role:
        return f'stage {role[1]}' if ' stage ' in seen.title else role[1]
    return seen.comm


def bits(text):
    value = int(text, 16)
    return {bit for bit in range(64) if value >> bit & 1}


def words(capabilities):
    return ', '.join(NAMES[bit] if bit < len(NAMES) else f'capability {bit}' for bit in sorted(capabilities))


def is_of(kind, patterns):
    return any(fnmatch.fnmatchcase(kind, pattern.replace('[', '[[]')) for pattern in patterns)


def judge(seen, row, kinds):
    """What this process has beyond its row: a list of sentences."""
    wrong = []
    ids, gids = set(seen.uids.split(',')), set(seen.gids.split(','))
    if row.users is not ANY and not ids <= row.users:
        wrong.append(f'has the uids {seen.uids}')
    more = set(filter(None, seen.groups.split(','))) - gids
    if ANY not in (row.users, row.group) and (gids != ids or more and not row.group):
        wrong.append(f'has the gids {seen.gids} and the groups {seen.groups}')
    for which in ('permitted', 'effective', 'inheritable', 'ambient') + (('bounding',) if '0' in ids else ()):
        more = bits(getattr(seen, which)) - row.capabilities if row.capabilities is not ANY else ()
        if more:
            wrong.append(f'has {which} capabilities: {words(more)}')
    if row.filters and (seen.seccomp != '2' or int(seen.filters) < row.filters):
        wrong.append(f'has {seen.filters} filters (mode {seen.seccomp}), expected {row.filters}')
    if row.filters and seen.no_new_privs != '1':
        wrong.append('can gain privileges')
    if not fnmatch.fnmatchcase(seen.root, row.root):
        wrong.append(f'has the root {seen.root}')
    if row.descriptors is not ANY:
        allowed = [pattern for kind in ('standard', *row.descriptors) for pattern in kinds[kind]]
        more = [kind for kind in seen.holds if not is_of(kind, allowed)]
        if more:
            wrong.append(f'holds {", ".join(sorted(more))}')
    return [f'{row.name} (pid {seen.pid}, {seen.comm}) {sentence}' for sentence in wrong]
