/*
 * pairs.c
 *		Acquire + release: alone, against each other, and readers among writers.
 *
 * Alone, the time is the processor's, not the wall's: what else runs on the machine makes it no longer.
 *
 * Bounds are what the library is meant to reach beside each peer.  Alone they speak of time per pair (at most), under
 * contention of acquisitions per second of all processes together (at least).
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "bench.h"
#include "pg_server.h"

#define LOCKS_MAX       16
#define PAIRS_PER_ROUND 1000000
#define CONTEND_NS      UINT64_C(60000000)

static double measured[LOCKS_MAX][BENCH_ROUNDS_MAX];

/* ---- what is meant to be reached ---- */

typedef struct Target
{
	const char *peer;                      /* beginning of its name */
	double pair_most;                      /* ours / peer's, nanoseconds; 0: no bound */
	double exclusive2_least, shared_least; /* ours / peer's, acquisitions per second; 0: no bound */
} Target;

static const Target targets[] = {
	{"floor", 1.6, 0, 0},         {"robust pthread_mutex", 0.9, 0, 0},
	{"PostgreSQL", 0.75, 1.3, 0}, {"pthread_rwlock", 0, 1.0, 0},
	{"ck_rwlock", 0, 0, 1 / 1.5}, {0},
};

static const Target *
target_for(const char *peer)
{
	const Target *target = targets;

	while (target->peer != NULL && strncmp(peer, target->peer, strlen(target->peer)) != 0)
		target++;
	return target;
}

/* processes 1: alone. */
static void
set_bound(Figure *figure, const BenchLock *ours, const char *peer, int processes)
{
	const Target *target = target_for(peer);

	if (processes == 1)
	{
		figure->bound = target->pair_most > 0 ? FIGURE_AT_MOST : FIGURE_NO_BOUND;
		figure->want = target->pair_most;
		return;
	}
	figure->want = ours->kind == BENCH_SHARED ? target->shared_least
				   : processes == 2           ? target->exclusive2_least
											  : 0;
	figure->bound = figure->want > 0 ? FIGURE_AT_LEAST : FIGURE_NO_BOUND;
}

/* ---- ratios ---- */

static bool
is_measured(const BenchLock *lock)
{
	return lock->acquire != NULL || pg_server_runs();
}

static bool
is_peer_of(const BenchLock *ours, const BenchLock *peer)
{
	return ours->ours && !peer->ours && ours->kind != BENCH_OURS_ONLY && is_measured(peer) &&
		   (peer->kind == BENCH_BOTH || peer->kind == ours->kind);
}

static Figure *
add_ratio(const char *group, const char *ours, const char *peer, const double *of,
		  const double *over, int rounds)
{
	double ratio[BENCH_ROUNDS_MAX];
	char name[96];

	for (int round = 0; round < rounds; round++)
		ratio[round] = of[round] / over[round];
	(void) snprintf(name, sizeof(name), "%s / %s", ours, peer);
	return figure_add(group, name, "ratio", ratio, (size_t) rounds);
}

static void
report(const char *group, int rounds, int processes)
{
	for (int i = 0; bench_locks[i].name != NULL; i++)
		if (is_measured(&bench_locks[i]))
			(void) figure_add(group, bench_locks[i].name, processes == 1 ? "ns" : "ops/s",
							  measured[i], (size_t) rounds);
	for (int i = 0; bench_locks[i].name != NULL; i++)
		for (int j = 0; bench_locks[j].name != NULL; j++)
			if (is_peer_of(&bench_locks[i], &bench_locks[j]))
				set_bound(add_ratio(group, bench_locks[i].name, bench_locks[j].name, measured[i],
									measured[j], rounds),
						  &bench_locks[i], bench_locks[j].name, processes);
}

/* ---- alone ---- */

static double
pair_ns(const BenchLock *lock)
{
	uint64_t start;

	if (lock->acquire == NULL)
		return pg_pair_ns(lock->kind == BENCH_SHARED, PAIRS_PER_ROUND);
	start = bench_cpu_ns();
	lock->pairs(PAIRS_PER_ROUND);
	return (double) (bench_cpu_ns() - start) / PAIRS_PER_ROUND;
}

