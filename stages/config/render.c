/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Stage `render`: templates of the image and the fetched configuration become files, all or none. Every file is
 * rendered and written under a temporary name first; only when the last one was written are they renamed into place. A
 * refusal names template, line and key, and leaves every file as it was. On a machine that runs only files that differ
 * are replaced, and PID 1 gets their list; in check mode PID 1 gets the list and nothing is replaced. This process
 * parses and may write nothing; its partner writes (writer.h).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gantry/cleanup.h>
#include <gantry/report.h>
#include <gantry/stage.h>

#include "decodeview.h"
#include "init/lib/walk.h"
#include "stages/lib/document.h"
#include "stages/lib/options.h"
#include "stages/lib/report.h"
#include "stages/lib/secret.h"
#include "template.h"
#include "writer.h"

#define PATH_SIZE 512
#define UNSAFE    "_unsafe"	/* of a template's name: x.mustache_unsafe */

struct render {
	const char *templates[WRITER_FILES_MAX];
	struct writer_file files[WRITER_FILES_MAX];
	bool same[WRITER_FILES_MAX];	/* the file has this content already */
	size_t n_files;
	struct json_object *document;
	struct json_object *decoded;	/* the view for unsafe templates, made when the first one comes */
};

static int read_text(const char *path, char **ret, size_t *ret_size)
{
	_cleanup_(cleanup_close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	struct stat st;
	char *text;
	size_t used = 0;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if (st.st_size > TEMPLATE_SIZE_MAX)
		return -EFBIG;
	text = malloc((size_t)st.st_size + 1);
	if (!text)
		return -ENOMEM;
	while (used < (size_t)st.st_size) {
		ssize_t n = read(fd, text + used, (size_t)st.st_size - used);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		used += (size_t)n;
	}
	text[used] = '\0';
	*ret = text;
	*ret_size = used;
	return 0;
}

/* {{>name}} is name.mustache beside the template that began; a name that leaves the folder is refused. */
static int read_partial(void *context, const char *name, char **ret_text, size_t *ret_size)
{
	const char *template = context, *slash = strrchr(template, '/');
	char path[PATH_SIZE];
	int r;

	if (strchr(name, '/'))
		return -EINVAL;
	r = snprintf(path, sizeof(path), "%.*s%s.mustache", slash ? (int)(slash - template + 1) : 0, template, name);
	if ((size_t)r >= sizeof(path))
		return -ENAMETOOLONG;
	r = read_text(path, ret_text, ret_size);
	return r == -ENOENT ? 0 : r < 0 ? r : 1;
}

static int take_document(struct render *r)
{
	_cleanup_(cleanup_close) int fd = -1;
	_cleanup_secret_ struct secret text = {0};
	char error[200];
	int result;

	result = report_take("config", -1, &fd);
	if (result == -ENOENT) {
		report_result("the config stage gave no configuration");
		return STAGE_NEVER;
	}
	if (result == 0)
		result = secret_read(fd, ARTIFACT_SIZE_MAX, &text);
	if (result < 0) {
		report_result("configuration not received: %s", strerror(-result));
		return STAGE_AGAIN;
	}
	if (document_parse(text.bytes, text.size, &r->document, error, sizeof(error)) < 0) {
		report_result("configuration refused: %s", error);
		return STAGE_NEVER;
	}
	return STAGE_DONE;
}

static int find_user(const char *name, uid_t *ret)
{
	const struct passwd *p = getpwnam(name);

	if (!p)
		return -ENOENT;
	*ret = p->pw_uid;
	return 0;
}

static int find_group(const char *name, gid_t *ret)
{
	const struct group *g = getgrnam(name);

	if (!g)
		return -ENOENT;
	*ret = g->gr_gid;
	return 0;
}

/* "0640" and the like: three or four octal digits. */
static int parse_mode(const char *text, mode_t *ret)
{
	char *end;
	unsigned long mode = strtoul(text, &end, 8);

	if (strlen(text) < 3 || strlen(text) > 4 || text[0] < '0' || text[0] > '7' || *end)
		return -EINVAL;
	*ret = (mode_t)mode;
	return 0;
}

static int read_file_options(struct render *r, struct json_object *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct json_object *o = json_object_array_get_idx(list, i);
		struct writer_file *f = &r->files[r->n_files];
		const char *user = option_string_of(o, "user"), *group = option_string_of(o, "group");
		const char *mode = option_string_of(o, "mode");

		r->templates[r->n_files++] = option_string_of(o, "template");
		f->path = option_string_of(o, "path");
		if (parse_mode(mode, &f->mode) < 0)
			report_result("%s: mode \"%s\" is not octal", f->path, mode);
		else if (find_user(user, &f->uid) < 0)
			report_result("%s: no user %s", f->path, user);
		else if (find_group(group, &f->gid) < 0)
			report_result("%s: no group %s", f->path, group);
		else
			continue;
		return STAGE_NEVER;
	}
	return STAGE_DONE;
}

