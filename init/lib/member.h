/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The member of a parsed JSON object, for chains of members that may be absent.
 */
#ifndef INIT_LIB_MEMBER_H
#define INIT_LIB_MEMBER_H

struct json_object;

/* NULL: absent, or null, or object is NULL. Borrowed from object. */
struct json_object *key_member(struct json_object *object, const char *name);

#endif
