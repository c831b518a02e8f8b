/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Making and checking a file system with the real mke2fs and e2fsck, on files: what counts as clean, what is repaired,
 * and what is left to a person.
 */
/* links: disk init/lib stages/lib */
/* libs: libseccomp */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "address_space.h"
#include "stages/disk/ext4.h"
#include "stages/lib/report.h"
#include "test.h"

#define DISK_SIZE (32u << 20)

static char path[64];
static char why[EXT4_WHY_MAX];
static unsigned events;
static char seen[4096];	/* the programs' lines, without their names */

void report_event(enum event_level level, const char *fmt, ...)
{
	va_list arguments;
	char text[200];

	(void)level;
	va_start(arguments, fmt);
	vsnprintf(text, sizeof(text), fmt, arguments);
	va_end(arguments);
	if (strchr(text, ' ')) {
		strncat(seen, strchr(text, ' ') + 1, sizeof(seen) - strlen(seen) - 2);
		strcat(seen, "\n");
	}
	events++;
}

static int fork_error;	/* 0: fork() works */

pid_t fork(void)
{
	static pid_t (*real)(void);

	if (!real)
		real = (pid_t (*)(void))dlsym(RTLD_NEXT, "fork");
	errno = fork_error;
	return fork_error ? -1 : real();
}

static void new_disk(void)
{
	int fd;

	snprintf(path, sizeof(path), "/tmp/test-ext4-XXXXXX");
	fd = mkstemp(path);
	/* Of a device, the programs' user gets a node of its own. */
	CHECK(fd >= 0 && ftruncate(fd, DISK_SIZE) == 0 && fchmod(fd, 0666) == 0);
	close(fd);
}

static void make(void)
{
	int r;

	new_disk();
	r = ext4_make(path, DISK_SIZE - (1u << 20), "persistent", why);
	if (r < 0)
		FAIL("%d %s", r, why);
}

/* Changes a superblock's field with its checksum, as the kernel would. */
static void set_field(const char *field, const char *value)
{
	char command[160];

	snprintf(command, sizeof(command), "PATH=$PATH:/sbin:/usr/sbin debugfs -w -R 'ssv %s %s' %s 2>/dev/null", field, value,
		 path);
	CHECK_INT(system(command), 0);
}

static void put(off_t offset, const void *bytes, size_t size)
{
	int fd = open(path, O_WRONLY);

	CHECK(fd >= 0 && pwrite(fd, bytes, size, offset) == (ssize_t)size);
	close(fd);
}

TEST(new_file_system_is_clean_and_keeps_off_the_end)
{
	static const char zeros[1u << 20];
	static char end[1u << 20];
	int fd;

	make();
	CHECK(ext4_is_clean(path));
	CHECK_INT(ext4_check(path, false, why), 0);
	CHECK(events > 0);
	fd = open(path, O_RDONLY);
	CHECK_INT(pread(fd, end, sizeof(end), DISK_SIZE - sizeof(end)), sizeof(end));
	CHECK(memcmp(end, zeros, sizeof(end)) == 0);
	close(fd);
	unlink(path);
}

TEST(file_system_that_was_not_unmounted_is_not_clean_and_is_repaired)
{
	make();
	set_field("state", "0");
	CHECK(!ext4_is_clean(path));
	CHECK(ext4_check(path, false, why) >= 0);
	CHECK(ext4_is_clean(path));
	unlink(path);
}

TEST(file_system_with_errors_is_not_clean)
{
	make();
	set_field("state", "3");
	CHECK(!ext4_is_clean(path));
	CHECK(ext4_check(path, false, why) >= 0);
	CHECK(ext4_is_clean(path));
	unlink(path);
}

TEST(what_is_no_file_system_needs_a_person)
{
	new_disk();
	CHECK(!ext4_is_clean(path));
	CHECK_INT(ext4_check(path, false, why), -EUCLEAN);
	CHECK(strstr(why, "holds no ext4 file system") != NULL);
	unlink(path);
}

TEST(superblock_that_cannot_be_read_or_parsed_is_not_said_to_be_none)
{
	int r;

	make();
	CHECK_INT(truncate(path, 1536), 0);
	CHECK_INT(ext4_check(path, false, why), -EIO);
	CHECK_STR(why, "superblock cannot be read: Input/output error");
	unlink(path);
	CHECK_INT(ext4_check(path, false, why), -ENOENT);
	CHECK_STR(why, "superblock cannot be read: No such file or directory");
	make();
	fork_error = EAGAIN;
	r = ext4_check(path, false, why);
	fork_error = 0;
	CHECK_INT(r, -EAGAIN);
	CHECK_STR(why, "superblock: its reader was not started: Resource temporarily unavailable");
	unlink(path);
}

