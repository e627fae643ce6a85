/*
 * cmd_sweep.c
 *		`holdfast sweep`: every fault at every place of one scenario, and the matrix of what came of it.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "campaign.h"
#include "command.h"
#include "reports.h"
#include "sweep/sweep.h"

static struct
{
	ReportFiles files;
	const char *shard, *second;
	uint64_t seed, jobs, nth, budget_ms;
	bool quiet;
} opt;

static const Option *
sweep_options(void)
{
	static const Option options[] = {
		{"--nth", OPTION_NUMBER, &opt.nth, "N", "the first N arrivals at each point; default: 1"},
		{"--second", OPTION_STRING, &opt.second, "HOW",
		 "second deaths, in the recovery of the first: none, some (default), all"},
		{"--seed", OPTION_NUMBER, &opt.seed, "N", "the same seed makes the same decisions"},
		{"--jobs|-j", OPTION_NUMBER, &opt.jobs, "N",
		 "cases at a time; default: four per processor, for they mostly wait"},
		{"--shard", OPTION_STRING, &opt.shard, "I/N", "the I-th of N equal parts"},
		{"--budget", OPTION_TIME, &opt.budget_ms, "TIME", "start no case after that"},
		REPORT_OPTIONS(opt.files),
		{"--quiet|-q", OPTION_FLAG, &opt.quiet, NULL, "only failures and the last line"},
		{0},
	};

	return options;
}

typedef struct SweepView
{
	FILE *out;
	LiveLine line;
} SweepView;

/* ---- people's view ---- */

static void
on_progress(size_t done, size_t total, const char *running, void *arg)
{
	SweepView *view = arg;

	live_line_show(&view->line, "%zu/%zu  %.60s", done, total, running != NULL ? running : "");
}

static void
on_finding(const SweepRow *row, const ScenarioResult *result, void *arg)
{
	SweepView *view = arg;

	live_line_clear(&view->line);
	(void) fprintf(view->out, "FAIL  %s\n", row->plan);
	print_indented(view->out, "      ", row->reason, strlen(row->reason));
	if (!opt.quiet && result->detail.length > 0)
		print_indented(view->out, "      | ", result->detail.bytes, result->detail.length);
	if (result->replay != NULL)
		(void) fprintf(view->out, "      replay: %s\n", result->replay);
	(void) fflush(view->out);
}

typedef struct Cell
{
	size_t by_outcome[SWEEP_OUTCOMES];
} Cell;

/* "12", "3!9" (3 failed, 9 passed), "~" (not reached), "." (not legal here). */
static void
print_cell(FILE *out, const Cell *cell)
{
	char text[32];
	size_t passed = cell->by_outcome[SWEEP_PASSED];
	size_t failed = cell->by_outcome[SWEEP_FAILED];

	if (failed > 0)
		(void) snprintf(text, sizeof(text), "%zu!%zu", failed, passed);
	else if (passed > 0)
		(void) snprintf(text, sizeof(text), "%zu", passed);
	else
		(void) snprintf(text, sizeof(text), "%s",
						cell->by_outcome[SWEEP_NOT_REACHED] > 0 ? "~"
						: cell->by_outcome[SWEEP_NOT_RUN] > 0   ? "?"
																: ".");
	(void) fprintf(out, " %11s", text);
}

static bool
same_line(const SweepRow *left, const SweepRow *right)
{
	return strcmp(left->point, right->point) == 0 && strcmp(left->role, right->role) == 0;
}

static bool
was_printed(const Sweep *sweep, size_t which)
{
	for (size_t i = 0; i < which; i++)
		if (same_line(&sweep->row[i], &sweep->row[which]))
			return true;
	return false;
}

/* A line per point and role, a column per kind of fault.  Points that the scenario never comes to are counted below. */
static void
print_matrix(FILE *out, const Sweep *sweep)
{
	(void) fprintf(out, "%-36s %-11s", "point", "role");
	for (int kind = 0; kind < SWEEP_KINDS; kind++)
		(void) fprintf(out, " %11s", sweep_kind_name((SweepKind) kind));
	(void) fputc('\n', out);
	for (size_t i = 0; i < sweep->count; i++)
	{
		const SweepRow *first = &sweep->row[i];
		Cell cell[SWEEP_KINDS] = {0};
		bool reached = false;

		if (was_printed(sweep, i))
			continue;
		for (size_t j = i; j < sweep->count; j++)
		{
			if (!same_line(first, &sweep->row[j]))
				continue;
			cell[sweep->row[j].kind].by_outcome[sweep->row[j].outcome]++;
			reached |= sweep->row[j].runs > 0 || sweep->row[j].outcome == SWEEP_NOT_RUN;
		}
		if (!reached)
			continue;
		(void) fprintf(out, "%-36s %-11s", first->point, first->role);
		for (int kind = 0; kind < SWEEP_KINDS; kind++)
			print_cell(out, &cell[kind]);
		(void) fputc('\n', out);
	}
}

