/*
 * cmd_fuzz.c
 *		`holdfast fuzz`: builds a fuzz target, runs an engine over it, says what came of it.
 *
 * A run first looks at what is kept (seeds, corpus, regressions): what breaks there is found without an engine.  A finding is
 * made smaller, kept in fuzz/regress/TARGET, and printed with the token that replays it.  With --mutant all of this is done
 * to a copy of the tree with a planted bug, and nothing of the tree itself is touched.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "campaign.h"
#include "cases.h"
#include "child.h"
#include "command.h"
#include "fuzz/engine.h"
#include "fuzz/finding.h"
#include "replay.h"
#include "reports.h"

static struct
{
	ReportFiles files;
	const char *engine, *mutant, *source;
	uint64_t time_ms, jobs, seed;
	bool list, all, kept;
} opt;

static const Option *
fuzz_options(void)
{
	static const Option options[] = {
		{"--engine", OPTION_STRING, &opt.engine, "ENGINE", "libfuzzer (default) or afl"},
		{"--time", OPTION_TIME, &opt.time_ms, "TIME", "how long, each target; default: 60s"},
		{"--jobs|-j", OPTION_NUMBER, &opt.jobs, "N", "engines at a time; default: 1"},
		{"--seed", OPTION_NUMBER, &opt.seed, "N", "the same seed makes the same mutations"},
		{"--mutant", OPTION_STRING, &opt.mutant, "NAME",
		 "in a copy with this bug of tests/mutants planted"},
		{"--all", OPTION_FLAG, &opt.all, NULL, "every target, one after the other"},
		{"--kept", OPTION_FLAG, &opt.kept, NULL,
		 "only the inputs that are kept, in the programs built beside this one; no engine"},
		{"--list", OPTION_FLAG, &opt.list, NULL, "the targets, and how many inputs are kept"},
		{"--source", OPTION_STRING, &opt.source, "DIR",
		 "the source tree; default: where this was built"},
		REPORT_OPTIONS(opt.files),
		{0},
	};

	return options;
}

static bool
read_engine(FuzzEngine *engine)
{
	static const char *const names[] = {"libfuzzer", "afl", NULL};

	*engine = FUZZ_LIBFUZZER;
	if (opt.engine == NULL || strcmp(opt.engine, names[0]) == 0)
		return true;
	*engine = FUZZ_AFL;
	if (strcmp(opt.engine, names[1]) == 0)
		return true;
	(void) usage_error("--engine wants libfuzzer or afl, not \"%s\"%s", opt.engine,
					   did_you_mean(opt.engine, names));
	return false;
}

/* It becomes part of a path and of a token. */
static bool
is_plain_name(const char *name)
{
	return name[0] != '\0' && name[0] != '.' &&
		   strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") ==
			   strlen(name);
}

/* ---- list ---- */

static int
list_as_json(const FuzzTree *tree)
{
	FILE *file = open_output(opt.files.json);
	JsonWriter json;
	bool written;

	if (file == NULL)
		return EXIT_INTERNAL;
	json_begin(&json, file);
	json_object(&json, NULL);
	json_uint(&json, "schema_version", RESULTS_SCHEMA_VERSION);
	json_array(&json, "targets");
	for (size_t i = 0; i < tree->count; i++)
	{
		const FuzzTarget *target = &tree->target[i];

		json_object(&json, NULL);
		json_string(&json, "name", target->name);
		json_string(&json, "mutator", target->mutator);
		json_uint(&json, "max_length", target->max_length);
		json_uint(&json, "seeds", fuzz_count_inputs(tree, "seeds", target->name));
		json_uint(&json, "corpus", fuzz_count_inputs(tree, "corpus", target->name));
		json_uint(&json, "regress", fuzz_count_inputs(tree, "regress", target->name));
		json_string(&json, "summary", target->summary);
		json_object_end(&json);
	}
	json_array_end(&json);
	json_object_end(&json);
	written = json_finish(&json);
	return close_output(file, opt.files.json) && written ? EXIT_GOOD : EXIT_INTERNAL;
}

