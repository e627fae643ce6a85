/*
 * segment.c
 *		See segment.h.
 */
#include "oracle/segment.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lwlock_state.h"

/* ---- finding ---- */

static void *
find_structure(const SegmentView *view, const char *name, size_t *size)
{
	const PGShmemHeader *header = (const PGShmemHeader *) view->base;
	const ShmemIndexTable *index;

	if (header->indexoffset == 0 || header->indexoffset > view->size - sizeof(*index))
		return NULL;
	index = (const ShmemIndexTable *) (view->base + header->indexoffset);
	for (uint32_t i = 0; i < SHMEM_INDEX_SIZE; i++)
	{
		const ShmemIndexEntry *entry = &index->entry[i];

		if (entry->ready == 0 || strncmp(entry->name, name, sizeof(entry->name)) != 0)
			continue;
		if (entry->offset > view->size || entry->size > view->size - entry->offset)
			return NULL;
		*size = entry->size;
		return view->base + entry->offset;
	}
	return NULL;
}

bool
segment_view(void *base, size_t size, SegmentView *view)
{
	size_t locks_size = 0, procs_size = 0, unused;

	*view = (SegmentView){.base = base, .size = size};
	view->locks = find_structure(view, SHMEM_NAME_LOCKS, &locks_size);
	view->procs = find_structure(view, SHMEM_NAME_PROCS, &procs_size);
	view->proc_global = find_structure(view, SHMEM_NAME_PROCGLOBAL, &unused);
	view->nlocks = (uint32_t) (locks_size / sizeof(LWLockPadded));
	view->nprocs = (uint32_t) (procs_size / sizeof(PGPROC));
	return view->locks != NULL && view->procs != NULL && view->proc_global != NULL;
}

/* ---- saying ---- */

static bool wrong(char *why, size_t size, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static bool
wrong(char *why, size_t size, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void) vsnprintf(why, size, format, args);
	va_end(args);
	return false;
}

/* ---- one lock ---- */

static ProcSlotState
slot_state(const SegmentView *view, uint32_t slot)
{
	return PROC_STATE(view->procs[slot].life);
}

static uint64_t
offset_of(const SegmentView *view, const LWLock *lock)
{
	return (uint64_t) ((const char *) lock - view->base);
}

/* How many entries of the slot's journal are exactly that. */
static uint32_t
count_entries(const SegmentView *view, uint32_t slot, LWLockEntry wanted)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < MAX_SIMUL_LWLOCKS; i++)
		count += view->procs[slot].entry[i] == wanted;
	return count;
}

static bool
names_lock(const SegmentView *view, uint32_t slot, uint64_t offset, LWLockEntryKind kind)
{
	for (uint32_t i = 0; i < MAX_SIMUL_LWLOCKS; i++)
	{
		LWLockEntry entry = view->procs[slot].entry[i];

		if (entry != 0 && ENTRY_OFFSET(entry) == offset && ENTRY_KIND(entry) == kind)
			return true;
	}
	return false;
}

static bool
word_is_sound(const SegmentView *view, uint32_t number, char *why, size_t size)
{
	const LWLock *lock = &view->locks[number].lock;
	uint64_t word = lock->state;
	uint64_t offset = offset_of(view, lock);
	uint32_t owner = lw_xowner(word);
	uint32_t sharers = 0;

	if (!lw_is_legal(word, view->nprocs))
		return wrong(why, size, "lock %u: the word %016" PRIx64 " is not legal", number, word);
	if (word & LW_RECOVERING)
		return wrong(why, size, "lock %u is still RECOVERING", number);
	if (lw_qowner(word) != 0)
		return wrong(why, size, "lock %u: its queue is still owned, by slot %u", number,
					 lw_qowner(word) - 1);
	if (owner != 0 && slot_state(view, owner - 1) != PROC_LIVE)
		return wrong(why, size, "lock %u is owned by slot %u, where nobody lives", number,
					 owner - 1);
	if (owner != 0 &&
		count_entries(view, owner - 1, ENTRY_MAKE(offset, LW_EXCLUSIVE, ENTRY_HELD)) == 0)
		return wrong(why, size, "lock %u is owned by slot %u, whose journal does not say so",
					 number, owner - 1);
	for (uint32_t slot = 0; slot < view->nprocs; slot++)
		if (slot_state(view, slot) == PROC_LIVE)
			sharers += count_entries(view, slot, ENTRY_MAKE(offset, LW_SHARED, ENTRY_HELD));
	if (sharers != lw_shared_count(word))
		return wrong(why, size, "lock %u counts %u sharers, %u live", number, lw_shared_count(word),
					 sharers);
	return true;
}

