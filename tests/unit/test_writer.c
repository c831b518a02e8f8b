/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The partner of the stage render does what its own mode allows, whatever the stage asks of it. */
/* links: stages/config stages/lib init/lib */
/* libs: json-c mbedtls */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "stages/config/template.h"
#include "stages/config/writer.h"
#include "test.h"

struct fixture {
	char folder[64], path[96], temporary[112];
	struct writer_file file;
	int socket;
	pid_t writer;
};

static void begin(struct fixture *f, enum stage_mode mode)
{
	int pair[2];

	snprintf(f->folder, sizeof(f->folder), "/tmp/writer-XXXXXX");
	CHECK(mkdtemp(f->folder));
	snprintf(f->path, sizeof(f->path), "%s/file", f->folder);
	snprintf(f->temporary, sizeof(f->temporary), "%s.gantry-new", f->path);
	f->file = (struct writer_file){f->path, 0644, geteuid(), getegid()};
	CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
	f->writer = fork();
	CHECK(f->writer >= 0);
	if (f->writer == 0) {
		close(pair[0]);
		_exit(writer_serve(pair[1], mode, &f->file, 1));
	}
	close(pair[1]);
	f->socket = pair[0];
}

static struct writer_answer written(struct fixture *f)
{
	const struct template_output text = {.bytes = (char[]){"text\n"}, .size = 5};
	struct writer_answer answer = {.trouble = UINT32_MAX};

	CHECK_INT(writer_write(f->socket, 0, &text, &answer), 0);
	return answer;
}

static void finish(struct fixture *f)
{
	close(f->socket);
	CHECK(waitpid(f->writer, NULL, 0) == f->writer);
	CHECK(access(f->temporary, F_OK) < 0);
	unlink(f->path);
	CHECK(rmdir(f->folder) == 0);
}

TEST(at_the_boot_it_writes_and_renames)
{
	struct fixture f;
	struct writer_answer answer;

	begin(&f, STAGE_BOOT);
	CHECK_INT(written(&f).trouble, WRITER_FINE);
	CHECK(access(f.temporary, F_OK) == 0);
	CHECK_INT(writer_commit(f.socket, &answer), 0);
	CHECK_INT(answer.trouble, WRITER_FINE);
	CHECK(access(f.path, F_OK) == 0);
	finish(&f);
}

TEST(in_a_check_it_writes_nothing_and_ends_when_it_is_asked_to_rename)
{
	struct fixture f;
	struct writer_answer answer;

	begin(&f, STAGE_CHECK);
	CHECK_INT(written(&f).trouble, WRITER_FINE);
	CHECK(access(f.temporary, F_OK) < 0);
	CHECK(writer_commit(f.socket, &answer) < 0);
	CHECK(access(f.path, F_OK) < 0);
	finish(&f);
}
