/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Implements filter.h: a table of arguments, each with the function that parses its value. Parsing is strict, so that a
 * typing error never shows the wrong events.
 */
#include <errno.h>
#include <string.h>

#include "filter.h"

int filter_number(uint64_t *ret, const char *value, size_t size)
{
	uint64_t number = 0;

	if (size == 0 || size > FILTER_DIGITS_MAX)
		return -EINVAL;
	for (size_t i = 0; i < size; i++) {
		if (value[i] < '0' || value[i] > '9')
			return -EINVAL;
		number = number * 10 + (uint64_t)(value[i] - '0');
	}
	*ret = number;
	return 0;
}

static int take_since(struct filter *filter, const char *value, size_t size)
{
	return filter_number(&filter->since, value, size);
}

static int take_limit(struct filter *filter, const char *value, size_t size)
{
	return filter_number(&filter->limit, value, size);
}

static int take_action(struct filter *filter, const char *value, size_t size)
{
	return filter_number(&filter->action, value, size);
}

static int take_level(struct filter *filter, const char *value, size_t size)
{
	static const char *const names[] = EVENT_LEVEL_NAMES;

	for (uint32_t i = 0; i < EVENT_LEVEL_MAX; i++) {
		if (strlen(names[i]) != size || memcmp(names[i], value, size) != 0)
			continue;
		filter->level = i;
		return 0;
	}
	return -EINVAL;
}

/* The characters of node names, which other sources keep to as well. */
static bool source_valid(const char *name, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (!((name[i] >= 'a' && name[i] <= 'z') || (name[i] >= '0' && name[i] <= '9') || name[i] == '-'))
			return false;
	return size > 0 && size <= EVENT_SOURCE_MAX;
}

static int take_source(struct filter *filter, const char *value, size_t size)
{
	char *name;

	if (filter->n_sources >= FILTER_SOURCES_MAX || !source_valid(value, size))
		return -EINVAL;
	name = filter->sources[filter->n_sources++];
	memcpy(name, value, size);
	name[size] = '\0';
	return 0;
}

static int take_boot(struct filter *filter, const char *value, size_t size)
{
	size_t sign = size > 0 && value[0] == '-';
	uint64_t number;

	if (filter_number(&number, value + sign, size - sign) < 0 || number > FILTER_BOOT_MAX || (!sign && number > 0))
		return -EINVAL;
	filter->boot = -(int32_t)number;
	return 0;
}

static const struct {
	const char *name;
	bool repeats;
	int (*take)(struct filter *filter, const char *value, size_t size);
} arguments[FILTER_ARGUMENT_MAX] = {
	[FILTER_SINCE] = {"since", false, take_since},
	[FILTER_LEVEL] = {"level", false, take_level},
	[FILTER_SOURCE] = {"source", true, take_source},
	[FILTER_LIMIT] = {"limit", false, take_limit},
	[FILTER_BOOT] = {"boot", false, take_boot},
	[FILTER_ACTION] = {"action", false, take_action},
};

int filter_argument(struct filter *filter, const char *name, size_t name_size, const char *value, size_t size)
{
	for (size_t i = 0; i < FILTER_ARGUMENT_MAX; i++) {
		if (strlen(arguments[i].name) != name_size || memcmp(arguments[i].name, name, name_size) != 0)
			continue;
		if (!value || (!arguments[i].repeats && (filter->given & 1u << i)))
			return -EINVAL;
		filter->given |= 1u << i;
		return arguments[i].take(filter, value, size);
	}
	return 0;
}

bool filter_given(const struct filter *filter, enum filter_argument argument)
{
	return filter->given & 1u << argument;
}

bool filter_valid(const struct filter *filter)
{
	if (filter->given >= 1u << FILTER_ARGUMENT_MAX || filter->level >= EVENT_LEVEL_MAX ||
	    filter->n_sources > FILTER_SOURCES_MAX || filter->boot > 0 || filter->boot < -FILTER_BOOT_MAX)
		return false;
	for (uint32_t i = 0; i < filter->n_sources; i++)
		if (!source_valid(filter->sources[i], strnlen(filter->sources[i], sizeof(filter->sources[i]))))
			return false;
	return true;
}

static bool source_matches(const struct filter *filter, const struct event_view *e)
{
	for (uint32_t i = 0; i < filter->n_sources; i++)
		if (strlen(filter->sources[i]) == e->head.source_size &&
		    memcmp(filter->sources[i], e->source, e->head.source_size) == 0)
			return true;
	return filter->n_sources == 0;
}

/* By its fields action=NAME id=ID. */
static bool action_matches(const struct filter *filter, const struct event_view *e)
{
	const char *value = event_field(e, "id");
	uint64_t id;

	return event_field(e, "action") && value && filter_number(&id, value, strlen(value)) == 0 &&
	       id == filter->action;
}

bool filter_matches(const struct filter *filter, const struct event_view *e)
{
	return e->head.seq > filter->since && e->head.level >= filter->level && source_matches(filter, e) &&
	       (!filter_given(filter, FILTER_ACTION) || action_matches(filter, e));
}
