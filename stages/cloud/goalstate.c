/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Values are found by their whole path (protocol of the wireserver, docs/stages.md), so that an element of the same
 * name elsewhere changes nothing. Several role instances would make "which one are we?" a guess: refused.
 */
#define _GNU_SOURCE
#include "goalstate.h"

#include <ctype.h>
#include <errno.h>
#include <expat.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "init/lib/utf8.h"

#define DEPTH_MAX 16
#define PATH_MAX_BYTES 256

static const struct wanted {
	const char *path;
	const char *name;
	size_t offset, size;
} wanted[] = {
	{"/GoalState/Incarnation", "Incarnation",
	 offsetof(struct goalstate, incarnation), sizeof(((struct goalstate *)0)->incarnation)},
	{"/GoalState/Container/ContainerId", "ContainerId",
	 offsetof(struct goalstate, container_id), sizeof(((struct goalstate *)0)->container_id)},
	{"/GoalState/Container/RoleInstanceList/RoleInstance/InstanceId", "InstanceId",
	 offsetof(struct goalstate, instance_id), sizeof(((struct goalstate *)0)->instance_id)},
};

#define WANTED_MAX (sizeof(wanted) / sizeof(wanted[0]))

struct parse {
	XML_Parser parser;
	char path[PATH_MAX_BYTES];
	int depth;
	int current;			/* index in wanted while inside that element, or -1 */
	int current_depth;
	bool seen[WANTED_MAX];
	struct goalstate found;
	size_t used;
	char error[128];
};

static void refuse(struct parse *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void refuse(struct parse *p, const char *fmt, ...)
{
	va_list ap;

	if (!p->error[0]) {
		va_start(ap, fmt);
		vsnprintf(p->error, sizeof(p->error), fmt, ap);
		va_end(ap);
	}
	XML_StopParser(p->parser, XML_FALSE);
}

static void on_start(void *context, const char *name, const char **attributes)
{
	struct parse *p = context;
	size_t n = strlen(p->path);

	(void)attributes;
	if (++p->depth > DEPTH_MAX || n + 1 + strlen(name) >= sizeof(p->path)) {
		refuse(p, "nested too deeply");
		return;
	}
	snprintf(p->path + n, sizeof(p->path) - n, "/%s", name);
	if (p->current >= 0) {
		refuse(p, "%s has children", wanted[p->current].name);
		return;
	}
	for (size_t i = 0; i < WANTED_MAX; i++) {
		if (strcmp(p->path, wanted[i].path) != 0)
			continue;
		if (p->seen[i]) {
			refuse(p, "more than one %s", wanted[i].name);
			return;
		}
		p->seen[i] = true;
		p->current = (int)i;
		p->current_depth = p->depth;
		p->used = 0;
	}
}

static void on_end(void *context, const char *name)
{
	struct parse *p = context;
	char *slash = strrchr(p->path, '/');

	(void)name;
	if (slash)
		*slash = '\0';
	if (p->current >= 0 && p->depth == p->current_depth)
		p->current = -1;
	p->depth--;
}

static void on_text(void *context, const char *text, int size)
{
	struct parse *p = context;
	char *value;

	if (p->current < 0)
		return;
	value = (char *)&p->found + wanted[p->current].offset;
	if (p->used + (size_t)size >= wanted[p->current].size) {
		refuse(p, "%s is too long", wanted[p->current].name);
		return;
	}
	memcpy(value + p->used, text, (size_t)size);
	p->used += (size_t)size;
	value[p->used] = '\0';
}

static void on_doctype(void *context, const char *name, const char *system, const char *public, int internal)
{
	(void)name;
	(void)system;
	(void)public;
	(void)internal;
	refuse(context, "document type refused");
}

static void trim(char *text)
{
	size_t from = strspn(text, " \t\r\n"), n = strlen(text);

	while (n > from && strchr(" \t\r\n", text[n - 1]))
		n--;
	memmove(text, text + from, n - from);
	text[n - from] = '\0';
}

static bool is_guid(const char *text)
{
	if (strlen(text) != 36)
		return false;
	for (size_t i = 0; i < 36; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (dash ? text[i] != '-' : !isxdigit((unsigned char)text[i]))
			return false;
	}
	return true;
}

static void check(struct parse *p)
{
	struct goalstate *g = &p->found;

	for (size_t i = 0; i < WANTED_MAX; i++) {
		char *value = (char *)g + wanted[i].offset;

		trim(value);
		if (!p->seen[i] || !value[0]) {
			refuse(p, "%s is missing", wanted[i].name);
			return;
		}
		for (const char *c = value; *c; c++) {
			if ((unsigned char)*c < ' ' || *c == 0x7F) {
				refuse(p, "%s has control characters", wanted[i].name);
				return;
			}
		}
	}
	if (g->incarnation[strspn(g->incarnation, "0123456789")])
		refuse(p, "Incarnation is not a number");
	else if (!is_guid(g->container_id))
		refuse(p, "ContainerId is not a GUID");
}

/* expat 2.9 has another name for it. */
static uint64_t line_number(XML_Parser parser)
{
#if XML_MAJOR_VERSION > 2 || XML_MINOR_VERSION >= 9
	return XML_GetCurrentLineNumber64(parser);
#else
	return XML_GetCurrentLineNumber(parser);
#endif
}

int goalstate_parse(const void *bytes, size_t size, struct goalstate *ret, char *error, size_t error_size)
{
	struct parse p = {.current = -1};

	if (size == 0 || size > GOALSTATE_SIZE_MAX) {
		snprintf(error, error_size, "%zu bytes, expected 1 to %d", size, GOALSTATE_SIZE_MAX);
		return -EBADMSG;
	}
	p.parser = XML_ParserCreate(NULL);
	if (!p.parser) {
		snprintf(error, error_size, "out of memory");
		return -ENOMEM;
	}
	XML_SetUserData(p.parser, &p);
	XML_SetElementHandler(p.parser, on_start, on_end);
	XML_SetCharacterDataHandler(p.parser, on_text);
	XML_SetStartDoctypeDeclHandler(p.parser, on_doctype);
	if (XML_Parse(p.parser, bytes, (int)size, 1) != XML_STATUS_OK && !p.error[0])
		snprintf(p.error, sizeof(p.error), "line %llu: %s", (unsigned long long)line_number(p.parser),
			 XML_ErrorString(XML_GetErrorCode(p.parser)));
	if (!p.error[0])
		check(&p);
	XML_ParserFree(p.parser);
	if (p.error[0]) {
		snprintf(error, error_size, "%s", p.error);
		return -EBADMSG;
	}
	*ret = p.found;
	return 0;
}

struct text {
	char *bytes;
	size_t size, used;
};

static void put(struct text *t, const char *bytes, size_t size)
{
	if (t->used + size < t->size)
		memcpy(t->bytes + t->used, bytes, size);
	t->used += size;
}

static void put_string(struct text *t, const char *string)
{
	put(t, string, strlen(string));
}

/* Text content: markup escaped, control characters as spaces, because XML 1.0 has no way to carry them. */
static void put_escaped(struct text *t, const char *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		unsigned char c = (unsigned char)bytes[i];

		if (c == '&')
			put_string(t, "&amp;");
		else if (c == '<')
			put_string(t, "&lt;");
		else if (c == '>')
			put_string(t, "&gt;");
		else if (c < ' ' || c == 0x7F)
			put_string(t, " ");
		else
			put(t, bytes + i, 1);
	}
}

