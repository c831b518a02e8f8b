/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The wrong passwords of each address. The table has a fixed size, and no number of addresses makes it forget one: an
 * address without a row takes the row with the fewest, and goes on from that number. So addresses beyond the table
 * share tries, and never have more than they would have alone.
 */
#ifndef INIT_API_TRIES_H
#define INIT_API_TRIES_H

#include <stdbool.h>
#include <stdint.h>

#include "address.h"

#define TRIES_ROWS     4096
#define TRIES_MAX      10		/* of one address at once ... */
#define TRIES_AGAIN_NS 6000000000LL	/* ... and then one in this time */

/* False: this address has none left now. key: as address_key() makes it. */
bool tries_left(const unsigned char key[ADDRESS_BYTES], int64_t now_ns);

/* One more. How many have to be reported now, at most once a minute for each address; 0: none. */
unsigned tries_wrong(const unsigned char key[ADDRESS_BYTES], int64_t now_ns);

#endif
