/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mbedTLS does the work, in constant time, since the bytes may be keys. It passes over white space and stray bits;
 * what was decoded is therefore encoded again and compared.
 */
#define _GNU_SOURCE
#include "base64.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <mbedtls/base64.h>

static void replace(char *text, size_t size, const char from[2], const char to[2])
{
	for (size_t i = 0; i < size; i++)
		text[i] = text[i] == from[0] ? to[0] : text[i] == from[1] ? to[1] : text[i];
}

size_t base64_encode(const void *bytes, size_t size, bool url, char *ret)
{
	size_t n = 0;

	if (mbedtls_base64_encode((unsigned char *)ret, BASE64_SIZE(size), &n, bytes, size) != 0)
		n = 0;
	if (url) {
		replace(ret, n, "+/", "-_");
		while (n && ret[n - 1] == '=')
			n--;
	}
	ret[n] = '\0';
	return n;
}

static int decode(const char *text, size_t size, bool url, void *ret, size_t maximum, size_t *ret_size)
{
	size_t padded = (size + 3) / 4 * 4, n = 0;
	char *copy = malloc(padded + 1);
	int r;

	if (!copy)
		return -ENOMEM;
	memcpy(copy, text, size);
	memset(copy + size, '=', padded - size);
	if (url)
		replace(copy, size, "-_", "+/");
	r = mbedtls_base64_decode(ret, maximum, &n, (const unsigned char *)copy, padded);
	if (r == 0 && (base64_encode(ret, n, url, copy) != size || memcmp(copy, text, size) != 0))
		r = MBEDTLS_ERR_BASE64_INVALID_CHARACTER;
	explicit_bzero(copy, padded + 1);
	free(copy);
	if (r == 0)
		*ret_size = n;
	return r == 0 ? 0 : r == MBEDTLS_ERR_BASE64_BUFFER_TOO_SMALL ? -EMSGSIZE : -EBADMSG;
}

int base64_decode(const char *text, size_t size, bool url, char **ret, size_t *ret_size)
{
	size_t room = size / 4 * 3 + 4, n;
	char *bytes = malloc(room);
	int r = bytes ? decode(text, size, url, bytes, room - 1, &n) : -ENOMEM;

	if (r < 0) {
		if (bytes)
			explicit_bzero(bytes, room);
		free(bytes);
		return r;
	}
	bytes[n] = '\0';
	*ret = bytes;
	*ret_size = n;
	return 0;
}

int base64_decode_into(const char *text, void *ret, size_t maximum, size_t *ret_size)
{
	return decode(text, strlen(text), false, ret, maximum, ret_size);
}
