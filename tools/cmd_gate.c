/*
 * cmd_gate.c
 *		`holdfast gate`: every campaign that there is, inside one budget, to one table and one verdict.
 *
 * The verdict is good only when every part that was chosen ran, said so itself, and its cases passed.  What is in the
 * baseline is told, and does not fail; what was cut short, could not run here or left no results does.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "campaign.h"
#include "child.h"
#include "command.h"
#include "gate/gate.h"
#include "reports.h"

#define BUDGET_MS (UINT64_C(10) * 60000)

static struct
{
	ReportFiles files;
	const char *filter, *shard, *baseline, *write_baseline, *plan, *file, *mutant;
	uint64_t budget_ms, seed, jobs;
	bool allow_unfit, allow_incomplete, strict_baseline, list;
} opt;

static const Option *
gate_options(void)
{
	static const Option options[] = {
		{"--budget", OPTION_TIME, &opt.budget_ms, "TIME", "for all of it; default: 10m"},
		{"--filter", OPTION_STRING, &opt.filter, "LIST",
		 "the same as operands, with commas between them"},
		{"--list", OPTION_FLAG, &opt.list, NULL, "only name the parts, and how long each may take"},
		{"--seed", OPTION_NUMBER, &opt.seed, "N", "the same seed makes the same decisions"},
		{"--jobs|-j", OPTION_NUMBER, &opt.jobs, "N", "cases at a time, in parts that have cases"},
		{"--shard", OPTION_STRING, &opt.shard, "I/N", "the I-th of N parts of the work"},
		{"--plan", OPTION_STRING, &opt.plan, "PLAN",
		 "run: faults of your own, or @FILE, for scenarios that take a plan"},
		{"--file", OPTION_STRING, &opt.file, "FILE", "run: the cases of a suite file"},
		{"--mutant", OPTION_STRING, &opt.mutant, "NAME",
		 "explore: the lock code with this deliberate bug, of which the gate must turn red"},
		{"--baseline", OPTION_STRING, &opt.baseline, "FILE",
		 "the findings that are known: told, and no failures"},
		{"--strict-baseline", OPTION_FLAG, &opt.strict_baseline, NULL,
		 "an entry of the baseline that is gone is a failure"},
		{"--write-baseline", OPTION_STRING, &opt.write_baseline, "FILE",
		 "the findings of this run, as a baseline for the next"},
		{"--allow-unfit", OPTION_FLAG, &opt.allow_unfit, NULL,
		 "a part that this machine cannot run is told, and no failure"},
		{"--allow-incomplete", OPTION_FLAG, &opt.allow_incomplete, NULL,
		 "a part that is cut short is told, and no failure"},
		REPORT_OPTIONS(opt.files),
		{0},
	};

	return options;
}

/* ---- files ---- */

static const char *
state_name(GateState state)
{
	static const char *const names[] = {"not-chosen", "other-shard", "not-run",   "ran",
										"cut",        "unfit",       "not-built", "nothing",
										"broken",     "refused"};

	return (size_t) state < sizeof(names) / sizeof(names[0]) ? names[state] : "?";
}

static void
write_part(JsonWriter *json, const GateRun *run, int which)
{
	const GateRow *row = &run->row[which];

	json_object(json, NULL);
	json_string(json, "part", gate_parts[which].name);
	json_string(json, "state", state_name(row->state));
	json_int(json, "exit_code", row->exit_code);
	json_uint(json, "share_ms", row->share_ms);
	json_milliseconds(json, "seconds", row->seconds);
	json_uint(json, "cases", row->cases);
	json_uint(json, "passed", row->by_status[SCENARIO_PASS]);
	json_uint(json, "failed", row->by_status[SCENARIO_FAIL] + row->by_status[SCENARIO_ERROR]);
	json_uint(json, "skipped", row->by_status[SCENARIO_SKIP]);
	json_uint(json, "known", row->known);
	json_uint(json, "not_run", row->not_run);
	json_string(json, "note", row->note);
	json_object_end(json);
}