static void
count_rows(const Sweep *sweep, size_t by_outcome[SWEEP_OUTCOMES])
{
	memset(by_outcome, 0, SWEEP_OUTCOMES * sizeof(*by_outcome));
	for (size_t i = 0; i < sweep->count; i++)
		by_outcome[sweep->row[i].outcome]++;
}

/* Each reason once, with how many rows it stands for. */
static void
print_not_reached(FILE *out, const Sweep *sweep)
{
	for (size_t i = 0; i < sweep->count; i++)
	{
		size_t same = 0;
		bool before = false;

		if (sweep->row[i].outcome != SWEEP_NOT_REACHED)
			continue;
		for (size_t j = 0; j < sweep->count; j++)
		{
			if (sweep->row[j].outcome != SWEEP_NOT_REACHED ||
				strcmp(sweep->row[j].reason, sweep->row[i].reason) != 0)
				continue;
			before |= j < i;
			same++;
		}
		if (!before)
			(void) fprintf(out, "not reached: %zu rows: %s\n", same, sweep->row[i].reason);
	}
}

static void
print_summary(const SweepView *view, const Sweep *sweep, RunnerOutcome outcome)
{
	size_t by_outcome[SWEEP_OUTCOMES];
	size_t second = 0;

	for (size_t i = 0; i < sweep->count; i++)
		second += sweep->row[i].kind == SWEEP_SECOND;
	count_rows(sweep, by_outcome);
	if (!opt.quiet)
	{
		print_matrix(view->out, sweep);
		print_not_reached(view->out, sweep);
	}
	(void) fprintf(view->out,
				   "%zu faults: %zu passed, %zu failed, %zu not reached, %zu not run; %zu of %zu "
				   "second deaths; %.1f s, seed %" PRIu64 "%s\n",
				   sweep->count, by_outcome[SWEEP_PASSED], by_outcome[SWEEP_FAILED],
				   by_outcome[SWEEP_NOT_REACHED], by_outcome[SWEEP_NOT_RUN], second,
				   sweep->second_possible, sweep->milliseconds / 1000, opt.seed,
				   outcome == RUNNER_INTERRUPTED  ? "; interrupted"
				   : outcome == RUNNER_INCOMPLETE ? "; budget spent"
												  : "");
	if (sweep->problem[0] != '\0')
		(void) fprintf(stderr, "holdfast: %s\n", sweep->problem);
}

/* ---- files ---- */

static void
json_row(JsonWriter *json, const SweepRow *row)
{
	json_object(json, NULL);
	json_string(json, "point", row->point);
	json_string(json, "role", row->role);
	json_string(json, "kind", sweep_kind_name(row->kind));
	json_uint(json, "nth", row->nth);
	if (row->error != 0)
		json_string(json, "errno", inject_errno_name(row->error));
	if (row->second[0] != '\0')
		json_string(json, "second", row->second);
	json_string(json, "plan", row->plan);
	json_string(json, "outcome", sweep_outcome_name(row->outcome));
	if (row->reason[0] != '\0')
		json_string(json, "reason", row->reason);
	if (row->replay != NULL)
		json_string(json, "replay", row->replay);
	json_uint(json, "runs", row->runs);
	json_milliseconds(json, "milliseconds", row->milliseconds);
	json_object_end(json);
}

/* ReportFigures */
static void
write_figures(JsonWriter *json, void *arg)
{
	const Sweep *sweep = arg;
	size_t by_outcome[SWEEP_OUTCOMES];

	count_rows(sweep, by_outcome);
	json_string(json, "scenario", sweep->scenario->id);
	json_string(json, "case", sweep->which->name);
	json_uint(json, "seed", opt.seed);
	json_milliseconds(json, "milliseconds", sweep->milliseconds);
	json_object(json, "summary");
	for (int outcome = 0; outcome < SWEEP_OUTCOMES; outcome++)
		json_uint(json, sweep_outcome_name((SweepOutcome) outcome), by_outcome[outcome]);
	json_uint(json, "second_possible", sweep->second_possible);
	json_object_end(json);
	json_array(json, "recorded");
	for (uint32_t i = 0; sweep->recorded != NULL && i < sweep->recorded->count; i++)
	{
		const Observed *observed = &sweep->recorded->item[i];

		json_object(json, NULL);
		json_string(json, "point", observed->point);
		json_string(json, "role", observed->role);
		json_uint(json, "life", observed->life);
		json_uint(json, "hits", observed->hits);
		json_object_end(json);
	}
	json_array_end(json);
	json_array(json, "rows");
	for (size_t i = 0; i < sweep->count; i++)
		json_row(json, &sweep->row[i]);
	json_array_end(json);
}

static ScenarioStatus
status_of(SweepOutcome outcome)
{
	return outcome == SWEEP_PASSED   ? SCENARIO_PASS
		   : outcome == SWEEP_FAILED ? SCENARIO_FAIL
									 : SCENARIO_SKIP;
}

