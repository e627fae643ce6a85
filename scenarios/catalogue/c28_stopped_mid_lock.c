/*
 * c28_stopped_mid_lock.c
 *		A process is stopped, not dead, inside a lock function: the others go on without it.
 *
 * The story: somebody holds the lock, the victim comes for it (or holds it and lets go, or recovers somebody) and is stopped
 * at a point where the wait queue is its own, or a wake-up is in its hands.  While it stands there
 *		a timid one, with a timeout, comes back in time
 *		the holder's release returns
 *		survivors that asked for the lock in both modes get it, once it is free
 * Then the victim is continued, and finishes what it was about; or killed, and recovered as any dead; or somebody else dies
 * holding the lock, whose recovery has to wait for the victim: then recovery says for whom it waits, and in the end
 * that the cluster must be reset, which ends every wait; or the timid one, gone from a queue it cannot leave, dies.
 * The oracle: nobody's wait is longer than the case's deadline, the pair of numbers is equal, the lock is idle at the end.
 *
 * PostgreSQL: whoever needs the wait list of a stopped process spins on it, release included, and PANICs after two minutes
 * (s_lock.c), which restarts the cluster.
 */
#include <signal.h>
#include <string.h>

#include <holdfast/ipc.h>
#include <holdfast/proc.h>
#include <holdfast/recovery.h>

#include "catalogue/arena.h"
#include "catalogue/catalogue.h"
#include "runner/clock.h"
#include "runner/faults.h"
#include "runner/served.h"

#define VISITS           3
#define TIMID_US         20000
#define TIMID_LONG_US    1500000 /* for one that is to stand in the queue when the victim comes */
#define RECOVER_LIMIT_US 2000000
#define RECOVER_TRY_US   20000
#define STOPPED_LIMIT_US 100000

typedef enum StopPart
{
	STOPS_WAITING,    /* comes for a held lock */
	STOPS_LEAVING,    /* the same with a timeout of 0 */
	STOPS_WOKEN,      /* waits, and is woken */
	STOPS_RELEASING,  /* lets go, others queue */
	STOPS_RECOVERING, /* recovers one who died holding it: until that is done, nobody gets it */
} StopPart;

typedef enum StopFate
{
	FATE_CONTINUED,
	FATE_KILLED,
	FATE_RESET,
	FATE_LEFT, /* the timid one dies where it leaves its link behind, then the victim is continued */
	FATE_GONE, /* it dies later, with nothing but its link: nobody may forget that before the victim has moved */
	FATES,
} StopFate;

static const char *const fate_names[FATES] = {"continued", "killed", "reset", "left", "gone"};

static const struct
{
	const char *point;
	StopPart part;
} places[] = {
	{"lwlock/acquire/queue-locked", STOPS_WAITING},
	{"lwlock/acquire/mid-link", STOPS_WAITING},
	{"lwlock/acquire/linked", STOPS_WAITING},
	{"lwlock/acquire/dequeue-locked", STOPS_LEAVING},
	{"lwlock/acquire/woken", STOPS_WOKEN},
	{"lwlock/wakeup/locked", STOPS_RELEASING},
	{"lwlock/wakeup/mid-unlink", STOPS_RELEASING},
	{"lwlock/wakeup/popped", STOPS_RELEASING},
	{"lwlock/wakeup/pre-post", STOPS_RELEASING},
	{"recover/lock/recovering", STOPS_RECOVERING},
	{"recover/lock/queue-taken", STOPS_RECOVERING},
	{"recover/lock/queue-emptied", STOPS_RECOVERING},
};

enum
{
	PARAM_PLACE,
	PARAM_MODE,
	PARAM_FATE,
};

/* In shared memory. */
typedef struct StopStory
{
	LWLockMode mode;
	StopPart part;
	StopFate fate;
	uint64_t deadline_ns;
	uint64_t timid_us;

	pid_t dead_pid;   /* whom the creator recovers */
	int stopped_slot; /* as recovery said */
	Latch go, holder_go, recover;
	Latch leave, close; /* all but the creator; the creator */

	Latch created, in_vain, recovered, holder_in, holder_out, asking, served, timid_done,
		victim_ready, victim_done;
	HoldfastStatus timid_status;
	uint32_t failures;
} StopStory;

