/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The tables of all keys of boot.json but those of containers.
 */
#ifndef INIT_CONFIG_KEYS_H
#define INIT_CONFIG_KEYS_H

#include "check.h"

extern const struct keys config_keys, hardening_keys, held_keys, shutdown_keys, events_keys, stage_keys, retry_keys,
	service_keys,
	restart_keys, ready_keys, watchdog_keys, logs_keys, service_log_keys, api_keys, action_keys, upload_keys,
	refresh_keys, change_keys, hardware_keys, tpm_keys;

/* NULL: no such type. */
const struct stage *stage_find(const char *type);

#endif
