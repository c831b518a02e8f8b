/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The whole unit test harness: include it in one file, write TEST(what_must_hold) { CHECK(...); }, and that file is a
 * program. Every test runs in a child of its own, so that a crash, a sanitizer's report, a leak or a hang is one failed
 * test and the others still run. An argument runs only the tests whose name contains it; `-n` runs them without a
 * child, for a debugger.
 *
 * Prints `ok NAME`, `not ok NAME: reason` or `skip NAME: why` and exits with 1 when a test failed.
 */
#ifndef TESTS_UNIT_TEST_H
#define TESTS_UNIT_TEST_H

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define TEST_SECONDS 120		/* a single test that takes longer hangs, also on a busy machine */
#define TEST_FAILED 1
#define TEST_SKIPPED 77
#define TEST_LEAKED 78
#define UNUSED __attribute__((unused))	/* of what a fixture has for some tests and not for others */

struct test {
	const char *name;
	void (*run)(void);
	struct test *next;
};

static struct test *test_first, **test_last = &test_first;
static const char *test_now = "";

__attribute__((unused)) static void test_register(struct test *test)
{
	*test_last = test;
	test_last = &test->next;
}

#define TEST(what)                                                                                      \
	static void test_body_##what(void);                                                             \
	static struct test test_entry_##what = { .name = #what, .run = test_body_##what };              \
	__attribute__((constructor)) static void test_constructor_##what(void)                          \
	{                                                                                               \
		test_register(&test_entry_##what);                                                      \
	}                                                                                               \
	static void test_body_##what(void)

/* A failed check ends the test at once: what follows would only repeat the news. */
__attribute__((format(printf, 3, 4), noreturn, unused))
static void test_fail(const char *file, int line, const char *format, ...)
{
	__builtin_va_list arguments;

	printf("not ok %s: %s:%d: ", test_now, file, line);
	__builtin_va_start(arguments, format);
	vprintf(format, arguments);
	__builtin_va_end(arguments);
	putchar('\n');
	fflush(stdout);
	_exit(TEST_FAILED);
}

__attribute__((noreturn, unused)) static void test_skip(const char *why)
{
	printf("skip %s: %s\n", test_now, why);
	fflush(stdout);
	_exit(TEST_SKIPPED);
}

#define FAIL(...) test_fail(__FILE__, __LINE__, __VA_ARGS__)
#define SKIP(why) test_skip(why)

#define CHECK(expression)                                                                               \
	do {                                                                                            \
		if (!(expression))                                                                      \
			test_fail(__FILE__, __LINE__, "%s", #expression);                               \
	} while (0)

#define CHECK_INT(left, right)                                                                          \
	do {                                                                                            \
		long long test_left = (long long)(left), test_right = (long long)(right);               \
		if (test_left != test_right)                                                            \
			test_fail(__FILE__, __LINE__, "%s is %lld, expected %s = %lld", #left,          \
				  test_left, #right, test_right);                                       \
	} while (0)

#define CHECK_STR(left, right)                                                                          \
	do {                                                                                            \
		const char *test_left = (left), *test_right = (right);                                  \
		if (!test_left || !test_right ? test_left != test_right                                 \
					      : strcmp(test_left, test_right) != 0)                     \
			test_fail(__FILE__, __LINE__, "%s is %s%s%s, expected %s%s%s", #left,           \
				  test_left ? "\"" : "", test_left ? test_left : "NULL",                \
				  test_left ? "\"" : "", test_right ? "\"" : "",                        \
				  test_right ? test_right : "NULL", test_right ? "\"" : "");            \
	} while (0)

#define CHECK_MEM(left, right, size)                                                                    \
	do {                                                                                            \
		if (memcmp((left), (right), (size)) != 0)                                               \
			test_fail(__FILE__, __LINE__, "%zu bytes of %s differ from %s", (size_t)(size), \
				  #left, #right);                                                       \
	} while (0)

/* The sanitizer's leak check runs in exit(); a status of its own tells it from the rest. */
__attribute__((unused)) const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "exitcode=78:detect_leaks=1:abort_on_error=0";
}

static bool test_one(const struct test *test)
{
	int status;
	pid_t child;

	test_now = test->name;
	fflush(NULL);
	child = fork();
	if (child < 0) {
		printf("not ok %s: fork: %s\n", test->name, strerror(errno));
		return false;
	}
	if (child == 0) {
		alarm(TEST_SECONDS);
		test->run();
		exit(EXIT_SUCCESS);
	}
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
		printf("ok %s\n", test->name);
		return true;
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == TEST_SKIPPED)
		return true;
	if (WIFEXITED(status) && WEXITSTATUS(status) == TEST_FAILED)
		return false;
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
		printf("not ok %s: no end after %d s\n", test->name, TEST_SECONDS);
	else if (WIFSIGNALED(status))
		printf("not ok %s: killed by signal %d (%s)\n", test->name, WTERMSIG(status),
		       strsignal(WTERMSIG(status)));
	else if (WEXITSTATUS(status) == TEST_LEAKED)
		printf("not ok %s: a sanitizer's report is above\n", test->name);
	else
		printf("not ok %s: exit status %d\n", test->name, WEXITSTATUS(status));
	return false;
}

int main(int argc, char **argv)
{
	bool in_child = true;
	const char *part = "";
	int failed = 0;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "-n"))
			in_child = false;
		else
			part = argv[i];
	}
	for (const struct test *test = test_first; test; test = test->next) {
		if (!strstr(test->name, part))
			continue;
		if (in_child) {
			failed += !test_one(test);
			continue;
		}
		test_now = test->name;
		test->run();
		printf("ok %s\n", test->name);
	}
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