static bool is_unsafe(const char *template)
{
	size_t n = strlen(template), m = strlen(UNSAFE);

	return n > m && strcmp(template + n - m, UNSAFE) == 0;
}

static int render_text(struct render *r, const char *template, struct template_output *out)
{
	_cleanup_(cleanup_free) char *text = NULL;
	struct template_request request = {
		.name = template,
		.document = r->document,
		.values = TEMPLATE_PRINTABLE,
		.partial = read_partial,
		.context = (void *)template,
	};
	struct template_error error = {0};
	char why[512];
	int result;

	result = read_text(template, &text, &request.size);
	if (result < 0) {
		report_result("%s: %s", template, strerror(-result));
		return STAGE_NEVER;
	}
	request.text = text;
	if (is_unsafe(template)) {
		if (!r->decoded && decode_view(r->document, &r->decoded, why, sizeof(why)) < 0) {
			report_result("%s: %s", template, why);
			return STAGE_NEVER;
		}
		request.document = r->decoded;
		request.values = TEMPLATE_ANY;
	}
	if (template_render(&request, out, &error) < 0) {
		template_error_format(&error, why, sizeof(why));
		report_result("%s", why);
		return STAGE_NEVER;
	}
	return STAGE_DONE;
}

static int trouble(const struct render *r, size_t i, const struct writer_answer *answer)
{
	const char *path = r->files[i].path;

	if (answer->trouble == WRITER_FOLDER) {
		report_result("%s: %s", path, walk_words(answer->error));
		return answer->error == EINVAL ? STAGE_NEVER : STAGE_AGAIN;
	}
	if (answer->trouble == WRITER_DIRECTORY) {
		report_result("%s: is a directory", path);
		return STAGE_NEVER;
	}
	report_result("%s: %s", path, strerror(answer->error));
	return STAGE_AGAIN;
}

static int writer_lost(int error)
{
	report_result("the process that writes the files failed: %s", strerror(-error));
	return STAGE_AGAIN;
}

static int write_file(struct render *r, size_t i, const struct stage_context *context)
{
	struct template_output out = {0};
	struct writer_answer answer;
	int result = render_text(r, r->templates[i], &out), w;

	if (result == STAGE_DONE) {
		w = writer_write(context->pair, i, &out, &answer);
		result = w < 0 ? writer_lost(w) : answer.trouble ? trouble(r, i, &answer) : STAGE_DONE;
		r->same[i] = result == STAGE_DONE && answer.same;
	}
	template_release(&out);
	return result;
}

/* Reported before the first rename: a crash in between has reported too many files, never too few. */
static size_t tell_changed(const struct render *r)
{
	struct report_strings strings = {.kind = REPORT_CHANGED};
	size_t n = 0;

	for (size_t i = 0; i < r->n_files; i++) {
		if (r->same[i])
			continue;
		report_string(&strings, r->files[i].path);
		n++;
	}
	report_strings_end(&strings);
	return n;
}

