/*
 * cmd_run.c
 *		`holdfast run`: chooses cases, runs them, says what came of it.  Also a token of one case, for `holdfast replay`.
 *
 * Results go to stdout as they come when somebody watches (one line per scenario, more for what failed); files are
 * written at the end, also after Ctrl-C, with what there is.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "command.h"
#include "replay.h"
#include "results/results.h"
#include "runner/runner.h"

static struct
{
	const char *plan, *json, *junit, *tap, *shard, *filter;
	uint64_t seed, jobs, repeat, budget_ms;
	bool verbose, quiet, list;
} opt;

static const Option *
run_options(void)
{
	static const Option options[] = {
		{"--filter", OPTION_STRING, &opt.filter, "GLOB",
		 "only scenarios whose id matches, as in 'c*'"},
		{"--plan", OPTION_STRING, &opt.plan, "PLAN",
		 "faults of your own, for scenarios that take a plan"},
		{"--seed", OPTION_NUMBER, &opt.seed, "N", "the same seed makes the same decisions"},
		{"--jobs|-j", OPTION_NUMBER, &opt.jobs, "N", "cases at a time; default: one per processor"},
		{"--repeat", OPTION_NUMBER, &opt.repeat, "N", "run each case N times"},
		{"--shard", OPTION_STRING, &opt.shard, "I/N", "the I-th of N equal parts"},
		{"--budget", OPTION_TIME, &opt.budget_ms, "TIME", "start no case after that"},
		{"--json", OPTION_STRING, &opt.json, "FILE", "all results as JSON; - is stdout"},
		{"--junit", OPTION_STRING, &opt.junit, "FILE", "all results as JUnit XML"},
		{"--tap", OPTION_STRING, &opt.tap, "FILE", "all results as TAP"},
		{"--list", OPTION_FLAG, &opt.list, NULL, "only name the cases that would run"},
		{"--verbose|-v", OPTION_FLAG, &opt.verbose, NULL, "the story of each case as it happens"},
		{"--quiet|-q", OPTION_FLAG, &opt.quiet, NULL, "only failures and the last line"},
		{0},
	};

	return options;
}

typedef struct RunView
{
	ResultList results;
	FILE *out; /* where people read: stdout, or stderr when stdout carries a file */
	bool live; /* a terminal: one line that is written over */
	bool line_shown;
	char scenario[SCENARIO_CASE_NAME_SIZE]; /* the one that is being summed up */
	size_t passed, total;
	double milliseconds;
} RunView;

/* ---- people's view ---- */

static void
clear_live_line(RunView *view)
{
	if (view->line_shown)
		(void) fputs("\r\033[K", stderr);
	view->line_shown = false;
}

static void
print_text(FILE *out, const char *indent, const ScenarioText *text)
{
	(void) fputs(indent, out);
	for (size_t i = 0; i < text->length; i++)
	{
		unsigned char c = (unsigned char) text->bytes[i];

		if (c == '\n' && i + 1 < text->length)
			(void) fprintf(out, "\n%s", indent);
		else if (c != '\n')
			(void) fputc(c < 0x20 || c == 0x7f ? '?' : c, out);
	}
	(void) fputc('\n', out);
}

static void
print_failure(RunView *view, const ScenarioResult *result)
{
	(void) fprintf(view->out, "%-5s %s/%s\n", result->status == SCENARIO_FAIL ? "FAIL" : "ERROR",
				   result->scenario, result->case_name);
	if (result->message.length > 0)
		print_text(view->out, "      ", &result->message);
	if (result->detail.length > 0)
		print_text(view->out, "      | ", &result->detail);
	if (result->replay != NULL)
		(void) fprintf(view->out, "      replay: %s\n", result->replay);
	/* Cases are cloned from this process: what is still buffered would come out of them again. */
	(void) fflush(view->out);
}

/* All results of one scenario, in one line. */
typedef struct ScenarioSum
{
	size_t by_status[SCENARIO_STATUS_COUNT];
	double milliseconds;
	const ScenarioResult *skipped;
} ScenarioSum;

static void
print_scenario(FILE *out, const char *id, const ScenarioSum *sum)
{
	size_t bad = sum->by_status[SCENARIO_FAIL] + sum->by_status[SCENARIO_ERROR];
	size_t good = sum->by_status[SCENARIO_PASS];
	const Scenario *scenario = scenario_find(id);

	(void) fprintf(out, "%-5s %-28s %4zu of %-4zu %7.1f s   %s\n",
				   bad > 0    ? "FAIL"
				   : good > 0 ? "ok"
							  : "skip",
				   id, good, good + bad + sum->by_status[SCENARIO_SKIP], sum->milliseconds / 1000,
				   scenario != NULL ? scenario->summary : "");
	if (sum->skipped != NULL)
		(void) fprintf(out, "      %zu skipped: %.*s\n", sum->by_status[SCENARIO_SKIP],
					   (int) sum->skipped->message.length, sum->skipped->message.bytes);
}

