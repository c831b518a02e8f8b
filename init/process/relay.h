/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pipes that other processes write to, read without waiting for them. Whoever has an end of a pipe can take its lock
 * for as long as it likes (init/lib/guard.h), and then read(2), close(2) and fcntl(2) wait. So PID 1 reads none, and
 * closes none last: one more process, the relay (mover.h), reads them and passes the bytes on, over a socket for each
 * pipe whose other end nobody else has. A pipe that is held costs the relay a thread, and its sender its output.
 */
#ifndef INIT_PROCESS_RELAY_H
#define INIT_PROCESS_RELAY_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define RELAY_NAME      "relay"
#define RELAY_BYTES_MAX 16384	/* in one message */

/* The first byte of a message of the relay. */
enum relay_word {
	RELAY_BYTES,	/* from the pipe */
	RELAY_HELD,	/* somebody holds the pipe */
	RELAY_FREE,	/* no longer */
	RELAY_END,	/* nothing more comes */
	RELAY_NOTHING,	/* no message is there */
};

/* An order to the relay. Attached: the pipe's end to read from, the socket and, `writer`, the end to write to. */
struct relay_order {
	bool writer;
};

/*
 * Starts the process, a fork of PID 1 in which `serve` runs; call while PID 1 is small. Without it, or when it has
 * ended, the next pipe starts it again.
 */
void relay_begin(void (*serve)(int channel));

/* Watches the process, which is started again when it has ended; all sockets end then. The loop must be there. */
int relay_watch(void);

/* Every process is about to be killed, and the relay with them: another one begins without a word. */
void relay_swept(void);

/* Its pid, for those who signal every process; 0: none. It is no child that wait(2) shows. */
pid_t relay_pid(void);

/* Reaps one that has ended; call on SIGCHLD of another process. */
void relay_reap(void);

/*
 * A pipe, or a FIFO. PID 1 keeps its ends open, too, so it outlives a relay that has ended; it closes them while the
 * relay has the same ones.
 */
struct relay_pipe {
	int socket;		/* to read from; -1: closed */
	int read_fd, write_fd;	/* the process gets write_fd; -1: none */
};

#define RELAY_PIPE_NONE {-1, -1, -1}

/* Makes a pipe. 0 or negative errno. */
int relay_open(struct relay_pipe *pipe);

/* The same for a FIFO that is open for reading and writing already, and that nobody else has open; takes fd over. */
int relay_open_fifo(struct relay_pipe *pipe, int fd);

/* The process has its end: RELAY_END comes when all have closed theirs. */
void relay_alone(struct relay_pipe *pipe);

/* At an RELAY_END without relay_alone() or relay_finish(): a new socket, from a new relay. 0 or negative errno. */
int relay_again(struct relay_pipe *pipe);

/* Receives one message without waiting. *ret: its bytes, *ret_size of them, valid until the next call. */
enum relay_word relay_receive(int socket, const char **ret, size_t *ret_size);

/* The relay passes on what the pipe contains now, then comes RELAY_END. */
void relay_finish(struct relay_pipe *pipe);

/* Ends the reading of a pipe; `held`: by somebody, the relay reads on until then. owner: must stay valid. */
void relay_close(struct relay_pipe *pipe, bool held, const char *owner);

/* Whether the owner may have another pipe: not too many of its earlier ones are still held after relay_close(). */
bool relay_may(const char *owner);

#endif