static int commit(const struct render *r, const struct stage_context *context)
{
	enum stage_mode mode = context->mode;
	size_t n = mode == STAGE_BOOT ? r->n_files : tell_changed(r);
	struct writer_answer answer = {0};
	int w = mode == STAGE_CHECK ? 0 : writer_commit(context->pair, &answer);

	if (w < 0)
		return writer_lost(w);
	if (answer.trouble)
		return trouble(r, answer.index, &answer);
	if (mode == STAGE_BOOT)
		report_result("%zu files", n);
	else
		report_result("%zu of %zu files %s", n, r->n_files, mode == STAGE_CHECK ? "would change" : "changed");
	return STAGE_DONE;
}

static struct render render;

static int run(struct stage_context *context)
{
	int result = take_document(&render);

	for (size_t i = 0; i < render.n_files && result == STAGE_DONE; i++)
		result = write_file(&render, i, context);
	if (result == STAGE_DONE)
		result = commit(&render, context);
	writer_end(context->pair);
	json_object_put(render.decoded);
	json_object_put(render.document);
	return result;
}

static int run_writer(struct stage_context *context)
{
	return writer_serve(context->pair, context->mode, render.files, render.n_files);
}

/* What both processes know of the files: from boot.json and the image alone. */
static int prepare(struct stage_context *context)
{
	size_t n;
	struct json_object *list = option_array(context, "files", &n);

	return n > WRITER_FILES_MAX ? STAGE_NEVER : read_file_options(&render, list, n);
}

static const struct stage_option file_options[] = {
	{.name = "template", .type = OPTION_STRING, .required = true, .minimum = 1, .maximum = 255,
	 .names = OPTION_NAMES_FILE},
	{.name = "path", .type = OPTION_STRING, .required = true, .minimum = 2, .maximum = 255,
	 .names = OPTION_NAMES_RENDERED},
	{.name = "mode", .type = OPTION_STRING, .minimum = 3, .maximum = 4, .fallback = "0600"},
	{.name = "user", .type = OPTION_STRING, .minimum = 1, .maximum = 32, .fallback = "root"},
	{.name = "group", .type = OPTION_STRING, .minimum = 1, .maximum = 32, .fallback = "root"},
	{0},
};

static const struct stage_option options[] = {
	{.name = "files", .type = OPTION_OBJECTS, .required = true, .minimum = 1, .maximum = WRITER_FILES_MAX,
	 .members = file_options},
	{0},
};

static const char *const takes[] = {"config", NULL};

static const struct stage_path reads[] = {
	{.option = "files.template", .access = STAGE_READS, .folder = true},	/* and its partials */
	{0},
};

static const struct stage_path writes[] = {
	{.option = "files.path", .access = STAGE_WRITES, .folder = true},
	{0},
};

/*
 * Its files go where others own the folder, and belong to others at the end; with CAP_FOWNER it replaces one of theirs
 * also where a folder is sticky, as /tmp is.
 */
static const struct stage writer = {
	.type = "render-writer",
	.takes = takes,		/* what it writes may be secret */
	.user = "gantry-writer",
	.capabilities = UINT64_C(1) << CAP_CHOWN | UINT64_C(1) << CAP_DAC_OVERRIDE | UINT64_C(1) << CAP_FOWNER,
	.calls = STAGE_CALLS_FILES,
	.paths = writes,
	.writes_root = true,
	.run = run_writer,
};

const struct stage stage_render = {
	.type = "render",
	.takes = takes,
	.options = options,
	.refresh = STAGE_RENDERS,
	.deadline_s = 60,
	.retry_limit = 5,
	.user = "gantry-render",
	.paths = reads,
	.partner = &writer,
	.prepare = prepare,
	.run = run,
};
