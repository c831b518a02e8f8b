/* SPDX-License-Identifier: GPL-2.0-or-later */
/* No file that a stage, the API or a step writes lies beside PID 1's sockets. */
/* links: init/config init/lib plan */
/* libs: json-c */
#include <string.h>

#include "config_fixture.h"

#define STEP(key, path) SERVICE("\"before_start\": [{\"" key "\": \"" path "\"}]")
#define READY(path) SERVICE("\"ready\": {\"path\": \"/x\"}, \"when_ready\": [{\"path\": \"" path "\", \"mode\": \"0600\"}]")
#define API(more) "{\"api\": {" more "}}"
#define UPLOAD(path) API("\"uploads\": [{\"name\": \"u\", \"path\": \"" path "\"}]")
#define RENDER(path) "{\"stages\": [{\"name\": \"config\", \"type\": \"config\", \"options\": {\"url\": \"http://x/\"}}, " \
	"{\"name\": \"r\", \"type\": \"render\", \"needs\": [\"config\"], \"options\": {\"files\": " \
	"[{\"template\": \"/t\", \"path\": \"" path "\"}]}}]}"
#define REFUSED ": the sockets of PID 1 are in /run/gantry, and a process that writes a file may write all of its folder: use another, " \
	"such as /run/gantry/rendered"

TEST(a_file_beside_the_sockets_is_refused)
{
	static const struct bad bad[] = {
		{STEP("directory", "/run/gantry"), "boot.json:1: services[0] \"s\": before_start[0].directory: \"/run/gantry\"" REFUSED},
		{STEP("secret", "/run/gantry/x"), "boot.json:1: services[0] \"s\": before_start[0].secret: \"/run/gantry/x\"" REFUSED},
		{STEP("remove", "/run/gantry/*"), "boot.json:1: services[0] \"s\": before_start[0].remove: \"/run/gantry/*\"" REFUSED},
		{READY("/run/gantry/control"),
		 "boot.json:1: services[0] \"s\": when_ready[0].path: \"/run/gantry/control\"" REFUSED},
		{RENDER("/run/gantry//x"), "boot.json:1: stages[1] \"r\": options.files[0].path: \"/run/gantry//x\"" REFUSED},
		{UPLOAD("/run/gantry/x"), "boot.json:1: api.uploads[0] \"u\": path: \"/run/gantry/x\"" REFUSED},
		{API("\"password_file\": \"/run/gantry/x\""), "boot.json:1: api.password_file: \"/run/gantry/x\"" REFUSED},
		{0}};

	check_all(bad);
}

TEST(a_folder_below_and_one_with_a_longer_name_are_not)
{
	static const char *const good[] = {STEP("directory", "/run/gantry/rendered/x"), STEP("secret", "/run/gantryx"),
					   READY("/run/x/s"), RENDER("/run/gantry/rendered/x"),
					   UPLOAD("/run/gantry/rendered/x")};

	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		struct config *config = parse(good[i]);

		CHECK(config != NULL);
		config_free(config);
	}
}
