/*
 * lwlock.h
 *		Lightweight locks: shared or exclusive, in shared memory, recoverable.
 *
 *		static LWLockPadded *locks;			// after GetNamedLWLockTranche("bank")
 *		if (LWLockAcquire(&locks[i].lock, LW_EXCLUSIVE) < 0)
 *			...								// holdfast_last_error()
 *		...
 *		(void) LWLockRelease(&locks[i].lock);
 *
 * A lock is 64 bits of state (who owns it, how many share it, flags) and a wait queue of slot numbers.  It
 * must lie in the segment; it holds no pointer.  The owner, or each sharer, also has an entry in its own
 * slot's journal that names the lock before it changes it and until it has nothing left to do for it.  So
 * a death anywhere inside these functions can be repaired from the slots of the living (recovery.h).
 *
 * A caller needs a slot (InitProcess).  No recursion: acquiring a lock that one holds exclusively is
 * HOLDFAST_DEADLOCK; holding it shared and asking again waits, possibly for ever, as in PostgreSQL, unless
 * LWLOCK_CHECK_SELF says no.
 *
 * A process that is stopped (SIGSTOP, a debugger) is not dead, and keeps what it holds.  But nobody waits for one
 * that is stopped inside these functions, holding nothing: LWLockRelease() never waits for anybody;
 * LWLockAcquireTimed() returns at its timeout, give or take some milliseconds; a lock that came free is taken by
 * its waiters within some 650 ms at the latest, without the help of the stopped one.  What recovery of somebody
 * else may cost while it is stopped: holdfast_set_stopped_limit().
 *
 * Thread safety: yes, each thread with its own slot.  Signal safety: none; a handler that interrupts these
 * functions must not call them.  Errors common to all: HOLDFAST_MISUSE (no slot, lock not in the segment).
 *
 * From PostgreSQL's lwlock.c: the API and its meaning.  Different: return values are HoldfastStatus, the
 * owner is in the word, waits end when holders die.
 */
#ifndef HOLDFAST_LWLOCK_H
#define HOLDFAST_LWLOCK_H

#include <holdfast/holdfast.h>

