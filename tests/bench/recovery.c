/*
 * recovery.c
 *		From the SIGKILL of a holder to the next waiter's acquire: told by a supervisor, found by the waiter, and in
 *		PostgreSQL.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <holdfast/recovery.h>

#include "bench.h"
#include "pg_server.h"

#define PG_KILLS 9

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

/* Microseconds.  With a supervisor: the parent reaps the dead and recovers; else the waiter finds out by itself. */
static double
one_kill(bool supervised)
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
	if (supervised && holdfast_recover_pid(holder, 1000000, NULL) < 0)
		abort();
	bench_reap(waiter);
	return (double) (bench_arena->stamp_ns[0] - killed) / 1000;
}

static void
measure_kills(const char *who, bool supervised, int kills)
{
	static const struct
	{
		const char *name;
		double p;
	} shown[] = {{"p50", 0.5}, {"p99", 0.99}, {"max", 1}};
	double *us = malloc((size_t) kills * sizeof(*us));

	if (us == NULL)
		abort();
	for (int i = 0; i < kills; i++)
		us[i] = one_kill(supervised);
	sort_values(us, (size_t) kills);
	for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++)
	{
		char name[96];
		Figure *figure;

		(void) snprintf(name, sizeof(name), "holdfast, %s: SIGKILL to next acquire, %s", who,
						shown[i].name);
		figure =
			figure_add_one("recovery", name, "us", percentile_of(us, (size_t) kills, shown[i].p));
		if (supervised && shown[i].p == 0.99)
		{
			figure->bound = FIGURE_AT_MOST;
			figure->want = 1000;
		}
	}
	free(us);
}

static void
measure_postgres(void)
{
	double us[PG_KILLS];
	size_t count = 0;

	for (int i = 0; i < PG_KILLS; i++)
	{
		us[count] = pg_recovery_us();
		if (us[count] > 0)
			count++;
	}
	if (count > 0)
		(void) figure_add("recovery", "PostgreSQL: SIGKILL to next acquire, p50", "us", us, count);
}

void
bench_recovery(int kills)
{
	measure_kills("supervised", true, kills);
	/* Some hundred are enough: each takes as long as a waiter sleeps before it looks. */
	measure_kills("no supervisor", false, kills < 200 ? kills : 200);
	if (pg_server_runs())
		measure_postgres();
}
