/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Implements logread.h with one pass over the files for each question: which boots there are, how many events match
 * (for `limit`), and the events themselves. Slow in the worst case, but never more than one line in memory.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gantry/cleanup.h>

#include "init/lib/io.h"
#include "init/show/logline.h"
#include "logread.h"

#define FLUSH_AT 32768

#define FILES 3

/* Through all files, oldest line first. */
struct walk {
	int fds[FILES];			/* kept, older, newer */
	int64_t ends[FILES];
	int file;
	bool unknown;			/* the file's first line is next: it may be of another boot than the last one */
	int64_t boot;			/* the one that the line at hand belongs to, from 0; -1: none yet */
	char boot_id[LOG_BOOT_ID_MAX];	/* its id; "": the log no longer has its beginning */
	struct log_lines lines;
	char record[EVENT_RECORD_MAX];
	int record_size;		/* above 0: the line is an event */
};

struct job {
	struct walk walk;
	const struct logread *what;
	int out;
	bool begun;
	struct text text;
	char bytes[FLUSH_AT + EVENT_JSON_MAX + 8];
};

static void walk_begin(struct walk *w)
{
	w->file = 0;
	w->unknown = false;
	w->boot = -1;
	w->boot_id[0] = '\0';
	log_lines_begin(&w->lines, w->fds[0], w->ends[0]);
}

static void take_boot(struct walk *w, const struct log_boot *boot)
{
	bool same = strcmp(w->boot_id, boot->id) == 0 || (!w->boot_id[0] && boot->continued);

	w->boot += w->boot < 0 || !same;
	memcpy(w->boot_id, boot->id, sizeof(w->boot_id));
	w->unknown = false;
}

/* One line further; events are read only in boot `wanted`. 1, 0 at the end, or negative errno. */
static int walk_next(struct walk *w, int64_t wanted)
{
	struct log_boot boot;
	const char *line;
	size_t size;
	int r;

	while ((r = log_lines_next(&w->lines, &line, &size)) == 0 && w->file < FILES - 1) {
		w->unknown |= w->file == 0 && w->boot >= 0;
		w->file++;
		log_lines_begin(&w->lines, w->fds[w->file], w->ends[w->file]);
	}
	w->record_size = 0;
	if (r <= 0)
		return r;
	if (log_line_boot(&boot, line, size) == 0) {
		take_boot(w, &boot);
		return 1;
	}
	if (w->boot == wanted || w->boot < 0 || w->unknown)
		w->record_size = log_line_event(w->record, line, size);
	if (w->unknown && w->record_size > 0) {	/* the older part was shortened: its first boot line is gone */
		w->unknown = false;
		w->boot++;
		w->boot_id[0] = '\0';
	}
	if (w->boot < 0 && w->record_size > 0)	/* a boot whose first line was cut off */
		w->boot = 0;
	return 1;
}

/* The index of the requested boot; -ENOENT: the log does not have it; or negative errno. */
static int64_t find_boot(struct walk *w, const struct logread *what)
{
	int64_t running = -1;
	int r;

	walk_begin(w);
	while ((r = walk_next(w, -1)) > 0)
		if (w->boot >= 0 && strcmp(w->boot_id, what->boot_id) == 0)
			running = w->boot;
	if (r < 0)
		return r;
	if (running < 0)
		running = w->boot + 1;
	if (running + what->filter->boot < 0 || running + what->filter->boot > w->boot)
		return -ENOENT;
	return running + what->filter->boot;
}

/* The next event of the boot that matches. 1, 0 at the end, or negative errno. */
static int next_match(struct walk *w, int64_t boot, const struct filter *filter, struct event_view *e)
{
	int r;

	while ((r = walk_next(w, boot)) > 0)
		if (w->record_size > 0 && w->boot == boot && event_view(e, w->record, (size_t)w->record_size) == 0 &&
		    filter_matches(filter, e))
			return 1;
	return r;
}

static int flush(struct job *job)
{
	int r = io_write(job->out, job->bytes, job->text.size);

	job->text.size = 0;
	return r;
}

static int put(struct job *job, const struct event_view *e)
{
	if (job->what->json) {
		text_put(&job->text, job->begun ? "," : "[");
		event_json(&job->text, e);
	} else {
		event_text_line(&job->text, e);
	}
	job->begun = true;
	return job->text.size >= FLUSH_AT ? flush(job) : 0;
}

/* How many of the matching events are older than the newest `limit`. */
static int64_t count_surplus(struct job *job, int64_t boot)
{
	const struct filter *filter = job->what->filter;
	struct event_view e;
	int64_t found = 0;
	int r;

	if (!filter_given(filter, FILTER_LIMIT))
		return 0;
	walk_begin(&job->walk);
	while ((r = next_match(&job->walk, boot, filter, &e)) > 0)
		found++;
	if (r < 0)
		return r;
	return (uint64_t)found > filter->limit ? found - (int64_t)filter->limit : 0;
}

static int64_t write_boot(struct job *job, int64_t boot)
{
	int64_t surplus = count_surplus(job, boot), written = 0;
	struct event_view e;
	int r;

	if (surplus < 0)
		return surplus;
	if (job->what->before)
		text_put(&job->text, job->what->before);
	walk_begin(&job->walk);
	while ((r = next_match(&job->walk, boot, job->what->filter, &e)) > 0) {
		if (surplus-- > 0)
			continue;
		surplus = 0;
		r = put(job, &e);
		if (r < 0)
			return r;
		written++;
	}
	if (r == 0 && job->what->json)
		text_put(&job->text, job->begun ? "]\n" : "[]\n");
	if (r == 0)
		r = flush(job);
	return r < 0 ? r : written;
}

/* The files at their present size. Only regular files are read. */
static int look_at_files(struct walk *w, const struct logread *what)
{
	struct stat st[FILES] = {{0}};
	struct log_boot last;

	w->fds[0] = what->kept;
	w->fds[1] = what->older;
	w->fds[2] = what->newer;
	for (int i = 0; i < FILES; i++) {
		if (w->fds[i] < 0)
			continue;
		if (fstat(w->fds[i], &st[i]) < 0)
			return -errno;
		if (!S_ISREG(st[i].st_mode))
			return -EINVAL;
		w->ends[i] = st[i].st_size;
	}
	if (w->fds[1] >= 0 && w->fds[2] >= 0 && st[1].st_dev == st[2].st_dev && st[1].st_ino == st[2].st_ino)
		w->fds[1] = -1;
	if (w->fds[0] >= 0 && w->fds[1] >= 0)
		w->ends[0] = log_kept_end(w->fds[0], w->ends[0], w->fds[1], w->ends[1], &last);
	return w->ends[0] < 0 ? (int)w->ends[0] : 0;
}

int64_t logread(const struct logread *what, int out)
{
	_cleanup_(cleanup_free) struct job *job = calloc(1, sizeof(*job));
	int64_t boot;
	int r;

	if (!job)
		return -ENOMEM;
	job->what = what;
	job->out = out;
	job->text = (struct text)TEXT_FIXED(job->bytes);
	r = look_at_files(&job->walk, what);
	if (r < 0)
		return r;
	boot = find_boot(&job->walk, what);
	return boot < 0 ? boot : write_boot(job, boot);
}