static void
print_scenarios(const RunView *view)
{
	for (size_t i = 0; i < scenario_count; i++)
	{
		ScenarioSum sum = {0};
		size_t found = 0;

		for (size_t j = 0; j < view->results.count; j++)
		{
			const ScenarioResult *result = &view->results.item[j];

			if (strcmp(result->scenario, scenario_table[i]->id) != 0)
				continue;
			found++;
			sum.by_status[result->status]++;
			sum.milliseconds += result->milliseconds;
			if (result->status == SCENARIO_SKIP && sum.skipped == NULL)
				sum.skipped = result;
		}
		if (found > 0)
			print_scenario(view->out, scenario_table[i]->id, &sum);
	}
}

static void
on_result(const ScenarioResult *result, void *arg)
{
	RunView *view = arg;

	results_add(&view->results, result);
	if (result->status == SCENARIO_FAIL || result->status == SCENARIO_ERROR)
	{
		clear_live_line(view);
		print_failure(view, result);
	}
	else if (result->status == SCENARIO_PASS && opt.plan != NULL && !opt.quiet)
	{
		clear_live_line(view);
		(void) fprintf(view->out, "ok    %s/%s\n", result->scenario, result->case_name);
		if (result->detail.length > 0)
			print_text(view->out, "      | ", &result->detail);
	}
}

static void
on_progress(size_t done, size_t total, const char *running, void *arg)
{
	RunView *view = arg;

	if (!view->live)
		return;
	(void) fprintf(stderr, "\r\033[K%zu/%zu  %.60s", done, total, running != NULL ? running : "");
	(void) fflush(stderr);
	view->line_shown = true;
}

/* ---- outcome ---- */

static int
exit_code_of(RunnerOutcome outcome)
{
	switch (outcome)
	{
		case RUNNER_GOOD:
			return EXIT_GOOD;
		case RUNNER_FINDINGS:
			return EXIT_FINDINGS;
		case RUNNER_FLAKY:
			return EXIT_FLAKY;
		case RUNNER_INCOMPLETE:
			return EXIT_INCOMPLETE;
		case RUNNER_NOTHING:
			return EXIT_NOTHING;
		case RUNNER_UNFIT:
			return EXIT_UNFIT;
		case RUNNER_BAD_PLAN:
			return EXIT_USAGE;
		case RUNNER_INTERRUPTED:
			return EXIT_INTERRUPTED;
		case RUNNER_INTERNAL:
			return EXIT_INTERNAL;
	}
	return EXIT_INTERNAL;
}

static const char *
outcome_name(RunnerOutcome outcome)
{
	static const char *const names[] = {"good",  "findings", "flaky",       "incomplete", "nothing",
										"unfit", "bad plan", "interrupted", "internal"};

	return (size_t) outcome < sizeof(names) / sizeof(names[0]) ? names[outcome] : "internal";
}

static void
print_summary(RunView *view, const RunnerSummary *summary, RunnerOutcome outcome, uint64_t seed)
{
	clear_live_line(view);
	if (!opt.quiet)
		print_scenarios(view);
	(void) fprintf(view->out,
				   "%zu of %zu cases run: %zu passed, %zu failed, %zu errors, %zu skipped",
				   summary->run, summary->selected, summary->by_status[SCENARIO_PASS],
				   summary->by_status[SCENARIO_FAIL], summary->by_status[SCENARIO_ERROR],
				   summary->by_status[SCENARIO_SKIP]);
	if (summary->flaky > 0)
		(void) fprintf(view->out, ", %zu flaky", summary->flaky);
	(void) fprintf(view->out, "; %.1f s, seed %" PRIu64 "%s\n", summary->milliseconds / 1000, seed,
				   outcome == RUNNER_INTERRUPTED  ? "; interrupted"
				   : outcome == RUNNER_INCOMPLETE ? "; budget spent"
												  : "");
	if (summary->problem[0] != '\0')
		(void) fprintf(stderr, "holdfast: %s\n", summary->problem);
}

typedef bool (*ResultWriter)(const ResultList *list, const RunInfo *info, FILE *out);

static bool
write_file(const char *path, ResultWriter writer, const RunView *view, const RunInfo *info)
{
	FILE *file;
	bool written;

	if (path == NULL)
		return true;
	file = open_output(path);
	if (file == NULL)
		return false;
	written = writer(&view->results, info, file);
	return close_output(file, path) && written;
}

static int
write_files(const RunView *view, const RunInfo *info)
{
	bool written = write_file(opt.json, results_write_json, view, info);

	written = write_file(opt.junit, results_write_junit, view, info) && written;
	written = write_file(opt.tap, results_write_tap, view, info) && written;
	if (view->results.out_of_memory)
		(void) fprintf(stderr, "holdfast: out of memory, results are missing\n");
	return written && !view->results.out_of_memory ? info->exit_code : EXIT_INTERNAL;
}

/* ---- selection ---- */

