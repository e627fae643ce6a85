/*
 * test_lockfile_guard.c
 *		Who else may be in the directory: other namespaces, joiners, the dead, other users; and disks that fail.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <holdfast/ipc.h>
#include <holdfast/lockfile.h>
#include <holdfast/pg_shmem.h>

#include "../support/directory.h"

#define NOBODY 65534

TestSuite(guard, .timeout = 60, .init = make_directory);

static void
nothing_is_left(void)
{
	cr_assert(access(path_of(HOLDFAST_LOCKFILE_NAME), F_OK) == -1);
	remove_directory();
}

static void
skip(const char *why)
{
	(void) rmdir(dir);
	cr_skip_test("%s", why);
}

static void
put_file(const char *text)
{
	int fd = open(path_of(HOLDFAST_LOCKFILE_NAME), O_WRONLY | O_CREAT | O_TRUNC, 0600);

	cr_assert(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t) strlen(text));
	close(fd);
}

static bool
starts(void)
{
	return CreateDataDirLockFile(true) == HOLDFAST_OK;
}

static void
stops(void)
{
	shmem_exit(0);
	UnlinkLockFiles(0, 0);
}

/* F_UNLCK, F_RDLCK or F_WRLCK. */
static int
guard_lock(void)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	int fd = open(path_of(HOLDFAST_LOCKFILE_GUARD), O_RDWR);

	cr_assert(fd >= 0 && fcntl(fd, F_OFD_GETLK, &lock) == 0);
	close(fd);
	return lock.l_type;
}

/* ---- children ---- */

typedef struct Child
{
	pid_t pid;
	int told; /* it wrote a byte: '0' plus what it has to say */
	int hold; /* it goes on when this is closed */
} Child;

static char
say_and_wait(const Child *child, int what)
{
	char byte = (char) ('0' + what);

	if (write(child->told, &byte, 1) != 1)
		_exit(90);
	return (char) read(child->hold, &byte, 1);
}

/* body() runs in a child, in new namespaces if asked, and says something by say_and_wait(). */
static Child
start_child(uint64_t namespaces, void (*body)(const Child *))
{
	struct clone_args args = {.flags = namespaces, .exit_signal = SIGCHLD};
	int told[2], hold[2];
	Child child;

	cr_assert(pipe2(told, O_CLOEXEC) == 0 && pipe2(hold, O_CLOEXEC) == 0);
	child.pid = namespaces == 0 ? fork() : (pid_t) syscall(SYS_clone3, &args, sizeof(args));
	if (child.pid < 0 && namespaces != 0 && errno == ENOSYS)
		skip("no clone3 here");
	cr_assert(child.pid >= 0, "fork: %s", strerror(errno));
	if (child.pid == 0)
	{
		Child self = {.told = told[1], .hold = hold[0]};

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(told[0]);
		close(hold[1]);
		body(&self);
		_exit(0);
	}
	close(told[1]);
	close(hold[0]);
	child.told = told[0];
	child.hold = hold[1];
	return child;
}

static int
heard_from(const Child *child)
{
	char byte;

	cr_assert(read(child->told, &byte, 1) == 1, "the child died");
	return byte - '0';
}

static void
finish(Child *child)
{
	close(child->hold);
	close(child->told);
	waitpid(child->pid, NULL, 0);
}

static void
kill_child(Child *child)
{
	kill(child->pid, SIGKILL);
	finish(child);
}

/* ---- the guard ---- */

Test(guard, is_alone_only_while_starting)
{
	cr_assert(starts());
	cr_assert(guard_lock() == F_RDLCK);
	stops();
	cr_assert(guard_lock() == F_UNLCK);
	nothing_is_left();
}

static void
serve(const Child *self)
{
	int status = CreateDataDirLockFile(true);

	(void) say_and_wait(self, -status);
}

