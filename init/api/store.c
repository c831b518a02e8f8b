/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Role `api-store`: the file access of the API, one process per operation, as root but without parsing any HTTP: PID 1
 * starts it with a name from boot.json. A file is replaced atomically: written beside its place, synced, renamed.
 *
 *     load              gives the stored password and the TLS identity to PID 1, after creating missing ones
 *     password          stores descriptor 5 as password_file
 *     upload NAME       stores descriptor 5 as the upload's file
 *     log               answers on descriptor 5, a socket, with events of an earlier boot; as gantry-api after open()
 *     service-log NAME  likewise with the lines of a service's log
 */
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <mbedtls/error.h>
#include <mbedtls/platform_util.h>
#include <psa/crypto.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gantry/cleanup.h>
#include <gantry/report.h>
#include <gantry/role.h>
#include <gantry/stage.h>

#include "bootlog.h"
#include "identity.h"
#include "init/config/format.h"
#include "init/lib/member.h"
#include "init/lib/memfd.h"
#include "init/lib/options.h"
#include "init/lib/report.h"
#include "init/lib/rootview.h"
#include "init/lib/walk.h"
#include "init/show/logback.h"
#include "init/show/logline.h"
#include "logread.h"
#include "options.h"
#include "password.h"
#include "storerights.h"

#define PAYLOAD_FD      5
#define LOG_OPTIONS_MAX 65536

/* As in init/log/logger.c. */
#define LOG_NAME      "events.log"
#define LOG_OLD_NAME  "events.log.1"
#define LOG_KEPT_NAME "events.log.kept"


static struct api_options options;

/* The line that PID 1 reports as the reason. */
static int fail(const char *what, const char *why)
{
	(void)report_result("%s: %s", what, why);
	return 1;
}

static int fail_mbedtls(const char *what, int r)
{
	char words[128];

	mbedtls_strerror(r, words, sizeof(words));
	return fail(what, words);
}

/* ---- files ---------------------------------------------------------------------------------------------------- */

