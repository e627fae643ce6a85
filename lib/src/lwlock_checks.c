/*
 * lwlock_checks.c
 *		Ranks, self-deadlocks, and counting of acquisitions: for those who ask for it.
 *
 * They cost the fast path nothing: while any check is on, a process's LWLockLocal has no bytes that need no check, so
 * that every acquisition leaves the fast path at the comparison that it makes anyhow.  The switch lies in the
 * segment; a process notices it when it claims its slot and when it waits for a lock.
 *
 * Order: a lock with a rank may be waited for while all ranked locks that are held have a lower one, or the same and a
 * lower address.  Two processes that keep to it cannot wait for each other.  Locks of rank 0 have no part in it.
 *
 * Thread safety: yes.  Crash safety: nothing is changed but counters of the caller's slot.
 */
#include <holdfast/lwlock.h>

#include "lwlock_checks.h"
#include "report.h"

#define CHECKS_ALL (LWLOCK_COUNT_ACQUIRES | LWLOCK_CHECK_ORDER | LWLOCK_CHECK_SELF)

void
holdfast_lwlock_notice_checks(void)
{
	LWLockLocal *local = &holdfast_lwlock_local;

	/* relaxed: a switch, it orders nothing */
	local->checks = __atomic_load_n(&holdfast_shmem.proc_global->checks, __ATOMIC_RELAXED);
	local->unchecked_bytes = local->checks == 0 ? holdfast_shmem.size : 0;
}

HoldfastStatus
holdfast_lwlock_set_checks(unsigned checks)
{
	if (holdfast_shmem.base == NULL || (checks & ~(unsigned) CHECKS_ALL) != 0)
		return report(HOLDFAST_ERROR, HOLDFAST_MISUSE, 0, NULL, NULL, "cannot set checks %#x: %s",
					  checks,
					  holdfast_shmem.base == NULL ? "not attached to a segment" : "no such check");
	__atomic_store_n(&holdfast_shmem.proc_global->checks, checks, __ATOMIC_RELAXED);
	if (MyProc != NULL)
		holdfast_lwlock_notice_checks();
	return HOLDFAST_OK;
}

void
holdfast_lwlock_set_rank(LWLock *lock, uint16_t rank)
{
	__atomic_store_n(&lock->rank, rank, __ATOMIC_RELAXED);
}

static const char *
tranche_of(const LWLock *lock)
{
	return GetLWLockIdentifier(lock->tranche);
}

static HoldfastStatus
check_against(const LWLock *lock, const LWLock *held)
{
	uint16_t wanted_rank = __atomic_load_n(&lock->rank, __ATOMIC_RELAXED);
	uint16_t held_rank = __atomic_load_n(&held->rank, __ATOMIC_RELAXED);
	unsigned checks = holdfast_lwlock_local.checks;

	if (held == lock)
		return (checks & LWLOCK_CHECK_SELF)
				   ? report(
						 HOLDFAST_ERROR, HOLDFAST_DEADLOCK, 0,
						 "Whoever waits for it exclusively lets no newcomer in, this one neither.",
						 "Acquire once, in the strongest mode needed.",
						 "LWLock \"%s\" at %llu is asked for by a process that holds it",
						 tranche_of(lock), (unsigned long long) shmem_offset(lock))
				   : HOLDFAST_OK;
	if (!(checks & LWLOCK_CHECK_ORDER) || wanted_rank == 0 || wanted_rank > held_rank ||
		(wanted_rank == held_rank && lock > held))
		return HOLDFAST_OK;
	return report(
		HOLDFAST_ERROR, HOLDFAST_DEADLOCK, 0, NULL,
		"Acquire locks in the order of their ranks, those of one rank by address.",
		"LWLock \"%s\" at %llu, rank %u, is asked for while \"%s\" at %llu, rank %u, is held",
		tranche_of(lock), (unsigned long long) shmem_offset(lock), wanted_rank, tranche_of(held),
		(unsigned long long) shmem_offset(held), held_rank);
}

HoldfastStatus
holdfast_lwlock_check_order(const LWLock *lock)
{
	const LWLockLocal *local = &holdfast_lwlock_local;
	HoldfastStatus status = HOLDFAST_OK;

	if (!(local->checks & (LWLOCK_CHECK_ORDER | LWLOCK_CHECK_SELF)))
		return HOLDFAST_OK;
	for (uint32_t i = 0; i < local->top && status == HOLDFAST_OK; i++)
	{
		LWLockEntry entry = local->journal[i];

		if (ENTRY_KIND(entry) == ENTRY_HELD)
			status = check_against(lock, (const LWLock *) shmem_address(ENTRY_OFFSET(entry)));
	}
	return status;
}

void
holdfast_lwlock_count_acquired(const LWLock *lock, LWLockMode mode)
{
	if (!(holdfast_lwlock_local.checks & LWLOCK_COUNT_ACQUIRES))
		return;
	if (mode == LW_EXCLUSIVE)
		lwlock_count(lock, exclusive);
	else
		lwlock_count(lock, shared);
}
