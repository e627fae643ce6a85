/*
 * parts.c
 *		The parts, which of them are chosen, and running one.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"
#include "command.h"
#include "gate/gate.h"
#include "load.h"

#define GRACE_MS     60000 /* beyond its share: cases that had been started */
#define LAST_WORD_MS 20000 /* from SIGINT to SIGKILL: the time to write its results */
#define LEAST_MS     500   /* less is not worth starting */
#define ARGUMENTS    (GATE_PATTERNS_MAX + 32)

/* The cheap ones that are complete first, the one that is random last. */
const GatePart gate_parts[GATE_PARTS] = {
	{.name = "doctor", .weight = 1, .cheap = true, .must_complete = true},
	{.name = "fuzz",
	 .arguments = {"--kept"},
	 .all = "--all",
	 .may_choose = true,
	 .weight = 5,
	 .cheap = true,
	 .must_complete = true,
	 .optional = true},
	{.name = "powerloss",
	 .may_choose = true,
	 .weight = 5,
	 .cheap = true,
	 .must_complete = true,
	 .time_option = "--budget",
	 .has_shard = true,
	 .has_jobs = true},
	{.name = "explore",
	 .arguments = {"--keep-going"},
	 .weight = 10,
	 .cheap = true,
	 .must_complete = true,
	 .time_option = "--budget"},
	{.name = "step",
	 .may_choose = true,
	 .weight = 40,
	 .cheap = true,
	 .must_complete = true,
	 .time_option = "--budget",
	 .has_shard = true,
	 .has_jobs = true},
	{.name = "run",
	 .may_choose = true,
	 .weight = 160,
	 .must_complete = true,
	 .time_option = "--budget",
	 .has_shard = true,
	 .has_jobs = true,
	 .has_seed = true},
	{.name = "sweep",
	 .all = "serve-start",
	 .may_choose = true,
	 .weight = 50,
	 .time_option = "--budget",
	 .has_shard = true,
	 .has_jobs = true,
	 .has_seed = true},
	{.name = "storm",
	 .weight = 10,
	 .time_option = "--duration",
	 .time_max_ms = 10000,
	 .has_seed = true},
};

/* ---- choosing ---- */

static int
part_named(const char *word, size_t length)
{
	for (int i = 0; i < GATE_PARTS; i++)
	{
		if (strlen(gate_parts[i].name) == length && memcmp(gate_parts[i].name, word, length) == 0)
			return i;
	}
	return -1;
}

int
gate_part(const char *name)
{
	return part_named(name, strlen(name));
}

static int
choose_one(GateRun *run, const char *word)
{
	size_t length = strcspn(word, "/");
	int which = part_named(word, length);
	const char *what = which >= 0 && word[length] == '/' ? word + length + 1 : NULL;
	GateRow *row;

	if (which < 0)
	{
		which = gate_part("run");
		what = word;
	}
	row = &run->row[which];
	row->state = GATE_NOT_RUN;
	if (what == NULL)
	{
		row->whole = true;
		return EXIT_GOOD;
	}
	if (!gate_parts[which].may_choose)
		return usage_error("%s is one piece: nothing of it can be chosen with \"%s\"",
						   gate_parts[which].name, word);
	if (row->patterns == GATE_PATTERNS_MAX)
		return usage_error("at most %d names can be given for one part", GATE_PATTERNS_MAX);
	row->pattern[row->patterns++] = what;
	return EXIT_GOOD;
}

int
gate_choose(GateRun *run, int count, char *const *words)
{
	int code = EXIT_GOOD;

	for (int i = 0; i < GATE_PARTS; i++)
		run->row[i].state = count == 0 ? GATE_NOT_RUN : GATE_NOT_CHOSEN;
	for (int i = 0; i < count && code == EXIT_GOOD; i++)
		code = choose_one(run, words[i]);
	for (int i = 0; i < GATE_PARTS; i++)
	{
		if (run->row[i].whole)
			run->row[i].patterns = 0;
		if (run->options.shard_count > 0 && !gate_parts[i].has_shard &&
			run->row[i].state == GATE_NOT_RUN &&
			(unsigned) i % run->options.shard_count + 1 != run->options.shard_index)
			run->row[i].state = GATE_OTHER_SHARD;
	}
	return code;
}

