/*
 * runner.c
 *		holdfast-bench-runner: how many isolated cases a second, beside what the kernel takes for the same in its barest form.
 *
 * A case that does nothing runs through the runner as any other: clone into IPC, PID and mount namespaces, tmpfs, /proc, fork,
 * post-mortem, verdict.  Its floors in the same round: fork + kill + wait, and clone3 into the same namespaces + kill + wait.
 * Prints figure lines (figures.h).  Exit code: 0 measured, 3 no namespaces here.
 */
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "figures.h"
#include "runner/runner.h"

#define ROUNDS     5
#define CASES      100
#define NAMESPACES (CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWNS)

/* ---- floors ---- */

static double
now_seconds(void)
{
	struct timespec now;

	(void) clock_gettime(CLOCK_MONOTONIC, &now);
	return (double) now.tv_sec + (double) now.tv_nsec / 1e9;
}

/* Processes a second that are made with these flags, killed and waited for; 0: it cannot be done here. */
static double
bare(uint64_t flags)
{
	struct clone_args args = {.flags = flags, .exit_signal = SIGCHLD};
	double start = now_seconds();

	for (int i = 0; i < CASES; i++)
	{
		pid_t pid = (pid_t) syscall(SYS_clone3, &args, sizeof(args));

		if (pid == 0)
			for (;;)
				(void) pause();
		if (pid < 0 || kill(pid, SIGKILL) < 0 || waitpid(pid, NULL, 0) != pid)
			return 0;
	}
	return CASES / (now_seconds() - start);
}

/* ---- the runner ---- */

static void
list_nothing(ScenarioCaseList *list)
{
	(void) scenario_case_add(list, "nothing");
}

static ScenarioStatus
do_nothing(ScenarioContext *ctx, const ScenarioCase *which)
{
	(void) ctx;
	(void) which;
	return SCENARIO_PASS;
}

static double
isolated(unsigned jobs)
{
	static const Scenario nothing = {.id = "nothing",
									 .summary = "nothing happens",
									 .list = list_nothing,
									 .run = do_nothing,
									 .deadline_ms = 30000};
	static const ScenarioCase which = {.name = "nothing"};
	RunnerItem item = {.scenario = &nothing, .which = &which};
	RunnerSelection selection = {.item = &item, .count = 1};
	RunnerConfig config = {.selection = &selection, .jobs = jobs, .seed = 1, .repeat = CASES};
	RunnerSummary summary;
	RunnerOutcome outcome = runner_run(&config, &summary);

	if (outcome == RUNNER_GOOD)
		return CASES / (summary.milliseconds / 1000);
	(void) fprintf(stderr, "holdfast-bench-runner: %s\n",
				   summary.problem[0] != '\0' ? summary.problem
											  : "a case that does nothing failed");
	return 0;
}

/* ---- figures ---- */

typedef enum Contender
{
	FORK,
	CLONE,
	ONE_JOB,
	PER_PROCESSOR,
	FOUR_PER_PROCESSOR,
	CONTENDERS
} Contender;

static double
measure(Contender which)
{
	switch (which)
	{
		case FORK:
			return bare(0);
		case CLONE:
			return bare(geteuid() != 0 ? NAMESPACES | CLONE_NEWUSER : NAMESPACES);
		case ONE_JOB:
			return isolated(1);
		case PER_PROCESSOR:
			return isolated(0);
		default:
			return isolated(4 * (unsigned) sysconf(_SC_NPROCESSORS_ONLN));
	}
}

int
main(void)
{
	static const char *const names[CONTENDERS] = {
		"bare fork + kill + wait", "bare clone3 of namespaces + kill + wait",
		"isolated cases, one at a time", "isolated cases, one per processor",
		"isolated cases, four per processor"};
	double rates[CONTENDERS][ROUNDS];
	double median[CONTENDERS];

	for (int round = 0; round < ROUNDS; round++)
		for (int i = 0; i < CONTENDERS; i++)
			if ((rates[i][round] = measure((Contender) i)) <= 0)
				return 3;
	for (int i = 0; i < CONTENDERS; i++)
	{
		median[i] = median_of(rates[i], ROUNDS);
		(void) printf("figure\trunner\t%s\t/s\t%.0f\n", names[i], median[i]);
	}
	(void) printf("figure\trunner\tisolated cases / bare clone3\tratio\t%.3f\n",
				  median[ONE_JOB] / median[CLONE]);
	return 0;
}
