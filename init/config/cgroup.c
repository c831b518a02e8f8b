/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements cgroup.h: one row for each setting. The kernel checks all other settings when the service starts. */
#include <stdint.h>
#include <string.h>

#include "cgroup.h"

#define MIB     (UINT64_C(1) << 20)
#define NO_SIZE "is neither \"max\" nor a size"

enum form {
	FORM_NUMBER,
	FORM_SIZE,	/* bytes, or with one of the kernel's suffixes */
	FORM_WEIGHT,	/* "100", "default 100" or "8:0 100" */
	FORM_QUOTA,	/* "QUOTA" or "QUOTA PERIOD", microseconds */
};

static const struct setting {
	const char *name;
	enum form form;
	bool max;	/* the word "max" is one too */
	uint64_t least, most;
	const char *wrong;
} settings[] = {
	/* In less than a mebibyte no program can start. */
	{"memory.max", FORM_SIZE, true, MIB, UINT64_MAX, NO_SIZE " of at least 1M, such as \"512M\""},
	{"memory.high", FORM_SIZE, true, MIB, UINT64_MAX, NO_SIZE " of at least 1M, such as \"512M\""},
	{"memory.low", FORM_SIZE, true, 0, UINT64_MAX, NO_SIZE " such as \"512M\""},
	{"memory.min", FORM_SIZE, true, 0, UINT64_MAX, NO_SIZE " such as \"512M\""},
	{"memory.swap.max", FORM_SIZE, true, 0, UINT64_MAX, NO_SIZE " such as \"512M\""},
	{"memory.oom.group", FORM_NUMBER, false, 0, 1, "is neither \"0\" nor \"1\""},
	{"cpu.weight", FORM_NUMBER, false, 1, 10000, "is not a weight from 1 to 10000"},
	{"cpu.idle", FORM_NUMBER, false, 0, 1, "is neither \"0\" nor \"1\""},
	{"cpu.max", FORM_QUOTA, true, 1000, UINT64_MAX,
	 "is not a quota and period in microseconds (example: \"50000 100000\")"},
	{"io.weight", FORM_WEIGHT, false, 1, 10000, "is not a weight from 1 to 10000 (examples: \"100\", \"8:0 100\")"},
	/* The kernel refuses numbers above its own limit of processes. */
	{"pids.max", FORM_NUMBER, true, 1, 4194304, "is neither \"max\" nor a number from 1 to 4194304"},
};

static const struct setting *find(const char *name)
{
	for (size_t i = 0; i < sizeof(settings) / sizeof(*settings); i++)
		if (strcmp(settings[i].name, name) == 0)
			return &settings[i];
	return NULL;
}

/* Digits; *ret_end is behind them. */
static bool number(const char *text, uint64_t *ret, const char **ret_end)
{
	uint64_t value = 0;

	if (*text < '0' || *text > '9')
		return false;
	for (; *text >= '0' && *text <= '9'; text++) {
		uint64_t digit = (uint64_t)(*text - '0');

		if (value > (UINT64_MAX - digit) / 10)
			return false;
		value = value * 10 + digit;
	}
	*ret = value;
	*ret_end = text;
	return true;
}

static bool within(const struct setting *setting, uint64_t value)
{
	return value >= setting->least && value <= setting->most;
}

static bool fits_number(const struct setting *setting, const char *value)
{
	const char *end;
	uint64_t n;

	return number(value, &n, &end) && !*end && within(setting, n);
}

static bool fits_size(const struct setting *setting, const char *value)
{
	static const char units[] = "KMGTPE";
	const char *end, *unit;
	uint64_t n;

	if (!number(value, &n, &end))
		return false;
	if (*end) {
		unit = strchr(units, *end >= 'a' ? *end - 'a' + 'A' : *end);
		if (!unit || end[1] || n > UINT64_MAX >> (10 * (unit - units + 1)))
			return false;
		n <<= 10 * (unit - units + 1);
	}
	return within(setting, n);
}

static bool fits_weight(const struct setting *setting, const char *value)
{
	const char *end;
	uint64_t n;

	if (strncmp(value, "default ", 8) == 0)
		return fits_number(setting, value + 8);
	if (strchr(value, ':')) {
		if (!number(value, &n, &end) || *end != ':' || !number(end + 1, &n, &end) || *end != ' ')
			return false;
		value = end + 1;
	}
	return fits_number(setting, value);
}

static bool fits_quota(const struct setting *setting, const char *value)
{
	const char *end = value + 3;
	uint64_t quota, period;

	if (strncmp(value, "max", 3) && (!number(value, &quota, &end) || !within(setting, quota)))
		return false;
	return !*end || (*end == ' ' && number(end + 1, &period, &end) && !*end && period >= 1000 && period <= 1000000);
}

bool cgroup_setting_known(const char *setting)
{
	return find(setting) != NULL;
}

const char *cgroup_value_wrong(const char *name, const char *value)
{
	static bool (*const fits[])(const struct setting *setting, const char *value) = {
		[FORM_NUMBER] = fits_number, [FORM_SIZE] = fits_size, [FORM_WEIGHT] = fits_weight,
		[FORM_QUOTA] = fits_quota,
	};
	const struct setting *setting = find(name);

	if (!setting || (setting->max && strcmp(value, "max") == 0) || fits[setting->form](setting, value))
		return NULL;
	return setting->wrong;
}
