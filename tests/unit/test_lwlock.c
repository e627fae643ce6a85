/*
 * test_lwlock.c
 *		LWLocks among the living: who gets a lock, who waits, what is refused.
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "../support/fixture.h"
#include "lwlock_internal.h"
#include "shmem_layout.h"

TestSuite(lwlock, .timeout = 60);

static LWLock *
lock_at(int i)
{
	return &locks[i].lock;
}

static uint64_t
word_of(int i)
{
	return __atomic_load_n(&locks[i].lock.state, __ATOMIC_SEQ_CST);
}

Test(lwlock, exclusive_names_its_owner_and_leaves_nothing)
{
	cluster_start();
	cr_assert(LWLockAcquire(lock_at(0), LW_EXCLUSIVE) == HOLDFAST_OK);
	cr_assert(lw_xowner(word_of(0)) == (uint32_t) holdfast_my_slot() + 1);
	cr_assert(LWLockHeldByMe(lock_at(0)));
	cr_assert(LWLockHeldByMeInMode(lock_at(0), LW_EXCLUSIVE));
	cr_assert(!LWLockHeldByMeInMode(lock_at(0), LW_SHARED));
	cr_assert(!LWLockHeldByMe(lock_at(1)));
	cr_assert(LWLockRelease(lock_at(0)) == HOLDFAST_OK);
	cr_assert(word_of(0) == 0);
	cr_assert(!LWLockHeldByMe(lock_at(0)));
	cluster_stop();
}

Test(lwlock, shared_is_counted)
{
	cluster_start();
	cr_assert(LWLockAcquire(lock_at(0), LW_SHARED) == HOLDFAST_OK);
	cr_assert(LWLockAcquire(lock_at(0), LW_SHARED) == HOLDFAST_OK);
	cr_assert(lw_shared_count(word_of(0)) == 2);
	cr_assert(LWLockConditionalAcquire(lock_at(0), LW_EXCLUSIVE) == HOLDFAST_BUSY);
	cr_assert(LWLockRelease(lock_at(0)) == HOLDFAST_OK);
	cr_assert(LWLockRelease(lock_at(0)) == HOLDFAST_OK);
	cr_assert(word_of(0) == 0);
	cluster_stop();
}

Test(lwlock, release_of_what_is_not_held_is_refused_and_changes_nothing)
{
	cluster_start();
	cr_assert(LWLockRelease(lock_at(3)) == HOLDFAST_MISUSE);
	cr_assert(word_of(3) == 0);
	cr_assert(LWLockUpdateVar(lock_at(3), &board->value[0], 7) == HOLDFAST_MISUSE);
	cr_assert(LWLockMarkConsistent(lock_at(3)) == HOLDFAST_MISUSE);
	cr_assert(board->value[0] == 0);
	cluster_stop();
}

Test(lwlock, exclusive_twice_is_a_deadlock_not_a_hang)
{
	cluster_start();
	cr_assert(LWLockAcquire(lock_at(0), LW_EXCLUSIVE) == HOLDFAST_OK);
	cr_assert(LWLockAcquire(lock_at(0), LW_EXCLUSIVE) == HOLDFAST_DEADLOCK);
	cr_assert(LWLockAcquire(lock_at(0), LW_SHARED) == HOLDFAST_DEADLOCK);
	cr_assert(LWLockAcquireOrWait(lock_at(0), LW_EXCLUSIVE) == HOLDFAST_DEADLOCK);
	cr_assert(LWLockConditionalAcquire(lock_at(0), LW_EXCLUSIVE) == HOLDFAST_BUSY);
	cr_assert(LWLockHeldByMe(lock_at(0)));
	cr_assert(LWLockRelease(lock_at(0)) == HOLDFAST_OK);
	cr_assert(!LWLockHeldByMe(lock_at(0)));
	cluster_stop();
}

Test(lwlock, two_hundred_and_no_more)
{
	LWLock *many;
	bool found;

	cluster_start();
	many = ShmemInitStruct("many", (MAX_SIMUL_LWLOCKS + 1) * sizeof(LWLock), &found);
	cr_assert(many != NULL);
	for (int i = 0; i <= MAX_SIMUL_LWLOCKS; i++)
		LWLockInitialize(&many[i], 0);
	for (int i = 0; i < MAX_SIMUL_LWLOCKS; i++)
		cr_assert(LWLockAcquire(&many[i], i % 2 ? LW_SHARED : LW_EXCLUSIVE) == HOLDFAST_OK);
	cr_assert(LWLockAcquire(&many[MAX_SIMUL_LWLOCKS], LW_SHARED) == HOLDFAST_LIMIT);
	cr_assert_str_eq(holdfast_last_error()->message, "too many LWLocks taken");
	/* A hole in the middle is found again. */
	cr_assert(LWLockRelease(&many[77]) == HOLDFAST_OK);
	cr_assert(LWLockAcquire(&many[MAX_SIMUL_LWLOCKS], LW_SHARED) == HOLDFAST_OK);
	LWLockReleaseAll();
	for (int i = 0; i <= MAX_SIMUL_LWLOCKS; i++)
		cr_assert(many[i].state == 0);
	cluster_stop();
}

