/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements access.h. Tables have a fixed size; a slow hash gets a millisecond or two in each turn of the loop. */
#include <arpa/inet.h>
#include <errno.h>
#include <mbedtls/platform_util.h>
#include <mbedtls/sha256.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <gantry/event.h>

#include "access.h"
#include "address.h"
#include "identity.h"
#include "init/lib/base64.h"
#include "init/lib/loop.h"
#include "password.h"
#include "pid1.h"
#include "tries.h"

#define USER               "admin"
#define CREDENTIALS_MAX    (sizeof(USER ":") - 1 + ACCESS_PASSWORD_MAX)	/* of the header, decoded */
#define HASHES_MAX         4		/* under way or waiting */
#define ITERATIONS_A_TURN  2000

struct hash {
	struct request *request;	/* to resume; NULL: the hash is of a new password */
	bool used;
	struct password with;
	struct password_work work;
	unsigned char key[32];		/* of the credentials, for the cache */
	void (*done)(void *with, const char *stored);
	void *done_with;
};

static const struct api_options *options;
static bool known;			/* the stored password was read, or none can be stored */
static bool set;			/* there is a password */
static struct password stored;
static uint64_t generation = 1;
static unsigned char secret[32];	/* keys the cache, so a leaked cache entry is useless elsewhere */
static unsigned char right[32];
static bool right_seen;
static struct hash hashes[HASHES_MAX];
static struct loop_timer hash_timer;

/* ---- addresses ------------------------------------------------------------------------------------------------ */

static const struct sockaddr *peer_of(struct request *request)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(request->connection,
								       MHD_CONNECTION_INFO_CLIENT_ADDRESS);

	return info ? info->client_addr : NULL;
}

static void key_of(struct request *request, unsigned char *key)
{
	address_key(peer_of(request), key);
}

static void report_wrong(struct request *request, unsigned n)
{
	const struct sockaddr *peer = peer_of(request);
	char line[160], name[INET6_ADDRSTRLEN] = "an unknown address";

	if (peer && peer->sa_family == AF_INET)
		inet_ntop(AF_INET, &((const struct sockaddr_in *)peer)->sin_addr, name, sizeof(name));
	else if (peer && peer->sa_family == AF_INET6)
		inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)peer)->sin6_addr, name, sizeof(name));
	snprintf(line, sizeof(line), "wrong user or password from %s (%u since the last report)", name, n);
	pid1_post(EVENT_WARNING, false, line, strlen(line), NULL, NULL);
}

/* ---- slow hashes ---------------------------------------------------------------------------------------------- */

static void finish(struct hash *h)
{
	struct request *request = h->request;
	char text[PASSWORD_STORED_MAX];

	if (h->done) {
		memcpy(h->with.hash, h->work.sum, sizeof(h->with.hash));
		password_slow(&h->with, text);
		h->done(h->done_with, text);
	} else if (request) {
		bool good = set && stored.slow && password_equal(h->work.sum, stored.hash, sizeof(stored.hash));

		request->kept = NULL;
		request->credentials = good ? CREDENTIALS_RIGHT : CREDENTIALS_WRONG;
		if (good) {
			memcpy(right, h->key, sizeof(right));
			right_seen = true;
		}
		request_resume(request);
	}
	mbedtls_platform_zeroize(h, sizeof(*h));
}

/* The first one in the table; the others wait. */
static void work(struct loop_timer *timer)
{
	for (size_t i = 0; i < HASHES_MAX; i++) {
		if (!hashes[i].used)
			continue;
		if (password_go_on(&hashes[i].work, ITERATIONS_A_TURN))
			finish(&hashes[i]);
		loop_arm(timer, loop_now_ns());
		return;
	}
}

static struct hash *begin(const struct password *with, const void *password, size_t size)
{
	for (size_t i = 0; i < HASHES_MAX; i++) {
		struct hash *h = &hashes[i];

		if (h->used)
			continue;
		h->used = true;
		h->with = *with;
		password_begin(&h->work, with, password, size);
		loop_arm(&hash_timer, loop_now_ns());
		return h;
	}
	return NULL;
}

/* The client disconnected. */
static void forget(void *hash)
{
	mbedtls_platform_zeroize(hash, sizeof(struct hash));
}

int access_new_password(const void *password, size_t size, void (*done)(void *with, const char *stored), void *with)
{
	struct password p = {.slow = true, .iterations = PASSWORD_ITERATIONS};
	char text[PASSWORD_STORED_MAX];
	struct hash *h;

	if (!options->slow_hash) {
		password_fast(password, size, options->salt, text);
		done(with, text);
		return 0;
	}
	if (identity_random(NULL, p.salt, sizeof(p.salt)) < 0)
		return -EIO;
	h = begin(&p, password, size);
	if (!h)
		return -EBUSY;
	h->done = done;
	h->done_with = with;
	return 0;
}

/* ---- credentials ---------------------------------------------------------------------------------------------- */