/* The list from head to tail; every slot linked to the lock is in it, once. */
static bool
queue_is_sound(const SegmentView *view, uint32_t number, char *why, size_t size)
{
	const LWLock *lock = &view->locks[number].lock;
	uint64_t offset = offset_of(view, lock);
	uint32_t previous = 0, listed = 0, linked = 0;

	for (uint32_t at = lock->wait_head; at != 0; at = view->procs[at - 1].wait_next)
	{
		const PGPROC *proc;

		if (at > view->nprocs || listed++ > view->nprocs)
			return wrong(why, size, "lock %u: its queue has no end", number);
		proc = &view->procs[at - 1];
		if (proc->wait_lock != offset || proc->wait_prev != previous)
			return wrong(why, size, "lock %u: its queue is torn at slot %u", number, at - 1);
		if (slot_state(view, at - 1) != PROC_LIVE)
			return wrong(why, size, "lock %u: a corpse stands in its queue, slot %u", number,
						 at - 1);
		previous = at;
	}
	if (lock->wait_tail != previous)
		return wrong(why, size, "lock %u: the tail of its queue is not its last", number);
	for (uint32_t slot = 0; slot < view->nprocs; slot++)
		linked += view->procs[slot].wait_lock == offset;
	if (linked != listed)
		return wrong(why, size, "lock %u: %u are linked, %u are in the list", number, linked,
					 listed);
	if (listed > 0 && (lock->state & LW_HAS_WAITERS) == 0)
		return wrong(why, size, "lock %u has a queue without HAS_WAITERS", number);
	return true;
}

/* Somebody who was woken for the lock is on his way to it. */
static bool
somebody_was_woken(const SegmentView *view, uint64_t offset)
{
	for (uint32_t slot = 0; slot < view->nprocs; slot++)
	{
		const PGPROC *proc = &view->procs[slot];

		if (slot_state(view, slot) == PROC_LIVE && proc->wait_lock == 0 &&
			proc->wake == WAKE_POSTED && names_lock(view, slot, offset, ENTRY_QUEUED))
			return true;
	}
	return false;
}

/* Nobody sleeps without somebody to wake him. */
static bool
waiters_are_sound(const SegmentView *view, uint32_t number, char *why, size_t size)
{
	const LWLock *lock = &view->locks[number].lock;
	uint64_t offset = offset_of(view, lock);

	for (uint32_t slot = 0; slot < view->nprocs; slot++)
	{
		const PGPROC *proc = &view->procs[slot];

		if (slot_state(view, slot) != PROC_LIVE || proc->wake == WAKE_POSTED ||
			!names_lock(view, slot, offset, ENTRY_QUEUED))
			continue;
		if (proc->wait_lock != offset)
			return wrong(why, size, "lock %u: slot %u sleeps in no queue", number, slot);
		if (!lw_is_free(lock->state))
			continue;
		if (!somebody_was_woken(view, offset))
			return wrong(why, size, "lock %u is free, slot %u sleeps and nobody was woken", number,
						 slot);
	}
	if ((lock->state & LW_WAKING) && !somebody_was_woken(view, offset))
		return wrong(why, size, "lock %u is WAKING and nobody was woken", number);
	return true;
}

bool
segment_is_sound(const SegmentView *view, char *why, size_t size)
{
	for (uint32_t slot = 0; slot < view->nprocs; slot++)
	{
		if (slot_state(view, slot) == PROC_DEAD || slot_state(view, slot) == PROC_CLAIMED)
			return wrong(why, size, "slot %u is still %s", slot,
						 slot_state(view, slot) == PROC_DEAD ? "DEAD" : "CLAIMED");
		for (uint32_t i = 0; slot_state(view, slot) == PROC_FREE && i < MAX_SIMUL_LWLOCKS; i++)
			if (view->procs[slot].entry[i] != 0)
				return wrong(why, size, "slot %u is free, its journal is not empty", slot);
	}
	if (view->proc_global->recovery_owner != 0)
		return wrong(why, size, "slot %u is still recovering",
					 view->proc_global->recovery_owner - 1);
	for (uint32_t number = 0; number < view->nlocks; number++)
		if (!word_is_sound(view, number, why, size) || !queue_is_sound(view, number, why, size) ||
			!waiters_are_sound(view, number, why, size))
			return false;
	return true;
}

bool
segment_is_idle(const SegmentView *view, int except, char *why, size_t size)
{
	for (uint32_t number = 0; number < view->nlocks; number++)
		if ((view->locks[number].lock.state & ~LW_HAS_WAITERS) != 0 ||
			view->locks[number].lock.wait_head != 0)
			return wrong(why, size, "lock %u is not idle: %016" PRIx64, number,
						 view->locks[number].lock.state);
	for (uint32_t slot = 0; slot < view->nprocs; slot++)
		if ((int) slot != except && slot_state(view, slot) != PROC_FREE)
			return wrong(why, size, "slot %u is still taken", slot);
	return true;
}

bool
segment_is_same(const SegmentView *a, const SegmentView *b, char *why, size_t size)
{
	for (uint32_t number = 0; number < a->nlocks; number++)
	{
		const LWLock *left = &a->locks[number].lock, *right = &b->locks[number].lock;

		if (left->state != right->state || left->wait_head != right->wait_head ||
			left->wait_tail != right->wait_tail)
			return wrong(why, size, "lock %u: %016" PRIx64 " instead of %016" PRIx64, number,
						 right->state, left->state);
	}
	for (uint32_t slot = 0; slot < a->nprocs; slot++)
	{
		const PGPROC *left = &a->procs[slot], *right = &b->procs[slot];

		if (PROC_STATE(left->life) != PROC_STATE(right->life) || left->wake != right->wake ||
			left->wait_lock != right->wait_lock || left->wait_next != right->wait_next ||
			left->wait_prev != right->wait_prev ||
			memcmp(left->entry, right->entry, sizeof(left->entry)) != 0)
			return wrong(why, size, "slot %u differs", slot);
	}
	if (a->proc_global->recovery_owner != b->proc_global->recovery_owner)
		return wrong(why, size, "another recovers");
	return true;
}
