/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * `tpm2`: 64 random bytes, sealed to PCR values. `tpm2-signed`: the same, sealed to what a key signs. Their sealed
 * blobs lie in tokens of the LUKS2 header, so they go where the disk goes; the passphrase is the base64 text of the
 * bytes, as systemd-cryptenroll makes it, so that its tools read what is in its own token format. `hub` and
 * `recovery`: the bytes of an artifact, as they are. `tpm2-nv`: what the shell init kept in the TPM's plain memory. A
 * key is in locked memory from birth to death.
 */
#define _GNU_SOURCE
#include "key.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <json-c/json.h>

#include <gantry/cleanup.h>

#include "approval.h"
#include "init/lib/base64.h"
#include "init/lib/hex.h"
#include "luksform.h"
#include "stages/lib/report.h"
#include "stages/lib/tpm.h"

#define TPM_KEY_SIZE  64
#define SAY_EVERY_MS  10000
#define SHELL_NV_SIZE 64

#define TOKEN_TPM2     "systemd-tpm2"	/* systemd's src/shared/tpm2-util.c, tpm2_make_luks2_json() */
#define TOKEN_SIGNED   "gantry-tpm2-signed"
#define TOKEN_HUB      "gantry-hub"
#define TOKEN_RECOVERY "gantry-recovery"

static void put_json(struct json_object **json)
{
	json_object_put(*json);
}

bool key_error_may_pass(int error)
{
	return error == -EAGAIN || error == -ENODEV || error == -EBUSY || error == -EIO || error == -ETIMEDOUT ||
	       error == -ENOMEM;
}

static int open_tpm(struct tpm **ret, char *why)
{
	int r = tpm_open(ret);

	if (r < 0)
		snprintf(why, KEY_WHY_MAX, "no TPM: %s", strerror(-r));
	return r == -ENOENT || r == -EIO ? -ENODEV : r;
}

static int no_key(char *why, const char *text)
{
	snprintf(why, KEY_WHY_MAX, "%s", text);
	return -ENOKEY;
}

/* The passphrase of a sealed key. */
static int base64_secret(const struct secret *bytes, struct secret *ret)
{
	_cleanup_secret_ struct secret text = {0};
	int r = secret_new(BASE64_SIZE(bytes->size), &text);

	if (r < 0)
		return r;
	text.size = base64_encode(bytes->bytes, bytes->size, false, (char *)text.bytes);
	*ret = text;
	text = (struct secret){0};
	return 0;
}

/* The approval of this image in that partition; without its signature where there is none, and then why says so. */
static int ready_approval(struct key_place *place, unsigned number, char *why)
{
	int r;

	if (place->has_approval && place->approval_number == number)
		return 0;
	place->has_approval = false;
	if (!place->policy_key)
		return no_key(why, "no policy_key is configured");
	r = approval_read_key(place->policy_key, &place->approval, why);
	if (r < 0)
		return r;
	r = approval_find("/sys", number, &place->approval, why);
	if (r == -EBADMSG && place->is_open)
		snprintf(why, KEY_WHY_MAX, "signed policy is refused");
	place->has_approval = r == 0;
	place->approval_number = number;
	return r;
}

/* Whether the next partition may have the approval that this one has not: an image's own is not known by its place. */
static bool tries_next(int error, unsigned number)
{
	return number + 1 < APPROVALS_MAX && (error == -EKEYREJECTED || error == -EBADMSG || error == -ENODATA);
}

static int unseal(const struct luks_header *header, const struct tpm_policy *policy, const struct luks_token *token,
		  struct secret *ret_key, char *why)
{
	_cleanup_(cleanup_tpm) struct tpm *tpm = NULL;
	_cleanup_secret_ struct secret bytes = {0};
	int r;

	if (!token->is_sealed)
		return no_key(why, "the sealed key in the header is malformed");
	r = open_tpm(&tpm, why);
	if (r < 0)
		return r;
	r = tpm_unseal(tpm, policy, header->uuid, &token->sealed, &bytes);
	if (r == -EKEYREJECTED && !policy->approval && strstr(tpm_reason(tpm), "policy not met"))
		snprintf(why, KEY_WHY_MAX, "sealed to other PCR values than this boot's: %s", tpm_reason(tpm));
	else if (r < 0)
		snprintf(why, KEY_WHY_MAX, "%s", tpm_reason(tpm));
	else
		r = base64_secret(&bytes, ret_key);
	return r;
}

