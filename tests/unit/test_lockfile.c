/*
 * test_lockfile.c
 *		postmaster.pid: its bytes, who may take it, who keeps it.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <holdfast/lockfile.h>

#include "../support/fixture.h"
#include "crc32c.h"

TestSuite(lockfile_text, .timeout = 60);
TestSuite(lockfile, .timeout = 60);

static const HoldfastLockfile full = {
	.pid = 4242,
	.data_dir = "/srv/data",
	.start_time_s = 1757000000,
	.port = 5432,
	.socket_dir = "/tmp",
	.listen_addr = "localhost",
	.has_segment = true,
	.shmem_key = 5432001,
	.shmem_id = 4784166,
	.status = "ready   ",
	.is_ours = true,
	.pid_start_time = 123456789,
	.boot_id = "01234567-89ab-cdef-0123-456789abcdef",
	.pid_namespace = 4026531836,
	.ipc_namespace = 4026531839,
	.cookie = {{0x0123456789abcdef, 0xfedcba9876543210}},
	.has_intent = true,
	.intent_key = 77,
};

static HoldfastStatus
parse(const char *text, HoldfastLockfile *out)
{
	return holdfast_lockfile_parse(text, strlen(text), out);
}

Test(lockfile_text, round_trip)
{
	char bytes[HOLDFAST_LOCKFILE_SIZE_MAX];
	HoldfastLockfile back;
	Size length = holdfast_lockfile_format(&full, bytes, sizeof(bytes));

	cr_assert(length > 0);
	cr_assert(holdfast_lockfile_parse(bytes, length, &back) == HOLDFAST_OK, "%s",
			  holdfast_last_error()->message);
	cr_assert(memcmp(&full, &back, sizeof(full)) == 0);
	cr_assert(strncmp(bytes,
					  "4242\n/srv/data\n1757000000\n5432\n/tmp\nlocalhost\n"
					  "  5432001   4784166\nready   \nholdfast 1\n",
					  80) == 0);
}

Test(lockfile_text, every_cut_of_ours_is_damaged_or_a_plain_file)
{
	char bytes[HOLDFAST_LOCKFILE_SIZE_MAX];
	HoldfastLockfile back;
	Size length = holdfast_lockfile_format(&full, bytes, sizeof(bytes));
	Size ours = (Size) (strstr(bytes, "holdfast 1") - bytes) + strlen("holdfast 1");

	for (Size cut = ours; cut < length; cut++)
		cr_assert(holdfast_lockfile_parse(bytes, cut, &back) == HOLDFAST_DAMAGED, "cut %zu", cut);
	/* Shorter ones are believed only in whole lines, so that the PID is never a part of one. */
	for (Size cut = 0; cut < ours; cut++)
	{
		if (holdfast_lockfile_parse(bytes, cut, &back) == HOLDFAST_OK)
			cr_assert(back.pid == full.pid && !back.is_ours && bytes[cut - 1] == '\n');
	}
	cr_assert(holdfast_lockfile_parse(bytes, length, &back) == HOLDFAST_OK);
	bytes[length] = '\n';
	cr_assert(holdfast_lockfile_parse(bytes, length + 1, &back) == HOLDFAST_DAMAGED);
}

Test(lockfile_text, every_flipped_bit_of_ours_is_noticed)
{
	char bytes[HOLDFAST_LOCKFILE_SIZE_MAX];
	HoldfastLockfile back;
	Size length = holdfast_lockfile_format(&full, bytes, sizeof(bytes));

	for (Size i = 0; i < length * 8; i++)
	{
		bytes[i / 8] ^= (char) (1 << i % 8);
		cr_assert(holdfast_lockfile_parse(bytes, length, &back) == HOLDFAST_DAMAGED, "bit %zu", i);
		bytes[i / 8] ^= (char) (1 << i % 8);
	}
}