static int
list_targets(const FuzzTree *tree)
{
	if (opt.files.json != NULL)
		return list_as_json(tree);
	(void) printf("%-20s %-8s %5s %6s %7s\n", "target", "mutator", "seeds", "corpus", "regress");
	for (size_t i = 0; i < tree->count; i++)
	{
		const FuzzTarget *target = &tree->target[i];

		(void) printf("%-20s %-8s %5zu %6zu %7zu  %s\n", target->name, target->mutator,
					  fuzz_count_inputs(tree, "seeds", target->name),
					  fuzz_count_inputs(tree, "corpus", target->name),
					  fuzz_count_inputs(tree, "regress", target->name), target->summary);
	}
	return EXIT_GOOD;
}

/* ---- results ---- */

typedef struct FuzzRun
{
	FuzzTree tree;
	ResultList results;
	RunnerSummary summary;
	FILE *out; /* where people read */
} FuzzRun;

/* "holdfast replay fuzz:target=...,input=...[,mutant=...]"; false when a name does not fit a token. */
static bool
replay_line(const FuzzTree *tree, const char *target, const char *input, char *line, size_t size)
{
	static ReplayToken token;
	char text[512];

	if (!replay_token_begin(&token, "fuzz") || !replay_token_add(&token, "target", target) ||
		!replay_token_add(&token, "input", input) ||
		(tree->mutant != NULL && !replay_token_add(&token, "mutant", tree->mutant)))
		return false;
	(void) replay_token_print(&token, text, sizeof(text));
	fuzz_text(line, size, "holdfast replay %s", text);
	return true;
}

static void
add_result(FuzzRun *run, const char *target, ScenarioStatus status, double seconds,
		   const char *message, const char *detail, const char *replay)
{
	char case_name[80];
	ScenarioResult result = {
		.scenario = "fuzz",
		.case_name = case_name,
		.status = status,
		.milliseconds = seconds * 1000,
		.message = {message, message != NULL ? strlen(message) : 0},
		.detail = {detail, detail != NULL ? strlen(detail) : 0},
		.replay = replay,
	};

	fuzz_text(case_name, sizeof(case_name), "%s:%s", target,
			  opt.kept ? "kept" : fuzz_engine_name(run->tree.engine));
	results_add(&run->results, &result);
	run->summary.run++;
	run->summary.by_status[status]++;
	run->summary.milliseconds += seconds * 1000;
}

/* The path as somebody in the tree would write it. */
static const char *
short_path(const FuzzTree *tree, const char *path)
{
	size_t length = strlen(tree->root);

	return strncmp(path, tree->root, length) == 0 && path[length] == '/' ? path + length + 1 : path;
}

static void
say_finding(FuzzRun *run, const char *target, const FuzzFinding *finding, double seconds)
{
	char line[640] = "";
	char detail[FUZZ_PATH_SIZE + 128];
	bool has_line = replay_line(&run->tree, target, finding->name, line, sizeof(line));

	fuzz_text(detail, sizeof(detail), "input: %s (%zu bytes, of %zu)",
			  short_path(&run->tree, finding->path), finding->size, finding->found_size);
	(void) fprintf(run->out, "FAIL  %s: %s\n      %s\n", target, finding->what, detail);
	if (has_line)
		(void) fprintf(run->out, "      replay: %s\n", line);
	add_result(run, target, SCENARIO_FAIL, seconds, finding->what, detail, has_line ? line : NULL);
}

static void
say_figures(FuzzRun *run, const char *target, const FuzzFigures *figures)
{
	char text[256];
	double per_second = figures->seconds > 0 ? (double) figures->executions / figures->seconds : 0;

	fuzz_text(text, sizeof(text),
			  "%" PRIu64 " executions, %.0f/s, %" PRIu64 " of %" PRIu64 " edges, %" PRIu64
			  " new paths, %.1f s",
			  figures->executions, per_second, figures->covered, figures->coverable,
			  figures->new_paths, figures->seconds);
	(void) fprintf(run->out, "%-5s %-20s %-9s  %s\n", figures->findings > 0 ? "found" : "ok",
				   target, fuzz_engine_name(run->tree.engine), text);
	if (figures->findings == 0)
		add_result(run, target, SCENARIO_PASS, figures->seconds, NULL, text, NULL);
}