uint64_t
gate_share(const GateRun *run, int part)
{
	uint64_t spent = monotonic_ms() - run->begin_ms;
	uint64_t left = spent < run->options.budget_ms ? run->options.budget_ms - spent : 0;
	uint64_t weights = 0, share;

	for (int i = part; i < GATE_PARTS; i++)
	{
		if (run->row[i].state == GATE_NOT_RUN)
			weights += gate_parts[i].weight;
	}
	share = weights > 0 ? left * gate_parts[part].weight / weights : 0;
	if (gate_parts[part].cheap && share < left / 3)
		share = left / 3;
	if (gate_parts[part].time_max_ms > 0 && share > gate_parts[part].time_max_ms)
		share = gate_parts[part].time_max_ms;
	return share >= LEAST_MS ? share : 0;
}

/* ---- one part ---- */

typedef struct Start
{
	const char *argv[ARGUMENTS];
	int count;
	char time[32], seed[32], jobs[32], shard[48], json[256], log[256];
} Start;

static void
add(Start *start, const char *word)
{
	start->argv[start->count++] = word;
	start->argv[start->count] = NULL;
}

static void
add_option(Start *start, const char *name, const char *value)
{
	add(start, name);
	add(start, value);
}

static void
make_arguments(const GateRun *run, int which, Start *start)
{
	const GatePart *part = &gate_parts[which];
	const GateRow *row = &run->row[which];
	const GateOptions *options = &run->options;

	(void) snprintf(start->time, sizeof(start->time), "%" PRIu64 "ms", row->share_ms);
	(void) snprintf(start->seed, sizeof(start->seed), "%" PRIu64, options->seed);
	(void) snprintf(start->jobs, sizeof(start->jobs), "%" PRIu64, options->jobs);
	(void) snprintf(start->shard, sizeof(start->shard), "%u/%u", options->shard_index,
					options->shard_count);
	(void) snprintf(start->json, sizeof(start->json), "%s/%s.json", run->directory, part->name);
	(void) snprintf(start->log, sizeof(start->log), "%s/%s.log", run->directory, part->name);
	add(start, run->program);
	add(start, part->name);
	for (int i = 0; part->arguments[i] != NULL; i++)
		add(start, part->arguments[i]);
	for (int i = 0; i < row->patterns; i++)
		add(start, row->pattern[i]);
	if (row->patterns == 0 && part->all != NULL)
		add(start, part->all);
	if (part->time_option != NULL)
		add_option(start, part->time_option, start->time);
	if (part->has_seed)
		add_option(start, "--seed", start->seed);
	if (part->has_jobs && options->jobs > 0)
		add_option(start, "--jobs", start->jobs);
	if (part->has_shard && options->shard_count > 0)
		add_option(start, "--shard", start->shard);
	if (strcmp(part->name, "run") == 0 && options->plan != NULL)
		add_option(start, "--plan", options->plan);
	if (strcmp(part->name, "run") == 0 && options->file != NULL)
		add_option(start, "--file", options->file);
	if (strcmp(part->name, "explore") == 0 && options->mutant != NULL)
		add_option(start, "--mutant", options->mutant);
	add_option(start, "--json", start->json);
}

/* Past its time it is asked to end, which leaves it the time to say what it has; then it is ended. */
static bool
start_and_wait(const Start *start, const GatePart *part, uint64_t share_ms, LiveLine *line,
			   int *status)
{
	uint64_t begin = monotonic_ms();
	uint64_t end = begin + share_ms + GRACE_MS;
	bool asked = false;
	pid_t pid = child_start(start->argv, NULL, start->log);

	if (pid < 0)
		return false;
	while (child_wait(&pid, 1, 200, status) < 0)
	{
		uint64_t now = monotonic_ms();

		live_line_show(line, "%s  %" PRIu64 " s of at most %" PRIu64 " s", part->name,
					   (now - begin) / 1000, share_ms / 1000);
		if (!asked && (children_interrupted() || now >= end))
		{
			asked = true;
			end = now + LAST_WORD_MS;
			(void) kill(pid, SIGINT);
		}
		else if (asked && now >= end)
			(void) kill(pid, SIGKILL);
	}
	live_line_clear(line);
	return true;
}

