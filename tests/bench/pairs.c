/*
 * pairs.c
 *		Acquire + release: alone, and against each other.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "bench.h"

#define LOCKS_MAX       16
#define PAIRS_PER_ROUND 1000000
#define CONTEND_NS      UINT64_C(60000000)

static double figures[LOCKS_MAX][BENCH_ROUNDS_MAX];

static int
count_locks(void)
{
	int count = 0;

	while (bench_locks[count].name != NULL)
		count++;
	return count;
}

/* Each of ours over each peer of its kind, round by round, and the median of those. */
static void
report_ratios(const char *group, int rounds)
{
	for (int ours = 0; bench_locks[ours].name != NULL; ours++)
	{
		for (int peer = 0; bench_locks[peer].name != NULL; peer++)
		{
			const char *of = bench_locks[peer].peer_of;
			double ratio[BENCH_ROUNDS_MAX];
			char name[128];

			if (bench_locks[ours].peer_of != NULL || of == NULL ||
				(strcmp(of, "both") != 0 &&
				 (strcmp(of, "shared") == 0) != bench_locks[ours].shared))
				continue;
			for (int round = 0; round < rounds; round++)
				ratio[round] = figures[ours][round] / figures[peer][round];
			(void) snprintf(name, sizeof(name), "%s / %s", bench_locks[ours].name,
							bench_locks[peer].name);
			bench_figure(group, name, "ratio", bench_median(ratio, (size_t) rounds));
		}
	}
}

void
bench_pairs(int rounds)
{
	int count = count_locks();

	for (int round = 0; round < rounds; round++)
	{
		for (int i = 0; i < count; i++)
		{
			uint64_t start = bench_now_ns();

			for (int pair = 0; pair < PAIRS_PER_ROUND; pair++)
			{
				bench_locks[i].acquire();
				bench_locks[i].release();
			}
			figures[i][round] = (double) (bench_now_ns() - start) / PAIRS_PER_ROUND;
		}
	}
	report_ratios("pair", rounds);
	for (int i = 0; i < count; i++)
		bench_figure("pair", bench_locks[i].name, "ns", bench_median(figures[i], (size_t) rounds));
}

/* ---- contention ---- */

static int contended_lock;

static void
contend(int arg)
{
	const BenchLock *lock = &bench_locks[contended_lock];
	uint64_t done = 0;

	(void) __atomic_add_fetch(&bench_arena->ready, 1, __ATOMIC_SEQ_CST);
	while (!__atomic_load_n(&bench_arena->go, __ATOMIC_ACQUIRE))
		;
	while (!__atomic_load_n(&bench_arena->stop, __ATOMIC_RELAXED))
	{
		lock->acquire();
		if (!lock->shared)
			bench_arena->guarded[0]++;
		lock->release();
		done++;
	}
	bench_arena->count[arg] = done;
}

static double
contended_rate(int which, int processes)
{
	pid_t pid[256];
	uint64_t start, total = 0;

	contended_lock = which;
	bench_arena->ready = bench_arena->go = bench_arena->stop = 0;
	for (int i = 0; i < processes; i++)
		pid[i] = bench_fork(contend, i);
	bench_wait_ready((uint32_t) processes);
	start = bench_now_ns();
	__atomic_store_n(&bench_arena->go, 1, __ATOMIC_RELEASE);
	while (bench_now_ns() - start < CONTEND_NS)
	{
		struct timespec nap = {.tv_nsec = 5000000};

		(void) nanosleep(&nap, NULL);
	}
	__atomic_store_n(&bench_arena->stop, 1, __ATOMIC_RELEASE);
	for (int i = 0; i < processes; i++)
		bench_reap(pid[i]);
	start = bench_now_ns() - start;
	for (int i = 0; i < processes; i++)
		total += bench_arena->count[i];
	return (double) total * 1e9 / (double) start;
}

void
bench_contention(int rounds, int processes)
{
	char group[64];
	int count = count_locks();

	for (int round = 0; round < rounds; round++)
	{
		for (int i = 0; i < count; i++)
			figures[i][round] = contended_rate(i, processes);
	}
	(void) snprintf(group, sizeof(group), "%d processes", processes);
	report_ratios(group, rounds);
	for (int i = 0; i < count; i++)
		bench_figure(group, bench_locks[i].name, "ops/s",
					 bench_median(figures[i], (size_t) rounds));
}
