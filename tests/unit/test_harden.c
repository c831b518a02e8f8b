/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is written to a kernel's files, in a tree that stands for them; a real kernel's are looked at by boot tests. */
/* links: init/pid1/harden.c init/config event init/lib plan */
/* libs: json-c */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config_fixture.h"
#include "event_lines.h"
#include "init/config/hardening.h"
#include "init/pid1/harden.h"

static void folder(const char *path)
{
	char part[256];

	for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
		snprintf(part, sizeof(part), "%.*s", (int)(slash - path), path);
		mkdir(part, 0755);
	}
}

static void put(const char *path, const char *text)
{
	FILE *file;

	folder(path);
	file = fopen(path, "w");
	CHECK(file != NULL);
	fputs(text, file);
	fclose(file);
}

/* The first line: a write leaves what is behind it, which a kernel's file would not. */
static const char *get(const char *path)
{
	static char text[128];
	FILE *file = fopen(path, "r");
	size_t n;

	CHECK(file != NULL);
	n = fread(text, 1, sizeof(text) - 1, file);
	fclose(file);
	text[n] = '\0';
	text[strcspn(text, "\n")] = '\0';
	return text;
}

/* A kernel of this kind as it boots, with two interfaces; "k" stands for the root. */
static void kernel(void)
{
	char path[256], own[] = "/tmp/gantry-harden-XXXXXX";

	CHECK(mkdtemp(own) != NULL);
	CHECK_INT(chdir(own), 0);
	CHECK_INT(event_init(100), 0);
	put("k/proc/cmdline", "quiet proc_mem.force_override=never\n");
	put("k/sys/kernel/security/lockdown", "[none] integrity confidentiality\n");
	for (const struct hardening *row = hardening_table; row->name; row++) {
		const char *star = strchr(row->path, '*');

		if (!strcmp(row->name, "lockdown"))
			continue;
		for (int i = 0; i < (star ? 2 : 1); i++) {
			snprintf(path, sizeof(path), "k%.*s%s%s", star ? (int)(star - row->path) : 256, row->path,
				 star ? i ? "eth0.5" : "all" : "", star ? star + 1 : "");
			put(path, row->value[0] == '0' ? "1\n" : "0\n");
		}
	}
}

#define SYS(setting) "k/proc/sys/" setting

TEST(every_row_is_closed_at_its_time)
{
	struct config none = {0};

	kernel();
	harden("k", &none, HARDENING_FIRST);
	CHECK_STR(get(SYS("kernel/yama/ptrace_scope")), "2");
	CHECK_STR(get(SYS("kernel/io_uring_disabled")), "2");
	CHECK_STR(get(SYS("kernel/sysrq")), "0");
	CHECK_STR(get(SYS("user/max_user_namespaces")), "0");
	CHECK_STR(get(SYS("net/ipv4/conf/all/accept_redirects")), "0");
	CHECK_STR(get(SYS("net/ipv4/conf/eth0.5/send_redirects")), "0");
	CHECK_STR(get(SYS("net/ipv6/conf/eth0.5/accept_ra")), "0");
	CHECK(strstr(get("k/sys/kernel/security/lockdown"), "integrity") == get("k/sys/kernel/security/lockdown"));
	CHECK_STR(get(SYS("kernel/modules_disabled")), "0");
	harden("k", &none, HARDENING_LAST);
	CHECK_STR(get(SYS("kernel/modules_disabled")), "1");
	for (const struct hardening *row = hardening_table; row->name; row++) {
		char path[256];

		snprintf(path, sizeof(path), "k%s", row->path);
		if (!strchr(path, '*') && strcmp(row->name, "lockdown"))
			CHECK_STR(get(path), row->value);
	}
	CHECK_INT(event_last(), 0);
}

TEST(a_name_that_is_kept_leaves_its_rows_and_no_others)
{
	struct config *config = parse("{\"hardening\": {\"keep\": [\"protected_files\", \"modules\", \"redirects\"]}}");

	CHECK_STR(error, "");
	kernel();
	harden("k", config, HARDENING_FIRST);
	harden("k", config, HARDENING_LAST);
	CHECK_STR(get(SYS("fs/protected_fifos")), "0");
	CHECK_STR(get(SYS("fs/protected_regular")), "0");
	CHECK_STR(get(SYS("kernel/modules_disabled")), "0");
	CHECK_STR(get(SYS("net/ipv6/conf/all/accept_redirects")), "1");
	CHECK_STR(get(SYS("net/ipv6/conf/all/accept_ra")), "0");
	CHECK_STR(get(SYS("kernel/kexec_load_disabled")), "1");
	config_free(config);
}

TEST(what_the_command_line_closed_further_is_left)
{
	struct config none = {0};

	kernel();
	put(SYS("kernel/yama/ptrace_scope"), "3\n");
	put("k/sys/kernel/security/lockdown", "none integrity [confidentiality]\n");
	harden("k", &none, HARDENING_FIRST);
	CHECK_STR(get(SYS("kernel/yama/ptrace_scope")), "3");
	CHECK_STR(get("k/sys/kernel/security/lockdown"), "none integrity [confidentiality]");
}

TEST(what_a_kernel_does_not_have_is_one_event_that_says_what_is_lost)
{
	struct config none = {0};

	kernel();
	unlink(SYS("kernel/io_uring_disabled"));
	unlink(SYS("kernel/yama/ptrace_scope"));
	unlink(SYS("kernel/sysrq"));
	put("k/proc/cmdline", "quiet\n");
	harden("k", &none, HARDENING_FIRST);
	CHECK_INT(event_last(), 1);
	CHECK_STR(line_of(1), "warning gantry message: hardening that this kernel does not have: ptrace (a process can "
		  "read others of its user), io_uring (programs can use io_uring), proc_mem (a process writes to its "
		  "read-only memory; the command line lacks proc_mem.force_override=never)\n");
}

TEST(a_value_that_the_kernel_refuses_is_named)
{
	struct config none = {0};

	kernel();
	unlink(SYS("kernel/sysrq"));
	CHECK_INT(mkdir(SYS("kernel/sysrq"), 0755), 0);
	harden("k", &none, HARDENING_FIRST);
	CHECK_INT(event_last(), 1);
	CHECK(strstr(line_of(1), "error gantry message: hardening \"sysrq\": writing 0 to k/proc/sys/kernel/sysrq "
		     "failed: "));
}

TEST(every_row_has_a_name_that_can_be_kept)
{
	for (const struct hardening *row = hardening_table; row->name; row++) {
		const char *const *name = hardening_names;

		while (*name && strcmp(*name, row->name))
			name++;
		CHECK(*name != NULL);
	}
}

TEST(an_unknown_name_is_refused_with_its_line)
{
	struct config *config = parse("{\"hardening\":\n{\"keep\": [\"sysrq\",\n\"iouring\"]}}");

	CHECK(config == NULL);
	CHECK(strstr(error, "boot.json:3: hardening.keep[1]: \"iouring\" is not one of \"lockdown\", ") == error);
	config = parse("{\"hardening\":\n{\"extra\": [\"/etc/x\"]}}");
	CHECK(config == NULL);
	CHECK_STR(error, "boot.json:2: hardening.extra[0]: \"/etc/x\" is not below /.extra");
}
