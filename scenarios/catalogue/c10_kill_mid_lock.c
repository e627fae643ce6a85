/*
 * c10_kill_mid_lock.c
 *		A process is killed inside a lock function, at every point of it, in every part it can play there.
 *
 * The story: the victim plays holder (takes a free lock), waiter (wants a held one), releaser (lets go of one that others
 * want), updater (moves a variable that others wait for), recoverer (of somebody who died before), or has to do with
 * slots and names only.  It is parked at the point, survivors ask for the same lock in both modes, the victim is killed
 * right there.  Then either the creator, as supervisor, is told of the death and recovers; or the creator was killed
 * as well, and the survivors are alone.  The oracle: every survivor gets its lock within the deadline and finds the
 * pair of numbers equal, no slot is left to the dead, the lock is idle at the end, and a new server recycles
 * what the dead left.
 *
 * PostgreSQL: a backend killed here restarts the whole cluster; with the postmaster killed too, those who wait for the
 * lock sleep in sem_wait for ever and block the restart until an operator kills them.
 * Ours: the lock returns to service, nobody is restarted, with or without a supervisor.
 *
 * Cases come from kill_table.c.  A combination that cannot happen is a skipped case that says why; a point that is
 * registered and not in the table is a case that fails.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "catalogue/catalogue.h"
#include "catalogue/kill_story.h"
#include "runner/clock.h"
#include "runner/faults.h"
#include "runner/served.h"

enum
{
	PARAM_MODE,
	PARAM_PART,
	PARAM_ALONE,    /* the creator is killed too */
	PARAM_UNLISTED, /* no row in the table */
	PARAM_ROW,      /* in kill_rows, + 1; 0: none */
	PARAM_COLUMN,
};

typedef enum CastMember
{
	CREATOR,
	HOLDER, /* or the corpse, for a recoverer */
	VICTIM,
	SURVIVOR_1,
	SURVIVOR_2,
	WATCHER, /* or the sleeper, for a recoverer */
	CAST_SIZE,
} CastMember;

typedef struct Play
{
	ScenarioContext *ctx;
	const ScenarioCase *which;
	const char *gate;
	bool alone;
	Story *story;
	Actor actor[CAST_SIZE];
	bool on_stage[CAST_SIZE];
	uint32_t askers;
	unsigned linked; /* how many of them are to stand in the queue */
} Play;

/* ---- cases ---- */

static void
add_case(ScenarioCaseList *list, const char *point, KillPart part, LWLockMode mode, bool alone,
		 size_t row, int column, const char *unreachable)
{
	const char *part_name = row ? kill_column_name(column) : kill_part_name(part);
	ScenarioCase *added =
		scenario_case_add(list, "%s:%s:%s:%s", point, mode == LW_EXCLUSIVE ? "exclusive" : "shared",
						  part_name, alone ? "alone" : "supervisor");

	if (!added)
		return;
	added->text = point;
	added->param[PARAM_MODE] = mode;
	added->param[PARAM_PART] = part;
	added->param[PARAM_ALONE] = alone;
	added->param[PARAM_ROW] = (long) row;
	added->param[PARAM_COLUMN] = column;
	added->unreachable = unreachable;
}

static void
list_row(ScenarioCaseList *list, size_t row)
{
	for (int column = 0; column < KILL_COLUMNS; column++)
		for (int mode = LW_EXCLUSIVE; mode <= LW_SHARED; mode++)
			for (int alone = 0; alone <= 1; alone++)
			{
				const KillWay *way = &kill_rows[row].as[column];
				const char *never = way->never          ? way->never
									: mode == LW_SHARED ? way->not_shared
														: NULL;

				if (never && alone)
					continue; /* said once */
				add_case(list, kill_rows[row].point, way->part, (LWLockMode) mode, alone, row + 1,
						 column, never);
			}
}

