/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What PID 1 closes on the machine that it runs: settings of the kernel that no workload of this kind needs, each with
 * the name by which `hardening.keep` in boot.json leaves it as the kernel has it. The reasons for leaving one are in
 * docs/configuration.md.
 */
#ifndef INIT_CONFIG_HARDENING_H
#define INIT_CONFIG_HARDENING_H

#include <stdbool.h>

struct config;

enum hardening_when {
	HARDENING_FIRST,	/* before the configuration's own sysctls, and before the first module */
	HARDENING_LAST,		/* after the last module, before the first process */
};

struct hardening {
	const char *name;	/* several rows may share one; NULL ends the table */
	const char *path;	/* with "/" before it: from the root; one part may be "*": each that is there */
	const char *value;	/* a number that is more than 0: a larger one in force is left */
	const char *lost;	/* on a kernel without it; NULL: nothing is lost there */
	enum hardening_when when;
};

extern const struct hardening hardening_table[];

/* Every name of `hardening.keep`, NULL at the end: those of the table, and those that others apply. */
extern const char *const hardening_names[];
#define HARDENING_MODULES  "modules"	/* its row comes last of all; the image's check asks for it, too */
#define HARDENING_PROC_MEM "proc_mem"	/* a parameter of the kernel's command line, from the image builder */
#define HARDENING_ROOT     "root"	/* init/pid1/readonly.h */
#define HARDENING_SERVICES "services"	/* init/launch/isolate.h */
#define HARDENING_PIDS     "pids"	/* init/process/cgroup.h */
#define HARDENING_CLOCK    "clock"	/* init/pid1/clock.h */

bool hardening_kept(const struct config *config, const char *name);

#endif
