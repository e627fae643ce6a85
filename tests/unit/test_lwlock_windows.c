/*
 * test_lwlock_windows.c
 *		LWLocks among the living, with one of them parked between two steps: no wake-up is lost in the window.
 *
 * Parked by pause points, let go by name: no test here depends on timing.
 */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../support/arm.h"
#include "../support/fixture.h"
#include "inject/inject.h"
#include "lwlock_state.h"
#include "shmem_layout.h"

TestSuite(lwlock_windows, .timeout = 60);

#define LOCK        (&locks[0].lock)
#define PATIENCE_MS 20000

static int
get_and_release(int mode)
{
	inject_set_role("waiter", 1);
	if (LWLockAcquire(LOCK, (LWLockMode) mode) < 0)
		return 1;
	return LWLockRelease(LOCK) == HOLDFAST_OK ? 0 : 2;
}

/* The holder lets go while the waiter stands at `point`; the waiter must get the lock all the same. */
static void
release_while_parked_at(const char *point, LWLockMode mode)
{
	char plan[160];
	pid_t waiter;

	cluster_start();
	(void) snprintf(plan, sizeof(plan), "%s=#1 pause(window)[proc=waiter]", point);
	arm(plan);
	cr_assert(LWLockAcquire(LOCK, LW_EXCLUSIVE) == HOLDFAST_OK);
	waiter = child_start(get_and_release, mode);
	cr_assert(inject_wait_reached("window", 1, PATIENCE_MS) == INJECT_OK, "nobody came to %s",
			  point);
	cr_assert(LWLockRelease(LOCK) == HOLDFAST_OK);
	cr_assert(inject_release("window") == 1);
	cr_assert(child_wait(waiter) == 0, "the waiter at %s was forgotten", point);
	cr_assert(unwoken_waiters() == 0, "the waiter at %s had to help itself", point);
	cr_assert(inject_unfired(NULL, 0, NULL) == 0);
	inject_table_detach();
	cr_assert(holdfast_recover(1000000, NULL) == HOLDFAST_OK);
	cr_assert(LOCK->state == 0, "word %016llx", (unsigned long long) LOCK->state);
	cluster_stop();
}

Test(lwlock_windows, released_before_the_waiter_queued)
{
	release_while_parked_at("lwlock/acquire/pre-queue", LW_EXCLUSIVE);
}

Test(lwlock_windows, released_before_a_reader_queued)
{
	release_while_parked_at("lwlock/acquire/pre-queue", LW_SHARED);
}

Test(lwlock_windows, released_before_the_waiter_tried_again)
{
	release_while_parked_at("lwlock/acquire/queued", LW_EXCLUSIVE);
}

Test(lwlock_windows, released_before_the_waiter_slept)
{
	release_while_parked_at("lwlock/acquire/pre-sleep", LW_EXCLUSIVE);
}

/* One waits at a time, asleep: whoever lets go wakes it. */
static void
release_to_one_asleep(LWLockMode held, LWLockMode wanted)
{
	pid_t waiter;

	cluster_start();
	for (int i = 0; i < 3; i++)
	{
		cr_assert(LWLockAcquire(LOCK, held) == HOLDFAST_OK);
		waiter = child_start(get_and_release, (int) wanted);
		wait_until_queued(waiter);
		cr_assert(LWLockRelease(LOCK) == HOLDFAST_OK);
		cr_assert(child_wait(waiter) == 0);
	}
	cr_assert(unwoken_waiters() == 0, "the waiter had to help itself");
	cr_assert(holdfast_recover(1000000, NULL) == HOLDFAST_OK);
	cr_assert(LOCK->state == 0, "word %016llx", (unsigned long long) LOCK->state);
	cluster_stop();
}

Test(lwlock_windows, a_writer_wakes_the_writer_that_sleeps)
{
	release_to_one_asleep(LW_EXCLUSIVE, LW_EXCLUSIVE);
}

Test(lwlock_windows, a_writer_wakes_the_reader_that_sleeps)
{
	release_to_one_asleep(LW_EXCLUSIVE, LW_SHARED);
}

Test(lwlock_windows, the_last_reader_wakes_the_writer_that_sleeps)
{
	release_to_one_asleep(LW_SHARED, LW_EXCLUSIVE);
}

