# SPDX-License-Identifier: GPL-2.0-or-later
"""The System API under load: the real PID 1 with both roles in namespaces of its own, and nginx beside them in the same
network as the limit of what can be had; whatever is served runs on the first processor, whoever asks on the second.

    make bench ONLY=api
"""

import contextlib
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "component")]
import events
from figures import Figure
from pid1 import Pid1, boot
from watch import processor_seconds

PORT, NGINX_PORT = 3535, 3536
ALIVE = b'{"status":"ok"}\n'
LOAD = (sys.executable, os.path.join(HERE, "apiload.py"))
START_SECONDS = 20
WRK_SECONDS = 6
WARM_SECONDS = 2              # by then all connections are open
STREAM_SECONDS = 5
STREAM_RATES = (100, 5000)
EVENTS = 200000
CONNECTIONS = (0, 100, 1000)
ROLES = ("gantry-api", "gantry-api-tls")
SERVER, CLIENT = 0, 1           # processors

NGINX = """
daemon off; user root; worker_processes 1; worker_cpu_affinity 1; pid %(folder)s/pid; error_log %(folder)s/log;
events { worker_connections 4096; }
http {
	access_log off; default_type application/json; keepalive_requests 1000000000; keepalive_timeout 600;
	open_file_cache max=10;
	server {
		listen 127.0.0.1:%(port)d ssl backlog=4096; root %(folder)s;
		ssl_certificate %(folder)s/certificate; ssl_certificate_key %(folder)s/key;
		ssl_protocols TLSv1.3; ssl_session_tickets off; ssl_session_cache off; ssl_ecdh_curve X25519;
		ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;
	}
}
"""


def pin(pid, processor):
    os.sched_setaffinity(pid, {processor} & os.sched_getaffinity(0) or os.sched_getaffinity(0))


def on(processor):
    return lambda: pin(0, processor)


@contextlib.contextmanager
def network_of(pid):
    """This thread, and what it starts, in the network of that process."""
    with open("/proc/thread-self/ns/net", encoding="ascii") as ours, open(f"/proc/{pid}/ns/net", encoding="ascii") as its:
        os.setns(its.fileno(), os.CLONE_NEWNET)
        try:
            yield
        finally:
            os.setns(ours.fileno(), os.CLONE_NEWNET)


# an API that takes clients without a limit an address
CONFIG = boot(api={"listen": f"127.0.0.1:{PORT}", "tls_hosts": ["localhost"], "connections": 2048,
                   "connections_per_address": 2048},
              events={"fifo": "/run/events.fifo", "rate_per_s": 0})


@contextlib.contextmanager
def gantry():
    """PID 1 that has booted."""
    with Pid1(CONFIG) as pid1:
        pid1.wait("gantry", "booted")
        pid1.wait("system-api", "listens on", kind="message")
        for pid in (pid1.pid, *roles(pid1).values()):
            pin(pid, SERVER)
        with network_of(pid1.pid):
            yield pid1


@contextlib.contextmanager
def nginx():
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "livez"), "wb") as file:
            file.write(ALIVE)
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
                        "/O=Acme", "-days", "2", "-keyout", folder + "/key", "-out", folder + "/certificate"],
                       check=True, capture_output=True)
        with open(os.path.join(folder, "conf"), "w", encoding="ascii") as file:
            file.write(NGINX % {"folder": folder, "port": NGINX_PORT})
        process = subprocess.Popen(["nginx", "-c", folder + "/conf", "-e", folder + "/log"])
        try:
            for _ in range(500):
                if subprocess.run(["curl", "-sk", "-o", "/dev/null", f"https://localhost:{NGINX_PORT}/livez"]).returncode == 0:
                    break
                time.sleep(0.01)
            yield process
        finally:
            process.terminate()
            process.wait()


