/*
 * lwlock_wait.c
 *		Lightweight locks: waiting for one.
 *
 * A waiter:	1 journal QUEUED(L)             it owes nothing yet, but recovery must wake it
 *				2 link itself into L's queue, under the queue owner, and set HAS_WAITERS
 *				3 try once more                 so that a release between its first try and 2 is not missed
 *				4 sleep until unlinked by a waker
 *				5 clear WAKING, try, or back to 2
 * A waker:		1 journal WAKING(L) or HELD(L)  (its caller did)
 *				2 choose waiters, set WAKING, unlink them, all under the queue owner
 *				3 post each one's futex
 *
 * Woken waiters compete with newcomers, until one of them has lost HANDOFF_AFTER times or has slept for
 * SLEEP_FIRST_NS: from then on newcomers queue.  So a waiter's bound is that time, the holds it found, and those
 * queued before it.
 *
 * A waiter depends on others who may be stopped: on the queue's owner, and on who was woken before it.  It helps itself
 * then: in step 2 it goes on trying without a link; in step 4 it looks at the lock at growing intervals, and tries when
 * it found it free twice in a row.  So a lock that is free is taken within SLEEP_MAX_NS + SLEEP_FIRST_NS, whoever is stopped.
 */
#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "inject_point.h"
#include "lwlock_internal.h"
#include "lwlock_probes.h"
#include "lwlock_queue.h"
#include "report.h"

/* About 2,000 pauses in all: some 30 us, what it takes to go to sleep and be woken.  The simulator has its own. */
#ifndef SPIN_PAUSES_LAST
#define SPIN_PAUSES_FIRST 16
#define SPIN_PAUSES_LAST  1024
#endif
#define HANDOFF_AFTER  64
#define NS_PER_MS      UINT64_C(1000000)
#define SLEEP_FIRST_NS (10 * NS_PER_MS)
#define SLEEP_MAX_NS   (640 * NS_PER_MS)
#define SLEEP_FULL_SWEEP_NS                                                                        \
	(80 * NS_PER_MS) /* from this interval on, look at every slot, not only at the owner */

uint64_t
holdfast_now_ns(void)
{
	struct timespec now;

	(void) clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t) now.tv_sec * UINT64_C(1000000000) + (uint64_t) now.tv_nsec;
}

static inline void
set_entry(LWLockEntry *entry, const LWLock *lock, LWLockMode mode, LWLockEntryKind kind)
{
	/* Release pairs [LW1] with the acquire load of a journal in recover.c. */
	__atomic_store_n(entry, ENTRY_MAKE(shmem_offset(lock), mode, kind), __ATOMIC_RELEASE);
}

/* ---- sleeping ---- */

static void
futex_sleep(uint32_t *word, uint64_t nanoseconds)
{
	struct timespec timeout = {
		.tv_sec = (time_t) (nanoseconds / UINT64_C(1000000000)),
		.tv_nsec = (long) (nanoseconds % UINT64_C(1000000000)),
	};

	/* Every outcome (woken, EAGAIN, EINTR, ETIMEDOUT) leads to another look at the words. */
	(void) syscall(SYS_futex, word, FUTEX_WAIT, WAKE_ASLEEP, &timeout, NULL, 0);
}

typedef struct Sleep
{
	uint64_t deadline_ns;
	uint64_t interval;
	bool is_free;  /* nobody held the lock at the end of the last interval */
	bool was_free; /* nor at the end of the one before */
} Sleep;

static void
about_to_sleep(const LWLock *lock)
{
	lwlock_count(lock, blocked);
	INJECT_POINT("lwlock/acquire/pre-sleep", INJECT_ANYWHERE,
				 "a corpse stands in the queue: recovery unlinks it and wakes the others");
}

