/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Messages as from rtnetlink. The kernel is trusted; its bytes are checked all the same.
 */
/* links: net stages/lib */
#include <stdlib.h>
#include <string.h>

#include <stdint.h>

#include "stages/net/netlink.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static struct netlink_view view;
	const struct netlink_link *nic;

	memset(&view, 0, sizeof(view));
	if (netlink_feed(&view, bytes, size) > (int)NETLINK_DUMP_AGAIN)
		abort();
	nic = netlink_nic(&view, "");
	if (nic && (strlen(nic->name) >= sizeof(nic->name) || nic->index <= 0))
		abort();
	for (int i = 0; i < 8; i++) {
		(void)netlink_address(&view, i);
		(void)netlink_default_route(&view, i);
	}
	return 0;
}