void
bench_pairs(int rounds)
{
	for (int round = 0; round < rounds; round++)
		for (int i = 0; bench_locks[i].name != NULL; i++)
			if (is_measured(&bench_locks[i]))
				measured[i][round] = pair_ns(&bench_locks[i]);
	report("pair", rounds, 1);
}

/* ---- several at once ---- */

static int contended;

static void
start_line(void)
{
	(void) __atomic_add_fetch(&bench_arena->ready, 1, __ATOMIC_SEQ_CST);
	while (!__atomic_load_n(&bench_arena->go, __ATOMIC_ACQUIRE))
		;
}

static void
contend(int arg)
{
	const BenchLock *lock = &bench_locks[contended];
	uint64_t done = 0;

	start_line();
	while (!__atomic_load_n(&bench_arena->stop, __ATOMIC_RELAXED))
	{
		lock->acquire();
		if (lock->kind != BENCH_SHARED)
			bench_arena->guarded[0]++;
		lock->release();
		done++;
	}
	bench_arena->count[arg] = done;
}

static void
mix(int arg)
{
	const BenchMix *lock = &bench_mixes[contended];
	uint64_t done = 0;

	start_line();
	while (!__atomic_load_n(&bench_arena->stop, __ATOMIC_RELAXED))
	{
		if (done++ % (BENCH_READS_PER_WRITE + 1) == 0)
		{
			lock->write();
			bench_arena->guarded[0]++;
			lock->write_release();
			continue;
		}
		lock->read();
		lock->read_release();
	}
	bench_arena->count[arg] = done;
}

/* Acquisitions per second of `processes` children in `body`. */
static double
rate_of(void (*body)(int), int processes)
{
	pid_t pid[BENCH_PROCESSES_MAX];
	uint64_t start, total = 0;

	bench_arena->ready = bench_arena->go = bench_arena->stop = 0;
	for (int i = 0; i < processes; i++)
		pid[i] = bench_fork(body, i);
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

static double
contended_rate(int which, int processes)
{
	if (bench_locks[which].acquire == NULL)
		return pg_contended_rate(bench_locks[which].kind == BENCH_SHARED, processes, 0, CONTEND_NS);
	contended = which;
	return rate_of(contend, processes);
}

void
bench_contention(int rounds, int processes)
{
	char group[32];

	for (int round = 0; round < rounds; round++)
		for (int i = 0; bench_locks[i].name != NULL; i++)
			if (is_measured(&bench_locks[i]))
				measured[i][round] = contended_rate(i, processes);
	(void) snprintf(group, sizeof(group), "contention-%d", processes);
	report(group, rounds, processes);
}

static bool
mix_is_measured(const BenchMix *lock)
{
	return lock->read != NULL || pg_server_runs();
}

static double
mixed_rate(int which, int processes)
{
	if (bench_mixes[which].read == NULL)
		return pg_contended_rate(false, processes, BENCH_READS_PER_WRITE, CONTEND_NS);
	contended = which;
	return rate_of(mix, processes);
}

void
bench_mixed(int rounds, int processes)
{
	char group[32];

	for (int round = 0; round < rounds; round++)
		for (int i = 0; bench_mixes[i].name != NULL; i++)
			if (mix_is_measured(&bench_mixes[i]))
				measured[i][round] = mixed_rate(i, processes);
	(void) snprintf(group, sizeof(group), "mixed-%d", processes);
	for (int i = 0; bench_mixes[i].name != NULL; i++)
		if (mix_is_measured(&bench_mixes[i]))
			(void) figure_add(group, bench_mixes[i].name, "ops/s", measured[i], (size_t) rounds);
	for (int i = 1; bench_mixes[i].name != NULL; i++)
		if (mix_is_measured(&bench_mixes[i]))
			(void) add_ratio(group, bench_mixes[0].name, bench_mixes[i].name, measured[0],
							 measured[i], rounds);
}