typedef enum StopMember
{
	CREATOR,
	HOLDER, /* or the one who died, for a recoverer */
	VICTIM,
	TIMID,
	SURVIVOR_1,
	SURVIVOR_2,
	CAST_SIZE,
} StopMember;

typedef struct StopPlay
{
	ScenarioContext *ctx;
	const char *point;
	StopStory *story;
	Actor actor[CAST_SIZE];
	bool on_stage[CAST_SIZE];
	unsigned linked;
} StopPlay;

/* ---- actors ---- */

static int
failed(ScenarioContext *ctx, StopStory *story, const char *why, HoldfastStatus status)
{
	scenario_log(ctx, "FAILED: %s (%s)", why, holdfast_status_name(status));
	__atomic_fetch_add(&story->failures, 1, __ATOMIC_RELAXED); /* a count */
	return 1;
}

static int
leave(ScenarioContext *ctx, StopStory *story)
{
	if (!latch_wait(&story->leave, 1, story->deadline_ns))
		return failed(ctx, story, "was never told to leave", HOLDFAST_TIMED_OUT);
	proc_exit(0);
}

/* Recovery that has to wait for the stopped one says so, and at last gives up. */
static HoldfastStatus
recover_in_vain(StopStory *story)
{
	HoldfastRecovery result;
	HoldfastStatus status = holdfast_set_stopped_limit(STOPPED_LIMIT_US);

	while (status == HOLDFAST_OK || status == HOLDFAST_TIMED_OUT)
	{
		status = holdfast_recover_pid(story->dead_pid, RECOVER_TRY_US, &result);
		if (result.stopped_slot >= 0)
			story->stopped_slot = result.stopped_slot;
		if (clock_now_ns() >= story->deadline_ns)
			break;
	}
	return status == HOLDFAST_RESET_NEEDED ? HOLDFAST_OK : status;
}

static int
creator(ScenarioContext *ctx, void *arg)
{
	StopStory *story = arg;
	HoldfastStatus status = HOLDFAST_OK;
	Arena arena;

	if (!arena_create(ctx, &arena, "creator"))
		return 1;
	story->stopped_slot = -1;
	latch_add(&story->created);
	if (!latch_wait(&story->recover, 1, story->deadline_ns))
		return failed(ctx, story, "the creator was never told to recover", HOLDFAST_TIMED_OUT);
	if (story->fate == FATE_RESET)
		status = recover_in_vain(story);
	if (story->fate == FATE_GONE)
	{
		status = holdfast_recover_pid(story->dead_pid, RECOVER_TRY_US, NULL);
		if (status != HOLDFAST_TIMED_OUT)
			return failed(ctx, story, "the dead one's link was forgotten", status);
		latch_add(&story->in_vain);
		if (!latch_wait(&story->victim_done, 1, story->deadline_ns))
			return failed(ctx, story, "the victim did not finish", status);
	}
	if (story->fate != FATE_RESET && story->dead_pid != 0)
		status = holdfast_recover_pid(story->dead_pid, RECOVER_LIMIT_US, NULL);
	if (status != HOLDFAST_OK)
		return failed(ctx, story, "the creator's recovery went wrong", status);
	latch_add(&story->recovered);
	if (!latch_wait(&story->close, 1, story->deadline_ns))
		return failed(ctx, story, "the creator was never told to leave", HOLDFAST_TIMED_OUT);
	proc_exit(0);
}

static int
holder(ScenarioContext *ctx, void *arg)
{
	StopStory *story = arg;
	Arena arena;

	if (!arena_enter(ctx, &arena, "holder") ||
		LWLockAcquire(arena.lock, LW_EXCLUSIVE) != HOLDFAST_OK)
		return failed(ctx, story, "the holder did not get the lock", HOLDFAST_OK);
	latch_add(&story->holder_in);
	if (!latch_wait(&story->holder_go, 1, story->deadline_ns))
		return failed(ctx, story, "the holder was never told to let go", HOLDFAST_TIMED_OUT);
	arena_change(&arena);
	(void) LWLockRelease(arena.lock);
	latch_add(&story->holder_out);
	return leave(ctx, story);
}