/* PostgreSQL, with PID 1 in both containers, serves twice. */
Test(guard, two_namespaces_with_pid_1_in_each_have_one_server)
{
	Child first, second;

	if (geteuid() != 0)
		skip("needs new namespaces");
	first = start_child(CLONE_NEWPID | CLONE_NEWIPC, serve);
	cr_assert(heard_from(&first) == HOLDFAST_OK);
	second = start_child(CLONE_NEWPID | CLONE_NEWIPC, serve);
	cr_assert(heard_from(&second) == -HOLDFAST_IN_USE);
	finish(&second);
	kill_child(&first);
	second = start_child(CLONE_NEWPID | CLONE_NEWIPC, serve);
	cr_assert(heard_from(&second) == HOLDFAST_OK, "the first is dead");
	kill_child(&second);
	cr_assert(starts());
	stops();
	nothing_is_left();
}

static void
worker_of_the_dead(const Child *self)
{
	pid_t worker;

	if (!starts())
		_exit(1);
	worker = fork();
	if (worker == 0)
	{
		(void) say_and_wait(self, 0);
		_exit(0);
	}
	raise(SIGKILL);
}

/* It is attached to nothing and no PID tells of it: it may still write to the data files. */
Test(guard, a_child_of_a_dead_server_stops_a_start)
{
	Child child = start_child(0, worker_of_the_dead);

	cr_assert(heard_from(&child) == 0);
	waitpid(child.pid, NULL, 0);
	cr_assert(CreateDataDirLockFile(true) == HOLDFAST_IN_USE);
	cr_assert(strstr(holdfast_last_error()->message, "is still in use") != NULL);
	cr_assert(strstr(holdfast_last_error()->hint, "Terminate any old server processes") != NULL);
	close(child.hold);
	while (read(child.told, &(char){0}, 1) > 0)
		; /* end of file: the worker has gone */
	close(child.told);
	cr_assert(starts(), "%s", holdfast_last_error()->message);
	stops();
	nothing_is_left();
}

/* Forked before there was a server: it has inherited nothing. */
static void
join_when_told(const Child *self)
{
	PGShmemHeader *header;

	(void) say_and_wait(self, 0);
	(void) say_and_wait(self, -holdfast_segment_join(&header));
}

static void
tell(const Child *child)
{
	cr_assert(write(child->hold, "", 1) == 1);
}

/* The joiner's share of the guard outlives the server, and even the segment's removal. */
Test(guard, a_joiner_is_one_of_the_servers_processes)
{
	PGShmemHeader *header;
	Child joiner = start_child(0, join_when_told);

	cr_assert(heard_from(&joiner) == 0);
	cr_assert(starts());
	cr_assert(PGSharedMemoryCreate(8192, &header) == HOLDFAST_OK);
	__atomic_store_n(&header->state, HOLDFAST_SEGMENT_READY, __ATOMIC_RELEASE);
	tell(&joiner);
	cr_assert(heard_from(&joiner) == HOLDFAST_OK);
	stops();
	cr_assert(guard_lock() == F_RDLCK);
	cr_assert(CreateDataDirLockFile(true) == HOLDFAST_IN_USE);
	kill_child(&joiner);
	cr_assert(starts());
	stops();
	nothing_is_left();
}

/* Each reason not to join, and that none of them leaves a share of the guard. */
Test(guard, who_cannot_join_holds_nothing)
{
	PGShmemHeader *header, *joined;
	Child joiner;

	cr_assert(starts());
	joiner = start_child(0, join_when_told); /* its share is its parent's: stays */
	cr_assert(heard_from(&joiner) == 0);
	tell(&joiner);
	cr_assert(heard_from(&joiner) == -HOLDFAST_NOT_FOUND, "no segment yet");
	finish(&joiner);
	stops();

	joiner = start_child(0, join_when_told);
	cr_assert(heard_from(&joiner) == 0);
	cr_assert(starts());
	cr_assert(PGSharedMemoryCreate(8192, &header) == HOLDFAST_OK);
	tell(&joiner);
	cr_assert(heard_from(&joiner) == -HOLDFAST_NOT_FOUND, "not published");
	stops();
	cr_assert(guard_lock() == F_UNLCK, "the one that could not join kept its share");
	finish(&joiner);

	cr_assert(holdfast_segment_join(&joined) == HOLDFAST_NOT_FOUND, "no lockfile");
	put_file("4194304\n/d\n1\n1\n\n\n1 2\n");
	cr_assert(holdfast_segment_join(&joined) == HOLDFAST_DAMAGED, "a PostgreSQL server");
	cr_assert(guard_lock() == F_UNLCK);
	cr_assert(unlink(path_of(HOLDFAST_LOCKFILE_NAME)) == 0);
	nothing_is_left();
}

