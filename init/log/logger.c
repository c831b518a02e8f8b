/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Role `logger`: the persistent event log. It follows the events from the first one and appends each as a line of JSON
 * to DIRECTORY/events.log; it rotates by one rename, and kept events of the part that is overwritten go to a file of
 * their own (parts.h). All files share the byte budget. Each boot begins with a boot line. A power cut costs at most
 * the last second and tears at most the last line. While the disk fails, it stops reading and tries again: PID 1's ring
 * keeps the newest events, and a gap is recorded in the log.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <json-c/json.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <gantry/cleanup.h>
#include <gantry/report.h>
#include <gantry/role.h>

#include "confine.h"
#include "file.h"
#include "init/config/check.h"
#include "init/config/format.h"
#include "init/lib/client.h"
#include "init/lib/eventtext.h"
#include "init/lib/member.h"
#include "init/lib/options.h"
#include "init/show/logline.h"
#include "lastboot.h"
#include "parts.h"

#define OPTIONS_MAX     65536
#define MAX_BYTES_LEAST 65536
#define SYNC_MS         1000
#define RETRY_MS        5000
#define BUFFER_ROOM     (64 * 1024)

struct log {
	int directory;		/* descriptor */
	bool confined;
	char file[PATH_MAX];	/* of messages */
	int fd;
	int64_t size, limit;	/* of one file, bytes */
	int64_t kept_limit;	/* of the file of kept events */
	char boot_id[LOG_BOOT_ID_MAX];
	uint64_t next;		/* first event that is not in the log yet */
	struct lastboot before;	/* the boot before this one */
	bool dirty, failing, keep_failed;
	int64_t sync_due_ms;

	char buffer[BUFFER_ROOM];	/* whole lines, not yet written */
	size_t used, done;
};

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Reports an error once when it begins and once when it is over; each line on standard error becomes an event. */
static int disk_result(struct log *log, const char *what, int r)
{
	if (r < 0 && !log->failing)
		fprintf(stderr, "persistent log: %s: %s; trying again\n", what, strerror(-r));
	if (r == 0 && log->failing)
		fprintf(stderr, "persistent log: %s: works again\n", what);
	log->failing = r < 0;
	return r;
}

/* Inserts the boot line at offset `at` of the buffer. */
static void add_boot_line(struct log *log, size_t at, bool continued)
{
	char line[512];
	struct text t = TEXT_FIXED(line);
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	text_put(&t, "{\"boot_id\":");
	text_json(&t, log->boot_id, strlen(log->boot_id));
	text_put(&t, ",\"opened_at\":\"");
	time_rfc3339(&t, (int64_t)now.tv_sec * 1000000000 + now.tv_nsec, true);
	text_printf(&t, "\",\"version\":\"" GANTRY_VERSION "\",\"continued\":%s}\n", continued ? "true" : "false");
	memmove(log->buffer + at + t.size, log->buffer + at, log->used - at);
	memcpy(log->buffer + at, line, t.size);
	log->used += t.size;
}

static int open_file(struct log *log)
{
	struct stat st;
	int r;

	log->fd = openat(log->directory, LOG_NAME, O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK,
			 0640);
	if (log->fd < 0)
		return -errno;
	r = fstat(log->fd, &st) < 0 ? -errno : S_ISREG(st.st_mode) ? 0 : -ENXIO;
	if (r < 0) {
		close(log->fd);
		log->fd = -1;
		return r;
	}
	log->size = st.st_size;
	return 0;
}

/*
 * Finds the last event of this boot that an earlier logger wrote to the file: this logger continues after it. True if
 * the file ends with lines of this boot.
 */
