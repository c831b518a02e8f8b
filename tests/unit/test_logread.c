/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The persistent log read back: which lines count, which boot is which, and what comes out.
 */
/* links: api show init/lib */
/* libs: json-c */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "init/api/logread.h"
#include "init/show/logline.h"
#include "test.h"

#define RUNNING "11111111-aaaa-bbbb-cccc-222222222222"
#define EVENT_LINE "{\"received_at\":\"2026-11-23T08:00:00.12Z\",\"message\":\"[disk] done attempt=1 text=opened\",\"seq\":17," \
	"\"boot_s\":3.104000,\"level\":\"info\",\"kind\":\"state\",\"source\":\"disk\",\"text\":\"done\"," \
	"\"fields\":{\"attempt\":1,\"text\":\"opened\"}}"

static int file_of(const char *bytes, size_t size)
{
	int fd = memfd_create("log", MFD_CLOEXEC);

	CHECK(fd >= 0);
	CHECK_INT(write(fd, bytes, size), size);
	return fd;
}

__attribute__((format(printf, 2, 3))) static void add(int fd, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	CHECK(vdprintf(fd, format, args) >= 0);
	va_end(args);
}

static int new_file(void)
{
	return file_of("", 0);
}

static void add_boot(int fd, const char *id, bool continued)
{
	add(fd, "{\"boot_id\":\"%s\",\"opened_at\":\"2026-11-23T08:00:00Z\",\"version\":\"0.1.0\",\"continued\":%s}\n", id,
	    continued ? "true" : "false");
}

static void add_event(int fd, int seq, const char *level, const char *source, const char *text)
{
	add(fd, "{\"received_at\":\"2026-11-23T08:00:%02dZ\",\"message\":\"[%s] %s\",\"seq\":%d,\"boot_s\":%d.000001,\"level\":\"%s\","
	    "\"kind\":\"message\",\"source\":\"%s\",\"text\":\"%s\"}\n", seq % 60, source, text, seq, seq, level, source, text);
}

/* The last result, and what came out. */
static int64_t result;
static char out[4 << 20];

/* events.log.kept; -1: none */
static int kept = -1;

static const char *read_log(int older, int newer, bool json, const char *arguments)
{
	struct filter filter = {0};
	struct logread what = {kept, older, newer, RUNNING, &filter, json, NULL};
	char copy[256];
	int fd = memfd_create("out", MFD_CLOEXEC);
	ssize_t n;

	snprintf(copy, sizeof(copy), "%s", arguments);
	for (char *rest = copy, *one; (one = strsep(&rest, "&")) != NULL && *one;) {
		char *value = strchr(one, '=');

		CHECK_INT(filter_argument(&filter, one, (size_t)(value - one), value + 1, strlen(value + 1)), 0);
	}
	result = logread(&what, fd);
	n = pread(fd, out, sizeof(out) - 1, 0);
	CHECK(n >= 0);
	out[n] = '\0';
	close(fd);
	return out;
}

/* The texts of an answer in the text format, with a space after each. */
static const char *texts(int older, int newer, const char *arguments)
{
	static char words[65536];
	char *at = words;

	read_log(older, newer, false, arguments);
	for (char *line = out, *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
		char *text = strstr(line, "] ");

		CHECK(text && text < end);
		at += sprintf(at, "%.*s ", (int)(end - text - 2), text + 2);
	}
	*at = '\0';
	return words;
}

TEST(an_event_comes_back_byte_for_byte)
{
	int fd = new_file();

	add_boot(fd, "a", false);
	add(fd, "%s\n", EVENT_LINE);
	CHECK_STR(read_log(-1, fd, true, "boot=-1"), "[" EVENT_LINE "]\n");
	CHECK_INT(result, 1);
	CHECK_STR(read_log(-1, fd, false, "boot=-1"), "2026-11-23T08:00:00Z \t [disk] done attempt=1 text=opened\n");
}

