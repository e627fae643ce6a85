/*
 * lwlock_wait.c
 *		Lightweight locks: the wait queue, sleeping, waking.
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
 * WAKING is set before the first waiter is unlinked, so a waiter that finds itself unlinked, by whatever wake-up,
 * clears it after it was set.  Whoever is linked when the queue owner dies may be lost from the list: the queue is
 * only a cache of the journals, and recovery empties it and wakes everybody whose journal names the lock.
 *
 * Which waiters are woken is PostgreSQL's choice: those who only want to know that it came free; then all the
 * sharers, or the first exclusive one.  Woken waiters compete with newcomers, until one of them has lost
 * HANDOFF_AFTER times or has slept for SLEEP_FIRST_NS: from then on newcomers queue.  So a waiter's bound is that time,
 * the holds it found, and those queued before it.
 *
 * Slot numbers read from the queue are input: out of range ends the list, and no walk is longer than there are slots.
 */
#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "inject_point.h"
#include "lwlock_internal.h"
#include "report.h"

#define SPINS_BEFORE_QUEUE 100
#define HANDOFF_AFTER      4
#define NS_PER_MS          UINT64_C(1000000)
#define SLEEP_FIRST_NS     (10 * NS_PER_MS)
#define SLEEP_MAX_NS       (640 * NS_PER_MS)
#define SLEEP_FULL_SWEEP_NS                                                                        \
	(80 * NS_PER_MS) /* from this interval on, look at every slot, not only at the owner */
#define QUEUE_SPINS            200
#define QUEUE_SLEEPS_PER_CHECK 16

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

static inline PGPROC *
waiter_at(uint32_t number) /* slot + 1; NULL for 0 and for what cannot be */
{
	return number - 1 < holdfast_shmem.nprocs ? &holdfast_shmem.procs[number - 1] : NULL;
}

/* ---- the queue owner ---- */

/*
 * Takes the right to change the queue.  Held for some instructions only, so we spin; an owner that does not let go is
 * stopped or dead, and the dead are recovered.  False: the cluster must be reset, the queue was not taken.
 */
static bool
queue_lock(LWLock *lock)
{
	uint64_t mine = (uint64_t) (holdfast_lwlock_local.slot + 1) << LW_QOWNER_SHIFT;

	for (uint32_t round = 0;; round++)
	{
		uint64_t word = __atomic_load_n(&lock->state, __ATOMIC_RELAXED);

		/* Acquire pairs [LW3] with the release in queue_unlock(): the list as its last owner left it. */
		if ((word & LW_QOWNER_MASK) == 0 &&
			__atomic_compare_exchange_n(&lock->state, &word, word | mine, true, __ATOMIC_ACQUIRE,
										__ATOMIC_RELAXED))
			return true;
		if (round < QUEUE_SPINS)
		{
			cpu_relax();
			continue;
		}
		if (round < 2 * QUEUE_SPINS)
			(void) sched_yield();
		else
		{
			struct timespec pause = {.tv_nsec = 50000};

			(void) nanosleep(&pause, NULL);
			if (round % QUEUE_SLEEPS_PER_CHECK == 0 &&
				holdfast_recover_for_waiter(lock, false) == HOLDFAST_RESET_NEEDED)
				return false;
		}
	}
}

static void
queue_unlock(LWLock *lock, uint64_t clear)
{
	uint64_t word = __atomic_load_n(&lock->state, __ATOMIC_RELAXED);

	if (lock->wait_head == 0)
		clear |= LW_HAS_WAITERS;
	/* Release pairs [LW3] with the acquire in queue_lock(). */
	while (!__atomic_compare_exchange_n(&lock->state, &word, word & ~(LW_QOWNER_MASK | clear), true,
										__ATOMIC_RELEASE, __ATOMIC_RELAXED))
		;
}

/* ---- the list; all under the queue owner ---- */