Test(guard, a_damaged_segment_is_not_joined)
{
	PGShmemHeader *header;
	Child joiner = start_child(0, join_when_told);

	cr_assert(heard_from(&joiner) == 0);
	cr_assert(starts());
	cr_assert(PGSharedMemoryCreate(8192, &header) == HOLDFAST_OK);
	__atomic_store_n(&header->state, HOLDFAST_SEGMENT_READY, __ATOMIC_RELEASE);
	header->totalsize = 1 << 30;
	tell(&joiner);
	cr_assert(heard_from(&joiner) == -HOLDFAST_DAMAGED);
	finish(&joiner);
	stops();
	nothing_is_left();
}

Test(guard, a_guard_removed_by_hand_is_made_again)
{
	cr_assert(starts());
	cr_assert(unlink(path_of(HOLDFAST_LOCKFILE_GUARD)) == 0);
	/* The lockfile's PID still refuses. */
	Child second = start_child(0, serve);
	cr_assert(heard_from(&second) == -HOLDFAST_IN_USE);
	finish(&second);
	stops();
	nothing_is_left();
}

Test(guard, a_symbolic_link_is_not_followed)
{
	cr_assert(symlink("/tmp/holdfast-guard-elsewhere", path_of(HOLDFAST_LOCKFILE_GUARD)) == 0);
	cr_assert(CreateDataDirLockFile(true) == HOLDFAST_SYSTEM_ERROR);
	cr_assert(holdfast_last_error()->saved_errno == ELOOP);
	cr_assert(access("/tmp/holdfast-guard-elsewhere", F_OK) == -1);
	nothing_is_left();
}

/* ---- what the dead left ---- */

/* Death between link() and unlink(): the temporary file is the lockfile.  Writing into it would empty the evidence. */
Test(guard, a_lockfile_under_two_names_is_not_written_into)
{
	struct stat info;
	int fd;

	put_file("4194304\n/d\n");
	cr_assert(link(path_of(HOLDFAST_LOCKFILE_NAME), path_of(HOLDFAST_LOCKFILE_NAME ".tmp")) == 0);
	fd = open(path_of(HOLDFAST_LOCKFILE_NAME), O_RDONLY);
	cr_assert(starts(), "%s", holdfast_last_error()->message);
	cr_assert(fstat(fd, &info) == 0 && info.st_size == 11, "the old file was written into");
	close(fd);
	stops();
	nothing_is_left();
}

Test(guard, a_temporary_file_left_by_the_dead_is_in_nobodys_way)
{
	cr_assert(symlink("/nonexistent/x", path_of(HOLDFAST_LOCKFILE_NAME ".tmp")) == 0);
	cr_assert(starts());
	stops();
	nothing_is_left();
}

/* ---- other users ---- */

static void
become_nobody(void)
{
	if (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
		setresuid(NOBODY, NOBODY, NOBODY) < 0)
		_exit(91);
}

static void
serve_as_nobody(const Child *self)
{
	become_nobody();
	serve(self);
}

/* A plain file's PID is by now a process that could not even read this directory. */
Test(guard, another_users_process_is_no_server_of_ours)
{
	Child child;

	if (geteuid() != 0)
		skip("needs another user");
	put_file("1\n/d\n");
	cr_assert(chown(dir, NOBODY, NOBODY) == 0);
	cr_assert(chown(path_of(HOLDFAST_LOCKFILE_NAME), NOBODY, NOBODY) == 0);
	child = start_child(0, serve_as_nobody);
	cr_assert(heard_from(&child) == HOLDFAST_OK);
	kill_child(&child);
	cr_assert(unlink(path_of(HOLDFAST_LOCKFILE_NAME)) == 0);
	nothing_is_left();
}

