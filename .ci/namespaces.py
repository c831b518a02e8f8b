# SPDX-License-Identifier: GPL-2.0-or-later
"""Entering the build root: a command becomes a child of a small init of its own PID namespace, on a view of the root that is
writable but forgets. Everything it starts ends with it, signals are handed on, its exit status comes back. As root a
mount namespace is enough; a normal user gets a user namespace around it."""

import ctypes
import os
import pwd
import shutil
import signal
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CACHE = os.path.abspath(os.environ.get("GANTRY_CACHE") or os.path.join(
    os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "gantry"))
PRIVILEGED = os.geteuid() == 0
PASSED = ("TERM COLUMNS LINES NO_COLOR COLORTERM SOURCE_DATE_EPOCH PYTHONUNBUFFERED "
          "V T EXIT AGAIN TIER JOBS").split()
FILES = {"GANTRY_SIGN_KEY": "/run/key", "GANTRY_SIGNER": "/run/signer"}     # variable with a file outside: where it lies inside
PUBLISHED_FOLDER = "/published" # what GANTRY_PUBLISHED names
IMAGE_FOLDER = "/image"       # one outside of the checkout lies below it, read-only
SIGNALS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT}

CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x00020000, 0x10000000, 0x20000000, 0x40000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 2, 4, 32, 4096, 16384, 1 << 18
PR_SET_PDEATHSIG, SYS_PIVOT_ROOT, MNT_DETACH = 1, 155, 2
libc = ctypes.CDLL(None, use_errno=True)


class Refused(Exception):
    """A reason the user can act on; printed as one sentence, without a traceback."""


def say(text):
    print(text, file=sys.stderr, flush=True)


def check(result, what):
    if result < 0:
        err = ctypes.get_errno()
        raise OSError(err, f"{what}: {os.strerror(err)}")


def mount(source, target, fstype=None, flags=0, options=None):
    encode = lambda text: text.encode() if text is not None else None
    check(libc.mount(encode(source), encode(target), encode(fstype), ctypes.c_ulong(flags), encode(options)),
          f"mount {source} on {target}")


