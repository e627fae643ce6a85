/*
 * test_lwlock_checks.c
 *		Ranks, self-deadlocks and counts: on when asked for, gone when not.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "../support/fixture.h"
#include "shmem_layout.h"

TestSuite(lwlock_checks, .timeout = 60);

static LWLock *
lock_at(int i)
{
	return &locks[i].lock;
}

static void
start_with(unsigned checks)
{
	cluster_start();
	cr_assert(holdfast_lwlock_set_checks(checks) == HOLDFAST_OK);
}

static const LWLockCounts *
my_counts(void)
{
	return &MyProc->counts[lock_at(0)->tranche];
}

Test(lwlock_checks, what_is_no_check_is_refused)
{
	cr_assert(holdfast_lwlock_set_checks(0) == HOLDFAST_MISUSE, "no segment");
	cluster_start();
	cr_assert(holdfast_lwlock_set_checks(1u << 7) == HOLDFAST_MISUSE);
	cr_assert(holdfast_shmem.proc_global->checks == 0);
	cluster_stop();
}

Test(lwlock_checks, against_the_order_of_ranks_is_a_deadlock)
{
	start_with(LWLOCK_CHECK_ORDER);
	holdfast_lwlock_set_rank(lock_at(0), 5);
	holdfast_lwlock_set_rank(lock_at(1), 2);
	holdfast_lwlock_set_rank(lock_at(2), 9);
	cr_assert(LWLockAcquire(lock_at(0), LW_SHARED) == HOLDFAST_OK);
	cr_assert(LWLockAcquire(lock_at(1), LW_SHARED) == HOLDFAST_DEADLOCK);
	cr_assert(strstr(holdfast_last_error()->message, "rank 2, is asked for while \"test\"") !=
				  NULL &&
			  strstr(holdfast_last_error()->message, "rank 5, is held") != NULL);
	cr_assert(LWLockAcquireTimed(lock_at(1), LW_EXCLUSIVE, 10) == HOLDFAST_DEADLOCK);
	cr_assert(LWLockAcquireOrWait(lock_at(1), LW_EXCLUSIVE) == HOLDFAST_DEADLOCK);
	cr_assert(lock_at(1)->state == 0);
	cr_assert(LWLockAcquire(lock_at(2), LW_SHARED) == HOLDFAST_OK, "upwards");
	cr_assert(LWLockAcquire(lock_at(3), LW_SHARED) == HOLDFAST_OK, "no rank, no order");
	cr_assert(LWLockConditionalAcquire(lock_at(1), LW_SHARED) == HOLDFAST_OK, "who does not wait");
	LWLockReleaseAll();
	cr_assert(LWLockAcquire(lock_at(1), LW_SHARED) == HOLDFAST_OK);
	cr_assert(LWLockAcquire(lock_at(0), LW_SHARED) == HOLDFAST_OK);
	LWLockReleaseAll();
	cluster_stop();
}

Test(lwlock_checks, locks_of_one_rank_go_by_address)
{
	start_with(LWLOCK_CHECK_ORDER);
	for (int i = 0; i < 3; i++)
		holdfast_lwlock_set_rank(lock_at(i), 7);
	cr_assert(LWLockAcquire(lock_at(1), LW_EXCLUSIVE) == HOLDFAST_OK);
	cr_assert(LWLockAcquire(lock_at(2), LW_EXCLUSIVE) == HOLDFAST_OK);
	cr_assert(LWLockAcquire(lock_at(0), LW_EXCLUSIVE) == HOLDFAST_DEADLOCK);
	LWLockReleaseAll();
	cluster_stop();
}

Test(lwlock_checks, asking_again_for_a_shared_lock_is_a_deadlock)
{
	start_with(LWLOCK_CHECK_SELF);
	cr_assert(LWLockAcquire(lock_at(0), LW_SHARED) == HOLDFAST_OK);
	cr_assert(LWLockAcquire(lock_at(0), LW_SHARED) == HOLDFAST_DEADLOCK);
	cr_assert(LWLockAcquire(lock_at(0), LW_EXCLUSIVE) == HOLDFAST_DEADLOCK);
	cr_assert(LWLockAcquire(lock_at(1), LW_EXCLUSIVE) == HOLDFAST_OK);
	cr_assert(LWLockAcquire(lock_at(1), LW_SHARED) == HOLDFAST_DEADLOCK);
	LWLockReleaseAll();
	/* Off again: the lock may be had twice. */
	cr_assert(holdfast_lwlock_set_checks(0) == HOLDFAST_OK);
	cr_assert(LWLockAcquire(lock_at(0), LW_SHARED) == HOLDFAST_OK);
	cr_assert(LWLockAcquire(lock_at(0), LW_SHARED) == HOLDFAST_OK);
	LWLockReleaseAll();
	cluster_stop();
}

Test(lwlock_checks, acquisitions_are_counted_on_request)
{
	cluster_start();
	cr_assert(LWLockAcquire(lock_at(0), LW_SHARED) == HOLDFAST_OK);
	cr_assert(my_counts()->shared == 0, "nobody asked");
	LWLockReleaseAll();
	cr_assert(holdfast_lwlock_set_checks(LWLOCK_COUNT_ACQUIRES) == HOLDFAST_OK);
	for (int i = 0; i < 3; i++)
	{
		cr_assert(LWLockAcquire(lock_at(i), LW_SHARED) == HOLDFAST_OK);
		cr_assert(LWLockConditionalAcquire(lock_at(i), LW_EXCLUSIVE) == HOLDFAST_BUSY);
	}
	LWLockReleaseAll();
	cr_assert(LWLockAcquireOrWait(lock_at(0), LW_EXCLUSIVE) == HOLDFAST_OK);
	cr_assert(LWLockAcquireTimed(lock_at(0), LW_SHARED, 0) == HOLDFAST_DEADLOCK);
	LWLockReleaseAll();
	cr_assert(my_counts()->shared == 3 && my_counts()->exclusive == 1);
	cluster_stop();
}

static int
notices(int arg)
{
	(void) arg;
	if (LWLockAcquire(lock_at(0), LW_SHARED) < 0 ||
		LWLockAcquire(lock_at(0), LW_SHARED) != HOLDFAST_DEADLOCK)
		return 1;
	return LWLockRelease(lock_at(0)) == HOLDFAST_OK ? 0 : 2;
}

static int
waits_then_notices(int arg)
{
	(void) arg;
	board_set(0, 1);
	board_wait(1, 1);
	if (LWLockAcquire(lock_at(1), LW_EXCLUSIVE) < 0 || LWLockRelease(lock_at(1)) < 0)
		return 3;
	return notices(0);
}

Test(lwlock_checks, others_notice_at_their_start_and_when_they_wait)
{
	pid_t early;

	cluster_start();
	early = child_start(waits_then_notices, 0);
	board_wait(0, 1);
	cr_assert(LWLockAcquire(lock_at(1), LW_EXCLUSIVE) == HOLDFAST_OK);
	cr_assert(holdfast_lwlock_set_checks(LWLOCK_CHECK_SELF) == HOLDFAST_OK);
	cr_assert(child_wait(child_start(notices, 0)) == 0);
	board_set(1, 1);
	wait_until_queued(early);
	cr_assert(LWLockRelease(lock_at(1)) == HOLDFAST_OK);
	cr_assert(child_wait(early) == 0);
	cr_assert(holdfast_recover(1000000, NULL) == HOLDFAST_OK);
	cluster_stop();
}
