/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Limits that no kernel can keep are refused before any kernel sees them; those that one might keep are not. */
/* links: init/config */
#include "init/config/cgroup.h"
#include "test.h"

static const struct pair {
	const char *setting, *value;
} good[] = {
	{"memory.max", "max"}, {"memory.max", "64M"}, {"memory.max", "1048576"}, {"memory.max", "64g"}, {"memory.high", "1T"},
	{"memory.max", "15E"}, {"memory.low", "0"}, {"memory.swap.max", "0"}, {"memory.oom.group", "1"}, {"cpu.weight", "1"},
	{"cpu.weight", "10000"}, {"cpu.max", "max"}, {"cpu.max", "50000"}, {"cpu.max", "50000 100000"},
	{"cpu.max", "max 100000"}, {"io.weight", "100"}, {"io.weight", "default 1"}, {"io.weight", "8:16 10000"},
	{"pids.max", "max"}, {"pids.max", "1"}, {"pids.max", "4194304"}, {"io.max", "8:0 rbps=1"}, {"memory.typo", "x"},
}, bad[] = {
	{"memory.max", ""}, {"memory.max", "0"}, {"memory.max", "1048575"}, {"memory.max", "1023K"}, {"memory.max", "64MB"},
	{"memory.max", "64 M"}, {"memory.max", "-1"}, {"memory.max", "1.5G"}, {"memory.max", "16E"}, {"memory.max", "MAX"},
	{"memory.max", "99999999999999999999"}, {"memory.high", "many"}, {"memory.oom.group", "2"}, {"cpu.weight", "0"},
	{"cpu.weight", "10001"}, {"cpu.weight", "max"}, {"cpu.weight", "1 "}, {"cpu.max", "999"}, {"cpu.max", "maximal"},
	{"cpu.max", "50000 999"}, {"cpu.max", "50000 1000001"}, {"cpu.max", "50000 100000 "}, {"io.weight", "0"},
	{"io.weight", "8 100"}, {"io.weight", "8:0"}, {"io.weight", "8:0 10001"}, {"io.weight", "default"}, {"pids.max", "0"},
	{"pids.max", "4194305"}, {"pids.max", "64K"},
};

TEST(what_a_kernel_might_keep_is_accepted)
{
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		if (cgroup_value_wrong(good[i].setting, good[i].value))
			fprintf(stderr, "%s %s\n", good[i].setting, good[i].value);
		CHECK(cgroup_value_wrong(good[i].setting, good[i].value) == NULL);
	}
}

TEST(what_no_kernel_can_keep_is_refused_with_a_reason)
{
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		if (!cgroup_value_wrong(bad[i].setting, bad[i].value))
			fprintf(stderr, "%s %s\n", bad[i].setting, bad[i].value);
		CHECK(cgroup_value_wrong(bad[i].setting, bad[i].value) != NULL);
	}
}

TEST(a_setting_is_known_by_its_whole_name)
{
	CHECK(cgroup_setting_known("memory.max"));
	CHECK(!cgroup_setting_known("memory.ma"));
	CHECK(!cgroup_setting_known("memory.max.x"));
}
