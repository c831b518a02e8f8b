# SPDX-License-Identifier: GPL-2.0-or-later
"""Starts the peers, prints one line for each, and serves until SIGTERM, SIGINT or a request on the control socket."""

import argparse
import os
import signal
import sys

from . import faults
from .control import ControlServer
from .platform import ADDRESSES, Platform, configure_network


def listener(text):
    """ADDRESS[:PORT] -> the peer's arguments."""
    address, _, port = text.partition(':')
    return {'address': address, **({'port': int(port)} if port else {})}


def fault(text):
    peer, equals, rest = text.partition('=')
    if peer not in ADDRESSES or not equals:
        raise argparse.ArgumentTypeError(f'{text!r} is not PEER=FAULT; peers: {", ".join(ADDRESSES)}')
    try:
        faults.Fault.parse(rest)
    except faults.FaultError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return peer, rest


def main():
    parser = argparse.ArgumentParser(
        prog='python3 -m qemu.peers', description=__doc__, epilog=faults.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, address in ADDRESSES.items():
        parser.add_argument(f'--{name}', type=listener, metavar='ADDRESS[:PORT]', default={},
                            help=f'address of the {name} peer, default {address}')
    parser.add_argument('--only', metavar='PEER,PEER', help='start only these peers')
    parser.add_argument('--fault', type=fault, action='append', default=[], metavar='PEER=FAULT',
                        help='a fault from the start; may be repeated')
    parser.add_argument('--control', metavar='PATH', help='path of the control socket (qemu/peers/control.py)')
    parser.add_argument('--configure-network', action='store_true',
                        help='first bring lo up and add the addresses, in the current namespace')
    parser.add_argument('--snapshot', type=faults.parse_size, default=64 * 1024 * 1024, metavar='SIZE',
                        help='approximate size of the reth snapshot in the store, default 64M')
    parser.add_argument('--small-files', type=int, default=40, metavar='N', help='number of small files in that snapshot')
    parser.add_argument('--disk-key', metavar='KEY', help='value of disk_encryption.key in the hub document')
    arguments = parser.parse_args()

    # A pipe and no Event: a handler that runs while this thread is about to wait would deadlock on the Event's lock.
    stop_reader, stop_writer = os.pipe()

    def stop(*_):
        os.write(stop_writer, b'x')

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    if arguments.configure_network:
        configure_network()
    switched = {}
    for peer, text in arguments.fault:
        switched.setdefault(peer, []).append(text)
    platform = Platform(only=arguments.only.split(',') if arguments.only else None, faults=switched,
                        options={name: getattr(arguments, name) for name in ADDRESSES},
                        disk_key=arguments.disk_key, snapshot_bytes=arguments.snapshot,
                        small_files=arguments.small_files)
    with platform:
        for name, peer in platform.peers.items():
            print(f'{name} {peer.describe()}', flush=True)
        control = ControlServer(platform, arguments.control, stop).start() if arguments.control else None
        print('ready', flush=True)
        os.read(stop_reader, 1)
        if control:
            control.stop()


if __name__ == '__main__':
    sys.exit(main())
