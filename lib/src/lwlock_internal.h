/*
 * lwlock_internal.h
 *		What lwlock.c (fast paths), lwlock_wait.c (queue and sleep) and recover.c share.
 */
#ifndef HOLDFAST_LWLOCK_INTERNAL_H
#define HOLDFAST_LWLOCK_INTERNAL_H

#include <holdfast/lwlock.h>
#include <holdfast/recovery.h>

#include "lwlock_state.h"
#include "shmem_layout.h"

#define likely(x_)   __builtin_expect(!!(x_), 1)
#define unlikely(x_) __builtin_expect(!!(x_), 0)

#if defined(__x86_64__) || defined(__i386__)
#define cpu_relax() __builtin_ia32_pause()
#elif defined(__aarch64__)
#define cpu_relax() __asm__ volatile("isb" ::: "memory")
#else
#define cpu_relax() __atomic_signal_fence(__ATOMIC_SEQ_CST)
#endif

/* The calling thread's private view of its slot.  Set by InitProcess, zeroed by ProcKill. */
typedef struct LWLockLocal
{
	uint64_t owner_bits; /* (slot + 1) << LW_XOWNER_SHIFT; 0 without a slot */
	/*
	 * A lock whose offset is less needs no check before it is acquired: the segment's size, or 0 without a slot or while
	 * checks are on (lwlock_checks.c).
	 */
	uint64_t unchecked_bytes;
	LWLockEntry *journal; /* MyProc->entry */
	uint32_t slot;
	uint32_t top;    /* journal entries 0..top-1 may be in use; the last of them is */
	bool holes;      /* others of them may not be */
	unsigned checks; /* LWLockChecks, as last noticed */
} LWLockLocal;

extern _Thread_local LWLockLocal holdfast_lwlock_local __attribute__((tls_model("initial-exec")));

/* Counts one event of the caller's for the tranche of `lock`; only our own slot is written. */
#define lwlock_count(lock_, what_)                                                                 \
	do                                                                                             \
	{                                                                                              \
		uint64_t *count_ = &MyProc->counts[(lock_)->tranche % LWLOCK_TRANCHES_MAX].what_;          \
                                                                                                   \
		__atomic_store_n(count_, __atomic_load_n(count_, __ATOMIC_RELAXED) + 1, __ATOMIC_RELAXED); \
	} while (0)

/* Newcomers stop at any of these; a woken waiter is let past HANDOFF. */
#define LW_STOPS_NEWCOMER (LW_RECOVERING | LW_NOT_RECOVERABLE | LW_HANDOFF)
#define LW_STOPS_WOKEN    (LW_RECOVERING | LW_NOT_RECOVERABLE)

/*
 * One attempt, without waiting: journals the intent in *entry, changes the word, journals the hold.  On failure
 * *entry is left PENDING (shared) or HELD (exclusive), naming the lock but owning nothing, and the caller
 * must store what comes next; *seen is the word that stopped it.
 */
bool holdfast_lwlock_attempt(LWLock *lock, LWLockMode mode, LWLockEntry *entry, uint64_t stops,
							 uint64_t *seen);

/* What an acquisition reports when the word it replaced was `before`. */
static inline HoldfastStatus
acquired_status(uint64_t before, HoldfastStatus clean)
{
	return (before & LW_POISONED) ? HOLDFAST_OWNER_DEAD : clean;
}

/*
 * lwlock_wait.c.  Each starts with an entry that names the lock after a failed attempt, or (wait_for_var) is free; a
 * negative status leaves it QUEUED, for the caller to clear.
 */
HoldfastStatus holdfast_lwlock_acquire_slow(LWLock *lock, LWLockMode mode, LWLockEntry *entry,
											uint64_t seen, uint64_t deadline_ns);
HoldfastStatus holdfast_lwlock_acquire_or_wait_slow(LWLock *lock, LWLockMode mode,
													LWLockEntry *entry);
HoldfastStatus holdfast_lwlock_wait_for_var(LWLock *lock, LWLockEntry *entry, uint64_t *valptr,
											uint64_t oldval, uint64_t *newval);

/* lwlock_queue.c */
void holdfast_lwlock_wakeup(LWLock *lock);
/* `surely`: a waker may have died between its post and its call to the kernel, so that POSTED proves nothing. */
void holdfast_lwlock_post(PGPROC *proc, bool surely);

/* Monotonic clock, nanoseconds. */
uint64_t holdfast_now_ns(void);
#define DEADLINE_NEVER UINT64_MAX

/* That many microseconds from now; so many that the clock would wrap end just before DEADLINE_NEVER. */
static inline uint64_t
deadline_after_us(uint64_t us)
{
	uint64_t now = holdfast_now_ns();
	uint64_t room = (DEADLINE_NEVER - 1 - now) / 1000;

	return now + (us < room ? us : room) * 1000;
}

/*
 * recover.c.  What a waiter does when its wait grows long: recovers the lock's owner if it is dead, or, when `sweep`,
 * whoever is dead.  HOLDFAST_RESET_NEEDED ends the wait; anything else means go on waiting.  Does not wait for others
 * longer than until `deadline_ns`, nor than some 100 ms.
 */
HoldfastStatus holdfast_recover_for_waiter(LWLock *lock, bool sweep, uint64_t deadline_ns);

/* lwlock_tranche.c: the policy of a lock's tranche, and its callback in this process (may be NULL). */
LWLockPolicy holdfast_tranche_policy(int tranche_id, LWLockRepair *repair, void **arg);

#endif