static bool scan(struct log *log, int fd, int64_t size)
{
	_cleanup_(cleanup_free) struct log_lines *lines = malloc(sizeof(*lines));
	char record[EVENT_RECORD_MAX];
	struct event_head head;
	struct log_boot boot;
	const char *line;
	bool ours = false;
	size_t n;

	if (!lines)
		return false;
	log_lines_begin(lines, fd, size);
	while (log_lines_next(lines, &line, &n) > 0) {
		if (log_line_boot(&boot, line, n) == 0) {
			ours = strcmp(boot.id, log->boot_id) == 0;
			lastboot_boot(&log->before, &boot);
			continue;
		}
		lastboot_line(&log->before, line, n);
		if (ours && log_line_event(record, line, n) > 0) {
			memcpy(&head, record, sizeof(head));
			log->next = head.seq >= log->next ? head.seq + 1 : log->next;
		}
	}
	return ours;
}

/* If a logger was killed between a rename and the next line, only the older file has lines of this boot. */
static bool scan_old(struct log *log)
{
	_cleanup_(cleanup_close) int fd = openat(log->directory, LOG_OLD_NAME, PARTS_READ_FLAGS);
	struct stat st;

	return fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && scan(log, fd, st.st_size);
}

/* Prepares the end of the log for appending: ends a torn line, adds a boot line if needed. */
static void go_on(struct log *log)
{
	bool before = scan_old(log), ours = scan(log, log->fd, log->size);
	char last = '\n';

	if (log->size > 0 && pread(log->fd, &last, 1, log->size - 1) == 1 && last != '\n')
		log->buffer[log->used++] = '\n';
	if (!ours)
		add_boot_line(log, log->used, before);
}

/* Reports the previous shutdown to PID 1, which does not read the disk itself. */
static void tell_last_shutdown(const struct log *log)
{
	struct control_message answer;
	char fields[EVENT_FIELDS_MAX];
	size_t size = lastboot_fields(&log->before, fields, sizeof(fields));

	if (size > 0 && client_request(CONTROL_FD, CONTROL_LAST_SHUTDOWN, 0, 0, fields, size) == 0)
		client_receive(CONTROL_FD, &answer);
}

/* Without room it is tried again, as all of the rotation; another error is reported once and costs the kept events. */
static int keep(struct log *log)
{
	int r = parts_keep(log->directory, log->kept_limit);

	if (r == -ENOSPC || r == -EDQUOT)
		return r;
	if (r < 0 && !log->keep_failed)
		fprintf(stderr, "persistent log: %s: %s; the oldest events are not kept\n", LOG_KEPT_NAME,
			strerror(-r));
	log->keep_failed = r < 0;
	return 0;
}

static int rotate(struct log *log)
{
	int r = fsync(log->fd) < 0 ? -errno : keep(log);

	if (r < 0)
		return r;
	if (renameat(log->directory, LOG_NAME, log->directory, LOG_OLD_NAME) < 0)
		return -errno;
	close(log->fd);
	log->fd = -1;
	r = open_file(log);
	if (r < 0)
		return r;
	fsync(log->directory);
	return 0;
}

