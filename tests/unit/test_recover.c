/*
 * test_recover.c
 *		Locks whose holders and waiters were killed: who gets them back, in what state.
 *
 * Every death here is a real SIGKILL.  Deaths at every single point of the lock code are the scenarios' business; here
 * are the policies, the verdicts, and recovery without a supervisor.
 */
#include <criterion/criterion.h>
#include <linux/sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../support/fixture.h"
#include "lwlock_state.h"
#include "shmem_layout.h"

TestSuite(recover, .timeout = 60);

#define LOCK (&locks[0].lock)

static uint64_t
word(void)
{
	return __atomic_load_n(&LOCK->state, __ATOMIC_SEQ_CST);
}

static int
hold_for_ever(int mode)
{
	board->value[0] = 1;
	if (LWLockAcquire(LOCK, (LWLockMode) mode) < 0)
		return 1;
	board->value[1] = 1; /* half of a change: value[0] says 1 whole, value[2] is missing */
	board_set(0, 1);
	board_wait(15, 1);
	return 2;
}

static pid_t
dead_holder(LWLockMode mode)
{
	pid_t pid = child_start(hold_for_ever, (int) mode);

	board_wait(0, 1);
	child_kill(pid);
	return pid;
}

Test(recover, nobody_dead_nothing_done)
{
	HoldfastRecovery result;

	cluster_start();
	cr_assert(holdfast_recover(0, &result) == HOLDFAST_OK);
	cr_assert(result.dead_slots == 0 && result.locks_recovered == 0 && result.stopped_slot == -1);
	cluster_stop();
}

Test(recover, a_dead_reader_costs_its_slot_only)
{
	HoldfastRecovery result;

	cluster_start();
	(void) dead_holder(LW_SHARED);
	cr_assert(lw_shared_count(word()) == 1);
	cr_assert(holdfast_recover(1000000, &result) == HOLDFAST_OK);
	cr_assert(result.dead_slots == 1 && result.locks_recovered == 1 && result.locks_poisoned == 0);
	cr_assert(word() == 0);
	cr_assert(LWLockAcquire(LOCK, LW_EXCLUSIVE) == HOLDFAST_OK);
	cr_assert(LWLockRelease(LOCK) == HOLDFAST_OK);
	cluster_stop();
}

Test(recover, poison_is_told_to_the_next_holder_and_lifted_by_it)
{
	HoldfastRecovery result;
	pid_t pid;

	cluster_start();
	pid = dead_holder(LW_EXCLUSIVE);
	cr_assert(holdfast_recover_pid(pid, 1000000, &result) == HOLDFAST_OK);
	cr_assert(result.locks_poisoned == 1);
	cr_assert(LWLockAcquire(LOCK, LW_EXCLUSIVE) == HOLDFAST_OWNER_DEAD);
	cr_assert(LWLockMarkConsistent(LOCK) == HOLDFAST_OK);
	cr_assert(LWLockRelease(LOCK) == HOLDFAST_OK);
	cr_assert(LWLockAcquire(LOCK, LW_EXCLUSIVE) == HOLDFAST_OK);
	cr_assert(LWLockRelease(LOCK) == HOLDFAST_OK);
	cluster_stop();
}

Test(recover, poison_released_unmended_is_not_recoverable)
{
	cluster_start();
	(void) dead_holder(LW_EXCLUSIVE);
	cr_assert(holdfast_recover(1000000, NULL) == HOLDFAST_OK);
	cr_assert(LWLockConditionalAcquire(LOCK, LW_EXCLUSIVE) == HOLDFAST_OWNER_DEAD);
	cr_assert(LWLockRelease(LOCK) == HOLDFAST_OK);
	cr_assert(LWLockAcquire(LOCK, LW_EXCLUSIVE) == HOLDFAST_NOT_RECOVERABLE);
	cr_assert(LWLockAcquire(LOCK, LW_SHARED) == HOLDFAST_NOT_RECOVERABLE);
	cr_assert(LWLockConditionalAcquire(LOCK, LW_SHARED) == HOLDFAST_NOT_RECOVERABLE);
	cr_assert(LWLockAcquireOrWait(LOCK, LW_EXCLUSIVE) == HOLDFAST_NOT_RECOVERABLE);
	cr_assert(!LWLockHeldByMe(LOCK));
	cluster_stop();
}