static int get_tpm2(struct key_place *place, const struct luks_header *header, const struct luks_token *token,
		    struct secret *ret_key, char why[KEY_WHY_MAX])
{
	const struct tpm_policy policy = {.pcrs = place->pcrs};

	if (token->pcrs != place->pcrs)
		return no_key(why, "the key in the header is sealed to other PCRs than the configured ones");
	return unseal(header, &policy, token, ret_key, why);
}

static int add_base64(struct json_object *object, const char *name, const void *bytes, size_t size)
{
	_cleanup_(cleanup_free) char *text = malloc(BASE64_SIZE(size));

	if (!text)
		return -ENOMEM;
	base64_encode(bytes, size, false, text);
	return json_object_object_add(object, name, json_object_new_string(text)) < 0 ? -ENOMEM : 0;
}

/* Members with which systemd's own tools can unseal the key. */
static int add_systemd_members(struct json_object *token, struct tpm *tpm, uint32_t pcrs, const uint8_t *digest)
{
	_cleanup_(cleanup_free) uint8_t *srk = NULL;
	struct json_object *list = json_object_new_array();
	char hex[HEX_SIZE(TPM_DIGEST_SIZE)];
	bool is_rsa = false;
	size_t size = 0;
	int r;

	hex_encode(digest, TPM_DIGEST_SIZE, hex);
	for (int i = 0; i < 24; i++)
		if (pcrs & 1u << i)
			json_object_array_add(list, json_object_new_int(i));
	json_object_object_add(token, "tpm2-pcrs", list);
	json_object_object_add(token, "tpm2-pcr-bank", json_object_new_string("sha256"));
	json_object_object_add(token, "tpm2-policy-hash", json_object_new_string(hex));
	json_object_object_add(token, "tpm2-pin", json_object_new_boolean(false));
	r = tpm_srk_serialize(tpm, &srk, &size, &is_rsa);
	if (r == 0)
		r = add_base64(token, "tpm2_srk", srk, size);
	json_object_object_add(token, "tpm2-primary-alg", json_object_new_string(is_rsa ? "rsa" : "ecc"));
	return r;
}

static int simple_token(const char *type, struct json_object **ret)
{
	struct json_object *token = json_object_new_object();

	if (!token)
		return -ENOMEM;
	json_object_object_add(token, "type", json_object_new_string(type));
	json_object_object_add(token, "keyslots", json_object_new_array());
	*ret = token;
	return 0;
}

static int token_text(struct json_object *token, char **ret)
{
	*ret = strdup(json_object_to_json_string_ext(token, JSON_C_TO_STRING_PLAIN));
	return *ret ? 0 : -ENOMEM;
}

static int make_sealed(struct key_place *place, const struct tpm_policy *policy, const char *type,
		       struct secret *ret_key, char **ret_token, char *why)
{
	_cleanup_(put_json) struct json_object *token = NULL;
	_cleanup_(cleanup_tpm) struct tpm *tpm = NULL;
	_cleanup_secret_ struct secret bytes = {0}, again = {0};
	uint8_t digest[TPM_DIGEST_SIZE];
	struct tpm_sealed sealed;
	int r;

	r = open_tpm(&tpm, why);
	if (r < 0)
		return r;
	r = secret_new(TPM_KEY_SIZE, &bytes);
	if (r == 0 && getrandom(bytes.bytes, bytes.size, 0) != (ssize_t)bytes.size)
		r = -EIO;
	if (r < 0) {
		snprintf(why, KEY_WHY_MAX, "generating a key failed: %s", strerror(-r));
		return r;
	}
	r = tpm_seal(tpm, policy, place->uuid, bytes.bytes, bytes.size, &sealed, digest);
	/* A key that this boot cannot unseal, the next one could not either. */
	if (r == 0)
		r = tpm_unseal(tpm, policy, place->uuid, &sealed, &again);
	if (r == 0 && (again.size != bytes.size || memcmp(again.bytes, bytes.bytes, bytes.size) != 0))
		r = -EBADMSG;
	if (r < 0) {
		snprintf(why, KEY_WHY_MAX, "%s", tpm_reason(tpm));
		return r;
	}
	r = simple_token(type, &token);
	if (r == 0)
		r = add_base64(token, LUKS_MEMBER_BLOB, sealed.blob.bytes, sealed.blob.size);
	if (r == 0)
		r = add_base64(token, LUKS_MEMBER_CREATION, sealed.creation.bytes, sealed.creation.size);
	if (r == 0 && !policy->approval)
		r = add_systemd_members(token, tpm, policy->pcrs, digest);
	if (r == 0)
		r = base64_secret(&bytes, ret_key);
	if (r == 0)
		r = token_text(token, ret_token);
	if (r < 0)
		snprintf(why, KEY_WHY_MAX, "token: %s", strerror(-r));
	return r;
}