/* One interval is over and nobody has woken us. */
static void
look_whether_free(const LWLock *lock, Sleep *sleep)
{
	/* relaxed: a hint, the attempt that follows orders */
	uint64_t word = __atomic_load_n(&lock->state, __ATOMIC_RELAXED);

	sleep->was_free = sleep->is_free;
	sleep->is_free = lw_is_free(word) && (word & LW_STOPS_WOKEN) == 0;
	if (sleep->is_free)
		sleep->interval = SLEEP_FIRST_NS;
	else if (sleep->interval < SLEEP_MAX_NS)
		sleep->interval *= 2;
}

/*
 * Sleeps until a waker, or recovery, has unlinked us (HOLDFAST_OK), or an interval has passed (HOLDFAST_BUSY).  Makes sure
 * that those we wait for live: nobody waits for the dead for ever, supervisor or not.  `handoff` is set in the word when
 * an interval has passed: sharers that overlap for ever never free the lock, so nobody would wake us.
 */
static HoldfastStatus
nap(LWLock *lock, Sleep *sleep, uint64_t handoff)
{
	PGPROC *proc = MyProc;
	uint64_t length, now;
	bool posted;

	do
	{
		uint32_t none = WAKE_NONE;

		now = holdfast_now_ns();
		if (now >= sleep->deadline_ns)
			return HOLDFAST_TIMED_OUT;
		length = sleep->interval;
		if (sleep->deadline_ns - now < length)
			length = sleep->deadline_ns - now;
		/* relaxed: the word only decides between sleeping and not */
		if (__atomic_compare_exchange_n(&proc->wake, &none, WAKE_ASLEEP, false, __ATOMIC_RELAXED,
										__ATOMIC_RELAXED))
			futex_sleep(&proc->wake, length);
		/* Acquire pairs [LW5]; the posted wake-up is spent before we look whether it was meant. */
		posted = __atomic_exchange_n(&proc->wake, WAKE_NONE, __ATOMIC_ACQUIRE) == WAKE_POSTED;
		/* Acquire pairs [LW4]. */
		if (__atomic_load_n(&proc->wait_lock, __ATOMIC_ACQUIRE) == 0)
			return HOLDFAST_OK;
	} while (posted);
	if (holdfast_recover_for_waiter(lock, sleep->interval >= SLEEP_FULL_SWEEP_NS,
									sleep->deadline_ns) == HOLDFAST_RESET_NEEDED)
		return HOLDFAST_RESET_NEEDED;
	if (handoff != 0 && now + length < sleep->deadline_ns)
		(void) __atomic_fetch_or(&lock->state, handoff, __ATOMIC_RELAXED);
	look_whether_free(lock, sleep);
	return HOLDFAST_BUSY;
}

/* Leaves without the lock.  A wake-up that was spent on us must not be lost to the others. */
static HoldfastStatus
give_up(LWLock *lock, HoldfastStatus status)
{
	uint64_t word;

	if (status == HOLDFAST_NOT_RECOVERABLE &&
		__atomic_load_n(&holdfast_shmem.proc_global->reset_needed, __ATOMIC_ACQUIRE))
		status = HOLDFAST_RESET_NEEDED;
	holdfast_queue_leave(lock);
	word = __atomic_and_fetch(&lock->state, ~LW_HANDOFF, __ATOMIC_RELAXED);
	if (status != HOLDFAST_RESET_NEEDED && lw_is_free(word) && (word & LW_HAS_WAITERS))
		holdfast_lwlock_wakeup(lock);
	if (status == HOLDFAST_RESET_NEEDED)
		return report(HOLDFAST_ERROR, status, 0, NULL, "The supervisor restarts the cluster.",
					  "LWLock \"%s\" cannot be recovered", GetLWLockIdentifier(lock->tranche));
	if (status == HOLDFAST_NOT_RECOVERABLE)
		return report(HOLDFAST_ERROR, status, 0,
					  "Its holder died, and the next one did not mark the data consistent.",
					  "Restart the cluster.", "LWLock \"%s\" is not recoverable",
					  GetLWLockIdentifier(lock->tranche));
	return status;
}