Test(lwlock, out_of_order_release_keeps_the_others)
{
	cluster_start();
	for (int i = 0; i < 5; i++)
		cr_assert(LWLockAcquire(lock_at(i), LW_EXCLUSIVE) == HOLDFAST_OK);
	cr_assert(LWLockRelease(lock_at(1)) == HOLDFAST_OK);
	cr_assert(LWLockRelease(lock_at(4)) == HOLDFAST_OK);
	cr_assert(LWLockHeldByMe(lock_at(0)) && LWLockHeldByMe(lock_at(2)) &&
			  LWLockHeldByMe(lock_at(3)));
	cr_assert(LWLockAnyHeldByMe(lock_at(0), 2, sizeof(LWLockPadded)));
	cr_assert(!LWLockAnyHeldByMe(lock_at(4), 3, sizeof(LWLockPadded)));
	LWLockReleaseAll();
	for (int i = 0; i < 5; i++)
		cr_assert(word_of(i) == 0);
	cluster_stop();
}

static int
try_without_slot(int arg)
{
	(void) arg;
	if (LWLockAcquire(lock_at(0), LW_SHARED) != HOLDFAST_MISUSE)
		return 1;
	if (LWLockConditionalAcquire(lock_at(0), LW_SHARED) != HOLDFAST_MISUSE)
		return 2;
	if (LWLockAcquireOrWait(lock_at(0), LW_SHARED) != HOLDFAST_MISUSE)
		return 3;
	if (LWLockRelease(lock_at(0)) != HOLDFAST_MISUSE)
		return 4;
	LWLockReleaseAll();
	return holdfast_my_slot() == -1 ? 0 : 5;
}

Test(lwlock, a_forked_child_has_no_slot_and_none_of_its_parents_locks)
{
	cluster_start();
	cr_assert(LWLockAcquire(lock_at(0), LW_EXCLUSIVE) == HOLDFAST_OK);
	cr_assert(child_wait(child_start_without_slot(try_without_slot, 0)) == 0);
	cr_assert(LWLockHeldByMe(lock_at(0)) && word_of(0) != 0);
	cr_assert(LWLockRelease(lock_at(0)) == HOLDFAST_OK);
	cluster_stop();
}

Test(lwlock, a_lock_outside_the_segment_is_refused)
{
	static LWLock private_lock;

	cluster_start();
	cr_assert(LWLockAcquire(&private_lock, LW_SHARED) == HOLDFAST_MISUSE);
	cr_assert(LWLockAcquire(NULL, LW_SHARED) == HOLDFAST_MISUSE);
	cr_assert(private_lock.state == 0);
	cluster_stop();
}

static int
hold(int mode)
{
	if (LWLockAcquire(lock_at(0), (LWLockMode) mode) < 0)
		return 1;
	board_set(0, 1);
	board_wait(1, 1);
	return LWLockRelease(lock_at(0)) == HOLDFAST_OK ? 0 : 2;
}

