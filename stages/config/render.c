/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Stage `render`: templates of the image and the fetched configuration become files, all or none. Every file is
 * rendered and written under a temporary name first; only when the last one was written are they renamed into place. A
 * refusal names template, line and key, and leaves every file as it was. On a machine that runs only files that differ
 * are replaced, and PID 1 gets their list; in check mode PID 1 gets the list and nothing is replaced.
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
#include "init/lib/rootview.h"
#include "init/lib/walk.h"
#include "stages/lib/document.h"
#include "stages/lib/file.h"
#include "stages/lib/options.h"
#include "stages/lib/report.h"
#include "stages/lib/secret.h"
#include "template.h"

#define FILES_MAX    256
#define PATH_SIZE    512
#define UNSAFE       "_unsafe"	/* of a template's name: x.mustache_unsafe */

struct file {
	const char *template;
	const char *path;
	const char *name;		/* the path's last */
	int folder;
	char temporary[PATH_SIZE];	/* a name in the folder; "" until it was created */
	mode_t mode;
	uid_t uid;
	gid_t gid;
	bool same;			/* the file has this content already */
};

struct render {
	struct file files[FILES_MAX];
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
		struct file *f = &r->files[r->n_files++];
		const char *user = option_string_of(o, "user", "root"), *group = option_string_of(o, "group", "root");
		const char *mode = option_string_of(o, "mode", "0600");

