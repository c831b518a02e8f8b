/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements luksdevice.h. Without work queues, which dm-crypt is slower with. */
#define _GNU_SOURCE
#include "luksdevice.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libdevmapper.h>

#include <gantry/cleanup.h>

#include "luksread.h"
#include "luksvolume.h"
#include "stages/lib/dm.h"
#include "stages/lib/file.h"

/*
 * The header by which the volume is activated: without tokens and keyslots' contents, and with a segment that ends with
 * the last whole sector of the disk, whose size may be anything. No such header goes to the disk.
 */
static int make_bounds(const struct luks *luks, struct luks *ret)
{
	_cleanup_(cleanup_free) uint8_t *bytes = malloc(LUKS_HEADS_SIZE);
	char why[LUKS_WHY_MAX];	/* of a reader's: there is a key, so no text of it goes further */
	uint64_t sectors;
	int r = 1;

	if (!bytes)
		return -ENOMEM;
	ret->header = luks->header;
	if (!ret->header.data_offset) {	/* a new volume: its header was not read yet */
		r = file_read_at(luks->header_fd, bytes, LUKS_HEADS_SIZE, 0);
		if (r == 0)
			r = luks_read(bytes, UINT64_MAX, &luksvolume_expected, &ret->header, why);
	}
	if (r <= 0 || luks->size <= ret->header.data_offset)
		return r < 0 ? r : -EBADMSG;
	sectors = (luks->size - ret->header.data_offset) / ret->header.sector_size;
	if (!sectors)
		return -ENOSPC;
	memset(ret->header.tokens, 0, sizeof(ret->header.tokens));
	r = luks_form_write(&ret->header, &luksvolume_expected, sectors * ret->header.sector_size, bytes, why);
	if (r == 0)
		r = luksvolume_memory(ret->header.data_offset, &ret->header_fd);
	return r < 0 ? r : file_write_at(ret->header_fd, bytes, 2 * ret->header.copy_size, 0);
}

int luks_activate(struct luks *luks, const char *name, bool discards, char why[LUKS_WHY_MAX])
{
	const uint32_t flags = CRYPT_ACTIVATE_NO_READ_WORKQUEUE | CRYPT_ACTIVATE_NO_WRITE_WORKQUEUE |
			       (discards ? CRYPT_ACTIVATE_ALLOW_DISCARDS : 0);
	_cleanup_(cleanup_luks) struct luks *bounds = NULL;
	int r = luksvolume_new(luks->path, luks->size, &bounds);

	if (r < 0)
		return luksvolume_explain(luks, "activate", r, why);
	r = make_bounds(luks, bounds);
	if (r == 0)
		r = luksvolume_attach(bounds, luks->path);
	if (r == 0)
		r = crypt_load(bounds->device, CRYPT_LUKS2, NULL);
	if (r == 0)
		r = crypt_activate_by_volume_key(bounds->device, name, (const char *)luks->volume_key.bytes,
						 luks->volume_key.size, flags);
	return r < 0 ? luksvolume_explain(bounds, "activate", r, why) : 0;
}

/* "CRYPT-LUKS2-", the UUID without its dashes, "-", the name: as libcryptsetup names its devices. */
bool luks_is_active(const char *name, const char *uuid)
{
	char wanted[160] = "CRYPT-LUKS2-", found[160];
	size_t n = strlen(wanted);

	for (; *uuid && n + 1 < sizeof(wanted); uuid++)
		if (*uuid != '-')
			wanted[n++] = *uuid;
	wanted[n] = '\0';
	snprintf(wanted + n, sizeof(wanted) - n, "-%s", name);
	dm_be_quiet();
	return dm_find(name, found, sizeof(found)) > 0 && strcmp(found, wanted) == 0;
}

int luks_deactivate(const char *name)
{
	char uuid[160];
	int r;

	dm_be_quiet();
	r = dm_find(name, uuid, sizeof(uuid));
	if (r <= 0)
		return r;
	return dm_do(DM_DEVICE_REMOVE, name) ? 0 : -EBUSY;
}
