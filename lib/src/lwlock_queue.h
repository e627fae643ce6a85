/*
 * lwlock_queue.h
 *		The wait queue of a lock: standing in it, leaving it, waking those in it.
 */
#ifndef HOLDFAST_LWLOCK_QUEUE_H
#define HOLDFAST_LWLOCK_QUEUE_H

#include "lwlock_internal.h"

/*
 * Links the caller, whose journal says QUEUED(lock), and sets HAS_WAITERS and `flags` in the word.  HOLDFAST_BUSY: the
 * queue, or the one in which an earlier wait left our link, belongs to somebody who does not move; we are not linked.
 * Waits for that no longer than `deadline_ns` or QUEUE_PATIENCE_NS.  HOLDFAST_RESET_NEEDED: the same, for ever.
 */
HoldfastStatus holdfast_queue_enter(LWLock *lock, LWLockMode mode, bool at_head, uint64_t flags,
									uint64_t deadline_ns);

/*
 * Takes the caller out, if it is still in.  Behind a queue owner that does not move its link stays, as one that wants
 * nothing, and JOURNAL_LINK names the lock until holdfast_queue_settle().
 */
void holdfast_queue_leave(LWLock *lock);

/*
 * Ends what holdfast_queue_leave() had to leave.  False: its owner has not moved yet.  Harmless when nothing was left.
 */
bool holdfast_queue_settle(uint64_t deadline_ns);

/* Waits no longer than this for an owner of a queue that runs: one that holds it longer is taken for stopped. */
#define QUEUE_PATIENCE_NS UINT64_C(5000000)

#endif
