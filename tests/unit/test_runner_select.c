/*
 * test_runner_select.c
 *		Patterns, tokens and shards; and what must hold for the catalogue as a whole.
 */
#include <criterion/criterion.h>
#include <ctype.h>
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "catalogue/holes.h"
#include "catalogue/kill_table.h"
#include "catalogue/start_points.h"
#include "inject/inject.h"
#include "inject/syscall/errno_table.h"
#include "runner/runner.h"

TestSuite(runner_select, .timeout = 60);

static RunnerSelection *
must_select(const char *pattern)
{
	RunnerSelection *selection;
	RunnerProblem problem;

	cr_assert(runner_select(&pattern, 1, &selection, &problem), "%s: %s", pattern, problem.message);
	return selection;
}

static void
must_refuse(const char *pattern, const char *suggestion)
{
	RunnerSelection *selection;
	RunnerProblem problem;

	cr_assert_not(runner_select(&pattern, 1, &selection, &problem), "%s", pattern);
	cr_assert_null(selection);
	cr_assert_neq(problem.message[0], '\0');
	cr_assert_str_eq(problem.suggestion, suggestion);
}

Test(runner_select, an_id_its_name_and_a_glob_select_alike)
{
	static const char *const patterns[] = {"a10-serve-start", "serve-start", "a1*", "serve-s?art",
										   "serve-start/*"};

	for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++)
	{
		RunnerSelection *selection = must_select(patterns[i]);

		cr_assert_eq(selection->count, 4, "%s: %zu", patterns[i], selection->count);
		for (size_t k = 0; k < selection->count; k++)
			cr_assert_str_eq(selection->item[k].scenario->id, "a10-serve-start");
		runner_selection_free(selection);
	}
}

Test(runner_select, everything_by_default_and_nothing_twice)
{
	static const char *const twice[] = {"*", "a10-serve-start"};
	RunnerSelection *all, *again;
	RunnerProblem problem;

	cr_assert(runner_select(NULL, 0, &all, &problem));
	cr_assert(runner_select(twice, 2, &again, &problem));
	cr_assert_eq(all->count, again->count);
	cr_assert_geq(all->count, 60);
	runner_selection_free(all);
	runner_selection_free(again);
}

Test(runner_select, what_matches_nothing_is_refused_with_a_suggestion)
{
	must_refuse("serve-strat", "serve-start");
	must_refuse("c10-kill-mid-lok", "c10-kill-mid-lock");
	must_refuse("zzzzzzzzzzzz", "");
	must_refuse("serve-start/no-such-case", "");
	must_refuse("", "");
	must_refuse("serve-start/", "");
}

Test(runner_select, a_token_names_one_case_and_its_seed)
{
	RunnerSelection *all = must_select("c10-kill-mid-lock");

	for (size_t i = 0; i < all->count; i++)
	{
		char token[512];
		RunnerSelection *one;

		cr_assert(runner_token(all->item[i].scenario, all->item[i].which, 0xdeadbeef, token,
							   sizeof(token)));
		one = must_select(token);
		cr_assert_eq(one->count, 1, "%s selects %zu", token, one->count);
		cr_assert(one->item[0].has_seed);
		cr_assert_eq(one->item[0].seed, 0xdeadbeef);
		cr_assert_str_eq(one->item[0].which->name, all->item[i].which->name);
		runner_selection_free(one);
	}
	runner_selection_free(all);
}

Test(runner_select, ids_are_well_formed_and_sorted_and_documented)
{
	for (size_t i = 0; i < scenario_count; i++)
	{
		const Scenario *scenario = scenario_table[i];

		cr_assert(strchr("acxpr", scenario->id[0]) && isdigit((unsigned char) scenario->id[1]) &&
					  isdigit((unsigned char) scenario->id[2]) && scenario->id[3] == '-',
				  "%s", scenario->id);
		cr_assert_null(strchr(scenario->id, '/'));
		cr_assert_neq(scenario->summary[0], '\0');
		cr_assert_gt(scenario->deadline_ms, 0);
		cr_assert(scenario->mutants && scenario->mutants[0], "%s is caught by no mutant",
				  scenario->id);
		if (i > 0)
			cr_assert_lt(strcmp(scenario_table[i - 1]->id, scenario->id), 0);
	}
}

Test(runner_select, every_mutant_that_a_scenario_names_exists)
{
	for (size_t i = 0; i < scenario_count; i++)
		for (const char *const *mutant = scenario_table[i]->mutants; *mutant; mutant++)
		{
			char path[512];

			snprintf(path, sizeof(path), "%s/%s.patch", MUTANTS_DIRECTORY, *mutant);
			cr_assert_eq(access(path, R_OK), 0, "%s: there is no %s", scenario_table[i]->id, path);
		}
}

Test(runner_select, case_names_are_unique_and_fit)
{
	RunnerSelection *all = must_select("*");

	for (size_t i = 0; i < all->count; i++)
	{
		const char *name = all->item[i].which->name;

		cr_assert_lt(strlen(name), SCENARIO_CASE_NAME_SIZE - 1, "%s may be cut", name);
		for (size_t k = i + 1; k < all->count && all->item[k].scenario == all->item[i].scenario;
			 k++)
			cr_assert_str_neq(name, all->item[k].which->name);
	}
	runner_selection_free(all);
}

/* ---- no point without a case ---- */

