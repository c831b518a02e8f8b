/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The text is lines with one meaning each. Paths are percent-encoded, so a line has no byte that could be misread; the
 * last line carries the counts, so a cut manifest is never taken for a small one.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mbedtls/sha256.h>

#include "init/lib/hex.h"
#include "lines.h"
#include "manifest.h"
#include "percent.h"
#include "stages/lib/printable.h"

#define MANIFEST_MAGIC "gantry-snapshot-manifest 1\n"
#define PATH_ENCODED_MAX (3 * S3_KEY_MAX + 1)

/* --- names --- */

bool manifest_is_node_local(const char *path)
{
	static const char *const names[] = { "discovery-secret", "known-peers.json", "jwt.hex", NULL };
	const char *slash = strrchr(path, '/');

	for (size_t i = 0; names[i]; i++)
		if (!strcmp(path, names[i]))
			return true;
	return !strcmp(slash ? slash + 1 : path, "mdbx.lck");
}

static const char *path_objection(const char *path)
{
	size_t depth = 0, size;

	if (!*path)
		return "is empty";
	if (strlen(path) > S3_KEY_MAX)
		return "is too long";
	for (const char *p = path; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			return "has a control character";
	if (*path == '/')
		return "is absolute";
	for (const char *p = path;; p += size + 1) {
		size = strcspn(p, "/");
		if (size == 0)
			return "has an empty component";
		if ((size == 1 && p[0] == '.') || (size == 2 && p[0] == '.' && p[1] == '.'))
			return "has a dot component";
		if (size > 255)
			return "has a component that is too long";
		if (p == path && size == strlen(MANIFEST_STATE) && !strncmp(p, MANIFEST_STATE, size))
			return "is in .gantry-snapshot";
		if (++depth > MANIFEST_DEPTH_MAX)
			return "is too deep";
		if (!p[size])
			return NULL;
	}
}

enum manifest_verdict manifest_judge_path(const char *path, const char **ret_reason)
{
	const char *objection = path_objection(path);

	if (objection) {
		*ret_reason = objection;
		return MANIFEST_REFUSED;
	}
	return manifest_is_node_local(path) ? MANIFEST_NODE_LOCAL : MANIFEST_WANTED;
}

int manifest_parse_latest(const char *text, size_t size, char ret[static MANIFEST_NAME_MAX + 1])
{
	static const char allowed[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-+=:@~,";

	while (size && strchr(" \t\r\n", *text) && *text)
		text++, size--;
	while (size && strchr(" \t\r\n", text[size - 1]) && text[size - 1])
		size--;
	if (size && text[size - 1] == '/')
		size--;
	if (size == 0 || size > MANIFEST_NAME_MAX || *text == '.')
		return -EBADMSG;
	for (size_t i = 0; i < size; i++)
		if (!text[i] || !strchr(allowed, text[i]))
			return -EBADMSG;
	memcpy(ret, text, size);
	ret[size] = '\0';
	return 0;
}

/* --- building --- */

int manifest_init(struct manifest *m, const char *name, const char *source)
{
	size_t size = strlen(source);

	*m = (struct manifest){ 0 };
	if (manifest_parse_latest(name, strlen(name), m->name) || strcmp(name, m->name))
		return -EBADMSG;
	if (size == 0 || size > S3_KEY_MAX || source[size - 1] != '/')
		return -EBADMSG;
	memcpy(m->source, source, size + 1);
	return 0;
}

/* Names a path in a reason without letting it speak. */
static int refuse(char *reason, const char *path, const char *objection)
{
	char shown[81];

	printable_copy(path, shown, sizeof(shown));
	snprintf(reason, S3_ERROR_MAX, "file refused: \"%s\" %s", shown, objection);
	return -EPERM;
}

int manifest_add(struct manifest *m, const char *path, const char *etag, uint64_t size,
		 char reason[static S3_ERROR_MAX])
{
	const char *objection = NULL;
	struct manifest_file *file;

	switch (manifest_judge_path(path, &objection)) {
	case MANIFEST_NODE_LOCAL:
		m->left_out++;
		return 0;
	case MANIFEST_WANTED:
		break;
	default:
		return refuse(reason, path, objection);
	}
	if (strlen(etag) > S3_ETAG_MAX || size > S3_SIZE_MAX || size > MANIFEST_TOTAL_MAX - m->total)
		return refuse(reason, path, "is too large");
	if (m->count == S3_OBJECTS_MAX)
		return refuse(reason, path, "is beyond the maximum number of files");
	if (m->count == m->room) {
		size_t room = m->room ? m->room * 2 : 64;
		struct manifest_file *grown = realloc(m->files, room * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		m->files = grown;
		m->room = room;
	}
	file = &m->files[m->count];
	*file = (struct manifest_file){ .path = strdup(path), .size = size };
	if (!file->path)
		return -ENOMEM;
	memcpy(file->etag, etag, strlen(etag) + 1);
	m->count++;
	m->total += size;
	return 0;
}

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct manifest_file *)a)->path, ((const struct manifest_file *)b)->path);
}