/* The directory of path, and in *ret_name its last part. A descriptor or negative errno. */
static int open_directory(const char *path, const char **ret_name)
{
	_cleanup_(cleanup_close) int walked = walk_parent(path, WALK_ROOTS_LINKS, 0, ret_name);
	int fd;

	if (walked < 0)
		return walked;
	fd = openat(walked, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* The API's own files may be the first in their directories. */
static void make_directories(const char *path)
{
	const char *name;
	int fd = walk_parent(path, WALK_ROOTS_LINKS, 0700, &name);

	if (fd >= 0)
		close(fd);
}

static void temporary_name(char *out, size_t size, const char *name)
{
	snprintf(out, size, ".%.200s.gantry-new", name);
}

/* A new file beside `name`, synced and closed. from: a descriptor with `size` bytes, copied from its beginning. */
static int write_beside(int directory, const char *name, mode_t mode, int from, size_t size)
{
	char temporary[256];
	off_t at = 0;
	int fd, r = 0;

	temporary_name(temporary, sizeof(temporary), name);
	unlinkat(directory, temporary, 0);
	fd = openat(directory, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
	if (fd < 0)
		return -errno;
	while (r == 0 && at < (off_t)size) {
		ssize_t n = sendfile(fd, from, &at, size - (size_t)at);

		if (n <= 0)
			r = n < 0 && errno == EINTR ? 0 : n < 0 ? -errno : -EIO;
	}
	if (r == 0 && (fchmod(fd, mode) < 0 || fsync(fd) < 0))
		r = -errno;
	close(fd);
	if (r < 0)
		unlinkat(directory, temporary, 0);
	return r;
}

static int put_in_place(int directory, const char *name)
{
	char temporary[256];

	temporary_name(temporary, sizeof(temporary), name);
	if (renameat(directory, temporary, directory, name) < 0) {
		int r = -errno;

		unlinkat(directory, temporary, 0);
		return r;
	}
	return fsync(directory) < 0 ? -errno : 0;
}

/* Under a lock, since the temporary file has a fixed name. */
static int replace_file(const char *path, mode_t mode, int from, size_t size)
{
	const char *name;
	_cleanup_(cleanup_close) int directory = open_directory(path, &name);
	int r = directory < 0 ? directory : flock(directory, LOCK_EX) < 0 ? -errno : 0;

	if (r == 0)
		r = write_beside(directory, name, mode, from, size);
	return r < 0 ? r : put_in_place(directory, name);
}

/* Up to room - 1 bytes of a regular file, NUL-terminated. The size; -ENOENT: there is none; -EFBIG. */
static ssize_t read_file(int directory, const char *name, char *out, size_t room)
{
	_cleanup_(cleanup_close) int fd = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;
	size_t size = 0;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return -ENXIO;
	for (;;) {
		ssize_t n = read(fd, out + size, room - size);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0)
			break;
		if (n > 0)
			size += (size_t)n;
		if (size >= room)
			return -EFBIG;
	}
	out[size] = '\0';
	return (ssize_t)size;
}

/* ---- load ----------------------------------------------------------------------------------------------------- */

static int load_password(void)
{
	char stored[PASSWORD_STORED_MAX];
	struct password p;
	const char *name;
	_cleanup_(cleanup_close) int directory = open_directory(options.password_file, &name), empty = -1;
	ssize_t n = directory < 0 ? directory : read_file(directory, name, stored, sizeof(stored));

	if (n == -ENOENT && directory >= 0) {
		empty = memfd_sealed("password", "", 0);
		n = empty < 0 ? empty : replace_file(options.password_file, 0600, empty, 0);
	}
	if (n == -EFBIG || (n > 0 && password_parse(&p, stored, (size_t)n) < 0))
		return fail(options.password_file,
			    "does not hold a password hash (64 hex digits or pbkdf2-sha256$...)");
	if (n < 0)
		return fail(options.password_file, walk_words((int)-n));
	n = report_give("password", stored, (size_t)n);
	return n < 0 ? fail("password", strerror((int)-n)) : 0;
}

static void load_hosts(void)
{
	static char text[65536];
	const char *name;
	_cleanup_(cleanup_close) int directory = open_directory(options.hosts_file, &name);
	ssize_t n = directory < 0 ? directory : read_file(directory, name, text, sizeof(text));
	const char *wrong = n < 0 ? strerror((int)-n) : strlen(text) != (size_t)n || !api_hosts_parse(&options, text) ?
			    "not a list of host names" : NULL;

	if (wrong)
		fprintf(stderr, "%s: %s; using tls_hosts for the certificate\n", options.hosts_file, wrong);
}

/* Safe against a power cut: both are written and synced beside their places before the first rename. */
static int create_identity(int certificates, const char *certificate, int keys, const char *key,
			   struct identity *identity)
{
	_cleanup_(cleanup_close) int certificate_fd = -1, key_fd = -1;
	int r;

	if (options.hosts_file[0])
		load_hosts();
	r = identity_create(options.hosts, options.n_hosts, identity);
	if (r < 0)
		return fail_mbedtls("creating a certificate", r);
	certificate_fd = memfd_sealed("certificate", identity->certificate, strlen(identity->certificate));
	key_fd = memfd_sealed("certificate", identity->key, strlen(identity->key));
	r = certificate_fd < 0 || key_fd < 0 ? -ENOMEM :
	    write_beside(certificates, certificate, 0600, certificate_fd, strlen(identity->certificate));
	if (r == 0)
		r = write_beside(keys, key, 0600, key_fd, strlen(identity->key));
	if (r == 0 && (fsync(certificates) < 0 || fsync(keys) < 0))
		r = -errno;
	if (r == 0)
		r = put_in_place(certificates, certificate);
	if (r == 0)
		r = put_in_place(keys, key);
	return r < 0 ? fail(options.certificate, walk_words(-r)) : 0;
}

/* 0 or a negative mbedTLS code. ret_due: it was made here and is to be renewed; may be NULL. */
static int check_identity(const struct identity *identity, bool *ret_due)
{
	mbedtls_x509_crt certificate;
	mbedtls_pk_context pk;
	int r;

	mbedtls_x509_crt_init(&certificate);
	mbedtls_pk_init(&pk);
	r = identity_parse(identity->certificate, identity->key, &certificate, &pk);
	if (r == 0 && ret_due) {
		struct identity_validity validity = identity_validity(&certificate);

		*ret_due = identity_is_made(&certificate) && identity_is_due(&validity, time(NULL));
	}
	mbedtls_x509_crt_free(&certificate);
	mbedtls_pk_free(&pk);
	return r;
}

/* After a power cut between the two renames: the certificate is in its place, the key beside it. */
static bool finish_creation(int keys, const char *key, struct identity *identity)
{
	char temporary[256];

	temporary_name(temporary, sizeof(temporary), key);
	return read_file(keys, temporary, identity->key, sizeof(identity->key)) >= 0 &&
	       check_identity(identity, NULL) == 0 && put_in_place(keys, key) == 0;
}

/* With the same key, so that clients which know that one still do. If it cannot be stored, the old one stays in use. */
static bool renew_identity(int certificates, const char *certificate, struct identity *identity)
{
	static struct identity renewed;
	_cleanup_(cleanup_close) int fd = -1;
	int r;

	if (options.hosts_file[0])
		load_hosts();
	renewed = *identity;
	r = identity_renew(options.hosts, options.n_hosts, &renewed);
	if (r < 0) {
		fail_mbedtls("renewing the certificate", r);
		return false;
	}
	fd = memfd_sealed("certificate", renewed.certificate, strlen(renewed.certificate));
	r = fd < 0 ? fd : write_beside(certificates, certificate, 0600, fd, strlen(renewed.certificate));
	if (r == 0)
		r = put_in_place(certificates, certificate);
	if (r < 0) {
		report_event(EVENT_WARNING, "the certificate cannot be renewed: %s: %s", options.certificate,
			     walk_words(-r));
	} else {
		report_event(EVENT_NOTICE, "renewed the certificate %s", options.certificate);
		*identity = renewed;
	}
	mbedtls_platform_zeroize(&renewed, sizeof(renewed));
	return r == 0;
}

/* fail() reports which of the two is missing. *ret_renewed: the certificate is a new one for the key that was there. */
static int read_identity(struct identity *identity, bool *ret_renewed)
{
	const char *certificate, *key;
	_cleanup_(cleanup_close) int certificates = open_directory(options.certificate, &certificate),
				     keys = open_directory(options.key, &key);
	ssize_t has_certificate, has_key;
	bool due = false;
	int r;

	if (certificates < 0 || keys < 0)
		return fail(certificates < 0 ? options.certificate : options.key,
			    walk_words(-(certificates < 0 ? certificates : keys)));
	has_certificate = read_file(certificates, certificate, identity->certificate, sizeof(identity->certificate));
	has_key = read_file(keys, key, identity->key, sizeof(identity->key));
	if (has_certificate < 0 && has_certificate != -ENOENT)
		return fail(options.certificate, walk_words((int)-has_certificate));
	if (has_key < 0 && has_key != -ENOENT)
		return fail(options.key, walk_words((int)-has_key));
	if (has_certificate < 0 && has_key < 0)
		return options.create ? create_identity(certificates, certificate, keys, key, identity) :
		       fail(options.certificate, "does not exist, nor does its key, and tls_create is false");
	if (has_key < 0 && !finish_creation(keys, key, identity))
		return fail(options.key, "does not exist, but its certificate does: restore the key or remove both");
	if (has_certificate < 0)
		return fail(options.certificate,
			    "does not exist, but its key does: restore the certificate or remove both");
	r = check_identity(identity, &due);
	if (r < 0)
		return fail_mbedtls(options.certificate, r);
	*ret_renewed = due && options.create && renew_identity(certificates, certificate, identity);
	return 0;
}

/* only_renewed: PID 1 has it already, and gets it again if it is renewed now. */
static int load_identity(bool only_renewed)
{
	static struct identity identity;
	bool renewed = false;
	int r;

	if (psa_crypto_init() != PSA_SUCCESS)
		return fail("TLS key", "PSA cryptography failed to start");
	if (read_identity(&identity, &renewed) != 0)
		return 1;
	r = only_renewed && !renewed ? 0 : report_give("identity", &identity, sizeof(identity));
	mbedtls_platform_zeroize(&identity, sizeof(identity));
	return r < 0 ? fail("TLS key", strerror(-r)) : 0;
}

/* Only in the folders of these, which with `make` may be new. The root may be read-only for all others. */
static int may_write(const char *const *paths, size_t n, bool make)
{
	struct rootview view = ROOTVIEW_NONE;
	const char *what = "making the root file system writable for this process";
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++)
		r = rootview_take(&view, paths[i]);
	rootview_stay(&view);
	for (size_t i = 0; r == 0 && make && i < n; i++)
		make_directories(paths[i]);
	if (r == 0)
		r = store_may_write(paths, n, make ? options.hosts_file : "", &what);
	return r < 0 ? fail(what, strerror(-r)) : 0;
}

static int load(const char *argument)
{
	const char *const paths[] = {options.password_file, options.certificate, options.key};

	(void)argument;
	if (may_write(paths, sizeof(paths) / sizeof(*paths), true) != 0)
		return 1;
	return (options.password_file[0] ? load_password() : 0) | (options.certificate[0] ? load_identity(false) : 0);
}

static int renew(const char *argument)
{
	const char *const paths[] = {options.certificate};

	(void)argument;
	if (!options.certificate[0] || may_write(paths, 1, false) != 0)
		return 1;
	return load_identity(true);
}

/* ---- requests of clients --------------------------------------------------------------------------------------- */

static int store_payload(const char *path, mode_t mode)
{
	struct stat st;
	int r;

	if (fstat(PAYLOAD_FD, &st) < 0)
		return fail(path, strerror(errno));
	if (may_write(&path, 1, false) != 0)
		return 1;
	r = replace_file(path, mode, PAYLOAD_FD, (size_t)st.st_size);
	return r < 0 ? fail(path, walk_words(-r)) : 0;
}

static int password(const char *argument)
{
	char stored[PASSWORD_STORED_MAX];
	ssize_t n = pread(PAYLOAD_FD, stored, sizeof(stored), 0);
	struct password p;

	(void)argument;
	if (n < 0 || password_parse(&p, stored, (size_t)n) < 0)
		return fail(options.password_file, "the value to store is not a password hash");
	return store_payload(options.password_file, 0600);
}

static int upload(const char *argument)
{
	for (size_t i = 0; i < options.n_uploads; i++)
		if (!strcmp(options.uploads[i].name, argument))
			return store_payload(options.uploads[i].path, 0644);
	return fail(argument, "no such upload");
}

/* ---- earlier boots -------------------------------------------------------------------------------------------- */

/* The directory in the options, for which descriptor 4 is boot.json's `log` or `logs`; NULL: it has no such object. */
static const char *log_directory(void)
{
	struct json_object *log;	/* lives as long as the process */

	return options_json(LOG_OPTIONS_MAX, &log) < 0 ? NULL : json_object_get_string(key_member(log, "directory"));
}

static int open_log(int directory, const char *name)
{
	return openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
}

static int no_such_boot(void)
{
	(void)!send(PAYLOAD_FD, (char[]){BOOTLOG_NONE}, 1, MSG_NOSIGNAL);
	return 0;
}

static int read_log(void)
{
	struct bootlog_request request;
	char boot_id[LOG_BOOT_ID_MAX];
	struct logread l = {.boot_id = boot_id, .filter = &request.filter, .before = (char[]){BOOTLOG_FOUND, 0}};
	_cleanup_(cleanup_close) int directory = -1;
	const char *path = log_directory(), *what;
	int64_t r;

	directory = path ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	if (directory < 0)
		return !path || errno == ENOENT ? no_such_boot() : fail(path, strerror(errno));
	l.newer = open_log(directory, LOG_NAME);
	l.older = open_log(directory, LOG_OLD_NAME);
	l.kept = open_log(directory, LOG_KEPT_NAME);
	log_boot_id(boot_id);
	r = store_only_reads(&what);
	if (r < 0)
		return fail(what, strerror((int)-r));
	if (recv(PAYLOAD_FD, &request, sizeof(request), MSG_WAITALL) != sizeof(request) ||
	    !filter_valid(&request.filter))
		return fail("request", "malformed");
	l.json = request.json;
	r = logread(&l, PAYLOAD_FD);
	if (r == -ENOENT)
		return no_such_boot();
	return r < 0 && r != -EPIPE ? fail("log", strerror((int)-r)) : 0;
}

/* ---- service logs ---------------------------------------------------------------------------------------------- */

static int read_service_log(const char *name)
{
	static struct logback log;
	uint32_t lines;
	_cleanup_(cleanup_close) int directory = -1;
	const char *path = log_directory();
	FILE *out;
	int r;

	directory = path ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	r = !path ? -ENOENT : directory < 0 ? -errno : logback_open(&log, directory, name);
	if (r == -ENOENT)
		return no_such_boot();
	if (r == 0)
		r = store_only_reads(&path);
	if (r < 0)
		return fail(path, walk_words(-r));
	if (recv(PAYLOAD_FD, &lines, sizeof(lines), MSG_WAITALL) != sizeof(lines) || lines > LOGBACK_LINES_MAX)
		return fail("request", "malformed");
	out = fdopen(PAYLOAD_FD, "w");
	r = !out || fputc(BOOTLOG_FOUND, out) == EOF ? -EPIPE : logback_write(&log, lines, out);
	return r < 0 && r != -EPIPE ? fail(name, strerror(-r)) : 0;
}

static const struct {
	const char *verb;
	int (*run)(const char *argument);
} verbs[] = {{"load", load}, {"renew", renew}, {"password", password}, {"upload", upload}};

int store_main(int argc, char **argv)
{
	char error[256];

	prctl(PR_SET_NAME, "gantry-store");
	prctl(PR_SET_DUMPABLE, 0);
	setvbuf(stderr, NULL, _IOLBF, 0);
	umask(077);
	signal(SIGPIPE, SIG_IGN);
	if (argc < 3)
		return fail("api-store", "missing verb");
	if (!strcmp(argv[2], "log"))
		return read_log();
	if (!strcmp(argv[2], "service-log") && argc > 3)
		return read_service_log(argv[3]);
	if (api_options_read(&options, error, sizeof(error)) < 0)
		return fail("reading the options failed", error);
	for (size_t i = 0; i < sizeof(verbs) / sizeof(*verbs); i++)
		if (!strcmp(verbs[i].verb, argv[2]))
			return verbs[i].run(argc > 3 ? argv[3] : "");
	return fail(argv[2], "no such verb");
}