/* ---- one target ---- */

static int
fuzz_built(FuzzRun *run, const FuzzTarget *target)
{
	static FuzzFigures figures; /* large */
	static FuzzFinding finding;
	FuzzOrder order = {
		.tree = &run->tree,
		.target = target,
		.seconds = (opt.time_ms + 999) / 1000,
		.jobs = (unsigned) opt.jobs,
		.seed = opt.seed,
		.line = live_line(),
	};

	memset(&finding, 0, sizeof(finding));
	if (fuzz_find_kept(&run->tree, target->name, &finding))
	{
		say_finding(run, target->name, &finding, 0);
		return EXIT_FINDINGS;
	}
	if (children_interrupted())
		return EXIT_INTERRUPTED;
	if (!fuzz_engine_run(&order, &figures))
		return children_interrupted() ? EXIT_INTERRUPTED : EXIT_INTERNAL;
	say_figures(run, target->name, &figures);
	for (unsigned i = 0; i < figures.findings && i < FUZZ_FINDINGS_MAX; i++)
	{
		if (fuzz_keep(&run->tree, target->name, figures.finding[i], &finding))
			say_finding(run, target->name, &finding, figures.seconds);
		else if (!children_interrupted())
			(void) fprintf(stderr, "holdfast: not made smaller: %s\n", figures.finding[i]);
	}
	if (figures.findings > 0)
		return EXIT_FINDINGS;
	return children_interrupted() ? EXIT_INTERRUPTED : EXIT_GOOD;
}

static int
fuzz_one(FuzzRun *run, const FuzzTarget *target)
{
	(void) fprintf(stderr, "%s: building for %s\n", target->name,
				   fuzz_engine_name(run->tree.engine));
	if (!fuzz_tree_build(&run->tree, target->name))
		return children_interrupted() ? EXIT_INTERRUPTED : EXIT_UNFIT;
	return fuzz_built(run, target);
}

/* The inputs that are kept, and no engine.  A target that is not built here is skipped: nobody fuzzes an installation. */
static int
try_kept(FuzzRun *run, const FuzzTarget *target)
{
	static const char *const kinds[] = {"regress", "seeds", "corpus"};
	static FuzzFinding finding;
	char program[FUZZ_PATH_SIZE], text[80];
	LiveLine line = live_line();
	size_t inputs = 0;
	uint64_t begin = monotonic_ms();
	double seconds;
	bool found;

	fuzz_text(program, sizeof(program), "%.4200s/bin/fuzz_%s_replay", run->tree.build,
			  target->name);
	if (access(program, X_OK) != 0)
	{
		add_result(run, target->name, SCENARIO_SKIP, 0, "its replay program is not built", NULL,
				   NULL);
		return EXIT_GOOD;
	}
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		inputs += fuzz_count_inputs(&run->tree, kinds[i], target->name);
	live_line_show(&line, "%s", target->name);
	memset(&finding, 0, sizeof(finding));
	found = fuzz_find_kept(&run->tree, target->name, &finding);
	seconds = (double) (monotonic_ms() - begin) / 1000;
	live_line_clear(&line);
	if (children_interrupted())
		return EXIT_INTERRUPTED;
	if (found)
	{
		say_finding(run, target->name, &finding, seconds);
		return EXIT_FINDINGS;
	}
	fuzz_text(text, sizeof(text), "%zu inputs", inputs);
	(void) fprintf(run->out, "ok    %-20s %s\n", target->name, text);
	add_result(run, target->name, SCENARIO_PASS, seconds, NULL, text, NULL);
	return EXIT_GOOD;
}

/* "PREFIX/bin/holdfast" was built in PREFIX. */
static bool
find_own_build(FuzzTree *tree)
{
	char path[PATH_MAX];

	if (!cases_program("..", path, sizeof(path)))
		return false;
	fuzz_text(tree->build, sizeof(tree->build), "%s", path);
	return true;
}