static void
list_unlisted(ScenarioCaseList *list)
{
	InjectPointInfo info;

	for (int i = 0; inject_point_at(i, &info); i++)
	{
		if (!kill_point_belongs(info.name) || kill_point_listed(info.name))
			continue;

		ScenarioCase *added = scenario_case_add(list, "%s:unlisted", info.name);

		if (added)
			added->param[PARAM_UNLISTED] = 1;
	}
}

static void
list_cases(ScenarioCaseList *list)
{
	for (size_t row = 0; row < kill_row_count; row++)
		list_row(list, row);
	for (size_t i = 0; i < kill_single_count; i++)
		for (int mode = LW_EXCLUSIVE; mode <= (kill_singles[i].shared_too ? LW_SHARED : 0); mode++)
			for (int alone = 0; alone <= 1; alone++)
				add_case(list, kill_singles[i].point, kill_singles[i].part, (LWLockMode) mode,
						 alone, 0, 0, NULL);
	list_unlisted(list);
}

/* ---- the stage ---- */

static ScenarioStatus
enter(Play *play, CastMember member, const char *role, int ordinal, ActorBody body)
{
	SCENARIO_TRY(actor_start(play->ctx, &play->actor[member], role, ordinal, body, play->story));
	play->on_stage[member] = true;
	return SCENARIO_PASS;
}

/* `latch` counts to `count`, or the story has failed. */
static ScenarioStatus
await(Play *play, Latch *latch, uint32_t count, const char *what)
{
	if (latch_wait(latch, count, play->ctx->deadline_ns))
		return SCENARIO_PASS;
	faults_log(play->ctx);
	return scenario_fail(play->ctx, "%s (%u of %u in time)", what, latch_read(latch), count);
}

static unsigned
count_linked(const ScenarioContext *ctx)
{
	HoldfastInspection *inspection;
	unsigned linked = 0;

	if (holdfast_inspect(ctx->data_dir, &inspection) < 0)
		return 0;
	for (uint32_t i = 0; i < inspection->nprocs; i++)
		linked += inspection->procs[i].waiting_lock >= 0;
	holdfast_inspect_free(inspection);
	return linked;
}

static bool
all_linked(void *arg)
{
	const Play *play = arg;

	return count_linked(play->ctx) >= play->linked;
}

static ScenarioStatus
survivor_enters(Play *play, CastMember member)
{
	bool exclusive = member == SURVIVOR_1;

	SCENARIO_TRY(enter(play, member, "survivor", exclusive ? 1 : 2,
					   exclusive ? story_survivor_exclusive : story_survivor_shared));
	play->askers++;
	return await(play, &play->story->asking, play->askers, "survivors did not start");
}

/*
 * The victim holds the lock: they stand in its queue before it lets go.  Beside a victim that shares it, another sharer
 * is served at once, and must be out again, or the release would not be the last.
 */
static ScenarioStatus
survivors_queue(Play *play)
{
	SCENARIO_TRY(survivor_enters(play, SURVIVOR_2));
	if (play->story->mode == LW_SHARED)
		SCENARIO_TRY(
			await(play, &play->story->served, 1, "a sharer was not served beside another"));
	else
		play->linked++;
	SCENARIO_TRY(survivor_enters(play, SURVIVOR_1));
	play->linked++;
	return wait_until(play->ctx, all_linked, play, "all survivors in the queue");
}

/* Somebody who sleeps in the queue and cannot act: recovery has to wake it. */
static ScenarioStatus
sleeper_enters(Play *play)
{
	SCENARIO_TRY(enter(play, WATCHER, "survivor", 3, story_survivor_exclusive));
	play->askers++;
	play->linked++;
	SCENARIO_TRY(wait_until(play->ctx, all_linked, play, "a survivor in the queue"));
	return actor_stop(play->ctx, &play->actor[WATCHER]);
}

/* ---- acts ---- */

