/*
 * test_inspect.c
 *		What an operator sees from outside: alive, orphaned, foreign, damaged, nothing.
 */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/shm.h>
#include <unistd.h>

#include <holdfast/inspect.h>

#include "../support/fixture.h"
#include "shmem_layout.h"

TestSuite(inspect, .timeout = 60);

static HoldfastInspection *
look(const char *where)
{
	HoldfastInspection *in;

	cr_assert(holdfast_inspect(where, &in) == HOLDFAST_OK, "%s", holdfast_last_error()->message);
	return in;
}

static const HoldfastLockView *
lock_view(const HoldfastInspection *in, const LWLock *lock)
{
	for (uint32_t i = 0; i < in->nlocks; i++)
	{
		if (in->locks[i].offset == shmem_offset(lock))
			return &in->locks[i];
	}
	return NULL;
}

Test(inspect, nothing_there)
{
	HoldfastInspection *in;
	char empty[] = "/tmp/holdfast-inspect-XXXXXX";

	cr_assert(holdfast_inspect("/nonexistent", &in) == HOLDFAST_SYSTEM_ERROR && in == NULL);
	cr_assert(holdfast_inspect("/dev/null", &in) == HOLDFAST_SYSTEM_ERROR);
	cr_assert(mkdtemp(empty) != NULL);
	in = look(empty);
	cr_assert(in->state == HOLDFAST_INSPECT_NONE && in->lockfile_status == HOLDFAST_NOT_FOUND);
	holdfast_inspect_free(in);
	holdfast_inspect_free(NULL);
	rmdir(empty);
}

static int
hold_two(int arg)
{
	(void) arg;
	if (LWLockAcquire(&locks[0].lock, LW_EXCLUSIVE) < 0 ||
		LWLockAcquire(&locks[1].lock, LW_SHARED) < 0)
		return 1;
	board_set(0, 1);
	board_wait(15, 1);
	return 0;
}

static int
wait_for_lock(int arg)
{
	(void) arg;
	return LWLockAcquire(&locks[0].lock, LW_SHARED) >= 0 ? 0 : 1;
}

Test(inspect, who_holds_what_and_who_is_dead)
{
	HoldfastInspection *in;
	const HoldfastLockView *first, *second;
	pid_t holder, waiter;
	int slot;

	cluster_start();
	holder = child_start(hold_two, 0);
	board_wait(0, 1);
	slot = holdfast_slot_of_pid(holder);
	waiter = child_start(wait_for_lock, 0);
	wait_until_queued(waiter);

	in = look(fixture_dir);
	cr_assert(in->state == HOLDFAST_INSPECT_IN_USE && in->lockfile_status == HOLDFAST_OK);
	cr_assert(in->lockfile.pid == getpid() && !in->lockfile_pid_dead);
	cr_assert(in->nprocs == 3 && in->segment.nattch >= 3);
	first = lock_view(in, &locks[0].lock);
	second = lock_view(in, &locks[1].lock);
	cr_assert(first != NULL && first->owner_slot == slot && first->has_waiters);
	cr_assert(first->nholds == 2 && strcmp(first->tranche, "test") == 0);
	cr_assert(second != NULL && second->shared_count == 1 && second->nholds == 1);
	cr_assert_str_eq(second->holds[0].kind, "held");
	cr_assert(second->holds[0].mode == LW_SHARED);
	holdfast_inspect_free(in);

	kill(holder, SIGKILL);
	kill(waiter, SIGKILL);
	child_kill(holder);
	child_kill(waiter);
	in = look(fixture_dir);
	for (uint32_t i = 0; i < in->nprocs; i++)
		cr_assert(in->procs[i].dead == (in->procs[i].pid != getpid()));
	holdfast_inspect_free(in);
	cr_assert(holdfast_recover(1000000, NULL) == HOLDFAST_OK);
	cluster_stop();
}