static void
link_waiter(LWLock *lock, PGPROC *proc, uint32_t number, bool at_head)
{
	PGPROC *neighbour = waiter_at(at_head ? lock->wait_head : lock->wait_tail);

	proc->wait_next = at_head ? lock->wait_head : 0;
	proc->wait_prev = at_head ? 0 : lock->wait_tail;
	/* Release: links before the mark.  Pairs [LW4] with the acquire load in sleep_until_unlinked(). */
	__atomic_store_n(&proc->wait_lock, shmem_offset(lock), __ATOMIC_RELEASE);
	INJECT_POINT("lwlock/acquire/mid-link", INJECT_NO_SLEEP,
				 "the waiter points into the queue, the queue not at it, its owner is dead: "
				 "recovery empties it");
	if (at_head)
	{
		lock->wait_head = number;
		if (neighbour != NULL)
			neighbour->wait_prev = number;
		else
			lock->wait_tail = number;
	}
	else
	{
		lock->wait_tail = number;
		if (neighbour != NULL)
			neighbour->wait_next = number;
		else
			lock->wait_head = number;
	}
}

static void
unlink_waiter(LWLock *lock, PGPROC *proc)
{
	PGPROC *next = waiter_at(proc->wait_next);
	PGPROC *prev = waiter_at(proc->wait_prev);

	if (prev != NULL)
		prev->wait_next = proc->wait_next;
	else
		lock->wait_head = proc->wait_next;
	INJECT_POINT("lwlock/wakeup/mid-unlink", INJECT_NO_SLEEP,
				 "the list is torn and its owner dead: recovery empties it and wakes all who are "
				 "journalled");
	if (next != NULL)
		next->wait_prev = proc->wait_prev;
	else
		lock->wait_tail = proc->wait_prev;
	/* Release: pairs [LW4]; WAKING and our links are behind us when the waiter sees 0. */
	__atomic_store_n(&proc->wait_lock, 0, __ATOMIC_RELEASE);
}

static HoldfastStatus
enqueue(LWLock *lock, LWLockMode mode, bool at_head, uint64_t flags)
{
	PGPROC *proc = MyProc;

	INJECT_POINT(
		"lwlock/acquire/pre-queue", INJECT_ANYWHERE,
		"QUEUED in the journal, in no queue: recovery recomputes the word and finds nothing");
	/* relaxed: nobody posts us for this wait before we are linked, and a stale post is harmless */
	__atomic_store_n(&proc->wake, WAKE_NONE, __ATOMIC_RELAXED);
	proc->wait_mode = mode;
	if (!queue_lock(lock))
		return HOLDFAST_RESET_NEEDED;
	INJECT_POINT(
		"lwlock/acquire/queue-locked", INJECT_NO_SLEEP,
		"the queue's owner is dead, the list whole: recovery takes the queue over and empties it");
	link_waiter(lock, proc, holdfast_lwlock_local.slot + 1, at_head);
	/* relaxed: the release in queue_unlock() orders it; the word's own order does the rest */
	(void) __atomic_fetch_or(&lock->state, LW_HAS_WAITERS | flags, __ATOMIC_RELAXED);
	INJECT_POINT("lwlock/acquire/linked", INJECT_NO_SLEEP,
				 "linked, and owner of the queue: recovery takes the queue over and empties it");
	queue_unlock(lock, 0);
	INJECT_POINT("lwlock/acquire/queued", INJECT_ANYWHERE,
				 "a corpse stands in the queue: recovery unlinks it and wakes the others");
	return HOLDFAST_OK;
}

/* Takes ourselves out.  False when a waker had already done so: then a wake-up was spent on us. */
static bool
dequeue_self(LWLock *lock)
{
	PGPROC *proc = MyProc;
	bool linked = false;

	/* Acquire pairs [LW4].  Only wakers unlink us behind our back, never link us, so 0 is final. */
	if (__atomic_load_n(&proc->wait_lock, __ATOMIC_ACQUIRE) != 0 && queue_lock(lock))
	{
		INJECT_POINT(
			"lwlock/acquire/dequeue-locked", INJECT_NO_SLEEP,
			"owner of the queue, still linked: recovery takes the queue over and empties it");
		linked = __atomic_load_n(&proc->wait_lock, __ATOMIC_RELAXED) != 0;
		if (linked)
			unlink_waiter(lock, proc);
		queue_unlock(lock, 0);
	}
	if (!linked)
		(void) __atomic_fetch_and(&lock->state, ~LW_WAKING, __ATOMIC_RELAXED);
	return linked;
}