/* A PCR that nothing was measured into is the same for every image, so it keeps none from the key. */
static int check_measured(const struct key_place *place, char *why)
{
	static const uint8_t zeros[TPM_DIGEST_SIZE];
	_cleanup_(cleanup_tpm) struct tpm *tpm = NULL;
	uint8_t value[TPM_DIGEST_SIZE];
	char list[72] = "";
	int r = open_tpm(&tpm, why);

	for (unsigned i = 0; r == 0 && i < 24; i++) {
		size_t used = strlen(list);

		if (i == TPM_PCR_CLOSE || !(place->pcrs & 1u << i))
			continue;
		r = tpm_pcr_read(tpm, i, value);
		if (r < 0)
			snprintf(why, KEY_WHY_MAX, "%s", tpm_reason(tpm));
		else if (memcmp(value, zeros, sizeof(zeros)) == 0)
			snprintf(list + used, sizeof(list) - used, "%s%u", used ? ", " : "", i);
	}
	if (r < 0 || !list[0])
		return r;
	if (place->may_be_unmeasured) {
		report_event(EVENT_WARNING,
			     "the key is sealed to PCR %s, into which nothing was measured: every image opens it",
			     list);
		return 0;
	}
	snprintf(why, KEY_WHY_MAX,
		 "nothing was measured into PCR %s, so any image could open a key that is sealed to it", list);
	return -EKEYREJECTED;
}

static int make_tpm2(struct key_place *place, struct secret *ret_key, char **ret_token, char why[KEY_WHY_MAX])
{
	const struct tpm_policy policy = {.pcrs = place->pcrs};
	int r = check_measured(place, why);

	return r < 0 ? r : make_sealed(place, &policy, TOKEN_TPM2, ret_key, ret_token, why);
}

/* token NULL: makes a key. With one partition's approval after the other, while it fails for want of the right one. */
static int get_or_make(struct key_place *place, const struct luks_header *header, const struct luks_token *token,
		       struct secret *ret_key, char **ret_token, char *why)
{
	const struct tpm_policy policy = {.approval = &place->approval};
	char next[KEY_WHY_MAX];
	unsigned number = 0;
	int first = 0, r;

	do {
		char *told = number ? next : why;

		r = ready_approval(place, number, told);
		if (r == 0)
			r = token ? unseal(header, &policy, token, ret_key, told) :
				    make_sealed(place, &policy, TOKEN_SIGNED, ret_key, ret_token, told);
		if (number == 0)
			first = r;
	} while (r < 0 && tries_next(r, number++));
	return r < 0 ? first : 0;
}

static int get_signed(struct key_place *place, const struct luks_header *header, const struct luks_token *token,
		      struct secret *ret_key, char why[KEY_WHY_MAX])
{
	return get_or_make(place, header, token, ret_key, NULL, why);
}

static int make_signed(struct key_place *place, struct secret *ret_key, char **ret_token, char why[KEY_WHY_MAX])
{
	return get_or_make(place, NULL, NULL, ret_key, ret_token, why);
}

/* Waits as long as the configuration may still come; the plan's deadline of the stage bounds it. */
static int take_artifact(const struct key_place *place, const char *artifact, struct secret *ret, char *why)
{
	_cleanup_(cleanup_close) int fd = -1;
	int64_t waited = 0;
	int r;

	while ((r = report_take(artifact, SAY_EVERY_MS, &fd)) == -ETIMEDOUT) {
		waited += SAY_EVERY_MS;
		if (place->artifact_wait_ms >= 0 && waited >= place->artifact_wait_ms)
			break;
		report_event(EVENT_INFO, "waiting for %s from the hub", artifact);
	}
	if (r < 0) {
		if (r == -ENOENT || r == -ETIMEDOUT)
			snprintf(why, KEY_WHY_MAX, "the hub did not provide %s", artifact);
		else
			snprintf(why, KEY_WHY_MAX, "%s: %s", artifact, strerror(-r));
		return r;
	}
	r = secret_read(fd, KEY_SIZE_MAX, ret);
	if (r == 0 && ret->size == 0) {
		secret_wipe(ret);
		r = -ENODATA;
	}
	if (r < 0)
		snprintf(why, KEY_WHY_MAX, "%s: %s", artifact, strerror(-r));
	return r;
}