/* Writes the buffer out. 0, or negative errno with the unwritten rest kept. */
static int write_out(struct log *log)
{
	while (log->done < log->used) {
		ssize_t n = write(log->fd, log->buffer + log->done, log->used - log->done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		log->done += (size_t)n;
		log->size += n;
		if (!log->dirty)
			log->sync_due_ms = now_ms() + SYNC_MS;
		log->dirty = true;
	}
	log->used = log->done = 0;
	return 0;
}

static int sync_now(struct log *log)
{
	if (!log->dirty)
		return 0;
	log->dirty = false;
	return fdatasync(log->fd) < 0 ? -errno : 0;
}

/* What is written from then on would be gone. A new process makes the folder, and begins with the oldest event. */
static bool is_removed(const struct log *log)
{
	struct stat st;

	return log->fd >= 0 && fstat(log->fd, &st) == 0 && st.st_nlink == 0;
}

/* Opens, rotates and writes as needed; may be repeated after a failure. */
static int settle(struct log *log)
{
	int r;

	if (log->fd < 0) {
		r = disk_result(log, log->file, open_file(log));
		if (r < 0)
			return r;
	}
	if (log->done == 0 && log->size > 0 && log->size + (int64_t)log->used > log->limit) {
		r = disk_result(log, log->file, rotate(log));
		if (r < 0)
			return r;
	}
	if (log->done == 0 && log->used > 0 && log->size == 0 && strncmp(log->buffer, "{\"boot_id\"", 10) != 0)
		add_boot_line(log, 0, true);
	return disk_result(log, log->file, write_out(log));
}

static void add_event(struct log *log, const struct control_message *message)
{
	char json[EVENT_JSON_MAX];
	struct text t = TEXT_FIXED(json);
	struct event_view e;

	if (event_view(&e, message->body, message->head.size) < 0 || e.head.seq < log->next)
		return;
	event_json(&t, &e);
	text_put(&t, "\n");
	if (t.cut)
		return;
	memcpy(log->buffer + log->used, json, t.size);
	log->used += t.size;
	log->next = e.head.seq + 1;
}

static void add_gap(struct log *log, int64_t lost)
{
	int n = snprintf(log->buffer + log->used, 64, "{\"lost\":%" PRId64 "}\n", lost);

	if (n > 0)
		log->used += (size_t)n;
}

/* Reads messages while there is room for the largest line. 1: go on; 0: end of file; negative errno. */
static int take_messages(struct log *log)
{
	size_t room = log->limit < BUFFER_ROOM ? (size_t)log->limit : BUFFER_ROOM;

	while (log->used + EVENT_JSON_MAX + 1024 < room) {
		struct pollfd p = {.fd = CONTROL_FD, .events = POLLIN};
		struct control_message message;
		int r;

		if (poll(&p, 1, 0) == 0)
			return 1;
		r = client_receive(CONTROL_FD, &message);
		if (r == -EBADMSG)
			continue;
		if (r <= 0)
			return r == -ECONNRESET ? 0 : r;
		if (message.head.kind == CONTROL_EVENT)
			add_event(log, &message);
		else if (message.head.kind == CONTROL_GAP)
			add_gap(log, message.head.argument);
		else if (message.head.kind == CONTROL_END && message.head.argument < 0)
			return (int)message.head.argument;
	}
	return 1;
}

static int follow(struct log *log)
{
	int r = 1;

	while (r > 0) {
		bool stuck = settle(log) < 0;
		int64_t left = log->dirty ? log->sync_due_ms - now_ms() : -1;
		struct pollfd p = {.fd = CONTROL_FD, .events = POLLIN};

		if (stuck) {	/* do not wait for data, only for a hang-up */
			p.events = 0;
			if (poll(&p, 1, RETRY_MS) > 0)
				return settle(log);
			continue;
		}
		if (log->dirty && left <= 0) {
			disk_result(log, log->file, sync_now(log));
			left = -1;
			if (is_removed(log)) {
				fprintf(stderr, "persistent log: %s was removed\n", log->file);
				return -ENOENT;
			}
		}
		if (poll(&p, 1, (int)left) > 0)
			r = take_messages(log);
	}
	if (settle(log) == 0 && r == 0)
		r = sync_now(log);
	fsync(log->directory);
	return r;
}

static int read_options(struct log *log, char **ret_path)
{
	struct json_object *options = NULL;
	int64_t max_bytes;
	const char *path;
	int r = options_json(OPTIONS_MAX, &options);

	if (r < 0)
		return r;
	max_bytes = json_object_get_int64(key_member(options, "max_bytes"));
	if (max_bytes < MAX_BYTES_LEAST)
		max_bytes = MAX_BYTES_LEAST;
	log->kept_limit = max_bytes / 8;
	log->limit = (max_bytes - log->kept_limit) / 2;
	path = json_object_get_string(key_member(options, "directory"));
	*ret_path = path && path[0] == '/' ? strdup(path) : NULL;
	json_object_put(options);
	return *ret_path ? 0 : -EINVAL;
}

/* True: PID 1 has hung up. */
static bool wait_for_hangup(int timeout_ms)
{
	struct pollfd p = {.fd = CONTROL_FD, .events = 0};

	return poll(&p, 1, timeout_ms) > 0;
}

/* The file may be of a boot whose logger was root. One with other names may be another user's: it stays as it is. */
static int hand_over(int directory, const char *name)
{
	_cleanup_(cleanup_close) int fd = openat(directory, name, PARTS_READ_FLAGS);
	struct stat st;

	if (fd < 0)
		return errno == ENOENT || errno == ELOOP ? 0 : -errno;	/* a link: open_file() says so */
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_nlink != 1 || st.st_uid == LOGGER_UID)
		return 0;
	return fchown(fd, LOGGER_UID, LOGGER_UID) < 0 ? -errno : 0;
}

