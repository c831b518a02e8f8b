/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The streams of events, which last longer than the request that began them.
 */
#ifndef INIT_API_STREAM_H
#define INIT_API_STREAM_H

/* Ends every stream; a client connects again with what it has now. */
void stream_end_all(void);

#endif