const struct manifest_file *manifest_find(const struct manifest *m, const char *path)
{
	struct manifest_file key = { .path = (char *)path };

	return m->count ? bsearch(&key, m->files, m->count, sizeof(key), by_path) : NULL;
}

/* One path cannot be two files, nor a file and a directory. */
static int check_conflicts(const struct manifest *m, char *reason)
{
	char above[S3_KEY_MAX + 1];

	for (size_t i = 0; i < m->count; i++) {
		const char *path = m->files[i].path;

		if (i && !strcmp(path, m->files[i - 1].path))
			return refuse(reason, path, "occurs twice");
		for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
			memcpy(above, path, (size_t)(slash - path));
			above[slash - path] = '\0';
			if (manifest_find(m, above))
				return refuse(reason, above, "is a file and a directory");
		}
	}
	return 0;
}

/* qsort has no context argument everywhere, so sizes ride along with the indices. */
struct sized_index {
	uint64_t size;
	uint32_t index;
};

static int larger_first(const void *a, const void *b)
{
	const struct sized_index *x = a, *y = b;

	if (x->size != y->size)
		return x->size < y->size ? 1 : -1;
	return x->index < y->index ? -1 : x->index > y->index;
}

static int make_order(struct manifest *m)
{
	struct sized_index *sized = calloc(m->count, sizeof(*sized));

	if (!sized)
		return -ENOMEM;
	for (size_t i = 0; i < m->count; i++)
		sized[i] = (struct sized_index){ m->files[i].size, (uint32_t)i };
	qsort(sized, m->count, sizeof(*sized), larger_first);
	for (size_t i = 0; i < m->count; i++)
		m->order[i] = sized[i].index;
	free(sized);
	return 0;
}

int manifest_seal(struct manifest *m, char reason[static S3_ERROR_MAX])
{
	_Static_assert(S3_OBJECTS_MAX < UINT32_MAX, "files are numbered in 32 bits");
	char *text;
	size_t size;
	int r;

	if (!m->count) {
		snprintf(reason, S3_ERROR_MAX, "snapshot %s has no files", m->name);
		return -ENOENT;
	}
	qsort(m->files, m->count, sizeof(*m->files), by_path);
	r = check_conflicts(m, reason);
	if (r)
		return r;
	m->blocks = 0;
	for (size_t i = 0; i < m->count; i++) {
		m->files[i].first_block = m->blocks;
		m->files[i].blocks = (m->files[i].size + MANIFEST_BLOCK - 1) / MANIFEST_BLOCK;
		m->blocks += m->files[i].blocks;
	}
	m->block_done = calloc(1, m->blocks / 8 + 1);
	m->block_taken = calloc(1, m->blocks / 8 + 1);
	m->order = calloc(m->count, sizeof(*m->order));
	if (!m->block_done || !m->block_taken || !m->order || make_order(m))
		return -ENOMEM;
	r = manifest_format(m, &text, &size);
	if (r)
		return r;
	free(text);
	return 0;
}

void manifest_free(struct manifest *m)
{
	for (size_t i = 0; i < m->count; i++)
		free(m->files[i].path);
	free(m->files);
	free(m->block_done);
	free(m->block_taken);
	free(m->order);
	*m = (struct manifest){ 0 };
}

/* --- text --- */

static int print_manifest(const struct manifest *m, FILE *out)
{
	char encoded[PATH_ENCODED_MAX];

	if (percent_encode(m->source, true, encoded, sizeof(encoded)))
		return -EINVAL;
	fprintf(out, MANIFEST_MAGIC "name %s\nsource %s\n", m->name, encoded);
	for (size_t i = 0; i < m->count; i++) {
		if (percent_encode(m->files[i].path, true, encoded, sizeof(encoded)))
			return -EINVAL;
		fprintf(out, "file %" PRIu64 " %s %s\n", m->files[i].size, m->files[i].etag, encoded);
	}
	fprintf(out, "end %zu %" PRIu64 "\n", m->count, m->total);
	return 0;
}

int manifest_format(struct manifest *m, char **ret, size_t *ret_size)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	int r;

	if (!out)
		return -ENOMEM;
	r = print_manifest(m, out);
	if (fclose(out) && !r)
		r = -ENOMEM;
	if (!r && mbedtls_sha256((const unsigned char *)text, size, m->hash, 0))
		r = -EIO;
	if (r) {
		free(text);
		return r;
	}
	*ret = text;
	*ret_size = size;
	return 0;
}