static void
write_entries(JsonWriter *json, const GateRun *run)
{
	json_array(json, "baseline");
	for (size_t i = 0; i < run->baseline.count; i++)
	{
		const Known *known = &run->baseline.item[i];

		json_object(json, NULL);
		json_string(json, "kind", known->kind);
		json_string(json, "subject", known->subject);
		json_string(json, "signature", known->signature);
		json_bool(json, "expired", known->expired);
		json_bool(json, "seen", known->seen);
		json_bool(json, "gone", known->gone);
		json_object_end(json);
	}
	json_array_end(json);
}

/* ReportFigures */
static void
write_figures(JsonWriter *json, void *arg)
{
	const GateRun *run = arg;

	json_uint(json, "budget_ms", run->options.budget_ms);
	json_uint(json, "seed", run->options.seed);
	json_array(json, "parts");
	for (int i = 0; i < GATE_PARTS; i++)
		write_part(json, run, i);
	json_array_end(json);
	write_entries(json, run);
}

/* ---- verdict ---- */

static bool
any_row(const GateRun *run, GateState state)
{
	for (int i = 0; i < GATE_PARTS; i++)
	{
		if (run->row[i].state == state)
			return true;
	}
	return false;
}

/* A file that lists what is not there any more hides the next finding of that name. */
static void
add_gone_entries(GateRun *run)
{
	ResultsFile part = {0};
	char problem[RESULTS_PROBLEM_SIZE], name[600];
	static const char message[] = "a known finding is gone: take it out of the baseline";

	for (size_t i = 0; i < run->baseline.count; i++)
	{
		const Known *known = &run->baseline.item[i];
		ScenarioResult result = {.scenario = "baseline",
								 .case_name = name,
								 .status = SCENARIO_FAIL,
								 .message = {message, sizeof(message) - 1}};

		if (!known->gone)
			continue;
		(void) snprintf(name, sizeof(name), "%.60s: %.280s: %.240s", known->kind, known->subject,
						known->signature);
		gate_add_case(&part, &result);
	}
	(void) snprintf(part.outcome, sizeof(part.outcome), "good");
	(void) results_merge(&run->whole, &part, problem);
}

static size_t
known_of(const GateRun *run)
{
	size_t known = 0;

	for (size_t i = 0; i < run->whole.list.count; i++)
		known += run->whole.list.item[i].known;
	return known;
}

static int
verdict(const GateRun *run, bool interrupted)
{
	int code = run->whole.exit_code;

	if (interrupted)
		return EXIT_INTERRUPTED;
	if (run->whole.list.out_of_memory)
		return EXIT_INTERNAL;
	if (code != EXIT_GOOD && code != EXIT_NOTHING)
		return code;
	if (any_row(run, GATE_NOTHING))
		return EXIT_NOTHING;
	if (run->whole.summary.by_status[SCENARIO_PASS] + known_of(run) > 0)
		return EXIT_GOOD;
	/* What was allowed is still no proof of anything. */
	if (any_row(run, GATE_UNFIT) || any_row(run, GATE_NOT_BUILT))
		return EXIT_UNFIT;
	return any_row(run, GATE_CUT) || any_row(run, GATE_NOT_RUN) ? EXIT_INCOMPLETE : EXIT_NOTHING;
}

static void
print_verdict(const GateRun *run, int code, FILE *out)
{
	const RunnerSummary *summary = &run->whole.summary;
	size_t known = known_of(run), gone = 0;

	for (size_t i = 0; i < run->baseline.count; i++)
		gone += run->baseline.item[i].gone;
	(void) fprintf(out, "%s: %zu cases, %zu passed, %zu failed, %zu flaky, %zu known, %zu skipped",
				   exit_code_name(code), run->whole.list.count, summary->by_status[SCENARIO_PASS],
				   summary->by_status[SCENARIO_FAIL] + summary->by_status[SCENARIO_ERROR],
				   summary->flaky, known, summary->by_status[SCENARIO_SKIP] - known);
	if (gone > 0)
		(void) fprintf(out, ", %zu fixed", gone);
	(void) fprintf(out, "; %.0f s of %.0f s, seed %" PRIu64 "\n",
				   (double) (monotonic_ms() - run->begin_ms) / 1000,
				   (double) run->options.budget_ms / 1000, run->options.seed);
}

