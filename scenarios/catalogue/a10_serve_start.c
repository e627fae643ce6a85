/*
 * a10_serve_start.c
 *		The reference cluster starts, works, is audited and stops; or refuses cleanly.
 *
 * With faults of the user's (--plan) the oracle is: it starts, its audit balances, it stops; or it refuses with a FATAL
 * line and leaves neither segment nor lockfile.  Nothing in between.  If the plan kills the supervisor, the next start
 * must mend what is left; a second item of the plan may kill that one too, and then the next.  If no worker can start, it
 * stops in order all the same.
 *
 * PostgreSQL: refuses too, with the same messages and hints; a lockfile that could not be completed (disk full at
 * AddToDataDirLockFile) it accepts silently and runs without line 7.
 */
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "catalogue/catalogue.h"
#include "catalogue/start_points.h"
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

/* ---- what a plan may bring ---- */

/*
 * A plan that kills leaves a server to its successor: one life with what the plan has left for it (a second death, in what
 * the first made necessary), then one without faults, which must be clean.
 */
static ScenarioStatus
mend(ScenarioContext *ctx)
{
	if (strchr(ctx->user_plan, ';'))
	{
		bool killed;

		SCENARIO_TRY(workers_gone(ctx));
		SCENARIO_TRY(short_life(ctx, HOLDFAST_MEMORY_SYSV, &killed));
	}
	SCENARIO_TRY(faults_disarm(ctx));
	SCENARIO_TRY(workers_gone(ctx));
	return served_clean_life(ctx);
}

/* Whoever a plan stops goes on some time later: nobody else can say so to a supervisor. */
static int
continue_the_stopped(ScenarioContext *ctx, void *arg)
{
	struct timespec pause = {.tv_nsec = 300000000};

	(void) arg;
	while (scenario_time_left_ms(ctx) > 0)
	{
		nanosleep(&pause, NULL);
		kill(-1, SIGCONT); /* all of this case's PID namespace */
	}
	return 0;
}

/* ---- the two ways of a start ---- */

/* It runs: let it work for a while, whatever the plan does to its workers, and stop it. */
static ScenarioStatus
live(ScenarioContext *ctx, Served *served)
{
	int status;

	SCENARIO_TRY(actor_wait(ctx, &served->supervisor)); /* run_ms is set */
	served_log(ctx, served);
	status = served->supervisor.wait_status;
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && ctx->user_plan[0])
		return mend(ctx);
	SCENARIO_REQUIRE(ctx, WIFEXITED(status), "the server did not end by itself");
	SCENARIO_REQUIRE(ctx, WEXITSTATUS(status) == CLUSTER_STOPPED, "the server ended with code %d",
					 WEXITSTATUS(status));
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
		return mend(ctx);
	SCENARIO_REQUIRE(ctx, ctx->user_plan[0], "it refused to start without any fault");
	/* No worker could live, so that it was never ready; then it was told to stop. */
	if (WIFEXITED(status) && WEXITSTATUS(status) == CLUSTER_STOPPED &&
		served_said(served, "audit: balanced"))
		return SCENARIO_PASS;
	SCENARIO_REQUIRE(ctx, WIFEXITED(status) && WEXITSTATUS(status) == CLUSTER_REFUSED,
					 "refused, but not with code %d", CLUSTER_REFUSED);
	SCENARIO_REQUIRE(ctx, served_said(served, "FATAL:"), "refused without a FATAL message");
	return SCENARIO_PASS;
}

static ScenarioStatus
start_and_see(ScenarioContext *ctx, const ScenarioCase *which)
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

static ScenarioStatus
run_case(ScenarioContext *ctx, const ScenarioCase *which)
{
	Actor helper;
	ScenarioStatus status;

	if (!strstr(ctx->user_plan, "stop"))
		return start_and_see(ctx, which);
	SCENARIO_TRY(actor_start(ctx, &helper, "helper", 1, continue_the_stopped, NULL));
	status = start_and_see(ctx, which);
	SCENARIO_TRY(actor_kill(ctx, &helper));
	return status;
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