#ifdef __cplusplus
extern "C"
{
#endif

typedef struct LWLock
{
	uint64_t state;		  /* atomic; bits in lwlock_state.h */
	uint32_t wait_head;	  /* slot number + 1 of the first waiter; changed under the state's queue owner */
	uint32_t wait_tail;	  /* slot number + 1 of the last */
	uint16_t tranche;	  /* tranche id */
	uint16_t rank;		  /* 0: none */
	uint32_t recoveries;  /* times a death was repaired here; atomic, relaxed */
	uint64_t reserved;
} LWLock;

#define LWLOCK_PADDED_SIZE 128 /* one cache line and the one the prefetcher pulls with it */

typedef union LWLockPadded
{
	LWLock lock;
	char pad[LWLOCK_PADDED_SIZE];
} LWLockPadded;

typedef enum LWLockMode
{
	LW_EXCLUSIVE,
	LW_SHARED,
	LW_WAIT_UNTIL_FREE, /* internal to LWLockAcquireOrWait and LWLockWaitForVar */
} LWLockMode;

#define MAX_SIMUL_LWLOCKS	   200
#define LWLOCK_TRANCHE_NAMELEN 48
#define LWLOCK_TRANCHES_MAX	   256

/* What happens to a lock's data when its exclusive holder dies. */
typedef enum LWLockPolicy
{
	LWLOCK_POISON, /* default: the next holder gets HOLDFAST_OWNER_DEAD and looks at the data itself */
	LWLOCK_REPAIR, /* the tranche's callback mends the data during recovery */
	LWLOCK_RESET,  /* recovery gives up: the supervisor restarts the cluster, as PostgreSQL does */
} LWLockPolicy;

/*
 * Mends what a lock protects after its exclusive holder died anywhere inside its critical section.  Runs in
 * the recovering process, which alone may touch the data meanwhile.  Must be idempotent (the recoverer may die
 * and another start again), must not take locks, must not block.  False means it cannot: the lock is poisoned.
 */
typedef bool (*LWLockRepair)(LWLock *lock, int dead_slot, void *arg);

/* All locks of the segment's main array, for inspectors; NULL when not attached. */
HOLDFAST_API extern LWLockPadded *LWLockArray;

/* Before holdfast_shmem_create(): asks for `count` locks named `tranche` in LWLockArray. */
HOLDFAST_API HOLDFAST_MUST_CHECK HoldfastStatus RequestNamedLWLockTranche(const char *tranche,
																		  int count);

/* First of the locks asked for; NULL (HOLDFAST_NOT_FOUND) when nobody did. */
HOLDFAST_API HOLDFAST_MUST_CHECK LWLockPadded *GetNamedLWLockTranche(const char *tranche);

/* A tranche for locks that live elsewhere in the segment.  Negative status, or the id.  Names are shared. */
HOLDFAST_API HOLDFAST_MUST_CHECK int LWLockNewTrancheId(const char *name);

/* Policy is shared by all processes; the callback must be registered in each process that may recover. */
HOLDFAST_API HOLDFAST_MUST_CHECK HoldfastStatus LWLockRegisterTranche(int tranche_id,
																	  LWLockPolicy policy,
																	  LWLockRepair repair, void *arg);

/* Makes a lock out of zeroed or reused memory that nobody uses. */
HOLDFAST_API void LWLockInitialize(LWLock *lock, int tranche_id);

/* The tranche's name; "unknown" for an id that nobody made. */
HOLDFAST_API const char *GetLWLockIdentifier(int tranche_id);

/*
 * HOLDFAST_OK (PostgreSQL's true: we never slept), HOLDFAST_WAITED (false), HOLDFAST_OWNER_DEAD: acquired.
 * Not acquired: HOLDFAST_LIMIT (MAX_SIMUL_LWLOCKS held), HOLDFAST_DEADLOCK, HOLDFAST_NOT_RECOVERABLE,
 * HOLDFAST_RESET_NEEDED.
 */
HOLDFAST_API HOLDFAST_MUST_CHECK HoldfastStatus LWLockAcquire(LWLock *lock, LWLockMode mode);

/* As above, or HOLDFAST_TIMED_OUT after timeout_us microseconds (0: at most one try). */
HOLDFAST_API HOLDFAST_MUST_CHECK HoldfastStatus LWLockAcquireTimed(LWLock *lock, LWLockMode mode,
																   uint64_t timeout_us);

/* HOLDFAST_OK (or OWNER_DEAD): acquired; HOLDFAST_BUSY: not, and nothing was changed. */
HOLDFAST_API HOLDFAST_MUST_CHECK HoldfastStatus LWLockConditionalAcquire(LWLock *lock,
																		 LWLockMode mode);

/* HOLDFAST_OK (or OWNER_DEAD): acquired at once; HOLDFAST_BUSY: it was held, we slept till it came free, not ours. */
HOLDFAST_API HOLDFAST_MUST_CHECK HoldfastStatus LWLockAcquireOrWait(LWLock *lock, LWLockMode mode);

/* HOLDFAST_MISUSE when not held by the caller; nothing was changed then. */
HOLDFAST_API HoldfastStatus LWLockRelease(LWLock *lock);

/* *valptr = val, and release, in one step for those in LWLockWaitForVar. */
HOLDFAST_API HoldfastStatus LWLockReleaseClearVar(LWLock *lock, uint64_t *valptr, uint64_t val);

/* Releases all that the caller holds, newest first.  Harmless without a slot. */
HOLDFAST_API void LWLockReleaseAll(void);

/*
 * Waits until nobody holds `lock` exclusively (HOLDFAST_OK) or *valptr differs from oldval (HOLDFAST_CHANGED,
 * *newval set).  Shared holders are ignored.  The caller must not hold the lock.
 */
HOLDFAST_API HOLDFAST_MUST_CHECK HoldfastStatus LWLockWaitForVar(LWLock *lock, uint64_t *valptr,
																 uint64_t oldval, uint64_t *newval);

/* Holder only: *valptr = val and wakes those who wait for a change. */
HOLDFAST_API HoldfastStatus LWLockUpdateVar(LWLock *lock, uint64_t *valptr, uint64_t val);

HOLDFAST_API bool LWLockHeldByMe(const LWLock *lock);
HOLDFAST_API bool LWLockHeldByMeInMode(const LWLock *lock, LWLockMode mode);
HOLDFAST_API bool LWLockAnyHeldByMe(const LWLock *lock, int nlocks, size_t stride);

/*
 * After HOLDFAST_OWNER_DEAD, by the exclusive holder: the data is good again.  Releasing without it makes the
 * lock HOLDFAST_NOT_RECOVERABLE for everybody until the cluster is reset.
 */
HOLDFAST_API HoldfastStatus LWLockMarkConsistent(LWLock *lock);

/* What processes may be made to do on every acquisition; costs nothing while it is off. */
typedef enum LWLockChecks
{
	LWLOCK_COUNT_ACQUIRES = 1 << 0, /* per tranche and slot, shown by inspectors */
	LWLOCK_CHECK_ORDER = 1 << 1,	/* HOLDFAST_DEADLOCK instead of waiting against the order of ranks */
	LWLOCK_CHECK_SELF = 1 << 2,		/* HOLDFAST_DEADLOCK instead of waiting for a lock that one shares */
} LWLockChecks;

/*
 * For all processes of the segment; each takes notice when it claims its slot and when it waits for a lock.
 * HOLDFAST_MISUSE: no segment, or no such check.
 */
HOLDFAST_API HOLDFAST_MUST_CHECK HoldfastStatus holdfast_lwlock_set_checks(unsigned checks);

/*
 * Before the lock is used: its place in the order of acquisition, 1 to 65535; 0, the default, is none.  Under
 * LWLOCK_CHECK_ORDER a ranked lock may be asked for while every ranked lock that the caller holds has a lower rank,
 * or the same and a lower address; LWLockConditionalAcquire(), which does not wait, may do as it likes.
 */
HOLDFAST_API void holdfast_lwlock_set_rank(LWLock *lock, uint16_t rank);

#ifdef __cplusplus
}
#endif
#endif
