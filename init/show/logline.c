/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Implements logline.h. json-c parses the line, the members that an event has are checked for their types, and the
 * record is built from them: other members are ignored.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <json-c/json.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <gantry/cleanup.h>

#include "init/lib/utf8.h"
#include "logline.h"

#define DEPTH_MAX     3			/* the object, its fields, their values */
#define SECOND_NS     1000000000
#define BOOT_S_MAX    9e9		/* of which the nanoseconds fit */
#define YEAR_LEAST    1700		/* likewise */
#define YEAR_MOST     2261
#define KEY_MAX       32
#define NUMBER_MOST   999999999999999	/* as event_json() writes them as numbers */

/* ---- lines ---------------------------------------------------------------------------------------------------- */

void log_lines_begin(struct log_lines *lines, int fd, int64_t end)
{
	lines->fd = fd;
	lines->at = 0;
	lines->end = end;
	lines->used = lines->done = 0;
}

/* Reads more behind the bytes in the buffer. Their number, 0 at the end, or negative errno. */
static ssize_t fill(struct log_lines *lines)
{
	size_t room;
	ssize_t n;

	memmove(lines->bytes, lines->bytes + lines->done, lines->used - lines->done);
	lines->used -= lines->done;
	lines->done = 0;
	room = sizeof(lines->bytes) - lines->used;
	if ((int64_t)room > lines->end - lines->at)
		room = (size_t)(lines->end - lines->at);
	if (room == 0 || lines->fd < 0)
		return 0;
	do
		n = pread(lines->fd, lines->bytes + lines->used, room, lines->at);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	lines->used += (size_t)n;
	lines->at += n;
	return n;
}

int log_lines_next(struct log_lines *lines, const char **ret, size_t *ret_size)
{
	bool skipping = false;

	for (;;) {
		char *line = lines->bytes + lines->done, *end = memchr(line, '\n', lines->used - lines->done);
		size_t size = end ? (size_t)(end - line) : lines->used - lines->done;
		ssize_t n;

		if (end) {
			lines->done += size + 1;
			if (!skipping && size <= LOG_LINE_MAX) {
				*ret = line;
				*ret_size = size;
				return 1;
			}
			skipping = false;
			continue;
		}
		if (size > LOG_LINE_MAX) {
			skipping = true;
			lines->done = lines->used;
		}
		n = fill(lines);
		if (n <= 0)
			return (int)n;
	}
}

/* ---- the members of a line ------------------------------------------------------------------------------------ */

static struct json_object *parse_as(const char *line, size_t size, int flags)
{
	struct json_tokener *tokener = json_tokener_new_ex(DEPTH_MAX);
	struct json_object *object;

	if (!tokener)
		return NULL;
	json_tokener_set_flags(tokener, flags);
	object = json_tokener_parse_ex(tokener, line, (int)size);
	if (json_tokener_get_error(tokener) != json_tokener_success || json_tokener_get_parse_end(tokener) != size ||
	    !json_object_is_type(object, json_type_object)) {
		json_object_put(object);
		object = NULL;
	}
	json_tokener_free(tokener);
	return object;
}

/*
 * The line's object, or NULL. json-c 0.18 takes every byte above 127 for a control character when it is strict, so such
 * a line is first read strictly with other letters in their places.
 */
static struct json_object *parse(const char *line, size_t size)
{
	char ascii[LOG_LINE_MAX];
	struct json_object *object;
	bool other = false;

	if (size < 2 || size > LOG_LINE_MAX || line[0] != '{' || line[size - 1] != '}' || memchr(line, '\0', size))
		return NULL;
	for (size_t i = 0; i < size; i++) {
		ascii[i] = line[i] & 0x80 ? '?' : line[i];
		other |= (line[i] & 0x80) != 0;
	}
	object = parse_as(ascii, size, JSON_TOKENER_STRICT);
	if (!object || !other)
		return object;
	json_object_put(object);
	return parse_as(line, size, 0);
}

static bool get_string(struct json_object *object, const char *name, const char **ret, size_t *ret_size)
{
	struct json_object *value;

	if (!json_object_object_get_ex(object, name, &value) || !json_object_is_type(value, json_type_string))
		return false;
	*ret = json_object_get_string(value);
	*ret_size = (size_t)json_object_get_string_len(value);
	return true;
}

/* The place of a string member in a list of words, or -1. */
static int get_word(struct json_object *object, const char *name, const char *const *words, int n)
{
	const char *value;
	size_t size;

	if (!get_string(object, name, &value, &size))
		return -1;
	for (int i = 0; i < n; i++)
		if (strlen(words[i]) == size && memcmp(words[i], value, size) == 0)
			return i;
	return -1;
}

static bool get_true(struct json_object *object, const char *name)
{
	struct json_object *value;

	return json_object_object_get_ex(object, name, &value) && json_object_is_type(value, json_type_boolean) &&
	       json_object_get_boolean(value);
}

