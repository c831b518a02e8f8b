# SPDX-License-Identifier: GPL-2.0-or-later
"""The network around an Azure confidential VM, emulated on loopback addresses: wireserver, instance
metadata, BuilderHub, S3 store and time source. Each is a thread-based class with start() and stop(),
a `faults` object that may be changed while it runs, and a log of every request, so that a test can
break one peer on purpose and then count what the guest did about it."""
