/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements message.h. */
#include <ctype.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "message.h"

#define DIGITS  "0123456789"
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define TOKEN   DIGITS LETTERS "!#$%&'*+-.^_`|~"		/* RFC 9110 5.6.2 */
#define NAME    DIGITS LETTERS "-._~!$&'()*+,;=%"		/* RFC 3986 3.2.2, reg-name */

struct fields {
	size_t lengths, hosts, codings;
	bool name_wrong, host_wrong;
};

static bool consists_of(const char *text, size_t size, const char *characters)
{
	size_t n = 0;

	while (n < size && text[n] && strchr(characters, text[n]))
		n++;
	return n == size;
}

/* Every % begins an escape. */
static bool has_whole_escapes(const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (text[i] == '%' && (size - i < 3 || !isxdigit((unsigned char)text[i + 1]) ||
				       !isxdigit((unsigned char)text[i + 2])))
			return false;
	return true;
}

/* uri-host [":" port] of RFC 3986; both may be empty. */
static bool is_authority(const char *text, size_t size)
{
	const char *close = size > 0 && text[0] == '[' ? memchr(text, ']', size) : NULL;
	const char *colon = close ? close + 1 : memchr(text, ':', size), *end = text + size;

	if (!colon)
		colon = end;
	if (close ? close == text + 1 || !consists_of(text + 1, (size_t)(close - text - 1), NAME ":") :
		    !consists_of(text, (size_t)(colon - text), NAME) || !has_whole_escapes(text, size))
		return false;
	return colon == end || (*colon == ':' && consists_of(colon + 1, (size_t)(end - colon - 1), DIGITS));
}

static bool is(const char *name, size_t size, const char *word)
{
	return size == strlen(word) && strncasecmp(name, word, size) == 0;
}

static enum MHD_Result take_field(void *with, enum MHD_ValueKind kind, const char *name, size_t name_size,
				  const char *value, size_t size)
{
	struct fields *f = with;

	(void)kind;
	f->name_wrong |= name_size == 0 || !consists_of(name, name_size, TOKEN);
	f->lengths += is(name, name_size, MHD_HTTP_HEADER_CONTENT_LENGTH);
	f->codings += is(name, name_size, MHD_HTTP_HEADER_TRANSFER_ENCODING);
	if (!is(name, name_size, MHD_HTTP_HEADER_HOST))
		return MHD_YES;
	f->hosts++;
	f->host_wrong |= !is_authority(value ? value : "", size);
	return MHD_YES;
}

const char *message_fault(struct MHD_Connection *connection, const char *method, const char *version)
{
	struct fields f = {0};

	MHD_get_connection_values_n(connection, MHD_HEADER_KIND, take_field, &f);
	if (!*method || !consists_of(method, strlen(method), TOKEN))
		return "The method is not a token";
	if (f.name_wrong)
		return "The name of a field is not a token";
	if (f.hosts > 1 || f.host_wrong)
		return "Host is not one host";
	if (f.lengths > 1)
		return "Content-Length is there more than once";
	if (f.codings > 1)
		return "Transfer-Encoding is there more than once";
	if (f.codings > 0 && !strcmp(version, MHD_HTTP_VERSION_1_0))
		return "HTTP/1.0 has no Transfer-Encoding";
	return NULL;
}

const char *message_trailer_fault(struct MHD_Connection *connection)
{
	struct fields f = {0};

	MHD_get_connection_values_n(connection, MHD_FOOTER_KIND, take_field, &f);
	return f.name_wrong ? "The name of a trailer field is not a token" : NULL;
}

const char *message_path(const char *target)
{
	static const char *const schemes[] = {"https://", "http://"};

	for (size_t i = 0; i < sizeof(schemes) / sizeof(*schemes); i++) {
		const char *host = target + strlen(schemes[i]);
		size_t n;

		if (strncasecmp(target, schemes[i], strlen(schemes[i])) != 0)
			continue;
		n = strcspn(host, "/");
		if (n == 0 || *host == ':' || !is_authority(host, n))
			return NULL;
		return host[n] ? host + n : "/";
	}
	return *target == '/' || !strcmp(target, "*") ? target : NULL;
}
