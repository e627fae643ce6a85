/*
 * merge.c
 *		Several result files made one.
 */
#include "merge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exit_codes.h"

void
results_file_free(ResultsFile *file)
{
	results_free(&file->list);
	free(file->plan);
	memset(file, 0, sizeof(*file));
}

RunInfo
results_info(const ResultsFile *file)
{
	return (RunInfo){.seed = file->seed,
					 .plan = file->plan,
					 .outcome = file->outcome,
					 .exit_code = file->exit_code,
					 .summary = &file->summary};
}

/* ---- adding ---- */

static bool
same_plan(const char *a, const char *b)
{
	return (a == NULL) == (b == NULL) && (a == NULL || strcmp(a, b) == 0);
}

/* What a part that did not end well makes of the whole; the later in this order wins. */
static int
gravity(const char *outcome)
{
	static const char *const order[] = {"nothing",     "good",  "incomplete",
										"interrupted", "unfit", "internal"};

	for (int i = 0; i < (int) (sizeof(order) / sizeof(order[0])); i++)
	{
		if (strcmp(outcome, order[i]) == 0)
			return i;
	}
	return 1; /* findings and flaky are told by the cases */
}

static void
add_summary(RunnerSummary *whole, const RunnerSummary *part)
{
	whole->selected += part->selected;
	whole->run += part->run;
	whole->not_run += part->not_run;
	whole->milliseconds += part->milliseconds;
	for (int i = 0; i < SCENARIO_STATUS_COUNT; i++)
		whole->by_status[i] += part->by_status[i];
}

static bool
add_cases(ResultList *whole, ResultList *part)
{
	size_t count = whole->count + part->count;
	ScenarioResult *item;

	if (part->count == 0)
		return true;
	if (count > RESULTS_CASES_MAX)
		return false;
	item = realloc(whole->item, count * sizeof(*item));
	if (item == NULL)
		return false;
	memcpy(item + whole->count, part->item, part->count * sizeof(*item));
	whole->item = item;
	whole->count = whole->capacity = count;
	/* Their texts are the whole's now. */
	free(part->item);
	memset(part, 0, sizeof(*part));
	return true;
}

bool
results_merge(ResultsFile *whole, ResultsFile *part, char problem[RESULTS_PROBLEM_SIZE])
{
	bool first = whole->outcome[0] == '\0';

	if (!first && !same_plan(whole->plan, part->plan))
	{
		(void) snprintf(problem, RESULTS_PROBLEM_SIZE, "it ran with another plan");
		return false;
	}
	if (!add_cases(&whole->list, &part->list))
	{
		(void) snprintf(problem, RESULTS_PROBLEM_SIZE, "too many cases");
		return false;
	}
	if (first)
	{
		whole->seed = part->seed;
		whole->exit_code = part->exit_code;
		whole->summary.flaky = part->summary.flaky;
		whole->plan = part->plan;
		part->plan = NULL;
	}
	if (first || gravity(part->outcome) > gravity(whole->outcome))
		memcpy(whole->outcome, part->outcome, sizeof(whole->outcome));
	add_summary(&whole->summary, &part->summary);
	results_file_free(part);
	return true;
}

/* ---- concluding ---- */

static bool
same_case(const ScenarioResult *a, const ScenarioResult *b)
{
	return strcmp(a->scenario, b->scenario) == 0 && strcmp(a->case_name, b->case_name) == 0;
}

static void
conclude_as(ResultsFile *whole, const char *outcome, int exit_code)
{
	(void) snprintf(whole->outcome, sizeof(whole->outcome), "%s", outcome);
	whole->exit_code = exit_code;
}

void
results_conclude(ResultsFile *whole)
{
	ResultList *list = &whole->list;
	size_t flaky = 0, broken = 0;

	results_sort(list);
	for (size_t from = 0, next; from < list->count; from = next)
	{
		size_t by_status[SCENARIO_STATUS_COUNT] = {0};

		for (next = from; next < list->count && same_case(&list->item[from], &list->item[next]);
			 next++)
			by_status[list->item[next].status]++;
		if (by_status[SCENARIO_FAIL] + by_status[SCENARIO_ERROR] == 0)
			continue;
		if (by_status[SCENARIO_PASS] > 0)
			flaky++;
		else
			broken++;
	}
	whole->summary.flaky = flaky;
	if (broken > 0)
		conclude_as(whole, "findings", EXIT_FINDINGS);
	else if (strcmp(whole->outcome, "internal") == 0)
		conclude_as(whole, "internal", EXIT_INTERNAL);
	else if (strcmp(whole->outcome, "unfit") == 0)
		conclude_as(whole, "unfit", EXIT_UNFIT);
	else if (flaky > 0)
		conclude_as(whole, "flaky", EXIT_FLAKY);
	else if (whole->summary.not_run > 0 || strcmp(whole->outcome, "interrupted") == 0 ||
			 strcmp(whole->outcome, "incomplete") == 0)
		conclude_as(whole, "incomplete", EXIT_INCOMPLETE);
	else if (whole->summary.selected == 0)
		conclude_as(whole, "nothing", EXIT_NOTHING);
	else
		conclude_as(whole, "good", EXIT_GOOD);
}
