/*
 * bench.h
 *		What the benchmarks share: an arena of locks of every kind, in one shared segment, and the contenders.
 *
 * Everything is measured on the production library.  Peers run in the same call, round by round in turn, so that the
 * machine's moods hit all alike; figures are medians over rounds (figures.h), verdicts are ratios of the same round.
 *
 * Owner: the arena lies in the bench's own segment, in an IPC namespace of its own where it may have one; children are
 * killed with their parent.
 */
#ifndef HOLDFAST_BENCH_H
#define HOLDFAST_BENCH_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <holdfast/lwlock.h>

#include "figures.h"

#define BENCH_PROCESSES_MAX 64

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
	uint64_t count[BENCH_PROCESSES_MAX] __attribute__((aligned(128)));
	uint64_t stamp_ns[8] __attribute__((aligned(128)));
} BenchArena;

/* What two locks must have in common to be compared. */
typedef enum BenchKind
{
	BENCH_OURS_ONLY,
	BENCH_EXCLUSIVE,
	BENCH_SHARED,
	BENCH_BOTH, /* a peer of either: it knows one mode only */
} BenchKind;

/*
 * One contender.  It is measured by calling acquire and release, and alone by pairs, which does both `count` times; or,
 * where it lives in another program, by asking that program: then the three are NULL.
 */
typedef struct BenchLock
{
	const char *name; /* "holdfast exclusive" */
	bool ours;
	BenchKind kind;
	void (*acquire)(void);
	void (*release)(void);
	void (*pairs)(uint64_t count);
} BenchLock;

/* Contenders of the mixed load: one that writes for each BENCH_READS_PER_WRITE that read. */
#define BENCH_READS_PER_WRITE 9
typedef struct BenchMix
{
	const char *name;
	bool ours;
	void (*read)(void);
	void (*read_release)(void);
	void (*write)(void);
	void (*write_release)(void);
} BenchMix;

extern char bench_directory[]; /* everything on disk is in here, and removed at the end */
extern BenchArena *bench_arena;
extern LWLock *bench_lock;
extern const BenchLock bench_locks[]; /* ends with name NULL */
extern const BenchMix bench_mixes[];  /* ends with name NULL */

uint64_t bench_now_ns(void);
uint64_t bench_cpu_ns(void); /* that this process has used */

/* Children: forked with a slot, killed with their parent. */
pid_t bench_fork(void (*body)(int arg), int arg);
void bench_reap(pid_t pid);
void bench_wait_ready(uint32_t count);

/* The benchmarks: each adds its figures. */
void bench_pairs(int rounds);
void bench_contention(int rounds, int processes);
void bench_mixed(int rounds, int processes);
void bench_recovery(int kills);
void bench_attach(int rounds);
void bench_start_up(int rounds, int foreign);
void bench_campaign(void);

#endif
