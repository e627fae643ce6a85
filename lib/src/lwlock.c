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
#include "lwlock_checks.h"
#include "lwlock_internal.h"
#include "lwlock_probes.h"
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
		return &local->journal[local->top];
	for (uint32_t i = 0; i < MAX_SIMUL_LWLOCKS; i++)
	{
		if (local->journal[i] == 0)
			return &local->journal[i];
	}
	return NULL;
}

static inline void
entry_taken(LWLockLocal *local, const LWLockEntry *entry)
{
	uint32_t place = (uint32_t) (entry - local->journal) + 1;

	if (place > local->top)
		local->top = place;
}

static __attribute__((noinline)) void
trim(LWLockLocal *local)
{
	while (local->top > 0 && local->journal[local->top - 1] == 0)
		local->top--;
	local->holes = local->top > 0;
}

/* The newest entry goes. */
static inline void
pop_entry(LWLockLocal *local, LWLockEntry *entry)
{
	store_entry(entry, 0);
	local->top--;
	if (unlikely(local->holes))
		trim(local);
}

static void
clear_entry(LWLockLocal *local, LWLockEntry *entry)
{
	store_entry(entry, 0);
	trim(local);
}

/* The newest hold of `lock`, searched backwards as locks are mostly released in reverse order. */
static LWLockEntry *
held_entry(const LWLockLocal *local, const LWLock *lock)
{
	uint64_t offset = shmem_offset(lock);

	for (uint32_t i = local->top; i-- > 0;)
	{
		LWLockEntry entry = local->journal[i];

		if (ENTRY_OFFSET(entry) == offset && ENTRY_KIND(entry) == ENTRY_HELD)
			return &local->journal[i];
	}
	return NULL;
}

/* ---- acquire ---- */

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

/* What the caller does when the lock is not free. */
typedef enum IfHeld
{
	IF_HELD_WAIT,
	IF_HELD_RETURN,
	IF_HELD_WATCH, /* wait until it comes free, do not take it */
} IfHeld;

static __attribute__((noinline, cold)) HoldfastStatus
refuse_recursion(const LWLock *lock)
{
	return report(HOLDFAST_ERROR, HOLDFAST_DEADLOCK, 0, NULL, NULL,
				  "LWLock \"%s\" is already held by this process",
				  GetLWLockIdentifier(lock->tranche));
}

/* The first attempt failed; *entry names the lock, in the newest place or in a hole. */
static __attribute__((noinline)) HoldfastStatus
acquire_contended(LWLock *lock, LWLockMode mode, LWLockEntry *entry, uint64_t seen, IfHeld if_held,
				  uint64_t deadline_ns)
{
	LWLockLocal *local = &holdfast_lwlock_local;
	HoldfastStatus status;

	if (if_held == IF_HELD_RETURN)
	{
		store_entry(entry, 0);
		LWLOCK_PROBE(lwlock__condacquire__fail, lock, mode);
		return (seen & LW_NOT_RECOVERABLE) ? HOLDFAST_NOT_RECOVERABLE : HOLDFAST_BUSY;
	}
	entry_taken(local, entry); /* a nested use of the journal must not take our place */
	holdfast_lwlock_notice_checks();
	if ((seen & LW_XOWNER_MASK) == local->owner_bits)
		status = refuse_recursion(lock);
	else if (if_held == IF_HELD_WATCH)
		status = holdfast_lwlock_acquire_or_wait_slow(lock, mode, entry);
	else
		status = holdfast_lwlock_acquire_slow(lock, mode, entry, seen, deadline_ns);
	if (status < 0 || status == HOLDFAST_BUSY)
		clear_entry(local, entry);
	if (if_held == IF_HELD_WATCH && status == HOLDFAST_BUSY)
		LWLOCK_PROBE(lwlock__acquire__or__wait__fail, lock, mode);
	else if (if_held == IF_HELD_WATCH && status >= 0)
		LWLOCK_PROBE(lwlock__acquire__or__wait, lock, mode);
	else if (status >= 0)
		LWLOCK_PROBE(lwlock__acquire, lock, mode);
	return status;
}

