/*
 * cmd_explore.c
 *		`holdfast explore`: every interleaving and every death of a few processes on the real lock code, simulated.
 *
 * The search is complete, or says that it is not (exit 5).  A finding prints a token, which `holdfast replay` makes happen
 * on real processes and `holdfast shrink` makes shorter, and leaves a directory .holdfast/ID with all that is known of it.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "campaign.h"
#include "command.h"
#include "explore_bench.h"
#include "explore_bundle.h"
#include "explore_case.h"
#include "explore_stacks.h"
#include "reports.h"

#define MIB (UINT64_C(1) << 20)

static struct
{
	ReportFiles files;
	const char *program, *mutant, *pct, *preemptions, *policy, *memory, *bundle;
	uint64_t processes, crashes, recoverer_crashes, timeouts, schedules, seed, memory_mib,
		budget_ms;
	bool exhaustive, dpor, random, no_timeouts, no_supervisor, fine, list, quiet, no_bundle, bench,
		keep_going;
} opt;

static const Option *
explore_options(void)
{
	static const Option options[] = {
		{"--processes", OPTION_NUMBER, &opt.processes, "N",
		 "2 is S,X and 3 is S,S,X, unless --program is given; without either, a set of small "
		 "cases"},
		{"--program", OPTION_STRING, &opt.program, "P,P...",
		 "what each process does, one letter an operation:"
		 " S X shared, exclusive; s x conditionally; T timed; O or wait; U W update, wait for a "
		 "variable; N M nested; E exit inside"},
		{"--crashes", OPTION_NUMBER, &opt.crashes, "N", "deaths of them, anywhere"},
		{"--recoverer-crashes", OPTION_NUMBER, &opt.recoverer_crashes, "N",
		 "deaths of who recovers, anywhere"},
		{"--timeouts", OPTION_NUMBER, &opt.timeouts, "N",
		 "sleeps that end by themselves; they never count as progress"},
		{"--no-timeouts", OPTION_FLAG, &opt.no_timeouts, NULL,
		 "none: a sleeper must be woken (the default)"},
		{"--no-supervisor", OPTION_FLAG, &opt.no_supervisor, NULL,
		 "only waiters recover, when their sleep times out"},
		{"--policy", OPTION_STRING, &opt.policy, "POLICY",
		 "of the tranche: repair (default) or poison"},
		{"--fine", OPTION_FLAG, &opt.fine, NULL, "stop at the queue's plain links, too"},
		{"--memory", OPTION_STRING, &opt.memory, "MODEL",
		 "sc: every store is seen at once (default); tso: store buffers, as x86 has them"},
		{"--exhaustive", OPTION_FLAG, &opt.exhaustive, NULL, "every schedule (the default)"},
		{"--preemptions", OPTION_STRING, &opt.preemptions, "N",
		 "every schedule in which a process that could go on is interrupted at most N times"},
		{"--dpor", OPTION_FLAG, &opt.dpor, NULL,
		 "one schedule of each class that differs only in the order of steps which do not meet"},
		{"--random", OPTION_FLAG, &opt.random, NULL, "random schedules"},
		{"--pct", OPTION_STRING, &opt.pct, "D[,D...]",
		 "priority schedules for bugs of these depths"},
		{"--schedules", OPTION_NUMBER, &opt.schedules, "N", "how many of those (default 1000000)"},
		{"--seed", OPTION_NUMBER, &opt.seed, "N", "the same seed makes the same schedules"},
		{"--mutant", OPTION_STRING, &opt.mutant, "NAME", "the lock code with this deliberate bug"},
		{"--list", OPTION_FLAG, &opt.list, NULL, "name the mutants of the lock code"},
		{"--memory-limit", OPTION_NUMBER, &opt.memory_mib, "MIB", "for states (default 4096)"},
		{"--keep-going", OPTION_FLAG, &opt.keep_going, NULL,
		 "in the set of small cases: not only until something is found"},
		{"--budget", OPTION_TIME, &opt.budget_ms, "TIME", "stop after that: incomplete"},
		{"--bundle", OPTION_STRING, &opt.bundle, "DIR",
		 "where findings are left (default .holdfast)"},
		{"--no-bundle", OPTION_FLAG, &opt.no_bundle, NULL, "leave none"},
		{"--bench", OPTION_FLAG, &opt.bench, NULL,
		 "measure the rates, beside a bare switch of stacks"},
		REPORT_OPTIONS(opt.files),
		{"--quiet|-q", OPTION_FLAG, &opt.quiet, NULL, "only findings"},
		{0},
	};

	return options;
}

static volatile sig_atomic_t interrupted;
static bool line_shown;

static void
on_signal(int number)
{
	(void) number;
	interrupted = 1;
}

static bool
is_interrupted(void)
{
	return interrupted != 0;
}

static void
show_progress(uint64_t states, uint64_t transitions, double seconds)
{
	static double last;

	if (!isatty(STDERR_FILENO) || opt.quiet || (seconds - last < 0.2 && seconds >= last))
		return;
	last = seconds;
	line_shown = true;
	(void) fprintf(stderr, "\r\033[K%" PRIu64 " states, %" PRIu64 " transitions, %.0f s", states,
				   transitions, seconds);
}

/* ---- options to case ---- */

