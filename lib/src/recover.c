/*
 * recover.c
 *		Returns to service the locks and the slots of the dead.
 *
 * One recoverer works at a time: recovery_owner in ProcGlobal names its slot, and may be taken from it when it is dead.
 * Its work, each step idempotent, so that the next recoverer just starts again:
 *		1 mark slots DEAD whose owner the kernel says is gone
 *		2 for each lock that a dead journal names, recover_lock():
 *			a set RECOVERING: nobody acquires
 *			b wait until no living journal is ambiguous about the lock (PENDING or RELEASING, shared)
 *			c take the queue over, also from the dead; empty it
 *			d recompute the word: living exclusive owner, shared holds counted from living journals; if the
 *			  exclusive owner is dead, first apply the tranche's policy to the data
 *			e wake every living process whose journal names the lock
 *			f clear the entries for it of those who were dead in d
 *		3 free dead slots, when every dead journal is empty
 *
 * Invariants: RECOVERING is set only while a dead journal names the lock (cleared in d, journals in f).  The queue is a
 * cache of journals.  Counts are recomputed, never decremented.  Only the owner writes a living slot's journal; only the
 * recovery owner writes a dead one's.
 *
 * The waits on the living are b, and in c for a living queue owner: some instructions for a running process, but one that
 * is stopped there makes us give up at the deadline, with RECOVERING still set; nothing is lost, and the next call goes
 * on.  The segment remembers since when no recovery was finished; at stopped_limit_us the cluster is to be reset.
 *
 * Safety: any thread with a slot that holds no queue; not async-signal-safe.
 */
#include <sched.h>
#include <string.h>
#include <time.h>

#include <holdfast/recovery.h>

#include "inject_point.h"
#include "lwlock_internal.h"
#include "report.h"

#define WAITER_DEADLINE_NS                                                                         \
	UINT64_C(100000000) /* what a waiter spends on recovering, at most, before it sleeps again */

typedef struct Recovery
{
	uint64_t deadline_ns;
	pid_t dead_pid; /* only its slots are looked at; 0: every slot */
	HoldfastRecovery result;
} Recovery;

/* ---- who is dead ---- */

/* A look at the life of a slot that was LIVE or CLAIMED in `life`. */
static bool
owner_is_gone(const Recovery *recovery, uint32_t slot, uint64_t life)
{
	const PGPROC *proc = &holdfast_shmem.procs[slot];
	pid_t pid = PROC_PID(life);
	uint64_t start_time;

	if (slot == holdfast_lwlock_local.slot)
		return false;
	if (recovery->dead_pid != 0 && pid != recovery->dead_pid)
		return false;
	/* Also of a process that the caller has reaped: another may have its number, and a slot, by now. */
	start_time = PROC_STATE(life) == PROC_LIVE
					 ? __atomic_load_n(&proc->start_time, __ATOMIC_RELAXED)
					 : 0; /* not written yet: only a vanished PID is proof */
	return holdfast_process_is_dead(pid, start_time);
}

/* Marks the slot DEAD if its owner is gone.  True when it is dead, by us or before. */
static bool
mark_if_dead(const Recovery *recovery, uint32_t slot)
{
	PGPROC *proc = &holdfast_shmem.procs[slot];
	/* Acquire pairs [PR1] with the release that made it LIVE: start_time is there. */
	uint64_t life = __atomic_load_n(&proc->life, __ATOMIC_ACQUIRE);
	uint64_t dead;

	if (PROC_STATE(life) == PROC_DEAD)
		return true;
	if (PROC_STATE(life) == PROC_FREE || !owner_is_gone(recovery, slot, life))
		return false;
	INJECT_POINT("recover/slot/judged", INJECT_ANYWHERE,
				 "known to be dead, not marked so: the next recoverer asks the kernel again");
	/*
	 * Fails if a waiter has marked it meanwhile, then it is ours to recover all the same; or if the slot began another life,
	 * then it is not the one that was judged.
	 */
	dead = PROC_WORD(PROC_GENERATION(life), PROC_PID(life), PROC_DEAD);
	return __atomic_compare_exchange_n(&proc->life, &life, dead, false, __ATOMIC_ACQ_REL,
									   __ATOMIC_ACQUIRE) ||
		   life == dead;
}

