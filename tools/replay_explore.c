/*
 * replay_explore.c
 *		`holdfast replay explore:...`: leads real processes through a schedule that the simulator found.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "command.h"
#include "explore_case.h"
#include "replay.h"

/* The processes stand at the finding.  gdb takes the culprit; the others are named. */
static void
debug(const int *pids, int count, int culprit)
{
	char number[16];
	int which = culprit >= 0 && culprit < count && pids[culprit] > 0 ? culprit : -1;
	pid_t pid;

	for (int i = 0; i < count; i++)
	{
		if (pids[i] > 0)
			(void) fprintf(stderr, "process %d is PID %d\n", i, pids[i]);
		if (pids[i] > 0 && which < 0)
			which = i;
	}
	if (which < 0)
		return;
	(void) snprintf(number, sizeof(number), "%d", pids[which]);
	pid = fork();
	if (pid == 0)
	{
		(void) execlp("gdb", "gdb", "-q", "-p", number, "-ex", "backtrace", (char *) NULL);
		(void) fprintf(stderr, "holdfast: could not start gdb: %s\n", strerror(errno));
		_exit(127);
	}
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

static void
say_run(uint64_t number, const ExploreCase *what, const ExploreReport *report,
		const ReplayOptions *options)
{
	const char *signature = report->signature != NULL ? report->signature : "nothing";
	bool same = strcmp(signature, what->signature) == 0;

	if (options->quiet && same)
		return;
	if (report->end == EXPLORE_DIVERGED)
		(void) printf("%" PRIu64 ": diverged after %u of %u moves\n", number, report->followed,
					  what->schedule.count);
	else
		(void) printf("%" PRIu64 ": %s, %s signature, %u moves, %.1f ms\n", number, signature,
					  what->signature[0] == '\0' ? "no"
					  : same                     ? "same"
												 : "different",
					  report->followed, report->seconds * 1000);
	if (options->verbose || !same)
		(void) fputs(report->story, stdout);
}

int
replay_explore(const ReplayToken *token, const ReplayOptions *options)
{
	static ExploreCase what;
	static ExploreReport report;
	ReplayTokenError error;
	Simulator simulator;
	uint64_t repeat = options->repeat > 0 ? options->repeat : 1;
	uint64_t found = 0, same = 0;
	int status;

	if (!explore_read_token(token, &what, &error))
		return replay_refuse(&error);
	if (reports_wanted(&options->files) || options->plan != NULL || options->list)
		return usage_error("explore tokens are replayed without files of results, --plan, --list");
	status = simulator_open(&simulator, what.mutant[0] != '\0' ? what.mutant : NULL);
	if (status != EXIT_GOOD)
		return status;
	what.config.strategy = EXPLORE_REAL;
	what.config.schedule = &what.schedule;
	what.config.at_finding = options->gdb ? debug : NULL;
	for (uint64_t i = 0; i < repeat && status == EXIT_GOOD; i++)
	{
		if (!simulator.explore(EXPLORE_ABI, &what.config, &report) ||
			report.end == EXPLORE_BAD_CONFIG || report.end == EXPLORE_UNFIT)
		{
			(void) fprintf(stderr, "holdfast: %s\n", report.problem);
			status = EXIT_UNFIT;
			break;
		}
		found += report.signature != NULL;
		same += report.signature != NULL && strcmp(report.signature, what.signature) == 0;
		say_run(i + 1, &what, &report, options);
	}
	simulator_close(&simulator);
	if (status != EXIT_GOOD)
		return status;
	(void) printf("%" PRIu64 " of %" PRIu64 " replays on real processes found it, %" PRIu64
				  " with the same signature%s%s\n",
				  found, repeat, same, what.signature[0] != '\0' ? ": " : "", what.signature);
	return found > 0 ? EXIT_FINDINGS : report.end == EXPLORE_DIVERGED ? EXIT_INCOMPLETE : EXIT_GOOD;
}