static bool
read_depths(ExploreConfig *config)
{
	const char *text = opt.pct;

	while (text != NULL && *text != '\0' && config->depths < EXPLORE_DEPTHS_MAX)
	{
		char *end;
		unsigned long depth = strtoul(text, &end, 10);

		if (end == text || depth < 1 || depth > 16 || (*end != ',' && *end != '\0'))
			return false;
		config->depth[config->depths++] = (unsigned) depth;
		text = *end == ',' ? end + 1 : end;
	}
	return config->depths > 0 && *text == '\0';
}

static const char *
default_program(uint64_t processes)
{
	static const char *const programs[] = {"X", "S,X", "S,S,X", "S,S,X,X", "S,S,S,X,X"};

	return processes >= 1 && processes <= sizeof(programs) / sizeof(programs[0])
			   ? programs[processes - 1]
			   : NULL;
}

static int
read_case(ExploreCase *what)
{
	ExploreConfig *config = &what->config;
	const char *program = opt.program;

	*what = (ExploreCase){.mutant = ""};
	if (program == NULL)
		program = default_program(opt.processes == 0 ? 2 : opt.processes);
	if (program == NULL || !explore_set_program(what, program))
		return usage_error("between 1 and %d processes can be explored", EXPLORE_PROCESSES_MAX);
	if (opt.processes != 0 && (int) opt.processes != config->workers)
		return usage_error("--program has %d processes, --processes says %" PRIu64, config->workers,
						   opt.processes);
	if (opt.crashes > 8 || opt.recoverer_crashes > 2 || opt.timeouts > 64)
		return usage_error(
			"at most 8 crashes, 2 recoverer crashes and 64 time-outs can be explored");
	if (opt.no_timeouts && opt.timeouts > 0)
		return usage_error("--timeouts and --no-timeouts exclude each other");
	if (opt.policy != NULL && strcmp(opt.policy, "repair") != 0 &&
		strcmp(opt.policy, "poison") != 0)
		return usage_error("--policy is repair or poison, not \"%s\"", opt.policy);
	if (opt.memory != NULL && strcmp(opt.memory, "sc") != 0 && strcmp(opt.memory, "tso") != 0)
		return usage_error("--memory is sc or tso, not \"%s\"", opt.memory);
	if (opt.exhaustive + opt.dpor + opt.random + (opt.pct != NULL) + (opt.preemptions != NULL) > 1)
		return usage_error(
			"--exhaustive, --preemptions, --dpor, --random and --pct exclude each other");
	if (opt.dpor && opt.memory != NULL && strcmp(opt.memory, "tso") == 0)
		return usage_error("--dpor knows no store buffers");
	if (opt.dpor && opt.no_supervisor)
		return usage_error("--dpor wants a supervisor");
	if (opt.preemptions != NULL &&
		(strlen(opt.preemptions) > 2 ||
		 strspn(opt.preemptions, "0123456789") != strlen(opt.preemptions) ||
		 opt.preemptions[0] == '\0'))
		return usage_error("--preemptions wants a number up to 99, not \"%s\"", opt.preemptions);
	if (opt.pct != NULL && !read_depths(config))
		return usage_error("--pct wants depths of 1 to 16, as in 3,4,5, not \"%s\"", opt.pct);
	if (opt.mutant != NULL)
		(void) snprintf(what->mutant, sizeof(what->mutant), "%s", opt.mutant);
	if (opt.seed == 0 && (opt.random || opt.pct != NULL) &&
		getrandom(&opt.seed, sizeof(opt.seed), 0) == sizeof(opt.seed))
		opt.seed &= UINT32_MAX;
	config->strategy = opt.random                ? EXPLORE_RANDOM
					   : opt.dpor                ? EXPLORE_DPOR
					   : opt.pct != NULL         ? EXPLORE_PCT
					   : opt.preemptions != NULL ? EXPLORE_PREEMPTIONS
												 : EXPLORE_EXHAUSTIVE;
	config->preemptions =
		opt.preemptions != NULL ? (unsigned) strtoul(opt.preemptions, NULL, 10) : 0;
	config->crashes = (unsigned) opt.crashes;
	config->recoverer_crashes = (unsigned) opt.recoverer_crashes;
	config->timeouts = (unsigned) opt.timeouts;
	config->supervisor = !opt.no_supervisor;
	config->poison = opt.policy != NULL && strcmp(opt.policy, "poison") == 0;
	config->fine = opt.fine || opt.dpor;
	config->tso = opt.memory != NULL && strcmp(opt.memory, "tso") == 0;
	config->seed = opt.seed;
	config->schedules = opt.schedules != 0 || opt.dpor ? opt.schedules : 1000000;
	config->memory_limit = (opt.memory_mib != 0 ? opt.memory_mib : 4096) * MIB;
	config->seconds = (double) opt.budget_ms / 1000;
	config->interrupted = is_interrupted;
	config->progress = show_progress;
	return EXIT_GOOD;
}

