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

#include "campaign.h"
#include "command.h"
#include "plan_argument.h"
#include "replay.h"
#include "reports.h"
#include "runner/runner.h"
#include "suite_file.h"

static struct
{
	ReportFiles files;
	const char *plan, *shard, *filter, *file;
	uint64_t seed, jobs, repeat, budget_ms;
	bool verbose, quiet, list;
} opt;

static const Option *
run_options(void)
{
	static const Option options[] = {
		{"--file", OPTION_STRING, &opt.file, "FILE",
		 "the cases, plans and seeds that a suite file names; - is stdin"},
		{"--filter", OPTION_STRING, &opt.filter, "GLOB",
		 "only scenarios whose id matches, as in 'c*'"},
		{"--plan", OPTION_STRING, &opt.plan, "PLAN",
		 "faults of your own, or @FILE, for scenarios that take a plan"},
		{"--seed", OPTION_NUMBER, &opt.seed, "N", "the same seed makes the same decisions"},
		{"--jobs|-j", OPTION_NUMBER, &opt.jobs, "N", "cases at a time; default: one per processor"},
		{"--repeat", OPTION_NUMBER, &opt.repeat, "N", "run each case N times"},
		{"--shard", OPTION_STRING, &opt.shard, "I/N", "the I-th of N equal parts"},
		{"--budget", OPTION_TIME, &opt.budget_ms, "TIME", "start no case after that"},
		REPORT_OPTIONS(opt.files),
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
	LiveLine line;
	char scenario[SCENARIO_CASE_NAME_SIZE]; /* the one that is being summed up */
	size_t passed, total;
	double milliseconds;
} RunView;

/* ---- people's view ---- */

static void
print_failure(RunView *view, const ScenarioResult *result)
{
	(void) fprintf(view->out, "%-5s %s/%s\n", result->status == SCENARIO_FAIL ? "FAIL" : "ERROR",
				   result->scenario, result->case_name);
	if (result->message.length > 0)
		print_indented(view->out, "      ", result->message.bytes, result->message.length);
	if (result->detail.length > 0)
		print_indented(view->out, "      | ", result->detail.bytes, result->detail.length);
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

/* In a suite the same case may run with several plans and seeds: NAME@SEED [PLAN], each a result of its own. */
static char *
name_in_suite(const char *name, bool has_seed, uint64_t seed, const char *plan)
{
	char at_seed[1 + 16 + 1] = "";
	char *out;

	if (has_seed)
		(void) snprintf(at_seed, sizeof(at_seed), "@%" PRIx64, seed);
	if (asprintf(&out, "%s%s%s%s%s", name, at_seed, plan != NULL ? " [" : "",
				 plan != NULL ? plan : "", plan != NULL ? "]" : "") < 0)
		return NULL;
	return out;
}

static void
keep_result(ResultList *results, const ScenarioResult *result)
{
	ScenarioResult named = *result;
	char *name = NULL;

	if (opt.file != NULL)
	{
		name = name_in_suite(result->case_name, result->has_seed, result->seed, result->plan);
		if (name == NULL)
		{
			results->out_of_memory = true;
			return;
		}
		named.case_name = name;
	}
	results_add(results, &named);
	free(name);
}

static void
on_result(const ScenarioResult *result, void *arg)
{
	RunView *view = arg;

	keep_result(&view->results, result);
	if (result->status == SCENARIO_FAIL || result->status == SCENARIO_ERROR)
	{
		live_line_clear(&view->line);
		print_failure(view, result);
	}
	else if (result->status == SCENARIO_PASS && result->plan != NULL && !opt.quiet)
	{
		live_line_clear(&view->line);
		(void) fprintf(view->out, "ok    %s/%s\n", result->scenario, result->case_name);
		if (result->detail.length > 0)
			print_indented(view->out, "      | ", result->detail.bytes, result->detail.length);
	}
}

static void
on_progress(size_t done, size_t total, const char *running, void *arg)
{
	RunView *view = arg;

	live_line_show(&view->line, "%zu/%zu  %.60s", done, total, running != NULL ? running : "");
}

/* ---- outcome ---- */

static void
print_summary(RunView *view, const RunnerSummary *summary, RunnerOutcome outcome, uint64_t seed)
{
	live_line_clear(&view->line);
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

static int
write_files(RunView *view, const RunInfo *info)
{
	return reports_write(&opt.files, &view->results, info, NULL, NULL, NULL) ? info->exit_code
																			 : EXIT_INTERNAL;
}

/* ---- selection ---- */

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
		char *name;

		if (!runner_in_shard(config, item))
			continue;
		name = opt.file == NULL
				   ? strdup(item->which->name)
				   : name_in_suite(item->which->name, item->has_seed, item->seed, item->plan);
		if (name == NULL)
			return EXIT_INTERNAL;
		(void) printf("%s/%s\n", item->scenario->id, name);
		free(name);
		listed++;
	}
	return listed > 0 ? EXIT_GOOD : EXIT_NOTHING;
}

static int
run_selection(const RunnerSelection *selection)
{
	RunView view = {
		.out = reports_people(&opt.files),
		.line = live_line(),
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

	code = campaign_shard(opt.shard, &config.shard_index, &config.shard_count);
	if (code != EXIT_GOOD)
		return code;
	if (opt.list)
		return list_cases(selection, &config);
	view.line.wanted = view.line.wanted && !opt.verbose; /* the story goes there too */
	outcome = runner_run(&config, &summary);
	print_summary(&view, &summary, outcome, opt.seed);
	info = (RunInfo){.seed = opt.seed,
					 .plan = opt.plan,
					 .outcome = outcome_name(outcome),
					 .exit_code = outcome_exit_code(outcome),
					 .summary = &summary};
	code = write_files(&view, &info);
	results_free(&view.results);
	return code;
}

static int
run_and_free(RunnerSelection *selection)
{
	int status;

	if (opt.seed == 0 && getrandom(&opt.seed, sizeof(opt.seed), 0) == sizeof(opt.seed))
		opt.seed &= UINT32_MAX; /* short enough to be typed */
	status = run_selection(selection);
	runner_selection_free(selection);
	return status;
}

static int
run_patterns(int count, char **patterns)
{
	RunnerSelection *selection;
	int status = select_cases(count, patterns, &selection);

	return status == EXIT_GOOD ? run_and_free(selection) : status;
}

static void
use_unless_given(uint64_t *option, uint64_t of_suite)
{
	if (*option == 0)
		*option = of_suite;
}

static int
run_suite(int count)
{
	static Suite suite; /* large */
	RunnerSelection *selection;
	int status;

	if (count > 0 || opt.filter != NULL || opt.plan != NULL)
		return usage_error("--file says what runs: no scenarios, --filter or --plan beside it");
	status = suite_file_read(opt.file, &suite);
	if (status != EXIT_GOOD)
		return status;
	use_unless_given(&opt.seed, suite.seed);
	use_unless_given(&opt.jobs, suite.jobs);
	use_unless_given(&opt.repeat, suite.repeat);
	use_unless_given(&opt.budget_ms, suite.budget_ms);
	status = suite_file_select(opt.file, &suite, &selection);
	if (status == EXIT_GOOD)
		status = run_and_free(selection);
	suite_file_free(&suite);
	return status;
}

static int
run_run(int argc, char **argv)
{
	int count;
	int status = command_options(&command_run, argc, argv, &count, NULL);

	if (status != EXIT_GOOD)
		return status;
	if (opt.file != NULL)
		return run_suite(count);
	status = plan_argument_text(opt.plan, &opt.plan);
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
				"  holdfast run --file scenarios/suites/crash.yaml\n"
				"  holdfast run --plan 'sysv/shm/shmget=#1 errno(ENOSPC)' serve-start\n",
};

int
replay_scenario(const ReplayToken *token, const ReplayOptions *options)
{
	char text[REPLAY_TOKEN_SIZE];
	char *pattern = text;
	int status;

	(void) replay_token_print(token, text, sizeof(text));
	status = plan_argument_text(options->plan, &opt.plan);
	if (status != EXIT_GOOD)
		return status;
	opt.files = options->files;
	opt.seed = options->seed;
	opt.repeat = options->repeat;
	opt.budget_ms = options->budget_ms;
	opt.verbose = options->verbose;
	opt.quiet = options->quiet;
	opt.list = options->list;
	opt.jobs = 1;
	return run_patterns(1, &pattern);
}
