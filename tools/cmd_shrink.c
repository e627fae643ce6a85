/*
 * cmd_shrink.c
 *		`holdfast shrink TOKEN`: a shorter token of the same finding.
 *
 * Delta debugging on the simulator: leave out faults, then runs of moves, then single moves; shorten programs and drop
 * processes; put the moves of a process together where it changes nothing.  Whatever still shows the same signature is
 * kept.  What is printed was followed once more.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "command.h"
#include "explore_case.h"
#include "replay.h"

static uint64_t budget_ms;

static const Option *
shrink_options(void)
{
	static const Option options[] = {
		{"--budget", OPTION_TIME, &budget_ms, "TIME",
		 "stop looking for shorter ones after that (default 10s)"},
		{0},
	};

	return options;
}

typedef struct Shrink
{
	const Simulator *simulator;
	ExploreCase best, trial;
	ExploreReport report;
	uint64_t tried;
	double end;
} Shrink;

static double
now(void)
{
	struct timespec time;

	(void) clock_gettime(CLOCK_MONOTONIC, &time);
	return (double) time.tv_sec + (double) time.tv_nsec * 1e-9;
}

/* Config points into the case's own text. */
static void
copy_case(ExploreCase *to, const ExploreCase *from)
{
	*to = *from;
	for (int i = 0; i < from->config.workers; i++)
		to->config.program[i] = to->programs + (from->config.program[i] - from->programs);
}

/* Does the trial still show it?  Then it is the best, cut where it was seen. */
static bool
accept(Shrink *shrink)
{
	ExploreCase *trial = &shrink->trial;

	shrink->tried++;
	if (!explore_follow(shrink->simulator, trial, &shrink->report) ||
		shrink->report.signature == NULL || strcmp(shrink->report.signature, trial->signature) != 0)
		return false;
	trial->schedule.count = shrink->report.followed;
	copy_case(&shrink->best, trial);
	return true;
}

static bool
has_time(const Shrink *shrink)
{
	return now() < shrink->end;
}

/* The best, without `length` moves from `first` on. */
static bool
without(Shrink *shrink, uint32_t first, uint32_t length)
{
	const ExploreSchedule *best = &shrink->best.schedule;

	if (first + length > best->count)
		return false;
	copy_case(&shrink->trial, &shrink->best);
	(void) memmove(&shrink->trial.schedule.move[first], &best->move[first + length],
				   (best->count - first - length) * sizeof(ExploreMove));
	shrink->trial.schedule.count = best->count - length;
	return accept(shrink);
}

static bool
drop_runs(Shrink *shrink)
{
	bool any = false;

	for (uint32_t length = shrink->best.schedule.count / 2; length >= 1 && has_time(shrink);
		 length /= 2)
	{
		for (uint32_t first = shrink->best.schedule.count; first-- > 0 && has_time(shrink);)
			any = without(shrink, first, length) || any;
	}
	return any;
}

/* A loop often needs two moves gone together: all pairs, while the schedule is short. */
static bool
drop_pairs(Shrink *shrink)
{
	bool any = false;

	for (uint32_t i = 0; i < shrink->best.schedule.count && shrink->best.schedule.count < 120; i++)
	{
		for (uint32_t j = i + 1; j < shrink->best.schedule.count && has_time(shrink); j++)
		{
			ExploreSchedule *moves = &shrink->trial.schedule;
			uint32_t count = 0;

			copy_case(&shrink->trial, &shrink->best);
			for (uint32_t k = 0; k < shrink->best.schedule.count; k++)
			{
				if (k != i && k != j)
					moves->move[count++] = shrink->best.schedule.move[k];
			}
			moves->count = count;
			any = accept(shrink) || any;
		}
	}
	return any;
}

static uint32_t
switches(const ExploreSchedule *schedule)
{
	uint32_t count = 0;

	for (uint32_t i = 1; i < schedule->count; i++)
		count += schedule->move[i].process != schedule->move[i - 1].process;
	return count;
}

/* Fewer preemptions: moves a run of one process up to its last run before. */
static bool
join_runs(Shrink *shrink)
{
	bool any = false;

	for (uint32_t i = 1; i < shrink->best.schedule.count && has_time(shrink); i++)
	{
		const ExploreSchedule *best = &shrink->best.schedule;
		ExploreMove move = best->move[i];
		uint32_t to = i;

		if (move.process == best->move[i - 1].process)
			continue;
		while (to > 0 && best->move[to - 1].process != move.process)
			to--;
		if (to == 0)
			continue;
		copy_case(&shrink->trial, &shrink->best);
		(void) memmove(&shrink->trial.schedule.move[to + 1], &best->move[to],
					   (i - to) * sizeof(ExploreMove));
		shrink->trial.schedule.move[to] = move;
		if (switches(&shrink->trial.schedule) <= switches(best))
			any = accept(shrink) || any;
	}
	return any;
}

