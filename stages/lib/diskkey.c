/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * `tpm2`: 64 random bytes, sealed to PCR values; the sealed blob lies in a token of the LUKS2 header, so it goes
 * where the disk goes. `hub`: the bytes of the artifact `disk-key`, as they are. A key is in locked memory from
 * birth to death.
 */
#define _GNU_SOURCE
#include "diskkey.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <json-c/json.h>

#include <gantry/cleanup.h>

#include "report.h"
#include "tpm.h"

#define TOKEN_TYPE  "gantry-tpm2"
#define TPM_KEY_SIZE 64
#define SAY_EVERY_MS 10000

static void close_tpm(struct tpm **tpm)
{
	tpm_close(*tpm);
}

static void put_json(struct json_object **json)
{
	json_object_put(*json);
}

static int open_tpm(const struct key_place *place, struct tpm **ret, char *why)
{
	int r = tpm_open(place->tcti, ret);

	if (r < 0)
		snprintf(why, KEY_WHY_MAX, "no TPM at %s: %s", place->tcti, strerror(-r));
	return r == -ENOENT || r == -EIO ? -ENODEV : r;
}

/* The blob comes from the disk: strict about its shape, and the TPM is strict about the rest. */
static int blob_of_token(struct json_object *token, struct tpm_blob *ret)
{
	struct json_object *text;

	if (!json_object_object_get_ex(token, "tpm2-blob", &text) || !json_object_is_type(text, json_type_string))
		return -EBADMSG;
	return luks_base64_decode(json_object_get_string(text), ret->bytes, sizeof(ret->bytes), &ret->size);
}

static int get_tpm2(const struct key_place *place, const struct luks_header *header, struct secret *ret_key,
		    int *ret_keyslot, char why[KEY_WHY_MAX])
{
	_cleanup_(close_tpm) struct tpm *tpm = NULL;
	struct json_object *token;
	struct tpm_blob blob;
	int keyslot = -1, r;

	token = luks_header_token(header, TOKEN_TYPE, &keyslot);
	if (!token || blob_of_token(token, &blob) < 0) {
		snprintf(why, KEY_WHY_MAX, token ? "the sealed key in the header is malformed" :
						   "no sealed key in the header");
		return -ENOKEY;
	}
	r = open_tpm(place, &tpm, why);
	if (r < 0)
		return r;
	r = tpm_unseal(tpm, place->pcrs, &blob, ret_key);
	if (r == -EKEYREJECTED)
		snprintf(why, KEY_WHY_MAX, "sealed to other PCR values than this boot's: %s", tpm_reason(tpm));
	else if (r < 0)
		snprintf(why, KEY_WHY_MAX, "%s", tpm_reason(tpm));
	else
		*ret_keyslot = keyslot;
	return r;
}

static int token_of_blob(const struct tpm_blob *blob, uint32_t pcrs, char **ret)
{
	_cleanup_(put_json) struct json_object *token = json_object_new_object();
	_cleanup_(cleanup_free) char *text = NULL;
	struct json_object *list;
	int r;

	if (!token)
		return -ENOMEM;
	r = luks_base64_encode(blob->bytes, blob->size, &text);
	if (r < 0)
		return r;
	json_object_object_add(token, "type", json_object_new_string(TOKEN_TYPE));
	list = json_object_new_array();
	json_object_array_add(list, json_object_new_string("0"));
	json_object_object_add(token, "keyslots", list);
	json_object_object_add(token, "tpm2-blob", json_object_new_string(text));
	json_object_object_add(token, "tpm2-pcr-bank", json_object_new_string("sha256"));
	list = json_object_new_array();
	for (int i = 0; i < 24; i++)
		if (pcrs & 1u << i)
			json_object_array_add(list, json_object_new_int(i));
	json_object_object_add(token, "tpm2-pcrs", list);
	*ret = strdup(json_object_to_json_string_ext(token, JSON_C_TO_STRING_PLAIN));
	return *ret ? 0 : -ENOMEM;
}

static int make_tpm2(const struct key_place *place, struct secret *ret_key, char **ret_token, char why[KEY_WHY_MAX])
{
	_cleanup_(close_tpm) struct tpm *tpm = NULL;
	_cleanup_secret_ struct secret key = {0};
	struct tpm_blob blob;
	int r;

	r = open_tpm(place, &tpm, why);
	if (r < 0)
		return r;
	r = secret_new(TPM_KEY_SIZE, &key);
	if (r == 0 && getrandom(key.bytes, key.size, 0) != (ssize_t)key.size)
		r = -EIO;
	if (r < 0) {
		snprintf(why, KEY_WHY_MAX, "no random key: %s", strerror(-r));
		return r;
	}
	r = tpm_seal(tpm, place->pcrs, key.bytes, key.size, &blob);
	if (r < 0) {
		snprintf(why, KEY_WHY_MAX, "%s", tpm_reason(tpm));
		return r;
	}
	r = token_of_blob(&blob, place->pcrs, ret_token);
	if (r < 0) {
		snprintf(why, KEY_WHY_MAX, "token: %s", strerror(-r));
		return r;
	}
	*ret_key = key;
	key = (struct secret){0};
	return 0;
}

/* Waits as long as the configuration may still come; the plan's deadline of the stage bounds it. */
static int take_artifact(struct secret *ret, char *why)
{
	_cleanup_(cleanup_close) int fd = -1;
	int r;

	while ((r = report_take(KEY_ARTIFACT, SAY_EVERY_MS, &fd)) == -ETIMEDOUT)
		report_event(EVENT_INFO, "waits for the disk key from the hub");
	if (r < 0) {
		snprintf(why, KEY_WHY_MAX, "%s", r == -ENOENT ? "no disk key came" : strerror(-r));
		return r;
	}
	r = secret_read(fd, KEY_SIZE_MAX, ret);
	if (r == 0 && ret->size == 0) {
		secret_wipe(ret);
		r = -ENODATA;
	}
	if (r < 0)
		snprintf(why, KEY_WHY_MAX, "disk key: %s", strerror(-r));
	return r;
}

static int get_hub(const struct key_place *place, const struct luks_header *header, struct secret *ret_key,
		   int *ret_keyslot, char why[KEY_WHY_MAX])
{
	(void)place;
	(void)header;
	*ret_keyslot = -1;
	return take_artifact(ret_key, why);
}

static int make_hub(const struct key_place *place, struct secret *ret_key, char **ret_token, char why[KEY_WHY_MAX])
{
	(void)place;
	*ret_token = NULL;
	return take_artifact(ret_key, why);
}

static const struct key_source sources[] = {
	{"tpm2", get_tpm2, make_tpm2},
	{"hub", get_hub, make_hub},
};

const struct key_source *key_source_named(const char *name)
{
	for (size_t i = 0; i < sizeof(sources) / sizeof(*sources); i++)
		if (strcmp(sources[i].name, name) == 0)
			return &sources[i];
	return NULL;
}