		f->folder = -1;
		f->template = option_string_of(o, "template", "");
		f->path = option_string_of(o, "path", "");
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

static int render_text(struct render *r, struct file *f, struct template_output *out)
{
	_cleanup_(cleanup_free) char *text = NULL;
	struct template_request request = {
		.name = f->template,
		.document = r->document,
		.values = TEMPLATE_PRINTABLE,
		.partial = read_partial,
		.context = (void *)f->template,
	};
	struct template_error error = {0};
	char why[512];
	int result;

	result = read_text(f->template, &text, &request.size);
	if (result < 0) {
		report_result("%s: %s", f->template, strerror(-result));
		return STAGE_NEVER;
	}
	request.text = text;
	if (is_unsafe(f->template)) {
		if (!r->decoded && decode_view(r->document, &r->decoded, why, sizeof(why)) < 0) {
			report_result("%s: %s", f->template, why);
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

/* Mode and owner are right before the first byte is readable under any name. */
static int write_temporary(struct file *f, const struct template_output *out)
{
	_cleanup_(cleanup_close) int fd = -1;
	int r;

	if ((size_t)snprintf(f->temporary, sizeof(f->temporary), "%s.gantry-new", f->name) >= sizeof(f->temporary)) {
		f->temporary[0] = '\0';
		return -ENAMETOOLONG;
	}
	(void)unlinkat(f->folder, f->temporary, 0);	/* left by an attempt that was killed */
	fd = openat(f->folder, f->temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0) {
		f->temporary[0] = '\0';
		return -errno;
	}
	r = file_write(fd, out->bytes, out->size);
	if (r < 0)
		return r;
	if (fchmod(fd, f->mode) < 0 || fchown(fd, f->uid, f->gid) < 0 || fsync(fd) < 0)
		return -errno;
	return 0;
}

/* Whether the file is already there as it shall be, to the byte, the mode and the owner. */
static bool is_same(const struct file *f, const struct template_output *out)
{
	_cleanup_(cleanup_close) int fd = openat(f->folder, f->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY |
								    O_CLOEXEC);
	struct stat st;
	char bytes[4096];
	size_t done = 0;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || (st.st_mode & 07777) != f->mode ||
	    st.st_uid != f->uid || st.st_gid != f->gid || st.st_size != (off_t)out->size)
		return false;
	while (done < out->size) {
		ssize_t n = read(fd, bytes, sizeof(bytes));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0 || (size_t)n > out->size - done || memcmp(bytes, out->bytes + done, (size_t)n) != 0)
			return false;
		done += (size_t)n;
	}
	return true;
}

/* Checks the folder, so that an error of write_temporary() is found without writing. */
static int can_write(const struct file *f)
{
	return faccessat(f->folder, ".", W_OK | X_OK, 0) < 0 ? -errno : 0;
}

static int prepare(struct render *r, struct file *f, enum stage_mode mode)
{
	struct template_output out = {0};
	struct stat st;
	int result;

	f->folder = walk_parent(f->path, WALK_ROOTS_LINKS, 0, &f->name);
	if (f->folder < 0) {
		report_result("%s: %s", f->path, walk_words(-f->folder));
		return f->folder == -EINVAL ? STAGE_NEVER : STAGE_AGAIN;
	}
	/* The only thing that can still stop a rename once its neighbours were renamed. */
	if (fstatat(f->folder, f->name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode)) {
		report_result("%s: is a directory", f->path);
		return STAGE_NEVER;
	}
	result = render_text(r, f, &out);
	if (result == STAGE_DONE && mode != STAGE_BOOT)
		f->same = is_same(f, &out);
	if (result == STAGE_DONE && !f->same) {
		int w = mode == STAGE_CHECK ? can_write(f) : write_temporary(f, &out);

		if (w < 0) {
			report_result("%s: %s", f->path, strerror(-w));
			result = STAGE_AGAIN;
		}
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
		if (r->files[i].same)
			continue;
		report_string(&strings, r->files[i].path);
		n++;
	}
	report_strings_end(&strings);
	return n;
}

static int commit(struct render *r, enum stage_mode mode)
{
	size_t n = mode == STAGE_BOOT ? r->n_files : tell_changed(r);

	for (size_t i = 0; i < r->n_files && mode != STAGE_CHECK; i++) {
		if (r->files[i].same)
			continue;
		if (renameat(r->files[i].folder, r->files[i].temporary, r->files[i].folder, r->files[i].name) < 0) {
			report_result("%s: %s", r->files[i].path, strerror(errno));
			return STAGE_AGAIN;
		}
		r->files[i].temporary[0] = '\0';
	}
	if (mode == STAGE_BOOT)
		report_result("%zu files", n);
	else
		report_result("%zu of %zu files %s", n, r->n_files, mode == STAGE_CHECK ? "would change" : "changed");
	return STAGE_DONE;
}

static void discard(struct render *r)
{
	for (size_t i = 0; i < r->n_files; i++) {
		if (r->files[i].temporary[0])
			unlinkat(r->files[i].folder, r->files[i].temporary, 0);
		if (r->files[i].folder >= 0)
			close(r->files[i].folder);
	}
	json_object_put(r->decoded);
	json_object_put(r->document);
}

static int run(struct stage_context *context)
{
	static struct render r;
	struct json_object *list;
	size_t n;
	int result;

	list = option_array(context, "files", &n);
	result = n > FILES_MAX ? STAGE_NEVER : read_file_options(&r, list, n);
	if (result == STAGE_DONE)
		result = take_document(&r);
	for (size_t i = 0; i < r.n_files && result == STAGE_DONE; i++)
		result = prepare(&r, &r.files[i], context->mode);
	if (result == STAGE_DONE)
		result = commit(&r, context->mode);
	discard(&r);
	return result;
}

/* With its rights gone it could write nowhere on a read-only root. */
static int view_files(struct stage_context *context)
{
	static struct rootview view = ROOTVIEW_NONE;
	size_t n;
	struct json_object *list = option_array(context, "files", &n);

	for (size_t i = 0; i < n; i++) {
		const char *path = option_string_of(json_object_array_get_idx(list, i), "path", "/");
		int r = rootview_take(&view, path);

		if (r < 0) {
			report_result("%s: making the root writable for this process failed: %s", path, strerror(-r));
			return STAGE_AGAIN;
		}
	}
	return STAGE_DONE;
}

static const struct stage_option file_options[] = {
	{.name = "template", .type = OPTION_STRING, .required = true, .minimum = 1, .maximum = 255,
	 .names = OPTION_NAMES_FILE},
	{.name = "path", .type = OPTION_STRING, .required = true, .minimum = 2, .maximum = 255,
	 .names = OPTION_NAMES_RENDERED},
	{.name = "mode", .type = OPTION_STRING, .minimum = 3, .maximum = 4},
	{.name = "user", .type = OPTION_STRING, .minimum = 1, .maximum = 32},
	{.name = "group", .type = OPTION_STRING, .minimum = 1, .maximum = 32},
	{0},
};

static const struct stage_option options[] = {
	{.name = "files", .type = OPTION_OBJECTS, .required = true, .minimum = 1, .maximum = FILES_MAX,
	 .members = file_options},
	{0},
};

static const char *const takes[] = {"config", NULL};

static const struct stage_path paths[] = {
	{.path = "/etc/passwd", .access = STAGE_READS},
	{.path = "/etc/group", .access = STAGE_READS},
	{.option = "files.template", .access = STAGE_READS, .folder = true},	/* and its partials */
	{.option = "files.path", .access = STAGE_WRITES, .folder = true},
	{0},
};

const struct stage stage_render = {
	.type = "render",
	.takes = takes,
	.options = options,
	.refresh = STAGE_RENDERS,
	.deadline_s = 60,
	.retry_limit = 5,
	.capabilities = UINT64_C(1) << CAP_CHOWN | UINT64_C(1) << CAP_DAC_OVERRIDE,
	.calls = STAGE_CALLS_FILES,
	.paths = paths,
	.prepare = view_files,
	.run = run,
};
