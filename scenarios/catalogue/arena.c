/*
 * arena.c
 *		See arena.h.
 *
 * Errors: logged, and false: the actor ends with a code that its case does not expect.
 */
#include "catalogue/arena.h"

#include <string.h>

#include <holdfast/ipc.h>
#include <holdfast/lockfile.h>
#include <holdfast/proc.h>
#include <holdfast/shmem.h>

#define ARENA_NAME "arena"

/* LWLockRepair: whatever the dead one was about, the pair is equal again. */
static bool
repair_pair(LWLock *lock, int dead_slot, void *arg)
{
	ArenaData *data = arg;

	(void) lock;
	(void) dead_slot;
	data->second = data->first;
	data->repairs++;
	return true;
}

static bool
said(ScenarioContext *ctx, HoldfastStatus status, const char *what)
{
	if (status >= 0)
		return true;
	scenario_log(ctx, "%s: %s: %s", what, holdfast_status_name(status),
				 holdfast_last_error()->message);
	return false;
}

static bool
find_structures(ScenarioContext *ctx, Arena *arena)
{
	LWLockPadded *locks = GetNamedLWLockTranche(ARENA_NAME);
	bool found;

	arena->data = ShmemInitStruct(ARENA_NAME, sizeof(ArenaData), &found);
	if (!locks || !arena->data)
		return said(ctx, HOLDFAST_NOT_FOUND, "structures");
	arena->lock = &locks->lock;
	return said(
		ctx, LWLockRegisterTranche(arena->lock->tranche, LWLOCK_REPAIR, repair_pair, arena->data),
		"policy");
}

bool
arena_create(ScenarioContext *ctx, Arena *arena, const char *role)
{
	HoldfastShmemConfig config = {.max_procs = 16, .user_size = sizeof(ArenaData)};

	return said(ctx, holdfast_set_data_directory(ctx->data_dir), "data directory") &&
		   said(ctx, CreateDataDirLockFile(true), "lockfile") &&
		   said(ctx, RequestNamedLWLockTranche(ARENA_NAME, 1), "tranche") &&
		   said(ctx, holdfast_shmem_create(&config), "segment") && find_structures(ctx, arena) &&
		   said(ctx, holdfast_shmem_publish(), "publish") && said(ctx, InitProcess(role), "slot");
}

/* The structure is looked up under a lock of the segment's, so a slot is needed for that long. */
bool
arena_join(ScenarioContext *ctx, Arena *arena)
{
	if (!said(ctx, holdfast_set_data_directory(ctx->data_dir), "data directory") ||
		!said(ctx, holdfast_shmem_join(), "join") || !said(ctx, InitProcess("joiner"), "slot") ||
		!find_structures(ctx, arena))
		return false;
	ProcKill(0, 0);
	return true;
}

bool
arena_enter(ScenarioContext *ctx, Arena *arena, const char *role)
{
	return arena_join(ctx, arena) && said(ctx, InitProcess(role), "slot");
}

void
arena_change(const Arena *arena)
{
	arena->data->first++;
	__atomic_signal_fence(__ATOMIC_SEQ_CST); /* there is a moment in which they differ */
	arena->data->second++;
}

bool
arena_visit(ScenarioContext *ctx, const Arena *arena, LWLockMode mode)
{
	HoldfastStatus status = LWLockAcquire(arena->lock, mode);
	bool equal;

	if (!said(ctx, status, "acquire"))
		return false;
	equal = arena->data->first == arena->data->second;
	if (!equal)
		scenario_log(ctx, "inside: %llu is not %llu", (unsigned long long) arena->data->first,
					 (unsigned long long) arena->data->second);
	if (status == HOLDFAST_OWNER_DEAD)
		scenario_log(ctx, "acquired as OWNER_DEAD, though the tranche repairs");
	if (mode == LW_EXCLUSIVE)
		arena_change(arena);
	return said(ctx, LWLockRelease(arena->lock), "release") && equal &&
		   status != HOLDFAST_OWNER_DEAD;
}