static bool
slot_state_is(uint32_t number, ProcSlotState state) /* number: slot + 1 */
{
	return number - 1 < holdfast_shmem.nprocs &&
		   PROC_STATE(__atomic_load_n(&holdfast_shmem.procs[number - 1].life, __ATOMIC_ACQUIRE)) ==
			   state;
}

/* ---- the recovery owner ---- */

static void
pause_us(long us)
{
	struct timespec pause = {.tv_nsec = us * 1000};

	(void) nanosleep(&pause, NULL);
}

static HoldfastStatus
become_recoverer(Recovery *recovery)
{
	uint32_t mine = holdfast_lwlock_local.slot + 1;
	uint32_t *word = &holdfast_shmem.proc_global->recovery_owner;
	const Recovery anybody = {.dead_pid = 0};

	for (;;)
	{
		uint32_t owner = __atomic_load_n(word, __ATOMIC_RELAXED);
		bool free = owner == 0 || owner > holdfast_shmem.nprocs ||
					slot_state_is(owner, PROC_FREE) || mark_if_dead(&anybody, owner - 1);

		/* Acquire pairs [RC1] with the release in stop_recovering(). */
		if (free && __atomic_compare_exchange_n(word, &owner, mine, false, __ATOMIC_ACQUIRE,
												__ATOMIC_RELAXED))
			return HOLDFAST_OK;
		if (free)
			continue;
		if (holdfast_now_ns() >= recovery->deadline_ns)
		{
			recovery->result.stopped_slot = (int) owner - 1;
			return HOLDFAST_TIMED_OUT;
		}
		pause_us(50);
	}
}

static void
stop_recovering(void)
{
	__atomic_store_n(&holdfast_shmem.proc_global->recovery_owner, 0, __ATOMIC_RELEASE); /* [RC1] */
}

/* ---- one lock ---- */

/* Slots that were DEAD when the word was recomputed, a bit each. */
typedef struct DeadSlots
{
	uint64_t bits[(HOLDFAST_PROCS_MAX + 63) / 64];
} DeadSlots;

static LWLockEntry
journal_at(uint32_t slot, uint32_t place)
{
	/* Acquire pairs [LW1]: an entry seen is an entry whose consequences are seen. */
	return __atomic_load_n(&holdfast_shmem.procs[slot].entry[place], __ATOMIC_ACQUIRE);
}

static bool
is_ambiguous(LWLockEntry entry, uint64_t offset)
{
	return ENTRY_OFFSET(entry) == offset && ENTRY_MODE(entry) == LW_SHARED &&
		   (ENTRY_KIND(entry) == ENTRY_PENDING || ENTRY_KIND(entry) == ENTRY_RELEASING);
}

/*
 * The shared holds of the living, and who is dead.  False when one of the living stands in a window: *culprit is its slot.
 * Our own slot takes part like any other; it is never in a window here.
 */
static bool
count_living_sharers(uint64_t offset, uint64_t *count, DeadSlots *dead, uint32_t *culprit)
{
	*count = 0;
	*dead = (DeadSlots){{0}};
	for (uint32_t slot = 0; slot < holdfast_shmem.nprocs; slot++)
	{
		uint64_t life = __atomic_load_n(&holdfast_shmem.procs[slot].life, __ATOMIC_ACQUIRE);

		if (PROC_STATE(life) == PROC_DEAD)
			dead->bits[slot / 64] |= UINT64_C(1) << slot % 64;
		if (PROC_STATE(life) != PROC_LIVE)
			continue;
		for (uint32_t i = 0; i < JOURNAL_SIZE; i++)
		{
			LWLockEntry entry = journal_at(slot, i);

			if (is_ambiguous(entry, offset))
			{
				*culprit = slot;
				return false;
			}
			if (entry == ENTRY_MAKE(offset, LW_SHARED, ENTRY_HELD))
				(*count)++;
		}
	}
	return true;
}

/* A window takes its process some instructions: spin, then yield, then nap until it is out, dead or late. */
static bool
wait_out_window(Recovery *recovery, uint32_t slot, uint32_t round)
{
	Recovery anybody = {.dead_pid = 0};

	if (round < 100)
	{
		cpu_relax();
		return true;
	}
	if (round < 120)
	{
		(void) sched_yield();
		return true;
	}
	if (mark_if_dead(&anybody, slot))
		return true; /* it no longer counts */
	if (holdfast_now_ns() >= recovery->deadline_ns)
	{
		recovery->result.stopped_slot = (int) slot;
		return false;
	}
	pause_us(50);
	return true;
}