static bool get_seq(struct json_object *object, uint64_t *ret)
{
	struct json_object *value;

	if (!json_object_object_get_ex(object, "seq", &value) || !json_object_is_type(value, json_type_int) ||
	    json_object_get_int64(value) <= 0 || json_object_get_int64(value) == INT64_MAX)
		return false;
	*ret = (uint64_t)json_object_get_int64(value);
	return true;
}

/* Whole microseconds, as they were written. */
static bool get_boot_ns(struct json_object *object, int64_t *ret)
{
	struct json_object *value;
	double seconds;

	if (!json_object_object_get_ex(object, "boot_s", &value) || !json_object_is_type(value, json_type_double))
		return false;
	seconds = json_object_get_double(value);
	if (!(seconds >= 0 && seconds < BOOT_S_MAX))
		return false;
	*ret = (int64_t)llround(seconds * 1e6) * 1000;
	return true;
}

/* Decimal digits, exactly so many. -1: they are not. */
static int digits(const char **at, int n)
{
	int value = 0;

	for (; n > 0; n--, (*at)++) {
		if (**at < '0' || **at > '9')
			return -1;
		value = value * 10 + (**at - '0');
	}
	return value;
}

/* The end of a time: a fraction or none, then Z. */
static bool read_fraction(const char *at, int64_t *ret)
{
	int64_t unit = SECOND_NS / 10;

	*ret = 0;
	if (*at == '.') {
		for (at++; *at >= '0' && *at <= '9' && unit > 0; at++, unit /= 10)
			*ret += (*at - '0') * unit;
	}
	return strcmp(at, "Z") == 0;
}

/* A time as time_rfc3339() writes it. */
static bool get_wall_ns(struct json_object *object, int64_t *ret)
{
	static const char separators[] = "--T::";
	int part[6];
	const char *at;
	int64_t fraction;
	struct tm tm;
	time_t seconds;
	size_t size;

	if (!get_string(object, "received_at", &at, &size) || strlen(at) != size)
		return false;
	for (int i = 0; i < 6; i++) {
		part[i] = digits(&at, i == 0 ? 4 : 2);
		if (part[i] < 0 || (i < 5 && *at++ != separators[i]))
			return false;
	}
	if (part[0] < YEAR_LEAST || part[0] > YEAR_MOST || !read_fraction(at, &fraction))
		return false;
	tm = (struct tm){.tm_year = part[0] - 1900, .tm_mon = part[1] - 1, .tm_mday = part[2], .tm_hour = part[3],
			 .tm_min = part[4], .tm_sec = part[5]};
	seconds = timegm(&tm);
	if (tm.tm_mon != part[1] - 1 || tm.tm_mday != part[2] || tm.tm_hour != part[3] || tm.tm_min != part[4] ||
	    tm.tm_sec != part[5])	/* no such day or time */
		return false;
	*ret = (int64_t)seconds * SECOND_NS + fraction;
	return true;
}

/* Appends a cleaned string. False: it is longer than an event's may be. */
static bool add_string(char **at, size_t most, const char *value, size_t size, uint16_t *ret)
{
	if (size > most)
		return false;
	*ret = (uint16_t)utf8_clean(*at, most, value, size);
	*at += *ret;
	return true;
}

static bool key_valid(const char *key)
{
	size_t n = strspn(key, "abcdefghijklmnopqrstuvwxyz0123456789_");

	return n > 0 && n <= KEY_MAX && key[n] == '\0' && key[0] >= 'a' && key[0] <= 'z';
}

/* key=value NUL. False: it is not a field, or has no room. */
static bool add_field(char **at, const char *end, const char *key, struct json_object *value)
{
	bool number = json_object_is_type(value, json_type_int);
	size_t n = strlen(key), size;
	const char *words;

	if (!key_valid(key) || (!number && !json_object_is_type(value, json_type_string)) ||
	    (number && (json_object_get_int64(value) < 0 || json_object_get_int64(value) > NUMBER_MOST)))
		return false;
	words = json_object_get_string(value);
	size = number ? strlen(words) : (size_t)json_object_get_string_len(value);
	if (n + size + 2 > (size_t)(end - *at))
		return false;
	memcpy(*at, key, n);
	(*at)[n] = '=';
	*at += n + 1;
	*at += utf8_clean(*at, (size_t)(end - *at) - 1, words, size);
	*(*at)++ = '\0';
	return true;
}

static bool add_fields(char **at, struct json_object *object, uint16_t *ret)
{
	char *begin = *at;
	struct json_object *fields;

	*ret = 0;
	if (!json_object_object_get_ex(object, "fields", &fields))
		return true;
	if (!json_object_is_type(fields, json_type_object))
		return false;
	json_object_object_foreach(fields, key, value)
		if (!add_field(at, begin + EVENT_FIELDS_MAX, key, value))
			return false;
	*ret = (uint16_t)(*at - begin);
	return true;
}

