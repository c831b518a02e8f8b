# SPDX-License-Identifier: GPL-2.0-or-later
"""The network around an Azure confidential VM, emulated on loopback addresses: wireserver, instance metadata, BuilderHub,
S3 store and time source. Each peer is a class with threads, start() and stop(), a `faults` object that may change while it
runs, and a log of every request. So a test can break one peer on purpose and count the guest's requests."""
