/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * chronyd's TRACKING reply: every field at its offset, the float format, and what is no such reply. That a real
 * chronyd agrees is a component test.
 */
/* links: clock stages/lib */
#include "stages/clock/chrony.h"
#include "test.h"

/* Stratum 2, source 10.77.0.3, offset 1/8 s, last offset -1 s. */
static void make_reply(unsigned char p[CHRONY_TRACKING_SIZE])
{
	memset(p, 0, CHRONY_TRACKING_SIZE);
	p[0] = 6;
	p[1] = 2;
	p[5] = 33;
	p[7] = 5;
	memcpy(p + 16, "\x01\x02\x03\x04", 4);
	memcpy(p + 28, "\x0a\x4d\x00\x03", 4);
	memcpy(p + 32, "\x0a\x4d\x00\x03", 4);
	p[49] = 1;
	p[53] = 2;
	memcpy(p + 68, "\xfc\x80\x00\x00", 4);		/* exponent -2, coefficient 2^23: 2^23 * 2^-27 = 1/16 */
	memcpy(p + 72, "\x05\x00\x00\x00", 4);		/* exponent 2, coefficient -2^24: -2^24 * 2^-23 = -2 */
	memcpy(p + 92, "\x00\x00\x00\x00", 4);
	memcpy(p + 96, "\x32\x00\x00\x01", 4);		/* exponent 25, coefficient 1: 1 */
}

TEST(a_request_is_as_long_as_its_reply)
{
	unsigned char p[CHRONY_TRACKING_SIZE];

	chrony_format_tracking(0x01020304, p);
	CHECK_MEM(p, "\x06\x01\0\0\0\x21\0\0\x01\x02\x03\x04\0\0\0\0\0\0\0\0", 20);
	for (size_t i = 20; i < sizeof(p); i++)
		CHECK_INT(p[i], 0);
}

TEST(online_names_every_source_and_has_a_reply_of_a_head_only)
{
	unsigned char p[CHRONY_ONLINE_SIZE], reply[28] = {6, 2, 0, 0, 0, 1, 0, 1};

	chrony_format_online(7, p);
	CHECK_MEM(p, "\x06\x01\0\0\0\x01\0\0\0\0\0\x07", 12);
	for (size_t i = 12; i < sizeof(p); i++)
		CHECK_INT(p[i], 0);
	reply[19] = 7;
	CHECK_INT(chrony_parse_done(reply, sizeof(reply), 7), 0);
	CHECK_INT(chrony_parse_done(reply, sizeof(reply), 8), -ESTALE);
	CHECK_INT(chrony_parse_done(reply, 27, 7), -EBADMSG);
	reply[9] = 2;
	CHECK_INT(chrony_parse_done(reply, sizeof(reply), 7), -EPERM);
	reply[9] = 0;
	reply[7] = 5;
	CHECK_INT(chrony_parse_done(reply, sizeof(reply), 7), -EBADMSG);
}

TEST(every_field_is_at_its_offset)
{
	unsigned char p[CHRONY_TRACKING_SIZE];
	struct chrony_tracking t;

	make_reply(p);
	CHECK_INT(chrony_parse_tracking(p, sizeof(p), 0x01020304, &t), 0);
	CHECK_INT(t.reference_id, 0x0a4d0003);
	CHECK_STR(t.source, "10.77.0.3");
	CHECK_INT(t.stratum, 2);
	CHECK_INT(t.leap, CHRONY_LEAP_NORMAL);
	CHECK(t.correction_s == 0.0625);
	CHECK(t.last_offset_s == -2.0);
	CHECK(t.root_delay_s == 0.0);
	CHECK(t.root_dispersion_s == 1.0);
	CHECK(chrony_has_reference(&t));
}

TEST(an_ipv6_source_is_read)
{
	unsigned char p[CHRONY_TRACKING_SIZE];
	struct chrony_tracking t;

	make_reply(p);
	memcpy(p + 32, "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01", 16);
	p[49] = 2;
	CHECK_INT(chrony_parse_tracking(p, sizeof(p), 0x01020304, &t), 0);
	CHECK_STR(t.source, "2001:db8::1");
}