/* Everything up to where the victim may act. */
static ScenarioStatus
set_scene(Play *play)
{
	Story *story = play->story;

	SCENARIO_TRY(enter(play, CREATOR, "supervisor", 1, story_creator));
	SCENARIO_TRY(await(play, &story->created, 1, "no segment was made"));
	if (story->part == PART_WAITER)
		SCENARIO_TRY(enter(play, HOLDER, "holder", 1, story_holder));
	if (story->part == PART_RECOVERER)
		SCENARIO_TRY(enter(play, HOLDER, "corpse", 1, story_corpse));
	if (play->on_stage[HOLDER])
		SCENARIO_TRY(await(play, &story->holder_in, 1, "the holder did not get the lock"));
	SCENARIO_TRY(enter(play, VICTIM, "victim", 1, story_victim));
	SCENARIO_TRY(await(play, &story->victim_ready, 1, "the victim did not take its place"));
	story->victim_pid = play->actor[VICTIM].pid;
	if (story->part == PART_RECOVERER)
	{
		SCENARIO_TRY(sleeper_enters(play));
		story->corpse_pid = play->actor[HOLDER].pid;
		play->on_stage[HOLDER] = false;
		SCENARIO_TRY(actor_kill(play->ctx, &play->actor[HOLDER]));
	}
	if (story->part == PART_UPDATER || story->part == PART_CLEARER)
	{
		SCENARIO_TRY(enter(play, WATCHER, "watcher", 1, story_watcher));
		play->askers++;
		play->linked++;
	}
	if (story->part == PART_RELEASER || story->part == PART_UPDATER || story->part == PART_CLEARER)
		SCENARIO_TRY(survivors_queue(play));
	return SCENARIO_PASS;
}

static ScenarioStatus
arm(Play *play)
{
	if (play->gate)
		return faults_arm(play->ctx,
						  "%s=#1 pause(gate)[proc=victim,count=proc]; "
						  "%s=#1 pause(there)+kill[proc=victim,count=proc]",
						  play->gate, play->which->text);
	return faults_arm(play->ctx, "%s=#1 pause(there)+kill[proc=victim,count=proc]",
					  play->which->text);
}

/* The victim comes to the point and is held there. */
static ScenarioStatus
bring_victim_there(Play *play)
{
	Story *story = play->story;

	SCENARIO_TRY(arm(play));
	latch_add(&story->go);
	if (play->gate)
	{
		SCENARIO_TRY(faults_wait_reached(play->ctx, "gate", 1));
		latch_add(&story->holder_go);
		SCENARIO_TRY(await(play, &story->holder_out, 1, "the holder did not let go"));
		inject_release("gate");
	}
	return faults_wait_reached(play->ctx, "there", 1);
}

static ScenarioStatus
kill_victim(Play *play)
{
	for (CastMember member = SURVIVOR_1; member <= SURVIVOR_2; member++)
		if (!play->on_stage[member])
			SCENARIO_TRY(survivor_enters(play, member));
	if (play->alone)
	{
		play->on_stage[CREATOR] = false;
		SCENARIO_TRY(actor_kill(play->ctx, &play->actor[CREATOR]));
	}
	inject_release("there");
	play->on_stage[VICTIM] = false;
	SCENARIO_TRY(actor_expect_signal(play->ctx, &play->actor[VICTIM], SIGKILL));
	return faults_disarm(play->ctx);
}

/* Life goes on. */
static ScenarioStatus
survivors_are_served(Play *play)
{
	Story *story = play->story;

	latch_add(&story->victim_dead);
	if (story->part == PART_RECOVERER)
		SCENARIO_TRY(actor_signal(play->ctx, &play->actor[WATCHER], SIGCONT));
	if (story->part == PART_WAITER)
		latch_add(&story->holder_go);
	if (!play->alone)
		SCENARIO_TRY(await(play, &story->recovered, 1, "the supervisor did not recover"));
	SCENARIO_TRY(await(play, &story->served, play->askers, "survivors wait for ever"));
	/* It frees the word before it clears its journal: survivors may be through while it is still on its way. */
	if (story->part == PART_WAITER)
		SCENARIO_TRY(await(play, &story->holder_out, 1, "the holder did not let go"));
	latch_add(&story->sweep);
	return await(play, &story->swept, play->askers, "survivors could not sweep");
}

