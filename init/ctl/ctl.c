/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * gantryctl, and poweroff, reboot and halt. All requests go to PID 1 over the control socket; this program prints the
 * answers. The kernel runs /sbin/poweroff and /sbin/reboot when the host requests it, without a terminal and without an
 * open descriptor, so nothing here depends on either.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <gantry/cleanup.h>
#include <gantry/role.h>

#include "init/config/load.h"
#include "init/event/datagram.h"
#include "init/lib/client.h"
#include "init/lib/config.h"
#include "init/lib/eventtext.h"
#include "init/show/status.h"
#include "logs.h"
#include "screen.h"

#define ANSWER_TIMEOUT_S 10
#define LINE_WORDS_MAX   64
#define POWER_TRIES      10	/* half a second apart */
#define CHART_MAX        65536
#define POST_TEXT_MAX    (EVENT_TEXT_MAX + 8)	/* PID 1 cuts between characters */
#define POST_FIELDS_MAX  (CONTROL_BODY_MAX - POST_TEXT_MAX - 1)

struct command {
	const char *name;
	const char *arguments;
	const char *help;
	int (*run)(const struct command *command, int argc, char **argv);
	enum control_kind kind;
};

static const struct command commands[];

static int complain(const char *what, int r)
{
	if (r == -ENOENT || r == -ECONNREFUSED)
		fprintf(stderr, "gantryctl: %s: PID 1 of this system is not Gantry, or does not listen on %s\n", what,
			CONTROL_PATH);
	else if (r == -EAGAIN)
		fprintf(stderr, "gantryctl: %s: no answer within %d s\n", what, ANSWER_TIMEOUT_S);
	else
		fprintf(stderr, "gantryctl: %s: %s\n", what, strerror(-r));
	return 1;
}

/* The kernel starts /sbin/poweroff without descriptors: no other file may become 0, 1 or 2. */
static void fill_standard_descriptors(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd < 2);
	if (fd > 2)
		close(fd);
}

