/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements hardening.h. */
#include <stddef.h>
#include <string.h>

#include "hardening.h"
#include "init/lib/config.h"

#define KERNEL(setting) "/proc/sys/kernel/" setting
#define EACH4(setting)  "/proc/sys/net/ipv4/conf/*/" setting
#define EACH6(setting)  "/proc/sys/net/ipv6/conf/*/" setting

const struct hardening hardening_table[] = {
	{"lockdown", "/sys/kernel/security/lockdown", "integrity", "root can change the kernel", HARDENING_FIRST},
	{"ptrace", KERNEL("yama/ptrace_scope"), "2", "a process can read others of its user", HARDENING_FIRST},
	{"io_uring", KERNEL("io_uring_disabled"), "2", "programs can use io_uring", HARDENING_FIRST},
	{"sysrq", KERNEL("sysrq"), "0", NULL, HARDENING_FIRST},	/* a kernel without it has no such keys */
	{"kexec", KERNEL("kexec_load_disabled"), "1", NULL, HARDENING_FIRST},
	{"kernel_addresses", KERNEL("kptr_restrict"), "2", "root reads the kernel's addresses", HARDENING_FIRST},
	{"bpf_jit", "/proc/sys/net/core/bpf_jit_harden", "2", NULL, HARDENING_FIRST},
	{"protected_files", "/proc/sys/fs/protected_fifos", "2", "FIFOs in /tmp may be traps", HARDENING_FIRST},
	{"protected_files", "/proc/sys/fs/protected_regular", "2", "files in /tmp may be traps", HARDENING_FIRST},
	{"line_disciplines", "/proc/sys/dev/tty/ldisc_autoload", "0", "users load line disciplines", HARDENING_FIRST},
	{"user_namespaces", "/proc/sys/user/max_user_namespaces", "0", NULL, HARDENING_FIRST},
	{"redirects", EACH4("accept_redirects"), "0", NULL, HARDENING_FIRST},
	{"redirects", EACH4("send_redirects"), "0", NULL, HARDENING_FIRST},
	{"redirects", EACH6("accept_redirects"), "0", NULL, HARDENING_FIRST},
	{"router_advertisements", EACH6("accept_ra"), "0", NULL, HARDENING_FIRST},
	{HARDENING_MODULES, KERNEL("modules_disabled"), "1", NULL, HARDENING_LAST},
	{0}};

const char *const hardening_names[] = {
	"lockdown", "ptrace", "io_uring", "sysrq", "kexec", "kernel_addresses", "bpf_jit", "protected_files",
	"line_disciplines", "user_namespaces", "redirects", "router_advertisements", HARDENING_MODULES,
	HARDENING_ROOT, HARDENING_SERVICES, HARDENING_PROC_MEM, HARDENING_PIDS, HARDENING_CLOCK, NULL};

bool hardening_kept(const struct config *config, const char *name)
{
	for (size_t i = 0; i < config->n_keep; i++)
		if (!strcmp(config->keep[i], name))
			return true;
	return false;
}