/* ---- what it came to ---- */

static void set_note(GateRow *row, GateState state, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void
set_note(GateRow *row, GateState state, const char *format, ...)
{
	va_list args;

	row->state = state;
	va_start(args, format);
	(void) vsnprintf(row->note, sizeof(row->note), format, args);
	va_end(args);
}

/* Its last word: the last line of what it wrote. */
static void
last_line(const char *path, char *text, size_t size)
{
	FILE *file = fopen(path, "re");
	char line[512];

	(void) snprintf(text, size, "it says nothing");
	while (file != NULL && fgets(line, sizeof(line), file) != NULL)
	{
		static const char own[] = "holdfast: ";
		const char *word = strncmp(line, own, strlen(own)) == 0 ? line + strlen(own) : line;

		line[strcspn(line, "\n")] = '\0';
		if (word[0] != '\0')
			(void) snprintf(text, size, "%.230s", word);
	}
	if (file != NULL)
		(void) fclose(file);
	for (char *at = text; *at != '\0'; at++)
	{
		if ((unsigned char) *at < 0x20 || *at == 0x7f)
			*at = '?';
	}
}

static bool
read_results(const Start *start, ResultsFile *part, char problem[RESULTS_PROBLEM_SIZE])
{
	size_t length;
	char *text;
	bool good = false;

	if (access(start->json, F_OK) != 0)
	{
		(void) snprintf(problem, RESULTS_PROBLEM_SIZE, "there is no file");
		return false;
	}
	text = load_file(start->json, &length);
	(void) snprintf(problem, RESULTS_PROBLEM_SIZE, "it cannot be read");
#ifdef HOLDFAST_HAS_JANSSON
	if (text != NULL)
		good = results_read_json(text, length, part, problem);
#endif
	free(text);
	return good;
}

static size_t
findings_of(const ResultsFile *part)
{
	return part->summary.by_status[SCENARIO_FAIL] + part->summary.by_status[SCENARIO_ERROR];
}

/* Why the file is not to be believed; NULL: it fits. */
static const char *
contradiction(const ResultsFile *part, int code)
{
	if (part->exit_code != code)
		return "it ended with another exit code than its results say";
	if (code == EXIT_GOOD && findings_of(part) > 0)
		return "it ended well, and its results have failures";
	if (code == EXIT_GOOD && part->list.count == 0)
		return "it ended well, and its results have no case";
	if (code == EXIT_GOOD && part->summary.not_run > 0)
		return "it ended well, and its results say that cases were not run";
	if (code == EXIT_FINDINGS && findings_of(part) == 0)
		return "it ended with findings, and its results have none";
	return NULL;
}

static void
judge_without_results(GateRow *row, const Start *start, int code, const char *problem)
{
	char word[256];

	last_line(start->log, word, sizeof(word));
	if (code == EXIT_NOTHING)
		set_note(row, GATE_NOTHING, "%s", word);
	else if (code == EXIT_UNFIT)
		set_note(row, GATE_UNFIT, "%s", word);
	else
		set_note(row, GATE_BROKEN, "exit code %d and no results: %.90s; %.90s", code, problem,
				 word);
}

static void
judge_results(const GateRun *run, int which, GateRow *row, const Start *start,
			  const ResultsFile *part, int code)
{
	const GatePart *of = &gate_parts[which];
	const char *wrong = contradiction(part, code);
	size_t skipped = part->summary.by_status[SCENARIO_SKIP];
	char word[256];

	row->not_run = part->summary.not_run;
	if (wrong != NULL)
		set_note(row, GATE_BROKEN, "%s", wrong);
	else if (code == EXIT_NOTHING)
		set_note(row, run->options.shard_count > 0 ? GATE_RAN : GATE_NOTHING,
				 "no case of it is here");
	else if (code == EXIT_INCOMPLETE || code == EXIT_INTERRUPTED || row->not_run > 0)
		set_note(row, GATE_CUT, "cut short: %zu not run", row->not_run);
	else if (code == EXIT_UNFIT && of->optional)
		set_note(row, GATE_NOT_BUILT, "not built here");
	else if (code == EXIT_UNFIT || (code == EXIT_GOOD && skipped == part->list.count))
	{
		last_line(start->log, word, sizeof(word));
		set_note(row, GATE_UNFIT, "%.240s", word);
	}
	else if (code == EXIT_GOOD || code == EXIT_FINDINGS || code == EXIT_FLAKY)
		row->state = GATE_RAN;
	else
		set_note(row, GATE_BROKEN, "ended with exit code %d", code);
}

static void
judge(const GateRun *run, int which, GateRow *row, const Start *start, int status,
	  ResultsFile *part)
{
	char problem[RESULTS_PROBLEM_SIZE], word[256];

	row->exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_INTERNAL;
	if (WIFSIGNALED(status))
		set_note(row, GATE_BROKEN, "ended by signal %d", WTERMSIG(status));
	else if (row->exit_code == EXIT_USAGE)
	{
		last_line(start->log, word, sizeof(word));
		set_note(row, GATE_USAGE, "%s", word);
	}
	else if (!read_results(start, part, problem))
		judge_without_results(row, start, row->exit_code, problem);
	else
		judge_results(run, which, row, start, part, row->exit_code);
}

void
gate_add_case(ResultsFile *part, const ScenarioResult *result)
{
	results_add(&part->list, result);
	part->summary.selected++;
	part->summary.run++;
	part->summary.by_status[result->status]++;
}

/* "c10-kill-mid-lock" of `run` is "run.c10-kill-mid-lock". */
static void
name_after_part(const GatePart *of, ResultsFile *part)
{
	for (size_t i = 0; i < part->list.count; i++)
	{
		ScenarioResult *result = &part->list.item[i];
		size_t size = strlen(of->name) + strlen(result->scenario) + 2;
		char *name;

		if (strcmp(result->scenario, of->name) == 0)
			continue;
		name = malloc(size);
		part->list.out_of_memory |= name == NULL;
		if (name == NULL)
			continue;
		(void) snprintf(name, size, "%s.%s", of->name, result->scenario);
		free((void *) (uintptr_t) result->scenario);
		result->scenario = name;
	}
}

static void
add_broken(const GatePart *of, const GateRow *row, ResultsFile *part)
{
	char replay[64];
	ScenarioResult result = {
		.scenario = of->name,
		.case_name = "the part itself",
		.status = SCENARIO_ERROR,
		.milliseconds = 0,
		.message = {row->note, strlen(row->note)},
		.replay = replay,
	};

	(void) snprintf(replay, sizeof(replay), "holdfast %s", of->name);
	gate_add_case(part, &result);
}

bool
gate_run_part(GateRun *run, int which, ResultsFile *part, LiveLine *line)
{
	static Start start;
	const GatePart *of = &gate_parts[which];
	GateRow *row = &run->row[which];
	uint64_t begin = monotonic_ms();
	int status = 0;

	memset(part, 0, sizeof(*part));
	memset(&start, 0, sizeof(start));
	make_arguments(run, which, &start);
	if (start_and_wait(&start, of, row->share_ms, line, &status))
		judge(run, which, row, &start, status, part);
	else
		set_note(row, GATE_BROKEN, "could not be started: %s", strerror(errno));
	row->seconds = (double) (monotonic_ms() - begin) / 1000;
	free(part->plan); /* told by the replay lines; only one part has it */
	part->plan = NULL;
	name_after_part(of, part);
	if (row->state == GATE_BROKEN)
		add_broken(of, row, part);
	(void) unlink(start.json);
	(void) unlink(start.log);
	return !children_interrupted();
}