static int connect_control(void)
{
	const char *path = getenv("GANTRY_CONTROL");
	struct timeval timeout = {.tv_sec = ANSWER_TIMEOUT_S};
	int fd = client_connect(path && *path ? path : CONTROL_PATH);

	if (fd >= 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	return fd;
}

/* A request that is answered by CONTROL_END alone. 0, or negative errno, its error text in the message. */
static int ask(enum control_kind kind, int64_t argument, const char *body, size_t size,
	       struct control_message *message)
{
	_cleanup_(cleanup_close) int fd = connect_control();
	int r = fd;

	message->body[0] = '\0';
	if (r >= 0)
		r = client_request(fd, kind, 0, argument, body, size);
	if (r >= 0)
		r = client_receive(fd, message);
	if (r < 0)
		return r;
	return r == 0 || message->head.kind != CONTROL_END ? -EBADMSG : (int)message->head.argument;
}

static int ask_and_tell(const char *what, enum control_kind kind, int64_t argument, const char *body, size_t size)
{
	struct control_message message;
	int r = ask(kind, argument, body, size, &message);

	if (r == 0)
		return 0;
	if (!message.body[0])
		return complain(what, r);
	fprintf(stderr, "gantryctl: %s: %s\n", what, message.body);
	return 1;
}

static int fetch_status(struct status *status)
{
	_cleanup_(cleanup_close) int fd = connect_control();
	struct control_message message;
	int r = fd;

	if (r >= 0)
		r = client_request(fd, CONTROL_STATUS, 0, 0, NULL, 0);
	while (r >= 0) {
		r = client_receive(fd, &message);
		if (r == 0)
			r = -EBADMSG;
		if (r > 0 && message.head.kind == CONTROL_END)
			return (int)message.head.argument;
		if (r > 0)
			r = status_take(status, message.head.kind, message.body, message.head.size);
	}
	return r;
}

static int put(struct text *t)
{
	size_t done = fwrite(t->bytes, 1, t->size, stdout);

	free(t->limit ? t->bytes : NULL);
	return done == t->size && fflush(stdout) == 0 ? 0 : 1;
}

static int run_status(const struct command *command, int argc, char **argv)
{
	static struct status status;
	struct text t = TEXT_GROWING(STATUS_JSON_MAX);
	int r = fetch_status(&status);

	if (r < 0)
		return complain(command->name, r);
	if (argc > 1 && strcmp(argv[1], "--json") == 0)
		status_json(&t, &status);
	else
		screen_status(&t, &status);
	return put(&t);
}

static int run_chart(const struct command *command, int argc, char **argv)
{
	static struct status status;
	struct text t = TEXT_GROWING(CHART_MAX);
	struct winsize size = {0};
	const char *columns = getenv("COLUMNS");
	int r = fetch_status(&status);

	(void)argc;
	(void)argv;
	if (r < 0)
		return complain(command->name, r);
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
		size.ws_col = columns ? (unsigned short)atoi(columns) : 100;
	screen_chart(&t, &status, size.ws_col < 40 ? 40 : size.ws_col > 250 ? 250 : size.ws_col);
	return put(&t);
}

static void show_event(const struct control_message *message, bool json)
{
	char line[EVENT_JSON_MAX];
	struct text t = TEXT_FIXED(line);
	struct event_view e;

	if (event_view(&e, message->body, message->head.size) < 0)
		return;
	if (json) {
		event_json(&t, &e);
		text_put(&t, "\n");
	} else {
		event_console_line(&t, &e);
	}
	fwrite(t.bytes, 1, t.size, stdout);
}

static int show_events(int fd, bool json)
{
	for (;;) {
		struct control_message message;
		int r = client_receive(fd, &message);

		if (r <= 0)
			return r;
		if (message.head.kind == CONTROL_EVENT)
			show_event(&message, json);
		else if (message.head.kind == CONTROL_GAP && json)
			printf("{\"lost\":%" PRId64 "}\n", message.head.argument);
		else if (message.head.kind == CONTROL_GAP)
			printf("... %" PRId64 " older events are no longer kept\n", message.head.argument);
		else if (message.head.kind == CONTROL_END)
			return (int)message.head.argument;
		if (ferror(stdout))
			return -EPIPE;
	}
}

static int run_events(const struct command *command, int argc, char **argv)
{
	_cleanup_(cleanup_close) int fd = -1;
	bool follow = false, json = false;
	int64_t since = 1;
	int r;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "-f") == 0) {
			follow = true;
		} else if (strcmp(argv[i], "--json") == 0) {
			json = true;
		} else if (strcmp(argv[i], "--since") == 0 && i + 1 < argc) {
			since = atoll(argv[++i]);
		} else {
			fprintf(stderr, "gantryctl: events: %s: no such option\n", argv[i]);
			return 2;
		}
	}
	r = fd = connect_control();
	if (fd >= 0 && follow) {
		setvbuf(stdout, NULL, _IOLBF, 0);
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){0}, sizeof(struct timeval));
	}
	if (r >= 0)
		r = client_request(fd, CONTROL_EVENTS, follow ? CONTROL_FOLLOW : 0, since, NULL, 0);
	if (r >= 0)
		r = show_events(fd, json);
	return r < 0 ? complain(command->name, r) : fflush(stdout) == 0 ? 0 : 1;
}

static int run_logs(const struct command *command, int argc, char **argv)
{
	(void)command;
	return ctl_logs(argc, argv);
}

static int run_named(const struct command *command, int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: gantryctl %s %s\n", command->name, command->arguments);
		return 2;
	}
	return ask_and_tell(argv[1], command->kind, 0, argv[1], strlen(argv[1]));
}

/* Each step of a refresh has a deadline in PID 1, so this ends. */
static int wait_refresh(int fd, int64_t first, bool *ret_good)
{
	for (int r = client_request(fd, CONTROL_EVENTS, CONTROL_FOLLOW, first, NULL, 0);;) {
		struct control_message message;
		const char *outcome;
		struct event_view e;

		if (r >= 0)
			r = client_receive(fd, &message);
		if (r <= 0)
			return r < 0 ? r : -EPIPE;
		if (message.head.kind == CONTROL_END)
			return message.head.argument < 0 ? (int)message.head.argument : -EPIPE;
		if (message.head.kind != CONTROL_EVENT || event_view(&e, message.body, message.head.size) < 0)
			continue;
		outcome = event_field(&e, "refresh");	/* "" until the event that ends one */
		if (outcome && *outcome) {
			*ret_good = strcmp(outcome, "failed") != 0;
			fprintf(*ret_good ? stdout : stderr, "%.*s\n", (int)e.head.text_size, e.text);
			return 0;
		}
	}
}

/* Begins a refresh, and prints how it ends. */
static int run_refresh(const struct command *command, int argc, char **argv)
{
	_cleanup_(cleanup_close) int fd = -1;
	struct control_message message;
	bool good = false;
	int r;

	(void)argc;
	(void)argv;
	r = ask(CONTROL_REFRESH, 0, NULL, 0, &message);
	if (r < 0 && message.body[0]) {
		fprintf(stderr, "gantryctl: %s: %s\n", command->name, message.body);
		return 1;
	}
	r = r < 0 ? r : (fd = connect_control());
	if (fd >= 0) {
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){0}, sizeof(struct timeval));
		r = wait_refresh(fd, message.head.argument, &good);
	}
	return r < 0 ? complain(command->name, r) : good && fflush(stdout) == 0 ? 0 : 1;
}