Test(lockfile_text, postgres_files_of_every_shape)
{
	HoldfastLockfile out;

	cr_assert(parse("123\n", &out) == HOLDFAST_OK && out.pid == 123 && !out.has_segment);
	cr_assert(parse("-123\n/d\n", &out) == HOLDFAST_OK && out.pid == 123 && out.standalone);
	cr_assert(parse("123\n/d\n1700000000\n5432\n/tmp\n", &out) == HOLDFAST_OK && out.port == 5432);
	cr_assert(parse("123\n/d\n1700000000\n5432\n/tmp\n*\n  5432001    65536\n", &out) ==
				  HOLDFAST_OK &&
			  out.has_segment && out.shmem_id == 65536 && out.shmem_key == 5432001);
	cr_assert(parse("123\n/d\n1\n\n\n\n 52345     11\nready   \n", &out) == HOLDFAST_OK &&
			  out.port == 0 && strcmp(out.status, "ready   ") == 0 && !out.is_ours);
	cr_assert(parse("123\r\n/d\r\n", &out) == HOLDFAST_OK && strcmp(out.data_dir, "/d") == 0);
	cr_assert(parse("123\n/d\n  5432001    65536\n", &out) == HOLDFAST_OK && out.has_segment &&
				  out.shmem_key == 5432001 && out.shmem_id == 65536 && out.start_time_s == 0,
			  "up to 9.0");
	cr_assert(parse("123\n/d\n1\n1\n\n\n\n\n", &out) == HOLDFAST_OK && !out.has_segment);
}

Test(lockfile_text, bogus_files_are_refused)
{
	static const char *const bogus[] = {
		"",
		"\n",
		"abc\n",
		"12abc\n",
		"123", /* of 1234? */
		"123\n/d",
		"123\n/d\n1 2\n5432\n", /* not the last line */
		"-\n",
		"0\n",
		"--12\n",
		"123\n/d\n1\n1\n\n\n\nready   \nninth\n",
		" 12\n",
		"99999999999999\n",
		"123\n/d\nyesterday\n",
		"123\n/d\n1\n70000\n",
		"123\n/d\n1\n-1\n",
		"123\n/d\n1\n1\n\n\n77\n",
		"123\n/d\n1\n1\n\n\nkey id\n",
		"123\n/d\n1\n1\n\n\n1 99999999999\n",
		"123\n/d\n1\n1\n\n\n1 2 3\n",
		"123\n/d\n1\n1\n\n\n1 2\na status that is too long\n",
		"123\n/d\n1\n1\n\n\n1 2\nready\nholdfast 2\n",
		"123\n/d\n1\n1\n\n\n1 2\nready\nholdfast 1\n",
	};
	HoldfastLockfile out;

	for (size_t i = 0; i < sizeof(bogus) / sizeof(bogus[0]); i++)
		cr_assert(parse(bogus[i], &out) == HOLDFAST_DAMAGED, "accepted: %s", bogus[i]);
	cr_assert(holdfast_lockfile_parse("12\0003\n", 5, &out) == HOLDFAST_DAMAGED);
}

/* Whoever makes the checksum right can still not make the lines right. */
Test(lockfile_text, bogus_lines_of_ours_are_refused_by_their_number)
{
	static const char head[] = "123\n/d\n1\n1\n\n\n1 2\nready\nholdfast 1\n";
	static const char *const good[] = {"99", "01234567-89ab-cdef-0123-456789abcdef", "1 2",
									   "0123456789abcdeffedcba9876543210", "77"};
	static const char *const bad[][3] = {
		{"", "x", "99999999999999999999999"},
		{"", "01234567-89ab-cdef-0123-456789abcde", "01234567-89AB-cdef-0123-456789abcdef"},
		{"", "1", "1 2 3"},
		{"", "0123456789abcdef", "0123456789abcdeffedcba9876543210f"},
		{"-1", "x", "99999999999"},
	};
	char bytes[HOLDFAST_LOCKFILE_SIZE_MAX];
	char line[16];
	HoldfastLockfile out;

	for (int wrong = -1; wrong < 15; wrong++)
	{
		int length = snprintf(bytes, sizeof(bytes), "%s", head);

		for (int i = 0; i < 5; i++)
			length += snprintf(bytes + length, sizeof(bytes) - (size_t) length, "%s\n",
							   wrong >= 0 && wrong / 3 == i ? bad[i][wrong % 3] : good[i]);
		length += snprintf(bytes + length, sizeof(bytes) - (size_t) length, "%08x\n",
						   holdfast_crc32c(bytes, (size_t) length));
		if (wrong < 0)
		{
			cr_assert(parse(bytes, &out) == HOLDFAST_OK && out.is_ours);
			continue;
		}
		(void) snprintf(line, sizeof(line), "line %d", 10 + wrong / 3);
		cr_assert(parse(bytes, &out) == HOLDFAST_DAMAGED, "%s", bytes);
		cr_assert(strstr(holdfast_last_error()->message, line) != NULL, "%s, not %s",
				  holdfast_last_error()->message, line);
	}
}

