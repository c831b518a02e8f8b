# SPDX-License-Identifier: GPL-2.0-or-later
"""Time on a machine that may be busy. Waiting for what must come is patient and no promise. A bound is a promise: what the
product promises stays as it is, and what else has to be done may take as many times longer as this machine is slower at that
moment."""

import os
import time

SCALE = float(os.environ.get('GANTRY_TIMEOUT_SCALE', '1'))
PATIENCE = 4 * SCALE            # that many times longer than on a free machine is waited for what must come
CALIBRATION_S = 0.3


def slowdown():
    """How many times longer this machine takes now for some work than it would if it had nothing else to do: at least 1. What the
    test's own process has waited for a processor since it began counts as well, for what kept the machine busy may be over."""
    with open('/proc/self/schedstat', encoding='ascii') as file:
        ran, waited, _ = map(int, file.read().split())
    began = time.monotonic()
    until = time.thread_time() + CALIBRATION_S
    while time.thread_time() < until:
        pass
    return max((time.monotonic() - began) / CALIBRATION_S, (ran + waited) / max(ran, 1))


def assert_within(test, took_s, promise_s, work_s, what=''):
    """PROMISE_S is a time of the product and no machine may stretch it; WORK_S is for what is to be done besides, on a free
    machine."""
    if took_s >= promise_s + work_s * SCALE:
        slow = slowdown()
        test.assertLess(took_s, promise_s + work_s * SCALE * slow,
                        f'{what}; this machine is {slow:.1f} times slower than when it is free')
