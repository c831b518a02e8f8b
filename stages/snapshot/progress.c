/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Implements progress.h. The plan replaces the old one by rename, and the journal is written anew when it is loaded, so
 * that its entries and the files agree.
 */
#define _GNU_SOURCE
#include "progress.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <gantry/cleanup.h>

#include "init/lib/io.h"
#include "journal.h"
#include "parts.h"
#include "stages/lib/file.h"

static int write_journal(struct directory *d, const struct manifest *m)
{
	_cleanup_(cleanup_free) char *text = NULL;
	size_t size = 0;
	char line[128];
	FILE *out = open_memstream(&text, &size);
	int r;

	if (!out)
		return directory_fail(d, -ENOMEM, "out of memory");
	fwrite(line, 1, journal_format_head(m, line), out);
	for (uint32_t i = 0; i < m->count; i++) {
		const struct manifest_file *file = &m->files[i];
		struct blocks_run run = { .file = i };

		for (uint64_t b = 0; b < file->blocks; b = run.first + run.count) {
			run.first = b;
			run.count = 0;
			while (run.first + run.count < file->blocks &&
			       blocks_is_done(m, i, run.first + run.count))
				run.count++;
			if (run.count)
				fwrite(line, 1, journal_format_record(&run, line), out);
			else
				run.count = 1;
		}
	}
	if (fclose(out))
		return directory_fail(d, -ENOMEM, "out of memory");
	r = directory_replace(d, "journal", text, size);
	if (r)
		return r;
	cleanup_close(&d->journal_fd);
	d->journal_fd = openat(d->state_fd, "journal", O_WRONLY | O_APPEND | O_NOFOLLOW | O_CLOEXEC);
	return d->journal_fd < 0 ? directory_fail_errno(d, "opening", "journal") : 0;
}

/* The journal cannot know that a part was lost since; then that file begins anew. */
static void forget_lost_parts(struct directory *d, struct manifest *m)
{
	for (uint32_t i = 0; i < m->count; i++) {
		const struct manifest_file *file = &m->files[i];
		char name[33];

		if (!file->blocks_done)
			continue;
		manifest_part_name(file, name);
		if (parts_has_size(d->parts_fd, name, file->size))
			continue;
		/* Cut while the files got their names: it may have its own already. */
		if (file->blocks_done == file->blocks && parts_has_size(d->fd, file->path, file->size))
			continue;
		blocks_forget(m, i);
	}
}

int progress_load(struct directory *d, struct manifest *ret)
{
	_cleanup_(cleanup_free) char *journal = NULL;
	size_t size, valid;
	int r;

	r = directory_make_state(d);
	if (r)
		return r;
	r = directory_load_plan(d, ret);
	if (r)
		return directory_fail(d, r, "%s: manifest not readable: %s", d->path, strerror(-r));
	/* Without a journal, or with another plan's, everything is fetched again. */
	if (!file_read(d->state_fd, "journal", JOURNAL_SIZE_MAX, &journal, &size))
		(void)journal_replay(journal, size, ret, &valid);
	forget_lost_parts(d, ret);
	r = write_journal(d, ret);
	if (r)
		manifest_free(ret);
	return r;
}

int progress_adopt(struct directory *d, struct manifest *m)
{
	_cleanup_(cleanup_free) char *text = NULL;
	size_t size;
	int r;

	r = directory_make_state(d);
	if (r)
		return r;
	r = manifest_format(m, &text, &size);
	if (r)
		return directory_fail(d, r, "manifest: %s", strerror(-r));
	/* A mark of an earlier snapshot must be gone before there is a plan that is not whole. */
	if (unlinkat(d->state_fd, "complete", 0) < 0 && errno != ENOENT)
		return directory_fail_errno(d, "removing", "complete");
	r = directory_replace(d, "manifest", text, size);
	if (r)
		return r;
	forget_lost_parts(d, m);
	r = write_journal(d, m);
	if (r)
		return r;
	parts_drop_stale(d, m);
	return 0;
}

int progress_record(struct directory *d, const struct blocks_run *run)
{
	char line[JOURNAL_RECORD_MAX];
	int r = io_write(d->journal_fd, line, journal_format_record(run, line));

	if (r) {
		errno = -r;
		return directory_fail_errno(d, "writing", "journal");
	}
	return 0;
}

int progress_sync(struct directory *d)
{
	return fdatasync(d->journal_fd) < 0 ? directory_fail_errno(d, "syncing", "journal") : 0;
}