static int
hold_and_release(int arg)
{
	(void) arg;
	inject_set_role("releaser", 1);
	if (LWLockAcquire(LOCK, LW_EXCLUSIVE) < 0)
		return 1;
	board_set(0, 1);
	board_wait(1, 1);
	return LWLockRelease(LOCK) == HOLDFAST_OK ? 0 : 2;
}

/* The lock is free and its waiters are not woken: that a corpse owed it to them stands in its journal. */
Test(lwlock_windows, what_a_releaser_owes_is_in_its_journal)
{
	HoldfastRecovery result;
	pid_t releaser, waiter;

	cluster_start();
	arm("lwlock/release/pre-wake=#1 kill[proc=releaser]");
	releaser = child_start(hold_and_release, 0);
	board_wait(0, 1);
	waiter = child_start(get_and_release, LW_EXCLUSIVE);
	wait_until_queued(waiter);
	board_set(1, 1);
	cr_assert(child_wait(releaser) == 1000 + SIGKILL);
	cr_assert(holdfast_recover_pid(releaser, 1000000, &result) == HOLDFAST_OK);
	cr_assert(result.dead_slots == 1 && result.locks_recovered == 1);
	cr_assert(child_wait(waiter) == 0);
	cr_assert(inject_unfired(NULL, 0, NULL) == 0);
	inject_table_detach();
	cr_assert(holdfast_recover(1000000, NULL) == HOLDFAST_OK);
	cluster_stop();
}

/* ---- beside one that is stopped with the queue in its hands ---- */

static pid_t stopped;

static int
come_and_be_stopped(int arg)
{
	(void) arg;
	inject_set_role("stopped", 1);
	if (LWLockAcquire(LOCK, LW_EXCLUSIVE) < 0)
		return 1;
	return LWLockRelease(LOCK) == HOLDFAST_OK ? 0 : 2;
}

/* The lock is ours, its queue belongs to `stopped`. */
static void
stop_queue_owner(void)
{
	int status;

	arm("lwlock/acquire/queue-locked=#1 stop[proc=stopped]");
	cr_assert(LWLockAcquire(LOCK, LW_EXCLUSIVE) == HOLDFAST_OK);
	stopped = child_start(come_and_be_stopped, 0);
	cr_assert(waitpid(stopped, &status, WUNTRACED) == stopped && WIFSTOPPED(status));
	cr_assert(lw_qowner(LOCK->state) != 0);
}

static void
continue_queue_owner(void)
{
	kill(stopped, SIGCONT);
	cr_assert(child_wait(stopped) == 0);
	cr_assert(inject_unfired(NULL, 0, NULL) == 0);
	inject_table_detach();
	cr_assert(holdfast_recover(1000000, NULL) == HOLDFAST_OK);
	cr_assert(LOCK->state == 0, "word %016llx", (unsigned long long) LOCK->state);
	cluster_stop();
}

static int
watch_var(int arg)
{
	uint64_t value;

	(void) arg;
	board_set(1, 1);
	return LWLockWaitForVar(LOCK, &board->value[3], 0, &value) == HOLDFAST_CHANGED && value == 7
			   ? 0
			   : 1;
}

static int
acquire_or_wait(int arg)
{
	HoldfastStatus status;

	(void) arg;
	board_set(1, 1);
	status = LWLockAcquireOrWait(LOCK, LW_EXCLUSIVE);
	if (status == HOLDFAST_OK) /* it came when the lock was free already */
		return LWLockRelease(LOCK) == HOLDFAST_OK ? 0 : 2;
	return status == HOLDFAST_BUSY && !LWLockHeldByMe(LOCK) ? 0 : 1;
}

Test(lwlock_windows, a_variable_is_seen_beside_a_stopped_queue_owner)
{
	pid_t early, late;

	cluster_start();
	early = child_start(watch_var, 0);
	cr_assert(child_wait(early) == 1, "nobody holds it: nothing to wait for");
	stop_queue_owner();
	late = child_start(watch_var, 0);
	board_wait(1, 1);
	cr_assert(LWLockUpdateVar(LOCK, &board->value[3], 7) == HOLDFAST_OK);
	cr_assert(child_wait(late) == 0);
	cr_assert(LWLockRelease(LOCK) == HOLDFAST_OK);
	continue_queue_owner();
}