def roles(pid1):
    """{name: pid} of the two roles; each has its name only once it runs."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        found = {}
        with open(f"/proc/{pid1.pid}/task/{pid1.pid}/children", encoding="ascii") as file:
            for child in file.read().split():
                with contextlib.suppress(OSError), open(f"/proc/{child}/comm", encoding="ascii") as comm:
                    found[comm.read().strip()] = int(child)
        if set(ROLES) <= set(found):
            return {name: found[name] for name in ROLES}
        time.sleep(0.01)
    raise OSError(f"the roles of the API do not run: {', '.join(found)}")


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        return sum(map(int, file.read().rpartition(")")[2].split()[11:13])) / os.sysconf("SC_CLK_TCK")


def used_by(pid1):
    """CPU seconds of everything in it, as far as this process does not wait for it."""
    return sum(cpu_seconds(pid) for pid in (pid1.pid, *roles(pid1).values()))


# ---- requests


def microseconds(text):
    """wrk writes 118.00us, 9.03ms, 1.20s."""
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text).groups()
    return float(number) * {"us": 1, "ms": 1e3, "s": 1e6, "m": 60e6}[unit]


def wrk(port, connections, path="/livez", close=False, meanwhile=lambda: None):
    """{"rate", "median_us", "p99_us", "requests"}; a request that failed is no measurement."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{WRK_SECONDS}s", "--timeout", "20s", "--latency",
               *(["-H", "Connection: close"] if close else []), f"https://localhost:{port}{path}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=on(CLIENT)) as process:
        meanwhile()
        text = process.communicate()[0]
    if process.returncode or re.search(r"Non-2xx|Socket errors: .*[1-9]", text):
        raise OSError("wrk: " + text)
    latency = dict(re.findall(r"^\s+(50|99)%\s+(\S+) *$", text, re.M))      # behind a unit of one letter wrk puts a blank
    return {"rate": float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1]), "median_us": microseconds(latency["50"]),
            "p99_us": microseconds(latency["99"]), "requests": int(re.search(r"(\d+) requests in", text)[1])}