TEST(broken_file_system_needs_a_person)
{
	static char noise[1u << 20];

	make();
	memset(noise, 0xa5, sizeof(noise));
	put(4096, noise, sizeof(noise));	/* the group descriptors and what follows */
	CHECK_INT(ext4_check(path, false, why), -EUCLEAN);
	CHECK(strncmp(why, "e2fsck exited with status 4: ", 29) == 0 || strncmp(why, "e2fsck exited with status 5: ", 29) == 0 ||
	      strncmp(why, "e2fsck exited with status 12: ", 30) == 0);
	unlink(path);
}

TEST(superblock_with_a_wrong_checksum_is_not_mounted)
{
	make();
	put(1024 + 0x3a, "\0\0", 2);
	CHECK(!ext4_is_clean(path));
	CHECK(ext4_check(path, false, why) < 0);
	unlink(path);
}

TEST(failure_to_make_one_tells_the_program_s_words)
{
	new_disk();
	CHECK_INT(ext4_make(path, 3 * 4096, "persistent", why), -EIO);
	CHECK(strncmp(why, "mke2fs exited with status 1: ", 29) == 0);
	CHECK_INT(ext4_make("/tmp/no-such-folder/device", DISK_SIZE, "persistent", why), -EAGAIN);
	CHECK_STR(why, "mke2fs: /tmp/no-such-folder/device: No such file or directory");
	unlink(path);
}

/* ---- another stage at the same time */

static dev_t other_disk;	/* what the node leads to once it is opened; 0: nobody has changed it */
static char node[64];

int lchown(const char *name, uid_t user, gid_t group)
{
	snprintf(node, sizeof(node), "%s", name);
	if (other_disk && (unlink(name) < 0 || mknod(name, S_IFBLK | 0600, other_disk) < 0))
		return -1;
	return (int)syscall(SYS_lchown, name, user, group);
}

/*
 * The file at `path`, which is gone then, as a block device. 0: there is no loop device. It goes when this process has
 * closed it, also by being killed.
 */
static dev_t attach_file(char device[32], int *ret_held)
{
	char command[160];
	struct stat st;
	FILE *output;

	snprintf(command, sizeof(command), "PATH=$PATH:/sbin:/usr/sbin losetup -f --show %s 2>/dev/null", path);
	output = popen(command, "re");
	CHECK(output != NULL);
	device[0] = '\0';
	(void)!fgets(device, 32, output);
	pclose(output);
	unlink(path);
	device[strcspn(device, "\n")] = '\0';
	*ret_held = open(device, O_RDONLY | O_CLOEXEC);
	if (*ret_held < 0 || fstat(*ret_held, &st) < 0)
		return 0;
	snprintf(command, sizeof(command), "PATH=$PATH:/sbin:/usr/sbin losetup -d %s", device);
	CHECK_INT(system(command), 0);
	return st.st_rdev;
}

static dev_t attach(char device[32], int *ret_held)
{
	new_disk();
	return attach_file(device, ret_held);
}

TEST(no_program_gets_a_node_that_leads_to_another_disk)
{
	char ours[32], theirs[32], wanted[64];
	int held[2];
	dev_t number, other;

	if (geteuid() != 0)
		SKIP("needs root");
	number = attach(ours, &held[0]);
	other = attach(theirs, &held[1]);
	if (!number || !other)
		SKIP("needs two loop devices");
	other_disk = other;
	CHECK_INT(ext4_make(ours, DISK_SIZE, "persistent", why), -EAGAIN);
	CHECK_INT(ext4_check(theirs, false, why), -EUCLEAN);
	CHECK(access(node, F_OK) < 0);
	other_disk = 0;
	CHECK_INT(ext4_make(ours, DISK_SIZE, "persistent", why), 0);
	CHECK(ext4_is_clean(ours));
	snprintf(wanted, sizeof(wanted), "/dev/.gantry-fsck-%u:%u-%d", major(number), minor(number), getpid());
	CHECK_STR(node, wanted);
	CHECK(access(node, F_OK) < 0);
	close(held[0]);
	close(held[1]);
}

/* ---- a clean flag that lies */

static const struct ext4_options plain = {.commit_s = 5};
static char volume[32], mount_point[80];
static int held_volume;