Test(lwlock_windows, a_watcher_asleep_sees_the_variable_beside_a_stopped_queue_owner)
{
	pid_t watcher;
	int status;

	cluster_start();
	arm("lwlock/acquire/queue-locked=#1 stop[proc=stopped]");
	cr_assert(LWLockAcquire(LOCK, LW_EXCLUSIVE) == HOLDFAST_OK);
	watcher = child_start(watch_var, 0);
	wait_until_queued(watcher);
	stopped = child_start(come_and_be_stopped, 0);
	cr_assert(waitpid(stopped, &status, WUNTRACED) == stopped && WIFSTOPPED(status));
	cr_assert(LWLockUpdateVar(LOCK, &board->value[3], 7) == HOLDFAST_OK);
	cr_assert(LOCK->state & LW_WAKE_WANTED, "the wake-up is left to the owner of the queue");
	cr_assert(child_wait(watcher) == 0);
	cr_assert(LWLockRelease(LOCK) == HOLDFAST_OK);
	continue_queue_owner();
}

Test(lwlock_windows, acquire_or_wait_ends_beside_a_stopped_queue_owner)
{
	pid_t child;

	cluster_start();
	stop_queue_owner();
	child = child_start(acquire_or_wait, 0);
	board_wait(1, 1);
	cr_assert(LWLockRelease(LOCK) == HOLDFAST_OK);
	cr_assert(child_wait(child) == 0);
	continue_queue_owner();
}

Test(lwlock_windows, acquire_or_wait_asleep_ends_beside_a_stopped_queue_owner)
{
	pid_t child;
	int status;

	cluster_start();
	arm("lwlock/acquire/queue-locked=#1 stop[proc=stopped]");
	cr_assert(LWLockAcquire(LOCK, LW_EXCLUSIVE) == HOLDFAST_OK);
	child = child_start(acquire_or_wait, 0);
	wait_until_queued(child);
	stopped = child_start(come_and_be_stopped, 0);
	cr_assert(waitpid(stopped, &status, WUNTRACED) == stopped && WIFSTOPPED(status));
	cr_assert(LWLockRelease(LOCK) == HOLDFAST_OK);
	cr_assert(child_wait(child) == 0);
	continue_queue_owner();
}

/* We stand in the queue of one lock, left there; then we wait for another, and find our way out of the first. */
Test(lwlock_windows, a_link_left_behind_is_settled_before_the_next_wait)
{
	pid_t holder;
	int status;

	cluster_start();
	arm("lwlock/acquire/queue-locked=#1 stop[proc=stopped]");
	holder = child_start(watch_var, 0); /* ends at once: only to know that the lock is free */
	(void) child_wait(holder);
	cr_assert(LWLockAcquire(LOCK, LW_SHARED) == HOLDFAST_OK);
	stopped = child_start(come_and_be_stopped, 0);
	cr_assert(waitpid(stopped, &status, WUNTRACED) == stopped && WIFSTOPPED(status));
	/* As if we had been linked before it took the queue. */
	cr_assert(LWLockAcquireTimed(LOCK, LW_EXCLUSIVE, 1000) == HOLDFAST_TIMED_OUT);
	cr_assert(MyProc->wait_lock == 0 && MyProc->entry[JOURNAL_LINK] == 0, "never linked");
	MyProc->entry[JOURNAL_LINK] = ENTRY_MAKE(shmem_offset(LOCK), LW_WAIT_UNTIL_FREE, ENTRY_QUEUED);
	__atomic_store_n(&MyProc->wait_lock, shmem_offset(LOCK), __ATOMIC_SEQ_CST);
	cr_assert(LWLockAcquireTimed(LOCK, LW_EXCLUSIVE, 1000) == HOLDFAST_TIMED_OUT);
	cr_assert(MyProc->entry[JOURNAL_LINK] != 0, "its owner has not moved");
	__atomic_store_n(&MyProc->wait_lock, 0, __ATOMIC_SEQ_CST); /* as a waker does */
	cr_assert(LWLockAcquireTimed(LOCK, LW_EXCLUSIVE, 1000) == HOLDFAST_TIMED_OUT);
	cr_assert(MyProc->entry[JOURNAL_LINK] == 0, "settled");
	cr_assert(LWLockRelease(LOCK) == HOLDFAST_OK);
	continue_queue_owner();
}

