/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Collects the status out of PID 1's messages; status-json.c writes the document. */
#include <errno.h>
#include <string.h>

#include "init/lib/utf8.h"
#include "status.h"

static void clean(char *string, size_t room)
{
	char raw[NODE_REASON_MAX];

	string[room - 1] = '\0';
	memcpy(raw, string, strlen(string) + 1);
	string[utf8_clean(string, room - 1, raw, strlen(raw))] = '\0';
}

/* PID 1 has cleaned the values; the form is checked again, because the code below relies on it. */
static int take_facts(struct status_facts *facts, const char *body, size_t size)
{
	if (size == 0 || size > sizeof(facts->bytes) || body[size - 1])
		return -EBADMSG;
	for (const char *f = body; f < body + size; f += strlen(f) + 1)
		if (!strchr(f, '='))
			return -EBADMSG;
	memcpy(facts->bytes, body, size);
	facts->size = size;
	return 0;
}

/* In one or more pieces. */
static int take_lines(struct status_lines *lines, const char *body, size_t size)
{
	if (size < sizeof(lines->dropped))
		return -EBADMSG;
	lines->known = true;
	memcpy(&lines->dropped, body, sizeof(lines->dropped));
	body += sizeof(lines->dropped);
	size -= sizeof(lines->dropped);
	if (size > sizeof(lines->bytes) - lines->size || (size > 0 && body[size - 1]))
		return -EBADMSG;
	memcpy(lines->bytes + lines->size, body, size);
	lines->size += size;
	return 0;
}

static int take_refresh(struct status *status, const void *body)
{
	const struct control_refresh *refresh = &status->refresh;

	memcpy(&status->refresh, body, sizeof(status->refresh));
	status->refreshes = true;
	clean(status->refresh.sha256, sizeof(status->refresh.sha256));
	clean(status->refresh.reason, sizeof(status->refresh.reason));
	return refresh->state < REFRESH_STATE_MAX && refresh->outcome < REFRESH_OUTCOME_MAX ? 0 : -EBADMSG;
}

int status_take(struct status *status, unsigned kind, const void *body, size_t size)
{
	if (kind == CONTROL_BOOT && size == sizeof(status->boot)) {
		memcpy(&status->boot, body, size);
		status->n_nodes = 0;
		status->last_shutdown.size = 0;
		status->refreshes = false;
		clean(status->boot.reason, sizeof(status->boot.reason));
		clean(status->boot.version, sizeof(status->boot.version));
		clean(status->boot.hostname, sizeof(status->boot.hostname));
		clean(status->boot.kernel, sizeof(status->boot.kernel));
		clean(status->boot.image_name, sizeof(status->boot.image_name));
		clean(status->boot.image_version, sizeof(status->boot.image_version));
		clean(status->boot.certificate_sha256, sizeof(status->boot.certificate_sha256));
		if (status->boot.last_shutdown_size > sizeof(status->boot.last_shutdown) ||
		    (status->boot.last_shutdown_size &&
		     take_facts(&status->last_shutdown, status->boot.last_shutdown,
				status->boot.last_shutdown_size) < 0))
			return -EBADMSG;
		return status->boot.state < BOOT_STATE_MAX ? 0 : -EBADMSG;
	}
	if (kind == CONTROL_REFRESHES && size == sizeof(status->refresh))
		return take_refresh(status, body);
	if (kind == CONTROL_NODE && size == sizeof(struct control_node) && status->n_nodes < STATUS_NODES_MAX) {
		struct control_node *node = &status->nodes[status->n_nodes];

		memcpy(node, body, size);
		clean(node->name, sizeof(node->name));
		clean(node->type, sizeof(node->type));
		clean(node->reason, sizeof(node->reason));
		clean(node->progress_text, sizeof(node->progress_text));
		status->facts[status->n_nodes].size = 0;
		status->lines[status->n_nodes].size = 0;
		status->lines[status->n_nodes].known = false;
		if (node->state >= NODE_STATE_MAX || node->kind >= NODE_KIND_MAX)
			return -EBADMSG;
		status->n_nodes++;
		return 0;
	}
	if (kind == CONTROL_FACTS && status->n_nodes > 0)
		return take_facts(&status->facts[status->n_nodes - 1], body, size);
	if (kind == CONTROL_LINES && status->n_nodes > 0)
		return take_lines(&status->lines[status->n_nodes - 1], body, size);
	return -EBADMSG;
}

/* ---- questions about it --------------------------------------------------------------------------------------- */

int64_t status_end_ns(const struct status *status, const struct control_node *node)
{
	return node->ended_ns >= node->started_ns && node->ended_ns > 0 ? node->ended_ns : status->boot.now_ns;
}

int64_t status_boot_end_ns(const struct status *status)
{
	return status->boot.ended_ns > 0 ? status->boot.ended_ns : status->boot.now_ns;
}

int64_t status_axis_end_ns(const struct status *status)
{
	int64_t end = status_boot_end_ns(status);

	for (size_t i = 0; i < status->n_nodes; i++) {
		const struct control_node *node = &status->nodes[i];

		if (node->kind == NODE_STAGE && node->first_started_ns > 0 && status_end_ns(status, node) > end)
			end = status_end_ns(status, node);
	}
	return end > 0 ? end : 1;
}

int64_t status_took_ns(const struct status *status, const struct control_node *node)
{
	return node->first_started_ns > 0 ? status_end_ns(status, node) - node->first_started_ns : 0;
}

int64_t status_uptime_ns(const struct status *status, const struct control_node *node)
{
	return node->pid > 0 && node->started_ns > 0 ? status->boot.now_ns - node->started_ns : 0;
}

const char *status_fact(const struct status_facts *facts, const char *name)
{
	return text_field(facts->bytes, facts->size, name);
}

/* -12.25: as JSON writes it, and short enough for every reader's numbers. */
bool status_is_number(const char *value)
{
	const char *digits = value + (*value == '-');
	size_t whole = strspn(digits, "0123456789");
	const char *point = digits + whole;
	size_t fraction = *point == '.' ? strspn(point + 1, "0123456789") : 0;

	if (whole == 0 || (whole > 1 && digits[0] == '0') || whole + fraction > 20)
		return false;
	return *point ? fraction > 0 && !point[1 + fraction] : true;
}

const char *status_number(const struct status_facts *facts, const char *name)
{
	const char *value = status_fact(facts, name);

	return value && status_is_number(value) ? value : NULL;
}

const struct status_facts *status_facts_of(const struct status *status, const char *type)
{
	for (size_t i = 0; i < status->n_nodes; i++)
		if (status->nodes[i].kind == NODE_STAGE && strcmp(status->nodes[i].type, type) == 0)
			return status->facts[i].size > 0 ? &status->facts[i] : NULL;
	return NULL;
}