/* ---- acquiring ---- */

/* All that is asked of a word that was seen. */
#define SEEN_FLAGS (LW_POISONED | LW_NOT_RECOVERABLE)

/* An acquisition that did not succeed at once. */
typedef struct Wait
{
	LWLock *lock;
	LWLockMode mode;
	LWLockEntry *entry;
	uint64_t deadline_ns;
	uint64_t stops;
	uint64_t seen; /* SEEN_FLAGS of the word that stopped the last attempt, or was replaced by it */
	uint32_t wakeups;
} Wait;

/* On failure the journal says QUEUED again. */
static bool
try_again(Wait *wait)
{
	uint64_t seen;
	bool taken = holdfast_lwlock_attempt(wait->lock, wait->mode, wait->entry, wait->stops, &seen);

	wait->seen = seen & SEEN_FLAGS;
	if (taken)
		return true;
	set_entry(wait->entry, wait->lock, wait->mode, ENTRY_QUEUED);
	return false;
}

/*
 * Before it queues a waiter looks again and again, at growing intervals, for about as long as going to sleep and being woken
 * would take: mostly that is enough.  Growing, because every look takes the lock's line away from its holder.  Who finds
 * others in the queue lines up behind them.
 */
static bool
spin_for_lock(Wait *wait)
{
	uint64_t blocking =
		wait->mode == LW_EXCLUSIVE ? LW_XOWNER_MASK | LW_SHARED_MASK : LW_XOWNER_MASK;

	for (uint32_t pauses = SPIN_PAUSES_FIRST; pauses <= SPIN_PAUSES_LAST; pauses *= 2)
	{
		uint64_t word;

		for (uint32_t i = 0; i < pauses; i++)
			cpu_relax();
		/* relaxed: only a hint; the attempt that follows orders */
		word = __atomic_load_n(&wait->lock->state, __ATOMIC_RELAXED);
		if ((word & (blocking | wait->stops)) == 0 && try_again(wait))
			return true;
		if (word & LW_HAS_WAITERS)
			return false;
	}
	return false;
}

/*
 * Linked, until unlinked: HOLDFAST_OK.  HOLDFAST_CHANGED: took the lock without having been woken, and left the queue.
 */
static HoldfastStatus
sleep_in_queue(Wait *wait)
{
	Sleep sleep = {.deadline_ns = wait->deadline_ns, .interval = SLEEP_FIRST_NS};
	HoldfastStatus status;

	about_to_sleep(wait->lock);
	while ((status = nap(wait->lock, &sleep, LW_HANDOFF)) == HOLDFAST_BUSY)
	{
		if (!sleep.is_free || !sleep.was_free)
			continue;
		/* Who was to wake us, or was woken before us, does not move: nobody is on the way. */
		(void) __atomic_fetch_and(&wait->lock->state, ~LW_WAKING, __ATOMIC_RELAXED);
		wait->stops = LW_STOPS_WOKEN;
		if (!try_again(wait))
			continue;
		lwlock_count(wait->lock, unwoken);
		holdfast_queue_leave(wait->lock);
		return HOLDFAST_CHANGED;
	}
	return status;
}

/*
 * The queue belongs to somebody who does not move, so nobody would wake us: newcomers stand back, and we look at the lock
 * again after each vain wait for the queue.
 */
static HoldfastStatus
wait_without_queue(Wait *wait)
{
	if (holdfast_now_ns() >= wait->deadline_ns)
		return HOLDFAST_TIMED_OUT;
	wait->wakeups++; /* it is no longer an acquisition that did not wait */
	wait->stops = LW_STOPS_WOKEN;
	wait->seen = __atomic_or_fetch(&wait->lock->state, LW_HANDOFF, __ATOMIC_RELAXED) & SEEN_FLAGS;
	return HOLDFAST_OK;
}

