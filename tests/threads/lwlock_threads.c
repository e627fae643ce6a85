/*
 * lwlock_threads.c
 *		LWLocks between threads of one process, under ThreadSanitizer: does what one holder wrote reach the next?
 *
 * What the locks protect here is plain memory: an order that is missing between release and acquire is a data race,
 * which ThreadSanitizer sees even when the outcome is right.  Without it, the sums are checked all the same.
 * Criterion cannot start under ThreadSanitizer, so this is a program: exit 0, or 1 and a line for what was wrong.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <holdfast/ipc.h>
#include <holdfast/lockfile.h>
#include <holdfast/lwlock.h>
#include <holdfast/proc.h>
#include <holdfast/shmem.h>

#define THREADS 4
#define ROUNDS  200000
#define CELLS   8

typedef struct Ledger
{
	uint64_t total;                     /* exclusive: all add, none is lost */
	uint64_t left[CELLS], right[CELLS]; /* equal whenever nobody holds the lock exclusively */
	uint64_t announced;                 /* the variable of wait-for-var; only the holder moves it */
	uint64_t payload;                   /* written before `announced` moves */
} Ledger;

static Ledger *ledger;
static LWLockPadded *locks;
static pthread_barrier_t begin;

static void
must(bool good, const char *what)
{
	if (good)
		return;
	(void) fprintf(stderr, "lwlock_threads: %s: %s\n", what, holdfast_last_error()->message);
	exit(1);
}

static void
take(int lock, LWLockMode mode)
{
	must(LWLockAcquire(&locks[lock].lock, mode) >= 0, "acquire");
}

static void
give(int lock)
{
	must(LWLockRelease(&locks[lock].lock) == HOLDFAST_OK, "release");
}

/* One writer in four turns, three readers: both ways of coming by the lock, and all three modes of asking. */
static void
work(unsigned number)
{
	for (unsigned round = 0; round < ROUNDS; round++)
	{
		take(0, LW_EXCLUSIVE);
		ledger->total++;
		give(0);

		if ((round + number) % 4 == 0)
		{
			unsigned cell = round % CELLS;

			take(1, LW_EXCLUSIVE);
			ledger->left[cell]++;
			ledger->right[cell]++;
			give(1);
		}
		else if (round % 3 != 0 ||
				 LWLockConditionalAcquire(&locks[1].lock, LW_SHARED) != HOLDFAST_OK)
		{
			take(1, LW_SHARED);
			must(ledger->left[round % CELLS] == ledger->right[round % CELLS], "torn cell");
			give(1);
		}
		else
			give(1);
	}
}

/* The first thread announces; the others wait for each announcement and read what came before it. */
static void
announce(unsigned number)
{
	uint64_t seen = 0;

	if (number == 0)
	{
		for (uint64_t value = 1; value <= 500; value++)
		{
			ledger->payload = value;
			must(LWLockUpdateVar(&locks[2].lock, &ledger->announced, value) == HOLDFAST_OK,
				 "update");
			take(0, LW_EXCLUSIVE); /* lets the others run in between */
			give(0);
		}
		must(LWLockReleaseClearVar(&locks[2].lock, &ledger->announced, 0) == HOLDFAST_OK, "clear");
		return;
	}
	for (;;)
	{
		HoldfastStatus status = LWLockWaitForVar(&locks[2].lock, &ledger->announced, seen, &seen);

		must(status >= 0, "wait for var");
		if (status != HOLDFAST_CHANGED)
			return; /* free: the last announcement was made */
	}
}

static void *
run(void *arg)
{
	unsigned number = (unsigned) (uintptr_t) arg;

	must(InitProcess("thread") == HOLDFAST_OK, "slot");
	if (number == 0)
		take(2, LW_EXCLUSIVE);
	(void) pthread_barrier_wait(&begin);
	announce(number);
	(void) pthread_barrier_wait(&begin);
	if (number == 0)
		must(ledger->payload == 500, "payload");
	work(number);
	ProcKill(0, 0);
	return NULL;
}

static void
start_cluster(const char *directory)
{
	HoldfastShmemConfig config = {.max_procs = THREADS + 1, .user_size = sizeof(Ledger) + 4096};
	bool found;

	must(holdfast_set_data_directory(directory) == HOLDFAST_OK, "data directory");
	must(CreateDataDirLockFile(true) == HOLDFAST_OK, "lockfile");
	must(RequestNamedLWLockTranche("threads", 3) == HOLDFAST_OK, "tranche");
	must(holdfast_shmem_create(&config) == HOLDFAST_OK, "segment");
	ledger = ShmemInitStruct("ledger", sizeof(Ledger), &found);
	locks = GetNamedLWLockTranche("threads");
	must(ledger != NULL && locks != NULL, "ledger");
	must(holdfast_shmem_publish() == HOLDFAST_OK, "publish");
}

int
main(void)
{
	char directory[] = "/tmp/holdfast-threads-XXXXXX";
	char guard[sizeof(directory) + 32];
	pthread_t threads[THREADS];
	uint64_t written = 0;

	must(mkdtemp(directory) != NULL, "directory");
	start_cluster(directory);
	(void) pthread_barrier_init(&begin, NULL, THREADS);
	for (uintptr_t i = 0; i < THREADS; i++)
		must(pthread_create(&threads[i], NULL, run, (void *) i) == 0, "thread");
	for (int i = 0; i < THREADS; i++)
		(void) pthread_join(threads[i], NULL);

	must(ledger->total == (uint64_t) THREADS * ROUNDS, "an increment was lost");
	for (int i = 0; i < CELLS; i++)
		written += ledger->left[i];
	must(written == (uint64_t) THREADS * ROUNDS / 4, "a cell was lost");
	shmem_exit(0);
	UnlinkLockFiles(0, 0);
	(void) snprintf(guard, sizeof(guard), "%s/%s", directory, HOLDFAST_LOCKFILE_GUARD);
	(void) unlink(guard);
	must(rmdir(directory) == 0, "the directory is not empty");
	(void) printf("lwlock_threads: %d threads, %d rounds each\n", THREADS, ROUNDS);
	return 0;
}