/* Accepts only the output of percent_encode(), so that each path has exactly one spelling. */
static int decode_path(const char *text, char *ret, size_t room)
{
	char decoded[PATH_ENCODED_MAX], again[PATH_ENCODED_MAX];
	size_t size = strlen(text);

	if (size >= sizeof(decoded))
		return -EBADMSG;
	memcpy(decoded, text, size + 1);
	if (percent_decode(decoded, &size) || size >= room)
		return -EBADMSG;
	memcpy(ret, decoded, size + 1);
	return percent_encode(ret, true, again, sizeof(again)) || strcmp(again, text) ? -EBADMSG : 0;
}

static int parse_file_line(struct manifest *m, const char *line, char *reason)
{
	char etag[S3_ETAG_MAX + 1], path[S3_KEY_MAX + 2];
	const char *rest, *space;
	unsigned left_out = m->left_out;
	uint64_t size;

	if (lines_number(line, ' ', &size, &rest))
		return -EBADMSG;
	space = strchr(rest, ' ');
	if (!space || space == rest || (size_t)(space - rest) > S3_ETAG_MAX)
		return -EBADMSG;
	memcpy(etag, rest, (size_t)(space - rest));
	etag[space - rest] = '\0';
	for (const char *p = etag; *p; p++)
		if (*p <= ' ' || *p > '~' || ((*p == '"') != (p == etag || !p[1])))
			return -EBADMSG;
	if (decode_path(space + 1, path, sizeof(path)))
		return -EBADMSG;
	if (manifest_add(m, path, etag, size, reason))
		return -EBADMSG;
	return m->left_out == left_out ? 0 : -EBADMSG;
}

static int parse_lines(struct lines *in, struct manifest *m, char *reason)
{
	char line[PATH_ENCODED_MAX + S3_ETAG_MAX + 64], name[MANIFEST_NAME_MAX + 1], source[S3_KEY_MAX + 2];
	uint64_t count, total;
	const char *rest;

	if (!lines_next(in, line, sizeof(line)) || strncmp(line, MANIFEST_MAGIC, strlen(MANIFEST_MAGIC) - 1) ||
	    line[strlen(MANIFEST_MAGIC) - 1])
		return -EBADMSG;
	if (!lines_next(in, line, sizeof(line)) || strncmp(line, "name ", 5) || strlen(line + 5) > MANIFEST_NAME_MAX)
		return -EBADMSG;
	strcpy(name, line + 5);
	if (!lines_next(in, line, sizeof(line)) || strncmp(line, "source ", 7) ||
	    decode_path(line + 7, source, sizeof(source)))
		return -EBADMSG;
	if (manifest_init(m, name, source))
		return -EBADMSG;
	while (lines_next(in, line, sizeof(line))) {
		if (!strncmp(line, "file ", 5)) {
			if (parse_file_line(m, line + 5, reason))
				return -EBADMSG;
			continue;
		}
		if (strncmp(line, "end ", 4) || lines_number(line + 4, ' ', &count, &rest) ||
		    lines_number(rest, '\0', &total, NULL))
			return -EBADMSG;
		return in->at == in->end && count == m->count && total == m->total ? 0 : -EBADMSG;
	}
	return -EBADMSG;
}

int manifest_parse(const void *bytes, size_t size, struct manifest *ret, char reason[static S3_ERROR_MAX])
{
	struct lines in = { bytes, (const char *)bytes + size };
	struct manifest m = { 0 };
	unsigned char hash[MANIFEST_HASH_SIZE];
	int r = -EBADMSG;

	reason[0] = '\0';
	if (size <= MANIFEST_SIZE_MAX && !mbedtls_sha256(bytes, size, hash, 0))
		r = parse_lines(&in, &m, reason);
	if (!r)
		r = manifest_seal(&m, reason);
	/* The order of the lines is part of the text: a manifest that we did not write is none. */
	if (!r && memcmp(hash, m.hash, sizeof(hash)))
		r = -EBADMSG;
	if (r) {
		if (!*reason)
			snprintf(reason, S3_ERROR_MAX, "manifest is damaged");
		manifest_free(&m);
		return r;
	}
	*ret = m;
	return 0;
}

void manifest_part_name(const struct manifest_file *file, char ret[static 33])
{
	mbedtls_sha256_context sha;
	unsigned char hash[32] = { 0 };
	char size[24];

	snprintf(size, sizeof(size), "%" PRIu64, file->size);
	mbedtls_sha256_init(&sha);
	mbedtls_sha256_starts(&sha, 0);
	mbedtls_sha256_update(&sha, (const unsigned char *)file->path, strlen(file->path) + 1);
	mbedtls_sha256_update(&sha, (const unsigned char *)file->etag, strlen(file->etag) + 1);
	mbedtls_sha256_update(&sha, (const unsigned char *)size, strlen(size));
	mbedtls_sha256_finish(&sha, hash);
	mbedtls_sha256_free(&sha);
	hex_encode(hash, 16, ret);
}