Test(lockfile_text, lines_that_are_too_long_are_refused)
{
	char text[2048];
	HoldfastLockfile out;

	(void) snprintf(text, sizeof(text), "123\n%01100d\n", 0);
	cr_assert(parse(text, &out) == HOLDFAST_DAMAGED);
	(void) snprintf(text, sizeof(text), "123\n/d\n1\n1\n%0300d\n", 0);
	cr_assert(parse(text, &out) == HOLDFAST_DAMAGED);
	(void) snprintf(text, sizeof(text), "123\n/d\n1\n1\n\n%0300d\n", 0);
	cr_assert(parse(text, &out) == HOLDFAST_DAMAGED);
}

Test(lockfile_text, huge_files_are_refused)
{
	static char huge[HOLDFAST_LOCKFILE_SIZE_MAX + 1];
	HoldfastLockfile out;

	memset(huge, '1', sizeof(huge));
	cr_assert(holdfast_lockfile_parse(huge, sizeof(huge), &out) == HOLDFAST_DAMAGED);
	cr_assert(holdfast_lockfile_parse(huge, sizeof(huge) - 1, &out) == HOLDFAST_DAMAGED);
	memcpy(huge, "12\n", 3);
	cr_assert(holdfast_lockfile_parse(huge, sizeof(huge) - 1, &out) == HOLDFAST_DAMAGED);
}

Test(lockfile_text, what_cannot_be_written_is_not)
{
	char bytes[HOLDFAST_LOCKFILE_SIZE_MAX];
	HoldfastLockfile bad = full;

	cr_assert(holdfast_lockfile_format(&full, bytes, 20) == 0);
	cr_assert(holdfast_lockfile_format(&full, bytes, 0) == 0);
	bad.pid = 0;
	cr_assert(holdfast_lockfile_format(&bad, bytes, sizeof(bytes)) == 0);
	bad = full;
	strcpy(bad.listen_addr, "a\nb");
	cr_assert(holdfast_lockfile_format(&bad, bytes, sizeof(bytes)) == 0);
	bad = full;
	memset(bad.status, 'x', sizeof(bad.status));
	cr_assert(holdfast_lockfile_format(&bad, bytes, sizeof(bytes)) == 0);
	bad = full;
	bad.port = 65536;
	cr_assert(holdfast_lockfile_format(&bad, bytes, sizeof(bytes)) == 0);
	bad = full;
	bad.start_time_s = INT64_MIN;
	cr_assert(holdfast_lockfile_format(&bad, bytes, sizeof(bytes)) == 0);
	bad = full;
	bad.shmem_key = (unsigned long) UINT32_MAX + 1;
	cr_assert(holdfast_lockfile_format(&bad, bytes, sizeof(bytes)) == 0);
	bad = full;
	bad.boot_id[0] = 'X';
	cr_assert(holdfast_lockfile_format(&bad, bytes, sizeof(bytes)) == 0);
	bad = full;
	bad.intent_key = -1;
	cr_assert(holdfast_lockfile_format(&bad, bytes, sizeof(bytes)) == 0);
}

/* A machine whose clock nobody has set may say 1926; it starts all the same. */
Test(lockfile_text, a_start_before_1970_is_a_time)
{
	char bytes[HOLDFAST_LOCKFILE_SIZE_MAX];
	HoldfastLockfile out;
	HoldfastLockfile early = full;
	Size length;

	early.start_time_s = -1388534400;
	length = holdfast_lockfile_format(&early, bytes, sizeof(bytes));
	cr_assert(length > 0 && holdfast_lockfile_parse(bytes, length, &out) == HOLDFAST_OK);
	cr_assert(out.start_time_s == -1388534400);
	cr_assert(parse("1\n/d\n- 5\n", &out) == HOLDFAST_DAMAGED);
	cr_assert(parse("1\n/d\n--5\n", &out) == HOLDFAST_DAMAGED);
	cr_assert(parse("1\n/d\n-\n", &out) == HOLDFAST_DAMAGED);
}