/* ---- what came of it ---- */

static const char *
end_name(ExploreEnd end)
{
	static const char *const names[] = {"complete",      "found",       "out of time",
										"out of memory", "interrupted", "bad configuration",
										"diverged",      "unfit",       "out of schedules"};

	return (size_t) end < sizeof(names) / sizeof(names[0]) ? names[end] : "?";
}

static int
exit_code(ExploreEnd end)
{
	switch (end)
	{
		case EXPLORE_COMPLETE:
			return EXIT_GOOD;
		case EXPLORE_FOUND:
			return EXIT_FINDINGS;
		case EXPLORE_CUT_TIME:
		case EXPLORE_CUT_MEMORY:
		case EXPLORE_CUT_SCHEDULES:
		case EXPLORE_DIVERGED:
			return EXIT_INCOMPLETE;
		case EXPLORE_CUT_SIGNAL:
			return EXIT_INTERRUPTED;
		case EXPLORE_BAD_CONFIG:
			return EXIT_USAGE;
		case EXPLORE_UNFIT:
			return EXIT_UNFIT;
	}
	return EXIT_INTERNAL;
}

static const char *
strategy_name(ExploreStrategy strategy)
{
	return strategy == EXPLORE_RANDOM        ? "random"
		   : strategy == EXPLORE_DPOR        ? "dpor"
		   : strategy == EXPLORE_PCT         ? "pct"
		   : strategy == EXPLORE_PREEMPTIONS ? "preemptions"
											 : "exhaustive";
}

static double
rate(uint64_t count, double seconds)
{
	return seconds > 0 ? (double) count / seconds : 0;
}

static void
print_figures(FILE *out, const ExploreCase *what, const ExploreReport *report)
{
	const ExploreConfig *config = &what->config;
	uint64_t transitions = report->transitions + report->crash_transitions;

	(void) fprintf(out, "explore %s%s%s: %s, %u crashes, %u recoverer crashes, %u time-outs%s%s\n",
				   what->program, what->mutant[0] != '\0' ? " with " : "", what->mutant,
				   strategy_name(config->strategy), config->crashes, config->recoverer_crashes,
				   config->timeouts, config->supervisor ? "" : ", no supervisor",
				   config->tso ? ", store buffers" : "");
	if (config->strategy == EXPLORE_PREEMPTIONS)
		(void) fprintf(out, "within %u preemptions, ", config->preemptions);
	if (config->strategy == EXPLORE_EXHAUSTIVE || config->strategy == EXPLORE_PREEMPTIONS)
		(void) fprintf(out,
					   "%s: %" PRIu64 " states, %" PRIu64 " transitions (%" PRIu64
					   " of them faults), %" PRIu64
					   " ends, %.2f s, %.2f M transitions/s of processor, %" PRIu64 " MiB\n",
					   end_name(report->end), report->states, transitions,
					   report->crash_transitions, report->terminals, report->seconds,
					   rate(transitions, report->processor_seconds) / 1e6, report->bytes / MIB);
	else if (config->strategy == EXPLORE_DPOR)
		(void) fprintf(out,
					   "%s: %" PRIu64 " executions, %" PRIu64
					   " more blocked by sleep sets, %" PRIu64 " transitions (%" PRIu64
					   " of them faults), %" PRIu64
					   " ends, %.2f s, %.2f M transitions/s of processor\n",
					   end_name(report->end), report->schedules, report->blocked, transitions,
					   report->crash_transitions, report->terminals, report->seconds,
					   rate(transitions, report->processor_seconds) / 1e6);
	else
		(void) fprintf(out,
					   "%s: %" PRIu64 " schedules, %" PRIu64
					   " steps, %.2f s, %.2f M schedules/s of processor, seed %" PRIu64 "\n",
					   end_name(report->end), report->schedules, report->steps, report->seconds,
					   rate(report->schedules, report->processor_seconds) / 1e6, config->seed);
	if (config->strategy == EXPLORE_PCT)
		(void) fprintf(out,
					   "a bug of the depths asked for was missed with probability %.3g at most\n",
					   report->miss_probability);
}