/* Any acquisition, once there is a journal place for it: `entry`, above all others when `newest`. */
static inline __attribute__((always_inline)) HoldfastStatus
acquire_at(LWLockLocal *local, LWLock *lock, LWLockMode mode, LWLockEntry *entry, bool newest,
		   IfHeld if_held, uint64_t deadline_ns)
{
	uint64_t seen;

	if (unlikely(!attempt(lock, mode, entry, LW_STOPS_NEWCOMER, &seen)))
		return acquire_contended(lock, mode, entry, seen, if_held, deadline_ns);
	if (newest)
		local->top++;
	else
		entry_taken(local, entry);
	INJECT_POINT("lwlock/acquire/held", INJECT_ANYWHERE,
				 "journal and word agree that the corpse holds it; recovery applies the policy");
	if (if_held == IF_HELD_WAIT)
		LWLOCK_PROBE(lwlock__acquire, lock, mode);
	else if (if_held == IF_HELD_RETURN)
		LWLOCK_PROBE(lwlock__condacquire, lock, mode);
	else
		LWLOCK_PROBE(lwlock__acquire__or__wait, lock, mode);
	return acquired_status(seen, HOLDFAST_OK);
}

static HoldfastStatus
refuse_caller(const LWLockLocal *local, const LWLock *lock)
{
	if (local->owner_bits == 0)
		return report(HOLDFAST_ERROR, HOLDFAST_MISUSE, 0, NULL, "Call InitProcess() first.",
					  "cannot use an LWLock without a process slot");
	if (lock == NULL || shmem_offset(lock) >= holdfast_shmem.size)
		return report(HOLDFAST_ERROR, HOLDFAST_MISUSE, 0, NULL, NULL,
					  "LWLock %p does not lie in the shared memory segment", (const void *) lock);
	return HOLDFAST_OK;
}

static HoldfastStatus
refuse_more(void)
{
	return report(HOLDFAST_ERROR, HOLDFAST_LIMIT, 0, NULL, NULL, "too many LWLocks taken");
}

/* No slot, no lock of this segment, no place at the journal's top, or the segment's checks are on. */
static __attribute__((noinline, cold)) HoldfastStatus
acquire_checked(LWLock *lock, LWLockMode mode, IfHeld if_held, uint64_t deadline_ns)
{
	LWLockLocal *local = &holdfast_lwlock_local;
	HoldfastStatus status = refuse_caller(local, lock);
	LWLockEntry *entry;

	if (status == HOLDFAST_OK && if_held != IF_HELD_RETURN)
		status = holdfast_lwlock_check_order(lock);
	if (status < 0)
		return status;
	entry = free_entry(local);
	if (entry == NULL)
		return refuse_more();
	status = acquire_at(local, lock, mode, entry, false, if_held, deadline_ns);
	if (status >= 0 && status != HOLDFAST_BUSY)
		holdfast_lwlock_count_acquired(lock, mode);
	return status;
}

/* The fast path: one comparison tells that there is nothing to check, see LWLockLocal. */
static inline __attribute__((always_inline)) HoldfastStatus
acquire(LWLock *lock, LWLockMode mode, IfHeld if_held, uint64_t deadline_ns)
{
	LWLockLocal *local = &holdfast_lwlock_local;

	if (unlikely(shmem_offset(lock) >= local->unchecked_bytes || local->top >= MAX_SIMUL_LWLOCKS))
		return acquire_checked(lock, mode, if_held, deadline_ns);
	return acquire_at(local, lock, mode, &local->journal[local->top], true, if_held, deadline_ns);
}

HoldfastStatus
LWLockAcquire(LWLock *lock, LWLockMode mode)
{
	return acquire(lock, mode, IF_HELD_WAIT, DEADLINE_NEVER);
}

HoldfastStatus
LWLockAcquireTimed(LWLock *lock, LWLockMode mode, uint64_t timeout_us)
{
	return acquire(lock, mode, IF_HELD_WAIT, deadline_after_us(timeout_us));
}

HoldfastStatus
LWLockConditionalAcquire(LWLock *lock, LWLockMode mode)
{
	return acquire(lock, mode, IF_HELD_RETURN, 0);
}