/* ---- the file ---- */

static char dir[64];
static char path[128];

static void
make_dir(void)
{
	(void) snprintf(dir, sizeof(dir), "/tmp/holdfast-lock-XXXXXX");
	cr_assert(mkdtemp(dir) != NULL);
	(void) snprintf(path, sizeof(path), "%s/%s", dir, HOLDFAST_LOCKFILE_NAME);
	cr_assert(holdfast_set_data_directory(dir) == HOLDFAST_OK);
}

static void
remove_dir(void)
{
	char guard[160];

	(void) unlink(path);
	(void) snprintf(guard, sizeof(guard), "%s.guard", path);
	(void) unlink(guard);
	cr_assert(rmdir(dir) == 0, "something is left in %s", dir);
}

static void
put_file(const char *text, size_t length)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	cr_assert(fd >= 0 && write(fd, text, length) == (ssize_t) length);
	close(fd);
}

static void
expect_refusal(HoldfastStatus status, const char *message, const char *hint)
{
	ino_t before;
	struct stat info;
	HoldfastStatus got;

	cr_assert(stat(path, &info) == 0);
	before = info.st_ino;
	got = CreateDataDirLockFile(true);
	cr_assert(got == status, "%s: %s", holdfast_status_name(got), holdfast_last_error()->message);
	cr_assert(strstr(holdfast_last_error()->message, message) != NULL, "%s",
			  holdfast_last_error()->message);
	cr_assert(strstr(holdfast_last_error()->hint, hint) != NULL, "%s", holdfast_last_error()->hint);
	cr_assert(stat(path, &info) == 0 && info.st_ino == before, "the evidence is gone");
}

Test(lockfile, created_updated_rechecked_and_removed)
{
	HoldfastLockfile file;

	make_dir();
	cr_assert(CreateDataDirLockFile(true) == HOLDFAST_OK, "%s", holdfast_last_error()->message);
	cr_assert(CreateDataDirLockFile(true) == HOLDFAST_MISUSE);
	cr_assert(RecordSharedMemoryInLockFile(7, 8) == HOLDFAST_OK);
	cr_assert(AddToDataDirLockFile(LOCK_FILE_LINE_PORT, "5433") == HOLDFAST_OK);
	cr_assert(AddToDataDirLockFile(LOCK_FILE_LINE_SOCKET_DIR, "/run") == HOLDFAST_OK);
	cr_assert(AddToDataDirLockFile(LOCK_FILE_LINE_LISTEN_ADDR, "*") == HOLDFAST_OK);
	cr_assert(AddToDataDirLockFile(LOCK_FILE_LINE_PM_STATUS, "ready   ") == HOLDFAST_OK);
	cr_assert(holdfast_lockfile_read(dir, &file) == HOLDFAST_OK);
	cr_assert(file.pid == getpid() && file.is_ours && !file.standalone && file.has_segment);
	cr_assert(file.shmem_key == 7 && file.shmem_id == 8 && file.port == 5433);
	cr_assert_str_eq(file.status, "ready   ");
	cr_assert_str_eq(file.data_dir, dir);
	cr_assert(file.pid_start_time == holdfast_process_start_time(getpid()));
	cr_assert(RecheckDataDirLockFile());
	UnlinkLockFiles(0, 0);
	cr_assert(access(path, F_OK) == -1);
	cr_assert(!RecheckDataDirLockFile());
	remove_dir();
}