static void
print_finding(FILE *out, const ExploreReport *report, const char *token, const char *bundle)
{
	(void) fprintf(out, "FOUND %s: %s, after %u moves\n", report->signature, report->text,
				   report->schedule.count);
	for (const char *line = report->story; *line != '\0';)
	{
		size_t length = strcspn(line, "\n");

		(void) fprintf(out, "      %.*s\n", (int) length, line);
		line += length + (line[length] == '\n');
	}
	if (bundle[0] != '\0')
		(void) fprintf(out, "      bundle: %s\n", bundle);
	(void) fprintf(out, "      replay: holdfast replay %s\n", token);
}

/* What is told at the end, of one case or of several. */
typedef struct Told
{
	ResultList results;
	RunnerSummary summary;
	bool several;
	/* The case that was explored last; what several came to is kept as text, an object each. */
	const ExploreCase *what;
	const ExploreReport *report;
	char token[REPLAY_TOKEN_SIZE];
	FILE *objects;
	char *text;
	size_t length;
} Told;

static void
json_figures(JsonWriter *json, const Told *told)
{
	const ExploreReport *report = told->report;
	const ExploreConfig *config = &told->what->config;

	json_string(json, "program", told->what->program);
	json_string(json, "mutant", told->what->mutant[0] != '\0' ? told->what->mutant : NULL);
	json_string(json, "strategy", strategy_name(config->strategy));
	if (config->strategy == EXPLORE_PREEMPTIONS)
		json_uint(json, "preemptions", config->preemptions);
	json_uint(json, "processes", (uint64_t) config->workers);
	json_uint(json, "crashes", config->crashes);
	json_uint(json, "recoverer_crashes", config->recoverer_crashes);
	json_uint(json, "timeouts", config->timeouts);
	json_string(json, "memory", config->tso ? "tso" : "sc");
	json_bool(json, "supervisor", config->supervisor);
	json_string(json, "end", end_name(report->end));
	json_bool(json, "complete", report->end == EXPLORE_COMPLETE);
	json_uint(json, "states", report->states);
	json_uint(json, "transitions", report->transitions + report->crash_transitions);
	json_uint(json, "fault_transitions", report->crash_transitions);
	json_uint(json, "schedules", report->schedules);
	if (config->strategy == EXPLORE_DPOR)
		json_uint(json, "blocked", report->blocked);
	json_uint(json, "ends", report->terminals);
	json_milliseconds(json, "seconds", report->seconds);
	json_milliseconds(json, "processor_seconds", report->processor_seconds);
	json_uint(json, "transitions_per_second",
			  (uint64_t) rate(report->transitions + report->crash_transitions,
							  report->processor_seconds));
	json_uint(json, "bytes", report->bytes);
	json_array(json, "findings");
	if (report->signature != NULL)
	{
		json_object(json, NULL);
		json_string(json, "signature", report->signature);
		json_string(json, "text", report->text);
		json_string(json, "story", report->story);
		json_string(json, "token", told->token);
		explore_write_stacks(json, told->what, report);
		json_object_end(json);
	}
	json_array_end(json);
}

/* ReportFigures */
static void
write_figures(JsonWriter *json, void *arg)
{
	const Told *told = arg;

	if (!told->several)
	{
		json_figures(json, told);
		return;
	}
	json_array(json, "explored");
	if (told->length > 0)
		json_raw(json, NULL, told->text, told->length);
	json_array_end(json);
}