static HoldfastStatus
act(const StopStory *story, const Arena *arena)
{
	HoldfastStatus status;

	switch (story->part)
	{
		case STOPS_RELEASING:
			return LWLockRelease(arena->lock);
		case STOPS_RECOVERING:
			return holdfast_recover(RECOVER_LIMIT_US, NULL);
		case STOPS_LEAVING:
			status = LWLockAcquireTimed(arena->lock, story->mode, 0);
			return status == HOLDFAST_TIMED_OUT ? HOLDFAST_OK : status;
		case STOPS_WAITING:
		case STOPS_WOKEN:
		default:
			status = LWLockAcquire(arena->lock, story->mode);
			return status < 0 ? status : LWLockRelease(arena->lock);
	}
}

static int
victim(ScenarioContext *ctx, void *arg)
{
	StopStory *story = arg;
	HoldfastStatus status;
	Arena arena;

	if (!arena_enter(ctx, &arena, "victim") ||
		(story->part == STOPS_RELEASING && LWLockAcquire(arena.lock, story->mode) != HOLDFAST_OK))
		return failed(ctx, story, "the victim could not take its place", HOLDFAST_OK);
	latch_add(&story->victim_ready);
	if (!latch_wait(&story->go, 1, story->deadline_ns))
		return failed(ctx, story, "the victim was never told to act", HOLDFAST_TIMED_OUT);
	status = act(story, &arena);
	if (status != HOLDFAST_OK)
		return failed(ctx, story, "the victim, continued, could not finish", status);
	latch_add(&story->victim_done);
	return leave(ctx, story);
}

static int
timid(ScenarioContext *ctx, void *arg)
{
	StopStory *story = arg;
	Arena arena;

	if (!arena_enter(ctx, &arena, "timid"))
		return failed(ctx, story, "the timid one could not join", HOLDFAST_OK);
	story->timid_status = LWLockAcquireTimed(arena.lock, LW_EXCLUSIVE, story->timid_us);
	if (story->timid_status >= 0)
		(void) LWLockRelease(arena.lock);
	latch_add(&story->timid_done);
	return leave(ctx, story);
}

static int
survive(ScenarioContext *ctx, StopStory *story, LWLockMode mode)
{
	HoldfastStatus status;
	Arena arena;

	if (!arena_enter(ctx, &arena, "survivor"))
		return failed(ctx, story, "a survivor could not join", HOLDFAST_OK);
	latch_add(&story->asking);
	if (story->fate == FATE_RESET)
	{
		status = LWLockAcquire(arena.lock, mode);
		if (status != HOLDFAST_RESET_NEEDED)
			return failed(ctx, story, "a survivor was not told of the reset", status);
	}
	for (int visit = 0; visit < VISITS && story->fate != FATE_RESET; visit++)
		if (!arena_visit(ctx, &arena, mode))
			return failed(ctx, story, "a survivor was refused, or found the pair unmended", 0);
	latch_add(&story->served);
	return leave(ctx, story);
}

static int
survivor_exclusive(ScenarioContext *ctx, void *arg)
{
	return survive(ctx, arg, LW_EXCLUSIVE);
}

static int
survivor_shared(ScenarioContext *ctx, void *arg)
{
	return survive(ctx, arg, LW_SHARED);
}

/* ---- the stage ---- */

static ScenarioStatus
enter(StopPlay *play, StopMember member, const char *role, int ordinal, ActorBody body)
{
	SCENARIO_TRY(actor_start(play->ctx, &play->actor[member], role, ordinal, body, play->story));
	play->on_stage[member] = true;
	return SCENARIO_PASS;
}

static ScenarioStatus
await(StopPlay *play, Latch *latch, uint32_t count, const char *what)
{
	if (latch_wait(latch, count, play->ctx->deadline_ns))
		return SCENARIO_PASS;
	faults_log(play->ctx);
	return scenario_fail(play->ctx, "%s (%u of %u in time)", what, latch_read(latch), count);
}

static bool
enough_linked(void *arg)
{
	const StopPlay *play = arg;
	HoldfastInspection *inspection;
	unsigned linked = 0;

	if (holdfast_inspect(play->ctx->data_dir, &inspection) < 0)
		return false;
	for (uint32_t i = 0; i < inspection->nprocs; i++)
		linked += inspection->procs[i].waiting_lock >= 0;
	holdfast_inspect_free(inspection);
	return linked >= play->linked;
}

