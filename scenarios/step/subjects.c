/*
 * subjects.c
 *		The table of what is stepped.
 *
 * The victim's own complaints end it with an exit, which the campaign reports: a body that did not do what it
 * is here for would be a green light for nothing.
 */
#include <string.h>
#include <unistd.h>

#include <holdfast/ipc.h>
#include <holdfast/lockfile.h>
#include <holdfast/proc.h>
#include <holdfast/recovery.h>
#include <holdfast/shmem.h>

#include "step/startup.h"
#include "step/subject.h"
#include "step/world.h"

static void
expect(StepWorld *world, bool good, const char *what)
{
	if (good)
		return;
	(void) world_complain(world, "the victim's own step: %s: %s", what,
						  holdfast_last_error()->message);
	_exit(2);
}

/* ---- bodies of locks ---- */

static void
acquire_exclusive(StepWorld *world)
{
	expect(world, LWLockAcquire(world->lock, LW_EXCLUSIVE) >= 0, "acquire");
}

static void
acquire_shared(StepWorld *world)
{
	expect(world, LWLockAcquire(world->lock, LW_SHARED) >= 0, "acquire");
}

static void
conditional(StepWorld *world)
{
	expect(world, LWLockConditionalAcquire(world->lock, LW_EXCLUSIVE) == HOLDFAST_OK, "acquire");
}

static void
conditional_busy(StepWorld *world)
{
	expect(world, LWLockConditionalAcquire(world->lock, LW_SHARED) == HOLDFAST_BUSY, "busy");
}

static void
acquire_or_wait(StepWorld *world)
{
	expect(world, LWLockAcquireOrWait(world->lock, LW_EXCLUSIVE) >= 0, "acquire or wait");
}

static void
wait_for_var(StepWorld *world)
{
	uint64_t value = 0;

	expect(world,
		   LWLockWaitForVar(world->lock, &world->data->variable, 0, &value) == HOLDFAST_CHANGED,
		   "wait for the variable");
}

static bool
hold_exclusive(StepWorld *world)
{
	return LWLockAcquire(world->lock, LW_EXCLUSIVE) >= 0;
}

static bool
hold_shared(StepWorld *world)
{
	return LWLockAcquire(world->lock, LW_SHARED) >= 0;
}

static bool
hold_both(StepWorld *world)
{
	return hold_exclusive(world) && LWLockAcquire(world->other, LW_SHARED) >= 0;
}

static void
release(StepWorld *world)
{
	expect(world, LWLockRelease(world->lock) == HOLDFAST_OK, "release");
}

static void
change_pair(StepWorld *world)
{
	expect(world, LWLockAcquire(world->lock, LW_EXCLUSIVE) >= 0, "acquire");
	world->data->first++;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	world->data->second++;
	expect(world, LWLockRelease(world->lock) == HOLDFAST_OK, "release");
}

static void
update_var(StepWorld *world)
{
	expect(world, LWLockUpdateVar(world->lock, &world->data->variable, 1) == HOLDFAST_OK, "update");
}

static void
release_clear_var(StepWorld *world)
{
	expect(world, LWLockReleaseClearVar(world->lock, &world->data->variable, 1) == HOLDFAST_OK,
		   "release and clear");
}

static void
recover_all(StepWorld *world)
{
	expect(world, holdfast_recover(20000000, NULL) == HOLDFAST_OK, "recover");
}

static void
init_process(StepWorld *world)
{
	expect(world, world_enter(world, "victim"), "slot");
}

static void
proc_kill(StepWorld *world)
{
	(void) world;
	ProcKill(0, 0);
}

static void
index_add(StepWorld *world)
{
	bool found;

	expect(world, ShmemInitStruct("new", 64, &found) != NULL && !found, "structure");
}

static void
tranche_add(StepWorld *world)
{
	expect(world, LWLockNewTrancheId("new") >= 0, "tranche");
}

/* ---- the table ---- */

#define LOCKS(name_, summary_, part_, prepare_, body_, ...)                                        \
	{                                                                                              \
		.name = (name_), .summary = (summary_), .setting = PLACE_LOCKS, .part = (part_),           \
		.prepare = (prepare_), .body = (body_), .peer = {                                          \
			__VA_ARGS__                                                                            \
		}                                                                                          \
	}
#define FILES(name_, summary_, prepare_, body_)                                                    \
	{                                                                                              \
		.name = (name_), .summary = (summary_), .setting = PLACE_DIRECTORY, .prepare = (prepare_), \
		.body = (body_), .no_slot = true                                                           \
	}