/*
 * The size of the longest prefix of at most `maximum` bytes that is valid UTF-8 and that XML may hold: a report with a
 * broken character is not XML, and the host would refuse the very message that reports the failure.
 */
static size_t valid_utf8_prefix(const char *text, size_t maximum)
{
	size_t size = strnlen(text, maximum), n = 0;

	for (size_t i = 0; i < size; i += n) {
		uint32_t c = 0;

		n = utf8_decode(text + i, size - i, &c);
		if (n == 0 || c == 0xfffe || c == 0xffff)
			return i;
	}
	return size;
}

int health_format(const struct goalstate *g, const char *description, char *text, size_t text_size)
{
	struct text t = {.bytes = text, .size = text_size};

	put_string(&t, "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<Health><GoalStateIncarnation>");
	put_escaped(&t, g->incarnation, strlen(g->incarnation));
	put_string(&t, "</GoalStateIncarnation><Container><ContainerId>");
	put_escaped(&t, g->container_id, strlen(g->container_id));
	put_string(&t, "</ContainerId><RoleInstanceList><Role><InstanceId>");
	put_escaped(&t, g->instance_id, strlen(g->instance_id));
	put_string(&t, "</InstanceId><Health><State>");
	if (!description) {
		put_string(&t, "Ready</State>");
	} else {
		put_string(&t, "NotReady</State><Details><SubStatus>ProvisioningFailed</SubStatus><Description>");
		put_escaped(&t, description, valid_utf8_prefix(description, HEALTH_DESCRIPTION_MAX));
		put_string(&t, "</Description></Details>");
	}
	put_string(&t, "</Health></Role></RoleInstanceList></Container></Health>\n");
	if (t.used >= t.size)
		return -ENOBUFS;
	text[t.used] = '\0';
	return (int)t.used;
}
