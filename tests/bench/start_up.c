/*
 * start_up.c
 *		Joining and leaving a running cluster; starting one among the segments of strangers.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <holdfast/ipc.h>
#include <holdfast/lockfile.h>
#include <holdfast/pg_shmem.h>
#include <holdfast/proc.h>
#include <holdfast/shmem.h>

#include "bench.h"

#define ATTACHES_PER_ROUND 200

/* ---- joining ---- */

/* In a child, which has left the segment that it inherited: a process that comes from elsewhere. */
static void
join_and_leave(int rounds)
{
	for (int round = 0; round < rounds; round++)
	{
		uint64_t start = bench_now_ns();

		for (int i = 0; i < ATTACHES_PER_ROUND; i++)
			if (holdfast_shmem_join() < 0 || PGSharedMemoryDetach() < 0)
				_exit(1);
		bench_arena->count[round % BENCH_PROCESSES_MAX] = bench_now_ns() - start;
	}
}

void
bench_attach(int rounds)
{
	double us[BENCH_PROCESSES_MAX];
	BenchArena *shared = bench_arena;
	int pipe_fds[2];
	pid_t pid;
	int status;

	if (rounds > BENCH_PROCESSES_MAX)
		rounds = BENCH_PROCESSES_MAX;
	(void) fflush(stdout);
	if (pipe(pipe_fds) < 0 || (pid = fork()) < 0)
		abort();
	if (pid == 0)
	{
		static BenchArena own;

		on_exit_reset();
		if (PGSharedMemoryDetach() < 0)
			_exit(1);
		holdfast_set_reporter(holdfast_report_to_stderr, NULL);
		bench_arena = &own;
		join_and_leave(rounds);
		if (write(pipe_fds[1], own.count, sizeof(own.count)) != sizeof(own.count))
			_exit(1);
		_exit(0);
	}
	(void) close(pipe_fds[1]);
	if (read(pipe_fds[0], shared->count, sizeof(shared->count)) != sizeof(shared->count) ||
		waitpid(pid, &status, 0) != pid || status != 0)
		abort();
	(void) close(pipe_fds[0]);
	for (int round = 0; round < rounds; round++)
		us[round] = (double) shared->count[round] / 1000 / ATTACHES_PER_ROUND;
	(void) figure_add("attach", "holdfast join + detach", "us", us, (size_t) rounds);
}

/* ---- strangers ---- */

static bool
ignore_segment(const HoldfastOrphan *orphan, void *arg)
{
	(void) orphan;
	(void) arg;
	return true;
}

/* A whole server's start in a directory of its own, in a child; nanoseconds through the pipe. */
static void
start_server(int fd)
{
	char directory[300];
	HoldfastShmemConfig config = {.max_procs = 64};
	uint64_t ns;

	on_exit_reset();
	(void) snprintf(directory, sizeof(directory), "%s/%d", bench_directory, (int) getpid());
	if (PGSharedMemoryDetach() < 0 || mkdir(directory, 0700) < 0)
		_exit(1);
	ns = bench_now_ns();
	if (holdfast_set_data_directory(directory) < 0 || CreateDataDirLockFile(true) < 0 ||
		holdfast_shmem_create(&config) < 0 || holdfast_shmem_publish() < 0)
		_exit(1);
	ns = bench_now_ns() - ns;
	shmem_exit(0);
	UnlinkLockFiles(0, 0);
	_exit(write(fd, &ns, sizeof(ns)) == sizeof(ns) ? 0 : 1);
}

static double
start_up_ms(void)
{
	int fds[2];
	uint64_t ns;
	pid_t pid;

	(void) fflush(stdout);
	if (pipe(fds) < 0 || (pid = fork()) < 0)
		abort();
	if (pid == 0)
		start_server(fds[1]);
	(void) close(fds[1]);
	if (read(fds[0], &ns, sizeof(ns)) != sizeof(ns))
		abort();
	(void) close(fds[0]);
	bench_reap(pid);
	return (double) ns / 1e6;
}

/* `foreign` segments of other programs are made for the length of this, and removed one by one by their ids. */
void
bench_start_up(int rounds, int foreign)
{
	int *shmid = malloc((size_t) foreign * sizeof(*shmid));
	int made = 0;
	double alone[BENCH_ROUNDS_MAX], among[BENCH_ROUNDS_MAX];
	double scan[BENCH_ROUNDS_MAX], visit[BENCH_ROUNDS_MAX];
	Figure *figure;

	if (shmid == NULL)
		abort();
	for (int i = 0; i < rounds; i++)
		alone[i] = start_up_ms();
	while (made < foreign && (shmid[made] = shmget(IPC_PRIVATE, 8192, IPC_CREAT | 0600)) >= 0)
		made++;
	for (int i = 0; i < rounds; i++)
	{
		uint64_t start = bench_now_ns();

		if (holdfast_segments_visit(ignore_segment, NULL) < 0)
			abort();
		visit[i] = (double) (bench_now_ns() - start) / 1e6;
		among[i] = start_up_ms();
		scan[i] = among[i] - median_of(alone, (size_t) rounds);
	}
	for (int i = 0; i < made; i++)
		(void) shmctl(shmid[i], IPC_RMID, NULL);
	(void) figure_add_one("start-up", "segments of strangers present", "count", made);
	(void) figure_add("start-up", "holdfast start of a server alone", "ms", alone, (size_t) rounds);
	(void) figure_add("start-up", "holdfast start of a server among them", "ms", among,
					  (size_t) rounds);
	figure =
		figure_add("start-up", "holdfast orphan scan of that start", "ms", scan, (size_t) rounds);
	figure->bound = FIGURE_AT_MOST;
	figure->want = 20;
	(void) figure_add("start-up", "holdfast orphans: a look into each", "ms", visit,
					  (size_t) rounds);
	free(shmid);
}
