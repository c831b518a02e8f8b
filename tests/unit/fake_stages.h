/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A stage table for tests of the configuration: an option of every type, artifacts that are given and taken.
 * The real one would link every stage.
 */
#ifndef FAKE_STAGES_H
#define FAKE_STAGES_H

#include <stddef.h>

#include <gantry/stage.h>

static const char *const gives_config[] = {"config", "disk-key", NULL};
static const char *const takes_config[] = {"config", NULL};
static const char *const takes_disk_key[] = {"disk-key", NULL};
static const char *const takes_held_reason[] = {"held-reason", NULL};
static const char *const key_choices[] = {"tpm2", "hub", NULL};

static const char *const disk_truths[] = {"formatted", NULL};
static const char *const clock_numbers[] = {"stratum", NULL};
static const char *const clock_truths[] = {"synchronised", NULL};
static const struct stage_secret disk_secrets[] = {{"disk-key", "hub"}, {0}};

static const struct stage_option config_options[] = {
	{.name = "url", .type = OPTION_STRING, .required = true, .minimum = 8, .maximum = 32}, {0}};
static const struct stage_option disk_options[] = {
	{.name = "lun", .type = OPTION_INTEGER, .minimum = 0, .maximum = 255},
	{.name = "keys", .type = OPTION_STRINGS, .minimum = 1, .maximum = 2, .choices = key_choices},
	{.name = "pcrs", .type = OPTION_INTEGERS, .minimum = 0, .maximum = 23},
	{.name = "format", .type = OPTION_BOOLEAN},
	{.name = "wait_s", .type = OPTION_NUMBER, .minimum = 0, .maximum = 60}, {0}};
static const struct stage_option file_options[] = {
	{.name = "template", .type = OPTION_STRING, .required = true, .names = OPTION_NAMES_FILE},
	{.name = "path", .type = OPTION_STRING, .required = true, .names = OPTION_NAMES_RENDERED},
	{.name = "user", .type = OPTION_STRING}, {0}};
static const struct stage_option render_options[] = {
	{.name = "files", .type = OPTION_OBJECTS, .required = true, .members = file_options}, {0}};

static const struct stage stage_config = {
	.type = "config", .gives = gives_config, .options = config_options, .deadline_s = 30, .retry_limit = 0,
	.refresh = STAGE_FETCHES};
static const struct stage stage_disk = {
	.type = "disk", .takes = takes_disk_key, .secrets = disk_secrets, .options = disk_options, .deadline_s = 0, .retry_limit = 5,
	.section = "disk", .truths = disk_truths};
static const struct stage stage_render = {
	.type = "render", .takes = takes_config, .options = render_options, .retry_limit = 5, .refresh = STAGE_RENDERS};
static const struct stage stage_azure = {.type = "azure", .takes = takes_held_reason};
static const struct stage stage_clock = {
	.type = "clock", .section = "clock", .numbers = clock_numbers, .truths = clock_truths};
static const struct stage stage_measure = {.type = "measure", .section = "measurements"};
static const struct stage stage_network = {.type = "network", .deadline_s = 120, .retry_limit = 5};

const struct stage *const stage_table[] = {
	&stage_network, &stage_azure, &stage_config, &stage_disk, &stage_render, &stage_clock, &stage_measure, NULL};

#endif