/* Rows as results of cases, for the writers that know only those.  Rows of other shards are not ours to tell. */
static void
rows_as_results(const Sweep *sweep, ResultList *list, RunnerSummary *summary)
{
	for (size_t i = 0; i < sweep->count; i++)
	{
		const SweepRow *row = &sweep->row[i];
		ScenarioResult result = {
			.scenario = sweep->scenario->id,
			.case_name = row->plan,
			.status = status_of(row->outcome),
			.milliseconds = row->milliseconds,
			.message = {row->reason, strlen(row->reason)},
			.replay = row->replay,
		};

		if (row->outcome == SWEEP_NOT_RUN)
			continue;
		results_add(list, &result);
		summary->selected++;
		summary->run++;
		summary->by_status[result.status]++;
	}
	summary->milliseconds = sweep->milliseconds;
}

static int
write_files(const Sweep *sweep, RunnerOutcome outcome)
{
	ResultList list = {0};
	RunnerSummary summary = {0};
	int code = outcome_exit_code(outcome);
	RunInfo info = {
		.seed = opt.seed, .outcome = outcome_name(outcome), .exit_code = code, .summary = &summary};
	bool good;

	rows_as_results(sweep, &list, &summary);
	good =
		reports_write(&opt.files, &list, &info, "sweep", write_figures, (void *) (uintptr_t) sweep);
	results_free(&list);
	return good ? code : EXIT_INTERNAL;
}

/* ---- what to sweep ---- */

static int
read_depth(SweepDepth *depth)
{
	static const char *const names[] = {"none", "some", "all", NULL};

	*depth = SWEEP_SECOND_SOME;
	for (int i = 0; opt.second != NULL && names[i] != NULL; i++)
	{
		if (strcmp(opt.second, names[i]) != 0)
			continue;
		*depth = (SweepDepth) i;
		return EXIT_GOOD;
	}
	return opt.second == NULL ? EXIT_GOOD
							  : usage_error("--second is none, some or all, not \"%s\"%s",
											opt.second, did_you_mean(opt.second, names));
}

static int
sweep_item(const RunnerItem *item)
{
	SweepView view = {.out = reports_people(&opt.files), .line = live_line()};
	SweepConfig config = {
		.scenario = item->scenario,
		.which = item->which,
		.nth_max = opt.nth > 0 ? (unsigned) opt.nth : 1,
		.jobs = (unsigned) opt.jobs,
		.seed = opt.seed,
		.budget_ms = opt.budget_ms,
		.progress = on_progress,
		.progress_arg = &view,
		.finding = on_finding,
		.finding_arg = &view,
	};
	Sweep sweep;
	RunnerOutcome outcome;
	int code = read_depth(&config.depth);

	if (code == EXIT_GOOD)
		code = campaign_shard(opt.shard, &config.shard_index, &config.shard_count);
	if (code != EXIT_GOOD)
		return code;
	if (opt.seed == 0 && getrandom(&opt.seed, sizeof(opt.seed), 0) == sizeof(opt.seed))
		opt.seed &= UINT32_MAX; /* short enough to be typed */
	config.seed = opt.seed;
	outcome = sweep_run(&config, &sweep);
	live_line_clear(&view.line);
	print_summary(&view, &sweep, outcome);
	code = write_files(&sweep, outcome);
	sweep_free(&sweep);
	return code;
}

/* The first case of a scenario, or the one that is named. */
static int
run_sweep(int argc, char **argv)
{
	RunnerSelection *selection;
	RunnerProblem problem;
	int count;
	int code = command_options(&command_sweep, argc, argv, &count, NULL);

	if (code != EXIT_GOOD)
		return code;
	if (count != 1)
		return usage_error("sweep one scenario that takes a plan, as in \"holdfast sweep "
						   "serve-start\"");
	if (!runner_select((const char *const *) argv, 1, &selection, &problem))
	{
		(void) fprintf(stderr, "holdfast: %s", problem.message);
		if (problem.suggestion[0] != '\0')
			(void) fprintf(stderr, "; did you mean \"%s\"?", problem.suggestion);
		(void) fputs("\n", stderr);
		return problem.pattern[0] == '\0' ? EXIT_INTERNAL : EXIT_NOTHING;
	}
	if (selection->item[0].scenario->flags & SCENARIO_TAKES_PLAN)
		code = sweep_item(&selection->item[0]);
	else
		code = usage_error("scenario \"%s\" brings its own faults and cannot be swept",
						   selection->item[0].scenario->id);
	runner_selection_free(selection);
	return code;
}

const Command command_sweep = {
	.name = "sweep",
	.usage = "SCENARIO[/CASE] [OPTION...]",
	.summary = "every fault at every place of a scenario, one at a time, and a second death",
	.run = run_sweep,
	.options = sweep_options,
	.examples = "  holdfast sweep serve-start\n"
				"  holdfast sweep serve-start --nth 3 --second all --json sweep.json\n"
				"  holdfast sweep serve-start --shard 2/8\n",
};