/* ---- waking ---- */

void
holdfast_lwlock_post(PGPROC *proc)
{
	/* Release: whatever made us wake it.  Pairs [LW5] with the acquire exchange in sleep_until_unlinked(). */
	if (__atomic_exchange_n(&proc->wake, WAKE_POSTED, __ATOMIC_RELEASE) == WAKE_ASLEEP)
		(void) syscall(SYS_futex, &proc->wake, FUTEX_WAKE, 1, NULL, NULL, 0);
}

/*
 * Chooses who is to be woken, in queue order.  *somebody tells whether one of them will try to take the lock.
 * only_until_free stops at the first who would.
 */
static uint32_t
choose_waiters(const LWLock *lock, bool only_until_free, uint16_t *chosen, bool *somebody)
{
	uint32_t count = 0;
	uint32_t walked = 0;
	uint32_t number = lock->wait_head;
	const PGPROC *proc;

	*somebody = false;
	for (; (proc = waiter_at(number)) != NULL && walked < holdfast_shmem.nprocs; walked++)
	{
		LWLockMode mode = (LWLockMode) proc->wait_mode;

		if (mode != LW_WAIT_UNTIL_FREE && only_until_free)
			break;
		if (mode != LW_EXCLUSIVE || !*somebody)
			chosen[count++] = (uint16_t) (number - 1);
		if (mode == LW_EXCLUSIVE && !*somebody)
		{
			*somebody = true;
			break;
		}
		if (mode == LW_SHARED)
			*somebody = true;
		number = proc->wait_next;
	}
	return count;
}

/* The queue is ours: unlinks those whose turn it is, gives the queue back, posts them. */
static void
wake_chosen(LWLock *lock, bool only_until_free)
{
	uint16_t chosen[HOLDFAST_PROCS_MAX];
	bool somebody;
	uint32_t count = choose_waiters(lock, only_until_free, chosen, &somebody);

	if (somebody) /* relaxed: ordered before the unlinking by the release store there, [LW4] */
		(void) __atomic_fetch_or(&lock->state, LW_WAKING, __ATOMIC_RELAXED);
	for (uint32_t i = 0; i < count; i++)
		unlink_waiter(lock, &holdfast_shmem.procs[chosen[i]]);
	INJECT_POINT("lwlock/wakeup/popped", INJECT_NO_SLEEP,
				 "waiters unlinked, none posted, queue owned by the corpse: recovery wakes all who "
				 "are journalled");
	queue_unlock(lock, 0);
	for (uint32_t i = 0; i < count; i++)
	{
		INJECT_POINT("lwlock/wakeup/pre-post", INJECT_ANYWHERE,
					 "waiters unlinked, not all posted: recovery wakes all who are journalled");
		holdfast_lwlock_post(&holdfast_shmem.procs[chosen[i]]);
	}
}

void
holdfast_lwlock_wakeup(LWLock *lock)
{
	if (!queue_lock(lock))
		return; /* everybody is about to be restarted */
	INJECT_POINT(
		"lwlock/wakeup/locked", INJECT_NO_SLEEP,
		"the lock is free, its queue owned by the corpse: recovery takes it over and wakes all");
	wake_chosen(lock, false);
}