static ScenarioStatus
one_more_linked(StopPlay *play, const char *what)
{
	play->linked++;
	return wait_until(play->ctx, enough_linked, play, what);
}

static ScenarioStatus
survivors_ask(StopPlay *play)
{
	SCENARIO_TRY(enter(play, SURVIVOR_1, "survivor", 1, survivor_exclusive));
	SCENARIO_TRY(enter(play, SURVIVOR_2, "survivor", 2, survivor_shared));
	return await(play, &play->story->asking, 2, "survivors did not start");
}

/* ---- acts ---- */

static ScenarioStatus
set_scene(StopPlay *play)
{
	StopStory *story = play->story;

	SCENARIO_TRY(enter(play, CREATOR, "creator", 1, creator));
	SCENARIO_TRY(await(play, &story->created, 1, "no segment was made"));
	if (story->part != STOPS_RELEASING)
	{
		SCENARIO_TRY(enter(play, HOLDER, "holder", 1, holder));
		SCENARIO_TRY(await(play, &story->holder_in, 1, "the holder did not get the lock"));
	}
	SCENARIO_TRY(enter(play, VICTIM, "victim", 1, victim));
	SCENARIO_TRY(await(play, &story->victim_ready, 1, "the victim did not take its place"));
	if (story->fate == FATE_LEFT || story->fate == FATE_GONE)
	{
		SCENARIO_TRY(enter(play, TIMID, "timid", 1, timid));
		SCENARIO_TRY(one_more_linked(play, "the timid one in the queue"));
	}
	if (story->part == STOPS_RELEASING)
	{
		/* One is enough to be woken: with a sharer beside a sharing victim there would be none. */
		SCENARIO_TRY(enter(play, SURVIVOR_1, "survivor", 1, survivor_exclusive));
		SCENARIO_TRY(one_more_linked(play, "a survivor in the queue"));
	}
	if (story->part == STOPS_RECOVERING)
	{
		story->dead_pid = play->actor[HOLDER].pid;
		play->on_stage[HOLDER] = false;
		SCENARIO_TRY(actor_kill(play->ctx, &play->actor[HOLDER]));
	}
	return SCENARIO_PASS;
}

static ScenarioStatus
stop_victim(StopPlay *play)
{
	StopStory *story = play->story;

	if (story->fate == FATE_LEFT)
		SCENARIO_TRY(faults_arm(play->ctx,
								"%s=#1 stop[proc=victim]; "
								"lwlock/acquire/link-left=#1 pause(left)+kill[proc=timid]",
								play->point));
	else
		SCENARIO_TRY(faults_arm(play->ctx, "%s=#1 stop[proc=victim]", play->point));
	latch_add(&story->go);
	if (story->part == STOPS_WOKEN)
	{
		SCENARIO_TRY(one_more_linked(play, "the victim in the queue"));
		SCENARIO_TRY(survivors_ask(play));
		play->linked++;
		SCENARIO_TRY(one_more_linked(play, "the survivors in the queue"));
		latch_add(&story->holder_go);
	}
	return wait_for_pid_stopped(play->ctx, play->actor[VICTIM].pid);
}

/* Nobody waits for the one that is stopped. */
static ScenarioStatus
others_go_on(StopPlay *play)
{
	StopStory *story = play->story;
	bool held = story->part == STOPS_WAITING || story->part == STOPS_LEAVING;

	if (story->fate == FATE_LEFT)
		SCENARIO_TRY(faults_wait_reached(play->ctx, "left", 1));
	else
	{
		if (!play->on_stage[TIMID])
			SCENARIO_TRY(enter(play, TIMID, "timid", 1, timid));
		SCENARIO_TRY(await(play, &story->timid_done, 1, "the timid one did not come back"));
		SCENARIO_REQUIRE(
			play->ctx,
			story->timid_status == HOLDFAST_TIMED_OUT || (!held && story->timid_status >= 0),
			"the timid one came back with %s", holdfast_status_name(story->timid_status));
	}
	if (!play->on_stage[SURVIVOR_2])
	{
		if (play->on_stage[SURVIVOR_1])
			SCENARIO_TRY(enter(play, SURVIVOR_2, "survivor", 2, survivor_shared));
		else
			SCENARIO_TRY(survivors_ask(play));
	}
	if (story->fate == FATE_RESET || story->part == STOPS_RECOVERING)
		return SCENARIO_PASS;
	if (play->on_stage[HOLDER])
	{
		latch_add(&story->holder_go);
		SCENARIO_TRY(await(play, &story->holder_out, 1, "the holder's release did not return"));
	}
	return await(play, &story->served, 2, "survivors wait for the one that is stopped");
}