static int
want(int mode)
{
	HoldfastStatus status = LWLockAcquire(lock_at(0), (LWLockMode) mode);

	if (status < 0)
		return 1;
	__atomic_fetch_add(&board->value[0], 1, __ATOMIC_SEQ_CST);
	if (LWLockRelease(lock_at(0)) != HOLDFAST_OK)
		return 2;
	return status == HOLDFAST_WAITED ? 0 : 3;
}

Test(lwlock, waiters_sleep_until_the_holder_is_done)
{
	pid_t holder, waiter[3];
	const int modes[3] = {LW_EXCLUSIVE, LW_SHARED, LW_EXCLUSIVE};

	cluster_start();
	holder = child_start(hold, LW_EXCLUSIVE);
	board_wait(0, 1);
	for (int i = 0; i < 3; i++)
	{
		waiter[i] = child_start(want, modes[i]);
		wait_until_queued(waiter[i]);
	}
	cr_assert(word_of(0) & LW_HAS_WAITERS);
	cr_assert(board->value[0] == 0);
	board_set(1, 1);
	cr_assert(child_wait(holder) == 0);
	for (int i = 0; i < 3; i++)
		cr_assert(child_wait(waiter[i]) == 0);
	cr_assert(board->value[0] == 3);
	/* Statuses of children that exited without ProcKill are recovered like deaths. */
	cr_assert(holdfast_recover(1000000, NULL) == HOLDFAST_OK);
	cr_assert(word_of(0) == 0);
	cluster_stop();
}

Test(lwlock, timed_acquire_gives_up_and_leaves_the_queue)
{
	pid_t holder;

	cluster_start();
	holder = child_start(hold, LW_SHARED);
	board_wait(0, 1);
	cr_assert(LWLockAcquireTimed(lock_at(0), LW_SHARED, 0) == HOLDFAST_OK);
	cr_assert(LWLockRelease(lock_at(0)) == HOLDFAST_OK);
	cr_assert(LWLockAcquireTimed(lock_at(0), LW_EXCLUSIVE, 0) == HOLDFAST_TIMED_OUT);
	cr_assert(LWLockAcquireTimed(lock_at(0), LW_EXCLUSIVE, 20000) == HOLDFAST_TIMED_OUT);
	cr_assert(!LWLockHeldByMe(lock_at(0)));
	cr_assert(locks[0].lock.wait_head == 0 && locks[0].lock.wait_tail == 0);
	board_set(1, 1);
	cr_assert(child_wait(holder) == 0);
	cr_assert(LWLockAcquireTimed(lock_at(0), LW_EXCLUSIVE, UINT64_MAX) >= 0);
	cr_assert(LWLockRelease(lock_at(0)) == HOLDFAST_OK);
	cluster_stop();
}

static int
acquire_or_wait(int arg)
{
	(void) arg;
	if (LWLockAcquireOrWait(lock_at(0), LW_EXCLUSIVE) != HOLDFAST_BUSY)
		return 1;
	return LWLockHeldByMe(lock_at(0)) ? 2 : 0;
}

Test(lwlock, acquire_or_wait_returns_empty_handed_after_waiting)
{
	pid_t waiter;

	cluster_start();
	cr_assert(LWLockAcquireOrWait(lock_at(0), LW_EXCLUSIVE) == HOLDFAST_OK);
	waiter = child_start(acquire_or_wait, 0);
	wait_until_queued(waiter);
	cr_assert(LWLockRelease(lock_at(0)) == HOLDFAST_OK);
	cr_assert(child_wait(waiter) == 0);
	cluster_stop();
}

static int
wait_for_var(int expect)
{
	uint64_t seen = 0;
	HoldfastStatus status = LWLockWaitForVar(lock_at(0), &board->value[1], 5, &seen);

	if (expect == HOLDFAST_OK)
		return status == HOLDFAST_OK ? 0 : 1;
	return status == HOLDFAST_CHANGED && seen == 6 ? 0 : 2;
}

