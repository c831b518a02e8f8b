/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The `api` object of boot.json, as PID 1 hands it over on descriptor 4.
 */
#ifndef API_OPTIONS_H
#define API_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#define API_HOSTS_MAX 16
#define API_HOST_MAX  254	/* bytes, NUL included */

struct api_options {
	char listen[64];			/* as written, for events */
	struct sockaddr_storage address;
	socklen_t address_size;
	char hosts[API_HOSTS_MAX][API_HOST_MAX];	/* names and addresses in the certificate */
	size_t n_hosts;
	bool nothing_before_unlock;
};

/* 0, or negative errno with a line for people in error. */
int api_options_parse(struct api_options *ret, const char *json, char *error, size_t error_size);

#endif