def need_program(name, package):
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if path:
        return path
    if os.geteuid() == 0 and shutil.which("apt-get"):
        say(f"  installing {package}")
        command = ["apt-get", "-qq", "-y", "-o=Dpkg::Use-Pty=0", "--no-install-recommends", "install", package]
        environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
        for attempt in range(2):
            done = subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            if done.returncode == 0:
                return shutil.which(name, path="/usr/bin:/usr/sbin:/bin:/sbin")
            if attempt == 0:
                subprocess.run(["apt-get", "-qq", "update"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        raise Refused(f"{name} is missing and could not be installed: {done.stderr.strip().splitlines()[-1:]}")
    raise Refused(f"{name} is missing: install it with `sudo apt-get install {package}`, then run make again.")


def die_with_parent():
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def in_user_namespace(action):
    """Runs action() in a child that is uid 0 of a new user namespace (own uid -> 0, subordinate ids -> 1...)."""
    ready_r, ready_w = os.pipe()
    mapped_r, mapped_w = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(ready_r), os.close(mapped_w)
            check(libc.unshare(CLONE_NEWUSER), "unshare a user namespace")
            os.write(ready_w, b"1")
            if os.read(mapped_r, 1) != b"1":
                os._exit(126)
            os.setgid(0), os.setuid(0)
            die_with_parent()
            os._exit(action())
        except OSError as error:
            say(f"buildroot: {error}")
            os._exit(126)
    os.close(ready_w), os.close(mapped_r)
    if os.read(ready_r, 1) == b"1" and map_ids(child):
        os.write(mapped_w, b"1")
    os.close(ready_r), os.close(mapped_w)
    return wait_and_forward(child)


def map_ids(child):
    for tool, own, table in (("newuidmap", os.getuid(), "/etc/subuid"), ("newgidmap", os.getgid(), "/etc/subgid")):
        user = pwd.getpwuid(os.getuid()).pw_name
        ranges = [line.strip().split(":") for line in open(table)] if os.path.exists(table) else []
        mine = [r for r in ranges if r[0] in (user, str(os.getuid()))]
        if not mine:
            say(f"buildroot: no subordinate ids for {user} in {table}: add them with `sudo usermod --add-subuids "
                f"100000-165535 --add-subgids 100000-165535 {user}`.")
            return False
        if subprocess.call([need_program(tool, "uidmap"), str(child), "0", str(own), "1", "1", mine[0][1], mine[0][2]]) != 0:
            return False
    return True


def build_view(root):
    """Called in new namespaces, as PID 1: makes the root the file system and mounts what belongs in it."""
    mount("none", "/", None, MS_REC | MS_PRIVATE)
    base = "/tmp" if os.path.isdir("/tmp") else CACHE
    mount("gantry", base, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755,size=90%")
    for name in ("upper", "work", "view"):
        os.mkdir(f"{base}/{name}")
    view = f"{base}/view"
    try:        # writes go to memory and are gone afterwards: every command finds the same root
        mount("overlay", view, "overlay", 0, f"lowerdir={root},upperdir={base}/upper,workdir={base}/work" +
              ("" if PRIVILEGED else ",userxattr"))
    except OSError:
        mount(root, view, None, MS_BIND | MS_REC)
    for name in ("src", "cache", "data", "proc", "sys", "dev", "tmp", "run"):
        os.makedirs(f"{view}/{name}", exist_ok=True)
    mount("/dev", f"{view}/dev", None, MS_BIND | MS_REC)
    mount("/sys", f"{view}/sys", None, MS_BIND | MS_REC)
    mount("proc", f"{view}/proc", "proc", MS_NOSUID | MS_NODEV)
    for name, options in (("tmp", "mode=1777"), ("run", "mode=0755"), ("dev/shm", "mode=1777")):
        if os.path.isdir(f"{view}/{name}"):
            mount("tmpfs", f"{view}/{name}", "tmpfs", MS_NOSUID | MS_NODEV, options)
    return view


def attach(view, source, target, readonly=False):
    mount(source, view + target, None, MS_BIND | MS_REC)
    if readonly:
        try:
            mount(None, view + target, None, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV)
        except OSError:
            pass


def environment(extra):
    env = {name: os.environ[name] for name in PASSED + os.environ.get("GANTRY_PASS", "").split() if name in os.environ}
    env.update({name: value for name, value in os.environ.items() if name.startswith("GANTRY_")})
    env.update({"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C.UTF-8",
                "TZ": "UTC", "GANTRY_INSIDE": "1", "GANTRY_CACHE": "/cache", "GANTRY_HOST_TOP": TOP, "GANTRY_HOST_CACHE": CACHE,
                "PYTHONDONTWRITEBYTECODE": "1"})
    env.pop("GANTRY_PASS", None)
    if not PRIVILEGED:
        env["GANTRY_USERNS"] = "1"          # a few tests need more than a user namespace may do
    env.pop("GANTRY_TEST_DATA", None)
    env.update(extra)
    return env


def image_inside(folder):
    """(what is to be attached, where, the folder inside) for an image's folder: with the checkout around it, so that git can be
    asked."""
    if not folder:
        return "", "", ""
    folder = os.path.realpath(folder)
    if folder == TOP or folder.startswith(TOP + "/"):
        return "", "", "/src" + folder[len(TOP):]
    top = folder
    while not os.path.exists(os.path.join(top, ".git")):
        top = os.path.dirname(top)
        if top == "/":
            top = folder
            break
    target = f"{IMAGE_FOLDER}/{os.path.basename(top)}"
    return top, target, target + folder[len(top):]


def enter(root_folder, command, extra, network=True):
    """Runs command in the root; returns its exit status, 128 + number after a signal."""
    if os.environ.get("GANTRY_FAKE_DATE"):          # .ci/rebuild
        command = ["faketime", "-f", f"@{os.environ['GANTRY_FAKE_DATE']}", *command]
    data = os.environ.get("GANTRY_TEST_DATA", "")
    data = os.path.abspath(data) if data and os.path.isdir(data) else ""
    env = environment(extra)
    if data:
        env["GANTRY_TEST_DATA"] = "/data"
    files = {}              # where it is to lie: the file
    for variable, where in FILES.items():
        if env.get(variable):
            target = os.path.join(where, os.path.basename(env[variable]))
            files[target], env[variable] = os.path.abspath(env[variable]), target
    folders = {}
    if env.get("GANTRY_PUBLISHED"):
        folders[PUBLISHED_FOLDER], env["GANTRY_PUBLISHED"] = os.path.abspath(env["GANTRY_PUBLISHED"]), PUBLISHED_FOLDER
    image, image_target, env["GANTRY_IMAGE"] = image_inside(env.get("GANTRY_IMAGE"))
    if image:
        folders[image_target] = image

    # Everything outside is opened before the view hides it.
    def start():
        check(libc.unshare(CLONE_NEWNS | CLONE_NEWPID | (0 if network else CLONE_NEWNET)), "unshare mount and PID namespaces")
        held = {"/src": os.open(TOP, os.O_PATH), "/cache": os.open(CACHE, os.O_PATH)}
        if data:
            held["/data"] = os.open(data, os.O_PATH)
        held.update({target: os.open(path, os.O_PATH) for target, path in (files | folders).items()})
        root = os.open(root_folder, os.O_PATH)
        child = os.fork()
        if child:
            for descriptor in [*held.values(), root]:
                os.close(descriptor)
            return wait_and_forward(child)
        try:
            die_with_parent()
            view = build_view(f"/proc/self/fd/{root}")
            for target in files:
                os.mkdir(view + os.path.dirname(target))
                open(view + target, "wb").close()
            for target in folders:
                os.makedirs(view + target, exist_ok=True)
            for target, descriptor in held.items():
                attach(view, f"/proc/self/fd/{descriptor}", target, readonly=target not in ("/src", "/cache"))
            os.chdir(view)
            check(libc.syscall(SYS_PIVOT_ROOT, b".", b"."), "pivot_root")
            check(libc.umount2(b".", MNT_DETACH), "leave the host's root")
            os.chdir("/src")
        except OSError as error:
            say(f"buildroot: cannot set up the build root's mounts: {error}")
            os._exit(126)
        os._exit(init(command, env))

    if PRIVILEGED:
        child = os.fork()
        if child == 0:
            die_with_parent()
            try:
                os._exit(start())
            except OSError as error:
                say(f"buildroot: {error}; as root this needs the right to mount (in a container: --privileged).")
                os._exit(126)
        return wait_and_forward(child)
    return in_user_namespace(start)


def wait_and_forward(child, reap=False):
    """Waits for child. A signal sent to this process alone is handed on; one from the terminal has reached
    the whole foreground group already. As PID 1 it also reaps whoever is left behind."""
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS | {signal.SIGCHLD})
    while True:
        while True:
            pid, status = os.waitpid(-1 if reap else child, os.WNOHANG)
            if pid == 0:
                break
            if pid == child:
                return os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)
        got = signal.sigwaitinfo(SIGNALS | {signal.SIGCHLD})
        if got.si_signo != signal.SIGCHLD and got.si_code <= 0:
            try:
                os.kill(child, got.si_signo)
            except ProcessLookupError:
                pass


def init(command, env):
    child = os.fork()
    if child == 0:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS | {signal.SIGCHLD})
        for number in (signal.SIGINT, signal.SIGPIPE, signal.SIGQUIT):
            signal.signal(number, signal.SIG_DFL)
        try:
            os.execvpe(command[0], command, env)
        except OSError as error:
            say(f"{command[0]}: {error.strerror}")
            os._exit(127)
    return wait_and_forward(child, reap=True)