static bool
mend(LWLock *lock, int dead_slot, void *arg)
{
	(void) lock;
	(void) dead_slot;
	board->value[1] = 0;
	board->value[5]++;
	return arg != NULL;
}

Test(recover, repair_mends_before_anybody_gets_in)
{
	HoldfastRecovery result;

	cluster_start();
	cr_assert(LWLockRegisterTranche(LOCK->tranche, LWLOCK_REPAIR, mend, &result) == HOLDFAST_OK);
	(void) dead_holder(LW_EXCLUSIVE);
	cr_assert(board->value[1] == 1);
	cr_assert(holdfast_recover(1000000, &result) == HOLDFAST_OK);
	cr_assert(result.locks_repaired == 1 && result.locks_poisoned == 0);
	cr_assert(board->value[1] == 0 && board->value[5] == 1);
	cr_assert(LWLockAcquire(LOCK, LW_EXCLUSIVE) == HOLDFAST_OK);
	cr_assert(LWLockRelease(LOCK) == HOLDFAST_OK);
	cluster_stop();
}

Test(recover, a_repair_that_cannot_poisons)
{
	cluster_start();
	cr_assert(LWLockRegisterTranche(LOCK->tranche, LWLOCK_REPAIR, mend, NULL) == HOLDFAST_OK);
	(void) dead_holder(LW_EXCLUSIVE);
	cr_assert(holdfast_recover(1000000, NULL) == HOLDFAST_OK);
	cr_assert(LWLockAcquire(LOCK, LW_SHARED) == HOLDFAST_OWNER_DEAD);
	cr_assert(LWLockRelease(LOCK) == HOLDFAST_OK);
	cluster_stop();
}

static int
expect_reset(int arg)
{
	(void) arg;
	return LWLockAcquire(LOCK, LW_SHARED) == HOLDFAST_RESET_NEEDED ? 0 : 1;
}

Test(recover, reset_policy_ends_every_wait)
{
	pid_t holder, waiter;

	cluster_start();
	cr_assert(LWLockRegisterTranche(LOCK->tranche, LWLOCK_RESET, NULL, NULL) == HOLDFAST_OK);
	holder = child_start(hold_for_ever, LW_EXCLUSIVE);
	board_wait(0, 1);
	waiter = child_start(expect_reset, 0);
	wait_until_queued(waiter);
	child_kill(holder);
	cr_assert(holdfast_recover(1000000, NULL) == HOLDFAST_RESET_NEEDED);
	cr_assert(child_wait(waiter) == 0);
	cluster_stop();
}

static int
get_it_after_all(int mode)
{
	HoldfastStatus status = LWLockAcquire(LOCK, (LWLockMode) mode);

	if (status == HOLDFAST_OWNER_DEAD && mode == LW_EXCLUSIVE)
		(void) LWLockMarkConsistent(LOCK);
	if (status < 0)
		return 1;
	return LWLockRelease(LOCK) == HOLDFAST_OK ? 0 : 2;
}

Test(recover, waiters_recover_alone_without_any_supervisor)
{
	pid_t holder, waiter[3];

	cluster_start();
	holder = child_start(hold_for_ever, LW_EXCLUSIVE);
	board_wait(0, 1);
	for (int i = 0; i < 3; i++)
	{
		waiter[i] = child_start(get_it_after_all, LW_EXCLUSIVE);
		wait_until_queued(waiter[i]);
	}
	child_kill(holder);
	for (int i = 0; i < 3; i++)
		cr_assert(child_wait(waiter[i]) == 0);
	cluster_stop();
}

Test(recover, a_zombie_holder_is_dead)
{
	pid_t holder, waiter;

	cluster_start();
	holder = child_start(hold_for_ever, LW_EXCLUSIVE);
	board_wait(0, 1);
	kill(holder, SIGKILL); /* not reaped: kill(holder, 0) goes on succeeding */
	waiter = child_start(get_it_after_all, LW_EXCLUSIVE);
	cr_assert(child_wait(waiter) == 0);
	cr_assert(kill(holder, 0) == 0);
	waitpid(holder, NULL, 0);
	cluster_stop();
}