/* What is left in the segment names nobody who is dead. */
static ScenarioStatus
segment_is_clean(Play *play)
{
	HoldfastInspection *inspection;
	ScenarioContext *ctx = play->ctx;
	ScenarioStatus status = SCENARIO_PASS;

	if (holdfast_inspect(ctx->data_dir, &inspection) < 0)
		return scenario_fail(ctx, "could not inspect: %s", holdfast_last_error()->message);
	for (uint32_t i = 0; i < inspection->nprocs && status == SCENARIO_PASS; i++)
		if (inspection->procs[i].dead)
			status = scenario_fail(ctx, "slot %d still belongs to %d (%s), who is dead",
								   inspection->procs[i].slot, (int) inspection->procs[i].pid,
								   inspection->procs[i].role);
	for (uint32_t i = 0; i < inspection->nlocks && status == SCENARIO_PASS; i++)
	{
		const HoldfastLockView *lock = &inspection->locks[i];

		if (lock->owner_slot >= 0 || lock->shared_count != 0 || lock->recovering ||
			lock->poisoned || lock->not_recoverable || lock->nholds != 0)
			status = scenario_fail(ctx, "lock %u (%s) is not idle: state %016llx, %u journals", i,
								   lock->tranche, (unsigned long long) lock->state, lock->nholds);
	}
	holdfast_inspect_free(inspection);
	return status;
}

static ScenarioStatus
all_leave(Play *play)
{
	latch_add(&play->story->leave);
	for (int member = 0; member < CAST_SIZE; member++)
		if (play->on_stage[member])
			SCENARIO_TRY(actor_expect_exit(play->ctx, &play->actor[member], 0));
	SCENARIO_REQUIRE(play->ctx, play->story->failures == 0, "%u failures, see the log",
					 play->story->failures);
	if (play->alone)
		return served_clean_life(play->ctx); /* which recycles the orphaned segment */
	return expect_nothing_left(play->ctx);
}

static ScenarioStatus
run_case(ScenarioContext *ctx, const ScenarioCase *which)
{
	Play play = {.ctx = ctx, .which = which, .alone = which->param[PARAM_ALONE] != 0};

	if (which->param[PARAM_UNLISTED])
		return scenario_fail(ctx, "a registered point is missing in kill_table.c");
	if (which->param[PARAM_ROW])
		play.gate = kill_rows[which->param[PARAM_ROW] - 1].as[which->param[PARAM_COLUMN]].gate;
	play.story = shared_memory(ctx, sizeof(Story));
	if (!play.story)
		return SCENARIO_ERROR;
	play.story->mode = (LWLockMode) which->param[PARAM_MODE];
	play.story->part = (KillPart) which->param[PARAM_PART];
	play.story->deadline_ns = ctx->deadline_ns;

	SCENARIO_TRY(set_scene(&play));
	SCENARIO_TRY(bring_victim_there(&play));
	SCENARIO_TRY(kill_victim(&play));
	SCENARIO_TRY(survivors_are_served(&play));
	SCENARIO_TRY(segment_is_clean(&play));
	return all_leave(&play);
}

static const ScenarioHole holes[] = {
	{"l", "the queue of a dead one is never repaired, a wake-up is lost with it: restart of all",
	 "the lock returns to service, whoever died where, with or without a supervisor", "*"},
	{0},
};

static const char *const mutants[] = {"11-shared-release-wakes-nobody",
									  "12-shared-without-intent",
									  "13-exclusive-without-intent",
									  "14-entry-cleared-before-wake",
									  "21-recover-keeps-queue",
									  "22-recover-keeps-dead-owner",
									  "23-recover-believes-count",
									  "25-queue-of-dead-not-taken",
									  "27-slot-not-freed",
									  NULL};

const Scenario scenario_c10_kill_mid_lock = {
	.id = "c10-kill-mid-lock",
	.summary = "killed inside a lock function: survivors get the lock, with and without supervisor",
	.list = list_cases,
	.run = run_case,
	.deadline_ms = 10000,
	.mutants = mutants,
	.holes = holes,
};
