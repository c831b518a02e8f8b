/* SPDX-License-Identifier: GPL-2.0-or-later */
/* All clouds. A new one is a file in this folder and one line here. */
#include "cloud.h"

extern const struct cloud cloud_azure;

const struct cloud *const clouds[] = {
	&cloud_azure,
	NULL,
};