TEST(what_the_logger_can_write_comes_back_byte_for_byte)
{
	static const struct {
		int64_t wall_ns, boot_ns;
		const char *text, *fields;
		size_t fields_size;
	} cases[] = {
		{1700000000120000000, 1, "plain", "", 0},
		{0, 999999999, "", "a=\0b=0\0c=00\0d=999999999999999\0e=9999999999999999\0f=-1", 54},
		{1, 1234567890123456, "\"quotes\" \\ <tags> & gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80 \xef\xbf\xbd", "text=x=\"y\" z", 13},
		{-1, 0, "before 1970", "", 0},
		{1709164800000000001, 86400000000000, "a leap day", "k_9=v", 6},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		static char line[EVENT_JSON_MAX + 2], again[EVENT_JSON_MAX + 2];
		struct text t = TEXT_FIXED(line), u = TEXT_FIXED(again);
		char record[EVENT_RECORD_MAX];
		struct event_view e = {
			.head = {.seq = i + 1, .wall_ns = cases[i].wall_ns, .boot_ns = cases[i].boot_ns, .source_size = 4,
				 .text_size = (uint16_t)strlen(cases[i].text), .fields_size = (uint16_t)cases[i].fields_size},
			.source = "test", .text = cases[i].text, .fields = cases[i].fields,
		};
		int n;

		event_json(&t, &e);
		n = log_line_event(record, line, t.size);
		if (n <= 0)
			FAIL("%.*s is refused", (int)t.size, line);
		CHECK_INT(event_view(&e, record, (size_t)n), 0);
		event_json(&u, &e);
		line[t.size] = again[u.size] = '\0';
		CHECK_STR(again, line);
	}
}

TEST(a_line_that_is_not_exactly_an_event_is_none)
{
	static const struct {
		const char *from, *to;
	} changes[] = {
		{"\"seq\":17", "\"seq\":\"17\""}, {"\"seq\":17", "\"seq\":0"}, {"\"seq\":17", "\"seq\":-1"}, {"\"seq\":17", "\"seq\":1.5"},
		{"\"seq\":17", "\"seq\":99999999999999999999"}, {"\"seq\":17,", ""}, {"3.104000", "\"3.1\""}, {"3.104000", "-1.0"},
		{"3.104000", "1e300"}, {"3.104000", "null"}, {"\"info\"", "\"loud\""}, {"\"info\"", "1"}, {"\"info\"", "null"},
		{"\"state\"", "\"status\""}, {"\"kind\":\"state\",", ""}, {"\"disk\"", "[\"disk\"]"},
		{"\"disk\"", "\"a-source-name-of-thirty-three-byte\""}, {"\"text\":\"done\",", ""}, {"\"text\":\"done\"", "\"text\":{}"},
		{"\"message\":\"[disk] done attempt=1 text=opened\",", ""}, {"\"message\":\"[disk] done attempt=1 text=opened\"", "\"message\":1"},
		{"2026-11-23T08:00:00.12Z", "2026-11-23 08:00:00.12Z"}, {"2026-11-23T08:00:00.12Z", "2026-11-31T08:00:00Z"},
		{"2026-11-23T08:00:00.12Z", "2026-13-01T08:00:00Z"}, {"2026-11-23T08:00:00.12Z", "9999-11-23T08:00:00Z"},
		{"2026-11-23T08:00:00.12Z", "2026-11-23T24:00:00Z"}, {"2026-11-23T08:00:00.12Z", "2026-11-23T08:00:00.1234567890Z"},
		{"2026-11-23T08:00:00.12Z", "2026-11-23T08:00:00"}, {"2026-11-23T08:00:00.12Z", "2026-11-23T08:00:00Z\\u0000"},
		{"\"2026-11-23T08:00:00.12Z\"", "1"}, {"{\"attempt\":1,", "{\"Attempt\":1,"}, {"{\"attempt\":1,", "{\"\":1,"},
		{"{\"attempt\":1,", "{\"a=b\":1,"}, {"{\"attempt\":1,", "{\"attempt\":1.5,"}, {"{\"attempt\":1,", "{\"attempt\":-1,"},
		{"{\"attempt\":1,", "{\"attempt\":null,"}, {"{\"attempt\":1,", "{\"attempt\":[],"}, {"{\"attempt\":1,", "{\"attempt\":{},"},
		{"{\"attempt\":1,\"text\":\"opened\"}", "[]"}, {"{\"attempt\":1,\"text\":\"opened\"}", "\"x\""}, {"\"opened\"}}", "\"opened\"}"},
		{"\"opened\"}}", "\"opened\"}}}"}, {"\"opened\"}}", "\"opened\"}},"}, {"\"opened\"", "'opened'"},
		{"\"opened\"", "\"op\ted\""}, {"{\"received", "[{\"received"}, {"{\"received", " {\"received"}, {"\"opened\"", "[[[[[[]]]]]]"},
	};
	char record[EVENT_RECORD_MAX];

	CHECK(log_line_event(record, EVENT_LINE, strlen(EVENT_LINE)) > 0);
	for (size_t i = 0; i < sizeof(changes) / sizeof(*changes); i++) {
		char line[1024];
		const char *at = strstr(EVENT_LINE, changes[i].from);

		CHECK(at != NULL);
		snprintf(line, sizeof(line), "%.*s%s%s", (int)(at - EVENT_LINE), EVENT_LINE, changes[i].to, at + strlen(changes[i].from));
		if (log_line_event(record, line, strlen(line)) >= 0)
			FAIL("%s is taken", line);
	}
	for (size_t n = 0; n < strlen(EVENT_LINE); n++)
		CHECK_INT(log_line_event(record, EVENT_LINE, n), -EBADMSG);
}