static ScenarioStatus
victim_has_its_fate(StopPlay *play)
{
	StopStory *story = play->story;
	ScenarioContext *ctx = play->ctx;
	int victim_slot = -1;

	if (story->fate == FATE_RESET)
	{
		HoldfastInspection *inspection;

		if (story->part != STOPS_RECOVERING)
		{
			story->dead_pid = play->actor[HOLDER].pid;
			play->on_stage[HOLDER] = false;
			SCENARIO_TRY(actor_kill(ctx, &play->actor[HOLDER]));
		}
		latch_add(&story->recover);
		SCENARIO_TRY(await(play, &story->recovered, 1, "recovery did not come to an end"));
		SCENARIO_TRY(await(play, &story->served, 2, "survivors were not told of the reset"));
		SCENARIO_REQUIRE(ctx, holdfast_inspect(ctx->data_dir, &inspection) == HOLDFAST_OK,
						 "could not inspect");
		for (uint32_t i = 0; i < inspection->nprocs; i++)
			if (inspection->procs[i].pid == play->actor[VICTIM].pid)
				victim_slot = inspection->procs[i].slot;
		holdfast_inspect_free(inspection);
		SCENARIO_REQUIRE(ctx, story->stopped_slot == victim_slot,
						 "recovery blames slot %d, the stopped one is %d", story->stopped_slot,
						 victim_slot);
	}
	if (story->fate == FATE_LEFT)
	{
		story->dead_pid = play->actor[TIMID].pid;
		play->on_stage[TIMID] = false;
		inject_release("left");
		SCENARIO_TRY(actor_expect_signal(ctx, &play->actor[TIMID], SIGKILL));
	}
	if (story->fate == FATE_GONE)
	{
		story->dead_pid = play->actor[TIMID].pid;
		play->on_stage[TIMID] = false;
		SCENARIO_TRY(actor_kill(ctx, &play->actor[TIMID]));
		latch_add(&story->recover);
		SCENARIO_TRY(await(play, &story->in_vain, 1, "the creator did not try to recover"));
	}
	if (story->fate == FATE_CONTINUED || story->fate == FATE_LEFT || story->fate == FATE_GONE)
	{
		SCENARIO_TRY(actor_signal(ctx, &play->actor[VICTIM], SIGCONT));
		SCENARIO_TRY(await(play, &story->victim_done, 1, "the victim did not finish"));
	}
	else
	{
		if (story->fate == FATE_KILLED)
			story->dead_pid = play->actor[VICTIM].pid;
		play->on_stage[VICTIM] = false;
		SCENARIO_TRY(actor_kill(ctx, &play->actor[VICTIM]));
	}
	if (story->fate != FATE_RESET)
	{
		latch_add(&story->recover);
		SCENARIO_TRY(await(play, &story->recovered, 1, "the creator did not recover"));
		SCENARIO_TRY(await(play, &story->served, 2, "survivors wait for ever"));
	}
	return SCENARIO_PASS;
}

/* Everybody but the creator is gone: nothing is left of them in the segment. */
static ScenarioStatus
segment_is_idle(StopPlay *play)
{
	HoldfastInspection *inspection;
	ScenarioContext *ctx = play->ctx;
	ScenarioStatus status = SCENARIO_PASS;

	SCENARIO_REQUIRE(ctx, holdfast_inspect(ctx->data_dir, &inspection) == HOLDFAST_OK,
					 "could not inspect: %s", holdfast_last_error()->message);
	for (uint32_t i = 0; i < inspection->nlocks && status == SCENARIO_PASS; i++)
		if (inspection->locks[i].state != 0 || inspection->locks[i].nholds != 0)
			status = scenario_fail(ctx, "lock %u is not idle: state %016llx, %u journals", i,
								   (unsigned long long) inspection->locks[i].state,
								   inspection->locks[i].nholds);
	holdfast_inspect_free(inspection);
	return status;
}