Test(lwlock, wait_for_var_sees_the_update)
{
	pid_t waiter;

	cluster_start();
	board->value[1] = 5;
	cr_assert(LWLockAcquire(lock_at(0), LW_EXCLUSIVE) == HOLDFAST_OK);
	waiter = child_start(wait_for_var, HOLDFAST_CHANGED);
	wait_until_queued(waiter);
	cr_assert(LWLockUpdateVar(lock_at(0), &board->value[1], 6) == HOLDFAST_OK);
	cr_assert(child_wait(waiter) == 0);
	/* Already different: no wait. */
	cr_assert(child_wait(child_start(wait_for_var, HOLDFAST_CHANGED)) == 0);
	cr_assert(LWLockReleaseClearVar(lock_at(0), &board->value[1], 5) == HOLDFAST_OK);
	cr_assert(!LWLockHeldByMe(lock_at(0)));
	cluster_stop();
}

Test(lwlock, wait_for_var_ends_with_the_release_and_ignores_sharers)
{
	pid_t waiter;

	cluster_start();
	board->value[1] = 5;
	cr_assert(LWLockAcquire(lock_at(0), LW_EXCLUSIVE) == HOLDFAST_OK);
	waiter = child_start(wait_for_var, HOLDFAST_OK);
	wait_until_queued(waiter);
	cr_assert(LWLockRelease(lock_at(0)) == HOLDFAST_OK);
	cr_assert(child_wait(waiter) == 0);
	cr_assert(LWLockAcquire(lock_at(0), LW_SHARED) == HOLDFAST_OK);
	cr_assert(child_wait(child_start(wait_for_var, HOLDFAST_OK)) == 0);
	cr_assert(LWLockRelease(lock_at(0)) == HOLDFAST_OK);
	cluster_stop();
}

#define ROUNDS 20000

static int
hammer(int arg)
{
	for (int i = 0; i < ROUNDS; i++)
	{
		if (i % 4 == arg % 4)
		{
			if (LWLockAcquire(lock_at(0), LW_SHARED) < 0 || board->value[2] != board->value[3])
				return 1;
		}
		else
		{
			if (LWLockAcquire(lock_at(0), LW_EXCLUSIVE) < 0)
				return 2;
			board->value[2]++;
			board->value[3]++;
		}
		if (LWLockRelease(lock_at(0)) != HOLDFAST_OK)
			return 3;
	}
	return 0;
}

Test(lwlock, mutual_exclusion_among_processes)
{
	pid_t child[4];

	cluster_start();
	for (int i = 0; i < 4; i++)
		child[i] = child_start(hammer, i);
	for (int i = 0; i < 4; i++)
		cr_assert(child_wait(child[i]) == 0);
	cr_assert(board->value[2] == 4 * ROUNDS / 4 * 3);
	cr_assert(holdfast_recover(1000000, NULL) == HOLDFAST_OK);
	cr_assert(word_of(0) == 0, "word %016llx", (unsigned long long) word_of(0));
	cluster_stop();
}

static void *
hammer_in_thread(void *arg)
{
	if (InitProcess("thread") < 0)
		return (void *) 1;
	return (void *) (intptr_t) hammer((int) (intptr_t) arg);
}

Test(lwlock, mutual_exclusion_among_threads)
{
	pthread_t thread[3];
	void *result;

	cluster_start();
	for (int i = 0; i < 3; i++)
		cr_assert(pthread_create(&thread[i], NULL, hammer_in_thread, (void *) (intptr_t) i) == 0);
	for (int i = 0; i < 3; i++)
	{
		cr_assert(pthread_join(thread[i], &result) == 0);
		cr_assert(result == NULL);
	}
	cr_assert(board->value[2] == 3 * ROUNDS / 4 * 3);
	cr_assert(word_of(0) == 0);
	cluster_stop();
}