static bool
write_results(FuzzRun *run, int code)
{
	RunInfo info = {.seed = opt.seed,
					.outcome = exit_code_name(code),
					.exit_code = code,
					.summary = &run->summary};

	return reports_write(&opt.files, &run->results, &info, NULL, NULL, NULL);
}

/* Findings outweigh everything but an interrupt. */
static int
worse(int a, int b)
{
	static const int order[] = {EXIT_INTERRUPTED, EXIT_FINDINGS, EXIT_INTERNAL, EXIT_UNFIT};

	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++)
	{
		if (a == order[i] || b == order[i])
			return order[i];
	}
	return EXIT_GOOD;
}

static int
fuzz_all(FuzzRun *run, const FuzzTarget *const *targets, size_t count)
{
	int code = EXIT_GOOD;

	run->summary.selected = count;
	children_begin();
	for (size_t i = 0; i < count && !children_interrupted(); i++)
		code = worse(code, opt.kept ? try_kept(run, targets[i]) : fuzz_one(run, targets[i]));
	children_end();
	run->summary.not_run = count - run->summary.run;
	if (opt.kept && code == EXIT_GOOD && run->summary.by_status[SCENARIO_PASS] == 0)
		code = EXIT_UNFIT;
	if (!write_results(run, code))
		code = worse(code, EXIT_INTERNAL);
	results_free(&run->results);
	return code;
}

static const FuzzTarget *
find_target(const FuzzTree *tree, const char *name)
{
	const char *names[FUZZ_TARGETS_MAX + 1] = {NULL};
	const FuzzTarget *target = fuzz_tree_find(tree, name);

	if (target != NULL)
		return target;
	for (size_t i = 0; i < tree->count; i++)
		names[i] = tree->target[i].name;
	(void) fprintf(stderr, "holdfast: there is no fuzz target \"%s\"%s\n", name,
				   did_you_mean(name, names));
	return NULL;
}

static int
run_fuzz(int argc, char **argv)
{
	static FuzzRun run;
	const FuzzTarget *targets[FUZZ_TARGETS_MAX];
	size_t ntargets = 0;
	FuzzEngine engine;
	int count;
	int status = command_options(&command_fuzz, argc, argv, &count, NULL);

	if (status != EXIT_GOOD)
		return status;
	if (!read_engine(&engine))
		return EXIT_USAGE;
	if (opt.mutant != NULL && !is_plain_name(opt.mutant))
		return usage_error("\"%s\" is no name of a mutant", opt.mutant);
	if (opt.time_ms == 0)
		opt.time_ms = 60000;
	if (opt.jobs == 0)
		opt.jobs = 1;
	if (opt.jobs > FUZZ_JOBS_MAX)
		return usage_error("--jobs is at most %d", FUZZ_JOBS_MAX);
	if (!fuzz_tree_open(&run.tree, opt.source, engine, opt.mutant))
		return EXIT_UNFIT;
	if (opt.list)
		return list_targets(&run.tree);
	if (opt.kept && (engine != FUZZ_LIBFUZZER || opt.mutant != NULL))
		return usage_error("--kept has no engine and no mutant");
	if (opt.kept && !find_own_build(&run.tree))
		return EXIT_INTERNAL;
	if ((count == 0) != opt.all)
		return usage_error("fuzz wants the names of targets, or --all; --list tells them");
	for (size_t i = 0; i < (opt.all ? run.tree.count : (size_t) count); i++)
	{
		const FuzzTarget *target = opt.all ? &run.tree.target[i] : find_target(&run.tree, argv[i]);

		if (target == NULL)
			return EXIT_NOTHING;
		if (ntargets == FUZZ_TARGETS_MAX)
			return usage_error("at most %d targets", FUZZ_TARGETS_MAX);
		targets[ntargets++] = target;
	}
	run.out = reports_people(&opt.files);
	return fuzz_all(&run, targets, ntargets);
}