/* One turn through the queue.  HOLDFAST_CHANGED: acquired. */
static HoldfastStatus
wait_in_queue(Wait *wait)
{
	LWLock *lock = wait->lock;
	HoldfastStatus status =
		holdfast_queue_enter(lock, wait->mode, wait->wakeups > 0,
							 wait->wakeups >= HANDOFF_AFTER ? LW_HANDOFF : 0, wait->deadline_ns);

	if (status == HOLDFAST_BUSY)
		return wait_without_queue(wait);
	if (status < 0)
		return status;
	if (try_again(wait))
	{
		INJECT_POINT(
			"lwlock/acquire/held-linked", INJECT_ANYWHERE,
			"holds the lock and stands in its queue: recovery unlinks it and frees the lock");
		holdfast_queue_leave(lock);
		return HOLDFAST_CHANGED;
	}
	LWLOCK_PROBE(lwlock__wait__start, lock, wait->mode);
	status = sleep_in_queue(wait);
	LWLOCK_PROBE(lwlock__wait__done, lock, wait->mode);
	if (status != HOLDFAST_OK)
	{
		wait->wakeups += status == HOLDFAST_CHANGED;
		return status;
	}
	INJECT_POINT("lwlock/acquire/woken", INJECT_ANYWHERE,
				 "WAKING is set and nobody is on the way: recovery clears it and wakes the others");
	(void) __atomic_fetch_and(&lock->state, ~LW_WAKING, __ATOMIC_RELAXED);
	wait->wakeups++;
	wait->stops = LW_STOPS_WOKEN;
	return try_again(wait) ? HOLDFAST_CHANGED : HOLDFAST_OK;
}

HoldfastStatus
holdfast_lwlock_acquire_slow(LWLock *lock, LWLockMode mode, LWLockEntry *entry, uint64_t seen,
							 uint64_t deadline_ns)
{
	Wait wait = {.lock = lock,
				 .mode = mode,
				 .entry = entry,
				 .deadline_ns = deadline_ns,
				 .stops = LW_STOPS_NEWCOMER,
				 .seen = seen & SEEN_FLAGS};
	HoldfastStatus status;

	set_entry(entry, lock, mode, ENTRY_QUEUED);
	do
	{
		if (wait.seen & LW_NOT_RECOVERABLE)
			return give_up(lock, HOLDFAST_NOT_RECOVERABLE);
		if (spin_for_lock(&wait))
			break;
		status = wait_in_queue(&wait);
		if (status < 0)
			return give_up(lock, status);
	} while (status != HOLDFAST_CHANGED);
	/* Another who was passed over, and still waits, asks again when its next interval has passed. */
	if (__atomic_load_n(&lock->state, __ATOMIC_RELAXED) & LW_HANDOFF)
		(void) __atomic_fetch_and(&lock->state, ~LW_HANDOFF, __ATOMIC_RELAXED);
	return acquired_status(wait.seen, wait.wakeups > 0 ? HOLDFAST_WAITED : HOLDFAST_OK);
}

/*
 * Stands in the queue as one who wants to know, not to have.  HOLDFAST_BUSY: could not, look again.
 */
static HoldfastStatus
queue_to_watch(LWLock *lock)
{
	HoldfastStatus status = holdfast_queue_enter(lock, LW_WAIT_UNTIL_FREE, true, 0, DEADLINE_NEVER);

	/*
	 * The next release must look at the queue, even when a woken waiter is on its way.  Acquire pairs [LW7]: who changed
	 * the variable and did not find us in the queue did so before.
	 */
	if (status == HOLDFAST_OK)
		(void) __atomic_fetch_and(&lock->state, ~LW_WAKING, __ATOMIC_ACQ_REL);
	return status;
}

