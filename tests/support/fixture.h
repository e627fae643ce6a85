/*
 * fixture.h
 *		A cluster of one test: a data directory, a segment with locks, children that can be killed.
 *
 * Every Criterion test runs in its own process, so the library's process-wide state is the test's own.  A test calls
 * cluster_start() first and cluster_stop() last, in its body: an assertion in a .fini is not counted as a failure.
 * Children die with the test (PDEATHSIG) and leave by _exit only, so that they never return into the test runner.
 */
#ifndef HOLDFAST_TESTS_FIXTURE_H
#define HOLDFAST_TESTS_FIXTURE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <holdfast/ipc.h>
#include <holdfast/lockfile.h>
#include <holdfast/lwlock.h>
#include <holdfast/proc.h>
#include <holdfast/recovery.h>
#include <holdfast/shmem.h>

#define FIXTURE_LOCKS 16

typedef struct Board /* what children tell the test through the segment */
{
	uint32_t step[16]; /* futex words: board_set() and board_wait() */
	uint64_t value[16];
} Board;

extern Board *board;
extern LWLockPadded *locks; /* FIXTURE_LOCKS of tranche "test" */
extern char fixture_dir[64];

/* Leaves the caller with a published segment and a slot. */
void cluster_start(void);
void cluster_start_with(uint32_t max_procs);

/* Takes it down and demands that nothing is left: no segment, no lockfile. */
void cluster_stop(void);

/* A child with its own slot runs body(arg) and leaves with _exit(its result). */
pid_t child_start(int (*body)(int arg), int arg);
pid_t child_start_without_slot(int (*body)(int arg), int arg);

int
child_wait(pid_t pid); /* exit status, or 1000 + signal; 2000 when it had to be killed after 20 s */
void child_kill(pid_t pid); /* SIGKILL, and reaped */

/* Steps are small numbers that only grow; waiting fails the test after 20 s. */
void board_set(int cell, uint32_t step);
void board_wait(int cell, uint32_t step);

/* Waits until the process in `slot` is linked in a lock's queue (it sleeps, or is about to). */
void wait_until_queued(pid_t pid);

/*
 * How often a waiter of any lock of tranche "test" helped itself to a lock that it found free.  Where nobody is stopped and
 * one waits at a time there is no reason to: whoever was to wake it forgot to.
 */
uint64_t unwoken_waiters(void);

#endif