Test(inspect, damage_is_a_finding)
{
	HoldfastInspection *in;
	PGShmemHeader *header;

	cluster_start();
	locks[3].lock.state = UINT64_MAX;
	in = look(fixture_dir);
	cr_assert(in->state == HOLDFAST_INSPECT_DAMAGED && in->state_message[0] != '\0');
	holdfast_inspect_free(in);
	locks[3].lock.state = 0;

	MyProc->entry[7] = UINT64_MAX;
	in = look(fixture_dir);
	cr_assert(in->state == HOLDFAST_INSPECT_DAMAGED);
	holdfast_inspect_free(in);
	MyProc->entry[7] = 0;

	header = (PGShmemHeader *) holdfast_shmem.base;
	header->indexoffset += 8;
	in = look(fixture_dir);
	cr_assert(in->state == HOLDFAST_INSPECT_DAMAGED);
	holdfast_inspect_free(in);
	header->indexoffset -= 8;
	cluster_stop();
}

Test(inspect, a_recorded_id_that_is_somebody_elses)
{
	HoldfastInspection *in;
	char dir[] = "/tmp/holdfast-inspect-XXXXXX";
	char path[128];
	FILE *file;
	int shmid = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);

	cr_assert(mkdtemp(dir) != NULL);
	(void) snprintf(path, sizeof(path), "%s/%s", dir, HOLDFAST_LOCKFILE_NAME);
	file = fopen(path, "w");
	fprintf(file, "%d\n%s\n1\n\n\n\n%9d %9d\n", 0x3fffff, dir, 0, shmid);
	fclose(file);
	in = look(dir);
	cr_assert(in->state == HOLDFAST_INSPECT_FOREIGN && in->lockfile_pid_dead);
	holdfast_inspect_free(in);
	shmctl(shmid, IPC_RMID, NULL);
	in = look(dir);
	cr_assert(in->state == HOLDFAST_INSPECT_NONE);
	holdfast_inspect_free(in);
	unlink(path);
	rmdir(dir);
}

static int
wait_for_second(int arg)
{
	(void) arg;
	if (LWLockAcquire(&locks[1].lock, LW_EXCLUSIVE) < 0)
		return 1;
	return LWLockRelease(&locks[1].lock) == HOLDFAST_OK ? 0 : 2;
}

Test(inspect, counts_and_wait_events)
{
	const HoldfastTrancheView *tranche = NULL;
	HoldfastInspection *in;
	pid_t waiter;
	bool seen = false;

	cluster_start();
	cr_assert(holdfast_lwlock_set_checks(LWLOCK_COUNT_ACQUIRES) == HOLDFAST_OK);
	cr_assert(LWLockAcquire(&locks[0].lock, LW_SHARED) == HOLDFAST_OK);
	cr_assert(LWLockAcquire(&locks[1].lock, LW_EXCLUSIVE) == HOLDFAST_OK);
	waiter = child_start(wait_for_second, 0);
	wait_until_queued(waiter);
	__atomic_store_n(&holdfast_shmem.proc_global->recovery_owner, (uint32_t) holdfast_my_slot() + 1,
					 __ATOMIC_SEQ_CST);
	in = look(fixture_dir);
	__atomic_store_n(&holdfast_shmem.proc_global->recovery_owner, 0, __ATOMIC_SEQ_CST);
	for (uint32_t i = 0; i < in->ntranches; i++)
		if (strcmp(in->tranches[i].name, "test") == 0)
			tranche = &in->tranches[i];
	cr_assert(tranche != NULL && tranche->nlocks == FIXTURE_LOCKS);
	cr_assert(tranche->shared == 1 && tranche->exclusive == 1 && tranche->blocked == 1);
	cr_assert(tranche->unwoken == 0 && tranche->dequeued_self == 0 && tranche->recoveries == 0);
	cr_assert(in->checks == LWLOCK_COUNT_ACQUIRES);
	for (uint32_t i = 0; i < in->nprocs; i++)
	{
		if (in->procs[i].pid == waiter)
			seen = strcmp(in->procs[i].wait_event, "LWLock:test") == 0;
		else
			cr_assert_str_eq(in->procs[i].wait_event, "Recovery");
	}
	cr_assert(seen);
	holdfast_inspect_free(in);
	LWLockReleaseAll();
	cr_assert(child_wait(waiter) == 0);
	cr_assert(holdfast_recover(1000000, NULL) == HOLDFAST_OK);
	cluster_stop();
}