TEST(an_event_larger_than_any_is_none)
{
	static char line[65536], words[2048];
	char record[EVENT_RECORD_MAX];
	int n;

	memset(words, 'x', sizeof(words) - 1);
	for (int size = EVENT_TEXT_MAX; size <= EVENT_TEXT_MAX + 1; size++) {
		n = sprintf(line, "{\"received_at\":\"2026-11-23T08:00:00Z\",\"message\":\"\",\"seq\":1,\"boot_s\":1.0,\"level\":\"info\","
			    "\"kind\":\"message\",\"source\":\"a\",\"text\":\"%.*s\"}", size, words);
		CHECK_INT(log_line_event(record, line, (size_t)n) > 0, size <= EVENT_TEXT_MAX);
	}
	for (int size = EVENT_FIELDS_MAX - 4; size <= EVENT_FIELDS_MAX - 2; size++) {
		n = sprintf(line, "{\"received_at\":\"2026-11-23T08:00:00Z\",\"message\":\"\",\"seq\":1,\"boot_s\":1.0,\"level\":\"info\","
			    "\"kind\":\"message\",\"source\":\"a\",\"text\":\"\",\"fields\":{\"k\":\"%.*s\"}}", size, words);
		CHECK_INT(log_line_event(record, line, (size_t)n) > 0, size <= EVENT_FIELDS_MAX - 3);
	}
}

TEST(what_is_not_printable_in_the_log_is_replaced)
{
	int fd = new_file();

	add_boot(fd, "a", false);
	add_event(fd, 1, "info", "disk", "red\\u001b[1m\\n\\u0000end\\u202e\xff");
	read_log(-1, fd, true, "boot=-1");
	CHECK_INT(result, 1);
	CHECK(strstr(out, "\"text\":\"red \xef\xbf\xbd" "end\xef\xbf\xbd\xef\xbf\xbd\"") != NULL);
}

TEST(lines_that_are_none_are_passed_over)
{
	static char zeros[100000];
	int fd = new_file();

	CHECK_INT(write(fd, "garbage \xff\n\n\n", 12), 12);
	add_boot(fd, "a", false);
	add_event(fd, 1, "info", "t", "one");
	add(fd, "{\"lost\":5}\n{}\n[]\nnull\n{\"boot_id\":7}\n{\"boot_id\":\"x y\"}\n{\"boot_id\":\"b\",\"continued\":1}\n");
	add(fd, "{\"received_at\":\"2026-11-23T08:0");	/* torn, and ended by the next logger */
	add(fd, "\n");
	CHECK_INT(write(fd, zeros, 4096), 4096);
	add(fd, "\n");
	add_event(fd, 2, "info", "t", "two");
	memset(zeros, 'x', sizeof(zeros));
	CHECK_INT(write(fd, zeros, sizeof(zeros)), sizeof(zeros));
	add(fd, "\n");
	add_event(fd, 3, "info", "t", "three");
	memset(zeros, '\n', sizeof(zeros));
	CHECK_INT(write(fd, zeros, sizeof(zeros)), sizeof(zeros));
	memset(zeros, '[', sizeof(zeros));
	CHECK_INT(write(fd, zeros, 20000), 20000);
	add(fd, "\n");
	add_event(fd, 4, "info", "t", "four");
	add(fd, "%.*s", (int)strlen(EVENT_LINE) - 1, EVENT_LINE);
	CHECK_STR(texts(-1, fd, "boot=-1"), "one two three four ");
	add(fd, "}");		/* whole, but not yet known to be: the newline is missing */
	CHECK_STR(texts(-1, fd, "boot=-1"), "one two three four ");
	add(fd, "\n");
	CHECK_STR(texts(-1, fd, "boot=-1"), "one two three four done attempt=1 text=opened ");
}