/* The lock is free, and who was to wake the waiter is stopped before it has. */
Test(lwlock_windows, a_waiter_helps_itself_beside_a_stopped_waker)
{
	pid_t waiter;
	int status;

	cluster_start();
	arm("lwlock/wakeup/locked=#1 stop[proc=releaser]");
	stopped = child_start(hold_and_release, 0);
	board_wait(0, 1);
	waiter = child_start(get_and_release, LW_EXCLUSIVE);
	wait_until_queued(waiter);
	board_set(1, 1);
	cr_assert(waitpid(stopped, &status, WUNTRACED) == stopped && WIFSTOPPED(status));
	cr_assert(child_wait(waiter) == 0);
	cr_assert(unwoken_waiters() == 1);
	continue_queue_owner();
}

Test(lwlock_windows, a_waiter_that_cannot_queue_gets_the_lock)
{
	pid_t waiter;

	cluster_start();
	stop_queue_owner();
	waiter = child_start(get_and_release, LW_SHARED);
	cr_assert(LWLockAcquireTimed(&locks[1].lock, LW_EXCLUSIVE, 20000) == HOLDFAST_OK,
			  "time passes");
	cr_assert(LWLockRelease(&locks[1].lock) == HOLDFAST_OK);
	cr_assert(LWLockRelease(LOCK) == HOLDFAST_OK);
	cr_assert(child_wait(waiter) == 0);
	continue_queue_owner();
}

/* ---- recovery beside one that is stopped ---- */

static int
share_for_ever(int arg)
{
	if (arg)
		inject_set_role("stopped", 1);
	if (LWLockAcquire(LOCK, LW_SHARED) < 0)
		return 1;
	board_set(0, 1);
	board_wait(15, 1);
	return 2;
}

/* One sharer is dead, another stopped where its journal does not say whether it is counted. */
static void
stop_sharer_beside_a_corpse(void)
{
	pid_t corpse;
	int status;

	arm("lwlock/acquire/post-cas=#1 stop[proc=stopped]");
	corpse = child_start(share_for_ever, 0);
	board_wait(0, 1);
	stopped = child_start(share_for_ever, 1);
	cr_assert(waitpid(stopped, &status, WUNTRACED) == stopped && WIFSTOPPED(status));
	child_kill(corpse);
}

Test(lwlock_windows, recovery_says_for_whom_it_waits_and_goes_on_when_that_one_does)
{
	HoldfastRecovery result;

	cluster_start();
	stop_sharer_beside_a_corpse();
	cr_assert(holdfast_recover(20000, &result) == HOLDFAST_TIMED_OUT);
	cr_assert(result.stopped_slot == holdfast_slot_of_pid(stopped) &&
			  result.stopped_pid == stopped);
	cr_assert(LOCK->state & LW_RECOVERING, "nobody acquires meanwhile");
	cr_assert(LWLockAcquireTimed(LOCK, LW_SHARED, 200000) == HOLDFAST_TIMED_OUT);
	cr_assert(holdfast_shmem.proc_global->unfinished_since_us != 0);
	kill(stopped, SIGCONT);
	cr_assert(holdfast_recover(10000000, &result) == HOLDFAST_OK);
	cr_assert(result.dead_slots == 1 && result.stopped_slot == -1 && result.stopped_pid == 0);
	cr_assert(holdfast_shmem.proc_global->unfinished_since_us == 0);
	cr_assert(lw_shared_count(LOCK->state) == 1, "the one that was stopped holds it");
	child_kill(stopped);
	inject_table_detach();
	cr_assert(holdfast_recover(1000000, NULL) == HOLDFAST_OK && LOCK->state == 0);
	cluster_stop();
}

