/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What boot.json must not say of dhcpcd and chronyd: init/config/netdaemon.h. */
/* links: init/config init/lib plan */
/* libs: json-c */

#include "config_fixture.h"

#define DHCPCD(more) "{\"services\": [{\"name\": \"d\", \"command\": [\"/sbin/dhcpcd\", \"-B\"]" more "}]}"
#define DHCPCD_CAPABILITIES "\"NET_ADMIN\", \"NET_RAW\", \"NET_BIND_SERVICE\", \"SYS_CHROOT\""
#define CHRONYD(words, more) "{\"services\": [{\"name\": \"c\", \"command\": [\"/usr/sbin/chronyd\", " words "]" more "}]}"
#define AS_CHRONY ", \"user\": \"chrony\""
#define WORDS "\"-d\", \"-U\", \"-u\", \"chrony\", \"-F\", \"2\""
#define D "boot.json:1: services[0] \"d\": "
#define C "boot.json:1: services[0] \"c\": "

TEST(what_they_run_as_in_the_image_is_accepted)
{
	static const char *const good[] = {
		DHCPCD(", \"user\": \"dhcpcd\", \"capabilities\": [" DHCPCD_CAPABILITIES "]"),
		CHRONYD(WORDS, AS_CHRONY ", \"capabilities\": [\"SYS_TIME\"]"),
		CHRONYD("\"-U\", \"-uchrony\", \"-F1\"", AS_CHRONY ", \"capabilities\": [\"SYS_TIME\", \"NET_BIND_SERVICE\"]"),
		CHRONYD("\"-x\", " WORDS, AS_CHRONY),	/* one that only watches the clock */
		"{\"services\": [{\"name\": \"x\", \"command\": [\"/bin/chronyd-exporter\"]}]}",
	};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct config *c = parse(good[i]);

		CHECK_STR(c ? "" : error, "");
		config_free(c);
	}
}

TEST(more_rights_than_they_need_are_refused)
{
	static const struct bad bad[] = {
		{DHCPCD(""), D "dhcpcd runs as user \"dhcpcd\", and as no other"},
		{DHCPCD(", \"user\": \"root\""), D "user: dhcpcd runs as user \"dhcpcd\", and as no other"},
		{DHCPCD(", \"user\": \"chrony\""), D "user: dhcpcd runs as user \"dhcpcd\", and as no other"},
		{DHCPCD(", \"user\": \"dhcpcd\""), D "dhcpcd requires the capability NET_ADMIN"},
		{DHCPCD(", \"user\": \"dhcpcd\", \"capabilities\": [\"NET_ADMIN\", \"NET_RAW\", \"NET_BIND_SERVICE\"]"),
		 D "dhcpcd requires the capability SYS_CHROOT"},
		{DHCPCD(", \"user\": \"dhcpcd\", \"capabilities\": [" DHCPCD_CAPABILITIES ", \"SETUID\"]"),
		 D "capabilities[4]: dhcpcd must not have SETUID"},
		{DHCPCD(", \"user\": \"dhcpcd\", \"no_new_privs\": false, \"capabilities\": [" DHCPCD_CAPABILITIES "]"),
		 D "dhcpcd requires \"no_new_privs\""},
		{CHRONYD(WORDS, ""), C "chronyd must not run as root: the predefined user for it is \"chrony\""},
		{CHRONYD(WORDS, ", \"user\": \"root\""),
		 C "user: chronyd must not run as root: the predefined user for it is \"chrony\""},
		{CHRONYD(WORDS, AS_CHRONY ", \"no_new_privs\": false"), C "chronyd requires \"no_new_privs\""},
		{CHRONYD(WORDS, AS_CHRONY ", \"capabilities\": [\"SYS_TIME\", \"SYS_ADMIN\"]"),
		 C "capabilities[1]: chronyd must not have SYS_ADMIN"},
		{CHRONYD("\"-u\", \"chrony\", \"-F\", \"2\"", AS_CHRONY),
		 C "command: chronyd requires \"-U\", \"-u\", \"chrony\": otherwise it expects to be root"},
		{CHRONYD("\"-U\", \"-u\", \"root\", \"-F\", \"2\"", AS_CHRONY),
		 C "command: chronyd requires \"-U\", \"-u\", \"chrony\": otherwise it expects to be root"},
		{CHRONYD("\"-U\", \"-F\", \"2\", \"-u\"", AS_CHRONY),
		 C "command: chronyd requires \"-U\", \"-u\", \"chrony\": otherwise it expects to be root"},
		{CHRONYD("\"-U\", \"-u\", \"chrony\"", AS_CHRONY),
		 C "command: chronyd requires \"-F\", \"2\": otherwise it runs without its system call filter"},
		{CHRONYD("\"-U\", \"-u\", \"chrony\", \"-F\", \"-2\"", AS_CHRONY),
		 C "command: chronyd requires \"-F\", \"2\": otherwise it runs without its system call filter"},
		{CHRONYD(WORDS ", \"-F0\"", AS_CHRONY),
		 C "command: chronyd requires \"-F\", \"2\": otherwise it runs without its system call filter"},
		{0}};

	check_all(bad);
}
