# SPDX-License-Identifier: GPL-2.0-or-later
"""dhcpcd and chronyd as the image starts them: their service of the test image by the real launcher, their accounts, the
pinned programs; and what the kernel says of each of their processes, to be compared with the table in docs/rights.md."""

import json
import os
import re
import socket
import subprocess
import sys
import time

from patience import PATIENCE
from support import INIT, TOP, private_mounts, sealed_memfd

sys.path.insert(0, TOP)
from qemu import accounts, image  # noqa: E402

DEFAULTS = {'user': 'root', 'directory': '/', 'umask': '0022', 'no_new_privs': True}    # as the check of boot.json adds them
CAPABILITIES = {10: 'NET_BIND_SERVICE', 12: 'NET_ADMIN', 13: 'NET_RAW', 18: 'SYS_CHROOT', 25: 'SYS_TIME'}
ACCOUNTS = dict(accounts.ACCOUNTS)


def program(name):
    with open(f'{TOP}/build/paths.env', encoding='utf-8') as lines:
        libs = next(line.split('=')[1].strip() for line in lines if line.startswith('LIBS='))
    return f'{libs}/bin/{name}'


def lay_out():
    """Mounts of this process' own: /etc with the image's accounts, an empty /run, and the users' home."""
    private_mounts('/etc', '/run', '/var/lib', '/var/empty')
    os.chmod('/run', 0o755)
    os.chmod('/var/empty', 0o755)
    os.makedirs('/run/gantry')
    os.makedirs('/run/dhcp')        # as PID 1 makes it
    passwd, group = accounts.accounts({})
    for name, text in (('passwd', passwd), ('group', group)):
        with open(f'/etc/{name}', 'w', encoding='ascii') as file:
            file.write(text)
    os.symlink(image.LINKS['/etc/resolv.conf'], '/etc/resolv.conf')
    os.symlink(INIT, '/run/dhcp-hook')
    with open(f'{TOP}/qemu/defaults/etc/dhcpcd.conf', encoding='utf-8') as file:
        text = file.read()
    with open('/etc/dhcpcd.conf', 'w', encoding='utf-8') as file:
        file.write(text.replace('/sbin/dhcp-hook', '/run/dhcp-hook'))


def launch(test, name, arguments=(), **changes):
    """The service's main process; at the test's end it is stopped."""
    services = image.read_config(f'{TOP}/qemu/images/test/boot.json')['services']
    service = {**DEFAULTS, **next(service for service in services if service['name'] == name), **changes}
    service['command'] = [program(name), *service['command'][1:], *arguments]
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    options = sealed_memfd('options', json.dumps(service).encode())

    def place():
        a, b = os.dup2(theirs.fileno(), 103), os.dup2(options, 104)
        os.dup2(a, 3), os.dup2(b, 4)

    process = subprocess.Popen([INIT, 'launch', name], preexec_fn=place, close_fds=False, stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def stop():
        process.kill()
        for pid in own(name):
            try:
                os.kill(pid, 9)
            except ProcessLookupError:
                pass
        process.wait()
        process.stdout.close()
    test.addCleanup(stop)
    theirs.close()
    os.close(options)
    with ours:
        ours.settimeout(20 * PATIENCE)
        process.reason = ours.recv(4096)[8:].decode()       # empty: the program was executed
    return process


def status_of(pid):
    with open(f'/proc/{pid}/status', encoding='utf-8') as lines:
        return dict(line.rstrip('\n').split(':\t', 1) for line in lines if ':\t' in line)


def of(name):
    """The processes with this program's name, in this namespace of processes."""
    found = []
    for pid in filter(str.isdigit, os.listdir('/proc')):
        try:
            with open(f'/proc/{pid}/comm', encoding='utf-8') as comm:
                if comm.read() == f'{name}\n':
                    found.append(int(pid))
        except OSError:
            pass
    return found


def own(name):
    """Of those, the ones in this process' network: other tests run beside this one."""
    def here(pid):
        try:
            return os.readlink(f'/proc/{pid}/ns/net') == os.readlink('/proc/self/ns/net')
        except OSError:
            return False
    return [pid for pid in of(name) if here(pid)]


def seen(pid):
    """(process, user, capabilities, filters, root) as the table has them."""
    status = status_of(pid)
    with open(f'/proc/{pid}/cmdline', encoding='utf-8') as file:
        text = file.read().replace('\0', ' ')
    title = re.match(r'dhcpcd: (\[[^\]]*\])', text)
    name = f'{status["Name"]} {title[1]}' if title else status['Name']
    uids, gids = status['Uid'].split(), status['Gid'].split()
    if len(set(uids + gids)) != 1 or set(status['Groups'].split()) - set(gids) or status['NoNewPrivs'] != '1':
        raise AssertionError(f'{name}: uid {uids}, gid {gids}, groups {status["Groups"]}, no_new_privs {status["NoNewPrivs"]}')
    user = next((name for name, uid in ACCOUNTS.items() if str(uid) == uids[0]), uids[0])
    bits = int(status['CapEff'], 16)
    if int(status['CapPrm'], 16) != bits:
        raise AssertionError(f'{name}: permitted {status["CapPrm"]}, effective {status["CapEff"]}')
    capabilities = {CAPABILITIES.get(bit, f'bit {bit}') for bit in range(64) if bits >> bit & 1}
    filters = int(status['Seccomp_filters']) if status['Seccomp'] == '2' else 0
    return name, (user, frozenset(capabilities), filters, os.readlink(f'/proc/{pid}/root'))


def table():
    """The rows of docs/rights.md: process -> (user, capabilities, filters, root)."""
    with open(f'{TOP}/docs/rights.md', encoding='utf-8') as file:
        page = file.read()
    rows = {}
    for line in re.search(r'\| process \| user \| capabilities \| filters \|.*?(?=\n\n)', page, re.S)[0].splitlines()[2:]:
        process, user, capabilities, filters, root = (cell.strip().replace('`', '') for cell in line.split('|')[1:6])
        names = frozenset() if capabilities == 'none' else frozenset(re.split(r',\s*', capabilities))
        rows[process] = (user, names, int(filters), root)
    return rows


def wait_for(what, condition, seconds=20):
    """The condition's first true value; it is asked again every few milliseconds, for want of a notification."""
    end = time.monotonic() + seconds * PATIENCE
    while not (value := condition()):
        if time.monotonic() > end:
            raise AssertionError(f'after {seconds} s: no {what}')
        time.sleep(0.005)
    return value