static ScenarioStatus
all_leave(StopPlay *play)
{
	SCENARIO_TRY(faults_disarm(play->ctx));
	latch_add(&play->story->leave);
	for (int member = CREATOR + 1; member < CAST_SIZE; member++)
		if (play->on_stage[member])
			SCENARIO_TRY(actor_expect_exit(play->ctx, &play->actor[member], 0));
	if (play->story->fate != FATE_RESET)
		SCENARIO_TRY(segment_is_idle(play));
	latch_add(&play->story->close);
	SCENARIO_TRY(actor_expect_exit(play->ctx, &play->actor[CREATOR], 0));
	SCENARIO_REQUIRE(play->ctx, play->story->failures == 0, "%u failures, see the log",
					 play->story->failures);
	return expect_nothing_left(play->ctx);
}

static ScenarioStatus
run_case(ScenarioContext *ctx, const ScenarioCase *which)
{
	StopPlay play = {.ctx = ctx, .point = places[which->param[PARAM_PLACE]].point};

	play.story = shared_memory(ctx, sizeof(StopStory));
	if (!play.story)
		return SCENARIO_ERROR;
	play.story->part = places[which->param[PARAM_PLACE]].part;
	play.story->mode = (LWLockMode) which->param[PARAM_MODE];
	play.story->fate = (StopFate) which->param[PARAM_FATE];
	play.story->deadline_ns = ctx->deadline_ns;
	play.story->timid_us = play.story->fate >= FATE_LEFT ? TIMID_LONG_US : TIMID_US;

	SCENARIO_TRY(set_scene(&play));
	SCENARIO_TRY(stop_victim(&play));
	SCENARIO_TRY(others_go_on(&play));
	SCENARIO_TRY(victim_has_its_fate(&play));
	return all_leave(&play);
}

/* ---- cases ---- */

static bool
can_be(StopPart part, LWLockMode mode, StopFate fate)
{
	/* The lock needs a holder that can die. */
	if (fate == FATE_RESET)
		return part != STOPS_RELEASING && part != STOPS_WOKEN;
	/* The timid one stands in the queue of a held lock when the victim comes; it wants it exclusively. */
	if (fate == FATE_LEFT || fate == FATE_GONE)
		return part == STOPS_WAITING && mode == LW_EXCLUSIVE;
	return true;
}

static void
add_case(ScenarioCaseList *list, size_t place, LWLockMode mode, StopFate fate)
{
	ScenarioCase *added =
		scenario_case_add(list, "%s:%s:%s", places[place].point,
						  mode == LW_EXCLUSIVE ? "exclusive" : "shared", fate_names[fate]);

	if (!added)
		return;
	added->text = places[place].point;
	added->param[PARAM_PLACE] = (long) place;
	added->param[PARAM_MODE] = mode;
	added->param[PARAM_FATE] = fate;
}

static void
list_cases(ScenarioCaseList *list)
{
	for (size_t place = 0; place < sizeof(places) / sizeof(places[0]); place++)
		for (int mode = LW_EXCLUSIVE; mode <= LW_SHARED; mode++)
			for (int fate = 0; fate < FATES; fate++)
				if (can_be(places[place].part, (LWLockMode) mode, (StopFate) fate))
					add_case(list, place, (LWLockMode) mode, (StopFate) fate);
}

static const char *const mutants[] = {"70-release-waits-for-the-queue",     "71-no-self-help",
									  "72-left-link-not-journalled",        "73-never-escalates",
									  "74-owner-ignores-what-it-was-asked", NULL};

const Scenario scenario_c28_stopped_mid_lock = {
	.id = "c28-stopped-mid-lock",
	.summary =
		"stopped inside a lock function: nobody waits for it, releases return, timeouts hold",
	.list = list_cases,
	.run = run_case,
	.deadline_ms = 15000,
	.mutants = mutants,
};