const Command command_fuzz = {
	.name = "fuzz",
	.usage = "TARGET... | --all | --list [OPTION...]",
	.summary = "fuzz the parsers and the locks; what breaks is made small and kept",
	.run = run_fuzz,
	.options = fuzz_options,
	.examples = "  holdfast fuzz lockfile_parse --time 30s\n"
				"  holdfast fuzz --all --kept\n"
				"  holdfast fuzz lwlock_ops --engine afl --jobs 2 --time 10m\n"
				"  holdfast fuzz lockfile_parse --mutant 70-port-zero-standby\n",
};

/* ---- replay ---- */

static bool
find_input(const FuzzTree *tree, const char *target, const char *name, char path[FUZZ_PATH_SIZE])
{
	static const char *const kinds[] = {"regress", "seeds", "corpus"};
	char directory[FUZZ_PATH_SIZE];

	fuzz_kept_directory(tree, target, directory);
	fuzz_text(path, FUZZ_PATH_SIZE, "%.4400s/%s", directory, name);
	for (size_t i = 0; access(path, R_OK) < 0; i++)
	{
		if (i == sizeof(kinds) / sizeof(kinds[0]))
			return false;
		fuzz_text(path, FUZZ_PATH_SIZE, "%.4200s/fuzz/%s/%s/%s", tree->root, kinds[i], target,
				  name);
	}
	return true;
}

static int
replay_input(const FuzzTree *tree, const char *target, const char *path,
			 const ReplayOptions *options)
{
	char what[256] = "";
	bool ran = fuzz_tree_build(tree, target);
	char program[FUZZ_PATH_SIZE];

	if (!ran)
		return children_interrupted() ? EXIT_INTERRUPTED : EXIT_UNFIT;
	if (options->gdb)
	{
		fuzz_text(program, sizeof(program), "%.4200s/bin/fuzz_%s_replay", tree->build, target);
		children_end();
		(void) execlp("gdb", "gdb", "-q", "-ex", "run", "--args", program, path, (char *) NULL);
		(void) fprintf(stderr, "holdfast: gdb is not installed\n");
		return EXIT_UNFIT;
	}
	for (uint64_t i = 0; ran && what[0] == '\0' && i < (options->repeat > 0 ? options->repeat : 1);
		 i++)
		ran = fuzz_probe(tree, target, path, what, sizeof(what));
	if (!ran)
		return children_interrupted() ? EXIT_INTERRUPTED : EXIT_INTERNAL;
	if (what[0] == '\0')
		(void) printf("ok    %s: nothing breaks on %s\n", target, short_path(tree, path));
	else
		(void) printf("FAIL  %s: %s\n      input: %s\n", target, what, short_path(tree, path));
	return what[0] == '\0' ? EXIT_GOOD : EXIT_FINDINGS;
}

int
replay_fuzz(const ReplayToken *token, const ReplayOptions *options)
{
	static const char *const keys[] = {"target", "input", "mutant", NULL};
	static FuzzTree tree;
	const char *target = replay_token_get(token, "target");
	const char *input = replay_token_get(token, "input");
	const char *mutant = replay_token_get(token, "mutant");
	char path[FUZZ_PATH_SIZE];
	ReplayTokenError error;
	int code;

	if (!replay_token_only(token, keys, &error))
		return replay_refuse(&error);
	if (target == NULL || input == NULL || !is_plain_name(input) ||
		(mutant != NULL && !is_plain_name(mutant)))
		return usage_error(
			"a fuzz token has a target=, an input= without a directory, and perhaps a mutant=");
	if (!fuzz_tree_open(&tree, NULL, FUZZ_LIBFUZZER, mutant))
		return EXIT_UNFIT;
	if (find_target(&tree, target) == NULL)
		return EXIT_NOTHING;
	if (!find_input(&tree, target, input, path))
		return usage_error("%s has no input \"%s\"", target, input);
	if (options->list)
	{
		(void) printf("%s %s\n", target, short_path(&tree, path));
		return EXIT_GOOD;
	}
	children_begin();
	code = replay_input(&tree, target, path, options);
	children_end();
	return code;
}
