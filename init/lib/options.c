/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements options.h. */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <json-c/json.h>

#include <gantry/cleanup.h>
#include <gantry/report.h>

#include "options.h"

int options_text(size_t max, char **ret, size_t *ret_size)
{
	_cleanup_(cleanup_free) char *text = NULL;
	struct stat st;
	ssize_t n;

	if (fstat(OPTIONS_FD, &st) < 0)
		return -errno;
	if (st.st_size <= 0)
		return -ENODATA;
	if ((uint64_t)st.st_size > max)
		return -EFBIG;
	text = calloc(1, (size_t)st.st_size + 1);
	if (!text)
		return -ENOMEM;
	n = pread(OPTIONS_FD, text, (size_t)st.st_size, 0);
	if (n != st.st_size)
		return n < 0 ? -errno : -EIO;
	close(OPTIONS_FD);
	if (ret_size)
		*ret_size = (size_t)n;
	*ret = text;
	text = NULL;
	return 0;
}

int options_json(size_t max, struct json_object **ret)
{
	_cleanup_(cleanup_free) char *text = NULL;
	int r = options_text(max, &text, NULL);

	if (r < 0)
		return r;
	*ret = json_tokener_parse(text);
	return *ret ? 0 : -EBADMSG;
}
