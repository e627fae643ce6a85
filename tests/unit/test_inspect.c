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
#include "lwlock_state.h"
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

Test(inspect, what_no_run_can_have_written_is_named_and_not_followed)
{
	HoldfastInspection *in;
	LWLockTranche *tranche;
	const uint64_t nowhere[] = {1, 64, 0};

	cluster_start();
	for (size_t i = 0; i < sizeof(nowhere) / sizeof(nowhere[0]); i++)
	{
		uint64_t offset = i == 2 ? (holdfast_shmem.size & ~UINT64_C(63)) + 64 : nowhere[i];

		MyProc->entry[2] = ENTRY_MAKE(offset, LW_SHARED, ENTRY_HELD);
		in = look(fixture_dir);
		cr_assert(in->state == HOLDFAST_INSPECT_DAMAGED, "offset %llu",
				  (unsigned long long) offset);
		cr_assert(strstr(in->state_message, "names no lock") != NULL);
		holdfast_inspect_free(in);
	}
	MyProc->entry[2] = ENTRY_MAKE(shmem_offset(&locks[5].lock), LW_SHARED, ENTRY_QUEUED + 1);
	locks[6].lock.state = (UINT64_C(1) << LW_XOWNER_SHIFT) | 1; /* an owner, and a sharer */
	tranche = &holdfast_shmem.tranches->tranche[locks[0].lock.tranche];
	memset(tranche->name, 'n', sizeof(tranche->name));
	in = look(fixture_dir);
	cr_assert_str_eq(lock_view(in, &locks[5].lock)->holds[0].kind, "damaged");
	cr_assert_str_eq(lock_view(in, &locks[5].lock)->tranche, "unknown");
	cr_assert_str_eq(GetLWLockIdentifier(locks[0].lock.tranche), "unknown");
	cr_assert(in->state == HOLDFAST_INSPECT_DAMAGED);
	holdfast_inspect_free(in);
	MyProc->entry[2] = 0;
	locks[6].lock.state = 0;
	memset(tranche->name, 0, sizeof(tranche->name));
	memcpy(tranche->name, "test", 5);

	in = look(fixture_dir);
	cr_assert(in->state == HOLDFAST_INSPECT_IN_USE);
	holdfast_inspect_free(in);
	cluster_stop();
}

Test(inspect, a_word_is_legal_or_not)
{
	const uint64_t owner = UINT64_C(1) << LW_XOWNER_SHIFT;

	cr_assert(lw_is_legal(0, 4) && lw_is_legal(7, 4) && lw_is_legal(4 * owner, 4));
	cr_assert(lw_is_legal((UINT64_C(4) << LW_QOWNER_SHIFT) | owner, 4));
	cr_assert(!lw_is_legal(UINT64_C(1) << 21, 4), "a bit that means nothing");
	cr_assert(!lw_is_legal(5 * owner, 4), "an owner beyond the slots");
	cr_assert(!lw_is_legal(UINT64_C(5) << LW_QOWNER_SHIFT, 4), "a queue owner beyond the slots");
	cr_assert(!lw_is_legal(owner | 1, 4), "an owner and a sharer");
}

Test(inspect, a_segment_that_is_not_ready_has_no_tables_yet)
{
	PGShmemHeader *header;
	HoldfastInspection *in;

	cluster_start();
	header = (PGShmemHeader *) holdfast_shmem.base;
	header->state = HOLDFAST_SEGMENT_INIT;
	in = look(fixture_dir);
	cr_assert(in->nprocs == 0 && in->nlocks == 0);
	cr_assert(strstr(in->state_message, "has not finished") != NULL);
	holdfast_inspect_free(in);
	header->state = HOLDFAST_SEGMENT_READY;
	cluster_stop();
}

static int
serve_elsewhere(int arg)
{
	char dir[] = "/tmp/holdfast-inspect-XXXXXX";
	HoldfastShmemConfig config = {.max_procs = 2};
	HoldfastInspection *in;
	int outcome = 0;

	(void) arg;
	if (PGSharedMemoryDetach() < 0 || mkdtemp(dir) == NULL ||
		holdfast_set_data_directory(dir) < 0 || CreateDataDirLockFile(true) < 0 ||
		holdfast_shmem_create(&config) < 0)
		return 1;
	if (holdfast_inspect(fixture_dir, &in) < 0)
		return 2;
	if (in->state != HOLDFAST_INSPECT_IN_USE || in->lockfile.pid != getppid() ||
		(unsigned long) in->segment.shmid == UsedShmemSegID)
		outcome = 3;
	holdfast_inspect_free(in);
	if (holdfast_inspect(dir, &in) < 0)
		return 4;
	if ((unsigned long) in->segment.shmid != UsedShmemSegID)
		outcome = 5;
	holdfast_inspect_free(in);
	shmem_exit(0);
	UnlinkLockFiles(0, 0);
	if (chdir(dir) < 0 || unlink(HOLDFAST_LOCKFILE_GUARD) < 0 || rmdir(dir) < 0)
		return 6;
	return outcome;
}

/* Also when the lockfile says nothing, and all segments are searched. */
Test(inspect, a_neighbours_segment_is_not_taken_for_ours)
{
	cluster_start();
	cr_assert_eq(child_wait(child_start_without_slot(serve_elsewhere, 0)), 0);
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
