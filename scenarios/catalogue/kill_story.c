/*
 * kill_story.c
 *		See kill_story.h.
 *
 * Errors: an actor that cannot go on logs why, counts a failure and ends with code 1, which its director does not expect.
 */
#include "catalogue/kill_story.h"

#include <unistd.h>

#include <holdfast/ipc.h>
#include <holdfast/proc.h>
#include <holdfast/recovery.h>

#define VISITS           3
#define RECOVER_LIMIT_US 2000000

static int
failed(ScenarioContext *ctx, Story *story, const char *why)
{
	scenario_log(ctx, "FAILED: %s", why);
	__atomic_fetch_add(&story->failures, 1, __ATOMIC_RELAXED); /* a count */
	return 1;
}

static bool
await(ScenarioContext *ctx, Story *story, Latch *latch, const char *what)
{
	if (latch_wait(latch, 1, story->deadline_ns))
		return true;
	failed(ctx, story, what);
	return false;
}

static bool
recover_pid(ScenarioContext *ctx, Story *story, pid_t pid)
{
	HoldfastRecovery result;
	HoldfastStatus status =
		pid ? holdfast_recover_pid(pid, RECOVER_LIMIT_US, &result) : HOLDFAST_OK;

	if (status == HOLDFAST_OK)
		return true;
	scenario_log(ctx, "recovery of %d: %s", (int) pid, holdfast_status_name(status));
	failed(ctx, story, "the supervisor could not recover");
	return false;
}

int
story_creator(ScenarioContext *ctx, void *arg)
{
	Story *story = arg;
	Arena arena;

	if (!arena_create(ctx, &arena, "creator"))
		return 1;
	latch_add(&story->created);
	if (!await(ctx, story, &story->victim_dead, "the creator was never told of the death") ||
		!recover_pid(ctx, story, story->corpse_pid) || !recover_pid(ctx, story, story->victim_pid))
		return 1;
	latch_add(&story->recovered);
	if (!await(ctx, story, &story->leave, "the creator was never told to leave"))
		return 1;
	proc_exit(0);
}

int
story_holder(ScenarioContext *ctx, void *arg)
{
	Story *story = arg;
	Arena arena;

	if (!arena_enter(ctx, &arena, "holder") ||
		LWLockAcquire(arena.lock, LW_EXCLUSIVE) != HOLDFAST_OK)
		return failed(ctx, story, "the holder did not get the lock");
	latch_add(&story->holder_in);
	if (!await(ctx, story, &story->holder_go, "the holder was never told to let go"))
		return 1;
	arena_change(&arena);
	(void) LWLockRelease(arena.lock);
	latch_add(&story->holder_out);
	if (!await(ctx, story, &story->leave, "the holder was never told to leave"))
		return 1;
	proc_exit(0);
}

/* After the story: alone, it falls to a survivor to find the slots of the dead. */
static int
leave_arena(ScenarioContext *ctx, Story *story)
{
	if (!await(ctx, story, &story->sweep, "a survivor was never told to sweep"))
		return 1;
	/* Who has a supervisor was swept by it: then there is nothing to find. */
	if (latch_read(&story->recovered) == 0 && holdfast_recover(RECOVER_LIMIT_US, NULL) < 0)
		return failed(ctx, story, "a survivor could not sweep");
	latch_add(&story->swept);
	if (!await(ctx, story, &story->leave, "a survivor was never told to leave"))
		return 1;
	proc_exit(0);
}

static int
survive(ScenarioContext *ctx, Story *story, LWLockMode mode)
{
	Arena arena;

	if (!arena_enter(ctx, &arena, "survivor"))
		return failed(ctx, story, "a survivor could not join");
	latch_add(&story->asking);
	for (int visit = 0; visit < VISITS; visit++)
		if (!arena_visit(ctx, &arena, mode))
			return failed(ctx, story, "a survivor was refused, or found the pair unmended");
	latch_add(&story->served);
	return leave_arena(ctx, story);
}

int
story_survivor_exclusive(ScenarioContext *ctx, void *arg)
{
	return survive(ctx, arg, LW_EXCLUSIVE);
}

int
story_survivor_shared(ScenarioContext *ctx, void *arg)
{
	return survive(ctx, arg, LW_SHARED);
}

int
story_watcher(ScenarioContext *ctx, void *arg)
{
	Story *story = arg;
	Arena arena;
	uint64_t value;

	if (!arena_enter(ctx, &arena, "watcher"))
		return failed(ctx, story, "a watcher could not join");
	latch_add(&story->asking);
	if (LWLockWaitForVar(arena.lock, &arena.data->variable, 0, &value) < 0)
		return failed(ctx, story, "a watcher of the variable was refused");
	latch_add(&story->served);
	return leave_arena(ctx, story);
}

/* The victim's last act. */
static void
act(const Story *story, const Arena *arena)
{
	uint64_t *variable = &arena->data->variable;
	HoldfastStatus status = HOLDFAST_OK;

	switch (story->part)
	{
		case PART_NONE:
			break;
		case PART_HOLDER:
		case PART_WAITER:
			status = LWLockAcquire(arena->lock, story->mode);
			break;
		case PART_RELEASER:
			status = LWLockRelease(arena->lock);
			break;
		case PART_UPDATER:
			status = LWLockUpdateVar(arena->lock, variable, 1);
			break;
		case PART_CLEARER:
			status = LWLockReleaseClearVar(arena->lock, variable, 1);
			break;
		case PART_NEWCOMER:
			status = InitProcess("newcomer");
			break;
		case PART_LEAVER:
			ProcKill(0, 0);
			break;
		case PART_NAMER:
			status = LWLockNewTrancheId("named too late") < 0 ? HOLDFAST_LIMIT : HOLDFAST_OK;
			break;
		case PART_RECOVERER:
			status = holdfast_recover(RECOVER_LIMIT_US, NULL);
			break;
	}
	(void) status; /* it should not be alive to see it */
}

int
story_victim(ScenarioContext *ctx, void *arg)
{
	Story *story = arg;
	Arena arena;
	bool holds =
		story->part == PART_RELEASER || story->part == PART_UPDATER || story->part == PART_CLEARER;
	bool in =
		story->part == PART_NEWCOMER ? arena_join(ctx, &arena) : arena_enter(ctx, &arena, "victim");

	if (!in || (holds && LWLockAcquire(arena.lock, story->mode) != HOLDFAST_OK))
		return failed(ctx, story, "the victim could not take its place");
	latch_add(&story->victim_ready);
	if (!await(ctx, story, &story->go, "the victim was never told to act"))
		return 1;
	act(story, &arena);
	return failed(ctx, story, "the victim came through alive: the point was not reached");
}

int
story_corpse(ScenarioContext *ctx, void *arg)
{
	Story *story = arg;
	Arena arena;

	if (!arena_enter(ctx, &arena, "corpse") ||
		LWLockAcquire(arena.lock, story->mode) != HOLDFAST_OK)
		return failed(ctx, story, "the corpse-to-be did not get the lock");
	if (story->mode == LW_EXCLUSIVE)
		arena.data->first++; /* in the middle of a change */
	latch_add(&story->holder_in);
	for (;;)
		pause();
}