/* Decodes "Basic ..." into out. The size, or 0: absent or malformed. */
static size_t credentials_of(struct request *request, unsigned char *out, size_t room)
{
	const char *header = MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND,
							 MHD_HTTP_HEADER_AUTHORIZATION);
	size_t n = 0;

	if (!header || strncasecmp(header, "Basic ", 6) != 0)
		return 0;
	return base64_decode(header + 6, strlen(header + 6), false, out, room, &n) == 0 ? n : 0;
}

/* Of the credentials and the stored hash, so it becomes invalid when either changes. */
static void cache_key(const unsigned char *credentials, size_t size, unsigned char *out)
{
	mbedtls_sha256_context c;

	mbedtls_sha256_init(&c);
	mbedtls_sha256_starts(&c, 0);
	mbedtls_sha256_update(&c, secret, sizeof(secret));
	mbedtls_sha256_update(&c, stored.hash, sizeof(stored.hash));
	mbedtls_sha256_update(&c, credentials, size);
	mbedtls_sha256_finish(&c, out);
	mbedtls_sha256_free(&c);
}

static enum verdict is_wrong(struct request *request)
{
	unsigned char key[ADDRESS_BYTES];
	unsigned n;

	key_of(request, key);
	n = tries_wrong(key, loop_now_ns());
	if (n > 0)
		report_wrong(request, n);
	return VERDICT_DENIED;
}

static enum verdict check_slow(struct request *request, const unsigned char *password, size_t size,
			       const unsigned char *key)
{
	struct hash *h = begin(&stored, password, size);

	if (!h)
		return VERDICT_BUSY;
	h->request = request;
	request->kept = h;
	request->release = forget;
	memcpy(h->key, key, sizeof(h->key));
	request->credentials = CREDENTIALS_CHECKED;
	request_suspend(request);
	return VERDICT_WAIT;
}

static enum verdict check_credentials(struct request *request, unsigned char *credentials, size_t size)
{
	const unsigned char *colon = size ? memchr(credentials, ':', size) : NULL;
	unsigned char key[32], address[ADDRESS_BYTES];
	size_t user, rest;

	if (!colon)
		return VERDICT_DENIED;
	user = (size_t)(colon - credentials);
	rest = size - user - 1;
	cache_key(credentials, size, key);
	if (right_seen && password_equal(key, right, sizeof(key)))
		return VERDICT_ALLOWED;
	key_of(request, address);
	if (!tries_left(address, loop_now_ns()))
		return VERDICT_LIMITED;
	if (user != strlen(USER) || !password_equal(credentials, (const unsigned char *)USER, user))
		return is_wrong(request);
	if (stored.slow)
		return check_slow(request, colon + 1, rest, key);
	if (!password_matches_fast(&stored, colon + 1, rest, options->salt))
		return is_wrong(request);
	memcpy(right, key, sizeof(right));
	right_seen = true;
	return VERDICT_ALLOWED;
}

/* ---- access.h ------------------------------------------------------------------------------------------------- */

static enum verdict before_known(const struct request *request)
{
	enum access access = request->route->access;
	bool shown = access == ACCESS_ALIVE || (access == ACCESS_READ && !options->nothing_before_unlock);

	return shown ? VERDICT_ALLOWED : VERDICT_LOCKED;
}

/* A browser adds the password also to requests that another site's page causes, but marks them with this header. */
static bool is_foreign(struct request *request)
{
	const char *site = MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, "Sec-Fetch-Site");

	return request->route->access == ACCESS_ACT && site && strcmp(site, "same-origin") &&
	       strcmp(site, "none");
}

enum verdict access_check(struct request *request)
{
	unsigned char credentials[CREDENTIALS_MAX];
	enum verdict verdict;

	if (is_foreign(request))
		return VERDICT_FOREIGN;
	if (request->credentials == CREDENTIALS_RIGHT)
		return VERDICT_ALLOWED;
	if (request->credentials == CREDENTIALS_WRONG)
		return is_wrong(request);
	if (!known)
		return before_known(request);
	if (!set)
		return VERDICT_ALLOWED;
	verdict = check_credentials(request, credentials, credentials_of(request, credentials, sizeof(credentials)));
	mbedtls_platform_zeroize(credentials, sizeof(credentials));
	return verdict;
}

bool access_known(void)
{
	return known;
}

uint64_t access_generation(void)
{
	return generation;
}

bool access_stored(int fd)
{
	char text[PASSWORD_STORED_MAX];
	ssize_t n = pread(fd, text, sizeof(text), 0);
	struct password before = stored;
	bool was_set = set, same;

	if (n > 0 && password_parse(&stored, text, (size_t)n) < 0)
		n = -1;
	set = n > 0;
	known = n >= 0;		/* if the hash cannot be read, ACCESS_ACT stays closed */
	same = set && was_set && password_same(&before, &stored);
	right_seen = right_seen && same;
	if (!set || same)
		return false;
	generation++;
	return true;
}

int access_init(const struct api_options *with)
{
	options = with;
	hash_timer.fire = work;
	known = !options->password_file[0];
	return identity_random(NULL, secret, sizeof(secret)) < 0 ? -EIO : 0;
}