Test(recover, a_stopped_holder_is_not_dead)
{
	pid_t holder;

	cluster_start();
	holder = child_start(hold_for_ever, LW_EXCLUSIVE);
	board_wait(0, 1);
	kill(holder, SIGSTOP);
	waitpid(holder, NULL, WUNTRACED);
	cr_assert(LWLockAcquireTimed(LOCK, LW_SHARED, 200000) == HOLDFAST_TIMED_OUT);
	cr_assert(lw_xowner(word()) != 0);
	child_kill(holder);
	cr_assert(holdfast_recover(1000000, NULL) == HOLDFAST_OK);
	cluster_stop();
}

Test(recover, several_dead_at_once_with_several_locks)
{
	HoldfastRecovery result;
	pid_t pid[4];

	cluster_start();
	for (int i = 0; i < 4; i++)
	{
		board_set(0, 0);
		__atomic_store_n(&board->step[0], 0, __ATOMIC_SEQ_CST);
		pid[i] = child_start(hold_for_ever, LW_SHARED);
		board_wait(0, 1);
	}
	cr_assert(lw_shared_count(word()) == 4);
	for (int i = 0; i < 3; i++)
		child_kill(pid[i]);
	cr_assert(holdfast_recover(1000000, &result) == HOLDFAST_OK);
	cr_assert(result.dead_slots == 3);
	cr_assert(lw_shared_count(word()) == 1, "the living reader's hold stays");
	child_kill(pid[3]);
	cr_assert(holdfast_recover(1000000, &result) == HOLDFAST_OK);
	cr_assert(word() == 0);
	cluster_stop();
}

Test(recover, a_journal_entry_that_names_no_lock_is_dropped)
{
	HoldfastRecovery result;
	pid_t pid;
	int slot;

	cluster_start();
	pid = child_start(hold_for_ever, LW_SHARED);
	board_wait(0, 1);
	slot = holdfast_slot_of_pid(pid);
	holdfast_shmem.procs[slot].entry[5] = ENTRY_MAKE(UINT64_C(1) << 47, LW_EXCLUSIVE, ENTRY_HELD);
	holdfast_shmem.procs[slot].entry[6] = ENTRY_MAKE(3, LW_EXCLUSIVE, 77);
	child_kill(pid);
	cr_assert(holdfast_recover(1000000, &result) == HOLDFAST_OK);
	cr_assert(result.dead_slots == 1 && result.locks_recovered == 1);
	cr_assert(word() == 0);
	cluster_stop();
}

Test(recover, a_torn_queue_is_survived)
{
	cluster_start();
	LOCK->wait_head = 0xffff0000u; /* no such slot */
	LOCK->wait_tail = 12345678u;
	__atomic_fetch_or(&LOCK->state, LW_HAS_WAITERS, __ATOMIC_SEQ_CST);
	cr_assert(LWLockAcquire(LOCK, LW_EXCLUSIVE) == HOLDFAST_OK);
	cr_assert(LWLockRelease(LOCK) == HOLDFAST_OK);
	cluster_stop();
}

static int
recover_in_child(int arg)
{
	(void) arg;
	return holdfast_recover(5000000, NULL) == HOLDFAST_OK ? 0 : 1;
}

Test(recover, concurrent_recoverers_agree)
{
	pid_t child[4];

	cluster_start();
	(void) dead_holder(LW_EXCLUSIVE);
	for (int i = 0; i < 4; i++)
		child[i] = child_start(recover_in_child, 0);
	for (int i = 0; i < 4; i++)
		cr_assert(child_wait(child[i]) == 0);
	cr_assert(LWLockAcquire(LOCK, LW_SHARED) == HOLDFAST_OWNER_DEAD);
	cr_assert(LWLockRelease(LOCK) == HOLDFAST_OK);
	cr_assert(holdfast_recover(1000000, NULL) == HOLDFAST_OK);
	cluster_stop();
}