static int
read_for_ever(int arg)
{
	(void) arg;
	board_set(0, 1);
	while (!__atomic_load_n(&board->step[1], __ATOMIC_SEQ_CST))
	{
		if (LWLockAcquire(lock_at(0), LW_SHARED) < 0)
			return 1;
		sched_yield(); /* so that the other reader comes in before we leave */
		if (LWLockRelease(lock_at(0)) != HOLDFAST_OK)
			return 2;
	}
	return 0;
}

Test(lwlock, a_writer_is_not_starved_by_readers)
{
	pid_t reader[4];

	cluster_start();
	for (int i = 0; i < 4; i++)
		reader[i] = child_start(read_for_ever, i);
	board_wait(0, 1);
	for (int i = 0; i < 20; i++)
	{
		cr_assert(LWLockAcquireTimed(lock_at(0), LW_EXCLUSIVE, 10 * 1000000) >= 0);
		cr_assert(LWLockRelease(lock_at(0)) == HOLDFAST_OK);
	}
	board_set(1, 1);
	for (int i = 0; i < 4; i++)
		cr_assert(child_wait(reader[i]) == 0);
	cr_assert(holdfast_recover(1000000, NULL) == HOLDFAST_OK);
	cr_assert(word_of(0) == 0, "word %016llx", (unsigned long long) word_of(0));
	cluster_stop();
}

Test(lwlock, tranches)
{
	LWLockRepair repair;
	void *arg;
	int id;

	cr_assert(RequestNamedLWLockTranche("", 1) == HOLDFAST_MISUSE);
	cr_assert(RequestNamedLWLockTranche(NULL, 1) == HOLDFAST_MISUSE);
	cr_assert(RequestNamedLWLockTranche("none", 0) == HOLDFAST_MISUSE);
	cr_assert(RequestNamedLWLockTranche("all", 1000001) == HOLDFAST_MISUSE);
	cr_assert_str_eq(GetLWLockIdentifier(0), "unknown", "there is no table");
	cr_assert(LWLockNewTrancheId("early") == (int) HOLDFAST_MISUSE);
	cluster_start();
	cr_assert(RequestNamedLWLockTranche("late", 1) == HOLDFAST_MISUSE);
	cr_assert(GetNamedLWLockTranche("nobody") == NULL);
	cr_assert(GetNamedLWLockTranche(NULL) == NULL);
	cr_assert_str_eq(GetLWLockIdentifier(locks[0].lock.tranche), "test");
	cr_assert_str_eq(GetLWLockIdentifier(200), "unknown");
	cr_assert_str_eq(GetLWLockIdentifier(-1), "unknown");
	id = LWLockNewTrancheId("mine");
	cr_assert(id > 0);
	cr_assert_str_eq(GetLWLockIdentifier(id), "mine");
	cr_assert(LWLockNewTrancheId("") == (int) HOLDFAST_MISUSE);
	cr_assert(LWLockRegisterTranche(id, LWLOCK_REPAIR, NULL, NULL) == HOLDFAST_MISUSE);
	cr_assert(LWLockRegisterTranche(250, LWLOCK_POISON, NULL, NULL) == HOLDFAST_MISUSE);
	cr_assert(LWLockRegisterTranche(id, (LWLockPolicy) -1, NULL, NULL) == HOLDFAST_MISUSE);
	cr_assert(LWLockRegisterTranche(id, (LWLockPolicy) 77, NULL, NULL) == HOLDFAST_MISUSE);
	cr_assert(LWLockRegisterTranche(id, LWLOCK_RESET, NULL, NULL) == HOLDFAST_OK);
	holdfast_shmem.tranches->tranche[id].policy = 77;
	cr_assert(holdfast_tranche_policy(id, &repair, &arg) == LWLOCK_POISON, "nobody wrote that");
	cr_assert(repair == NULL && arg == NULL);
	while ((id = LWLockNewTrancheId("more")) >= 0)
		;
	cr_assert(id == (int) HOLDFAST_LIMIT);
	cluster_stop();
}