static unsigned
kills(const ExploreCase *what, bool of_workers)
{
	unsigned count = 0;

	for (uint32_t i = 0; i < what->schedule.count; i++)
		count += what->schedule.move[i].kind == 1 &&
				 (what->schedule.move[i].process < what->config.workers) == of_workers;
	return count;
}

static unsigned
time_outs(const ExploreCase *what)
{
	unsigned count = 0;

	for (uint32_t i = 0; i < what->schedule.count; i++)
		count += what->schedule.move[i].kind == 2;
	return count;
}

/* Budgets that are not used up only make tokens long. */
static void
trim_budgets(Shrink *shrink)
{
	copy_case(&shrink->trial, &shrink->best);
	shrink->trial.config.crashes = kills(&shrink->best, true);
	shrink->trial.config.timeouts = time_outs(&shrink->best);
	(void) accept(shrink);
}

/* Without the last operation of a process, or without a process whose moves are gone. */
static bool
shorten_program(Shrink *shrink, int process)
{
	char program[64] = "";
	size_t at = 0;
	const ExploreCase *best = &shrink->best;
	bool dropped = false;

	for (int i = 0; i < best->config.workers; i++)
	{
		size_t length = strlen(best->config.program[i]);

		if (i == process && length == 1)
		{
			dropped = true;
			continue;
		}
		at +=
			(size_t) snprintf(program + at, sizeof(program) - at, "%s%.*s", at > 0 ? "." : "",
							  (int) (i == process ? length - 1 : length), best->config.program[i]);
	}
	copy_case(&shrink->trial, best);
	if (!explore_set_program(&shrink->trial, program))
		return false;
	for (uint32_t i = 0; dropped && i < shrink->trial.schedule.count; i++)
	{
		ExploreMove *move = &shrink->trial.schedule.move[i];

		if (move->process == process)
			return false;
		move->process = (uint8_t) (move->process - (move->process > process));
	}
	return accept(shrink);
}

static bool
shorten_programs(Shrink *shrink)
{
	bool any = false;

	for (int p = 0;
		 p < shrink->best.config.workers && shrink->best.config.workers > 1 && has_time(shrink);
		 p++)
		any = shorten_program(shrink, p) || any;
	return any;
}

static void
shrink_all(Shrink *shrink)
{
	bool more = true;

	while (more && has_time(shrink))
	{
		more = drop_runs(shrink);
		more = shorten_programs(shrink) || more;
		more = join_runs(shrink) && more;
	}
	if (drop_pairs(shrink))
		(void) drop_runs(shrink);
	(void) join_runs(shrink);
	trim_budgets(shrink);
}

static int
run_shrink(int argc, char **argv)
{
	static ReplayToken token;
	static Shrink shrink;
	static char text[REPLAY_TOKEN_SIZE];
	ReplayTokenError error;
	Simulator simulator;
	uint32_t before;
	int count, status = command_options(&command_shrink, argc, argv, &count, NULL);

	if (status != EXIT_GOOD)
		return status;
	if (count != 1)
		return usage_error("shrink wants one token, as a failure prints it after \"replay:\"");
	if (!replay_token_parse(argv[0], &token, &error))
		return replay_refuse(&error);
	if (strcmp(replay_token_kind(&token), "explore") != 0)
		return usage_error("only explore tokens are shrunk, not those of kind %s",
						   replay_token_kind(&token));
	if (!explore_read_token(&token, &shrink.trial, &error))
		return replay_refuse(&error);
	status =
		simulator_open(&simulator, shrink.trial.mutant[0] != '\0' ? shrink.trial.mutant : NULL);
	if (status != EXIT_GOOD)
		return status;
	shrink.simulator = &simulator;
	shrink.end = now() + (budget_ms != 0 ? (double) budget_ms / 1000 : 10);
	before = shrink.trial.schedule.count;
	if (!accept(&shrink))
	{
		(void) fprintf(stderr, "holdfast: the token does not show %s here\n",
					   shrink.trial.signature);
		status = EXIT_NOTHING;
	}
	else
	{
		shrink_all(&shrink);
		(void) explore_make_token(&shrink.best, &token);
		(void) replay_token_print(&token, text, sizeof(text));
		(void) printf("%s\n", text);
		(void) fprintf(stderr,
					   "%u moves are %u, %u changes of process, %u crashes, %d processes; %" PRIu64
					   " schedules tried\n",
					   before, shrink.best.schedule.count, switches(&shrink.best.schedule),
					   kills(&shrink.best, true) + kills(&shrink.best, false),
					   shrink.best.config.workers, shrink.tried);
	}
	simulator_close(&simulator);
	return status;
}

const Command command_shrink = {
	.name = "shrink",
	.usage = "TOKEN [OPTION...]",
	.summary = "a shorter token of the same finding: fewer crashes, moves, preemptions, processes",
	.run = run_shrink,
	.options = shrink_options,
	.examples =
		"  holdfast shrink explore:program=S.X,crashes=1,signature=lost-wakeup,schedule=0*4.K0\n",
};