def asked_meanwhile(port, connections):
    """As wrk(), with the latency of one more client that comes when all of wrk's connections are open: wrk's own contains
    how long they wait for one another's handshakes."""
    took = []

    def ask():
        time.sleep(WARM_SECONDS)
        command = [*LOAD, "ask", str(port), str(WRK_SECONDS - WARM_SECONDS - 1)]
        took.extend(json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, preexec_fn=on(CLIENT)).stdout))
    run = wrk(port, connections, meanwhile=ask)
    took.sort()
    return {**run, "median_us": took[len(took) // 2], "p99_us": took[len(took) * 99 // 100]}


def new_connections(port, connections):
    return wrk(port, connections, close=True)


REQUESTS = (
    # name, how, connections, target of the rate
    ("keep-alive, 1 connection", wrk, 1, None),
    ("keep-alive, 100 connections", asked_meanwhile, 100, 10000),
    ("a TLS connection a request", new_connections, 16, None),
)
REQUESTS_HOW = ("wrk on one processor, both roles on the other: GET /livez over TLS 1.3; nginx, 1 worker, on the same "
                "processor in turn, serves a file of the same size with the same cipher, curve and kind of certificate. "
                "Latency with 100 connections is that of one more client. New connections: 16 at once")


def request_figures(pid1, samples, say):
    found = []
    with nginx():
        for name, how, connections, target in REQUESTS:
            ours, its, cpu = [], [], []
            for _ in range(samples):
                before = sum(cpu_seconds(pid) for pid in roles(pid1).values())
                ours.append(how(PORT, connections))
                cpu.append((sum(cpu_seconds(pid) for pid in roles(pid1).values()) - before) / ours[-1]["requests"] * 1e6)
                its.append(how(NGINX_PORT, connections))
                say(f"  {name}: {ours[-1]['rate']:.0f} a second, nginx {its[-1]['rate']:.0f}")

            def figure(word, unit, key, scale=1.0, **more):
                found.append(Figure("System API: requests", f"{name}: {word}", unit, REQUESTS_HOW,
                                    [one[key] / scale for one in ours],
                                    nginx=statistics.median(one[key] / scale for one in its), **more))
            figure("rate", "/s", "rate", more=True, target=target)
            figure("median", "ms", "median_us", 1000)
            figure("p99", "ms", "p99_us", 1000)
            found.append(Figure("System API: requests", f"{name}: both roles, each", "us", "CPU time of both roles by their own "
                                "count; of a new connection wrk's requests are the count", cpu))
    return found


# ---- memory


def rollup(pid):
    """(RSS, PSS) in KiB."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        text = file.read()
    return tuple(int(re.search(rf"^{name}:\s+(\d+)", text, re.M)[1]) for name in ("Rss", "Pss"))


def memory_figures(say):
    """In a PID 1 of its own: what a load leaves behind would be counted, too."""
    found, section = [], "System API: memory"
    how = ("/proc/PID/smaps_rollup, with that many connections open over each of which a request was answered; a page that "
           "several processes share (the binary's) counts whole in each RSS, in parts in PSS")
    with gantry() as pid1:
        for count in CONNECTIONS:
            holder = subprocess.Popen([*LOAD, "hold", str(PORT), str(count)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                      text=True, preexec_fn=on(CLIENT))
            if holder.stdout.readline() != "held\n":
                raise OSError(f"{count} connections could not be opened")
            sizes = [rollup(pid) for pid in roles(pid1).values()]
            holder.communicate("")
            target = 8.0 if count == 100 else None
            for name, size in zip(("api", "api-tls"), sizes):
                found.append(Figure(section, f"{count} connections: {name}, RSS", "MiB", how, [size[0] / 1024]))
            found.append(Figure(section, f"{count} connections: both, RSS", "MiB", how, [sum(s[0] for s in sizes) / 1024],
                                target=target))
            found.append(Figure(section, f"{count} connections: both, PSS", "MiB", how, [sum(s[1] for s in sizes) / 1024]))
            say(f"  memory at {count}: " + ", ".join(f"{f.name} {f.value:.2f}" for f in found[-4:]))
    return found


# ---- events


def taken(pid1):
    return json.loads(pid1.ctl("status", "--json").stdout)["boot"]["events"]


SECTION_IN = "System API: events in"


def load_figures(pid1, loads, samples, say, note):
    found = []
    how = "Python senders that block and never drop, without a limit a sender; none is lost; " + note
    for name, arguments, target in loads:
        runs = [events.measure(pid1, *arguments) for _ in range(samples)]
        say(f"  {name}: {runs[-1]}")
        if any(run.lost for run in runs):
            raise OSError(f"{name}: events were lost")
        found.append(Figure(SECTION_IN, name, "/s", how, [run.rate for run in runs], target=target, more=True))
        found.append(Figure(SECTION_IN, f"{name}: PID 1, each", "us", "CPU time of PID 1 by its own count",
                            [run.cpu_us for run in runs]))
    return found


def event_figures(samples, say):
    """In a PID 1 that nobody follows."""
    with Pid1(events.CONFIG) as pid1:
        pid1.wait("gantry", "booted")
        return load_figures(pid1, events.loads(EVENTS), samples, say, "no API, processors as they come")


def followed_figures(pid1, samples, say):
    name, arguments, _ = events.loads(EVENTS)[0]
    found = load_figures(pid1, [(name + ", the API follows", arguments, None)], samples, say,
                         "PID 1 and the API on one processor")
    how = "wrk, 16 connections: GET /api/v1/new_event?message=...; none that was answered is lost"
    rates = []
    for _ in range(samples):
        before = taken(pid1)
        run = wrk(PORT, 16, "/api/v1/new_event?message=block%2019000000%20built")
        if taken(pid1) - before < run["requests"]:
            raise OSError("events of new_event were lost")
        rates.append(run["rate"])
    found.append(Figure(SECTION_IN, "HTTP new_event", "/s", how, rates, more=True))
    return found


def stream_run(pid1, rate):
    reader = subprocess.Popen([*LOAD, "stream", str(PORT), str(rate * STREAM_SECONDS)], stdout=subprocess.PIPE, text=True,
                              preexec_fn=on(CLIENT))
    if reader.stdout.readline() != "begun\n":
        raise OSError("no stream")
    path = f"/proc/{pid1.pid}/root/run/gantry/events"
    sender = json.loads(subprocess.run([*LOAD, "send", path, str(rate), str(STREAM_SECONDS)], check=True, text=True,
                                       stdout=subprocess.PIPE, preexec_fn=on(CLIENT)).stdout)
    ages = sorted(json.loads(reader.communicate()[0]))
    if len(ages) != sender["sent"]:
        raise OSError(f"{sender['sent']} events sent, {len(ages)} seen on the stream")
    return ages


def stream_figures(pid1, samples, say):
    found = []
    for rate in STREAM_RATES:
        how = ("by one clock, from right before the sender's send() to the event socket until the client has decrypted the "
               "event; the sender runs beside the client")
        runs = [stream_run(pid1, rate) for _ in range(samples)]
        for name, part, target in (("median", 0.5, None), ("p99", 0.99, 10.0)):
            found.append(Figure("System API: event to stream", f"{rate} events/s: {name}", "ms", how,
                                [run[int(len(run) * part)] / 1000 for run in runs], target=target))
            say(f"  stream at {rate}/s, {name}: {found[-1].value:.2f} ms")
    return found


def measure(samples, say):
    """(figures, the number of processors that other work kept busy)"""
    began, (busy, _), own = time.monotonic(), processor_seconds(), sum(os.times()[:4])
    found = memory_figures(say)
    with gantry() as pid1:
        found += request_figures(pid1, samples, say)
        spent = used_by(pid1)
    found += event_figures(samples, say)
    with gantry() as pid1:
        found += followed_figures(pid1, samples, say) + stream_figures(pid1, samples, say)
        spent += used_by(pid1)
    spent += sum(os.times()[:4]) - own
    return found, max(processor_seconds()[0] - busy - spent, 0) / (time.monotonic() - began)
