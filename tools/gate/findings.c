/*
 * findings.c
 *		What becomes of a part's findings: known, flaky, or standing; and the part's place in the whole.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"
#include "command.h"
#include "gate/gate.h"
#include "results/origin.h"

#define REPLAYS_MAX   10    /* findings of a part; with more, the rest stands */
#define REPLAY_MS     60000 /* each */
#define REPLAYS_MS    60000 /* may be spent beyond the budget */
#define WORDS         16
#define REPLAY_LENGTH 16384

/* ---- known ---- */

static bool
make_known(ResultList *list, size_t which)
{
	static const char mark[] = "known: ";
	ScenarioResult *result = &list->item[which];
	size_t size = sizeof(mark) - 1 + result->message.length;
	char *message = malloc(size + 1);

	if (message == NULL)
		return false;
	memcpy(message, mark, sizeof(mark));
	if (result->message.length > 0)
		memcpy(message + sizeof(mark) - 1, result->message.bytes, result->message.length);
	message[size] = '\0';
	free((void *) (uintptr_t) result->message.bytes);
	result->message = (ScenarioText){message, size};
	result->status = SCENARIO_SKIP;
	result->known = true;
	return true;
}

void
gate_mark_known(GateRun *run, ResultsFile *part)
{
	for (size_t i = 0; i < part->list.count; i++)
	{
		ScenarioStatus was = part->list.item[i].status;

		if ((was != SCENARIO_FAIL && was != SCENARIO_ERROR) ||
			baseline_find(&run->baseline, &part->list.item[i]) == NULL)
			continue;
		if (!make_known(&part->list, i))
		{
			part->list.out_of_memory = true;
			continue;
		}
		part->summary.by_status[was]--;
		part->summary.by_status[SCENARIO_SKIP]++;
	}
}

/* ---- replays ---- */

/* Takes a command line apart as a shell does that knows only '...' and \.  The words lie in `text`. */
static int
split_words(char *text, const char **words)
{
	char *from = text, *to = text;
	int count = 0;

	while (*from != '\0')
	{
		bool quoted = false;

		while (*from == ' ')
			from++;
		if (*from == '\0')
			break;
		if (count == WORDS - 1)
			return -1;
		words[count++] = to;
		for (; *from != '\0' && (quoted || *from != ' '); from++)
		{
			if (*from == '\'')
				quoted = !quoted;
			else if (!quoted && *from == '\\' && from[1] != '\0')
				*to++ = *++from;
			else
				*to++ = *from;
		}
		if (quoted)
			return -1;
		if (*from == ' ')
			from++;
		*to++ = '\0';
	}
	words[count] = NULL;
	return count;
}

