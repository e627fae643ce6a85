/*
 * lwlock.c
 *		Lightweight locks: the fast paths, and what a holder may ask and do.
 *
 * Acquire, exclusive:	journal HELD(L); CAS the owner into the word.  The word's owner field tells whether the
 *						entry is true, so one store announces both the intent and the hold.
 * Acquire, shared:		journal PENDING(L); CAS count + 1; journal HELD(L).  The word does not say whose count it
 *						holds, so between the two stores the entry is ambiguous, and recovery waits for it.
 * Release, exclusive:	no waiters: CAS the owner out; clear the entry.
 * Release, shared:		journal RELEASING(L); count - 1; clear the entry.
 * Release, waiters:	journal WAKING(L) once the word is free; wake; clear the entry.
 *
 * So whatever a process has changed in a lock, or still owes it, its journal names the lock: before the change,
 * and until nothing is owed.  recover.c needs no more.
 *
 * Owner of each object: the word belongs to everybody, through atomic operations; the journal to its slot.
 * Safety: thread safe, not async-signal-safe; crash safe as said at each INJECT_POINT.
 * Source: after PostgreSQL's lwlock.c in API and meaning; the protocol is our own.
 */
#include <unistd.h>

#include <holdfast/lwlock.h>

#include "inject_point.h"
#include "lwlock_internal.h"
#include "report.h"

_Thread_local LWLockLocal holdfast_lwlock_local __attribute__((tls_model("initial-exec")));

/* ---- journal entries ---- */

static inline void
store_entry(LWLockEntry *entry, LWLockEntry value)
{
	/*
	 * Release, so that on every machine the word's change that came before is visible first.  Pairs [LW1] with the
	 * acquire load in recover.c's look at a slot.
	 */
	__atomic_store_n(entry, value, __ATOMIC_RELEASE);
}

/* A free journal place, or NULL when MAX_SIMUL_LWLOCKS are held.  Holes come from out-of-order release. */
static LWLockEntry *
free_entry(LWLockLocal *local)
{
	if (likely(local->top < MAX_SIMUL_LWLOCKS))
		return &MyProc->entry[local->top];
	for (uint32_t i = 0; i < MAX_SIMUL_LWLOCKS; i++)
	{
		if (MyProc->entry[i] == 0)
			return &MyProc->entry[i];
	}
	return NULL;
}

static inline void
entry_taken(LWLockLocal *local, const LWLockEntry *entry)
{
	uint32_t place = (uint32_t) (entry - MyProc->entry) + 1;

	if (place > local->top)
		local->top = place;
}

static inline void
clear_entry(LWLockLocal *local, LWLockEntry *entry)
{
	store_entry(entry, 0);
	while (local->top > 0 && MyProc->entry[local->top - 1] == 0)
		local->top--;
}

/* The newest hold of `lock`, searched backwards as locks are mostly released in reverse order. */
static LWLockEntry *
held_entry(const LWLockLocal *local, const LWLock *lock)
{
	uint64_t offset = shmem_offset(lock);

	for (uint32_t i = local->top; i-- > 0;)
	{
		LWLockEntry entry = MyProc->entry[i];

		if (ENTRY_OFFSET(entry) == offset && ENTRY_KIND(entry) == ENTRY_HELD)
			return &MyProc->entry[i];
	}
	return NULL;
}

/* ---- acquire ---- */

static __attribute__((noinline, cold)) HoldfastStatus
refuse_caller(const LWLockLocal *local, const LWLock *lock)
{
	if (local->owner_bits == 0)
		return report(HOLDFAST_ERROR, HOLDFAST_MISUSE, 0, NULL, "Call InitProcess() first.",
					  "cannot use an LWLock without a process slot");
	if (lock == NULL || shmem_offset(lock) >= holdfast_shmem.size)
		return report(HOLDFAST_ERROR, HOLDFAST_MISUSE, 0, NULL, NULL,
					  "LWLock %p does not lie in the shared memory segment", (const void *) lock);
	return report(HOLDFAST_ERROR, HOLDFAST_LIMIT, 0, NULL, NULL, "too many LWLocks taken");
}

