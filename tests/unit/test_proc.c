/*
 * test_proc.c
 *		Slots: claiming, giving back, being forked, being many.
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../support/fixture.h"
#include "shmem_layout.h"

TestSuite(proc, .timeout = 60);

Test(proc, no_segment_no_slot)
{
	cr_assert(InitProcess("early") == HOLDFAST_MISUSE);
	cr_assert(MyProc == NULL && holdfast_my_slot() == -1);
	ProcKill(0, 0);
	LWLockReleaseAll();
}

Test(proc, a_slot_says_who_we_are)
{
	cluster_start();
	cr_assert(holdfast_my_slot() == holdfast_slot_of_pid(getpid()));
	cr_assert(PROC_PID(MyProc->life) == getpid());
	cr_assert(PROC_STATE(MyProc->life) == PROC_LIVE);
	cr_assert(MyProc->start_time == holdfast_process_start_time(getpid()));
	cr_assert_str_eq(MyProc->role, "test");
	cr_assert(holdfast_slot_of_pid(1 << 30) == -1);
	cluster_stop();
}

Test(proc, roles_are_bounded_and_slots_single)
{
	cluster_start();
	cr_assert(InitProcess("again") == HOLDFAST_MISUSE);
	ProcKill(0, 0);
	cr_assert(InitProcess(NULL) == HOLDFAST_MISUSE);
	cr_assert(InitProcess("a role of sixteen") == HOLDFAST_MISUSE);
	cr_assert(InitProcess("fifteen letters") == HOLDFAST_OK);
	cluster_stop();
}

Test(proc, leaving_releases_locks_and_slot)
{
	int slot;

	cluster_start();
	slot = holdfast_my_slot();
	cr_assert(LWLockAcquire(&locks[0].lock, LW_EXCLUSIVE) == HOLDFAST_OK);
	cr_assert(LWLockAcquire(&locks[1].lock, LW_SHARED) == HOLDFAST_OK);
	ProcKill(0, 0);
	cr_assert(MyProc == NULL);
	cr_assert(locks[0].lock.state == 0 && locks[1].lock.state == 0);
	cr_assert(PROC_STATE(holdfast_shmem.procs[slot].life) == PROC_FREE);
	ProcKill(0, 0);
	cluster_stop();
}

static int
stay(int arg)
{
	board_set(arg, 1);
	board_wait(15, 1);
	proc_exit(0);
}

Test(proc, slots_run_out_and_come_back)
{
	pid_t child[3];

	cluster_start_with(4);
	for (int i = 0; i < 3; i++)
	{
		child[i] = child_start(stay, i);
		board_wait(i, 1);
	}
	cr_assert(child_wait(child_start(stay, 3)) == 98, "the fifth gets no slot");
	board_set(15, 1);
	for (int i = 0; i < 3; i++)
		cr_assert(child_wait(child[i]) == 0);
	cr_assert(child_wait(child_start(stay, 3)) == 0);
	cluster_stop();
}

static int
child_of_slot_owner(int arg)
{
	(void) arg;
	if (MyProc != NULL || holdfast_my_slot() != -1)
		return 1;
	ProcKill(0, 0); /* must not free the parent's slot */
	return 0;
}

Test(proc, fork_does_not_share_the_slot)
{
	cluster_start();
	cr_assert(child_wait(child_start_without_slot(child_of_slot_owner, 0)) == 0);
	cr_assert(PROC_STATE(MyProc->life) == PROC_LIVE);
	cluster_stop();
}

static void *
take_and_leave(void *arg)
{
	(void) arg;
	if (InitProcess("thread") != HOLDFAST_OK || LWLockAcquire(&locks[2].lock, LW_EXCLUSIVE) < 0)
		return (void *) 1;
	return (void *) 0; /* without ProcKill: the end of the thread does it */
}

Test(proc, a_thread_that_ends_gives_back_slot_and_locks)
{
	pthread_t thread;
	void *result;

	cluster_start();
	cr_assert(pthread_create(&thread, NULL, take_and_leave, NULL) == 0);
	cr_assert(pthread_join(thread, &result) == 0 && result == NULL);
	cr_assert(locks[2].lock.state == 0);
	cr_assert(PROC_STATE(holdfast_shmem.procs[1].life) == PROC_FREE);
	cr_assert(MyProc != NULL);
	cluster_stop();
}

Test(proc, exit_from_inside_a_lock_function_is_recovered)
{
	int slot;

	cluster_start();
	slot = holdfast_my_slot();
	/* As a signal handler would that calls proc_exit() between two steps of an acquisition. */
	MyProc->entry[0] = ENTRY_MAKE(shmem_offset(&locks[0].lock), LW_SHARED, ENTRY_PENDING);
	locks[0].lock.state = 1;
	ProcKill(0, 0);
	cr_assert(PROC_STATE(holdfast_shmem.procs[slot].life) == PROC_DEAD);
	cr_assert(InitProcess("after") == HOLDFAST_OK);
	cr_assert(holdfast_recover(1000000, NULL) == HOLDFAST_OK);
	cr_assert(locks[0].lock.state == 0);
	cr_assert(PROC_STATE(holdfast_shmem.procs[slot].life) == PROC_FREE);
	cluster_stop();
}

/* A child of which fork()'s handlers know nothing: the slot it sees is its parent's. */
Test(proc, a_child_of_clone_gives_back_nothing)
{
	pid_t pid;
	int status;

	cluster_start();
	cr_assert(LWLockAcquire(&locks[0].lock, LW_EXCLUSIVE) == HOLDFAST_OK);
	pid = (pid_t) syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
	cr_assert(pid >= 0);
	if (pid == 0)
	{
		LWLockReleaseAll();
		ProcKill(0, 0);
		_exit(MyProc == NULL && holdfast_my_slot() == -1 ? 0 : 1);
	}
	cr_assert(waitpid(pid, &status, 0) == pid && status == 0);
	cr_assert(LWLockHeldByMe(&locks[0].lock) && locks[0].lock.state != 0);
	cr_assert(PROC_STATE(MyProc->life) == PROC_LIVE && PROC_PID(MyProc->life) == getpid());
	cr_assert(LWLockRelease(&locks[0].lock) == HOLDFAST_OK);
	cluster_stop();
}