Test(runner_select, every_lock_slot_and_recovery_point_is_in_the_kill_table)
{
	InjectPointInfo info;
	unsigned belong = 0;

	for (int i = 0; inject_point_at(i, &info); i++)
	{
		if (!kill_point_belongs(info.name))
			continue;
		belong++;
		cr_assert(kill_point_listed(info.name), "%s is in no case", info.name);
	}
	cr_assert_geq(belong, 20, "the registry is empty");
}

Test(runner_select, every_row_of_the_kill_table_is_a_registered_point)
{
	InjectPointInfo info;

	for (size_t i = 0; i < kill_row_count; i++)
	{
		cr_assert(inject_point_find(kill_rows[i].point, &info), "%s", kill_rows[i].point);
		for (int column = 0; column < KILL_COLUMNS; column++)
			cr_assert((kill_rows[i].as[column].part == PART_NONE) ==
						  (kill_rows[i].as[column].never != NULL),
					  "%s: a way or a reason, not both", kill_rows[i].point);
	}
	for (size_t i = 0; i < kill_single_count; i++)
		cr_assert(inject_point_find(kill_singles[i].point, &info), "%s", kill_singles[i].point);
}

/* Points of the other rooms: a death there is c30's and c35's, or that of the scenario named here. */
Test(runner_select, every_point_of_the_library_is_somebodys)
{
	static const char *const elsewhere[] = {
		"sysv/join/",  /* an inspector's or a joiner's: leaves nothing */
		"sysv/reap/",  /* an operator's: leaves nothing */
		"bank/",       /* c20-kill-in-cluster */
		"supervisor/", /* c25-reset */
	};
	InjectPointInfo info;

	for (int i = 0; inject_point_at(i, &info); i++)
	{
		/* Calls that take errnos, and where they have been made: unit.inject_calls goes through them all. */
		if (inject_call_spec(info.name) != NULL)
			continue;

		bool owned = kill_point_belongs(info.name) || start_point_belongs(info.name) ||
					 restart_point_belongs(info.name);

		for (size_t k = 0; k < sizeof(elsewhere) / sizeof(elsewhere[0]) && !owned; k++)
			owned = strncmp(info.name, elsewhere[k], strlen(elsewhere[k])) == 0;
		cr_assert(owned, "%s is in no scenario", info.name);
	}
}

/* ---- holes ---- */

static bool
glob_selects_a_case(const Scenario *scenario, const char *glob)
{
	ScenarioCaseList cases = {0};
	bool found = false;

	scenario->list(&cases);
	for (size_t i = 0; i < cases.count; i++)
		found = found || fnmatch(glob, cases.item[i].name, 0) == 0;
	scenario_cases_free(&cases);
	return found;
}

static bool
is_a_hole(const char *id)
{
	for (const Hole *hole = hole_table; hole->id != NULL; hole++)
	{
		if (strcmp(hole->id, id) == 0)
			return true;
	}
	return false;
}

static int
crash_scenarios_of(const char *hole)
{
	int count = 0;

	for (size_t i = 0; i < scenario_count; i++)
	{
		const ScenarioHole *shown = scenario_table[i]->holes;

		for (; shown != NULL && shown->hole != NULL; shown++)
			count += scenario_table[i]->id[0] == 'c' && strcmp(shown->hole, hole) == 0;
	}
	return count;
}

Test(runner_select, every_hole_is_shown_closed_by_a_crash_scenario)
{
	for (const Hole *hole = hole_table; hole->id != NULL; hole++)
		cr_assert(crash_scenarios_of(hole->id) > 0, "hole %s", hole->id);
	for (size_t i = 0; i < scenario_count; i++)
	{
		const ScenarioHole *shown = scenario_table[i]->holes;

		for (; shown != NULL && shown->hole != NULL; shown++)
		{
			cr_assert(is_a_hole(shown->hole), "%s: %s", scenario_table[i]->id, shown->hole);
			cr_assert(glob_selects_a_case(scenario_table[i], shown->cases),
					  "%s: %s selects nothing", scenario_table[i]->id, shown->cases);
		}
	}
}

/* ---- shards ---- */

static void
count_case(const ScenarioResult *result, void *arg)
{
	(void) result;
	(*(size_t *) arg)++;
}

static ScenarioStatus
nothing(ScenarioContext *ctx, const ScenarioCase *which)
{
	(void) ctx;
	(void) which;
	return SCENARIO_PASS;
}

static void
list_nothing(ScenarioCaseList *list)
{
	(void) list;
}

Test(runner_select, shards_are_disjoint_and_complete)
{
	enum
	{
		CASES = 30,
		SHARDS = 3,
	};
	static const Scenario scenario = {
		.id = "t99-test", .list = list_nothing, .run = nothing, .deadline_ms = 5000};
	static ScenarioCase cases[CASES];
	static RunnerItem items[CASES];
	RunnerSelection selection = {.item = items, .count = CASES};
	size_t ran = 0, selected = 0;

	for (int i = 0; i < CASES; i++)
	{
		snprintf(cases[i].name, sizeof(cases[i].name), "case-%d", i);
		items[i] = (RunnerItem){.scenario = &scenario, .which = &cases[i]};
	}
	for (unsigned shard = 1; shard <= SHARDS; shard++)
	{
		RunnerConfig config = {.selection = &selection,
							   .jobs = 2,
							   .shard_index = shard,
							   .shard_count = SHARDS,
							   .listener = count_case,
							   .listener_arg = &ran};
		RunnerSummary summary;

		cr_assert_eq(runner_run(&config, &summary), RUNNER_GOOD);
		cr_assert_lt(summary.selected, CASES);
		selected += summary.selected;
	}
	cr_assert_eq(selected, CASES);
	cr_assert_eq(ran, CASES);
}
