# SPDX-License-Identifier: GPL-2.0-or-later
"""The accounts of an image: root, those of Gantry's own processes and of the programs it brings along, and the users of its
configuration."""

# as predefined_accounts of init/config/format.c has them; docs/rights.md says which process is which
ACCOUNTS = {"gantry-api": 900, "gantry-log": 901, "gantry-network": 902, "gantry-azure": 903, "gantry-clock": 904,
          "gantry-config": 905, "gantry-logger": 906, "gantry-tpm": 907, "gantry-relay": 908, "gantry-measure": 909,
          "gantry-await": 910, "gantry-render": 911, "gantry-writer": 912,
          "gantry-snapshot": 913, "gantry-resolv": 914, "gantry-disk": 920, "gantry-fsck": 921,
          "dhcpcd": 950, "chrony": 951}
LOGIN_SHELL = "/bin/gantryctl"      # root's: there is no shell in this image
FIRST_FREE_GID = 2000               # for groups that no user owns


def accounts(config, passwd_before="", group_before=""):
    """/etc/passwd and /etc/group. Lines of those before stay if their name and their number are not taken."""
    passwd = [("root", 0, 0, "/root"), *((name, uid, uid, "/var/empty") for name, uid in ACCOUNTS.items())]
    groups = {"root": (0, []), **{name: (uid, []) for name, uid in ACCOUNTS.items()}}
    for user in config.get("users", []):
        passwd.append((user["name"], user["uid"], user["gid"], "/var/empty"))
        groups.setdefault(user["name"], (user["gid"], []))
    for user in config.get("users", []):
        for name in user.get("groups", []):
            if name not in groups:
                taken = {gid for gid, _ in groups.values()}
                groups[name] = (next(gid for gid in range(FIRST_FREE_GID, 65000) if gid not in taken), [])
            groups[name][1].append(user["name"])
    shells = {"root": LOGIN_SHELL}
    lines = "".join(f"{name}:x:{uid}:{gid}::{home}:{shells.get(name, '/sbin/nologin')}\n" for name, uid, gid, home in passwd)
    group_lines = "".join(f"{name}:x:{gid}:{','.join(members)}\n" for name, (gid, members) in groups.items())
    return lines + others(lines, passwd_before, "passwd"), group_lines + others(group_lines, group_before, "group")


def others(lines, before, name):
    """The lines of BEFORE, a file of root/, that LINES does not have by name. ValueError for a number that LINES has."""
    own = {line.split(":")[0]: line.split(":")[2] for line in lines.splitlines()}
    kept = ""
    for number, line in enumerate(before.splitlines(), 1):
        fields = line.split(":")
        if len(fields) != (7 if name == "passwd" else 4) or not fields[2].isdigit():
            raise ValueError(f"root/etc/{name}:{number}: it is not a line of /etc/{name}")
        if fields[0] in own:
            continue
        if taken := [other for other, theirs in own.items() if theirs == fields[2]]:
            raise ValueError(f"root/etc/{name}:{number}: {fields[0]} has the number {fields[2]}, which is that of {taken[0]}")
        kept += line + "\n"
    return kept


def passwd_lines():
    """Of the predefined accounts alone, but root."""
    return "".join(f"{name}:x:{uid}:{uid}::/var/empty:/sbin/nologin\n" for name, uid in ACCOUNTS.items())


def group_lines():
    return "".join(f"{name}:x:{uid}:\n" for name, uid in ACCOUNTS.items())
