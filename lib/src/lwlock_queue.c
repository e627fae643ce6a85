/*
 * lwlock_queue.c
 *		Lightweight locks: the wait queue, its owner, and waking.
 *
 * The queue belongs to whom the word names as its owner, for some instructions.  Everybody else
 *		to wake		asks the owner: WAKE_WANTED is set while the word names one, and the owner may not let go before it
 *					has woken in the asker's stead.  So a release never waits for anybody.
 *		to enter	waits for the owner, but not long: who cannot queue looks at the lock again and again instead.
 *		to leave	the same; who cannot leave stays linked, as one that is passed over, and a journal place of its own
 *					(JOURNAL_LINK) names the lock until the link is out.
 * An owner that is dead is recovered; one that is stopped costs those who queue behind it their sleep, not their progress.
 *
 * WAKING is set before the first waiter is unlinked, so a waiter that finds itself unlinked, by whatever wake-up,
 * clears it after it was set.  Whoever is linked when the queue owner dies may be lost from the list: the queue is
 * only a cache of the journals, and recovery empties it and wakes everybody whose journal names the lock.
 *
 * Which waiters are woken is PostgreSQL's choice: those who only want to know that it came free; then all the
 * sharers, or the first exclusive one.  While somebody holds the lock exclusively, the first kind only.
 *
 * Slot numbers read from the queue are input: out of range ends the list, and no walk is longer than there are slots.
 */
#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "inject_point.h"
#include "lwlock_queue.h"

#define QUEUE_SPINS            200
#define QUEUE_SLEEPS_PER_CHECK 16
#define QUEUE_LEAVE_NS         UINT64_C(2000000) /* a link that is left does no harm: leave it soon */

static inline PGPROC *
waiter_at(uint32_t number) /* slot + 1; NULL for 0 and for what cannot be */
{
	return number - 1 < holdfast_shmem.nprocs ? &holdfast_shmem.procs[number - 1] : NULL;
}

static inline uint64_t
my_queue_bits(void)
{
	return (uint64_t) (holdfast_lwlock_local.slot + 1) << LW_QOWNER_SHIFT;
}

/* ---- the queue owner ---- */