static void
serve_in_a_strange_directory(const Child *self)
{
	int status;

	become_nobody();
	status = CreateDataDirLockFile(true);
	if (strstr(holdfast_last_error()->hint, "must be able to write") == NULL)
		status = -9;
	(void) say_and_wait(self, -status);
}

Test(guard, a_directory_that_cannot_be_written_is_said_to_be_so)
{
	Child child;

	if (geteuid() != 0)
		skip("needs another user");
	cr_assert(chmod(dir, 0755) == 0);
	child = start_child(0, serve_in_a_strange_directory);
	cr_assert(heard_from(&child) == -HOLDFAST_SYSTEM_ERROR);
	finish(&child);
	nothing_is_left();
}

/* Trouble that may pass must not take a server down: not by a false answer, not by a FATAL. */
static void
recheck_blind(const Child *self)
{
	struct rlimit before, none;
	bool still;

	holdfast_set_reporter(holdfast_report_as_postgres, NULL);
	if (freopen("/dev/null", "w", stderr) == NULL || !starts() ||
		getrlimit(RLIMIT_NOFILE, &before) < 0)
		_exit(1);
	none = (struct rlimit){0, before.rlim_max};
	(void) setrlimit(RLIMIT_NOFILE, &none); /* no file can be opened any more */
	still = RecheckDataDirLockFile();
	(void) setrlimit(RLIMIT_NOFILE, &before);
	(void) say_and_wait(self, still ? 1 : 2);
}

Test(guard, a_lockfile_that_cannot_be_read_for_a_moment_is_still_ours)
{
	Child child = start_child(0, recheck_blind);

	cr_assert(heard_from(&child) == 1);
	kill_child(&child);
	cr_assert(unlink(path_of(HOLDFAST_LOCKFILE_NAME)) == 0);
	nothing_is_left();
}

/* ---- disks that fail ---- */

static void
limit_file_size(rlim_t bytes)
{
	struct rlimit limit = {bytes, RLIM_INFINITY};

	(void) signal(SIGXFSZ, SIG_IGN);
	cr_assert(setrlimit(RLIMIT_FSIZE, &limit) == 0);
}

Test(guard, a_disk_that_is_full_leaves_everything_as_it_was)
{
	HoldfastLockfile file;
	struct stat info, again;

	/* At creation: no lockfile. */
	limit_file_size(10);
	cr_assert(CreateDataDirLockFile(true) == HOLDFAST_SYSTEM_ERROR);
	cr_assert(strstr(holdfast_last_error()->message, "could not write lock file") != NULL);
	cr_assert(access(path_of(HOLDFAST_LOCKFILE_NAME), F_OK) == -1);
	cr_assert(access(path_of(HOLDFAST_LOCKFILE_NAME ".tmp"), F_OK) == -1);

	/* At an update: the old lockfile, and the caller knows. */
	limit_file_size(RLIM_INFINITY);
	cr_assert(starts());
	cr_assert(stat(path_of(HOLDFAST_LOCKFILE_NAME), &info) == 0);
	limit_file_size(10);
	cr_assert(RecordSharedMemoryInLockFile(1, 2) == HOLDFAST_SYSTEM_ERROR);
	cr_assert(stat(path_of(HOLDFAST_LOCKFILE_NAME), &again) == 0 && again.st_ino == info.st_ino);
	cr_assert(holdfast_lockfile_read(dir, &file) == HOLDFAST_OK && !file.has_segment);
	limit_file_size(RLIM_INFINITY);
	cr_assert(RecordSharedMemoryInLockFile(1, 2) == HOLDFAST_OK, "and may try again");
	stops();

	/* Over a stale file: the stale file. */
	put_file("4194304\n/d\n");
	limit_file_size(10);
	cr_assert(CreateDataDirLockFile(true) == HOLDFAST_SYSTEM_ERROR);
	limit_file_size(RLIM_INFINITY);
	cr_assert(stat(path_of(HOLDFAST_LOCKFILE_NAME), &info) == 0 && info.st_size == 11);
	cr_assert(unlink(path_of(HOLDFAST_LOCKFILE_NAME)) == 0);
	nothing_is_left();
}
