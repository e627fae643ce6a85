/*
 * bench.h
 *		What the benchmarks share: an arena of locks of every kind, in one shared segment, and where figures go.
 *
 * Everything is measured in this process and its children on the production library.  Peers run in the same call, round
 * by round in turn, so that the machine's moods hit all alike; figures are medians over rounds, verdicts are ratios.
 */
#ifndef HOLDFAST_BENCH_H
#define HOLDFAST_BENCH_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <holdfast/lwlock.h>

#define BENCH_ROUNDS_MAX 99

/* One lock of each kind, each on lines of its own, in shared memory. */
typedef struct BenchArena
{
	uint32_t go; /* futex-free start signal: children spin on it */
	uint32_t stop;
	uint32_t ready;
	uint64_t floor_word __attribute__((aligned(128)));
	pthread_mutex_t robust __attribute__((aligned(128)));
	pthread_rwlock_t rwlock __attribute__((aligned(128)));
	uint64_t ck[16]
		__attribute__((aligned(128))); /* a ck_rwlock_t, where Concurrency Kit is there */
	uint64_t guarded[16] __attribute__((aligned(128)));
	uint64_t count[256] __attribute__((aligned(128)));
	uint64_t stamp_ns[8] __attribute__((aligned(128)));
} BenchArena;

typedef struct BenchLock
{
	const char *name; /* "holdfast-exclusive" */
	const char
		*peer_of; /* NULL: ours; else what it is compared with: "exclusive" or "shared" or "both" */
	bool shared;
	void (*acquire)(void);
	void (*release)(void);
} BenchLock;

extern BenchArena *bench_arena;
extern LWLock *bench_lock;
extern const BenchLock bench_locks[]; /* ends with name NULL */

uint64_t bench_now_ns(void);
double bench_median(double *values, size_t count);
double bench_percentile(double *sorted, size_t count, double p);
void bench_sort(double *values, size_t count);

/* One figure.  `unit`: "ns", "ops/s", "us", "ratio". */
void bench_figure(const char *group, const char *name, const char *unit, double value);

/* Children: forked with a slot, killed with their parent. */
pid_t bench_fork(void (*body)(int arg), int arg);
void bench_reap(pid_t pid);
void bench_wait_ready(uint32_t count);

void bench_pairs(int rounds);
void bench_contention(int rounds, int processes);
void bench_recovery(int kills);
void bench_segments(int foreign);

#endif