/* Where to journal an operation of the caller on `lock`; NULL when it must be refused. */
static inline LWLockEntry *
begin(LWLockLocal *local, const LWLock *lock)
{
	if (unlikely(local->owner_bits == 0 || shmem_offset(lock) >= holdfast_shmem.size))
		return NULL;
	return free_entry(local);
}

static inline bool
attempt_exclusive(LWLock *lock, LWLockEntry *entry, uint64_t stops, uint64_t *seen)
{
	uint64_t owner_bits = holdfast_lwlock_local.owner_bits;
	uint64_t word = 0; /* a guess that saves a load: mostly the lock is idle */

	/* relaxed: the compare-and-swap below releases it */
	__atomic_store_n(entry, ENTRY_MAKE(shmem_offset(lock), LW_EXCLUSIVE, ENTRY_HELD),
					 __ATOMIC_RELAXED);
	INJECT_POINT(
		"lwlock/acquire/pre-cas", INJECT_NO_SLEEP,
		"the journal names the lock, the word does not name us: recovery finds nothing to undo");

	/*
	 * acq_rel.  Acquire pairs [LW2] with the release in LWLockRelease(): we see what the last holder wrote.  Release:
	 * our entry above is visible to whoever reads our number in the word, recover.c, [LW1].
	 */
	while (!__atomic_compare_exchange_n(&lock->state, &word, word | owner_bits, false,
										__ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
	{
		if (!lw_is_free(word) || (word & stops))
		{
			*seen = word;
			return false;
		}
	}
	INJECT_POINT(
		"lwlock/acquire/post-cas", INJECT_NO_SLEEP,
		"the word names the corpse as owner; recovery applies the tranche's policy and frees it");
	*seen = word;
	return true;
}

static inline bool
attempt_shared(LWLock *lock, LWLockEntry *entry, uint64_t stops, uint64_t *seen)
{
	uint64_t offset = shmem_offset(lock);
	uint64_t word = 0;

	/* relaxed: the compare-and-swap below releases it */
	__atomic_store_n(entry, ENTRY_MAKE(offset, LW_SHARED, ENTRY_PENDING), __ATOMIC_RELAXED);
	INJECT_POINT(
		"lwlock/acquire/pre-cas", INJECT_NO_SLEEP,
		"PENDING in the journal, not counted: recovery counts the living and finds the same");

	/* acq_rel, as in attempt_exclusive(): pairs [LW2] and [LW1]. */
	while (!__atomic_compare_exchange_n(&lock->state, &word, word + LW_SHARED_ONE, false,
										__ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
	{
		if ((word & (LW_XOWNER_MASK | stops)) || (word & LW_SHARED_MASK) == LW_SHARED_MASK)
		{
			*seen = word;
			return false;
		}
	}
	INJECT_POINT(
		"lwlock/acquire/post-cas", INJECT_NO_SLEEP,
		"PENDING in the journal, but counted: recovery counts the living, the corpse's goes");
	store_entry(entry, ENTRY_MAKE(offset, LW_SHARED, ENTRY_HELD));
	*seen = word;
	return true;
}

static inline bool
attempt(LWLock *lock, LWLockMode mode, LWLockEntry *entry, uint64_t stops, uint64_t *seen)
{
	return mode == LW_EXCLUSIVE ? attempt_exclusive(lock, entry, stops, seen)
								: attempt_shared(lock, entry, stops, seen);
}

bool
holdfast_lwlock_attempt(LWLock *lock, LWLockMode mode, LWLockEntry *entry, uint64_t stops,
						uint64_t *seen)
{
	return attempt(lock, mode, entry, stops, seen);
}

static __attribute__((noinline, cold)) HoldfastStatus
refuse_recursion(const LWLock *lock)
{
	return report(HOLDFAST_ERROR, HOLDFAST_DEADLOCK, 0, NULL, NULL,
				  "LWLock \"%s\" is already held by this process",
				  GetLWLockIdentifier(lock->tranche));
}

/* The slow part of every acquisition that may sleep; the entry is already there. */
static __attribute__((noinline)) HoldfastStatus
acquire_contended(LWLockLocal *local, LWLock *lock, LWLockMode mode, LWLockEntry *entry,
				  uint64_t seen, uint64_t deadline_ns)
{
	HoldfastStatus status;

	entry_taken(local, entry); /* a nested use of the journal must not take our place */
	if ((seen & LW_XOWNER_MASK) == local->owner_bits)
		status = refuse_recursion(lock);
	else
		status = holdfast_lwlock_acquire_slow(lock, mode, entry, seen, deadline_ns);
	if (status < 0)
		clear_entry(local, entry);
	return status;
}

static inline HoldfastStatus
acquire_until(LWLock *lock, LWLockMode mode, uint64_t deadline_ns)
{
	LWLockLocal *local = &holdfast_lwlock_local;
	LWLockEntry *entry = begin(local, lock);
	uint64_t seen;

	if (unlikely(entry == NULL))
		return refuse_caller(local, lock);
	if (unlikely(!attempt(lock, mode, entry, LW_STOPS_NEWCOMER, &seen)))
		return acquire_contended(local, lock, mode, entry, seen, deadline_ns);
	entry_taken(local, entry);
	INJECT_POINT("lwlock/acquire/held", INJECT_ANYWHERE,
				 "journal and word agree that the corpse holds it; recovery applies the policy");
	return acquired_status(seen, HOLDFAST_OK);
}

HoldfastStatus
LWLockAcquire(LWLock *lock, LWLockMode mode)
{
	return acquire_until(lock, mode, DEADLINE_NEVER);
}

HoldfastStatus
LWLockAcquireTimed(LWLock *lock, LWLockMode mode, uint64_t timeout_us)
{
	return acquire_until(lock, mode, deadline_after_us(timeout_us));
}

HoldfastStatus
LWLockConditionalAcquire(LWLock *lock, LWLockMode mode)
{
	LWLockLocal *local = &holdfast_lwlock_local;
	LWLockEntry *entry = begin(local, lock);
	uint64_t seen;

	if (unlikely(entry == NULL))
		return refuse_caller(local, lock);
	if (!attempt(lock, mode, entry, LW_STOPS_NEWCOMER, &seen))
	{
		store_entry(entry, 0);
		if (seen & LW_NOT_RECOVERABLE)
			return HOLDFAST_NOT_RECOVERABLE;
		return HOLDFAST_BUSY;
	}
	entry_taken(local, entry);
	return acquired_status(seen, HOLDFAST_OK);
}

HoldfastStatus
LWLockAcquireOrWait(LWLock *lock, LWLockMode mode)
{
	LWLockLocal *local = &holdfast_lwlock_local;
	LWLockEntry *entry = begin(local, lock);
	HoldfastStatus status;
	uint64_t seen;

	if (unlikely(entry == NULL))
		return refuse_caller(local, lock);
	if (attempt(lock, mode, entry, LW_STOPS_NEWCOMER, &seen))
	{
		entry_taken(local, entry);
		return acquired_status(seen, HOLDFAST_OK);
	}
	entry_taken(local, entry);
	if ((seen & LW_XOWNER_MASK) == local->owner_bits)
		status = refuse_recursion(lock);
	else
		status = holdfast_lwlock_acquire_or_wait_slow(lock, mode, entry);
	if (status < 0 || status == HOLDFAST_BUSY)
		clear_entry(local, entry);
	return status;
}

/* ---- release ---- */

/* The word is free and had waiters: wake those whose turn it is, then owe nothing. */
static __attribute__((noinline)) void
release_wake(LWLock *lock, LWLockEntry *entry, LWLockMode mode)
{
	store_entry(entry, ENTRY_MAKE(shmem_offset(lock), mode, ENTRY_WAKING));
	INJECT_POINT("lwlock/release/pre-wake", INJECT_ANYWHERE,
				 "the lock is free, its waiters sleep: WAKING in the journal, recovery wakes them");
	holdfast_lwlock_wakeup(lock);
	INJECT_POINT("lwlock/release/pre-clear", INJECT_ANYWHERE,
				 "all is done but the journal says WAKING: recovery wakes once more, harmlessly");
}

static inline bool
must_wake(uint64_t word)
{
	return (word & (LW_HAS_WAITERS | LW_WAKING)) == LW_HAS_WAITERS && lw_is_free(word);
}

static inline void
release_exclusive(LWLockLocal *local, LWLock *lock, LWLockEntry *entry)
{
	uint64_t before = local->owner_bits;
	uint64_t after = 0;

	INJECT_POINT(
		"lwlock/release/pre-sub", INJECT_ANYWHERE,
		"the caller is done with the data, the word still names the corpse: as a death inside");

	/*
	 * Release pairs [LW2] with the acquire in attempt_*(): what we wrote is seen by the next holder.  Also acquire: the
	 * entry must not be cleared before the word is.
	 */
	while (!__atomic_compare_exchange_n(&lock->state, &before, after, false, __ATOMIC_ACQ_REL,
										__ATOMIC_RELAXED))
	{
		after = before & ~LW_XOWNER_MASK;
		if (before & LW_POISONED)
			after |= LW_NOT_RECOVERABLE; /* nobody said LWLockMarkConsistent() */
	}
	INJECT_POINT("lwlock/release/post-sub", INJECT_ANYWHERE,
				 "the lock is free, the journal says HELD: recovery sees another or no owner, "
				 "wakes waiters");
	if (unlikely(must_wake(after)))
		release_wake(lock, entry, LW_EXCLUSIVE);
	clear_entry(local, entry);
}

static inline void
release_shared(LWLockLocal *local, LWLock *lock, LWLockEntry *entry)
{
	uint64_t after;

	store_entry(entry, ENTRY_MAKE(shmem_offset(lock), LW_SHARED, ENTRY_RELEASING));
	INJECT_POINT(
		"lwlock/release/pre-sub", INJECT_NO_SLEEP,
		"RELEASING in the journal, still counted: recovery counts the living, the corpse's goes");
	/* acq_rel: pairs [LW2]; a writer must not see our reads after its writes. */
	after = __atomic_sub_fetch(&lock->state, LW_SHARED_ONE, __ATOMIC_ACQ_REL);
	INJECT_POINT(
		"lwlock/release/post-sub", INJECT_NO_SLEEP,
		"RELEASING in the journal, no longer counted: recovery counts the living, wakes waiters");
	if (unlikely(must_wake(after)))
		release_wake(lock, entry, LW_SHARED);
	clear_entry(local, entry);
}

HoldfastStatus
LWLockRelease(LWLock *lock)
{
	LWLockLocal *local = &holdfast_lwlock_local;
	LWLockEntry *entry = held_entry(local, lock);

	if (unlikely(entry == NULL))
		return report(HOLDFAST_ERROR, HOLDFAST_MISUSE, 0, NULL, NULL,
					  "LWLock %p is not held by this process", (void *) lock);
	if (ENTRY_MODE(*entry) == LW_EXCLUSIVE)
		release_exclusive(local, lock, entry);
	else
		release_shared(local, lock, entry);
	return HOLDFAST_OK;
}

void
LWLockReleaseAll(void)
{
	LWLockLocal *local = &holdfast_lwlock_local;

	/* A child of clone() that fork()'s handlers never saw: the locks are its parent's. */
	if (MyProc == NULL || PROC_PID(MyProc->life) != getpid())
		return;
	while (local->top > 0)
	{
		LWLockEntry *entry = &MyProc->entry[local->top - 1];

		/*
		 * Anything but HELD is an operation that an exit cut short (a signal handler that called proc_exit): what it
		 * left is what a corpse leaves.  The slot is then recovered like a dead one; see ProcKill().
		 */
		if (ENTRY_KIND(*entry) != ENTRY_HELD)
		{
			local->top--;
			continue;
		}
		(void) LWLockRelease((LWLock *) shmem_address(ENTRY_OFFSET(*entry)));
	}
}

/* ---- variables ---- */

HoldfastStatus
LWLockUpdateVar(LWLock *lock, uint64_t *valptr, uint64_t val)
{
	const LWLockEntry *entry = held_entry(&holdfast_lwlock_local, lock);

	if (entry == NULL || ENTRY_MODE(*entry) != LW_EXCLUSIVE)
		return report(HOLDFAST_ERROR, HOLDFAST_MISUSE, 0, NULL, NULL,
					  "LWLock %p is not held exclusively by this process", (void *) lock);
	/* Release: what the new value promises.  Pairs [LW6] with the acquire in var_says(). */
	__atomic_store_n(valptr, val, __ATOMIC_RELEASE);
	INJECT_POINT("lwlock/update-var/stored", INJECT_ANYWHERE,
				 "the value is new, those who wait for it sleep: recovery wakes them");
	holdfast_lwlock_wakeup(lock);
	return HOLDFAST_OK;
}

HoldfastStatus
LWLockReleaseClearVar(LWLock *lock, uint64_t *valptr, uint64_t val)
{
	HoldfastStatus status = LWLockUpdateVar(lock, valptr, val);

	return status < 0 ? status : LWLockRelease(lock);
}

HoldfastStatus
LWLockWaitForVar(LWLock *lock, uint64_t *valptr, uint64_t oldval, uint64_t *newval)
{
	LWLockLocal *local = &holdfast_lwlock_local;
	LWLockEntry *entry = begin(local, lock);
	HoldfastStatus status;

	if (unlikely(entry == NULL))
		return refuse_caller(local, lock);
	entry_taken(local, entry);
	status = holdfast_lwlock_wait_for_var(lock, entry, valptr, oldval, newval);
	clear_entry(local, entry);
	return status;
}

/* ---- questions ---- */

bool
LWLockHeldByMe(const LWLock *lock)
{
	return held_entry(&holdfast_lwlock_local, lock) != NULL;
}

bool
LWLockHeldByMeInMode(const LWLock *lock, LWLockMode mode)
{
	const LWLockLocal *local = &holdfast_lwlock_local;
	LWLockEntry wanted = ENTRY_MAKE(shmem_offset(lock), mode, ENTRY_HELD);

	for (uint32_t i = 0; i < local->top; i++)
	{
		if (MyProc->entry[i] == wanted)
			return true;
	}
	return false;
}

bool
LWLockAnyHeldByMe(const LWLock *lock, int nlocks, size_t stride)
{
	const LWLockLocal *local = &holdfast_lwlock_local;
	uint64_t begin_offset = shmem_offset(lock);
	uint64_t end_offset = begin_offset + (uint64_t) nlocks * stride;

	for (uint32_t i = 0; i < local->top; i++)
	{
		LWLockEntry entry = MyProc->entry[i];
		uint64_t offset = ENTRY_OFFSET(entry);

		if (ENTRY_KIND(entry) == ENTRY_HELD && offset >= begin_offset && offset < end_offset &&
			(offset - begin_offset) % stride == 0)
			return true;
	}
	return false;
}

HoldfastStatus
LWLockMarkConsistent(LWLock *lock)
{
	const LWLockEntry *entry = held_entry(&holdfast_lwlock_local, lock);

	if (entry == NULL || ENTRY_MODE(*entry) != LW_EXCLUSIVE)
		return report(HOLDFAST_ERROR, HOLDFAST_MISUSE, 0, NULL, NULL,
					  "LWLock %p is not held exclusively by this process", (void *) lock);
	/* Release: the mended data before the mark.  Pairs [LW2] with the next holder's acquire. */
	(void) __atomic_fetch_and(&lock->state, ~LW_POISONED, __ATOMIC_RELEASE);
	return HOLDFAST_OK;
}
