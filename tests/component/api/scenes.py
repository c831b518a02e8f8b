# SPDX-License-Identifier: GPL-2.0-or-later
"""Boots as the page and the chart show them: half-way, booted, held; and a role's PID 1 that plays them."""

import time

from test_api import Api

WAITING, RUNNING, RETRYING, READY, DONE, SKIPPED, STOPPING, STOPPED, DISABLED, FAILED, BLOCKED = range(11)
BOOTING, BOOTED, HELD, ENDING = range(4)
MESSAGE, STATE, PROGRESS = range(3)
DEBUG, INFO, NOTICE, WARNING, ERROR = range(5)
STAGE, SERVICE = range(2)
GIB = 1 << 30

HOSTILE = "<img src=x onerror=\"document.title='owned'\"></script><script>document.title='owned'</script>&amp;'"


def stage(name, state=WAITING, began=0, ended=0, reason="", **more):
    return {"name": name, "type": name, "state": state, "started_s": began, "first_started_s": began, "ended_s": ended,
            "reason": reason, "attempts": 1 if began else 0, **more}


def service(name, state=WAITING, began=0, ready=0, reason="", **more):
    return stage(name, state, began, ready, reason, kind=SERVICE, **{"type": "service", **more})


def booting():
    """Half-way: the snapshot is being fetched, one stage has needed three attempts."""
    return {"state": BOOTING, "now_s": 27.3, "started_s": 0.9, "ended_s": 0, "hostname": "builder-07", "version": "0.1.0"}, [
        stage("network", DONE, 0.95, 2.4, "10.0.0.4/24 via 10.0.0.1 on eth0"),
        stage("azure", DONE, 2.45, 4.1, "ready, incarnation 1"),
        stage("clock", DONE, 2.45, 5.2, "synchronised with 169.254.169.123, off by 12 ms",
              facts=b"synchronised=true\0offset_s=-0.0123\0stratum=3\0source=169.254.169.123\0"),
        stage("config", DONE, 11.9, 12.6, "fetched 4812 bytes, sha256 6a1f0c", first_started_s=5.25, attempts=3),
        stage("disk", DONE, 1.0, 8.3, "opened lun 10, 1.8 TiB, ext4",
              facts=b"device=/dev/sdc\0size_bytes=1979120929996\0rule=lun 10\0opened_by=tpm\0formatted=false\0"
                    b"filesystem=ext4\0mount=/persistent\0luks_uuid=0d6f3c1e-58a1-4b8e-9c61-1f6d0a7f2b43\0"),
        stage("measure", SKIPPED, 12.65, 12.7, "no vTPM"),
        stage("render", DONE, 12.65, 12.71, "7 files"),
        stage("snapshot", RUNNING, 12.8, 0, "fetching static files", pid=204),
        stage("tune", RETRYING, 12.8, 13.1, "/usr/bin/tune: exit status 3: cannot set the governor", attempts=2,
              first_started_s=12.7, next_start_s=29),
        service("chronyd", READY, 2.5, 2.9, pid=120),
        service("reth"), service("rbuilder"), service("node-exporter", READY, 8.4, 8.9, pid=133),
    ]


def booted():
    boot, nodes = booting()
    boot.update(state=BOOTED, now_s=3912.4, ended_s=96.2)
    nodes[7] = stage("snapshot", DONE, 12.8, 71.4, "412.6 GiB in 1182 files")
    nodes[8] = stage("tune", DONE, 29.1, 29.4, "", first_started_s=12.7, attempts=3)
    nodes[10] = service("reth", READY, 71.5, 94.8, pid=310, lines=b"too old to be shown\0one\0two\0peers: 31\0")
    nodes[11] = service("rbuilder", READY, 3801.2, 3803, pid=977, first_started_s=94.9, attempts=4)
    return boot, nodes


def held():
    boot, nodes = booting()
    why = "disk lun 10: LUKS2 header refused: cipher \"cipher_null-ecb\" is not aes-xts-plain64; the disk was left untouched"
    boot.update(state=HELD, now_s=412.0, ended_s=14.2, reason="disk: " + why)
    nodes[4] = stage("disk", FAILED, 1.0, 14.1, why)
    nodes[7] = stage("snapshot", BLOCKED, reason="needs disk")
    nodes[8] = stage("tune", DONE, 12.8, 13.1)
    nodes[10:12] = [service("reth", BLOCKED, reason="needs snapshot"), service("rbuilder", BLOCKED, reason="needs snapshot")]
    return boot, nodes


class Machine(Api):
    """Its clock goes on."""

    def boot_body(self, now_s=9, **boot):
        return super().boot_body(now_s + time.monotonic() - self.since, **boot)

    since = 0


def set_scene(api, scene):
    api.since = time.monotonic()
    api.boot, api.nodes = scene


def story(api, n=60):
    """Events as a boot tells them."""
    api.add("running", "network", kind=STATE, fields=b"attempt=1\0", boot_ns=950000000)
    api.add("done", "network", kind=STATE, fields=b"attempt=1\0text=10.0.0.4/24 via 10.0.0.1 on eth0\0", boot_ns=2400000000)
    api.add("the goal state has no health endpoint, asking again", "azure", DEBUG, boot_ns=2900000000)
    api.add("hub.example.org: 403 Forbidden; an operator has to allow this node", "config", WARNING, boot_ns=5600000000)
    api.add("retrying", "config", WARNING, STATE, b"attempt=2\0text=403 Forbidden\0", boot_ns=6000000000)
    api.add("done", "config", NOTICE, STATE, b"attempt=3\0text=fetched 4812 bytes\0", boot_ns=12600000000)
    for i in range(n):
        api.add(f"block {21000000 + i} in 11.{i:03} ms, 187 transactions, 29.8 Mgas", "reth", boot_ns=13000000000 + i * 200000000)
    api.add("bidding: connection to relay-2 lost: connection reset by peer", "rbuilder", ERROR, boot_ns=26000000000)
    api.add("120 GiB of 412 GiB", "snapshot", INFO, PROGRESS,
            b"done=%d\0total=%d\0per_second=%d\0eta_s=%d\0" % (120 * GIB, 412 * GIB, 7 * GIB, 42), boot_ns=27000000000)
