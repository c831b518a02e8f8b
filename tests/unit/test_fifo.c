/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The legacy FIFO: lines become events whatever is written into it.
 */
/* links: init/process/fifo.c init/process/relay.c init/process/mover.c init/process/birth.c event init/lib */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "init/event/sender.h"
#include "init/process/fifo.h"
#include "init/process/mover.h"
#include "init/process/relay.h"
#include "event_lines.h"

static char path[64];

static const char *text_of(uint64_t seq)
{
	static char out[EVENT_TEXT_MAX + 1];
	char record[EVENT_RECORD_MAX];
	struct event_view e;
	size_t size = event_read(&seq, record);

	if (size == 0 || event_view(&e, record, size) < 0)
		return "(none)";
	memcpy(out, e.text, e.head.text_size);
	out[e.head.text_size] = '\0';
	return out;
}

/* Its filter does not know the calls of glibc's threads; component/pid1/test_pipes looks at its rights. */
static int keep_rights(void)
{
	return 0;
}

static void serve(int channel)
{
	mover_serve(channel, keep_rights);
}

static void start(void)
{
	snprintf(path, sizeof(path), "/tmp/fifo-%d", getpid());
	relay_begin(serve);
	CHECK_INT(loop_init(), 0);
	CHECK_INT(event_init(2000), 0);
}

static int start_and_open(void)
{
	int fd;

	start();
	CHECK_INT(fifo_init(path), 0);
	fd = open(path, O_WRONLY | O_NONBLOCK);
	CHECK(fd >= 0);
	unlink(path);
	return fd;
}

TEST(another_kind_of_file_is_refused_with_an_event)
{
	int fd;

	start();
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	close(fd);
	CHECK_INT(fifo_init(path), -ENXIO);
	CHECK(strstr(text_of(1), "exists and is not a FIFO") != NULL);
	unlink(path);
	CHECK_INT(symlink("/dev/null", path), 0);
	CHECK_INT(fifo_init(path), -ENXIO);
	unlink(path);
}

TEST(a_writer_never_blocks_and_each_line_is_an_event)
{
	struct stat st;
	int fd;

	start();
	CHECK_INT(fifo_init(path), 0);
	CHECK_INT(stat(path, &st), 0);
	CHECK_INT(st.st_mode, S_IFIFO | 0666);
	fd = open(path, O_WRONLY | O_NONBLOCK);
	CHECK(fd >= 0);
	unlink(path);
	CHECK_INT(write(fd, "one\ntwo\n\nfour\n", 14), 14);
	close(fd);
	CHECK(events_come(4));
	CHECK_STR(text_of(1), "one");
	CHECK_STR(text_of(2), "two");
	CHECK_STR(text_of(3), "");
	CHECK_STR(text_of(4), "four");
}

TEST(no_writer_left_does_not_spin_the_loop)
{
	struct timespec before, after;

	close(start_and_open());
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
	CHECK(!loop_until_ms(NULL, 200));
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
	CHECK_INT(event_last(), 0);
	CHECK((after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000 < 50);
}

TEST(a_line_in_two_pieces_is_one_event)
{
	int fd = start_and_open();

	CHECK_INT(write(fd, "begin ", 6), 6);
	loop_until_ms(NULL, 20);
	CHECK_INT(write(fd, "end\n", 4), 4);
	CHECK(events_come(1));
	CHECK_STR(text_of(1), "begin end");
	close(fd);
}

TEST(an_overlong_line_is_cut_and_the_next_is_whole)
{
	static char line[20000];
	int fd = start_and_open();

	memset(line, 'x', sizeof(line));
	line[sizeof(line) - 1] = '\n';
	CHECK_INT(write(fd, line, sizeof(line)), sizeof(line));
	CHECK_INT(write(fd, "next\n", 5), 5);
	CHECK(events_come(2));
	CHECK_INT(strlen(text_of(1)), EVENT_TEXT_MAX);
	CHECK_STR(text_of(2), "next");
	close(fd);
}

static bool all_counted(void)
{
	return event_drops() + event_last() == 3000;
}

TEST(a_flood_is_read_on_and_what_is_over_the_rate_is_dropped)
{
	int fd;

	sender_limit(10, 5);
	fd = start_and_open();
	for (int i = 0; i < 3000; i++) {	/* more than a pipe holds */
		while (write(fd, "block 19000000 was built in 12 ms\n", 34) < 0 && errno == EAGAIN)
			loop_until_ms(NULL, 1);
	}
	close(fd);
	CHECK(loop_until(all_counted));
	CHECK(event_last() >= 5 && event_last() < 50);
}

TEST(an_unfinished_line_becomes_an_event_after_a_second)
{
	int fd = start_and_open();

	CHECK_INT(write(fd, "tail", 4), 4);
	close(fd);
	CHECK(events_come(1));
	CHECK_STR(text_of(1), "tail");
}

TEST(an_existing_fifo_is_used_as_it_is)
{
	struct stat st;
	int fd;

	start();
	CHECK_INT(mkfifo(path, 0622), 0);
	CHECK_INT(chmod(path, 0622), 0);
	CHECK_INT(fifo_init(path), 0);
	CHECK_INT(stat(path, &st), 0);
	CHECK_INT(st.st_mode, S_IFIFO | 0622);
	fd = open(path, O_WRONLY | O_NONBLOCK);
	unlink(path);
	CHECK_INT(write(fd, "x\n", 2), 2);
	CHECK(events_come(1));
	close(fd);
}