static int read_event(char *record, struct json_object *object)
{
	static const char *const levels[] = EVENT_LEVEL_NAMES, *const kinds[] = EVENT_KIND_NAMES;
	int level = get_word(object, "level", levels, EVENT_LEVEL_MAX);
	int kind = get_word(object, "kind", kinds, EVENT_KIND_MAX);
	struct event_head head = {.level = (uint8_t)level, .kind = (uint8_t)(kind & 0x7f),
				  .kept = get_true(object, "kept")};
	char *at = record + sizeof(head);
	const char *source, *text, *message;
	size_t source_size, text_size, message_size;

	if (level < 0 || kind < 0 || !get_seq(object, &head.seq) || !get_boot_ns(object, &head.boot_ns) ||
	    !get_wall_ns(object, &head.wall_ns) || !get_string(object, "message", &message, &message_size) ||
	    !get_string(object, "source", &source, &source_size) || !get_string(object, "text", &text, &text_size) ||
	    !add_string(&at, EVENT_SOURCE_MAX, source, source_size, &head.source_size) ||
	    !add_string(&at, EVENT_TEXT_MAX, text, text_size, &head.text_size) ||
	    !add_fields(&at, object, &head.fields_size))
		return -EBADMSG;
	memcpy(record, &head, sizeof(head));
	return (int)(at - record);
}

int log_line_event(char *record, const char *line, size_t size)
{
	struct json_object *object = parse(line, size);
	int r = object ? read_event(record, object) : -EBADMSG;

	json_object_put(object);
	return r;
}

bool log_line_kept(const char *line, size_t size)
{
	static const char member[] = "\"kept\":true";
	char record[EVENT_RECORD_MAX];
	struct event_head head;

	if (!memmem(line, size, member, sizeof(member) - 1) || log_line_event(record, line, size) < 0)
		return false;
	memcpy(&head, record, sizeof(head));
	return head.kept;
}

static int read_boot(struct log_boot *ret, struct json_object *object)
{
	struct log_boot boot = {0};
	struct json_object *continued;
	const char *id;
	size_t size;

	if (!get_string(object, "boot_id", &id, &size) || size == 0 || size >= sizeof(boot.id) ||
	    strspn(id, "abcdefghijklmnopqrstuvwxyz0123456789-") != size)
		return -EBADMSG;
	if (json_object_object_get_ex(object, "continued", &continued)) {
		if (!json_object_is_type(continued, json_type_boolean))
			return -EBADMSG;
		boot.continued = json_object_get_boolean(continued);
	}
	memcpy(boot.id, id, size);
	*ret = boot;
	return 0;
}

int log_line_boot(struct log_boot *ret, const char *line, size_t size)
{
	static const char begin[] = "{\"boot_id\":";
	struct json_object *object;
	int r;

	if (size < sizeof(begin) || memcmp(line, begin, sizeof(begin) - 1) != 0)	/* most lines, so be quick */
		return -EBADMSG;
	object = parse(line, size);
	r = object ? read_boot(ret, object) : -EBADMSG;
	json_object_put(object);
	return r;
}

/* ---- the kept events of earlier parts ------------------------------------------------------------------------- */

/* The first line of an event that is kept, without its newline. Its size, 0: there is none, or negative errno. */
static int first_kept(struct log_lines *lines, int fd, int64_t end, char *ret)
{
	const char *line;
	size_t size;
	int r;

	log_lines_begin(lines, fd, end);
	while ((r = log_lines_next(lines, &line, &size)) > 0) {
		if (log_line_kept(line, size)) {
			memcpy(ret, line, size);
			return (int)size;
		}
	}
	return r;
}

int64_t log_kept_end(int kept, int64_t kept_end, int older, int64_t older_end, struct log_boot *ret_boot)
{
	_cleanup_(cleanup_free) struct log_lines *lines = malloc(sizeof(*lines));
	_cleanup_(cleanup_free) char *first = malloc(LOG_LINE_MAX);
	int64_t at = 0;
	const char *line;
	size_t size;
	int first_size, r;

	if (!lines || !first)
		return -ENOMEM;
	first_size = first_kept(lines, older, older_end, first);
	if (first_size < 0)
		return first_size;
	*ret_boot = (struct log_boot){0};
	log_lines_begin(lines, kept, kept_end);
	while ((r = log_lines_next(lines, &line, &size)) > 0) {
		if (first_size > 0 && (int)size == first_size && memcmp(line, first, size) == 0)
			return at;
		log_line_boot(ret_boot, line, size);
		at = lines->at - (int64_t)(lines->used - lines->done);
	}
	return r < 0 ? r : at;
}

void log_boot_id(char ret[LOG_BOOT_ID_MAX])
{
	_cleanup_(cleanup_fclose) FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");

	if (!file || !fgets(ret, LOG_BOOT_ID_MAX, file))
		snprintf(ret, LOG_BOOT_ID_MAX, "unknown");
	ret[strcspn(ret, "\n")] = '\0';
}