/* The words from argv[1] on, joined by spaces and cut at size. */
static void join(char *out, size_t size, int argc, char **argv)
{
	struct text t = {.bytes = out, .room = size - 1};

	for (int i = 1; i < argc; i++) {
		text_put(&t, i > 1 ? " " : "");
		text_add(&t, argv[i], strnlen(argv[i], t.room - t.size));
	}
	out[t.size] = '\0';
}

static int run_words(const struct command *command, int argc, char **argv)
{
	char words[EVENT_TEXT_MAX + 1];

	join(words, sizeof(words), argc, argv);
	return ask_and_tell(command->name, command->kind, 0, words, strlen(words));
}

/* The same as a datagram with these bytes, but PID 1 identifies the sender reliably, since it waits for the answer. */
static int run_post(const struct command *command, int argc, char **argv)
{
	static struct datagram said;
	static char words[DATAGRAM_MAX + 1];
	char body[CONTROL_BODY_MAX];
	struct text t = TEXT_FIXED(body);

	join(words, sizeof(words), argc, argv);
	if (argc < 2) {
		fprintf(stderr, "usage: gantryctl %s %s\n", command->name, command->arguments);
		return 2;
	}
	datagram_read(&said, words, strlen(words));
	text_add(&t, said.text, said.text_size < POST_TEXT_MAX ? said.text_size : POST_TEXT_MAX);
	if (said.fields_size > 0) {
		size_t n = said.fields_size - 1;	/* without its last NUL */

		text_add(&t, "", 1);
		text_add(&t, said.fields, n < POST_FIELDS_MAX ? n : POST_FIELDS_MAX);
	}
	return ask_and_tell(command->name, command->kind, said.level, t.bytes, t.size);
}

