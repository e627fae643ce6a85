/*
 * c40_shm_errno.c
 *		Every documented errno, at every shared memory call of a server's life, once and for good.
 *
 * The story: the n-th call fails, or every call from the n-th on, for n = 1, 2, 3 ... until a life passes with fewer calls.
 * The oracle: the server runs and balances, or refuses with a FATAL message (and PostgreSQL's hint where it has one), exit code
 * 3; in either case no lockfile stays, and after one more, undisturbed life no segment.
 *
 * PostgreSQL: refuses with the same words.  Where a removal fails it logs and goes on, as we do: the segment is then the next
 * start's to recycle.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "catalogue/catalogue.h"
#include "runner/faults.h"
#include "runner/served.h"

#define CALLS_MAX 200

enum
{
	PARAM_ERRNO,
	PARAM_PERSISTENT,
};

static const char *const calls[] = {"sysv/shm/shmget", "sysv/shm/shmat", "sysv/shm/shmdt",
									"sysv/shm/shmctl"};

static void
list_cases(ScenarioCaseList *list)
{
	for (size_t c = 0; c < sizeof(calls) / sizeof(calls[0]); c++)
	{
		InjectPointInfo info;

		if (!inject_point_find(calls[c], &info) || !info.errnos)
			continue;
		for (const int *error = info.errnos; *error != 0; error++)
			for (int persistent = 0; persistent <= 1; persistent++)
			{
				ScenarioCase *added =
					scenario_case_add(list, "%s:%s:%s", calls[c] + strlen("sysv/shm/"),
									  inject_errno_name(*error), persistent ? "always" : "once");

				if (!added)
					return;
				added->text = calls[c];
				added->param[PARAM_ERRNO] = *error;
				added->param[PARAM_PERSISTENT] = persistent;
			}
	}
}

/* PostgreSQL's hint for a segment that could not be made. */
static const char *
expected_hint(const ScenarioCase *which)
{
	if (strcmp(which->text, "sysv/shm/shmget") != 0)
		return NULL;
	switch (which->param[PARAM_ERRNO])
	{
		case ENOSPC:
			return "SHMMNI";
		case ENOMEM:
			return "SHMALL";
		case EINVAL:
			return "SHMMAX";
		default:
			return NULL;
	}
}

static ScenarioStatus
judge_refusal(ScenarioContext *ctx, Served *served, const ScenarioCase *which)
{
	const char *hint = expected_hint(which);
	int status = served->supervisor.wait_status;

	SCENARIO_REQUIRE(ctx, WIFEXITED(status), "the server died of signal %d", WTERMSIG(status));
	SCENARIO_REQUIRE(ctx, WEXITSTATUS(status) == CLUSTER_REFUSED,
					 "refused with code %d instead of %d", WEXITSTATUS(status), CLUSTER_REFUSED);
	SCENARIO_REQUIRE(ctx, served_said(served, "FATAL:"), "refused without a FATAL message");
	SCENARIO_REQUIRE(ctx,
					 !hint || !served_said(served, "could not create shared memory segment") ||
						 served_said(served, hint),
					 "the hint does not name %s", hint);
	return SCENARIO_PASS;
}

static ScenarioStatus
no_lockfile(ScenarioContext *ctx)
{
	char path[4096];
	struct stat status;

	snprintf(path, sizeof(path), "%s/%s", ctx->data_dir, HOLDFAST_LOCKFILE_NAME);
	SCENARIO_REQUIRE(ctx, lstat(path, &status) < 0, "the lockfile was left");
	return SCENARIO_PASS;
}

static ScenarioStatus
one_life(ScenarioContext *ctx, const ScenarioCase *which, unsigned nth, bool *fired)
{
	Served served = {.config = served_config(ctx)};
	ScenarioStatus status;

	served.config.workers = 1;
	served.config.pace_us = 100;
	SCENARIO_TRY(faults_arm_nth(ctx, "%s=#%u%s errno(%s)[proc=supervisor]", which->text, nth,
								which->param[PARAM_PERSISTENT] ? ".." : "",
								inject_errno_name((int) which->param[PARAM_ERRNO])));
	SCENARIO_TRY(served_start(ctx, &served));
	SCENARIO_TRY(served_wait(ctx, &served));
	if (served.ready)
		status = served_down(ctx, &served);
	else
	{
		status = judge_refusal(ctx, &served, which);
		if (status != SCENARIO_PASS)
			served_log(ctx, &served);
		served_close(&served);
	}
	*fired = faults_fired() > 0;
	faults_end_loop();
	return status == SCENARIO_PASS ? no_lockfile(ctx) : status;
}

static ScenarioStatus
run_case(ScenarioContext *ctx, const ScenarioCase *which)
{
	unsigned nth = 1;
	bool fired = true;

	for (; fired && nth <= CALLS_MAX; nth++)
	{
		ScenarioStatus status = one_life(ctx, which, nth, &fired);

		if (status == SCENARIO_PASS && fired)
			status = served_clean_life(ctx);
		if (status != SCENARIO_PASS)
		{
			scenario_log(ctx, "at call %u", nth);
			return status;
		}
	}
	SCENARIO_REQUIRE(ctx, !fired && nth > 2, "%u calls: nothing was tested", nth - 1);
	return expect_nothing_left(ctx);
}

static const char *const mutants[] = {"24-shmat-failure-leaks", "25-hint-lost", NULL};

const Scenario scenario_c40_shm_errno = {
	.id = "c40-shm-errno",
	.summary = "every documented errno at every shm call: runs, or refuses with the right hint",
	.list = list_cases,
	.run = run_case,
	.deadline_ms = 30000,
	.mutants = mutants,
};