static const StepSubject subjects[] = {
	LOCKS("lwlock-acquire-exclusive", "an idle lock", PART_WHOLE, NULL, acquire_exclusive,
		  PEER_NONE),
	LOCKS("lwlock-acquire-shared", "a lock that another shares", PART_WHOLE, NULL, acquire_shared,
		  PEER_SHARER),
	LOCKS("lwlock-acquire-queued", "a held lock, up to the sleep", PART_UNTIL_SLEEP, NULL,
		  acquire_exclusive, PEER_HOLDER, PEER_WAITER),
	LOCKS("lwlock-acquire-queued-shared", "the same, shared", PART_UNTIL_SLEEP, NULL,
		  acquire_shared, PEER_HOLDER, PEER_WAITING_SHARER),
	LOCKS("lwlock-acquire-woken", "from the sleep to the lock", PART_FROM_SLEEP, NULL,
		  acquire_exclusive, PEER_HOLDER),
	LOCKS("lwlock-acquire-woken-shared", "the same, shared, another waits behind", PART_FROM_SLEEP,
		  NULL, acquire_shared, PEER_HOLDER),
	LOCKS("lwlock-release", "nobody waits", PART_WHOLE, hold_exclusive, release, PEER_NONE),
	LOCKS("lwlock-release-shared", "another shares it", PART_WHOLE, hold_shared, release,
		  PEER_SHARER),
	LOCKS("lwlock-release-waking", "an exclusive and a shared waiter sleep", PART_WHOLE,
		  hold_exclusive, release, PEER_WAITER, PEER_WAITING_SHARER),
	LOCKS("lwlock-release-waking-all", "two sharers sleep before an exclusive one", PART_WHOLE,
		  hold_exclusive, release, PEER_WAITING_SHARER, PEER_WAITING_SHARER, PEER_WAITER),
	LOCKS("lwlock-release-waking-shared", "the last sharer, an exclusive waiter sleeps", PART_WHOLE,
		  hold_shared, release, PEER_WAITER),
	LOCKS("lwlock-section", "acquire, change two numbers, release", PART_WHOLE, NULL, change_pair,
		  PEER_NONE),
	LOCKS("lwlock-conditional", "an idle lock", PART_WHOLE, NULL, conditional, PEER_NONE),
	LOCKS("lwlock-conditional-busy", "a held lock", PART_WHOLE, NULL, conditional_busy,
		  PEER_HOLDER),
	LOCKS("lwlock-acquire-or-wait", "a held lock, through the sleep", PART_WHOLE, NULL,
		  acquire_or_wait, PEER_HOLDER),
	LOCKS("lwlock-wait-for-var", "a held lock, until the variable moves", PART_WHOLE, NULL,
		  wait_for_var, PEER_UPDATER),
	LOCKS("lwlock-update-var", "one watches the variable, one waits for the lock", PART_WHOLE,
		  hold_exclusive, update_var, PEER_WATCHER, PEER_WAITER),
	LOCKS("lwlock-release-clear-var", "the same, letting go", PART_WHOLE, hold_exclusive,
		  release_clear_var, PEER_WATCHER, PEER_WAITER),
	LOCKS("recover", "the recoverer of a dead holder, with waiters", PART_WHOLE, NULL, recover_all,
		  PEER_CORPSE, PEER_WAITER, PEER_WAITING_SHARER),
	LOCKS("recover-shared", "the recoverer of a dead sharer beside a living one", PART_WHOLE, NULL,
		  recover_all, PEER_DEAD_SHARER, PEER_SHARER, PEER_WAITER),
	{.name = "init-process",
	 .summary = "taking a slot",
	 .prepare = NULL,
	 .body = init_process,
	 .no_slot = true},
	LOCKS("proc-kill", "giving a slot back, with two locks held", PART_WHOLE, hold_both, proc_kill,
		  PEER_WAITER),
	LOCKS("shmem-init-struct", "a new structure in the index", PART_WHOLE, NULL, index_add,
		  PEER_NONE),
	LOCKS("lwlock-new-tranche", "a new tranche", PART_WHOLE, NULL, tranche_add, PEER_NONE),
	FILES("create", "a server's segment, from the first call to publication", startup_has_lockfile,
		  startup_create),
	FILES("lockfile-create", "the lockfile of an empty directory", startup_has_directory,
		  startup_lock),
	FILES("lockfile-replace", "the lockfile over that of a dead server", startup_has_remains,
		  startup_lock),
	FILES("lockfile-append", "a line of the lockfile of a running server", startup_runs,
		  startup_append),
	FILES("lockfile-unlink", "taking the lockfile away", startup_has_lockfile, startup_unlink),
	FILES("exit", "the exit callbacks of a server that holds a lock", startup_runs_and_holds,
		  startup_exit),
};

#define SUBJECTS (sizeof(subjects) / sizeof(subjects[0]))

static const StepSubject *table[SUBJECTS + 1];

const StepSubject *const *
step_subject_all(void)
{
	for (size_t i = 0; i < SUBJECTS; i++)
		table[i] = &subjects[i];
	return table;
}

const StepSubject *
step_subject_find(const char *name)
{
	for (size_t i = 0; i < SUBJECTS; i++)
		if (strcmp(subjects[i].name, name) == 0)
			return &subjects[i];
	return NULL;
}