/* The exit code of a replay; -1: it could not be followed, or not to its end. */
static int
follow(const GateRun *run, const char *line)
{
	static char text[REPLAY_LENGTH];
	const char *words[WORDS];
	char log[256];
	int status = 0;
	int count;

	if (line == NULL || strlen(line) >= sizeof(text))
		return -1;
	(void) memcpy(text, line, strlen(line) + 1);
	count = split_words(text, words);
	if (count < 3 || strcmp(words[0], "holdfast") != 0 || strcmp(words[1], "replay") != 0)
		return -1;
	words[0] = run->program;
	(void) snprintf(log, sizeof(log), "%s/replay.log", run->directory);
	if (!child_run(words, NULL, log, REPLAY_MS, &status))
		status = -1;
	(void) unlink(log);
	return status >= 0 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static bool
has_time(const GateRun *run)
{
	return monotonic_ms() - run->begin_ms < run->options.budget_ms + REPLAYS_MS &&
		   !children_interrupted();
}

static void
add_passed_replay(ResultsFile *part, size_t which)
{
	static const char detail[] = "two replays of what failed before";
	ScenarioResult result = {
		.scenario = part->list.item[which].scenario,
		.case_name = part->list.item[which].case_name,
		.status = SCENARIO_PASS,
		.detail = {detail, sizeof(detail) - 1},
	};

	gate_add_case(part, &result);
}

void
gate_follow_replays(GateRun *run, int which, ResultsFile *part, LiveLine *line)
{
	size_t count = part->list.count; /* what is added below is not looked at */
	int followed = 0;

	for (size_t i = 0; i < count && followed < REPLAYS_MAX && has_time(run); i++)
	{
		const ScenarioResult *result = &part->list.item[i];

		if ((result->status != SCENARIO_FAIL && result->status != SCENARIO_ERROR) ||
			result_is_flaky(&part->list, result))
			continue;
		followed++;
		live_line_show(line, "%s  replaying %.60s", gate_parts[which].name, result->case_name);
		if (follow(run, result->replay) == EXIT_GOOD && has_time(run) &&
			follow(run, result->replay) == EXIT_GOOD)
			add_passed_replay(part, i);
		live_line_clear(line);
	}
}

/* ---- the whole ---- */

/* What the whole learns of a part that did not run to its end. */
static const char *
outcome_of(const GateRun *run, const GatePart *of, const GateRow *row, const char *outcome)
{
	switch (row->state)
	{
		case GATE_NOT_RUN:
		case GATE_CUT:
			return of->must_complete && !run->options.allow_incomplete ? "incomplete" : "good";
		case GATE_UNFIT:
			return run->options.allow_unfit ? "good" : "unfit";
		case GATE_NOTHING:
			return "nothing";
		case GATE_RAN:
			return outcome;
		default:
			return "good";
	}
}

bool
gate_take_part(GateRun *run, int which, ResultsFile *part)
{
	const GatePart *of = &gate_parts[which];
	GateRow *row = &run->row[which];
	char problem[RESULTS_PROBLEM_SIZE];
	bool whole = !part->list.out_of_memory;

	row->cases = part->list.count;
	memcpy(row->by_status, part->summary.by_status, sizeof(row->by_status));
	for (size_t i = 0; i < part->list.count; i++)
		row->known += part->list.item[i].known;
	row->by_status[SCENARIO_SKIP] -= row->known;
	/* What may be cut is told in its row, and else as if it had been chosen so. */
	if (strcmp(outcome_of(run, of, row, "good"), "incomplete") != 0)
	{
		part->summary.selected = part->summary.run;
		part->summary.not_run = 0;
	}
	part->summary.milliseconds = row->seconds * 1000;
	part->seed = run->options.seed;
	(void) snprintf(part->outcome, sizeof(part->outcome), "%s",
					outcome_of(run, of, row, part->outcome[0] != '\0' ? part->outcome : "good"));
	return results_merge(&run->whole, part, problem) && whole;
}

/* ---- what is gone ---- */

/* An entry that covered nothing: is its case well now, or is there no such case, where all were run? */
static bool
is_gone(const GateRun *run, const Known *known)
{
	static FindingName name;
	int which = gate_part(known->kind);
	const GateRow *row = which >= 0 ? &run->row[which] : NULL;
	bool there = false;

	if (row == NULL)
		return true; /* no part is called so */
	if (row->state != GATE_RAN && row->state != GATE_CUT)
		return false;
	for (size_t i = 0; i < run->whole.list.count; i++)
	{
		const ScenarioResult *result = &run->whole.list.item[i];

		finding_name(result, &name);
		if (strcmp(name.kind, known->kind) != 0 || strcmp(name.subject, known->subject) != 0)
			continue;
		if (result->status == SCENARIO_PASS)
			return true;
		there = true;
	}
	return !there && row->state == GATE_RAN && row->patterns == 0 &&
		   run->options.shard_count == 0 && run->options.plan == NULL &&
		   run->options.file == NULL && run->options.mutant == NULL;
}

void
gate_mark_gone(GateRun *run)
{
	for (size_t i = 0; i < run->baseline.count; i++)
		run->baseline.item[i].gone =
			!run->baseline.item[i].seen && is_gone(run, &run->baseline.item[i]);
}