static void
keep_figures(Told *told)
{
	JsonWriter json;

	if (told->objects == NULL)
	{
		told->objects = open_memstream(&told->text, &told->length);
		told->results.out_of_memory |= told->objects == NULL;
	}
	else
		(void) fputc(',', told->objects);
	if (told->objects == NULL)
		return;
	json_begin(&json, told->objects);
	json_object(&json, NULL);
	json_figures(&json, told);
	json_object_end(&json);
	told->results.out_of_memory |= !json_finish(&json) || fflush(told->objects) != 0;
}

/* One case, as `run` would report it.  One that was cut short has said nothing, good or bad. */
static void
keep_result(Told *told, int code)
{
	const ExploreReport *report = told->report;
	const ExploreCase *what = told->what;
	bool cut = code == EXIT_INCOMPLETE || code == EXIT_INTERRUPTED;
	const char *message = report->text != NULL ? report->text
						  : code == EXIT_GOOD  ? ""
											   : end_name(report->end);
	char replay[REPLAY_TOKEN_SIZE + 32], name[512];
	char *stacks = NULL;
	size_t length = 0;
	FILE *out = code == EXIT_FINDINGS ? open_memstream(&stacks, &length) : NULL;
	ScenarioResult result = {
		.scenario = "explore",
		.case_name = name,
		.status = code == EXIT_GOOD       ? SCENARIO_PASS
				  : cut                   ? SCENARIO_SKIP
				  : code == EXIT_FINDINGS ? SCENARIO_FAIL
										  : SCENARIO_ERROR,
		.milliseconds = report->seconds * 1000,
		.message = {message, strlen(message)},
		.detail = {report->story, strlen(report->story)},
		.replay = told->token[0] != '\0' ? replay : NULL,
	};

	if (out != NULL)
	{
		(void) fprintf(out, "%s\n", report->story);
		explore_print_stacks(out, what, report);
		if (fclose(out) == 0)
			result.detail = (ScenarioText){stacks, length};
	}
	(void) snprintf(replay, sizeof(replay), "holdfast replay %s", told->token);
	(void) snprintf(name, sizeof(name), "%s:%u:%u:%u%s%s", what->program, what->config.crashes,
					what->config.recoverer_crashes, what->config.timeouts,
					what->mutant[0] != '\0' ? ":" : "", what->mutant);
	results_add(&told->results, &result);
	free(stacks);
	told->summary.run++;
	told->summary.by_status[result.status]++;
	told->summary.milliseconds += result.milliseconds;
}

static bool
leave_finding(Told *told, ExploreCase *what, FILE *out)
{
	static ReplayToken token;
	const ExploreReport *report = told->report;
	char bundle[PATH_MAX] = "";
	bool written = true;

	what->schedule = report->schedule;
	(void) snprintf(what->signature, sizeof(what->signature), "%s", report->signature);
	if (explore_make_token(what, &token))
		(void) replay_token_print(&token, told->token, sizeof(told->token));
	if (!opt.no_bundle)
		written = explore_leave_bundle(opt.bundle != NULL ? opt.bundle : ".holdfast", what, report,
									   told->token, bundle, sizeof(bundle));
	print_finding(out, report, told->token, bundle);
	return written;
}

static int
say_outcome(Told *told, ExploreCase *what, const ExploreReport *report)
{
	FILE *out = reports_people(&opt.files);
	int code = exit_code(report->end);
	bool written = true;

	told->what = what;
	told->report = report;
	told->token[0] = '\0';
	if (line_shown)
		(void) fputs("\r\033[K", stderr);
	if (report->problem[0] != '\0')
		(void) fprintf(stderr, "holdfast: %s\n", report->problem);
	if (report->signature != NULL)
		written = leave_finding(told, what, out);
	if (!opt.quiet && code != EXIT_USAGE && code != EXIT_UNFIT)
		print_figures(out, what, report);
	if (code == EXIT_INCOMPLETE)
		(void) fprintf(out, "incomplete (%s): nothing is said of what was not reached\n",
					   end_name(report->end));
	keep_result(told, code);
	if (told->several)
		keep_figures(told);
	return written ? code : EXIT_INTERNAL;
}

static int
write_files(Told *told, int code)
{
	RunInfo info = {.seed = opt.seed,
					.outcome = exit_code_name(code),
					.exit_code = code,
					.summary = &told->summary};

	if (told->objects != NULL && fclose(told->objects) != 0)
		told->results.out_of_memory = true;
	if (told->what != NULL &&
		!reports_write(&opt.files, &told->results, &info, "explore", write_figures, told))
		code = EXIT_INTERNAL;
	results_free(&told->results);
	free(told->text);
	return code;
}