static int run_check(const struct command *command, int argc, char **argv)
{
	struct config *config = NULL;
	_cleanup_(cleanup_close) int image_fd = -1;
	char error[512] = "";

	if (argc == 4 && !strcmp(argv[1], "--root")) {
		image_fd = open(argv[2], O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (image_fd < 0) {
			fprintf(stderr, "%s: %s\n", argv[2], strerror(errno));
			return 1;
		}
		argv += 2;
		argc -= 2;
	}
	if (argc != 2) {
		fprintf(stderr, "usage: gantryctl %s %s\n", command->name, command->arguments);
		return 2;
	}
	if (!strcmp(argv[1], "--keys")) {
		config_print_keys(stdout);
		return 0;
	}
	if (config_load_for(image_fd, argv[1], stderr, &config, error, sizeof(error)) < 0) {
		fprintf(stderr, "%s\n", error);
		return 1;
	}
	printf("%s: ok\n", argv[1]);
	for (size_t i = 0; i < config->n_nodes; i++)
		if (config->nodes[i].isolated)
			printf("  \"%s\" is root without SYS_ADMIN: but for \"keep\" it has no devices and no control "
			       "socket, cannot write to /sys, /proc/sys and /run/gantry, and signals only its own "
			       "processes\n", config->nodes[i].name);
	config_free(config);
	return 0;
}

static int run_help(const struct command *command, int argc, char **argv)
{
	(void)command;
	(void)argc;
	(void)argv;
	printf("gantryctl " GANTRY_VERSION ": controls Gantry, PID 1 of this machine\n\n");
	for (const struct command *c = commands; c->name; c++)
		printf("  %-8s %-32s %s\n", c->name, c->arguments, c->help);
	return 0;
}

static const struct command commands[] = {
	{"status", "[--json]", "state of every stage and service", run_status, 0},
	{"events", "[-f] [--since N] [--json]", "all events; -f: follow new ones", run_events, 0},
	{"logs", "NAME [-n LINES] [-f]", "output of a service; -f: follow it", run_logs, 0},
	{"chart", "", "duration of every stage and service, as bars", run_chart, 0},
	{"start", "NAME", "start a service, or retry a failed stage", run_named, CONTROL_START},
	{"stop", "NAME", "stop a service", run_named, CONTROL_STOP},
	{"restart", "NAME", "stop and start a service", run_named, CONTROL_RESTART},
	{"refresh", "", "fetch the configuration, and apply it if it changed", run_refresh, CONTROL_REFRESH},
	{"post", "TEXT | '<4>TEXT' | JSON", "add an event; 4 is its syslog level", run_post, CONTROL_POST},
	{"poweroff", "[REASON]", "orderly shutdown, then power off", run_words, CONTROL_POWEROFF},
	{"reboot", "[REASON]", "orderly shutdown, then reboot", run_words, CONTROL_REBOOT},
	{"halt", "[REASON]", "orderly shutdown, then halt", run_words, CONTROL_HALT},
	{"check", "[--root DIR] FILE | --keys", "validate a boot.json, against an image; --keys: list all keys",
	 run_check, 0},
	{"help", "", "this list", run_help, 0},
	{0},
};

static bool is_help(const char *word)
{
	return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

static int show_usage(const struct command *command)
{
	printf("usage: gantryctl %s%s%s\n  %s\n", command->name, *command->arguments ? " " : "", command->arguments,
	       command->help);
	return 0;
}

/* With gantryctl as the login shell: "-c LINE". Words are separated by spaces, without quoting. */
static int split_line(char *line, char **words, int room)
{
	char *rest = line, *word;
	int n = 1;

	while (n < room && (word = strsep(&rest, " ")))
		if (*word)
			words[n++] = word;
	return n;
}

int ctl_main(int argc, char **argv)
{
	char *words[LINE_WORDS_MAX] = {argv[0]};

	fill_standard_descriptors();
	if (argc == 3 && strcmp(argv[1], "-c") == 0) {
		argc = split_line(argv[2], words, LINE_WORDS_MAX);
		argv = words;
	}
	if (argc < 2 || is_help(argv[1]))
		return run_help(NULL, argc, argv);
	for (const struct command *c = commands; c->name; c++)
		if (strcmp(argv[1], c->name) == 0)
			return argc == 3 && c->kind != CONTROL_POST && is_help(argv[2])
				? show_usage(c) : c->run(c, argc - 1, argv + 1);
	fprintf(stderr, "gantryctl: %s: no such command; see gantryctl help\n", argv[1]);
	return 2;
}

/* ---- poweroff, reboot, halt ----------------------------------------------------------------------------------- */

static const struct power {
	const char *name;
	enum control_kind kind;
	int signal;	/* with the same effect in PID 1 */
	int command;	/* reboot(2) */
} powers[] = {
	{"poweroff", CONTROL_POWEROFF, SIGTERM, RB_POWER_OFF},
	{"reboot", CONTROL_REBOOT, SIGINT, RB_AUTOBOOT},
	{"halt", CONTROL_HALT, SIGTERM, RB_HALT_SYSTEM},
};

static const struct power *find_power(const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;

	for (size_t i = 0; i < sizeof(powers) / sizeof(*powers); i++)
		if (strcmp(name, powers[i].name) == 0)
			return &powers[i];
	return &powers[0];
}

/* Tries again after errors that may pass: a full table, a call before PID 1 listens. */
static int ask_patiently(const struct power *power, const char *reason)
{
	struct control_message message;
	int r = -EAGAIN;

	for (int i = 0; i < POWER_TRIES && r != 0 && r != -EPERM; i++) {
		if (i > 0)
			nanosleep(&(struct timespec){.tv_nsec = 500000000}, NULL);
		r = ask(power->kind, 0, reason, strlen(reason), &message);
	}
	return r;
}

/* -f: calls reboot(2) here if PID 1 refuses; -ff: without asking PID 1. Other options of sysvinit are ignored. */
int power_main(int argc, char **argv)
{
	const struct power *power = find_power(argv[0]);
	char *words[32] = {argv[0]}, reason[NODE_REASON_MAX];
	int n_words = 1, force = 0, r = -EAGAIN;
	struct stat st;

	fill_standard_descriptors();
	for (int i = 1; i < argc; i++) {
		if (argv[i][0] != '-' && n_words < 32)
			words[n_words++] = argv[i];
		else if (argv[i][0] == '-' && argv[i][1] != '-')
			for (const char *p = argv[i]; *p; p++)
				force += *p == 'f';
		else if (strcmp(argv[i], "--force") == 0)
			force++;
	}
	join(reason, sizeof(reason), n_words, words);
	if (force < 2)
		r = ask_patiently(power, reason);
	if (r == 0)
		return 0;
	if (force > 0) {
		sync();
		reboot(power->command);
		r = -errno;
	} else if (r != -EPERM && stat(CONTROL_PATH, &st) == 0 && S_ISSOCK(st.st_mode) &&
		   kill(1, power->signal) == 0) {
		return 0;
	}
	fprintf(stderr, "%s: %s\n", power->name, strerror(-r));
	return 1;
}