static int make_artifact(struct key_place *place, const char *artifact, const char *type, struct secret *ret_key,
			 char **ret_token, char *why)
{
	_cleanup_(put_json) struct json_object *token = NULL;
	int r = take_artifact(place, artifact, ret_key, why);

	if (r == 0)
		r = simple_token(type, &token);
	return r < 0 ? r : token_text(token, ret_token);
}

static int get_hub(struct key_place *place, const struct luks_header *header, const struct luks_token *token,
		   struct secret *ret_key, char why[KEY_WHY_MAX])
{
	(void)header;
	(void)token;
	return take_artifact(place, KEY_ARTIFACT, ret_key, why);
}

static int make_hub(struct key_place *place, struct secret *ret_key, char **ret_token, char why[KEY_WHY_MAX])
{
	return make_artifact(place, KEY_ARTIFACT, TOKEN_HUB, ret_key, ret_token, why);
}

static int get_recovery(struct key_place *place, const struct luks_header *header, const struct luks_token *token,
			struct secret *ret_key, char why[KEY_WHY_MAX])
{
	(void)header;
	(void)token;
	return take_artifact(place, RECOVERY_ARTIFACT, ret_key, why);
}

static int make_recovery(struct key_place *place, struct secret *ret_key, char **ret_token, char why[KEY_WHY_MAX])
{
	int r = make_artifact(place, RECOVERY_ARTIFACT, TOKEN_RECOVERY, ret_key, ret_token, why);

	if (r == 0 && ret_key->size < RECOVERY_SIZE_MIN) {
		secret_wipe(ret_key);
		free(*ret_token);
		*ret_token = NULL;
		snprintf(why, KEY_WHY_MAX, "%s is shorter than %d bytes", RECOVERY_ARTIFACT, RECOVERY_SIZE_MIN);
		r = -EINVAL;
	}
	return r;
}

static int get_nv(struct key_place *place, const struct luks_header *header, const struct luks_token *token,
		  struct secret *ret_key, char why[KEY_WHY_MAX])
{
	_cleanup_(cleanup_tpm) struct tpm *tpm = NULL;
	_cleanup_secret_ struct secret key = {0};
	int r;

	(void)place;
	(void)header;
	(void)token;
	r = open_tpm(&tpm, why);
	if (r < 0)
		return r;
	r = tpm_shell_key(tpm, &key);
	if (r < 0) {
		snprintf(why, KEY_WHY_MAX, "%s", tpm_reason(tpm));
		return r;
	}
	if (key.size != SHELL_NV_SIZE)
		return no_key(why, "TPM NV index 0x01500016 does not hold a 64-character alphanumeric key");
	for (size_t i = 0; i < key.size; i++)
		if (!isalnum(key.bytes[i]))
			return no_key(why, "TPM NV index 0x01500016 does not hold a 64-character alphanumeric key");
	*ret_key = key;
	key = (struct secret){0};
	return 0;
}

static const struct key_source sources[KEY_SOURCES_MAX] = {
	{"tpm2", TOKEN_TPM2, LUKS_COST_NONE, true, get_tpm2, make_tpm2},
	{"tpm2-signed", TOKEN_SIGNED, LUKS_COST_NONE, true, get_signed, make_signed},
	{"hub", TOKEN_HUB, LUKS_COST_NONE, false, get_hub, make_hub},
	{"recovery", TOKEN_RECOVERY, LUKS_COST_MUCH, false, get_recovery, make_recovery},
	{"tpm2-nv", NULL, LUKS_COST_NONE, false, get_nv, NULL},
};

const struct key_source *key_source_named(const char *name)
{
	for (size_t i = 0; i < sizeof(sources) / sizeof(*sources); i++)
		if (strcmp(sources[i].name, name) == 0)
			return &sources[i];
	return NULL;
}
