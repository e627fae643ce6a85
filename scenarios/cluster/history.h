/*
 * history.h
 *		What each worker of a cluster did, in memory that survives it, and what that proves about the locks.
 *
 * A History is shared memory of whoever watches a cluster (the storm), made before the cluster and inherited by it.  Each
 * worker has a block of its own, written in program order and never shared, so that after a SIGKILL it says exactly how far
 * the worker came.  Checked on the spot, by the workers:
 *		an exclusive section ends with the version that it began with; a shared one, too
 *		a lock is not recovered again for the same death once somebody was in
 * and afterwards, by history_check():
 *		the versions of a lock count its exclusive sections, none lost
 *		the balance of an account is what the transfers that came through say, each once
 *		by the clock, no two exclusive sections of a lock overlap, and no shared one overlaps an exclusive one
 *
 * A version is counted up without atomics on purpose: two owners at once lose one of two counts.
 *
 * An epoch is the life of one segment: counts begin again with each.  Threads: one per process.  Errors: none.
 */
#ifndef HOLDFAST_CLUSTER_HISTORY_H
#define HOLDFAST_CLUSTER_HISTORY_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "cluster/cluster.h"

#define HISTORY_RECORDS  8192 /* the latest of each worker */
#define HISTORY_LIVES    16   /* stages of that many past lives are kept */
#define HISTORY_SLOTS    (CLUSTER_WORKERS_MAX + 64)
#define HISTORY_DELAYS   16384
#define HISTORY_TEXT_MAX 512

/* Where a worker is. */
typedef enum HistoryStage
{
	HISTORY_STARTING, /* no slot yet */
	HISTORY_OUTSIDE,  /* of all lock code, holding nothing */
	HISTORY_ACQUIRING,
	HISTORY_INSIDE, /* between lock calls, holding at least one */
	HISTORY_RELEASING,
	HISTORY_WAITING_VAR, /* in AcquireOrWait, WaitForVar, UpdateVar, ReleaseClearVar */
	HISTORY_STAGES,
} HistoryStage;

extern const char *const history_stage_names[HISTORY_STAGES];

/* One section. */
typedef struct HistoryRecord
{
	uint64_t enter_ns, leave_ns; /* after the acquire, before the release */
	uint64_t version;
	uint32_t epoch;
	uint16_t account;
	uint16_t exclusive;
} HistoryRecord;

typedef enum TransferState
{
	TRANSFER_NONE,
	TRANSFER_PENDING,    /* nothing changed yet */
	TRANSFER_ACTIVE,     /* undone if it was repaired, else it came through */
	TRANSFER_COMMITTING, /* it came through, and is being counted */
} TransferState;

typedef struct HistoryWorker
{
	pid_t pid;
	uint64_t start_time;
	uint32_t epoch;
	uint32_t life;                 /* counts its incarnations */
	uint32_t stage[HISTORY_LIVES]; /* [life % HISTORY_LIVES]: HistoryStage */
	uint64_t kill_ns;              /* when the watcher shot at this life; 0: it did not */

	uint32_t transfer; /* TransferState */
	uint32_t repaired; /* somebody undid it */
	uint32_t account[2];
	int64_t moved_after[2];
	uint32_t claimed; /* account + 1 whose version is being counted up; 0: none */

	uint64_t entered[CLUSTER_ACCOUNTS_MAX];       /* exclusive sections of this epoch */
	uint64_t maybe_entered[CLUSTER_ACCOUNTS_MAX]; /* died while counting */
	int64_t moved[CLUSTER_ACCOUNTS_MAX];

	uint64_t records;
	HistoryRecord record[HISTORY_RECORDS];
} HistoryWorker;

typedef struct HistoryAccount
{
	uint64_t
		recovering_for; /* ordinal << 32 | life of the dead; 0: nobody.  Under the lock, or its recovery */
	uint64_t recovered_for; /* the last that was, and then entered */
	/* When the last epoch ended. */
	int64_t balance;
	uint64_t version;
} __attribute__((aligned(64))) HistoryAccount;

typedef struct History
{
	uint32_t epoch;
	uint32_t nworkers, naccounts;
	uint32_t ended;                   /* the last epoch ended in order: the accounts say how */
	int64_t clock_offset_ns;          /* of the cluster's monotonic clock against the watcher's */
	int64_t next_clock_offset_ns;     /* from the next epoch on */
	uint32_t violations;              /* atomic */
	char violation[HISTORY_TEXT_MAX]; /* the first */
	uint32_t delays; /* atomic: from kill to next acquire; more than fit are lost */
	uint64_t delay_ns[HISTORY_DELAYS];
	uint32_t slot_worker[HISTORY_SLOTS]; /* ordinal of the last worker there; 0: none */
	HistoryAccount account[CLUSTER_ACCOUNTS_MAX];
	HistoryWorker worker[]; /* [ordinal - 1] */
} History;

/* NULL when there is no memory.  Shared with all children. */
History *history_create(unsigned nworkers, unsigned naccounts);

/* The first violation is kept in words; all are counted. */
void history_violation(History *history, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* ---- the supervisor ---- */

/* A new segment: counts begin again. */
void history_new_epoch(History *history);

/* All workers are gone, the segment is still there: how it ended. */
void history_end(History *history, unsigned account, int64_t balance, uint64_t version);

/* ---- a worker; `me` may be NULL everywhere: then nothing is kept ---- */

HistoryWorker *history_born(History *history, unsigned ordinal);
void history_has_slot(History *history, HistoryWorker *me, int slot);

static inline void
history_stage(HistoryWorker *me, HistoryStage stage)
{
	/* relaxed: program order is all that a post-mortem needs */
	if (me)
		__atomic_store_n(&me->stage[me->life % HISTORY_LIVES], stage, __ATOMIC_RELAXED);
}

typedef struct HistorySection
{
	unsigned account;
	bool exclusive;
	uint64_t version, enter_ns;
} HistorySection;

/* The section says which account, and how it is locked. */
void history_enter(History *history, HistoryWorker *me, HistorySection *section, uint64_t *version);
void history_leave(History *history, HistoryWorker *me, const HistorySection *section,
				   const uint64_t *version);

/* Around the journal of a transfer. */
void history_transfer_pending(HistoryWorker *me, unsigned from, unsigned to, int64_t amount);
void history_transfer_active(HistoryWorker *me);
void history_transfer_done(HistoryWorker *me);

/* In whoever recovers. */
void history_repaired(History *history, int dead_slot, unsigned account, bool undone);

/* ---- afterwards ---- */

typedef struct HistoryChecked
{
	uint64_t sections;  /* counted in the last epoch */
	uint64_t intervals; /* compared by the clock */
} HistoryChecked;

/* Adds what it finds to the violations. */
void history_check(History *history, int64_t initial_balance, HistoryChecked *checked);

/* The latest `most` records of each worker, as text. */
void history_print(const History *history, unsigned most, FILE *out);

#endif
