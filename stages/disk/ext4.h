/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The file system on the opened volume: made by mke2fs, checked by e2fsck, mounted. Their output becomes events,
 * line by line. All calls block for as long as the programs take.
 */
#ifndef STAGES_DISK_EXT4_H
#define STAGES_DISK_EXT4_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EXT4_WHY_MAX 160

/* Makes a file system of that size on the device, overwriting its content. 0 or negative errno with the reason. */
int ext4_make(const char *device, uint64_t size, const char *label, char why[EXT4_WHY_MAX]);

/*
 * Whether the superblock says that it was unmounted in order and no error was ever seen: then e2fsck -p would look
 * at little else.
 */
bool ext4_is_clean(const char *device);

/*
 * e2fsck -p, by its exit status; `all`: with -f, also where the superblock says that it is clean. 0: clean; 1: it
 * repaired something (also where it asks for a reboot, which is for a mounted root); -EUCLEAN: it needs a person, or
 * the volume holds no ext4; -EAGAIN: it was stopped, or failed for lack of memory and the like. Anything else: the
 * superblock could not be read, or e2fsck not be run.
 */
int ext4_check(const char *device, bool all, char why[EXT4_WHY_MAX]);

/* How it is mounted, beside noatime, nodev and nosuid; docs/disk.md says why. */
struct ext4_options {
	unsigned commit_s;	/* how often metadata goes to the disk; 0: the kernel's default */
	bool discard;		/* discard unused blocks */
};

/* Mounts on the directory, which is made if missing. 0 or negative errno. */
int ext4_mount(const char *device, const char *directory, const struct ext4_options *options);

/*
 * Checks it where it does not say that it is clean, mounts it, and looks at it. Where mount or look find damage all the
 * same, all of it is checked, and it is mounted again. 0, or negative errno with the reason, as ext4_check() and
 * mount(2); then it is not mounted.
 */
int ext4_bring_up(const char *device, const char *directory, const struct ext4_options *options,
		  char why[EXT4_WHY_MAX]);

/*
 * Whether a mounted one is good: its root can be read, it is writable, and the kernel has found no error in it. 0, or
 * -EUCLEAN with the reason.
 */
int ext4_look(const char *directory, char why[EXT4_WHY_MAX]);

/* How many errors the kernel has ever found in the mounted file system. Negative errno: it does not say. */
int64_t ext4_errors(const char *directory);

/*
 * Lets a mounted file system grow to that many bytes of its device, if it is smaller by more than EXT4_GROW_MIN.
 * 1: it has grown; 0: there was nothing to do; negative errno: it stays as it is.
 */
#define EXT4_GROW_MIN (16u << 20)
int ext4_grow(const char *device, const char *directory, uint64_t size);

/* Whether the directory is a mount point of that device. */
bool ext4_is_mounted(const char *device, const char *directory);

#endif
