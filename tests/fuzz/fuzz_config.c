/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * boot.json is part of the measured image, so its bytes are trusted; its parser is fuzzed all the same,
 * because a crash in it is a machine that does not start. Whatever is refused must say a line, whatever is
 * taken must hold.
 */
/* links: init/config init/lib plan */
/* libs: json-c */
#include <stdlib.h>
#include <string.h>

#include "init/config/load.h"
#include "init/lib/config.h"
#include "tests/unit/fake_stages.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct config *config = NULL;
	char error[300];
	int r;

	if (size > CONFIG_SIZE_MAX)
		return 0;
	r = config_parse("boot.json", (const char *)bytes, size, &config, error, sizeof(error));
	if (r == 0 ? !config || error[0] : config || strncmp(error, "boot.json:", 10))
		abort();
	for (size_t i = 0; config && i < config->n_nodes; i++)
		for (size_t j = 0; j < config->nodes[i].n_needs; j++)
			if (config->nodes[i].needs[j] >= config->n_nodes)
				abort();
	config_free(config);
	return 0;
}
