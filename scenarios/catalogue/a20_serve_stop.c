/*
 * a20_serve_stop.c
 *		The ways to end a cluster: in order, at once, with a worker that does not listen, and none to end.
 *
 * PostgreSQL: SIGTERM/SIGINT/SIGQUIT to the postmaster; pg_ctl signals whatever has the PID of line 1.  A backend that is
 * stopped holds up a fast shutdown for ever, an immediate one for five seconds.
 * Ours: the same signals; cluster_stop() takes hold of the process by pidfd and compares its start time; a stopped worker
 * is killed when the deadline has passed, in any shutdown.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <holdfast/lockfile.h>

#include "catalogue/catalogue.h"
#include "runner/served.h"

typedef enum StopWay
{
	STOP_TERM,
	STOP_INT,
	STOP_QUIT,
	STOP_CALL_FAST,
	STOP_CALL_IMMEDIATE,
	STOP_STOPPED_WORKER,
	STOP_NONE_THERE,
	STOP_DEAD_PID,
	STOP_WAYS,
} StopWay;

static const char *const way_names[STOP_WAYS] = {
	"sigterm",        "sigint",         "sigquit",       "call-fast",
	"call-immediate", "stopped-worker", "none-is-there", "lockfile-of-a-dead-one",
};

static void
list_cases(ScenarioCaseList *list)
{
	scenario_cases_named(list, way_names, STOP_WAYS);
}

static ScenarioStatus
stop_by_signal(ScenarioContext *ctx, Served *served, int signal_number)
{
	SCENARIO_TRY(actor_signal(ctx, &served->supervisor, signal_number));
	return actor_expect_exit(ctx, &served->supervisor,
							 signal_number == SIGQUIT ? CLUSTER_IMMEDIATE : CLUSTER_STOPPED);
}

static ScenarioStatus
stop_by_call(ScenarioContext *ctx, Served *served, ClusterStopMode mode)
{
	pid_t pid;
	HoldfastStatus status =
		cluster_stop(ctx->data_dir, mode, (unsigned) scenario_time_left_ms(ctx), &pid);

	SCENARIO_REQUIRE(ctx, status == HOLDFAST_OK, "cluster_stop: %s", holdfast_status_name(status));
	SCENARIO_REQUIRE(ctx, pid == served->supervisor.pid, "stopped %d, not %d", (int) pid,
					 (int) served->supervisor.pid);
	return actor_expect_exit(ctx, &served->supervisor,
							 mode == CLUSTER_STOP_FAST ? CLUSTER_STOPPED : CLUSTER_IMMEDIATE);
}

static ScenarioStatus
stop_despite_stopped_worker(ScenarioContext *ctx, Served *served)
{
	pid_t workers[8];
	unsigned count;

	SCENARIO_TRY(served_pids(ctx, "worker", workers, 8, &count));
	SCENARIO_REQUIRE(ctx, count > 0, "no worker to stop");
	kill(workers[0], SIGSTOP);
	SCENARIO_TRY(wait_for_pid_stopped(ctx, workers[0]));
	SCENARIO_TRY(actor_signal(ctx, &served->supervisor, SIGTERM));
	SCENARIO_TRY(actor_expect_exit(ctx, &served->supervisor, CLUSTER_STOPPED));
	return wait_for_pid_gone(ctx, workers[0]);
}

static ScenarioStatus
stop_nobody(ScenarioContext *ctx)
{
	pid_t pid;
	HoldfastStatus status = cluster_stop(ctx->data_dir, CLUSTER_STOP_FAST, 1000, &pid);

	SCENARIO_REQUIRE(ctx, status == HOLDFAST_NOT_FOUND, "cluster_stop in an empty directory: %s",
					 holdfast_status_name(status));
	return SCENARIO_PASS;
}

/* The lockfile of a killed server: nothing is there to stop, and its PID is nobody's. */
static ScenarioStatus
stop_a_dead_one(ScenarioContext *ctx, Served *served)
{
	pid_t workers[8], pid;
	unsigned count;
	HoldfastStatus status;

	SCENARIO_TRY(served_pids(ctx, "worker", workers, 8, &count));
	SCENARIO_TRY(actor_kill(ctx, &served->supervisor));
	status = cluster_stop(ctx->data_dir, CLUSTER_STOP_FAST, 1000, &pid);
	SCENARIO_REQUIRE(ctx, status == HOLDFAST_NOT_FOUND, "cluster_stop after SIGKILL: %s",
					 holdfast_status_name(status));
	SCENARIO_REQUIRE(ctx, pid == served->supervisor.pid, "it did not say whose lockfile it is");
	for (unsigned i = 0; i < count; i++)
		SCENARIO_TRY(wait_for_pid_gone(ctx, workers[i]));
	return served_clean_life(ctx);
}

static ScenarioStatus
stop(ScenarioContext *ctx, Served *served, StopWay way)
{
	switch (way)
	{
		case STOP_TERM:
			return stop_by_signal(ctx, served, SIGTERM);
		case STOP_INT:
			return stop_by_signal(ctx, served, SIGINT);
		case STOP_QUIT:
			return stop_by_signal(ctx, served, SIGQUIT);
		case STOP_CALL_FAST:
			return stop_by_call(ctx, served, CLUSTER_STOP_FAST);
		case STOP_CALL_IMMEDIATE:
			return stop_by_call(ctx, served, CLUSTER_STOP_IMMEDIATE);
		case STOP_STOPPED_WORKER:
			return stop_despite_stopped_worker(ctx, served);
		case STOP_DEAD_PID:
			return stop_a_dead_one(ctx, served);
		case STOP_NONE_THERE:
		case STOP_WAYS:
			break;
	}
	return scenario_error(ctx, "no such way");
}

static ScenarioStatus
run_case(ScenarioContext *ctx, const ScenarioCase *which)
{
	Served served = {.config = served_config(ctx)};
	ScenarioStatus status;

	if (which->param[0] == STOP_NONE_THERE)
		return stop_nobody(ctx);
	served.config.quit_ms = 200;
	SCENARIO_TRY(served_up(ctx, &served));
	status = stop(ctx, &served, (StopWay) which->param[0]);
	if (status != SCENARIO_PASS)
	{
		served_log(ctx, &served);
		return status;
	}
	served_close(&served);
	return expect_nothing_left(ctx);
}

static const char *const mutants[] = {"51-supervisor-never-kills", NULL};

const Scenario scenario_a20_serve_stop = {
	.id = "a20-serve-stop",
	.summary = "every way to stop a cluster ends it, and only it",
	.list = list_cases,
	.run = run_case,
	.deadline_ms = 15000,
	.mutants = mutants,
};