TEST(unsynchronised_or_local_is_no_reference)
{
	unsigned char p[CHRONY_TRACKING_SIZE];
	struct chrony_tracking t;

	make_reply(p);
	p[55] = 3;
	CHECK_INT(chrony_parse_tracking(p, sizeof(p), 0x01020304, &t), 0);
	CHECK(!chrony_has_reference(&t));
	make_reply(p);
	p[49] = 0;
	memcpy(p + 28, "\x7f\x7f\x01\x01", 4);
	CHECK_INT(chrony_parse_tracking(p, sizeof(p), 0x01020304, &t), 0);
	CHECK(!chrony_has_reference(&t));
	memcpy(p + 28, "\0\0\0\0", 4);
	CHECK_INT(chrony_parse_tracking(p, sizeof(p), 0x01020304, &t), 0);
	CHECK(!chrony_has_reference(&t));
	/* A reference clock has a name for an id and no address: PHC0 */
	memcpy(p + 28, "PHC0", 4);
	CHECK_INT(chrony_parse_tracking(p, sizeof(p), 0x01020304, &t), 0);
	CHECK(chrony_has_reference(&t));
	CHECK_STR(t.source, "PHC0");
	memcpy(p + 28, "PPS\0", 4);
	CHECK_INT(chrony_parse_tracking(p, sizeof(p), 0x01020304, &t), 0);
	CHECK_STR(t.source, "PPS");
	memcpy(p + 28, "P\nS0", 4);
	CHECK_INT(chrony_parse_tracking(p, sizeof(p), 0x01020304, &t), 0);
	CHECK_STR(t.source, "");
}

static int parse_with(int at, unsigned char value, size_t size)
{
	unsigned char p[CHRONY_TRACKING_SIZE];
	struct chrony_tracking t = {.stratum = 99};
	int r;

	make_reply(p);
	p[at] = value;
	r = chrony_parse_tracking(p, size, 0x01020304, &t);
	CHECK_INT(t.stratum, r == 0 ? 2 : 99);
	return r;
}

TEST(what_is_no_such_reply_is_refused)
{
	CHECK_INT(parse_with(0, 6, CHRONY_TRACKING_SIZE), 0);
	CHECK_INT(parse_with(0, 5, CHRONY_TRACKING_SIZE), -EPROTONOSUPPORT);
	CHECK_INT(parse_with(9, 18, CHRONY_TRACKING_SIZE), -EPROTONOSUPPORT);
	CHECK_INT(parse_with(9, 2, CHRONY_TRACKING_SIZE), -EPERM);
	CHECK_INT(parse_with(9, 3, CHRONY_TRACKING_SIZE), -EBADMSG);
	CHECK_INT(parse_with(1, 1, CHRONY_TRACKING_SIZE), -EBADMSG);
	CHECK_INT(parse_with(5, 34, CHRONY_TRACKING_SIZE), -EBADMSG);
	CHECK_INT(parse_with(7, 6, CHRONY_TRACKING_SIZE), -EBADMSG);
	CHECK_INT(parse_with(19, 5, CHRONY_TRACKING_SIZE), -ESTALE);
	CHECK_INT(parse_with(49, 9, CHRONY_TRACKING_SIZE), -EBADMSG);
	CHECK_INT(parse_with(55, 4, CHRONY_TRACKING_SIZE), -EBADMSG);
	CHECK_INT(parse_with(0, 6, CHRONY_TRACKING_SIZE - 1), -EBADMSG);
	CHECK_INT(parse_with(0, 6, 27), -EBADMSG);
	CHECK_INT(parse_with(0, 6, 0), -EBADMSG);
}

TEST(a_daemon_that_is_not_there_is_an_error_at_once)
{
	struct chrony c;

	CHECK_INT(chrony_open("/nonexistent/chronyd.sock", &c), -ENOENT);
	CHECK_INT(chrony_open("127.0.0.1", &c), -EINVAL);
	CHECK_INT(chrony_open("127.0.0.1:0", &c), -EINVAL);
	CHECK_INT(chrony_open("localhost:323", &c), -EINVAL);
	CHECK_INT(chrony_open("127.0.0.1:99999", &c), -EINVAL);
}
