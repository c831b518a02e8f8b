/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Values are found by their whole path (protocol of the wireserver, docs/stages.md), so that an element of the same
 * name elsewhere changes nothing. A goal state with several role instances is refused: none of them is known to be
 * this machine.
 */
#define _GNU_SOURCE
#include "goalstate.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "init/lib/utf8.h"
#include "stages/lib/xml.h"

static const struct wanted {
	const char *path;
	const char *name;
	size_t offset, size;
} wanted[] = {
	{"GoalState/Incarnation", "Incarnation",
	 offsetof(struct goalstate, incarnation), sizeof(((struct goalstate *)0)->incarnation)},
	{"GoalState/Container/ContainerId", "ContainerId",
	 offsetof(struct goalstate, container_id), sizeof(((struct goalstate *)0)->container_id)},
	{"GoalState/Container/RoleInstanceList/RoleInstance/InstanceId", "InstanceId",
	 offsetof(struct goalstate, instance_id), sizeof(((struct goalstate *)0)->instance_id)},
};

#define WANTED_MAX (sizeof(wanted) / sizeof(wanted[0]))

struct parse {
	bool seen[WANTED_MAX];
	struct goalstate found;
	char error[128];
};

static int refuse(struct parse *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static int refuse(struct parse *p, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(p->error, sizeof(p->error), fmt, ap);
	va_end(ap);
	return -EBADMSG;
}

static int on_element(void *context, const char *path, const char *text, size_t size)
{
	struct parse *p = context;

	for (size_t i = 0; i < WANTED_MAX; i++) {
		size_t n = strlen(wanted[i].path);

		if (strncmp(path, wanted[i].path, n) != 0)
			continue;
		if (path[n] == '/')
			return refuse(p, "%s has children", wanted[i].name);
		if (path[n])
			continue;
		if (p->seen[i])
			return refuse(p, "more than one %s", wanted[i].name);
		if (size >= wanted[i].size)
			return refuse(p, "%s is too long", wanted[i].name);
		p->seen[i] = true;
		memcpy((char *)&p->found + wanted[i].offset, text, size + 1);
	}
	return 0;
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

static int check(struct parse *p)
{
	struct goalstate *g = &p->found;

	for (size_t i = 0; i < WANTED_MAX; i++) {
		char *value = (char *)g + wanted[i].offset;

		trim(value);
		if (!p->seen[i] || !value[0])
			return refuse(p, "%s is missing", wanted[i].name);
		for (const char *c = value; *c; c++)
			if ((unsigned char)*c < ' ' || *c == 0x7F)
				return refuse(p, "%s has control characters", wanted[i].name);
	}
	if (g->incarnation[strspn(g->incarnation, "0123456789")])
		return refuse(p, "Incarnation is not a number");
	return is_guid(g->container_id) ? 0 : refuse(p, "ContainerId is not a GUID");
}

int goalstate_parse(const void *bytes, size_t size, struct goalstate *ret, char *error, size_t error_size)
{
	struct xml_fault fault = {0};
	struct parse p = {0};
	int r;

	if (size == 0 || size > GOALSTATE_SIZE_MAX) {
		snprintf(error, error_size, "%zu bytes, expected 1 to %d", size, GOALSTATE_SIZE_MAX);
		return -EBADMSG;
	}
	r = xml_parse(bytes, size, on_element, &p, &fault);
	if (r == 0)
		r = check(&p);
	else if (!p.error[0] && fault.line)
		refuse(&p, "line %llu: %s", fault.line, fault.reason);
	else if (!p.error[0])
		refuse(&p, "%s", fault.reason);
	if (r < 0) {
		snprintf(error, error_size, "%s", p.error);
		return r == -ENOMEM ? r : -EBADMSG;
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
