/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One binary, several roles: PID 1 is the init; every other role is the same file executed again, selected by argv[0]
 * or by the first argument, from the tables below.
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gantry/role.h>
#include <gantry/stage.h>

#include "init/process/image.h"

struct role {
	const char *name;
	int (*main)(int argc, char **argv);
};

static const struct role by_argument[] = {
	{"stage", stage_main},
	{"launch", launch_main},
	{"container-tidy", container_tidy_main},
	{"steps", steps_main},
	{"await", await_main},
	{"api", api_main},
	{"api-tls", front_main},
	{"api-store", store_main},
	{"logger", logger_main},
	{"service-log", service_log_main},
	{"tpm", tpm_main},
	{"teardown", teardown_main},
	{"dhcp-hook", dhcp_hook_main},
};

static const struct role by_name[] = {
	{"gantryctl", ctl_main},
	{"poweroff", power_main},
	{"reboot", power_main},
	{"halt", power_main},
	{"dhcp-hook", dhcp_hook_main},
};

int main(int argc, char **argv)
{
	const char *name = argc > 0 ? argv[0] : "";
	const char *slash = strrchr(name, '/');

	if (slash && !strcmp(slash + 1, "podman-init"))		/* PID 1, too, but of a container */
		return container_init_main(argc, argv);
	umask(0022);
	(void)image_protect();	/* a hardening only: the process works without it */
	if (getpid() == 1)
		init_main(argc, argv);

	if (slash)
		name = slash + 1;
	else if (*name == '-')	/* executed as a login shell, docs/ssh.md */
		name++;
	for (size_t i = 0; i < sizeof(by_name) / sizeof(by_name[0]); i++)
		if (!strcmp(name, by_name[i].name))
			return by_name[i].main(argc, argv);
	if (argc > 1) {
		for (size_t i = 0; i < sizeof(by_argument) / sizeof(by_argument[0]); i++)
			if (!strcmp(argv[1], by_argument[i].name))
				return by_argument[i].main(argc, argv);
		/* "/init gantryctl check FILE": the way to reach a named role without a link. */
		for (size_t i = 0; i < sizeof(by_name) / sizeof(by_name[0]); i++)
			if (!strcmp(argv[1], by_name[i].name))
				return by_name[i].main(argc - 1, argv + 1);
	}
	fprintf(stderr, "gantry %s: unknown role: %s (this process is not PID 1)\n"
		"usage: gantryctl help\n", GANTRY_VERSION, argc > 1 ? argv[1] : name);
	return 2;
}
