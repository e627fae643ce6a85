/*
 * recovery.c
 *		From the SIGKILL of a holder to the next waiter's acquire; attaching; starting up among strangers.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <unistd.h>

#include <holdfast/pg_shmem.h>
#include <holdfast/proc.h>
#include <holdfast/recovery.h>

#include "bench.h"

static void
hold(int arg)
{
	(void) arg;
	if (LWLockAcquire(bench_lock, LW_EXCLUSIVE) < 0)
		_exit(1);
	__atomic_store_n(&bench_arena->ready, 1, __ATOMIC_SEQ_CST);
	for (;;)
		(void) pause();
}

static void
wait_for_it(int arg)
{
	HoldfastStatus status;

	(void) arg;
	__atomic_store_n(&bench_arena->ready, 2, __ATOMIC_SEQ_CST);
	status = LWLockAcquire(bench_lock, LW_EXCLUSIVE);
	__atomic_store_n(&bench_arena->stamp_ns[0], bench_now_ns(), __ATOMIC_SEQ_CST);
	if (status == HOLDFAST_OWNER_DEAD)
		(void) LWLockMarkConsistent(bench_lock);
	(void) LWLockRelease(bench_lock);
}

static double
one_kill(void)
{
	pid_t holder, waiter;
	uint64_t killed;

	bench_arena->ready = 0;
	holder = bench_fork(hold, 0);
	bench_wait_ready(1);
	waiter = bench_fork(wait_for_it, 0);
	bench_wait_ready(2);
	/* Until it stands in the queue: the word says so. */
	while (!(__atomic_load_n(&bench_lock->wait_head, __ATOMIC_RELAXED)))
		;
	killed = bench_now_ns();
	(void) kill(holder, SIGKILL);
	(void) waitpid(holder, NULL, 0); /* as a supervisor learns of it */
	if (holdfast_recover_pid(holder, 1000000, NULL) < 0)
		abort();
	bench_reap(waiter);
	return (double) (bench_arena->stamp_ns[0] - killed) / 1000;
}

void
bench_recovery(int kills)
{
	double *us = malloc((size_t) kills * sizeof(*us));

	if (us == NULL)
		abort();
	for (int i = 0; i < kills; i++)
		us[i] = one_kill();
	bench_sort(us, (size_t) kills);
	bench_figure("recovery", "SIGKILL to next acquire, p50", "us",
				 bench_percentile(us, (size_t) kills, 0.5));
	bench_figure("recovery", "SIGKILL to next acquire, p99", "us",
				 bench_percentile(us, (size_t) kills, 0.99));
	bench_figure("recovery", "SIGKILL to next acquire, max", "us", us[kills - 1]);
	free(us);
}

static bool
ignore_segment(const HoldfastOrphan *orphan, void *arg)
{
	(void) orphan;
	(void) arg;
	return true;
}

/* `foreign` segments of other programs are made for the length of this, and removed one by one by their ids. */
void
bench_segments(int foreign)
{
	int *shmid = malloc((size_t) foreign * sizeof(*shmid));
	int made = 0;
	double ms[9];

	if (shmid == NULL)
		abort();
	while (made < foreign && (shmid[made] = shmget(IPC_PRIVATE, 8192, IPC_CREAT | 0600)) >= 0)
		made++;
	for (int i = 0; i < 9; i++)
	{
		uint64_t start = bench_now_ns();

		if (holdfast_segments_visit(ignore_segment, NULL) < 0)
			abort();
		ms[i] = (double) (bench_now_ns() - start) / 1e6;
	}
	for (int i = 0; i < made; i++)
		(void) shmctl(shmid[i], IPC_RMID, NULL);
	bench_figure("start-up", "segments of strangers present", "count", made);
	bench_figure("start-up", "orphan scan among them", "ms", bench_median(ms, 9));
	free(shmid);
}