static int
conclude(GateRun *run, bool interrupted, FILE *out)
{
	RunInfo info;
	int code;

	gate_mark_gone(run);
	if (opt.strict_baseline)
		add_gone_entries(run);
	results_conclude(&run->whole);
	code = verdict(run, interrupted);
	gate_print_findings(run, out);
	if (getenv("GITHUB_ACTIONS") != NULL)
		gate_print_annotations(run, out);
	print_verdict(run, code, out);
	info = results_info(&run->whole);
	info.outcome = exit_code_name(code);
	info.exit_code = code;
	if (!reports_write(&opt.files, &run->whole.list, &info, "gate", write_figures, run))
		code = EXIT_INTERNAL;
	if (opt.write_baseline != NULL &&
		!baseline_write(opt.write_baseline, &run->baseline, &run->whole.list))
		code = EXIT_INTERNAL;
	return code;
}

/* ---- running ---- */

/* False: a signal ended it, or the user gave what a part refused. */
static bool
run_one(GateRun *run, int which, FILE *out, LiveLine *line)
{
	GateRow *row = &run->row[which];
	ResultsFile part = {0};
	bool go_on = true;

	if (row->state == GATE_NOT_RUN)
	{
		row->share_ms = gate_share(run, which);
		if (row->share_ms > 0)
			go_on = gate_run_part(run, which, &part, line);
		else
			(void) snprintf(row->note, sizeof(row->note), "no time was left");
		if (go_on && row->state != GATE_USAGE)
		{
			gate_mark_known(run, &part);
			gate_follow_replays(run, which, &part, line);
		}
		if (!gate_take_part(run, which, &part))
			run->whole.list.out_of_memory = true;
	}
	gate_print_row(run, which, out);
	return go_on && row->state != GATE_USAGE && !children_interrupted();
}

static int
run_parts(GateRun *run)
{
	FILE *out = reports_people(&opt.files);
	LiveLine line = live_line();
	bool go_on = true;
	int code;

	children_begin();
	gate_print_head(out);
	for (int i = 0; i < GATE_PARTS && go_on; i++)
		go_on = run_one(run, i, out, &line);
	code = any_row(run, GATE_USAGE) ? EXIT_USAGE : conclude(run, children_interrupted(), out);
	children_end();
	return code;
}

static int
list_parts(GateRun *run)
{
	for (int i = 0; i < GATE_PARTS; i++)
	{
		uint64_t share = gate_share(run, i);

		if (run->row[i].state == GATE_NOT_RUN)
			(void) printf("%-10s %6.1f s  %s\n", gate_parts[i].name, (double) share / 1000,
						  gate_parts[i].must_complete ? "to its end" : "as far as it gets");
	}
	return EXIT_GOOD;
}

static bool
make_directory(GateRun *run)
{
	const char *tmp = getenv("TMPDIR");
	ssize_t length = readlink("/proc/self/exe", run->program, sizeof(run->program) - 1);

	(void) snprintf(run->directory, sizeof(run->directory), "%.90s/holdfast-gate.XXXXXX",
					tmp != NULL && tmp[0] == '/' && strlen(tmp) < 90 ? tmp : "/tmp");
	if (length > 0)
		run->program[length] = '\0';
	if (length > 0 && mkdtemp(run->directory) != NULL)
		return true;
	(void) fprintf(stderr, "holdfast: no place for results: %s: %s\n", run->directory,
				   strerror(errno));
	return false;
}

