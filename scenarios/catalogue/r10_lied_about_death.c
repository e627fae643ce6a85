/*
 * r10_lied_about_death.c
 *		waitpid() says that a worker is gone, and it is not.
 *
 * Found by sweeping a10 with ECHILD at waitpid(): the supervisor took the worker for reaped by somebody else and
 * recovered its slot, which took its locks away while it was at work.  Whoever lives must be left alone.
 */
#include <signal.h>

#include "catalogue/catalogue.h"
#include "runner/faults.h"
#include "runner/served.h"

static const char *const errors[] = {"ECHILD", "EINVAL"};

static void
list_cases(ScenarioCaseList *list)
{
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
	{
		ScenarioCase *added = scenario_case_add(list, "%s", errors[i]);

		if (added)
			added->text = errors[i];
	}
}

static ScenarioStatus
run_case(ScenarioContext *ctx, const ScenarioCase *which)
{
	Served served = {.config = served_config(ctx)};

	SCENARIO_TRY(faults_arm(ctx, "process/waitpid=1*errno(%s)[proc=supervisor]", which->text));
	SCENARIO_TRY(served_up(ctx, &served));
	SCENARIO_TRY(actor_signal(ctx, &served.supervisor, SIGTERM));
	SCENARIO_TRY(actor_expect_exit(ctx, &served.supervisor, CLUSTER_STOPPED));
	served_log(ctx, &served);
	SCENARIO_REQUIRE(ctx, served_said(&served, ", 0 crashes, 0 recoveries"),
					 "a worker that lives was taken for dead");
	served_close(&served);
	return expect_nothing_left(ctx);
}

static const char *const mutants[] = {"85-echild-is-believed", NULL};

const Scenario scenario_r10_lied_about_death = {
	.id = "r10-lied-about-death",
	.summary = "waitpid() says that a worker is gone which is not: it is left alone",
	.list = list_cases,
	.run = run_case,
	.deadline_ms = 15000,
	.mutants = mutants,
};