Test(lwlock, requests_are_limited)
{
	HoldfastStatus status;
	char name[16];
	int made = 0;

	do
		(void) snprintf(name, sizeof(name), "t%d", made);
	while ((status = RequestNamedLWLockTranche(name, 1)) == HOLDFAST_OK && ++made < 1000);
	cr_assert(status == HOLDFAST_LIMIT && made == LWLOCK_TRANCHES_MAX - LWTRANCHE_FIRST_USER);
}

Test(lwlock, a_full_count_of_sharers_lets_no_more_in)
{
	LWLock *lock;

	cluster_start();
	lock = &locks[0].lock;
	lock->state = LW_SHARED_MASK;
	cr_assert(LWLockConditionalAcquire(lock, LW_SHARED) == HOLDFAST_BUSY);
	cr_assert(lock->state == LW_SHARED_MASK, "it would have run over into the flags");
	lock->state = 0;
	cluster_stop();
}

static int
wait_without_slot(int arg)
{
	uint64_t value = 0, seen;

	(void) arg;
	return LWLockWaitForVar(&locks[0].lock, &value, 0, &seen) == HOLDFAST_MISUSE ? 0 : 1;
}

Test(lwlock, what_only_a_holder_may_do_is_refused_to_others)
{
	uint64_t value = 5, seen;

	cluster_start();
	cr_assert_eq(child_wait(child_start_without_slot(wait_without_slot, 0)), 0);
	cr_assert(LWLockReleaseClearVar(&locks[0].lock, &value, 6) == HOLDFAST_MISUSE && value == 5);
	cr_assert(LWLockMarkConsistent(&locks[0].lock) == HOLDFAST_MISUSE);
	cr_assert(LWLockAcquire(&locks[0].lock, LW_SHARED) == HOLDFAST_OK);
	cr_assert(LWLockMarkConsistent(&locks[0].lock) == HOLDFAST_MISUSE, "a sharer has no data");
	cr_assert(LWLockUpdateVar(&locks[0].lock, &value, 6) == HOLDFAST_MISUSE && value == 5);
	cr_assert(LWLockAnyHeldByMe(&locks[0].lock, 2, sizeof(LWLockPadded)));
	cr_assert(!LWLockAnyHeldByMe((LWLock *) ((char *) &locks[0] - 64), 4, 48), "between two");
	for (int i = 1; i < MAX_SIMUL_LWLOCKS; i++)
		cr_assert(LWLockAcquire(&locks[1].lock, LW_SHARED) == HOLDFAST_OK);
	cr_assert(LWLockWaitForVar(&locks[2].lock, &value, 0, &seen) == HOLDFAST_LIMIT);
	LWLockReleaseAll();
	cr_assert(locks[0].lock.state == 0 && locks[1].lock.state == 0);
	cluster_stop();
}

static void
leave_at_once(int signal_number)
{
	(void) signal_number;
	shmem_exit(1);
	_exit(7);
}

static int
wait_and_be_told_to_leave(int arg)
{
	(void) arg;
	signal(SIGTERM, leave_at_once);
	return LWLockAcquire(&locks[0].lock, LW_EXCLUSIVE) < 0 ? 1 : 2;
}

/* A handler that exits from inside a wait leaves what a corpse leaves: recovery takes it up. */
Test(lwlock, an_exit_from_inside_a_wait_is_recovered)
{
	pid_t waiter;
	int slot;

	cluster_start();
	cr_assert(LWLockAcquire(&locks[0].lock, LW_EXCLUSIVE) == HOLDFAST_OK);
	waiter = child_start(wait_and_be_told_to_leave, 0);
	wait_until_queued(waiter);
	slot = holdfast_slot_of_pid(waiter);
	kill(waiter, SIGTERM);
	cr_assert_eq(child_wait(waiter), 7);
	cr_assert(PROC_STATE(holdfast_shmem.procs[slot].life) == PROC_DEAD);
	cr_assert(holdfast_recover(1000000, NULL) == HOLDFAST_OK);
	cr_assert(PROC_STATE(holdfast_shmem.procs[slot].life) == PROC_FREE);
	cr_assert(LWLockRelease(&locks[0].lock) == HOLDFAST_OK && locks[0].lock.state == 0);
	cluster_stop();
}