HoldfastStatus
LWLockAcquireOrWait(LWLock *lock, LWLockMode mode)
{
	return acquire(lock, mode, IF_HELD_WATCH, DEADLINE_NEVER);
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

/* The word is not simply ours: others share the word with us by flags, or wait. */
static __attribute__((noinline)) HoldfastStatus
release_exclusive_flagged(LWLock *lock, LWLockEntry *entry, uint64_t before)
{
	uint64_t after;

	/* As in release_exclusive(). */
	do
	{
		after = before & ~LW_XOWNER_MASK;
		if (before & LW_POISONED)
			after |= LW_NOT_RECOVERABLE; /* nobody said LWLockMarkConsistent() */
	} while (!__atomic_compare_exchange_n(&lock->state, &before, after, false, __ATOMIC_ACQ_REL,
										  __ATOMIC_RELAXED));
	INJECT_POINT("lwlock/release/post-sub", INJECT_ANYWHERE,
				 "the lock is free, the journal says HELD: recovery sees another or no owner, "
				 "wakes waiters");
	if (must_wake(after))
		release_wake(lock, entry, LW_EXCLUSIVE);
	clear_entry(&holdfast_lwlock_local, entry);
	LWLOCK_PROBE(lwlock__release, lock, LW_EXCLUSIVE);
	return HOLDFAST_OK;
}

static __attribute__((noinline)) HoldfastStatus
release_shared_waking(LWLock *lock, LWLockEntry *entry)
{
	release_wake(lock, entry, LW_SHARED);
	clear_entry(&holdfast_lwlock_local, entry);
	LWLOCK_PROBE(lwlock__release, lock, LW_SHARED);
	return HOLDFAST_OK;
}

/* Releases what *entry says is held; `newest` when it is the journal's last. */
static inline __attribute__((always_inline)) HoldfastStatus
release_exclusive(LWLockLocal *local, LWLock *lock, LWLockEntry *entry, bool newest)
{
	uint64_t before = local->owner_bits;

	INJECT_POINT(
		"lwlock/release/pre-sub", INJECT_ANYWHERE,
		"the caller is done with the data, the word still names the corpse: as a death inside");
	/*
	 * Release pairs [LW2] with the acquire in attempt_*(): what we wrote is seen by the next holder.  Also acquire: the
	 * entry must not be cleared before the word is.
	 */
	if (unlikely(!__atomic_compare_exchange_n(&lock->state, &before, 0, false, __ATOMIC_ACQ_REL,
											  __ATOMIC_RELAXED)))
		return release_exclusive_flagged(lock, entry, before);
	INJECT_POINT("lwlock/release/post-sub", INJECT_ANYWHERE,
				 "the lock is free, the journal says HELD: recovery sees another or no owner, "
				 "wakes waiters");
	if (newest)
		pop_entry(local, entry);
	else
		clear_entry(local, entry);
	LWLOCK_PROBE(lwlock__release, lock, LW_EXCLUSIVE);
	return HOLDFAST_OK;
}

static inline __attribute__((always_inline)) HoldfastStatus
release_shared(LWLockLocal *local, LWLock *lock, LWLockEntry *entry, bool newest)
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
		return release_shared_waking(lock, entry);
	if (newest)
		pop_entry(local, entry);
	else
		clear_entry(local, entry);
	LWLOCK_PROBE(lwlock__release, lock, LW_SHARED);
	return HOLDFAST_OK;
}

/* Not the newest hold: somewhere in the journal, or nowhere. */
static __attribute__((noinline)) HoldfastStatus
release_older(LWLock *lock)
{
	LWLockLocal *local = &holdfast_lwlock_local;
	LWLockEntry *entry = held_entry(local, lock);

	if (entry == NULL)
		return report(HOLDFAST_ERROR, HOLDFAST_MISUSE, 0, NULL, NULL,
					  "LWLock %p is not held by this process", (void *) lock);
	local->holes = true;
	return ENTRY_MODE(*entry) == LW_EXCLUSIVE ? release_exclusive(local, lock, entry, false)
											  : release_shared(local, lock, entry, false);
}

HoldfastStatus
LWLockRelease(LWLock *lock)
{
	LWLockLocal *local = &holdfast_lwlock_local;
	uint64_t offset = shmem_offset(lock);
	LWLockEntry *newest;

	if (unlikely(local->top == 0))
		return release_older(lock);
	newest = &local->journal[local->top - 1];
	if (*newest == ENTRY_MAKE(offset, LW_EXCLUSIVE, ENTRY_HELD))
		return release_exclusive(local, lock, newest, true);
	if (*newest == ENTRY_MAKE(offset, LW_SHARED, ENTRY_HELD))
		return release_shared(local, lock, newest, true);
	return release_older(lock);
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
		LWLockEntry *entry = &local->journal[local->top - 1];

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
	HoldfastStatus status = refuse_caller(local, lock);
	LWLockEntry *entry;

	if (status < 0)
		return status;
	entry = free_entry(local);
	if (entry == NULL)
		return refuse_more();
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
		if (local->journal[i] == wanted)
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
		LWLockEntry entry = local->journal[i];
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