TEST(lines_of_every_length_around_the_buffers_are_found)
{
	static char fill[3 * LOG_LINE_MAX];

	memset(fill, 'x', sizeof(fill));
	for (int n = LOG_LINE_MAX - 200; n < LOG_LINE_MAX + 200; n += 3) {
		int fd = new_file();

		add_boot(fd, "a", false);
		add(fd, "%.*s\n", n, fill);
		add_event(fd, 1, "info", "t", "one");
		add(fd, "%.*s\n", 2 * n, fill);
		add_event(fd, 2, "info", "t", "two");
		add(fd, "%.*s", 2 * n + 99, fill);
		CHECK_STR(texts(-1, fd, "boot=-1"), "one two ");
		close(fd);
	}
}

TEST(the_end_of_a_line_that_is_too_long_is_not_taken_for_a_line)
{
	static char fill[3 * LOG_LINE_MAX];

	memset(fill, 'x', sizeof(fill));
	for (int n = 2 * LOG_LINE_MAX - 150; n < 2 * LOG_LINE_MAX + 2; n++) {
		int fd = new_file();

		add_boot(fd, "a", false);
		add(fd, "%.*s", n, fill);
		add_event(fd, 1, "info", "t", "smuggled");
		CHECK_STR(texts(-1, fd, "boot=-1"), "");
		CHECK_INT(result, 0);
		close(fd);
	}
}

TEST(boots_are_counted_back_from_the_running_one)
{
	int older = new_file(), newer = new_file();

	add_boot(older, "a", false);
	add_event(older, 1, "info", "t", "a1");
	add_boot(older, "b", false);
	add_event(older, 1, "info", "t", "b1");
	add_event(older, 2, "info", "t", "b2");
	add_boot(newer, "b", true);
	add_event(newer, 3, "info", "t", "b3");
	add_boot(newer, "c", false);
	add_boot(newer, RUNNING, false);
	add_event(newer, 1, "info", "t", "now");
	CHECK_STR(texts(older, newer, "boot=0"), "now ");
	CHECK_STR(texts(older, newer, ""), "now ");
	CHECK_STR(texts(older, newer, "boot=-1"), "");
	CHECK_INT(result, 0);
	CHECK_STR(texts(older, newer, "boot=-2"), "b1 b2 b3 ");
	CHECK_STR(texts(older, newer, "boot=-3"), "a1 ");
	CHECK_STR(texts(older, newer, "boot=-4"), "");
	CHECK_INT(result, -ENOENT);
	CHECK_STR(read_log(older, newer, true, "boot=-1"), "[]\n");
	CHECK_STR(read_log(older, newer, true, "boot=-4"), "");
	CHECK_INT(result, -ENOENT);
}

TEST(a_log_that_the_running_boot_has_not_begun_ends_with_the_last_one)
{
	int older = new_file(), newer = new_file();

	add_boot(older, "a", false);
	add_event(older, 1, "info", "t", "a1");
	add_boot(newer, "b", false);
	add_event(newer, 1, "info", "t", "b1");
	CHECK_STR(texts(older, newer, "boot=-1"), "b1 ");
	CHECK_STR(texts(older, newer, "boot=-2"), "a1 ");
	CHECK_STR(texts(older, newer, "boot=0"), "");
	CHECK_INT(result, -ENOENT);
	CHECK_STR(texts(older, -1, "boot=-1"), "a1 ");
	CHECK_STR(texts(-1, newer, "boot=-1"), "b1 ");
	CHECK_STR(texts(-1, -1, "boot=-1"), "");
	CHECK_INT(result, -ENOENT);
}

TEST(a_boot_whose_beginning_was_rotated_away_is_still_one)
{
	int older = new_file(), newer = new_file(), bare = new_file();

	add_boot(older, "a", true);
	add_event(older, 800, "info", "t", "a800");
	add_boot(newer, "a", true);
	add_event(newer, 801, "info", "t", "a801");
	CHECK_STR(texts(older, newer, "boot=-1"), "a800 a801 ");
	CHECK_STR(texts(older, newer, "boot=-2"), "");
	CHECK_INT(result, -ENOENT);
	add_boot(bare, "b", true);	/* and no event */
	CHECK_STR(texts(bare, newer, "boot=-2"), "");
	CHECK_INT(result, 0);
}