Test(lockfile, bad_lines_are_refused)
{
	char long_text[400];

	make_dir();
	memset(long_text, 'x', sizeof(long_text) - 1);
	long_text[sizeof(long_text) - 1] = '\0';
	cr_assert(AddToDataDirLockFile(LOCK_FILE_LINE_PORT, "1") == HOLDFAST_MISUSE);
	cr_assert(RecordSharedMemoryInLockFile(1, 1) == HOLDFAST_MISUSE);
	cr_assert(holdfast_lockfile_record_intent(1) == HOLDFAST_MISUSE);
	cr_assert(CreateDataDirLockFile(false) == HOLDFAST_OK);
	cr_assert(AddToDataDirLockFile(LOCK_FILE_LINE_PID, "1") == HOLDFAST_MISUSE);
	cr_assert(AddToDataDirLockFile(99, "1") == HOLDFAST_MISUSE);
	cr_assert(AddToDataDirLockFile(LOCK_FILE_LINE_PORT, "http") == HOLDFAST_MISUSE);
	cr_assert(AddToDataDirLockFile(LOCK_FILE_LINE_PORT, "0") == HOLDFAST_MISUSE);
	cr_assert(AddToDataDirLockFile(LOCK_FILE_LINE_LISTEN_ADDR, "a\nb") == HOLDFAST_MISUSE);
	cr_assert(AddToDataDirLockFile(LOCK_FILE_LINE_LISTEN_ADDR, NULL) == HOLDFAST_MISUSE);
	cr_assert(AddToDataDirLockFile(LOCK_FILE_LINE_SOCKET_DIR, long_text) == HOLDFAST_MISUSE);
	UnlinkLockFiles(0, 0);
	remove_dir();
}

Test(lockfile, no_directory)
{
	HoldfastLockfile file;

	cr_assert(CreateDataDirLockFile(true) == HOLDFAST_MISUSE);
	cr_assert(holdfast_set_data_directory("/nonexistent") == HOLDFAST_SYSTEM_ERROR);
	cr_assert(holdfast_last_error()->saved_errno == ENOENT);
	cr_assert(holdfast_set_data_directory("/dev/null") == HOLDFAST_SYSTEM_ERROR);
	cr_assert(holdfast_set_data_directory(NULL) == HOLDFAST_SYSTEM_ERROR);
	cr_assert(holdfast_lockfile_read("/nonexistent", &file) == HOLDFAST_NOT_FOUND);
}

Test(lockfile, empty_and_bogus_files_are_refused_and_kept)
{
	static char huge[100000];

	make_dir();
	put_file("", 0);
	expect_refusal(HOLDFAST_DAMAGED, "lock file \"postmaster.pid\" is empty",
				   "remnant of a previous server startup crash");
	put_file("12abc\n", 6);
	expect_refusal(HOLDFAST_DAMAGED, "bogus data in lock file", "remove the lock file by hand");
	put_file("\0\0\0\0", 4);
	expect_refusal(HOLDFAST_DAMAGED, "bogus data in lock file", "by hand");
	memset(huge, '7', sizeof(huge));
	put_file(huge, sizeof(huge));
	expect_refusal(HOLDFAST_DAMAGED, "bogus data in lock file", "by hand");
	remove_dir();
}

static pid_t
sleeper(void)
{
	pid_t parent = getpid();
	pid_t pid = fork();

	if (pid == 0)
	{
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(1);
		pause();
		_exit(0);
	}
	return pid;
}

Test(lockfile, a_living_pid_is_refused_with_postgres_words)
{
	char text[64];
	char hint[128];
	pid_t pid;

	make_dir();
	pid = sleeper();
	(void) snprintf(text, sizeof(text), "%d\n/d\n", (int) pid);
	(void) snprintf(hint, sizeof(hint), "Is another postmaster (PID %d) running", (int) pid);
	put_file(text, strlen(text));
	expect_refusal(HOLDFAST_IN_USE, "lock file \"postmaster.pid\" already exists", hint);
	(void) snprintf(text, sizeof(text), "-%d\n/d\n", (int) pid);
	(void) snprintf(hint, sizeof(hint), "Is another postgres (PID %d) running", (int) pid);
	put_file(text, strlen(text));
	expect_refusal(HOLDFAST_IN_USE, "already exists", hint);

	/* Killed but not reaped: dead, whatever kill(pid, 0) says. */
	kill(pid, SIGKILL);
	cr_assert(waitid(P_PID, (id_t) pid, &(siginfo_t){0}, WEXITED | WNOWAIT) == 0);
	cr_assert(kill(pid, 0) == 0);
	cr_assert(CreateDataDirLockFile(true) == HOLDFAST_OK, "%s", holdfast_last_error()->message);
	waitpid(pid, NULL, 0);
	UnlinkLockFiles(0, 0);
	remove_dir();
}