Test(recover, a_dead_recoverer_is_replaced)
{
	pid_t pid;

	cluster_start();
	pid = child_start(hold_for_ever, LW_EXCLUSIVE);
	board_wait(0, 1);
	/* As if it had died while recovering. */
	holdfast_shmem.proc_global->recovery_owner = (uint32_t) holdfast_slot_of_pid(pid) + 1;
	child_kill(pid);
	cr_assert(holdfast_recover(1000000, NULL) == HOLDFAST_OK);
	cr_assert(holdfast_shmem.proc_global->recovery_owner == 0);
	cluster_stop();
}

Test(recover, a_live_but_stuck_recoverer_bounds_us)
{
	HoldfastRecovery result;
	pid_t pid;

	cluster_start();
	pid = child_start(hold_for_ever, LW_SHARED);
	board_wait(0, 1);
	holdfast_shmem.proc_global->recovery_owner = (uint32_t) holdfast_slot_of_pid(pid) + 1;
	cr_assert(holdfast_recover(20000, &result) == HOLDFAST_TIMED_OUT);
	cr_assert(result.stopped_slot == holdfast_slot_of_pid(pid));
	child_kill(pid);
	cr_assert(holdfast_recover(1000000, NULL) == HOLDFAST_OK);
	cluster_stop();
}

/* ---- the number of the dead, reused ---- */

/* As child_start(), under a given number; -1 where that is not allowed. */
static pid_t
child_start_as(pid_t pid, int (*body)(int arg), int arg)
{
	struct clone_args args = {
		.exit_signal = SIGCHLD, .set_tid = (uint64_t) (uintptr_t) &pid, .set_tid_size = 1};
	long result = syscall(SYS_clone3, &args, sizeof(args));

	if (result != 0)
		return (pid_t) result;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	on_exit_reset();
	/* No handler of fork() has run: the slot in MyProc is our parent's, and the library knows. */
	if (InitProcess("heir") != HOLDFAST_OK)
		_exit(98);
	_exit(body(arg));
}

static int
share_another_for_ever(int arg)
{
	(void) arg;
	if (LWLockAcquire(&locks[1].lock, LW_SHARED) < 0)
		return 1;
	board_set(2, 1);
	board_wait(15, 1);
	return 2;
}

Test(recover, who_has_the_number_of_the_dead_keeps_its_slot)
{
	HoldfastRecovery result;
	uint64_t born;
	pid_t pid, heir;

	cluster_start();
	pid = child_start(hold_for_ever, LW_EXCLUSIVE);
	board_wait(0, 1);
	born = holdfast_process_start_time(pid);
	child_kill(pid);
	/* Start times are told apart by the clock tick: this is what the test is about, not a wait for somebody. */
	for (uint64_t now = born; now <= born;)
	{
		pid_t other = child_start_without_slot(hold_for_ever, LW_SHARED);

		now = holdfast_process_start_time(other);
		child_kill(other);
	}
	heir = child_start_as(pid, share_another_for_ever, 0);
	if (heir < 0)
	{
		cr_assert(holdfast_recover(1000000, NULL) == HOLDFAST_OK);
		cluster_stop();
		cr_skip("clone3 may not choose a number here");
	}
	cr_assert(heir == pid);
	board_wait(2, 1);
	cr_assert(holdfast_recover_pid(pid, 1000000, &result) == HOLDFAST_OK);
	cr_assert(result.dead_slots == 1 && result.locks_poisoned == 1, "%u slots, %u locks",
			  result.dead_slots, result.locks_recovered);
	cr_assert(lw_shared_count(locks[1].lock.state) == 1, "the heir's hold stays");
	cr_assert(kill(heir, 0) == 0 && holdfast_slot_of_pid(heir) >= 0);
	child_kill(heir);
	cr_assert(holdfast_recover_pid(heir, 1000000, &result) == HOLDFAST_OK);
	cr_assert(result.dead_slots == 1 && locks[1].lock.state == 0);
	cluster_stop();
}

static int
recover_without_slot(int arg)
{
	(void) arg;
	return holdfast_recover(0, NULL) == HOLDFAST_MISUSE ? 0 : 1;
}

Test(recover, needs_a_slot)
{
	cluster_start();
	cr_assert(child_wait(child_start_without_slot(recover_without_slot, 0)) == 0);
	cluster_stop();
}