TEST(events_before_any_boot_line_belong_to_the_boot_that_goes_on_or_to_one_of_their_own)
{
	int cut = new_file(), goes_on = new_file(), another = new_file();

	add(cut, "is torn\n");
	add_event(cut, 800, "info", "t", "x800");
	add_boot(goes_on, "a", true);
	add_event(goes_on, 801, "info", "t", "a801");
	add_boot(another, "b", false);
	add_event(another, 1, "info", "t", "b1");
	CHECK_STR(texts(cut, goes_on, "boot=-1"), "x800 a801 ");
	CHECK_STR(texts(cut, another, "boot=-1"), "b1 ");
	CHECK_STR(texts(cut, another, "boot=-2"), "x800 ");
}

TEST(since_level_source_and_limit_choose)
{
	int older = new_file(), newer = new_file();

	add_boot(older, "a", false);
	for (int i = 1; i <= 6; i++)
		add_event(older, i, i % 2 ? "info" : "error", i < 4 ? "disk" : "net", (char[]){(char)('0' + i), 0});
	add_boot(newer, "a", true);
	for (int i = 7; i <= 9; i++)
		add_event(newer, i, i % 2 ? "info" : "error", "disk", (char[]){(char)('0' + i), 0});
	CHECK_STR(texts(older, newer, "boot=-1&since=4"), "5 6 7 8 9 ");
	CHECK_STR(texts(older, newer, "boot=-1&level=warning"), "2 4 6 8 ");
	CHECK_STR(texts(older, newer, "boot=-1&source=net"), "4 5 6 ");
	CHECK_STR(texts(older, newer, "boot=-1&limit=3"), "7 8 9 ");
	CHECK_STR(texts(older, newer, "boot=-1&limit=4"), "6 7 8 9 ");
	CHECK_INT(result, 4);
	CHECK_STR(texts(older, newer, "boot=-1&limit=2&level=error"), "6 8 ");
	CHECK_STR(texts(older, newer, "boot=-1&limit=0"), "");
	CHECK_INT(result, 0);
	CHECK_STR(texts(older, newer, "boot=-1&limit=100&source=net&since=5"), "6 ");
}

TEST(a_thousand_boots_are_told_apart)
{
	int fd = new_file();

	for (int i = 0; i < 1000; i++) {
		char id[32], text[32];

		snprintf(id, sizeof(id), "boot-%d", i);
		snprintf(text, sizeof(text), "of-%d", i);
		add_boot(fd, id, false);
		add_event(fd, 1, "info", "t", text);
	}
	CHECK_STR(texts(-1, fd, "boot=-1"), "of-999 ");
	CHECK_STR(texts(-1, fd, "boot=-1000"), "of-0 ");
	CHECK_STR(texts(-1, fd, "boot=-1001"), "");
	CHECK_INT(result, -ENOENT);
}

TEST(a_long_boot_comes_out_whole)
{
	int fd = new_file();
	int n = 0;

	add_boot(fd, "a", false);
	for (int i = 1; i <= 5000; i++)
		add_event(fd, i, "info", "t", "a text that is long enough to fill the log quickly");
	read_log(-1, fd, true, "boot=-1");
	CHECK_INT(result, 5000);
	CHECK(strlen(out) > 500000 && out[0] == '[' && strcmp(out + strlen(out) - 3, "}]\n") == 0);
	for (const char *at = out; (at = strstr(at, "\"seq\":")) != NULL; at++)
		CHECK_INT(strtol(at + 6, NULL, 10), ++n);
	CHECK_INT(n, 5000);
}

TEST(one_file_given_twice_is_read_once)
{
	int fd = new_file(), again;

	add_boot(fd, "a", false);
	add_event(fd, 1, "info", "t", "one");
	again = dup(fd);
	CHECK_STR(texts(again, fd, "boot=-1"), "one ");
}

TEST(what_is_not_a_file_is_refused)
{
	int pair[2];

	CHECK_INT(pipe(pair), 0);
	read_log(-1, pair[0], true, "boot=-1");
	CHECK_INT(result, -EINVAL);
}

