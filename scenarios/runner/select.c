/*
 * select.c
 *		From patterns and replay tokens to the list of cases to run.
 *
 * Owner: the selection owns the case lists of all scenarios; items point into them.  Order is the table's,
 * whatever the order of the patterns, so that reports of two runs compare.
 * Errors: a pattern that selects nothing fails the whole selection, with the nearest id.
 */
#include <ctype.h>
#include <errno.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "inject/inject.h"
#include "runner/runner.h"

/* A pattern, taken apart. */
typedef struct Pattern
{
	char scenario[SCENARIO_CASE_NAME_SIZE];
	char which[SCENARIO_CASE_NAME_SIZE]; /* "*" when the pattern names no case */
	bool has_seed;
	uint64_t seed;
	const char *plan;
} Pattern;

/* "a10-serve-start" is also called "serve-start". */
static const char *
bare_name(const char *id)
{
	const char *dash = strchr(id, '-');

	if (!dash || !isalpha((unsigned char) id[0]))
		return id;
	for (const char *c = id + 1; c < dash; c++)
		if (!isdigit((unsigned char) *c))
			return id;
	return dash + 1;
}

const Scenario *
scenario_find(const char *name)
{
	for (size_t i = 0; i < scenario_count; i++)
		if (strcmp(scenario_table[i]->id, name) == 0 ||
			strcmp(bare_name(scenario_table[i]->id), name) == 0)
			return scenario_table[i];
	return NULL;
}

bool
runner_token(const Scenario *scenario, const ScenarioCase *which, uint64_t seed, char *out,
			 size_t size)
{
	int length = snprintf(out, size, "%s/%s@%" PRIx64, scenario->id, which->name, seed);

	return length > 0 && (size_t) length < size;
}

/* "@7f3a" at the end is a seed; anything else after an @ belongs to the name. */
static void
take_seed(char *text, Pattern *pattern)
{
	char *at = strrchr(text, '@'), *end;

	if (!at || !isxdigit((unsigned char) at[1]))
		return;
	errno = 0;
	pattern->seed = strtoull(at + 1, &end, 16);
	if (*end != '\0' || errno != 0)
		return;
	pattern->has_seed = true;
	*at = '\0';
}

static bool
parse_pattern(const char *text, Pattern *pattern)
{
	char copy[SCENARIO_CASE_NAME_SIZE * 2];

	*pattern = (Pattern){.which = "*"};
	if (strlen(text) >= sizeof(copy))
		return false;
	strcpy(copy, text);
	take_seed(copy, pattern);

	char *slash = strchr(copy, '/');

	if (slash)
	{
		*slash = '\0';
		if (strlen(slash + 1) >= sizeof(pattern->which) || slash[1] == '\0')
			return false;
		strcpy(pattern->which, slash + 1);
	}
	if (strlen(copy) >= sizeof(pattern->scenario))
		return false;
	strcpy(pattern->scenario, copy);
	return true;
}

static bool
matches(const char *glob, const char *text)
{
	return strcmp(glob, text) == 0 || fnmatch(glob, text, 0) == 0;
}

static int
compare_plans(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "");
}

/* The same case, with the same faults, and no other seed. */
static RunnerItem *
find_item(RunnerSelection *selection, const ScenarioCase *which, const Pattern *pattern)
{
	for (size_t i = 0; i < selection->count; i++)
	{
		RunnerItem *item = &selection->item[i];

		if (item->which == which && compare_plans(item->plan, pattern->plan) == 0 &&
			(!item->has_seed || !pattern->has_seed || item->seed == pattern->seed))
			return item;
	}
	return NULL;
}

static bool
add_item(RunnerSelection *selection, const Scenario *scenario, const ScenarioCase *which,
		 const Pattern *pattern)
{
	RunnerItem *item = find_item(selection, which, pattern);

	if (!item)
	{
		if (selection->count == selection->capacity)
		{
			size_t capacity = selection->capacity ? selection->capacity * 2 : 64;
			RunnerItem *grown = realloc(selection->item, capacity * sizeof(*grown));

			if (!grown)
				return false;
			selection->item = grown;
			selection->capacity = capacity;
		}
		item = &selection->item[selection->count++];
		*item = (RunnerItem){.scenario = scenario, .which = which, .plan = pattern->plan};
	}
	if (pattern->has_seed)
	{
		item->has_seed = true;
		item->seed = pattern->seed;
	}
	return true;
}

/* Returns how many cases the pattern matched; -1 when out of memory. */
static long
apply(RunnerSelection *selection, const Pattern *pattern)
{
	long matched = 0;

	for (size_t s = 0; s < scenario_count; s++)
	{
		const Scenario *scenario = scenario_table[s];
		ScenarioCaseList *cases = &selection->cases[s];

		if (!matches(pattern->scenario, scenario->id) &&
			!matches(pattern->scenario, bare_name(scenario->id)))
			continue;
		for (size_t c = 0; c < cases->count; c++)
		{
			if (!matches(pattern->which, cases->item[c].name))
				continue;
			if (!add_item(selection, scenario, &cases->item[c], pattern))
				return -1;
			matched++;
		}
	}
	return matched;
}