static bool
queue_try_lock(LWLock *lock)
{
	uint64_t word = __atomic_load_n(&lock->state, __ATOMIC_RELAXED);

	while ((word & LW_QOWNER_MASK) == 0)
	{
		/* Acquire pairs [LW3] with the release in unlock_unless_asked(): the list as its last owner left it. */
		if (__atomic_compare_exchange_n(&lock->state, &word, word | my_queue_bits(), true,
										__ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
			return true;
	}
	return false;
}

/*
 * Takes the right to change the queue, of which the dead are relieved.  HOLDFAST_BUSY: a living owner did not let go
 * until `deadline_ns`.  HOLDFAST_RESET_NEEDED: nor will it, the cluster is to be reset.
 */
static HoldfastStatus
queue_lock(LWLock *lock, uint64_t deadline_ns)
{
	const struct timespec pause = {.tv_nsec = 50000};

	for (uint32_t round = 0;; round++)
	{
		bool late;

		if (queue_try_lock(lock))
			return HOLDFAST_OK;
		if (round == 0)
			lwlock_count(lock, spin_delayed);
		if (round < QUEUE_SPINS)
		{
			cpu_relax();
			continue;
		}
		if (round < 2 * QUEUE_SPINS)
		{
			(void) sched_yield();
			continue;
		}
		late = holdfast_now_ns() >= deadline_ns;
		if ((late || round % QUEUE_SLEEPS_PER_CHECK == 0) &&
			holdfast_recover_for_waiter(lock, false, deadline_ns) == HOLDFAST_RESET_NEEDED)
			return HOLDFAST_RESET_NEEDED;
		if (late)
			return queue_try_lock(lock) ? HOLDFAST_OK : HOLDFAST_BUSY;
		(void) nanosleep(&pause, NULL);
	}
}

/* False when somebody has asked for a wake-up, which is owed first. */
static bool
unlock_unless_asked(LWLock *lock)
{
	uint64_t clear = LW_QOWNER_MASK | (lock->wait_head == 0 ? LW_HAS_WAITERS : 0);
	uint64_t word = __atomic_load_n(&lock->state, __ATOMIC_RELAXED);

	do
	{
		if (word & LW_WAKE_WANTED)
			return false;
		/* Release pairs [LW3] with the acquire in queue_try_lock(). */
	} while (!__atomic_compare_exchange_n(&lock->state, &word, word & ~clear, true,
										  __ATOMIC_RELEASE, __ATOMIC_RELAXED));
	return true;
}

static void wake_and_unlock(LWLock *lock);

static inline void
queue_unlock(LWLock *lock)
{
	if (unlikely(!unlock_unless_asked(lock)))
		wake_and_unlock(lock);
}

/* ---- the list; all under the queue owner ---- */

static void
link_waiter(LWLock *lock, PGPROC *proc, uint32_t number, bool at_head)
{
	PGPROC *neighbour = waiter_at(at_head ? lock->wait_head : lock->wait_tail);

	proc->wait_next = at_head ? lock->wait_head : 0;
	proc->wait_prev = at_head ? 0 : lock->wait_tail;
	/* Release: links before the mark.  Pairs [LW4] with the acquire load of a waiter's look at its own link. */
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

/* ---- entering and leaving ---- */

/* Acquire pairs [LW4].  Others only unlink us, never link us, so false is final. */
static bool
i_am_linked(const LWLock *lock)
{
	return __atomic_load_n(&MyProc->wait_lock, __ATOMIC_ACQUIRE) == shmem_offset(lock);
}

HoldfastStatus
holdfast_queue_enter(LWLock *lock, LWLockMode mode, bool at_head, uint64_t flags,
					 uint64_t deadline_ns)
{
	PGPROC *proc = MyProc;
	uint64_t patience = holdfast_now_ns() + QUEUE_PATIENCE_NS;
	HoldfastStatus status;

	if (patience > deadline_ns)
		patience = deadline_ns;
	INJECT_POINT(
		"lwlock/acquire/pre-queue", INJECT_ANYWHERE,
		"QUEUED in the journal, in no queue: recovery recomputes the word and finds nothing");
	if (!holdfast_queue_settle(patience))
		return HOLDFAST_BUSY;
	/* relaxed: nobody posts us for this wait before we are linked, and a stale post is harmless */
	__atomic_store_n(&proc->wake, WAKE_NONE, __ATOMIC_RELAXED);
	__atomic_store_n(&proc->wait_mode, (uint32_t) mode, __ATOMIC_RELAXED);
	status = queue_lock(lock, patience);
	if (status != HOLDFAST_OK)
		return status;
	INJECT_POINT(
		"lwlock/acquire/queue-locked", INJECT_NO_SLEEP,
		"the queue's owner is dead, the list whole: recovery takes the queue over and empties it");
	link_waiter(lock, proc, holdfast_lwlock_local.slot + 1, at_head);
	/* relaxed: the release in queue_unlock() orders it; the word's own order does the rest */
	(void) __atomic_fetch_or(&lock->state, LW_HAS_WAITERS | flags, __ATOMIC_RELAXED);
	INJECT_POINT("lwlock/acquire/linked", INJECT_NO_SLEEP,
				 "linked, and owner of the queue: recovery takes the queue over and empties it");
	queue_unlock(lock);
	INJECT_POINT("lwlock/acquire/queued", INJECT_ANYWHERE,
				 "a corpse stands in the queue: recovery unlinks it and wakes the others");
	return HOLDFAST_OK;
}

/* Who is not linked any more had a wake-up spent on it. */
static void
wakeup_was_spent(LWLock *lock)
{
	(void) __atomic_fetch_and(&lock->state, ~LW_WAKING, __ATOMIC_RELAXED);
}

/* The queue is ours. */
static void
unlink_self_and_unlock(LWLock *lock)
{
	bool linked = i_am_linked(lock);

	INJECT_POINT("lwlock/acquire/dequeue-locked", INJECT_NO_SLEEP,
				 "owner of the queue, still linked: recovery takes the queue over and empties it");
	if (linked)
	{
		unlink_waiter(lock, MyProc);
		lwlock_count(lock, dequeued_self);
	}
	queue_unlock(lock);
	if (!linked)
		wakeup_was_spent(lock);
}

void
holdfast_queue_leave(LWLock *lock)
{
	if (!i_am_linked(lock))
	{
		wakeup_was_spent(lock);
		return;
	}
	if (queue_lock(lock, holdfast_now_ns() + QUEUE_LEAVE_NS) == HOLDFAST_OK)
	{
		unlink_self_and_unlock(lock);
		return;
	}
	/*
	 * To a waker that chose us before this, we are one who will try: WAKING may stay behind.  Those who sleep clear it
	 * when they find the lock free and themselves not woken.
	 */
	__atomic_store_n(&MyProc->wait_mode, LW_WAIT_UNTIL_FREE, __ATOMIC_RELAXED);
	/* Release pairs [LW1].  Before the caller's own entry goes. */
	__atomic_store_n(&MyProc->entry[JOURNAL_LINK],
					 ENTRY_MAKE(shmem_offset(lock), LW_WAIT_UNTIL_FREE, ENTRY_QUEUED),
					 __ATOMIC_RELEASE);
	INJECT_POINT("lwlock/acquire/link-left", INJECT_ANYWHERE,
				 "gone without the lock, still linked: JOURNAL_LINK names it, recovery unlinks");
}

bool
holdfast_queue_settle(uint64_t deadline_ns)
{
	LWLockEntry left = MyProc->entry[JOURNAL_LINK];
	LWLock *lock;
	uint64_t word;

	if (likely(left == 0))
		return true;
	lock = (LWLock *) shmem_address(ENTRY_OFFSET(left));
	if (i_am_linked(lock))
	{
		if (queue_lock(lock, deadline_ns) != HOLDFAST_OK)
			return false;
		unlink_self_and_unlock(lock);
	}
	else
		wakeup_was_spent(lock);
	word = __atomic_load_n(&lock->state, __ATOMIC_RELAXED);
	if (lw_is_free(word) && (word & LW_HAS_WAITERS))
		holdfast_lwlock_wakeup(lock);
	__atomic_store_n(&MyProc->entry[JOURNAL_LINK], 0, __ATOMIC_RELEASE); /* [LW1] */
	return true;
}

/* ---- waking ---- */

void
holdfast_lwlock_post(PGPROC *proc, bool surely)
{
	/* Release: whatever made us wake it.  Pairs [LW5] with the acquire exchange of the waiter. */
	if (__atomic_exchange_n(&proc->wake, WAKE_POSTED, __ATOMIC_RELEASE) == WAKE_ASLEEP || surely)
		(void) syscall(SYS_futex, &proc->wake, FUTEX_WAKE, 1, NULL, NULL, 0);
}

/*
 * Adds to chosen[count...] who is to be woken, in queue order, and returns the new count.  *somebody tells whether one
 * of them will try to take the lock.  only_until_free stops at the first who would.
 */
static uint32_t
choose_waiters(const LWLock *lock, bool only_until_free, uint16_t *chosen, uint32_t count,
			   bool *somebody)
{
	uint32_t number = lock->wait_head;
	const PGPROC *proc;

	*somebody = false;
	for (uint32_t walked = 0; (proc = waiter_at(number)) != NULL &&
							  walked < holdfast_shmem.nprocs && count < holdfast_shmem.nprocs;
		 walked++)
	{
		LWLockMode mode = (LWLockMode) __atomic_load_n(&proc->wait_mode, __ATOMIC_RELAXED);

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
static __attribute__((noinline)) void
wake_and_unlock(LWLock *lock)
{
	uint16_t chosen[HOLDFAST_PROCS_MAX];
	uint32_t count = 0;

	do
	{
		/* Acquire pairs [LW7]: what the asker did before it asked. */
		uint64_t word = __atomic_fetch_and(&lock->state, ~LW_WAKE_WANTED, __ATOMIC_ACQUIRE);
		uint32_t first = count;
		bool somebody;

		/* Of no use to those who want it while somebody has it: that one's release looks after them. */
		count = choose_waiters(lock, (word & LW_XOWNER_MASK) != 0, chosen, count, &somebody);
		if (somebody) /* relaxed: ordered before the unlinking by the release store there, [LW4] */
			(void) __atomic_fetch_or(&lock->state, LW_WAKING, __ATOMIC_RELAXED);
		for (uint32_t i = first; i < count; i++)
			unlink_waiter(lock, &holdfast_shmem.procs[chosen[i]]);
		INJECT_POINT("lwlock/wakeup/popped", INJECT_NO_SLEEP,
					 "waiters unlinked, none posted, queue owned by the corpse: recovery wakes all "
					 "who are journalled");
	} while (!unlock_unless_asked(lock));
	for (uint32_t i = 0; i < count; i++)
	{
		INJECT_POINT("lwlock/wakeup/pre-post", INJECT_ANYWHERE,
					 "waiters unlinked, not all posted: recovery wakes all who are journalled");
		holdfast_lwlock_post(&holdfast_shmem.procs[chosen[i]], false);
	}
}

/* Wakes those whose turn it is, or has the queue's owner do it.  Never waits. */
void
holdfast_lwlock_wakeup(LWLock *lock)
{
	uint64_t word = __atomic_load_n(&lock->state, __ATOMIC_RELAXED);
	bool taken;

	do
	{
		taken = (word & LW_QOWNER_MASK) == 0;
		/* Acquire pairs [LW3].  Release pairs [LW7]: the value that a variable's waiters will look at. */
	} while (!__atomic_compare_exchange_n(&lock->state, &word,
										  word | (taken ? my_queue_bits() : LW_WAKE_WANTED), true,
										  __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
	if (!taken)
		return; /* it is the owner's duty now, whose journal names the lock as well */
	INJECT_POINT(
		"lwlock/wakeup/locked", INJECT_NO_SLEEP,
		"the lock is free, its queue owned by the corpse: recovery takes it over and wakes all");
	wake_and_unlock(lock);
}
