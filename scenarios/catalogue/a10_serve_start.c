/*
 * a10_serve_start.c
 *		The reference cluster starts, works, is audited and stops; or refuses cleanly.
 *
 * With faults of the user's (--plan) the oracle is: it starts, its audit balances, it stops; or it refuses with a FATAL
 * line and leaves neither segment nor lockfile.  Nothing in between.
 *
 * PostgreSQL: refuses too, with the same messages and hints; a lockfile that could not be completed (disk full at
 * AddToDataDirLockFile) it accepts silently and runs without line 7.
 */
#include <signal.h>
#include <sys/wait.h>

#include "catalogue/catalogue.h"
#include "runner/faults.h"
#include "runner/served.h"

enum
{
	PARAM_ON_CRASH,
	PARAM_WORKERS,
};

static void
list_cases(ScenarioCaseList *list)
{
	static const unsigned workers[] = {1, 4};

	for (int on_crash = CLUSTER_REPAIR; on_crash <= CLUSTER_RESET; on_crash++)
		for (size_t i = 0; i < sizeof(workers) / sizeof(workers[0]); i++)
		{
			ScenarioCase *added = scenario_case_add(
				list, "%s:%u-workers", on_crash == CLUSTER_RESET ? "reset" : "repair", workers[i]);

			if (!added)
				return;
			added->param[PARAM_ON_CRASH] = on_crash;
			added->param[PARAM_WORKERS] = workers[i];
		}
}

/* It runs: let it work for a while, whatever the plan does to its workers, and stop it. */
static ScenarioStatus
live(ScenarioContext *ctx, Served *served)
{
	SCENARIO_TRY(actor_wait(ctx, &served->supervisor)); /* run_ms is set */
	served_log(ctx, served);
	SCENARIO_REQUIRE(ctx, WIFEXITED(served->supervisor.wait_status),
					 "the server did not end by itself");
	SCENARIO_REQUIRE(ctx, WEXITSTATUS(served->supervisor.wait_status) == CLUSTER_STOPPED,
					 "the server ended with code %d", WEXITSTATUS(served->supervisor.wait_status));
	SCENARIO_REQUIRE(ctx, served_said(served, "audit: balanced"), "no balanced audit");
	return SCENARIO_PASS;
}

/* It does not run: it must have said why, in PostgreSQL's form. */
static ScenarioStatus
refuse(ScenarioContext *ctx, Served *served)
{
	int status = served->supervisor.wait_status;

	served_log(ctx, served);
	if (WIFSIGNALED(status) && ctx->user_plan[0])
	{
		/* The plan killed it.  What it left, the next start must mend. */
		faults_disarm(ctx);
		return served_clean_life(ctx);
	}
	SCENARIO_REQUIRE(ctx, ctx->user_plan[0], "it refused to start without any fault");
	SCENARIO_REQUIRE(ctx, WIFEXITED(status) && WEXITSTATUS(status) == CLUSTER_REFUSED,
					 "refused, but not with code %d", CLUSTER_REFUSED);
	SCENARIO_REQUIRE(ctx, served_said(served, "FATAL:"), "refused without a FATAL message");
	return SCENARIO_PASS;
}

static ScenarioStatus
run_case(ScenarioContext *ctx, const ScenarioCase *which)
{
	Served served = {.config = served_config(ctx)};

	served.config.on_crash = (ClusterOnCrash) which->param[PARAM_ON_CRASH];
	served.config.workers = (unsigned) which->param[PARAM_WORKERS];
	served.config.run_ms = 300;
	SCENARIO_TRY(faults_arm_user_plan(ctx));
	SCENARIO_TRY(served_start(ctx, &served));
	SCENARIO_TRY(served_wait(ctx, &served));
	SCENARIO_TRY(served.ready ? live(ctx, &served) : refuse(ctx, &served));
	served_close(&served);
	return expect_nothing_left(ctx);
}

static const char *const mutants[] = {"50-exit-keeps-segment", NULL};

const Scenario scenario_a10_serve_start = {
	.id = "a10-serve-start",
	.summary = "the cluster starts, balances and stops; with --plan: or refuses cleanly",
	.list = list_cases,
	.run = run_case,
	.deadline_ms = 15000,
	.flags = SCENARIO_TAKES_PLAN,
	.mutants = mutants,
};
