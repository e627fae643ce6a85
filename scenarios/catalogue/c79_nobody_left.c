/*
 * c79_nobody_left.c
 *		The supervisor and the holder of a lock are killed at once: nobody is left to wake those who wait.
 *
 * The story: a worker stands in the middle of a transfer with both locks, the others come for them and wait.  Then worker and
 * supervisor get SIGKILL together.
 *
 * PostgreSQL (postgresql.md b2): the waiters sleep in sem_wait for ever, hold the segment, and block the restart until
 * somebody kills them by hand.
 * Ours: waiters look after the holder themselves and see that the supervisor is gone: they leave in bounded time, and
 * the next start is clean.
 */
#include <signal.h>
#include <string.h>

#include "catalogue/catalogue.h"
#include "catalogue/story.h"
#include "runner/faults.h"

typedef struct Stage
{
	const char *data_dir;
	pid_t holder; /* the worker that does not wait */
} Stage;

static bool
all_but_one_wait(void *arg)
{
	Stage *stage = arg;
	HoldfastInspection *seen;
	unsigned workers = 0, waiting = 0;

	if (holdfast_inspect(stage->data_dir, &seen) < 0)
		return false;
	for (uint32_t i = 0; i < seen->nprocs; i++)
	{
		if (strcmp(seen->procs[i].role, "worker") != 0)
			continue;
		workers++;
		if (seen->procs[i].waiting_lock >= 0)
			waiting++;
		else
			stage->holder = seen->procs[i].pid;
	}
	holdfast_inspect_free(seen);
	return workers > 1 && waiting == workers - 1;
}

static ScenarioStatus
killed_together(ScenarioContext *ctx, HoldfastMemoryType memory, const char *point)
{
	Served served = served_with(ctx, memory);
	Stage stage = {.data_dir = ctx->data_dir};

	SCENARIO_TRY(served_up(ctx, &served));
	SCENARIO_TRY(faults_arm(ctx, "%s=#1 pause(inside)[proc=worker.1]", point));
	SCENARIO_TRY(faults_wait_reached(ctx, "inside", 1));
	SCENARIO_TRY(wait_until(ctx, all_but_one_wait, &stage, "the others to wait for the holder"));
	SCENARIO_REQUIRE(ctx, kill(stage.holder, SIGKILL) == 0, "the holder is not there");
	SCENARIO_TRY(actor_kill(ctx, &served.supervisor));
	served_close(&served);
	SCENARIO_TRY(workers_gone(ctx));
	SCENARIO_TRY(faults_disarm(ctx));
	return served_clean_life(ctx);
}

static ScenarioStatus
in_a_transfer(ScenarioContext *ctx, HoldfastMemoryType memory)
{
	return killed_together(ctx, memory, "bank/transfer/half");
}

static const Story stories[] = {
	{"in-a-transfer", in_a_transfer, true},
	{0},
};

STORIES_AS_CASES(stories)

static const char *const mutants[] = {"177-workers-outlive-supervisor", NULL};

static const ScenarioHole holes[] = {
	{"b2", "the waiters HANG in sem_wait for ever and block the restart",
	 "they leave in bounded time, and the next start is clean", "*"},
	{0},
};

const Scenario scenario_c79_nobody_left = {
	.id = "c79-nobody-left",
	.summary = "supervisor and holder killed together: the waiters leave by themselves",
	.list = list_cases,
	.run = run_case,
	.deadline_ms = 15000,
	.mutants = mutants,
	.holes = holes,
};
