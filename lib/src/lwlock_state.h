/*
 * lwlock_state.h
 *		The lock word: its bits, and what may be stale about each.
 *
 *		63      48 47      32 31      24 23   20 19               0
 *		+---------+----------+----------+-------+-----------------+
 *		| Qowner  |  Xowner  |  flags   |  0    |  shared count   |
 *		+---------+----------+----------+-------+-----------------+
 *
 * Every change is one compare-and-swap or one fetch-and-op on the whole word, so that there is one order of all
 * changes of a lock; a waiter that sets HAS_WAITERS and a releaser that frees the lock cannot miss each other.
 */
#ifndef HOLDFAST_LWLOCK_STATE_H
#define HOLDFAST_LWLOCK_STATE_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Number of shared holds.  One process may have several.  May be too high only by holds of the dead, until recovery
 * recomputes it from the journals of the living; never too low.
 */
#define LW_SHARED_ONE  UINT64_C(1)
#define LW_SHARED_MASK UINT64_C(0xfffff)

/*
 * Somebody is, or recently was, in the queue.  Legal to be set with an empty queue (the next release finds that out
 * and clears it); illegal to be clear while a waiter is linked and the queue has no owner.
 */
#define LW_HAS_WAITERS (UINT64_C(1) << 24)

/*
 * A waiter has been woken and has not yet tried: releasers need not wake another.  Cleared by the woken waiter before
 * it tries.  Illegal to stay set when no woken waiter is on its way, unless that waiter is dead, whose journal
 * names the lock, so that recovery clears the bit; or stopped, or left while the queue's owner was: then whoever sleeps
 * and finds the lock free clears it.
 */
#define LW_WAKING (UINT64_C(1) << 25)

/* Recovery is recomputing the word: nobody may acquire.  Set only while a dead slot's journal names the lock. */
#define LW_RECOVERING (UINT64_C(1) << 26)

/* The last exclusive owner died inside; whoever acquires is told.  Cleared by LWLockMarkConsistent(). */
#define LW_POISONED (UINT64_C(1) << 27)

/* A poisoned lock was released without having been marked consistent: nobody gets it any more. */
#define LW_NOT_RECOVERABLE (UINT64_C(1) << 28)

/*
 * A waiter has been passed over too often: newcomers must queue, only those who were woken may take the lock.
 * Legal to be lost (the waiter sets it again); illegal to stay set when its setter neither waits nor is dead.
 */
#define LW_HANDOFF (UINT64_C(1) << 29)

/*
 * Somebody who was to wake waiters found the queue owned, and leaves it to the owner, who may not let go while this is
 * set.  Illegal to be set without a queue owner, except by a recoverer that gave up: the lock is RECOVERING then.
 */
#define LW_WAKE_WANTED (UINT64_C(1) << 30)

#define LW_FLAGS_MASK                                                                              \
	(LW_HAS_WAITERS | LW_WAKING | LW_RECOVERING | LW_POISONED | LW_NOT_RECOVERABLE | LW_HANDOFF |  \
	 LW_WAKE_WANTED)

/* Slot + 1 of the exclusive holder; 0 when there is none. */
#define LW_XOWNER_SHIFT 32
#define LW_XOWNER_MASK  (UINT64_C(0xffff) << LW_XOWNER_SHIFT)

/* Slot + 1 of who may change the wait queue now; 0 when nobody.  Held for some instructions only. */
#define LW_QOWNER_SHIFT 48
#define LW_QOWNER_MASK  (UINT64_C(0xffff) << LW_QOWNER_SHIFT)

_Static_assert((LW_SHARED_MASK & LW_FLAGS_MASK) == 0, "count and flags do not overlap");
_Static_assert((LW_FLAGS_MASK & LW_XOWNER_MASK) == 0, "flags and owner do not overlap");
_Static_assert((LW_XOWNER_MASK & LW_QOWNER_MASK) == 0, "the two owners do not overlap");

static inline uint32_t
lw_xowner(uint64_t word) /* slot + 1 */
{
	return (uint32_t) ((word & LW_XOWNER_MASK) >> LW_XOWNER_SHIFT);
}

static inline uint32_t
lw_qowner(uint64_t word) /* slot + 1 */
{
	return (uint32_t) (word >> LW_QOWNER_SHIFT);
}

static inline uint32_t
lw_shared_count(uint64_t word)
{
	return (uint32_t) (word & LW_SHARED_MASK);
}

/* Nobody holds it, in any mode. */
static inline bool
lw_is_free(uint64_t word)
{
	return (word & (LW_XOWNER_MASK | LW_SHARED_MASK)) == 0;
}

/* A word that no run of this library can have produced: somebody else wrote it. */
static inline bool
lw_is_legal(uint64_t word, uint32_t nprocs)
{
	if (word & ~(LW_SHARED_MASK | LW_FLAGS_MASK | LW_XOWNER_MASK | LW_QOWNER_MASK))
		return false;
	if (lw_xowner(word) > nprocs || lw_qowner(word) > nprocs)
		return false;
	return lw_xowner(word) == 0 || lw_shared_count(word) == 0;
}

#endif