Test(lockfile, a_reused_pid_is_told_by_its_start_time)
{
	char bytes[HOLDFAST_LOCKFILE_SIZE_MAX];
	HoldfastLockfile file;
	Size length;
	pid_t pid;

	make_dir();
	cr_assert(CreateDataDirLockFile(true) == HOLDFAST_OK);
	cr_assert(holdfast_lockfile_read(dir, &file) == HOLDFAST_OK);
	UnlinkLockFiles(0, 0);

	pid = sleeper();
	file.pid = pid;
	file.pid_start_time = holdfast_process_start_time(pid);
	length = holdfast_lockfile_format(&file, bytes, sizeof(bytes));
	put_file(bytes, length);
	expect_refusal(HOLDFAST_IN_USE, "already exists", "Is another postmaster");

	file.pid_start_time--; /* somebody who had that PID before */
	length = holdfast_lockfile_format(&file, bytes, sizeof(bytes));
	put_file(bytes, length);
	cr_assert(CreateDataDirLockFile(true) == HOLDFAST_OK, "%s", holdfast_last_error()->message);
	UnlinkLockFiles(0, 0);

	file.pid_start_time++;
	file.boot_id[0] = file.boot_id[0] == '0' ? '1' : '0'; /* written before the machine went down */
	length = holdfast_lockfile_format(&file, bytes, sizeof(bytes));
	put_file(bytes, length);
	cr_assert(CreateDataDirLockFile(true) == HOLDFAST_OK, "%s", holdfast_last_error()->message);
	UnlinkLockFiles(0, 0);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	remove_dir();
}

/* In a container the numbers are small and come again: our own, our parent's, pg_ctl's. */
Test(lockfile, the_starters_own_family_is_no_other_server)
{
	char text[64];
	pid_t pid = sleeper();

	make_dir();
	for (int relation = 0; relation < 3; relation++)
	{
		pid_t family[] = {getpid(), getppid(), pid};

		(void) snprintf(text, sizeof(text), "%d\n/d\n", (int) family[relation]);
		put_file(text, strlen(text));
		(void) snprintf(text, sizeof(text), "%d", (int) pid);
		if (relation == 2)
			cr_assert(setenv("PG_GRANDPARENT_PID", text, 1) == 0);
		cr_assert(CreateDataDirLockFile(true) == HOLDFAST_OK, "%s", holdfast_last_error()->message);
		UnlinkLockFiles(0, 0);
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	remove_dir();
}

static int
second_starter(int arg)
{
	(void) arg;
	if (CreateDataDirLockFile(true) != HOLDFAST_IN_USE)
		return 1;
	return 0;
}

static int
plain_fork(int (*body)(int))
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
	{
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		on_exit_reset();
		_exit(body(0));
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000;
}

static int
not_the_owner(int arg)
{
	(void) arg;
	if (RecordSharedMemoryInLockFile(1, 2) != HOLDFAST_MISUSE)
		return 1;
	UnlinkLockFiles(0, 0); /* harmless: it is our parent's */
	return 0;
}

Test(lockfile, a_second_starter_is_refused_while_the_first_lives)
{
	make_dir();
	cr_assert(CreateDataDirLockFile(true) == HOLDFAST_OK);
	cr_assert(plain_fork(second_starter) == 0);
	cr_assert(plain_fork(not_the_owner) == 0);
	cr_assert(RecheckDataDirLockFile());
	/* Removed by hand: the guard still says that somebody lives. */
	cr_assert(unlink(path) == 0);
	cr_assert(!RecheckDataDirLockFile());
	cr_assert(plain_fork(second_starter) == 0);
	cr_assert(RecordSharedMemoryInLockFile(1, 2) == HOLDFAST_IN_USE);
	UnlinkLockFiles(0, 0);
	remove_dir();
}

Test(lockfile, somebody_elses_file_is_not_removed)
{
	char bytes[HOLDFAST_LOCKFILE_SIZE_MAX];
	Size length;

	make_dir();
	cr_assert(CreateDataDirLockFile(true) == HOLDFAST_OK);
	length = holdfast_lockfile_format(&full, bytes, sizeof(bytes));
	put_file(bytes, length);
	cr_assert(!RecheckDataDirLockFile());
	cr_assert(AddToDataDirLockFile(LOCK_FILE_LINE_PORT, "1") == HOLDFAST_IN_USE);
	UnlinkLockFiles(0, 0);
	cr_assert(access(path, F_OK) == 0);
	remove_dir();
}
