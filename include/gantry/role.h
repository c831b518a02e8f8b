/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Entry points of the roles, called by init/main.c; those of stages/ are in stage.h. Each returns the exit status of
 * its process, except init_main(), which does not return.
 */
#ifndef GANTRY_ROLE_H
#define GANTRY_ROLE_H

_Noreturn void init_main(int argc, char **argv);	/* PID 1; init/pid1/init.c */
int api_main(int argc, char **argv);			/* init/api/main.c */
int front_main(int argc, char **argv);			/* api-tls; init/api/front.c */
int store_main(int argc, char **argv);			/* api-store; init/api/store.c */
int logger_main(int argc, char **argv);			/* init/log/logger.c */
int service_log_main(int argc, char **argv);		/* init/log/service.c */
int launch_main(int argc, char **argv);			/* init/launch/launch.c */
int container_tidy_main(int argc, char **argv);		/* init/container/tidy.c */
int container_init_main(int argc, char **argv);		/* init/container/reaper.c */
int steps_main(int argc, char **argv);			/* init/launch/steps.c */
int await_main(int argc, char **argv);			/* init/launch/await.c */
int ctl_main(int argc, char **argv);			/* gantryctl, and check; init/ctl/ctl.c */
int power_main(int argc, char **argv);			/* poweroff, reboot, halt; init/ctl/ctl.c */

#define NOTIFY_SOCKET  "/run/gantry/notify"	/* value of NOTIFY_SOCKET for services (sd_notify(3)) */
#define GANTRY_BINARY  "/init"
#define RELAY_UID      908		/* "gantry-relay": the relay of output (init/process/relay.h) */
#define AWAIT_UID      910		/* "gantry-await": the role await */
#define RESOLV_UID     914		/* "gantry-resolv": keeps a container's resolv.conf (init/container/resolv.h) */
#define GANTRY_VERSION "0.1.0"

#endif
