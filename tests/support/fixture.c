/*
 * fixture.c
 *		See fixture.h.
 */
#include <criterion/criterion.h>
#include <dirent.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fixture.h"
#include "shmem_layout.h"

#define PATIENCE_MS 20000

Board *board;
LWLockPadded *locks;
char fixture_dir[64];

static double
seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double) now.tv_sec + (double) now.tv_nsec * 1e-9;
}

void
cluster_start_with(uint32_t max_procs)
{
	HoldfastShmemConfig config = {.max_procs = max_procs, .user_size = 1 << 16};
	bool found;

	/* Where we may: a test that is killed at its deadline then leaves no segment in anybody's way. */
	(void) unshare(CLONE_NEWIPC);
	(void) snprintf(fixture_dir, sizeof(fixture_dir), "/tmp/holdfast-test-XXXXXX");
	cr_assert(mkdtemp(fixture_dir) != NULL);
	cr_assert(holdfast_set_data_directory(fixture_dir) == HOLDFAST_OK);
	cr_assert(CreateDataDirLockFile(true) == HOLDFAST_OK, "%s", holdfast_last_error()->message);
	cr_assert(RequestNamedLWLockTranche("test", FIXTURE_LOCKS) == HOLDFAST_OK);
	cr_assert(holdfast_shmem_create(&config) == HOLDFAST_OK, "%s", holdfast_last_error()->message);
	board = ShmemInitStruct("board", sizeof(Board), &found);
	locks = GetNamedLWLockTranche("test");
	cr_assert(board != NULL && !found && locks != NULL);
	cr_assert(holdfast_shmem_publish() == HOLDFAST_OK);
	cr_assert(InitProcess("test") == HOLDFAST_OK, "%s", holdfast_last_error()->message);
}

void
cluster_start(void)
{
	cluster_start_with(16);
}

void
cluster_stop(void)
{
	unsigned long shmid = UsedShmemSegID;
	struct shmid_ds info;
	struct dirent *file;
	DIR *dir;

	shmem_exit(0);
	UnlinkLockFiles(0, 0);
	cr_assert(shmctl((int) shmid, IPC_STAT, &info) == -1, "segment %lu is left", shmid);
	dir = opendir(fixture_dir);
	while ((file = readdir(dir)) != NULL)
	{
		if (file->d_name[0] != '.')
			cr_assert(strcmp(file->d_name, HOLDFAST_LOCKFILE_GUARD) == 0, "%s is left",
					  file->d_name);
	}
	(void) unlinkat(dirfd(dir), HOLDFAST_LOCKFILE_GUARD, 0);
	closedir(dir);
	cr_assert(rmdir(fixture_dir) == 0);
}

static pid_t
start(int (*body)(int), int arg, bool with_slot)
{
	pid_t parent = getpid();
	pid_t pid = fork();

	cr_assert(pid >= 0);
	if (pid != 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(99);
	on_exit_reset();
	if (with_slot && InitProcess("child") != HOLDFAST_OK)
		_exit(98);
	_exit(body(arg));
}

pid_t
child_start(int (*body)(int), int arg)
{
	return start(body, arg, true);
}

pid_t
child_start_without_slot(int (*body)(int), int arg)
{
	return start(body, arg, false);
}

/* Where there are no pidfds (valgrind knows none) the child is asked again and again. */
static bool
ends_in_time(pid_t pid)
{
	int fd = (int) syscall(SYS_pidfd_open, pid, 0);
	struct pollfd poller = {.fd = fd, .events = POLLIN};
	double deadline = seconds_now() + PATIENCE_MS / 1000.0;
	siginfo_t info = {.si_pid = 0};
	bool ended;

	if (fd >= 0)
	{
		ended = poll(&poller, 1, PATIENCE_MS) == 1;
		close(fd);
		return ended;
	}
	while (waitid(P_PID, (id_t) pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == 0 &&
		   seconds_now() < deadline)
		poll(NULL, 0, 1);
	return info.si_pid == pid;
}

int
child_wait(pid_t pid)
{
	bool late = !ends_in_time(pid);
	int status;

	if (late)
		kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	if (late)
		return 2000;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

void
child_kill(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

void
board_set(int cell, uint32_t step)
{
	__atomic_store_n(&board->step[cell], step, __ATOMIC_SEQ_CST);
	syscall(SYS_futex, &board->step[cell], FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}

void
board_wait(int cell, uint32_t step)
{
	double deadline = seconds_now() + PATIENCE_MS / 1000.0;
	uint32_t now;

	while ((now = __atomic_load_n(&board->step[cell], __ATOMIC_SEQ_CST)) < step)
	{
		struct timespec timeout = {.tv_sec = 1};

		if (seconds_now() > deadline)
			abort();
		syscall(SYS_futex, &board->step[cell], FUTEX_WAIT, now, &timeout, NULL, 0);
	}
}

void
wait_until_queued(pid_t pid)
{
	double deadline = seconds_now() + PATIENCE_MS / 1000.0;

	for (;;)
	{
		int slot = holdfast_slot_of_pid(pid);

		if (slot >= 0 &&
			__atomic_load_n(&holdfast_shmem.procs[slot].wake, __ATOMIC_SEQ_CST) == WAKE_ASLEEP)
			return;
		cr_assert(seconds_now() < deadline, "process %d never waits", (int) pid);
		sched_yield();
	}
}

uint64_t
unwoken_waiters(void)
{
	uint64_t sum = 0;

	for (uint32_t slot = 0; slot < holdfast_shmem.nprocs; slot++)
		sum += __atomic_load_n(&holdfast_shmem.procs[slot].counts[locks[0].lock.tranche].unwoken,
							   __ATOMIC_RELAXED);
	return sum;
}
