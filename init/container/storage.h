/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * podman's storage is a cache: all of it can be pulled again. So it is made to survive a power cut, and where it does
 * not work it is repaired or set aside and made anew, instead of being tried for ever. Volumes of services are never
 * touched. For the launcher and container-tidy, after podman_begin(); all of it may block.
 */
#ifndef INIT_CONTAINER_STORAGE_H
#define INIT_CONTAINER_STORAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "podman.h"

/*
 * At the beginning of each start, under the service's lock. If a pull of an earlier boot did not end, its layers may
 * be empty files although podman knows them: the first start of a boot looks for damage, and all others wait for it.
 */
void storage_begin(struct podman *podman, int64_t deadline_ns);

/*
 * Looks for damage, at most once a boot: damaged images are removed; storage that does not work is set aside. False:
 * nothing was changed. `why` is for the event; broken: the last answer of podman named a file of its storage.
 */
bool storage_look(struct podman *podman, int64_t deadline_ns, const char *why, bool broken);

/* Whether podman's last error names a file of its storage, and not for lack of room. */
bool storage_is_to_blame(const struct podman *podman);

/* Whether this service was executed twice in this boot and lived less than a minute each time. */
bool storage_is_suspect(const struct podman *podman);

/* Last thing before podman is executed: counts for the above. */
void storage_starts(const struct podman *podman);

/* Before and after a pull; the second returns only when all of it is on the disk: 0 or negative errno. */
int storage_pull_begins(const struct podman *podman);
int storage_pull_ends(const struct podman *podman);

/* Removes what was set aside; keep_new: only what this boot did not. Whether there was anything. */
bool storage_remove_aside(const struct podman *podman, bool keep_new);

/* Whether less than a quarter of the storage's file system is free. */
bool storage_is_short(const struct podman *podman);

#endif