/* A file system with its superblock's word that it is clean, which COMMAND has changed, as a block device. */
static void damaged(const char *command)
{
	char line[300];

	if (geteuid() != 0)
		SKIP("needs root");
	CHECK_INT(unshare(CLONE_NEWNS), 0);
	CHECK_INT(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	make();
	if (command) {
		snprintf(line, sizeof(line), "PATH=$PATH:/sbin:/usr/sbin; F=%s; { %s; } >/dev/null 2>&1", path, command);
		CHECK_INT(system(line), 0);
	}
	CHECK(ext4_is_clean(path));
	snprintf(mount_point, sizeof(mount_point), "%s.mount", path);
	if (!attach_file(volume, &held_volume))
		SKIP("needs a loop device");
	seen[0] = '\0';
}

static void put_away(void)
{
	(void)umount2(mount_point, MNT_DETACH);
	rmdir(mount_point);
	close(held_volume);
}

static void is_mounted_and_sound(void)
{
	if (ext4_bring_up(volume, mount_point, &plain, why) != 0)
		FAIL("%s; seen: %s", why, seen);
	CHECK(ext4_is_mounted(volume, mount_point));
	CHECK_INT(ext4_errors(mount_point), 0);
}

TEST(sound_file_system_is_mounted_without_e2fsck)
{
	damaged(NULL);
	is_mounted_and_sound();
	CHECK(!strstr(seen, "e2fsck"));
	put_away();
}

TEST(damage_that_the_mount_finds_is_repaired_though_the_superblock_says_clean)
{
	damaged("debugfs -w -R 'set_bg 0 checksum 0x1234' $F");
	is_mounted_and_sound();
	CHECK(strstr(seen, "but mount on ") && strstr(seen, "Structure needs cleaning: running e2fsck"));
	put_away();
}

TEST(root_that_cannot_be_read_is_found_after_the_mount_and_repaired)
{
	/* A byte within the checksum of the root directory's block. */
	damaged("B=$(debugfs -R 'blocks <2>' $F) && printf '\\377' | dd of=$F bs=1 seek=$((B * 4096 + 4095)) conv=notrunc");
	is_mounted_and_sound();
	CHECK(strstr(seen, "but its root cannot be read: "));
	put_away();
}

TEST(damage_that_needs_a_person_is_not_mounted_and_e2fsck_s_words_are_the_reason)
{
	damaged("debugfs -w -R 'clri <2>' $F");
	CHECK_INT(ext4_bring_up(volume, mount_point, &plain, why), -EUCLEAN);
	CHECK(strncmp(why, "e2fsck exited with status ", 26) == 0);
	CHECK(!ext4_is_mounted(volume, mount_point));
	put_away();
}

TEST(errors_that_the_kernel_finds_later_are_counted)
{
	char command[160];

	damaged(NULL);
	is_mounted_and_sound();
	snprintf(command, sizeof(command), "echo broken >/sys/fs/ext4/%s/trigger_fs_error", strrchr(volume, '/') + 1);
	CHECK_INT(system(command), 0);
	for (int i = 0; i < 100 && ext4_errors(mount_point) == 0; i++)
		usleep(20000);
	CHECK_INT(ext4_errors(mount_point), 1);
	CHECK_INT(ext4_look(mount_point, why), -EUCLEAN);
	CHECK(ext4_errors("/no-such-folder") == -ENOENT);
	/* The next boot. */
	CHECK_INT(umount2(mount_point, 0), 0);
	CHECK(!ext4_is_clean(volume));
	is_mounted_and_sound();
	put_away();
}

/* ---- an attacker in place of e2fsck */

/* What it tries, and what it prints of each: its name and its errno. */
static const char attack[] =
	"#define _GNU_SOURCE\n"
	"#include <errno.h>\n#include <fcntl.h>\n#include <stdio.h>\n#include <sched.h>\n#include <signal.h>\n"
	"#include <sys/ioctl.h>\n#include <sys/mount.h>\n#include <sys/ptrace.h>\n#include <sys/socket.h>\n"
	"#include <sys/syscall.h>\n#include <unistd.h>\n#include <dirent.h>\n#include <linux/fs.h>\n"
	"static void tell(const char *name, long r) { printf(\"%s %d\\n\", name, r < 0 ? errno : 0); }\n"
	"int main(int argc, char **argv) {\n"
	"	struct dirent *e; DIR *d = opendir(\"/proc/self/fd\"); int fds = 0, fd;\n"
	"	while (d && (e = readdir(d))) fds++;\n"
	"	printf(\"uid %d\\n\", getuid()); printf(\"proc %d\\n\", fds);\n"
	"	for (fd = 0, fds = 0; fd < 1024; fd++) fds += fcntl(fd, F_GETFD) >= 0;\n"
	"	printf(\"descriptors %d\\n\", fds);\n"
	"	tell(\"tpm\", open(\"FOLDER/tpmrm0\", O_RDWR)); tell(\"disk\", open(\"FOLDER/sda\", O_RDONLY));\n"
	"	tell(\"file\", open(\"FOLDER/secret\", O_RDONLY)); tell(\"passwd\", open(\"/etc/passwd\", O_RDONLY));\n"
	"	tell(\"create\", open(\"FOLDER/new\", O_RDWR | O_CREAT, 0600)); tell(\"unlink\", unlink(\"FOLDER/secret\"));\n"
	"	tell(\"unix\", socket(AF_UNIX, SOCK_STREAM, 0)); tell(\"inet\", socket(AF_INET, SOCK_STREAM, 0));\n"
	"	tell(\"netlink\", socket(AF_NETLINK, SOCK_RAW, 0)); tell(\"kill\", kill(getppid(), 0));\n"
	"	tell(\"fork\", syscall(SYS_fork)); tell(\"unshare\", unshare(CLONE_NEWUSER));\n"
	"	tell(\"ptrace\", ptrace(PTRACE_ATTACH, getppid(), 0, 0)); tell(\"mount\", mount(0, \"/\", 0, MS_REMOUNT, 0));\n"
	"	tell(\"exec\", execl(\"/bin/true\", \"true\", NULL));\n"
	"	fd = open(argv[argc - 1], O_RDWR | O_EXCL); tell(\"volume\", fd);\n"
	"	tell(\"discard\", ioctl(fd, BLKDISCARD, 0)); tell(\"flush\", ioctl(fd, BLKFLSBUF, 0));\n"
	"	return 8; }\n";

static void is_seen(const char *line)
{
	if (!strstr(seen, line))
		FAIL("not told: %s; but:%s", line, seen);
}

/* In a mount namespace of its own; the nodes are open for all, so that only landlock refuses them. */
static void replace_e2fsck(void)
{
	CHECK_INT(unshare(CLONE_NEWNS), 0);
	CHECK_INT(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	CHECK_INT(system("set -e; PATH=$PATH:/sbin:/usr/sbin; f=$(mktemp -d); chmod 755 $f; mknod $f/tpmrm0 c 1 5; "
			 "mknod $f/sda c 1 5; echo secret >$f/secret; chmod 666 $f/*; sed s,FOLDER,$f,g $ATTACK.c >$f/a.c; "
			 "gcc -w -o $f/a $f/a.c; mount --bind $f/a /sbin/e2fsck; echo $f >$ATTACK"), 0);
}

TEST(e2fsck_that_the_volume_has_taken_over_reaches_the_volume_and_nothing_else)
{
	static const char *const refused[] = {"tpm", "disk", "file", "passwd", "create", "unlink", "exec"};
	static const char *const not_called[] = {"unix", "inet", "netlink", "kill", "fork", "unshare", "ptrace", "mount",
						 "discard", "flush"};
	char source[80], line[64], name[72];
	int fd;

	if (geteuid() != 0)
		SKIP("needs root");
	make();
	set_field("state", "0");
	snprintf(name, sizeof(name), "%s.attack", path);
	snprintf(source, sizeof(source), "%s.c", name);
	setenv("ATTACK", name, 1);
	fd = open(source, O_WRONLY | O_CREAT | O_EXCL, 0600);
	CHECK(fd >= 0 && write(fd, attack, sizeof(attack) - 1) == (ssize_t)sizeof(attack) - 1);
	close(fd);
	replace_e2fsck();
	seen[0] = '\0';
	CHECK(ext4_check(path, false, why) < 0);
	CHECK_INT(system("rm -rf $(cat $ATTACK) $ATTACK $ATTACK.c"), 0);
	unlink(path);
	is_seen("uid 921\n");
	is_seen("descriptors 4\n");
	is_seen("volume 0\n");
	for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++) {
		snprintf(line, sizeof(line), "\n%s %d\n", refused[i], strcmp(refused[i], "unlink") ? EACCES : EPERM);
		is_seen(line);
	}
	for (size_t i = 0; i < sizeof(not_called) / sizeof(*not_called); i++) {
		snprintf(line, sizeof(line), "\n%s %d\n", not_called[i], EPERM);
		is_seen(line);
	}
}