static bool
is_stdout(const char *path)
{
	return path != NULL && strcmp(path, "-") == 0;
}

static bool
read_shard(RunnerConfig *config)
{
	char rest;

	if (opt.shard == NULL)
		return true;
	return sscanf(opt.shard, "%u/%u%c", &config->shard_index, &config->shard_count, &rest) == 2 &&
		   config->shard_index >= 1 && config->shard_index <= config->shard_count;
}

static int
select_cases(int count, char **patterns, RunnerSelection **selection)
{
	RunnerProblem problem;
	const char *filter[1] = {opt.filter};

	if (opt.filter != NULL && count > 0)
		return usage_error("name scenarios or give --filter, not both");
	if (opt.filter != NULL
			? runner_select(filter, 1, selection, &problem)
			: runner_select((const char *const *) patterns, (size_t) count, selection, &problem))
		return EXIT_GOOD;
	(void) fprintf(stderr, "holdfast: %s", problem.message);
	if (problem.suggestion[0] != '\0')
		(void) fprintf(stderr, "; did you mean \"%s\"?", problem.suggestion);
	(void) fputs("\n", stderr);
	return problem.pattern[0] == '\0' ? EXIT_INTERNAL : EXIT_NOTHING;
}

static int
list_cases(const RunnerSelection *selection, const RunnerConfig *config)
{
	size_t listed = 0;

	for (size_t i = 0; i < selection->count; i++)
	{
		const RunnerItem *item = &selection->item[i];

		if (!runner_in_shard(config, item))
			continue;
		(void) printf("%s/%s\n", item->scenario->id, item->which->name);
		listed++;
	}
	return listed > 0 ? EXIT_GOOD : EXIT_NOTHING;
}

static int
run_selection(const RunnerSelection *selection)
{
	RunView view = {
		.out = is_stdout(opt.json) || is_stdout(opt.junit) || is_stdout(opt.tap) ? stderr : stdout,
		.live = isatty(STDERR_FILENO) && !opt.verbose && getenv("TERM") != NULL &&
				strcmp(getenv("TERM"), "dumb") != 0,
	};
	RunnerConfig config = {
		.selection = selection,
		.jobs = (unsigned) opt.jobs,
		.seed = opt.seed,
		.repeat = (unsigned) opt.repeat,
		.budget_ms = opt.budget_ms,
		.plan = opt.plan,
		.verbose = opt.verbose,
		.listener = on_result,
		.listener_arg = &view,
		.progress = on_progress,
		.progress_arg = &view,
	};
	RunnerSummary summary = {0};
	RunnerOutcome outcome;
	RunInfo info;
	int code;

	if (!read_shard(&config))
		return usage_error("--shard wants I/N with 1 <= I <= N, not \"%s\"", opt.shard);
	if (opt.list)
		return list_cases(selection, &config);
	outcome = runner_run(&config, &summary);
	print_summary(&view, &summary, outcome, opt.seed);
	info = (RunInfo){.seed = opt.seed,
					 .plan = opt.plan,
					 .outcome = outcome_name(outcome),
					 .exit_code = exit_code_of(outcome),
					 .summary = &summary};
	code = write_files(&view, &info);
	results_free(&view.results);
	return code;
}

static int
run_patterns(int count, char **patterns)
{
	RunnerSelection *selection;
	int status = select_cases(count, patterns, &selection);

	if (status != EXIT_GOOD)
		return status;
	if (opt.seed == 0 && getrandom(&opt.seed, sizeof(opt.seed), 0) == sizeof(opt.seed))
		opt.seed &= UINT32_MAX; /* short enough to be typed */
	status = run_selection(selection);
	runner_selection_free(selection);
	return status;
}

static int
run_run(int argc, char **argv)
{
	int count;
	int status = command_options(&command_run, argc, argv, &count, NULL);

	return status != EXIT_GOOD ? status : run_patterns(count, argv);
}

const Command command_run = {
	.name = "run",
	.usage = "[SCENARIO[/CASE]...] [OPTION...]",
	.summary = "run crash scenarios, each case in namespaces of its own",
	.run = run_run,
	.options = run_options,
	.examples = "  holdfast run\n"
				"  holdfast run 'c*' --junit results.xml\n"
				"  holdfast run --plan 'sysv/shm/shmget=#1 errno(ENOSPC)' serve-start\n",
};

int
replay_scenario(const ReplayToken *token, const ReplayOptions *options)
{
	char text[REPLAY_TOKEN_SIZE];
	char *pattern = text;

	(void) replay_token_print(token, text, sizeof(text));
	opt.plan = options->plan;
	opt.json = options->json;
	opt.junit = options->junit;
	opt.tap = options->tap;
	opt.seed = options->seed;
	opt.repeat = options->repeat;
	opt.budget_ms = options->budget_ms;
	opt.verbose = options->verbose;
	opt.quiet = options->quiet;
	opt.list = options->list;
	opt.jobs = 1;
	return run_patterns(1, &pattern);
}