/* Small cases, quickest first, that between them reach every part of the lock code. */
static const struct
{
	const char *program;
	unsigned crashes, recoverer_crashes, timeouts;
} small_cases[] = {
	{"S,X", 0, 0, 0}, {"X,X", 0, 0, 0}, {"S,X", 1, 0, 0},  {"X,T", 0, 0, 1},   {"W,U", 1, 0, 0},
	{"O,X", 1, 0, 0}, {"s,X", 1, 0, 0}, {"X,X", 1, 0, 0},  {"N,X", 1, 0, 0},   {"S,X", 1, 1, 0},
	{"S,X", 2, 0, 0}, {"X,E", 1, 0, 0}, {"X,XX", 0, 0, 1}, {"S,S,X", 0, 0, 0},
};

static int
explore_once(const Simulator *simulator, Told *told, ExploreCase *what, ExploreReport *report)
{
	if (simulator->explore(EXPLORE_ABI, &what->config, report))
		return say_outcome(told, what, report);
	(void) fprintf(stderr, "holdfast: holdfast_sim.so is of another version than this program\n");
	return EXIT_UNFIT;
}

/* Never 0, which would be no limit: what is hardly a millisecond is a limit that is reached at once. */
static double
seconds_left(double budget, const Told *told)
{
	double left = budget - told->summary.milliseconds / 1000;

	return left > 0.0005 ? left : 0.0005;
}

/* One after the other, mostly until something is found; the budget is for all of them. */
static int
explore_small_cases(const Simulator *simulator, Told *told, ExploreCase *what,
					ExploreReport *report)
{
	double budget = what->config.seconds;
	int status = EXIT_GOOD;
	bool found = false;

	told->several = true;
	told->summary.selected = sizeof(small_cases) / sizeof(small_cases[0]);
	for (size_t i = 0; i < told->summary.selected && status == EXIT_GOOD; i++)
	{
		if (!explore_set_program(what, small_cases[i].program))
			return EXIT_INTERNAL;
		what->config.crashes = small_cases[i].crashes;
		what->config.recoverer_crashes = small_cases[i].recoverer_crashes;
		what->config.timeouts = small_cases[i].timeouts;
		if (budget > 0)
			what->config.seconds = seconds_left(budget, told);
		status = explore_once(simulator, told, what, report);
		found |= status == EXIT_FINDINGS;
		if (status == EXIT_FINDINGS && opt.keep_going)
			status = EXIT_GOOD;
	}
	told->summary.not_run = told->summary.selected - told->summary.run;
	if (found && (status == EXIT_GOOD || status == EXIT_INCOMPLETE))
		status = EXIT_FINDINGS;
	return status;
}

static bool
names_a_case(void)
{
	return opt.program != NULL || opt.processes != 0 || opt.crashes != 0 ||
		   opt.recoverer_crashes != 0 || opt.timeouts != 0;
}

static int
run_explore(int argc, char **argv)
{
	static ExploreCase what;
	static ExploreReport report;
	static Told told;
	Simulator simulator;
	int count;
	int status = command_options(&command_explore, argc, argv, &count, NULL);

	if (status != EXIT_GOOD)
		return status;
	if (count > 0)
		return usage_error("explore takes options only, not \"%s\"", argv[0]);
	if (opt.list)
		return simulator_list_mutants();
	status = read_case(&what);
	if (status == EXIT_GOOD)
		status = simulator_open(&simulator, opt.mutant);
	if (status != EXIT_GOOD)
		return status;
	(void) signal(SIGINT, on_signal);
	(void) signal(SIGTERM, on_signal);
	told.summary.selected = 1;
	status = opt.bench        ? explore_bench(&simulator, &opt.files, is_interrupted)
			 : names_a_case() ? explore_once(&simulator, &told, &what, &report)
							  : explore_small_cases(&simulator, &told, &what, &report);
	/* Strings of the report are the simulator's. */
	if (!opt.bench)
		status = write_files(&told, status);
	simulator_close(&simulator);
	return status;
}

const Command command_explore = {
	.name = "explore",
	.usage = "[OPTION...]",
	.summary = "every interleaving and every death of a few processes, on the real lock code",
	.run = run_explore,
	.options = explore_options,
	.examples = "  holdfast explore --processes 3 --crashes 1 --exhaustive\n"
				"  holdfast explore --program S,X --crashes 2 --recoverer-crashes 2\n"
				"  holdfast explore --mutant 15-no-second-try\n",
};
