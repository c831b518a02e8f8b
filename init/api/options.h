/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The `api` object of boot.json, as PID 1 hands it over on descriptor 4 to each role of the API.
 */
#ifndef INIT_API_OPTIONS_H
#define INIT_API_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "init/lib/config.h"

#define API_HOSTS_MAX 16
#define API_HOST_MAX  254	/* bytes, NUL included */

struct api_upload {
	char name[ACT_NAME_MAX + 1];
	const char *path;
	size_t max_bytes;
};

struct api_options {
	char listen[64];			/* as written, for events */
	struct sockaddr_storage address;
	socklen_t address_size;
	size_t connections, connections_per_address;
	char hosts[API_HOSTS_MAX][API_HOST_MAX];	/* names and addresses in the certificate */
	size_t n_hosts;
	const char *hosts_file;			/* paths: "" if there is none; they live as long as the process */
	const char *certificate, *key;
	bool create;
	const char *password_file;
	char salt[257];
	bool slow_hash;
	bool nothing_before_unlock;
	char actions[CONFIG_ACTIONS_MAX][ACT_NAME_MAX + 1];
	size_t n_actions;
	struct api_upload uploads[CONFIG_UPLOADS_MAX];
	size_t n_uploads;
};

/* 0, or negative errno with a line for people in error. */
int api_options_parse(struct api_options *ret, const char *json, char *error, size_t error_size);

/* From descriptor 4. */
int api_options_read(struct api_options *ret, char *error, size_t error_size);

/*
 * "example.com\n10.0.0.1\n": one name a line, blank lines and those with a # ignored. False: none, or one that is
 * none.
 */
bool api_hosts_parse(struct api_options *o, const char *text);

#endif
