# SPDX-License-Identifier: GPL-2.0-or-later
"""make test-sanitized: the component tests with build/sanitized/init, the whole binary under ASan and UBSan. A report of a
sanitizer fails the test in which it appears (tests/component/sanitizer.py). T=PATTERN keeps some of them, as with make test. """

import os
import sys

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# What cannot be tried with that binary, and why.
LEFT_OUT = {
    r"pid1/test_memory\.": "how much memory PID 1 has",
    r"pid1/test_services_idle\.": "how little PID 1 does",
    r"pid1/test_forkserver\.": "how long a start takes",
    r"stages/test_disk_role\.test_(busy_mount|mounts_are|swap_and)": "the root in which it runs has no shared library",
    r"stages/test_snapshot\.test_workers_have_no_privilege": "reads all of a process' memory, 20 TiB with a sanitizer's",
    r"stages/test_snapshot_hostile\.test_a_sync_over_https":
        "curl speaks TLS with GnuTLS there, and the confined worker gets no answer",
    r"pid1/test_logs\.test_(a_service_that_fails_has|a_service_may_close|a_flood_does)": "the role service-log has 200 ms there",
    r"api/test_api_(http\.test_chunks_with|transfers\.test_(a_client_that_ends_right|so_does_one))":
        "libmicrohttpd is Debian's there, without what deps.mk changes in it",
    r"api/test_api_abuse\.test_(slow_|ranges_)": "how much memory the roles have",
    r"^component/(workshop|docs|peers)/": "no role runs there, or it is the same",
}


def main():
    pattern = os.environ.get("T") or "component/"
    environment = {**os.environ, "T": pattern, "GANTRY_INIT": os.path.join(TOP, "build/sanitized/init")}
    environment.setdefault("GANTRY_TIMEOUT_SCALE", "2")
    for left_out, why in LEFT_OUT.items():
        print(f"left out: {left_out} ({why})", flush=True)
    os.execve(sys.executable, [sys.executable, os.path.join(TOP, "tests/run.py"), "--kind", "component", "--without",
                               "|".join(f"(?:{left_out})" for left_out in LEFT_OUT)], environment)


if __name__ == "__main__":
    main()
