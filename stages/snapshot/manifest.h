/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The content of a snapshot: a name and a list of files, fixed once and identified by the SHA-256 of its text, which
 * is parsed as strictly as untrusted input. Progress is counted in blocks of 1 MiB (blocks.h).
 */
#ifndef STAGES_SNAPSHOT_MANIFEST_H
#define STAGES_SNAPSHOT_MANIFEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "s3.h"

#define MANIFEST_BLOCK      (UINT64_C(1) << 20)
#define MANIFEST_TOTAL_MAX  (UINT64_C(64) << 40)	/* bytes in all files together */
#define MANIFEST_SIZE_MAX   (1u << 29)			/* bytes of the text */
#define MANIFEST_NAME_MAX   128
#define MANIFEST_DEPTH_MAX  32
#define MANIFEST_HASH_SIZE  32
#define MANIFEST_STATE      ".gantry-snapshot"	/* our folder in the target directory; no file may be in it */

struct manifest_file {
	char *path;			/* relative, checked */
	char etag[S3_ETAG_MAX + 1];
	uint64_t size;
	uint64_t first_block;		/* in the bitmaps */
	uint64_t blocks, blocks_done;
};

struct manifest {
	char name[MANIFEST_NAME_MAX + 1];
	char source[S3_KEY_MAX + 1];	/* keys are SOURCE + path; ends with '/' */
	struct manifest_file *files;	/* sorted by path once sealed */
	size_t count, room;
	unsigned left_out;		/* node-local files that the store has and we do not want */
	uint64_t total, done;		/* bytes */
	uint64_t blocks;
	unsigned char *block_done, *block_taken;	/* bitmaps */
	uint32_t *order;		/* largest file first */
	size_t cursor;			/* into order */
	uint64_t cursor_block;
	unsigned char hash[MANIFEST_HASH_SIZE];		/* of the text */
};

enum manifest_verdict {
	MANIFEST_WANTED,
	MANIFEST_NODE_LOCAL,		/* belongs to one node: never fetched, never touched */
	MANIFEST_REFUSED,
	MANIFEST_VERDICT_MAX,
};

/* May a file with this relative path be written? *ret_reason is static. */
enum manifest_verdict manifest_judge_path(const char *path, const char **ret_reason);
bool manifest_is_node_local(const char *path);

/* A snapshot's directory name out of the text of the "latest" object: one word, trimmed. 0 or -EBADMSG. */
int manifest_parse_latest(const char *text, size_t size, char ret[static MANIFEST_NAME_MAX + 1]);

/*
 * Building one: init, add each object's path, seal. -EPERM: refused, and the reason says which path and why;
 * -ENOENT when sealing: no files. After a failed call only manifest_free() is allowed.
 */
int manifest_init(struct manifest *m, const char *name, const char *source);
int manifest_add(struct manifest *m, const char *path, const char *etag, uint64_t size,
		 char reason[static S3_ERROR_MAX]);
int manifest_seal(struct manifest *m, char reason[static S3_ERROR_MAX]);
void manifest_free(struct manifest *m);	/* safe on a zeroed one */

/* The file of a sealed one with that path, or NULL. */
const struct manifest_file *manifest_find(const struct manifest *m, const char *path);

/* To text and back; sealing and the text give the hash. *ret of manifest_format is the caller's to free. */
int manifest_format(struct manifest *m, char **ret, size_t *ret_size);
int manifest_parse(const void *bytes, size_t size, struct manifest *ret, char reason[static S3_ERROR_MAX]);

/*
 * The name under which a file is kept until it is whole: depends on path, size and ETag, so a changed one
 * differs.
 */
void manifest_part_name(const struct manifest_file *file, char ret[static 33]);

#endif