Test(lwlock_windows, recovery_that_waited_too_long_asks_for_a_reset)
{
	HoldfastRecovery result;
	HoldfastStatus status;

	cr_assert(holdfast_set_stopped_limit(1) == HOLDFAST_MISUSE, "no segment");
	cluster_start();
	cr_assert(holdfast_set_stopped_limit(0) == HOLDFAST_MISUSE);
	cr_assert(holdfast_set_stopped_limit(UINT64_MAX) == HOLDFAST_OK);
	stop_sharer_beside_a_corpse();
	for (int i = 0; i < 3; i++)
		cr_assert(holdfast_recover(1000, &result) == HOLDFAST_TIMED_OUT, "for ever, as said");
	cr_assert(holdfast_set_stopped_limit(1) == HOLDFAST_OK);
	cr_assert(holdfast_recover(1000, &result) == HOLDFAST_RESET_NEEDED);
	cr_assert(result.stopped_pid == stopped);
	/* Every wait ends so, with or without a timeout. */
	cr_assert(LWLockAcquire(LOCK, LW_EXCLUSIVE) == HOLDFAST_RESET_NEEDED);
	status = LWLockAcquireTimed(LOCK, LW_SHARED, 20000000);
	cr_assert(status == HOLDFAST_RESET_NEEDED);
	cr_assert(LWLockAcquireOrWait(LOCK, LW_EXCLUSIVE) == HOLDFAST_RESET_NEEDED);
	child_kill(stopped);
	inject_table_detach();
	cluster_stop();
}

static int
recover_and_be_stopped(int arg)
{
	(void) arg;
	inject_set_role("stopped", 1);
	return holdfast_recover(10000000, NULL) == HOLDFAST_OK ? 0 : 1;
}

Test(lwlock_windows, a_stopped_recoverer_holds_up_nothing_but_recovery)
{
	HoldfastRecovery result;
	pid_t corpse;
	int status;

	cluster_start();
	arm("recover/lock/queue-taken=#1 stop[proc=stopped]");
	corpse = child_start(share_for_ever, 0);
	board_wait(0, 1);
	child_kill(corpse);
	stopped = child_start(recover_and_be_stopped, 0);
	cr_assert(waitpid(stopped, &status, WUNTRACED) == stopped && WIFSTOPPED(status));
	cr_assert(holdfast_recover(20000, &result) == HOLDFAST_TIMED_OUT &&
			  result.stopped_pid == stopped);
	cr_assert(LWLockAcquireTimed(LOCK, LW_SHARED, 20000) == HOLDFAST_TIMED_OUT);
	cr_assert(LWLockAcquire(&locks[1].lock, LW_EXCLUSIVE) == HOLDFAST_OK);
	cr_assert(LWLockRelease(&locks[1].lock) == HOLDFAST_OK);
	continue_queue_owner();
}

static int
hold_for_ever(int arg)
{
	(void) arg;
	if (LWLockAcquire(LOCK, LW_EXCLUSIVE) < 0)
		return 1;
	board_set(0, 1);
	board_wait(15, 1);
	return 2;
}

static int
recover_what_another_marked(int arg)
{
	HoldfastRecovery result;

	(void) arg;
	inject_set_role("judge", 1);
	if (holdfast_recover(10000000, &result) != HOLDFAST_OK)
		return 1;
	return result.dead_slots == 1 && result.locks_recovered == 1 ? 0 : 2;
}

/* A waiter marks the slot, and leaves the rest to the recoverer, who has just found out the same. */
Test(lwlock_windows, whom_another_has_marked_dead_is_recovered)
{
	pid_t corpse, judge;

	cluster_start();
	arm("recover/slot/judged=#1 pause(judged)[proc=judge]");
	corpse = child_start(hold_for_ever, 0);
	board_wait(0, 1);
	child_kill(corpse);
	judge = child_start(recover_what_another_marked, 0);
	cr_assert(inject_wait_reached("judged", 1, PATIENCE_MS) == INJECT_OK);
	cr_assert(LWLockAcquireTimed(LOCK, LW_EXCLUSIVE, 50000) == HOLDFAST_TIMED_OUT);
	cr_assert(inject_release("judged") == 1);
	cr_assert(child_wait(judge) == 0);
	cr_assert(LWLockAcquire(LOCK, LW_EXCLUSIVE) == HOLDFAST_OWNER_DEAD);
	cr_assert(LWLockMarkConsistent(LOCK) == HOLDFAST_OK && LWLockRelease(LOCK) == HOLDFAST_OK);
	cr_assert(inject_unfired(NULL, 0, NULL) == 0);
	inject_table_detach();
	cr_assert(holdfast_recover(1000000, NULL) == HOLDFAST_OK);
	cluster_stop();
}
