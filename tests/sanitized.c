/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Only in build/sanitized/init: the sanitizers' options, since a role is started with an environment of its own, and
 * what they cannot live with. Their reports go to standard error, which the tests read (tests/component/sanitizer.py).
 */
#include <dlfcn.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

const char *__asan_default_options(void);
const char *__ubsan_default_options(void);

/* init/process/image.c gives these pages back; the linker script that fills them is for the static binary. */
extern const char image_foreign[], image_foreign_end[];
const char image_foreign[1];
extern const char image_foreign_end[1] __attribute__((alias("image_foreign")));

/* Tests kill roles by such signals and look at the status; processes end by exec or a signal, with memory in use. */
const char *__asan_default_options(void)
{
	return "detect_leaks=0:handle_segv=0:handle_sigbus=0:handle_sigfpe=0:handle_sigill=0:handle_abort=0";
}

const char *__ubsan_default_options(void)
{
	return "print_stacktrace=1";
}

/*
 * glibc reads the file of its time zone at the first use of a date, and OpenSSL, by which Debian's tpm2-tss encrypts,
 * its configuration; a role is ended for that by its filter.
 */
static __attribute__((constructor)) void read_files(void)
{
	int (*init)(uint64_t options, const void *settings) = dlsym(RTLD_DEFAULT, "OPENSSL_init_crypto");

	tzset();
	if (init)
		init(0x40 /* OPENSSL_INIT_LOAD_CONFIG */, NULL);
}

/* The roles' limit of their address space is less than the shadow of a sanitizer's memory. */
int setrlimit(__rlimit_resource_t resource, const struct rlimit *limit)
{
	if (resource == RLIMIT_AS)
		return 0;
	return (int)syscall(SYS_prlimit64, 0, resource, limit, NULL);
}

/* What glibc's threads and the sanitizers' runtime call besides; musl's threads do not, so it is not in the lists. */
int seccomp_load(const scmp_filter_ctx context)
{
	static const int calls[] = {
		SCMP_SYS(rseq), SCMP_SYS(set_robust_list), SCMP_SYS(sigaltstack), SCMP_SYS(sched_getaffinity),
		SCMP_SYS(sched_yield), SCMP_SYS(clock_nanosleep), SCMP_SYS(prctl), SCMP_SYS(munmap), SCMP_SYS(madvise),
		SCMP_SYS(newfstatat), SCMP_SYS(futex), SCMP_SYS(brk), SCMP_SYS(getpid), SCMP_SYS(gettid),
	};
	int (*load)(scmp_filter_ctx context) = dlsym(RTLD_NEXT, "seccomp_load");

	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)	/* one that a list has keeps its action */
		(void)seccomp_rule_add(context, SCMP_ACT_ALLOW, calls[i], 0);
	(void)seccomp_rule_add(context, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
			       SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	return load(context);
}
