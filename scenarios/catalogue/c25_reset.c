/*
 * c25_reset.c
 *		The last resort, in trouble itself: a cluster that has to be restarted, while somebody is stopped or dies.
 *
 * The stories:
 *		a worker dies in the middle of a transfer while another is stopped in the lock code, so that recovery cannot go on;
 *			nobody may wait for the stopped one for ever: it becomes a restart, in which the stopped one is killed
 *		the supervisor dies in the middle of a restart, with the old segment still there, or already gone;
 *			the next start is clean
 *
 * PostgreSQL: whoever spins on a lock whose holder is stopped PANICs after two minutes (s_lock.c), which is a restart too;
 * a postmaster killed in the middle of a restart leaves what any killed postmaster leaves.
 */
#include <signal.h>

#include "catalogue/catalogue.h"
#include "catalogue/start_points.h"
#include "runner/faults.h"

typedef struct ResetCase
{
	const char *name;
	const char *point; /* where the other one is stopped, or the supervisor dies */
	bool supervisor_dies;
} ResetCase;

static const ResetCase cases[] = {
	{"peer-stopped-with-the-queue", "lwlock/acquire/queue-locked", false},
	{"peer-stopped-while-linking", "lwlock/acquire/mid-link", false},
	{"peer-stopped-linked", "lwlock/acquire/linked", false},
	{"supervisor-dies-before-the-old-segment-goes", "supervisor/reset/alone", true},
	{"supervisor-dies-before-the-new-segment-comes", "supervisor/reset/no-segment", true},
	{"supervisor-dies-with-a-worker-just-forked", "supervisor/spawn/forked", true},
	{"supervisor-dies-having-reaped-and-not-recovered", "supervisor/crash/reaped", true},
};

static void
list_cases(ScenarioCaseList *list)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		ScenarioCase *added = scenario_case_add(list, "%s", cases[i].name);

		if (added)
			added->param[0] = (long) i;
	}
}

/*
 * worker.2 is held at its start until worker.1 stands in the middle of a transfer with both locks; then it comes for
 * them, and is stopped in the window.  Only now worker.1 is killed.
 */
static ScenarioStatus
stopped_peer(ScenarioContext *ctx, Served *served, const char *point)
{
	served->config.accounts = 2;
	served->config.recover_ms = 200;
	served->config.quit_ms = 300;
	SCENARIO_TRY(faults_arm(ctx,
							"proc/init/live=#1 pause(born)[proc=worker.2]; "
							"bank/transfer/half=1*pause(half)+kill[proc=worker.1]; "
							"%s=1*pause(window)+stop[proc=worker.2]",
							point));
	SCENARIO_TRY(served_start(ctx, served));
	SCENARIO_TRY(faults_wait_reached(ctx, "born", 1));
	SCENARIO_TRY(faults_wait_reached(ctx, "half", 1));
	inject_release("born");
	SCENARIO_TRY(faults_wait_reached(ctx, "window", 1));
	inject_release("window");
	inject_release("half");
	SCENARIO_TRY(served_wait_said(ctx, served, "reinitialized"));
	SCENARIO_TRY(faults_disarm(ctx));
	SCENARIO_TRY(served_wait(ctx, served));
	SCENARIO_REQUIRE(ctx, served->ready, "the server is not ready after the restart");
	SCENARIO_TRY(served_down(ctx, served));
	return expect_nothing_left(ctx);
}

static ScenarioStatus
supervisor_dies(ScenarioContext *ctx, Served *served, const char *point)
{
	served->config.on_crash = CLUSTER_RESET;
	SCENARIO_TRY(served_up(ctx, served));
	SCENARIO_TRY(faults_arm(ctx,
							"bank/transfer/half=#50 kill[proc=worker.1]; "
							"%s=#1 kill[proc=supervisor]",
							point));
	SCENARIO_TRY(actor_expect_signal(ctx, &served->supervisor, SIGKILL));
	served_close(served);
	SCENARIO_TRY(faults_disarm(ctx));
	SCENARIO_TRY(workers_gone(ctx));
	return served_clean_life(ctx);
}

static ScenarioStatus
run_case(ScenarioContext *ctx, const ScenarioCase *which)
{
	const ResetCase *chosen = &cases[which->param[0]];
	Served served = {.config = served_config(ctx)};

	return chosen->supervisor_dies ? supervisor_dies(ctx, &served, chosen->point)
								   : stopped_peer(ctx, &served, chosen->point);
}

static const char *const mutants[] = {"51-supervisor-never-kills", NULL};

const Scenario scenario_c25_reset = {
	.id = "c25-reset",
	.summary = "a restart of the cluster while a worker is stopped, or the supervisor dies",
	.list = list_cases,
	.run = run_case,
	.deadline_ms = 15000,
	.mutants = mutants,
};
