/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which folders of the root file system a configuration leaves writable, and what it may not. */
/* links: init/config init/lib plan */
/* libs: json-c */
#include <string.h>

#include "config_fixture.h"

#define STEP(path) SERVICE("\"before_start\": [{\"directory\": \"" path "\"}]")
#define REFUSED " holds files that root executes or reads, and the root file system is read-only: use another folder, or " \
	"\"root\" in hardening.keep"

/* The list as one text. */
static const char *writable(const char *text)
{
	static char all[1024];
	struct config *config = parse(text);

	CHECK(config != NULL);
	all[0] = '\0';
	for (size_t i = 0; i < config->n_writable; i++)
		snprintf(all + strlen(all), sizeof(all) - strlen(all), "%s%s", i ? " " : "", config->writable[i]);
	config_free(config);
	return all;
}

TEST(what_a_service_a_log_and_a_fifo_write_is_writable_and_nothing_else)
{
	CHECK_STR(writable("{}"), "");
	CHECK_STR(writable("{\"hardening\": {\"writable\": [\"/srv\", \"/etc/app\"]}}"), "/srv /etc/app");
	CHECK_STR(writable("{\"events\": {\"fifo\": \"/var/old/fifo\"}}"), "/var/old");
	CHECK_STR(writable("{\"log\": {}, \"logs\": {}}"), "/persistent/gantry/log /var/log/gantry");
	CHECK_STR(writable(STEP("/srv/data")), "/srv/data");
	CHECK_STR(writable(SERVICE("\"before_start\": [{\"secret\": \"/etc/app/secret\"}, {\"remove\": \"/etc/app/x\"}]")), "");
}

TEST(a_folder_below_another_or_on_a_file_system_of_its_own_is_not_named)
{
	CHECK_STR(writable("{\"hardening\": {\"writable\": [\"/srv\", \"/srv/data\", \"/srvx\"]}}"), "/srv /srvx");
	CHECK_STR(writable(STEP("/run/app")), "");
	CHECK_STR(writable(STEP("/tmp")), "");
	CHECK_STR(writable("{\"events\": {\"fifo\": \"/run/gantry/fifo\"}}"), "");
}

TEST(a_container_writes_its_volumes_and_its_storage)
{
	CHECK_STR(writable("{\"services\": [{\"name\": \"s\", \"container\": {\"image\": \"a.b/c@sha256:"
			   "1111111111111111111111111111111111111111111111111111111111111111\", \"volumes\": "
			   "[\"/etc/app:/etc/app:ro\", \"/srv/data:/data\", \"/run/app:/run/app\", \"/srv/ro:/ro\"]}}]}"),
		  "/srv/data /srv/ro /persistent/containers");
}

TEST(a_folder_with_files_that_root_executes_or_reads_is_refused)
{
	static const struct bad bad[] = {
		{"{\"hardening\": {\"writable\":\n[\"/srv\",\n\"/etc\"]}}",
		 "boot.json:3: hardening.writable[1]: \"/etc\"" REFUSED},
		{"{\"hardening\": {\"writable\": [\"/\"]}}", "boot.json:1: hardening.writable[0]: \"/\"" REFUSED},
		{"{\"hardening\": {\"writable\": [\"/usr/lib\"]}}", "boot.json:1: hardening.writable[0]: \"/usr/lib\"" REFUSED},
		{"{\"logs\": {\"directory\": \"/etc/gantry/logs\"}}",
		 "boot.json:1: logs.directory: \"/etc/gantry/logs\"" REFUSED},
		{"{\"events\": {\"fifo\": \"/fifo\"}}", "boot.json:1: events.fifo: \"/\"" REFUSED},
		{STEP("/bin"), "boot.json:1: services[0] \"s\": before_start[0].directory: \"/bin\"" REFUSED},
		{0}};

	check_all(bad);
}

#define GIVEN(path) "{\"hardening\": {\"writable\": [\"" path "\"]}}"
#define PLACE       "boot.json:1: hardening.writable[0]: "
#define CONTAINS    "\"/var\" contains /var/empty, which must stay as it is in the image: use another folder, or \"root\" in " \
	"hardening.keep"
#define NO_EFFECT(path, other) \
	"\"" path "\" has no effect: " other " is a file system of its own, not part of the root file system"

TEST(a_folder_that_contains_a_closed_one_is_refused_wherever_it_is_given)
{
	static const struct bad bad[] = {
		{GIVEN("/var"), PLACE CONTAINS},
		{STEP("/var"), "boot.json:1: services[0] \"s\": before_start[0].directory: " CONTAINS},
		{"{\"events\": {\"fifo\": \"/var/fifo\"}}", "boot.json:1: events.fifo: " CONTAINS},
		{GIVEN("/init"), PLACE "\"/init\"" REFUSED},
		{GIVEN("/init/x"), PLACE "\"/init/x\"" REFUSED},
		{0}};

	check_all(bad);
	CHECK_STR(writable(GIVEN("/var/lib")), "/var/lib");
	CHECK_STR(writable(GIVEN("/initial")), "/initial");
}

TEST(a_path_on_a_file_system_of_its_own_has_no_effect_in_the_list_and_is_refused)
{
	static const struct bad bad[] = {
		{GIVEN("/dev"), PLACE NO_EFFECT("/dev", "/dev")},
		{GIVEN("/proc"), PLACE NO_EFFECT("/proc", "/proc")},
		{GIVEN("/sys"), PLACE NO_EFFECT("/sys", "/sys")},
		{GIVEN("/run"), PLACE NO_EFFECT("/run", "/run")},
		{GIVEN("/run/app"), PLACE NO_EFFECT("/run/app", "/run")},
		{0}};

	check_all(bad);
}

TEST(a_root_that_is_kept_writable_has_no_list_and_refuses_nothing)
{
	CHECK_STR(writable("{\"hardening\": {\"keep\": [\"root\"], \"writable\": [\"/etc\", \"/srv\"]}}"), "");
}
