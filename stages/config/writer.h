/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Files that a process with the right to write makes for the stage render, which has none. First each is written under
 * a temporary name, then all are renamed.
 */
#ifndef STAGES_CONFIG_WRITER_H
#define STAGES_CONFIG_WRITER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <gantry/stage.h>

#define WRITER_FILES_MAX 256

struct template_output;

struct writer_file {
	const char *path;
	mode_t mode;
	uid_t uid;
	gid_t gid;
};

enum writer_trouble {
	WRITER_FINE,
	WRITER_FOLDER,		/* `error` is one for walk_words() */
	WRITER_DIRECTORY,	/* there is one of that name */
	WRITER_FILE,
};

struct writer_answer {
	uint32_t trouble;	/* enum writer_trouble */
	int32_t error;		/* an errno */
	uint32_t index;		/* of the file, after writer_commit() */
	uint32_t same;		/* the file has this content, mode and owner already: it is not written */
};

/* The writer: until the other end is closed, or asks for what it may not. Returns its exit status. */
int writer_serve(int socket, enum stage_mode mode, const struct writer_file *files, size_t n);

/* Each file once; of a writer in STAGE_CHECK, whether it could be. 0, or negative errno: the writer has ended. */
int writer_write(int socket, size_t index, const struct template_output *text, struct writer_answer *ret);
int writer_commit(int socket, struct writer_answer *ret);

/* What was not renamed is removed. */
void writer_end(int socket);

#endif
