/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The root file system is read-only for everybody (init/pid1/readonly.h). A process of Gantry's own that has to write
 * there, such as the stage render, takes a mount namespace in which it is writable, before it drops its rights; nobody
 * else sees that. It costs nothing where the path can be written anyway.
 */
#ifndef INIT_LIB_ROOTVIEW_H
#define INIT_LIB_ROOTVIEW_H

struct rootview {
	int namespace, root;	/* those before */
};

#define ROOTVIEW_NONE {-1, -1}

/*
 * Call with CAP_SYS_ADMIN for each path to be written; whether it exists does not matter. A link that another may have
 * made leads nowhere (walk.h), and who writes has to walk likewise. A view that was taken is kept
 * until rootview_leave(), or with rootview_stay() until the process's end. 0 or negative errno.
 */
int rootview_take(struct rootview *view, const char *path);

/* For good: closes what leads back. */
void rootview_stay(struct rootview *view);

/* Back to the namespace before; with CAP_SYS_CHROOT. 0, also if none was taken, or negative errno. */
int rootview_leave(struct rootview *view);

#endif