static int
by_table_order(const void *a, const void *b)
{
	const RunnerItem *left = a, *right = b;
	int by_id = strcmp(left->scenario->id, right->scenario->id);

	if (by_id != 0)
		return by_id;
	if (left->which != right->which)
		return left->which < right->which ? -1 : 1;

	int by_plan = compare_plans(left->plan, right->plan);

	return by_plan != 0 ? by_plan : (left->seed > right->seed) - (left->seed < right->seed);
}

static bool
nothing_matches(const char *text, const Pattern *pattern, RunnerProblem *problem)
{
	const Scenario *scenario = scenario_find(pattern->scenario);

	snprintf(problem->pattern, sizeof(problem->pattern), "%s", text);
	if (scenario)
	{
		snprintf(problem->message, sizeof(problem->message),
				 "scenario \"%s\" has no case that matches \"%s\"", scenario->id, pattern->which);
		return false;
	}
	snprintf(problem->message, sizeof(problem->message), "no scenario matches \"%s\"",
			 pattern->scenario);

	const char *names[256];
	size_t count = 0;

	for (size_t i = 0; i < scenario_count && count + 2 <= sizeof(names) / sizeof(names[0]); i++)
	{
		names[count++] = scenario_table[i]->id;
		names[count++] = bare_name(scenario_table[i]->id);
	}

	const char *nearest = inject_suggest(pattern->scenario, names, count);

	if (nearest)
		snprintf(problem->suggestion, sizeof(problem->suggestion), "%s", nearest);
	return false;
}

static bool
apply_choice(RunnerSelection *selection, const RunnerChoice *choice, RunnerProblem *problem)
{
	const char *text = choice->pattern;
	Pattern pattern;

	if (!parse_pattern(text, &pattern))
	{
		snprintf(problem->pattern, sizeof(problem->pattern), "%.200s", text);
		snprintf(problem->message, sizeof(problem->message),
				 "not a scenario, a pattern, or a replay token");
		return false;
	}

	pattern.plan = choice->plan;
	if (choice->has_seed && !pattern.has_seed)
	{
		pattern.has_seed = true;
		pattern.seed = choice->seed;
	}

	long matched = apply(selection, &pattern);

	if (matched < 0)
		snprintf(problem->message, sizeof(problem->message), "out of memory");
	return matched > 0 || (matched == 0 && nothing_matches(text, &pattern, problem));
}

static RunnerSelection *
new_selection(void)
{
	RunnerSelection *selection = calloc(1, sizeof(*selection));

	if (!selection)
		return NULL;
	selection->cases = calloc(scenario_count, sizeof(*selection->cases));
	if (!selection->cases)
	{
		free(selection);
		return NULL;
	}
	for (size_t s = 0; s < scenario_count; s++)
	{
		scenario_table[s]->list(&selection->cases[s]);
		if (selection->cases[s].out_of_memory)
		{
			runner_selection_free(selection);
			return NULL;
		}
	}
	return selection;
}

bool
runner_select_choices(const RunnerChoice *choices, size_t nchoices, RunnerSelection **out,
					  RunnerProblem *problem)
{
	RunnerSelection *selection = new_selection();

	memset(problem, 0, sizeof(*problem));
	*out = NULL;
	if (!selection)
	{
		snprintf(problem->message, sizeof(problem->message), "out of memory");
		return false;
	}
	for (size_t i = 0; i < nchoices; i++)
	{
		problem->number = i;
		if (!apply_choice(selection, &choices[i], problem))
		{
			runner_selection_free(selection);
			return false;
		}
	}
	if (selection->count > 0)
		qsort(selection->item, selection->count, sizeof(*selection->item), by_table_order);
	*out = selection;
	return true;
}

bool
runner_select(const char *const *patterns, size_t npatterns, RunnerSelection **out,
			  RunnerProblem *problem)
{
	RunnerChoice *choices = calloc(npatterns + 1, sizeof(*choices));
	bool selected;

	memset(problem, 0, sizeof(*problem));
	*out = NULL;
	if (!choices)
	{
		snprintf(problem->message, sizeof(problem->message), "out of memory");
		return false;
	}
	choices[0].pattern = "*";
	for (size_t i = 0; i < npatterns; i++)
		choices[i].pattern = patterns[i];
	selected = runner_select_choices(choices, npatterns ? npatterns : 1, out, problem);
	free(choices);
	return selected;
}

void
runner_selection_free(RunnerSelection *selection)
{
	if (!selection)
		return;
	for (size_t s = 0; s < scenario_count; s++)
		scenario_cases_free(&selection->cases[s]);
	free(selection->cases);
	free(selection->item);
	free(selection);
}
