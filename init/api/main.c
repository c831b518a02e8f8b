/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Role `api`. First form: holds its connection to PID 1 until that ends. */
#include <poll.h>

#include <gantry/control.h>
#include <gantry/role.h>

int api_main(int argc, char **argv)
{
	struct pollfd p = {.fd = CONTROL_FD};

	(void)argc;
	(void)argv;
	while (poll(&p, 1, -1) <= 0)
		;
	return 0;
}