/* Operands and --filter are one list.  `filter` is cut into words, which lie in it. */
static int
choose(GateRun *run, int count, char **operands, char *filter)
{
	char *words[2 * GATE_PATTERNS_MAX];
	int room = (int) (sizeof(words) / sizeof(words[0]));
	int n = 0;
	char *word;

	for (; n < count && n < room; n++)
		words[n] = operands[n];
	while (n < room && (word = strsep(&filter, ",")) != NULL)
	{
		if (*word == '\0')
			return usage_error("--filter has an empty name");
		words[n++] = word;
	}
	if (n == room)
		return usage_error("fewer than %d names can be given", room);
	return gate_choose(run, n, words);
}

/* What is to do harm is not left out quietly. */
static int
check_harm(const GateRun *run)
{
	const GateState *running = &run->row[gate_part("run")].state;
	const GateState *exploring = &run->row[gate_part("explore")].state;

	if ((opt.plan != NULL || opt.file != NULL) && *running == GATE_NOT_CHOSEN)
		return usage_error("--plan and --file are for the part \"run\", which is not chosen");
	if (opt.mutant != NULL && *exploring == GATE_NOT_CHOSEN)
		return usage_error("--mutant is for the part \"explore\", which is not chosen");
	return EXIT_GOOD;
}

static int
gate(GateRun *run, int count, char **operands)
{
	char *filter = opt.filter != NULL ? strdup(opt.filter) : NULL;
	int code = EXIT_INTERNAL;

	if (opt.filter == NULL || filter != NULL)
		code = choose(run, count, operands, filter);
	if (code == EXIT_GOOD)
		code = check_harm(run);
	if (code == EXIT_GOOD && opt.baseline != NULL)
		code = baseline_read(opt.baseline, &run->baseline);
	if (code == EXIT_GOOD && opt.list)
		code = list_parts(run);
	else if (code == EXIT_GOOD)
	{
		code = make_directory(run) ? run_parts(run) : EXIT_UNFIT;
		(void) rmdir(run->directory);
	}
	results_file_free(&run->whole);
	baseline_free(&run->baseline);
	free(filter);
	return code;
}

static int
run_gate(int argc, char **argv)
{
	static GateRun run;
	int count;
	int status = command_options(&command_gate, argc, argv, &count, NULL);

	if (status != EXIT_GOOD)
		return status;
#ifndef HOLDFAST_HAS_JANSSON
	(void) fprintf(stderr, "holdfast: a gate reads results, and this is built without jansson: apt "
						   "install libjansson-dev, and build again\n");
	return EXIT_UNFIT;
#endif
	if (opt.strict_baseline && opt.baseline == NULL)
		return usage_error("--strict-baseline wants a --baseline");
	if (opt.seed == 0 && getrandom(&opt.seed, sizeof(opt.seed), 0) == sizeof(opt.seed))
		opt.seed = (opt.seed & UINT32_MAX) | 1; /* short enough to be typed */
	run.options = (GateOptions){.budget_ms = opt.budget_ms > 0 ? opt.budget_ms : BUDGET_MS,
								.seed = opt.seed,
								.jobs = opt.jobs,
								.plan = opt.plan,
								.file = opt.file,
								.mutant = opt.mutant,
								.allow_unfit = opt.allow_unfit,
								.allow_incomplete = opt.allow_incomplete};
	run.begin_ms = monotonic_ms();
	status = campaign_shard(opt.shard, &run.options.shard_index, &run.options.shard_count);
	return status != EXIT_GOOD ? status : gate(&run, count, argv);
}

const Command command_gate = {
	.name = "gate",
	.usage = "[PART[/WHAT] | SCENARIO]... [OPTION...]",
	.summary = "every campaign inside one budget, to one table and one verdict, for a CI",
	.run = run_gate,
	.options = gate_options,
	.examples = "  holdfast gate --budget 10m --junit gate.xml --sarif gate.sarif\n"
				"  holdfast gate explore step/'lwlock*' c10-kill-mid-lock\n"
				"  holdfast gate --baseline known.json --write-baseline new.json\n",
};
