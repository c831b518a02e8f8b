/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a service prints, in pieces of any size: every line that comes of it fits, and JSON is JSON. */
/* links: log init/lib */
/* libs: json-c */
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "init/log/format.h"
#include "init/lib/logtail.h"
#include "init/lib/utf8.h"

static void check(const struct logsplit_line *line)
{
	static char clean[LOG_CLEAN_MAX], json[LOG_FORMATTED_MAX + 1], text[LOG_FORMATTED_MAX];
	static struct logtail tail, copy;
	size_t size = utf8_clean(clean, sizeof(clean), line->bytes, line->size), n;
	struct json_object *object, *value;

	if (line->size > LOG_LINE_MAX || line->taken == 0)
		abort();
	n = logformat_text(text, clean, size, line->partial);
	if (memchr(text, '\n', n) != text + n - 1)
		abort();
	n = logformat_json(json, "t", "stdout", clean, size, line->partial);
	if (n == 0 || memchr(json, '\n', n) != json + n - 1)
		abort();
	json[n] = '\0';
	object = json_tokener_parse(json);
	if (!json_object_object_get_ex(object, "text", &value) ||
	    (size_t)json_object_get_string_len(value) != size || memcmp(json_object_get_string(value), clean, size) != 0)
		abort();
	json_object_put(object);
	if (size > 0)
		logtail_add(&tail, clean, size);
	logtail_read(&tail, &copy);
	if (size > 0 && strncmp(logtail_last(&copy), clean, strlen(logtail_last(&copy))) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
	static struct logsplit split;
	struct logsplit_line line;
	size_t step = size > 0 ? 1 + input[0] * 16u : 1, total = 0;

	memset(&split, 0, sizeof(split));
	for (size_t at = 0; at < size;) {
		size_t room, n = step < size - at ? step : size - at;
		char *to = logsplit_room(&split, &room);

		if (room < LOG_LINE_MAX)
			abort();
		memcpy(to, input + at, n);
		logsplit_filled(&split, n);
		at += n;
		while (logsplit_next(&split, at == size, &line)) {
			check(&line);
			logsplit_take(&split, &line);
			total += line.taken;
		}
	}
	if (total > size)
		abort();
	return 0;
}