static bool
take_queue(Recovery *recovery, LWLock *lock)
{
	uint64_t mine = (uint64_t) (holdfast_lwlock_local.slot + 1) << LW_QOWNER_SHIFT;
	uint64_t word = __atomic_load_n(&lock->state, __ATOMIC_RELAXED);

	for (uint32_t round = 0;; round++)
	{
		uint32_t owner = lw_qowner(word);

		if (owner == 0 || owner > holdfast_shmem.nprocs || !slot_state_is(owner, PROC_LIVE))
		{
			/* Acquire pairs [LW3] with queue_unlock(); from the dead, with nothing: we believe none of the list. */
			if (__atomic_compare_exchange_n(&lock->state, &word, (word & ~LW_QOWNER_MASK) | mine,
											false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
				return true;
			continue;
		}
		if (!wait_out_window(recovery, owner - 1, round))
			return false;
		word = __atomic_load_n(&lock->state, __ATOMIC_RELAXED);
	}
}

static void
drop_queue(LWLock *lock)
{
	(void) __atomic_fetch_and(&lock->state, ~LW_QOWNER_MASK, __ATOMIC_RELEASE); /* [LW3] */
}

static void
empty_queue(LWLock *lock, uint64_t offset)
{
	for (uint32_t slot = 0; slot < holdfast_shmem.nprocs; slot++)
	{
		PGPROC *proc = &holdfast_shmem.procs[slot];

		if (__atomic_load_n(&proc->wait_lock, __ATOMIC_RELAXED) == offset)
			__atomic_store_n(&proc->wait_lock, 0, __ATOMIC_RELEASE); /* [LW4] */
	}
	lock->wait_head = 0;
	lock->wait_tail = 0;
	INJECT_POINT("recover/lock/queue-emptied", INJECT_NO_SLEEP,
				 "RECOVERING, queue owned by a dead recoverer, waiters unlinked and asleep: the "
				 "next one starts again");
}

/* The exclusive owner is dead: what becomes of the data.  Returns flags for the word. */
static uint64_t
apply_policy(Recovery *recovery, LWLock *lock, uint32_t dead_owner)
{
	LWLockRepair repair;
	void *arg;
	LWLockPolicy policy = holdfast_tranche_policy(lock->tranche, &repair, &arg);

	if (policy == LWLOCK_RESET)
	{
		__atomic_store_n(&holdfast_shmem.proc_global->reset_needed, 1, __ATOMIC_RELEASE);
		return LW_NOT_RECOVERABLE;
	}
	/* An owner beyond the slots is somebody's scribble: a callback could not make sense of it. */
	if (policy == LWLOCK_REPAIR && repair != NULL && dead_owner <= holdfast_shmem.nprocs &&
		repair(lock, (int) dead_owner - 1, arg))
	{
		INJECT_POINT("recover/lock/repaired", INJECT_NO_SLEEP,
					 "the data is mended, the word still names the dead owner: the next recoverer "
					 "mends again");
		recovery->result.locks_repaired++;
		return 0;
	}
	recovery->result.locks_poisoned++;
	return LW_POISONED;
}

/*
 * b, c and d of the header comment.  The queue is ours when this returns true, and the word is recomputed by the same
 * compare-and-swap that gives the queue back.
 */
static bool
recompute_word(Recovery *recovery, LWLock *lock, uint64_t offset, DeadSlots *dead)
{
	for (uint32_t round = 0;;)
	{
		uint64_t word = __atomic_load_n(&lock->state, __ATOMIC_ACQUIRE);
		uint64_t shared;
		uint32_t culprit;
		uint32_t owner = lw_xowner(word);
		uint64_t flags = word & (LW_POISONED | LW_NOT_RECOVERABLE);

		if (!count_living_sharers(offset, &shared, dead, &culprit))
		{
			if (!wait_out_window(recovery, culprit, round++))
				return false;
			continue;
		}
		if (owner != 0 && !slot_state_is(owner, PROC_LIVE))
		{
			/* It may have released and left between our two looks.  It frees its slot last: then the word is another. */
			if (lw_xowner(__atomic_load_n(&lock->state, __ATOMIC_RELAXED)) != owner)
				continue;
			flags |= apply_policy(recovery, lock, owner);
			owner = 0;
		}
		/*
		 * acq_rel.  Acquire: the journals were read under this very word.  Release pairs [LW2] and [LW3]: the mended
		 * data and the empty queue before the word that lets others in.
		 */
		if (__atomic_compare_exchange_n(&lock->state, &word,
										shared | flags | ((uint64_t) owner << LW_XOWNER_SHIFT),
										false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
			return true;
	}
}

static bool
names_lock(uint32_t slot, uint64_t offset)
{
	for (uint32_t i = 0; i < JOURNAL_SIZE; i++)
	{
		LWLockEntry entry = journal_at(slot, i);

		if (entry != 0 && ENTRY_OFFSET(entry) == offset)
			return true;
	}
	return false;
}

static void
wake_all_who_name(uint64_t offset)
{
	for (uint32_t slot = 0; slot < holdfast_shmem.nprocs; slot++)
	{
		if (!slot_state_is(slot + 1, PROC_LIVE) || !names_lock(slot, offset))
			continue;
		INJECT_POINT("recover/lock/mid-wake", INJECT_ANYWHERE,
					 "the lock is in service, not all waiters are woken: dead journals still name "
					 "it, the next one wakes all");
		holdfast_lwlock_post(&holdfast_shmem.procs[slot], true);
	}
}

/*
 * Only of those who were dead to the recomputed word.  A waiter may have marked another meanwhile, who was counted as
 * living: his entries still owe a recovery.
 */
static void
clear_dead_entries(uint64_t offset, const DeadSlots *dead)
{
	for (uint32_t slot = 0; slot < holdfast_shmem.nprocs; slot++)
	{
		if ((dead->bits[slot / 64] >> slot % 64 & 1) == 0)
			continue;
		for (uint32_t i = 0; i < JOURNAL_SIZE; i++)
		{
			if (ENTRY_OFFSET(journal_at(slot, i)) == offset)
				__atomic_store_n(&holdfast_shmem.procs[slot].entry[i], 0, __ATOMIC_RELEASE);
		}
		INJECT_POINT("recover/lock/mid-clear", INJECT_ANYWHERE,
					 "the lock is in service, some dead journals still name it: the next recoverer "
					 "does it again");
	}
}

static HoldfastStatus
recover_lock(Recovery *recovery, uint64_t offset)
{
	LWLock *lock = (LWLock *) shmem_address(offset);
	DeadSlots dead;

	/* Acquire and release: everybody's journal store that came before it is visible after it, [LW1]. */
	(void) __atomic_fetch_or(&lock->state, LW_RECOVERING, __ATOMIC_ACQ_REL);
	INJECT_POINT("recover/lock/recovering", INJECT_ANYWHERE,
				 "RECOVERING is set and its setter dead: dead journals name the lock, the next "
				 "recoverer goes on");
	if (!take_queue(recovery, lock))
		return HOLDFAST_TIMED_OUT;
	INJECT_POINT("recover/lock/queue-taken", INJECT_NO_SLEEP,
				 "RECOVERING, queue owned by a dead recoverer: the next one takes both over");
	empty_queue(lock, offset);
	if (!recompute_word(recovery, lock, offset, &dead))
	{
		drop_queue(lock);
		return HOLDFAST_TIMED_OUT;
	}
	INJECT_POINT("recover/lock/recomputed", INJECT_ANYWHERE,
				 "the lock is in service, its waiters asleep in no queue: dead journals still name "
				 "it, the next one wakes");
	wake_all_who_name(offset);
	clear_dead_entries(offset, &dead);
	(void) __atomic_fetch_add(&lock->recoveries, 1, __ATOMIC_RELAXED);
	recovery->result.locks_recovered++;
	return HOLDFAST_OK;
}

/* ---- slots ---- */

static bool
entry_is_sane(LWLockEntry entry)
{
	return ENTRY_OFFSET(entry) % _Alignof(LWLock) == 0 &&
		   ENTRY_OFFSET(entry) >= sizeof(PGShmemHeader) &&
		   ENTRY_OFFSET(entry) + sizeof(LWLock) <= holdfast_shmem.size;
}

/* Works off the journal of a dead slot. */
static HoldfastStatus
recover_slot(Recovery *recovery, uint32_t slot)
{
	PGPROC *proc = &holdfast_shmem.procs[slot];

	INJECT_POINT("recover/slot/dead", INJECT_ANYWHERE,
				 "a slot is DEAD with its journal unworked: the next recoverer finds it so");
	for (uint32_t i = 0; i < JOURNAL_SIZE; i++)
	{
		LWLockEntry entry = journal_at(slot, i);
		HoldfastStatus status;

		if (entry == 0)
			continue;
		if (!entry_is_sane(entry)) /* somebody else wrote it: there is no lock to recover */
		{
			__atomic_store_n(&proc->entry[i], 0, __ATOMIC_RELEASE);
			continue;
		}
		status = recover_lock(recovery, ENTRY_OFFSET(entry));
		if (status < 0)
			return status;
	}
	return HOLDFAST_OK;
}

static bool
is_worked_off(uint32_t slot)
{
	for (uint32_t i = 0; i < MAX_SIMUL_LWLOCKS; i++)
	{
		if (journal_at(slot, i) != 0)
			return false;
	}
	return true;
}

static void
free_slot(Recovery *recovery, uint32_t slot)
{
	PGPROC *proc = &holdfast_shmem.procs[slot];
	uint64_t life = __atomic_load_n(&proc->life, __ATOMIC_RELAXED);

	/* relaxed: the release below publishes it with the freedom of the slot */
	__atomic_store_n(&proc->start_time, 0, __ATOMIC_RELAXED);
	INJECT_POINT("recover/slot/pre-free", INJECT_ANYWHERE,
				 "an empty slot is still DEAD: the next recoverer frees it");
	/* Release pairs [PR2] with the acquire of the next claim in proc.c. */
	__atomic_store_n(&proc->life, PROC_WORD(PROC_GENERATION(life), 0, PROC_FREE), __ATOMIC_RELEASE);
	recovery->result.dead_slots++;
}

static HoldfastStatus
recover_all(Recovery *recovery)
{
	HoldfastStatus status = HOLDFAST_OK;
	bool any = false;

	/* All deaths first: a lock is recomputed once for all of its dead. */
	for (uint32_t slot = 0; slot < holdfast_shmem.nprocs; slot++)
		any = mark_if_dead(recovery, slot) || any;
	for (uint32_t slot = 0; any && slot < holdfast_shmem.nprocs && status == HOLDFAST_OK; slot++)
	{
		if (slot_state_is(slot + 1, PROC_DEAD))
			status = recover_slot(recovery, slot);
	}
	/*
	 * Only now: a recoverer that died may still own the queue of a lock which its own journal never named.  In the hands of
	 * the living its slot's number there would be obeyed.
	 */
	for (uint32_t slot = 0; any && slot < holdfast_shmem.nprocs && status == HOLDFAST_OK; slot++)
	{
		if (slot_state_is(slot + 1, PROC_DEAD) && is_worked_off(slot))
			free_slot(recovery, slot);
	}
	return status;
}

/* ---- who stands in the way ---- */

/*
 * A recovery gave up because of a living slot.  All recoverers share one memory of since when none was finished, so that
 * it does not matter who comes back, nor for whom it waits.  HOLDFAST_RESET_NEEDED when that was too long ago.
 */
static HoldfastStatus
bear_with_it(void)
{
	ProcGlobalData *global = holdfast_shmem.proc_global;
	uint64_t limit_us = __atomic_load_n(&global->stopped_limit_us, __ATOMIC_RELAXED);
	uint64_t now_us = holdfast_now_ns() / 1000;
	uint64_t since_us = 0;

	if (limit_us == 0)
		limit_us = HOLDFAST_STOPPED_LIMIT_US;
	/* relaxed: a clock, it orders nothing */
	if (__atomic_compare_exchange_n(&global->unfinished_since_us, &since_us, now_us, false,
									__ATOMIC_RELAXED, __ATOMIC_RELAXED) ||
		now_us < since_us || now_us - since_us < limit_us)
		return HOLDFAST_TIMED_OUT;
	__atomic_store_n(&global->reset_needed, 1, __ATOMIC_RELEASE);
	return HOLDFAST_RESET_NEEDED;
}

static HoldfastStatus
report_stopped(Recovery *recovery)
{
	int slot = recovery->result.stopped_slot;
	HoldfastStatus status = bear_with_it();

	recovery->result.stopped_pid =
		PROC_PID(__atomic_load_n(&holdfast_shmem.procs[slot].life, __ATOMIC_ACQUIRE));
	return report(
		status == HOLDFAST_RESET_NEEDED ? HOLDFAST_ERROR : HOLDFAST_WARNING, status, 0,
		"It is stopped or very slow inside a lock function.",
		status == HOLDFAST_RESET_NEEDED ? "Kill it, or restart the cluster."
										: "Recovery goes on when it does, or when it is killed.",
		"recovery waits for process %d in slot %d", (int) recovery->result.stopped_pid, slot);
}

static HoldfastStatus
run(Recovery *recovery, HoldfastRecovery *out)
{
	HoldfastStatus status;

	recovery->result.stopped_slot = -1;
	if (holdfast_lwlock_local.owner_bits == 0)
		return report(HOLDFAST_ERROR, HOLDFAST_MISUSE, 0, NULL, "Call InitProcess() first.",
					  "cannot recover without a process slot");
	status = become_recoverer(recovery);
	if (status == HOLDFAST_OK)
	{
		status = recover_all(recovery);
		stop_recovering();
	}
	if (status == HOLDFAST_TIMED_OUT)
		status = report_stopped(recovery);
	else if (__atomic_load_n(&holdfast_shmem.proc_global->unfinished_since_us, __ATOMIC_RELAXED) !=
			 0)
		__atomic_store_n(&holdfast_shmem.proc_global->unfinished_since_us, 0, __ATOMIC_RELAXED);
	if (out != NULL)
		*out = recovery->result;
	if (__atomic_load_n(&holdfast_shmem.proc_global->reset_needed, __ATOMIC_ACQUIRE))
		return HOLDFAST_RESET_NEEDED;
	return status;
}

HoldfastStatus
holdfast_recover(uint64_t deadline_us, HoldfastRecovery *out)
{
	Recovery recovery = {.deadline_ns = deadline_after_us(deadline_us)};

	return run(&recovery, out);
}

HoldfastStatus
holdfast_recover_pid(pid_t pid, uint64_t deadline_us, HoldfastRecovery *out)
{
	Recovery recovery = {.deadline_ns = deadline_after_us(deadline_us), .dead_pid = pid};

	return run(&recovery, out);
}

HoldfastStatus
holdfast_set_stopped_limit(uint64_t limit_us)
{
	if (holdfast_shmem.base == NULL || limit_us == 0)
		return report(HOLDFAST_ERROR, HOLDFAST_MISUSE, 0, NULL, NULL,
					  "cannot set the stopped limit: %s",
					  limit_us == 0 ? "it is 0" : "not attached to a segment");
	__atomic_store_n(&holdfast_shmem.proc_global->stopped_limit_us, limit_us, __ATOMIC_RELAXED);
	return HOLDFAST_OK;
}

HoldfastStatus
holdfast_recover_for_waiter(LWLock *lock, bool sweep, uint64_t deadline_ns)
{
	Recovery recovery = {.deadline_ns = holdfast_now_ns() + WAITER_DEADLINE_NS};
	uint64_t word = __atomic_load_n(&lock->state, __ATOMIC_RELAXED);
	uint32_t xowner = lw_xowner(word);
	uint32_t qowner = lw_qowner(word);

	if (recovery.deadline_ns > deadline_ns)
		recovery.deadline_ns = deadline_ns;
	if (__atomic_load_n(&holdfast_shmem.proc_global->reset_needed, __ATOMIC_ACQUIRE))
		return HOLDFAST_RESET_NEEDED;
	if (xowner != 0 && xowner <= holdfast_shmem.nprocs && mark_if_dead(&recovery, xowner - 1))
		sweep = true;
	if (qowner != 0 && qowner <= holdfast_shmem.nprocs && mark_if_dead(&recovery, qowner - 1))
		sweep = true;
	if (word &
		LW_RECOVERING) /* somebody is dead, and whoever began to recover it may have given up */
		sweep = true;
	return sweep ? run(&recovery, NULL) : HOLDFAST_OK;
}
