/*
 * c40_errno.c
 *		Every documented errno, at every shared memory call and every file call of a server's life, once and for good.
 *
 * The story: the n-th call fails, or every call from the n-th on, for n = 1, 2, 3 ... until a life passes with fewer calls.
 * The oracle: the server runs and balances, or refuses with a FATAL message (and PostgreSQL's hint where it has one), exit code
 * 3; in either case no lockfile stays (unless it was its removal that failed), and after one more, undisturbed life
 * nothing at all.  Files: also reads and writes that stop short.
 *
 * PostgreSQL: refuses with the same words.  Where a removal fails it logs and goes on, as we do: the segment is then the next
 * start's to recycle.  When the lockfile cannot be completed (disk full at line 7) PostgreSQL runs on without, and the
 * next start cannot find its segment by it (postgresql.md j).
 */
#include <errno.h>
#include <signal.h>
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
	PARAM_SHORT, /* bytes; instead of an errno */
};

static void
add_cases(ScenarioCaseList *list, const char *call, const char *how, int error, int stop_after)
{
	for (int persistent = 0; persistent <= 1; persistent++)
	{
		ScenarioCase *added = scenario_case_add(list, "%s:%s:%s", strrchr(call, '/') + 1, how,
												persistent ? "always" : "once");

		if (!added)
			return;
		added->text = call;
		added->param[PARAM_ERRNO] = error;
		added->param[PARAM_PERSISTENT] = persistent;
		added->param[PARAM_SHORT] = stop_after;
		if (error == EINTR && persistent)
			added->unreachable =
				"no kernel interrupts one call for ever, and it is rightly tried again";
	}
}

static void
add_errnos(ScenarioCaseList *list, const char *call)
{
	InjectPointInfo info;

	if (!inject_point_find(call, &info) || !info.errnos)
		return;
	for (const int *error = info.errnos; *error != 0; error++)
		add_cases(list, call, inject_errno_name(*error), *error, 0);
}

static void
list_shm(ScenarioCaseList *list)
{
	add_errnos(list, "sysv/shm/shmget");
	add_errnos(list, "sysv/shm/shmat");
	add_errnos(list, "sysv/shm/shmdt");
	add_errnos(list, "sysv/shm/shmctl");
}

/* The calls that the lockfile code makes. */
static void
list_file(ScenarioCaseList *list)
{
	static const char *const calls[] = {"file/open",  "file/read",   "file/write", "file/fsync",
										"file/close", "file/rename", "file/link",  "file/unlink"};

	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		add_errnos(list, calls[i]);
	add_cases(list, "file/read", "short", 0, 3);
	add_cases(list, "file/write", "short", 0, 3);
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
	SCENARIO_REQUIRE(ctx, served_said(served, "FATAL:") || served_said(served, "ERROR:"),
					 "refused without a message");
	SCENARIO_REQUIRE(ctx,
					 !hint || !served_said(served, "could not create shared memory segment") ||
						 served_said(served, hint),
					 "the hint does not name %s", hint);
	return SCENARIO_PASS;
}

/* A failed start leaves no lockfile, unless that is what could not be removed. */
static ScenarioStatus
no_lockfile(ScenarioContext *ctx, const ScenarioCase *which)
{
	char path[4096];
	struct stat status;

	if (strncmp(which->text, "file/", 5) == 0)
		return SCENARIO_PASS; /* the undisturbed life that follows must cope with it */
	snprintf(path, sizeof(path), "%s/%s", ctx->data_dir, HOLDFAST_LOCKFILE_NAME);
	SCENARIO_REQUIRE(ctx, lstat(path, &status) < 0, "the lockfile was left");
	return SCENARIO_PASS;
}

static ScenarioStatus
arm(ScenarioContext *ctx, const ScenarioCase *which, unsigned nth)
{
	const char *from_then_on = which->param[PARAM_PERSISTENT] ? ".." : "";

	if (which->param[PARAM_SHORT])
		return faults_arm_nth(ctx, "%s=#%u%s short(%ld)[proc=supervisor]", which->text, nth,
							  from_then_on, which->param[PARAM_SHORT]);
	return faults_arm_nth(ctx, "%s=#%u%s errno(%s)[proc=supervisor]", which->text, nth,
						  from_then_on, inject_errno_name((int) which->param[PARAM_ERRNO]));
}

/* A server whose lockfile is gone ends at once, as PostgreSQL's does; whoever lies about it gets no less. */
static bool
says_that_the_file_is_gone(const ScenarioCase *which)
{
	return strcmp(which->text, "file/open") == 0 &&
		   (which->param[PARAM_ERRNO] == ENOENT || which->param[PARAM_ERRNO] == ENOTDIR);
}

static ScenarioStatus
down_in_any_way(ScenarioContext *ctx, Served *served)
{
	int status;

	SCENARIO_TRY(actor_signal(ctx, &served->supervisor, SIGTERM));
	SCENARIO_TRY(actor_wait(ctx, &served->supervisor));
	status = served->supervisor.wait_status;
	served_log(ctx, served);
	SCENARIO_REQUIRE(ctx,
					 WIFEXITED(status) && (served_said(served, "audit: balanced")
											   ? WEXITSTATUS(status) == CLUSTER_STOPPED
											   : WEXITSTATUS(status) == CLUSTER_IMMEDIATE &&
													 served_said(served, "lock file is invalid")),
					 "neither stopped in order, nor at once for want of its lockfile");
	served_close(served);
	return SCENARIO_PASS;
}

static ScenarioStatus
one_life(ScenarioContext *ctx, const ScenarioCase *which, unsigned nth, bool *fired)
{
	Served served = {.config = served_config(ctx)};
	ScenarioStatus status;

	served.config.workers = 1;
	served.config.pace_us = 100;
	SCENARIO_TRY(arm(ctx, which, nth));
	SCENARIO_TRY(served_start(ctx, &served));
	SCENARIO_TRY(served_wait(ctx, &served));
	if (served.ready && says_that_the_file_is_gone(which))
		status = down_in_any_way(ctx, &served);
	else if (served.ready)
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
	return status == SCENARIO_PASS ? no_lockfile(ctx, which) : status;
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

static const char *const shm_mutants[] = {"58-shmat-failure-leaks", "66-hint-lost", NULL};
static const char *const file_mutants[] = {"59-short-write-is-whole", NULL};

const Scenario scenario_c40_shm_errno = {
	.id = "c40-shm-errno",
	.summary = "every documented errno at every shm call: runs, or refuses with the right hint",
	.list = list_shm,
	.run = run_case,
	.deadline_ms = 30000,
	.mutants = shm_mutants,
};

const Scenario scenario_c45_file_errno = {
	.id = "c45-file-errno",
	.summary = "every errno, and short counts, at every call on the lockfile: runs, or refuses",
	.list = list_file,
	.run = run_case,
	.deadline_ms = 30000,
	.mutants = file_mutants,
};