void
holdfast_lwlock_update_var(LWLock *lock, uint64_t *valptr, uint64_t val)
{
	bool locked = queue_lock(lock);

	INJECT_POINT("lwlock/update-var/locked", INJECT_NO_SLEEP,
				 "the holder died in its section, owning the queue too: recovery takes both back");
	/* Release: what the new value promises.  Pairs [LW6] with the acquire in var_says_wait(). */
	__atomic_store_n(valptr, val, __ATOMIC_RELEASE);
	INJECT_POINT("lwlock/update-var/stored", INJECT_NO_SLEEP,
				 "the value is new, those who wait for it sleep: recovery wakes them");
	if (locked)
		wake_chosen(lock, true);
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

/*
 * Sleeps until a waker, or recovery, has unlinked us.  At growing intervals makes sure that those we wait for
 * live: nobody waits for the dead for ever, supervisor or not.  `handoff` is set in the word when the first interval
 * has passed: sharers that overlap for ever never free the lock, so nobody would wake us.
 */
static HoldfastStatus
sleep_until_unlinked(LWLock *lock, uint64_t deadline_ns, uint64_t handoff)
{
	PGPROC *proc = MyProc;
	uint64_t interval = SLEEP_FIRST_NS;

	INJECT_POINT("lwlock/acquire/pre-sleep", INJECT_ANYWHERE,
				 "a corpse stands in the queue: recovery unlinks it and wakes the others");
	for (;;)
	{
		uint32_t none = WAKE_NONE;
		uint64_t now = holdfast_now_ns();
		uint64_t nap = interval;

		if (now >= deadline_ns)
			return HOLDFAST_TIMED_OUT;
		if (deadline_ns - now < nap)
			nap = deadline_ns - now;
		/* relaxed: the word only decides between sleeping and not */
		if (__atomic_compare_exchange_n(&proc->wake, &none, WAKE_ASLEEP, false, __ATOMIC_RELAXED,
										__ATOMIC_RELAXED))
			futex_sleep(&proc->wake, nap);
		/* Acquire pairs [LW5]; the posted wake-up is spent before we look whether it was meant. */
		bool posted = __atomic_exchange_n(&proc->wake, WAKE_NONE, __ATOMIC_ACQUIRE) == WAKE_POSTED;

		/* Acquire pairs [LW4]. */
		if (__atomic_load_n(&proc->wait_lock, __ATOMIC_ACQUIRE) == 0)
			return HOLDFAST_OK;
		if (posted)
			continue;
		if (holdfast_recover_for_waiter(lock, interval >= SLEEP_FULL_SWEEP_NS) ==
			HOLDFAST_RESET_NEEDED)
			return HOLDFAST_RESET_NEEDED;
		if (handoff != 0 && now + nap < deadline_ns)
			(void) __atomic_fetch_or(&lock->state, handoff, __ATOMIC_RELAXED);
		if (interval < SLEEP_MAX_NS)
			interval *= 2;
	}
}

/* Spins a little while the lock is held; true when it looks worth another try. */
static bool
spin_for_free(const LWLock *lock, LWLockMode mode, uint64_t stops)
{
	uint64_t blocking = mode == LW_EXCLUSIVE ? LW_XOWNER_MASK | LW_SHARED_MASK : LW_XOWNER_MASK;

	for (int i = 0; i < SPINS_BEFORE_QUEUE; i++)
	{
		/* relaxed: only a hint; the attempt that follows orders */
		if ((__atomic_load_n(&lock->state, __ATOMIC_RELAXED) & (blocking | stops)) == 0)
			return true;
		cpu_relax();
	}
	return false;
}

/* Leaves without the lock.  A wake-up that was spent on us must not be lost to the others. */
static HoldfastStatus
give_up(LWLock *lock, HoldfastStatus status)
{
	uint64_t word;

	if (status == HOLDFAST_NOT_RECOVERABLE &&
		__atomic_load_n(&holdfast_shmem.proc_global->reset_needed, __ATOMIC_ACQUIRE))
		status = HOLDFAST_RESET_NEEDED;
	(void) dequeue_self(lock);
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

HoldfastStatus
holdfast_lwlock_acquire_slow(LWLock *lock, LWLockMode mode, LWLockEntry *entry, uint64_t seen,
							 uint64_t deadline_ns)
{
	uint64_t stops = LW_STOPS_NEWCOMER;
	uint32_t wakeups = 0;
	HoldfastStatus status;

	for (;;)
	{
		set_entry(entry, lock, mode, ENTRY_QUEUED);
		if (seen & LW_NOT_RECOVERABLE)
			return give_up(lock, HOLDFAST_NOT_RECOVERABLE);
		if (spin_for_free(lock, mode, stops))
		{
			if (holdfast_lwlock_attempt(lock, mode, entry, stops, &seen))
				break;
			set_entry(entry, lock, mode, ENTRY_QUEUED);
		}
		status = enqueue(lock, mode, wakeups > 0, wakeups >= HANDOFF_AFTER ? LW_HANDOFF : 0);
		if (status < 0)
			return give_up(lock, status);
		if (holdfast_lwlock_attempt(lock, mode, entry, stops, &seen))
		{
			INJECT_POINT(
				"lwlock/acquire/held-linked", INJECT_ANYWHERE,
				"holds the lock and stands in its queue: recovery unlinks it and frees the lock");
			(void) dequeue_self(lock);
			break;
		}
		set_entry(entry, lock, mode, ENTRY_QUEUED);
		status = sleep_until_unlinked(lock, deadline_ns, LW_HANDOFF);
		if (status < 0)
			return give_up(lock, status);
		INJECT_POINT(
			"lwlock/acquire/woken", INJECT_ANYWHERE,
			"WAKING is set and nobody is on the way: recovery clears it and wakes the others");
		(void) __atomic_fetch_and(&lock->state, ~LW_WAKING, __ATOMIC_RELAXED);
		wakeups++;
		stops = LW_STOPS_WOKEN;
		if (holdfast_lwlock_attempt(lock, mode, entry, stops, &seen))
			break;
	}
	/* Another who was passed over, and still waits, asks again when its next interval has passed. */
	if (__atomic_load_n(&lock->state, __ATOMIC_RELAXED) & LW_HANDOFF)
		(void) __atomic_fetch_and(&lock->state, ~LW_HANDOFF, __ATOMIC_RELAXED);
	return acquired_status(seen, wakeups > 0 ? HOLDFAST_WAITED : HOLDFAST_OK);
}

HoldfastStatus
holdfast_lwlock_acquire_or_wait_slow(LWLock *lock, LWLockMode mode, LWLockEntry *entry)
{
	uint64_t seen;
	HoldfastStatus status;

	set_entry(entry, lock, mode, ENTRY_QUEUED);
	status = enqueue(lock, LW_WAIT_UNTIL_FREE, true, 0);
	if (status < 0)
		return give_up(lock, status);
	/* The next release must look at the queue, even when a woken waiter is on its way. */
	(void) __atomic_fetch_and(&lock->state, ~LW_WAKING, __ATOMIC_RELAXED);
	if (holdfast_lwlock_attempt(lock, mode, entry, LW_STOPS_NEWCOMER, &seen))
	{
		(void) dequeue_self(lock);
		return acquired_status(seen, HOLDFAST_OK);
	}
	set_entry(entry, lock, mode, ENTRY_QUEUED);
	if (seen & LW_NOT_RECOVERABLE)
		return give_up(lock, HOLDFAST_NOT_RECOVERABLE);
	status = sleep_until_unlinked(lock, DEADLINE_NEVER, 0);
	return status < 0 ? give_up(lock, status) : HOLDFAST_BUSY;
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
	/* Acquire pairs [LW6] with the release in holdfast_lwlock_update_var(). */
	value = __atomic_load_n(valptr, __ATOMIC_ACQUIRE);
	if (value == oldval)
		return HOLDFAST_BUSY;
	*newval = value;
	return HOLDFAST_CHANGED;
}

HoldfastStatus
holdfast_lwlock_wait_for_var(LWLock *lock, LWLockEntry *entry, uint64_t *valptr, uint64_t oldval,
							 uint64_t *newval)
{
	for (;;)
	{
		HoldfastStatus status = var_says(lock, valptr, oldval, newval);

		if (status != HOLDFAST_BUSY)
			return status;
		set_entry(entry, lock, LW_WAIT_UNTIL_FREE, ENTRY_QUEUED);
		status = enqueue(lock, LW_WAIT_UNTIL_FREE, true, 0);
		if (status < 0)
			return give_up(lock, status);
		(void) __atomic_fetch_and(&lock->state, ~LW_WAKING, __ATOMIC_SEQ_CST);
		status = var_says(lock, valptr, oldval, newval);
		if (status != HOLDFAST_BUSY)
		{
			(void) dequeue_self(lock);
			return status;
		}
		status = sleep_until_unlinked(lock, DEADLINE_NEVER, 0);
		if (status < 0)
			return give_up(lock, status);
	}
}