TEST(the_descriptors_keep_their_place)
{
	int fd = new_file();

	add_boot(fd, "a", false);
	add_event(fd, 1, "info", "t", "one");
	CHECK_INT(lseek(fd, 5, SEEK_SET), 5);
	CHECK_STR(texts(-1, fd, "boot=-1"), "one ");
	CHECK_INT(lseek(fd, 0, SEEK_CUR), 5);
}

TEST(a_client_that_is_gone_ends_it)
{
	struct filter filter = {.boot = -1};
	int fd = new_file(), pair[2];
	struct logread what = {-1, -1, fd, RUNNING, &filter, true, NULL};

	signal(SIGPIPE, SIG_IGN);
	add_boot(fd, "a", false);
	for (int i = 1; i <= 2000; i++)
		add_event(fd, i, "info", "t", "a text that is long enough to fill the log quickly");
	CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	close(pair[1]);
	CHECK_INT(logread(&what, pair[0]), -EPIPE);
}

static void add_kept(int fd, int seq, const char *text)
{
	add(fd, "{\"received_at\":\"2026-11-23T08:00:%02dZ\",\"message\":\"[t] %s\",\"seq\":%d,\"boot_s\":%d.000001,"
	    "\"level\":\"info\",\"kind\":\"state\",\"kept\":true,\"source\":\"t\",\"text\":\"%s\"}\n", seq % 60, text, seq, seq, text);
}

/* Kept: boot a, and of boot b what its older part no longer has. */
static void begin_kept(int *ret_older, int *ret_newer)
{
	kept = new_file();
	*ret_older = new_file();
	*ret_newer = new_file();
	add_boot(kept, "a", false);
	add_kept(kept, 1, "a1");
	add_kept(kept, 9, "a9");
	add_boot(kept, "b", false);
	add_kept(kept, 1, "b1");
	add_boot(*ret_older, "b", true);
	add_event(*ret_older, 700, "info", "t", "b700");
	add_kept(*ret_older, 701, "b701");
	add_boot(*ret_newer, RUNNING, false);
	add_kept(*ret_newer, 1, "now");
}

TEST(kept_events_of_earlier_parts_are_the_first_of_their_boot)
{
	int older, newer;

	begin_kept(&older, &newer);
	CHECK_STR(texts(older, newer, "boot=-1"), "b1 b700 b701 ");
	CHECK_STR(texts(older, newer, "boot=-2"), "a1 a9 ");
	CHECK_STR(texts(older, newer, "boot=-1&limit=2"), "b700 b701 ");
	read_log(older, newer, true, "boot=-3");
	CHECK_INT(result, -ENOENT);
	CHECK(strstr(read_log(older, newer, true, "boot=-2"), "\"kept\":true,\"source\"") != NULL);
	CHECK_STR(texts(-1, newer, "boot=-1"), "b1 ");
	CHECK_STR(texts(-1, -1, "boot=-2"), "a1 a9 ");
}

TEST(kept_events_that_are_also_in_the_older_part_come_once)
{
	int older, newer;

	begin_kept(&older, &newer);
	add_kept(kept, 701, "b701");		/* a rotation that did not come to its end */
	add_boot(kept, "c", false);
	add_kept(kept, 1, "c1");
	add_boot(older, "c", false);
	add_kept(older, 1, "c1");
	CHECK_STR(texts(older, newer, "boot=-1"), "c1 ");
	CHECK_STR(texts(older, newer, "boot=-2"), "b1 b700 b701 ");
	CHECK_STR(texts(older, newer, "boot=-3"), "a1 a9 ");
}

TEST(an_older_part_without_its_first_boot_line_is_no_part_of_the_last_kept_boot)
{
	int older = new_file(), newer = new_file();

	kept = new_file();
	add_boot(kept, "a", false);
	add_kept(kept, 1, "a1");
	add_event(older, 50, "info", "t", "b50");
	add_boot(older, "c", false);
	add_event(older, 1, "info", "t", "c1");
	add_boot(newer, RUNNING, false);
	CHECK_STR(texts(older, newer, "boot=-1"), "c1 ");
	CHECK_STR(texts(older, newer, "boot=-2"), "b50 ");
	CHECK_STR(texts(older, newer, "boot=-3"), "a1 ");
}