/* The directory and its files become the logger's own, and the process has them alone. */
static int open_directory(struct log *log, const char *path)
{
	static const char *const names[] = {LOG_NAME, LOG_OLD_NAME, LOG_KEPT_NAME};
	int fd = logfile_directory(path, 0750), r = 0;

	if (fd < 0)
		return fd;
	if (geteuid() == 0) {
		for (size_t i = 0; r == 0 && i < sizeof(names) / sizeof(names[0]); i++)
			r = hand_over(fd, names[i]);
		if (r == 0 && fchown(fd, LOGGER_UID, LOGGER_UID) < 0)
			r = -errno;
	}
	if (r < 0)
		close(fd);
	else
		log->directory = fd;
	return r;
}

/* False: PID 1 has hung up. */
static bool confine(const struct log *log)
{
	const char *what;
	int r = logconfine_logger(log->directory, &what);

	if (r == 0)
		return true;
	fprintf(stderr, "persistent log: %s: %s; no events are written\n", what, strerror(-r));
	wait_for_hangup(-1);
	return false;
}

/* Retries until the log is open: if the role ended, PID 1 would only start it again. False: PID 1 has hung up. */
static bool open_log(struct log *log, const char *path)
{
	for (;;) {
		int r = log->directory >= 0 ? 0 : open_directory(log, path);

		if (log->directory >= 0 && !log->confined) {
			log->confined = confine(log);
			if (!log->confined)
				return false;
		}
		if (r >= 0 && (parts_shorten(log->directory, LOG_OLD_NAME, log->limit, log->limit) < 0 ||
			       parts_shorten(log->directory, LOG_NAME, log->limit, log->limit) < 0 ||
			       parts_shorten(log->directory, LOG_KEPT_NAME, log->kept_limit, log->kept_limit) < 0))
			fprintf(stderr, "persistent log: exceeds log.max_bytes and could not be shortened\n");
		if (r >= 0)
			r = open_file(log);
		if (disk_result(log, path, r < 0 ? r : 0) == 0)
			return true;
		if (wait_for_hangup(RETRY_MS))
			return false;
	}
}

int logger_main(int argc, char **argv)
{
	static struct log log;	/* all zeros, so that its buffer is not in the binary */
	_cleanup_(cleanup_free) char *path = NULL;
	int r;

	(void)argc;
	(void)argv;
	log.directory = log.fd = -1;
	log.next = 1;
	prctl(PR_SET_NAME, "gantry-logger");
	signal(SIGPIPE, SIG_IGN);
	signal(SIGTERM, SIG_IGN);	/* it ends at the end of file, after the last event */
	signal(SIGINT, SIG_IGN);
	setvbuf(stderr, NULL, _IOLBF, 0);	/* one line, one event */
	log_boot_id(log.boot_id);
	r = read_options(&log, &path);
	if (r < 0) {
		fprintf(stderr, "persistent log: options: %s\n", strerror(-r));
		wait_for_hangup(-1);
		return 1;
	}
	snprintf(log.file, sizeof(log.file), "%s/%s", path, LOG_NAME);
	if (!open_log(&log, path))
		return 0;
	log.before.running = log.boot_id;
	go_on(&log);
	tell_last_shutdown(&log);
	r = client_request(CONTROL_FD, CONTROL_EVENTS, CONTROL_FOLLOW, (int64_t)log.next, NULL, 0);
	if (r == 0)
		r = follow(&log);
	return r < 0 ? 1 : 0;
}
