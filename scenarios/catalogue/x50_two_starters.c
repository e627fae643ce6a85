/*
 * x50_two_starters.c
 *		Several servers start in one directory at the same time: exactly one wins.
 *
 * The story: two or three starters are brought to the same point of the start and let go together (a barrier), or the first is
 * held there while the others run into it.  With an empty directory, and with a dead server's lockfile and segment, which
 * all of them find stale.  The oracle: one is ready, the others refuse with exit code 3 and their reason, and the one
 * that won stops in order and leaves nothing.
 *
 * PostgreSQL (postgresql.md §5, R1): between the check of a stale lockfile and its removal another starter can have put
 * its own there, which is then removed; the source says so.
 * Ours: only the holder of the guard file's lock gets that far.
 */
#include "catalogue/catalogue.h"
#include "catalogue/start_points.h"
#include "runner/faults.h"

#define STARTERS_MAX 3

enum
{
	PARAM_STARTERS,
	PARAM_STALE, /* a dead server was here */
	PARAM_HOLD,  /* the first is held at the point; otherwise all meet there */
};

static const char *const meeting_points[] = {"lockfile/create/guarded"};
static const char *const holding_points[] = {"lockfile/create/guarded",   "lockfile/create/judged",
											 "lockfile/write/pre-rename", "lockfile/write/synced",
											 "sysv/create/post-shmget",   "shmem/create/pre-ready"};

static void
add_cases(ScenarioCaseList *list, const char *point, long starters, bool hold)
{
	for (int stale = 0; stale <= 1; stale++)
	{
		ScenarioCase *added =
			scenario_case_add(list, "%s:%ld-%s:%s", point, starters, hold ? "held" : "together",
							  stale ? "stale-lockfile" : "empty-directory");

		if (!added)
			return;
		added->text = point;
		added->param[PARAM_STARTERS] = starters;
		added->param[PARAM_STALE] = stale;
		added->param[PARAM_HOLD] = hold;
	}
}

static void
list_cases(ScenarioCaseList *list)
{
	for (size_t i = 0; i < sizeof(meeting_points) / sizeof(meeting_points[0]); i++)
		for (long starters = 2; starters <= STARTERS_MAX; starters++)
			add_cases(list, meeting_points[i], starters, false);
	for (size_t i = 0; i < sizeof(holding_points) / sizeof(holding_points[0]); i++)
		add_cases(list, holding_points[i], 2, true);
}

static ScenarioStatus
leave_a_dead_server(ScenarioContext *ctx)
{
	Served served = {.config = served_config(ctx)};

	SCENARIO_TRY(served_up(ctx, &served));
	SCENARIO_TRY(actor_kill(ctx, &served.supervisor));
	served_close(&served);
	return workers_gone(ctx);
}

/* All have ended or are ready: one is ready. */
static ScenarioStatus
exactly_one(ScenarioContext *ctx, Served *starters, long count)
{
	Served *winner = NULL;

	for (long i = 0; i < count; i++)
		SCENARIO_TRY(served_wait(ctx, &starters[i]));
	for (long i = 0; i < count; i++)
	{
		served_log(ctx, &starters[i]);
		if (!starters[i].ready)
		{
			SCENARIO_TRY(served_refused(ctx, &starters[i], "FATAL:", "HINT:"));
			continue;
		}
		SCENARIO_REQUIRE(ctx, !winner, "two servers run in one data directory");
		winner = &starters[i];
	}
	SCENARIO_REQUIRE(ctx, winner, "nobody won");
	return served_down(ctx, winner);
}

static ScenarioStatus
run_together(ScenarioContext *ctx, const ScenarioCase *which, Served *starters)
{
	long count = which->param[PARAM_STARTERS];

	SCENARIO_TRY(faults_arm(ctx, "%s=#1..%ld barrier(meet,%ld)[proc=supervisor]", which->text,
							count, count));
	for (long i = 0; i < count; i++)
		SCENARIO_TRY(served_start(ctx, &starters[i]));
	return exactly_one(ctx, starters, count);
}

static ScenarioStatus
run_held(ScenarioContext *ctx, const ScenarioCase *which, Served *starters)
{
	SCENARIO_TRY(faults_arm(ctx, "%s=#1 pause(held)[proc=supervisor]", which->text));
	SCENARIO_TRY(served_start(ctx, &starters[0]));
	SCENARIO_TRY(faults_wait_reached(ctx, "held", 1));
	SCENARIO_TRY(served_start(ctx, &starters[1]));
	SCENARIO_TRY(served_wait(ctx, &starters[1]));
	SCENARIO_REQUIRE(ctx, !starters[1].ready, "the second started beside the first");
	inject_release("held");
	SCENARIO_TRY(faults_disarm(ctx));
	return exactly_one(ctx, starters, 2);
}

static ScenarioStatus
run_case(ScenarioContext *ctx, const ScenarioCase *which)
{
	Served starters[STARTERS_MAX];

	for (unsigned i = 0; i < STARTERS_MAX; i++)
	{
		starters[i] = (Served){.config = served_config(ctx)};
		starters[i].config.ordinal = i + 1;
	}
	if (which->param[PARAM_STALE])
		SCENARIO_TRY(leave_a_dead_server(ctx));
	SCENARIO_TRY(which->param[PARAM_HOLD] ? run_held(ctx, which, starters)
										  : run_together(ctx, which, starters));
	return expect_nothing_left(ctx);
}

static const char *const mutants[] = {"64-guard-not-asked-when-alone", NULL};

const Scenario scenario_x50_two_starters = {
	.id = "x50-two-starters",
	.summary = "two or three servers start at once in one directory: exactly one wins",
	.list = list_cases,
	.run = run_case,
	.deadline_ms = 15000,
	.mutants = mutants,
};