HoldfastStatus
holdfast_lwlock_acquire_or_wait_slow(LWLock *lock, LWLockMode mode, LWLockEntry *entry)
{
	Wait wait = {.lock = lock, .mode = mode, .entry = entry, .stops = LW_STOPS_NEWCOMER};
	Sleep sleep = {.deadline_ns = DEADLINE_NEVER, .interval = SLEEP_FIRST_NS};
	HoldfastStatus status;

	set_entry(entry, lock, mode, ENTRY_QUEUED);
	do
	{
		status = queue_to_watch(lock);
		if (status < 0)
			return give_up(lock, status);
		if (try_again(&wait))
		{
			holdfast_queue_leave(lock);
			return acquired_status(wait.seen, HOLDFAST_OK);
		}
		if (wait.seen & LW_NOT_RECOVERABLE)
			return give_up(lock, HOLDFAST_NOT_RECOVERABLE);
	} while (status == HOLDFAST_BUSY);
	about_to_sleep(lock);
	LWLOCK_PROBE(lwlock__wait__start, lock, mode);
	do
		status = nap(lock, &sleep, 0);
	while (status == HOLDFAST_BUSY && !sleep.is_free);
	LWLOCK_PROBE(lwlock__wait__done, lock, mode);
	if (status < 0)
		return give_up(lock, status);
	if (status == HOLDFAST_BUSY)
	{
		lwlock_count(lock, unwoken);
		holdfast_queue_leave(lock);
	}
	return HOLDFAST_BUSY;
}

/* ---- waiting for a variable ---- */

/* HOLDFAST_BUSY: held, and the value is still the old one. */
static HoldfastStatus
var_says(const LWLock *lock, const uint64_t *valptr, uint64_t oldval, uint64_t *newval)
{
	uint64_t value;

	/* Acquire pairs [LW2]: if it is free, the holder's last value is visible to the caller. */
	if ((__atomic_load_n(&lock->state, __ATOMIC_ACQUIRE) & (LW_XOWNER_MASK | LW_RECOVERING)) == 0)
		return HOLDFAST_OK;
	/* Acquire pairs [LW6] with the release in LWLockUpdateVar(). */
	value = __atomic_load_n(valptr, __ATOMIC_ACQUIRE);
	if (value == oldval)
		return HOLDFAST_BUSY;
	*newval = value;
	return HOLDFAST_CHANGED;
}

/* Linked, until unlinked (HOLDFAST_OK), or until there is something to say. */
static HoldfastStatus
sleep_for_var(LWLock *lock, const uint64_t *valptr, uint64_t oldval, uint64_t *newval)
{
	Sleep sleep = {.deadline_ns = DEADLINE_NEVER, .interval = SLEEP_FIRST_NS};
	HoldfastStatus status, said;

	about_to_sleep(lock);
	LWLOCK_PROBE(lwlock__wait__start, lock, LW_WAIT_UNTIL_FREE);
	do
	{
		status = nap(lock, &sleep, 0);
		said = status == HOLDFAST_BUSY ? var_says(lock, valptr, oldval, newval) : HOLDFAST_OK;
	} while (said == HOLDFAST_BUSY);
	LWLOCK_PROBE(lwlock__wait__done, lock, LW_WAIT_UNTIL_FREE);
	return status;
}

HoldfastStatus
holdfast_lwlock_wait_for_var(LWLock *lock, LWLockEntry *entry, uint64_t *valptr, uint64_t oldval,
							 uint64_t *newval)
{
	HoldfastStatus status = var_says(lock, valptr, oldval, newval);

	while (status == HOLDFAST_BUSY)
	{
		HoldfastStatus queued;

		set_entry(entry, lock, LW_WAIT_UNTIL_FREE, ENTRY_QUEUED);
		queued = queue_to_watch(lock);
		if (queued < 0)
			return give_up(lock, queued);
		status = var_says(lock, valptr, oldval, newval);
		if (status == HOLDFAST_BUSY && queued == HOLDFAST_OK)
		{
			queued = sleep_for_var(lock, valptr, oldval, newval);
			if (queued < 0)
				return give_up(lock, queued);
			status = var_says(lock, valptr, oldval, newval);
		}
		holdfast_queue_leave(lock);
	}
	return status;
}
