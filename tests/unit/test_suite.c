/*
 * test_suite.c
 *		A suite file is read strictly, and says where it stops being one; what it names becomes what runs.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runner/runner.h"
#include "suite/suite.h"

TestSuite(suite, .timeout = 60);

/* ---- what a choice selects ---- */

static RunnerSelection *
must_choose(const RunnerChoice *choices, size_t count)
{
	RunnerSelection *selection;
	RunnerProblem problem;

	cr_assert(runner_select_choices(choices, count, &selection, &problem), "%s", problem.message);
	return selection;
}

Test(suite, a_case_is_run_for_each_plan_and_each_seed_but_not_twice)
{
	static const char *const one = "a10-serve-start/repair:1-workers";
	const RunnerChoice choices[] = {
		{.pattern = one},
		{.pattern = one, .plan = "a=off"},
		{.pattern = one, .plan = "a=off"},
		{.pattern = one, .plan = "b=off", .has_seed = true, .seed = 1},
		{.pattern = one, .plan = "b=off", .has_seed = true, .seed = 2},
		{.pattern = one, .plan = "b=off", .has_seed = true, .seed = 1},
	};
	RunnerSelection *selection = must_choose(choices, 6);

	cr_assert_eq(selection->count, 4);
	cr_assert_null(selection->item[0].plan);
	cr_assert_str_eq(selection->item[1].plan, "a=off");
	cr_assert_not(selection->item[1].has_seed);
	cr_assert(selection->item[2].has_seed && selection->item[2].seed == 1);
	cr_assert(selection->item[3].has_seed && selection->item[3].seed == 2);
	runner_selection_free(selection);
}

Test(suite, a_seed_in_the_pattern_goes_first)
{
	const RunnerChoice choice = {
		.pattern = "a10-serve-start/repair:1-workers@7f", .has_seed = true, .seed = 1};
	RunnerSelection *selection = must_choose(&choice, 1);

	cr_assert_eq(selection->count, 1);
	cr_assert_eq(selection->item[0].seed, 0x7f);
	runner_selection_free(selection);
}

Test(suite, the_choice_that_selects_nothing_is_named)
{
	const RunnerChoice choices[] = {{.pattern = "a10*"}, {.pattern = "serve-strat"}};
	RunnerSelection *selection;
	RunnerProblem problem;

	cr_assert_not(runner_select_choices(choices, 2, &selection, &problem));
	cr_assert_null(selection);
	cr_assert_eq(problem.number, 1);
	cr_assert_str_eq(problem.suggestion, "serve-start");
}

#ifdef HOLDFAST_HAS_LIBYAML

static Suite suite, again;
static SuiteError error;

static void
must_parse(const char *text)
{
	cr_assert(suite_parse(text, strlen(text), &suite, &error), "%u:%u: %s", error.line,
			  error.column, error.message);
}

Test(suite, every_key_and_where_it_stands)
{
	must_parse("version: 1\nseed: 0x2a\njobs: 2\nrepeat: 3\nbudget: 5m\nrun:\n"
			   "  - cases: serve-start\n"
			   "  - cases: [a, \"*b\"]\n"
			   "    plan: |\n      x=kill;\n      y=stop\n"
			   "    seed: 18446744073709551615\n");
	cr_assert(suite.seed == 42 && suite.jobs == 2 && suite.repeat == 3 &&
			  suite.budget_ms == 300000);
	cr_assert(suite.entry_count == 2 && suite.pattern_count == 3);
	cr_assert(suite.entry[1].first_pattern == 1 && suite.entry[1].pattern_count == 2);
	cr_assert_null(suite.entry[0].plan.bytes);
	cr_assert_not(suite.entry[0].has_seed);
	cr_assert_str_eq(suite.pattern[2].bytes, "*b");
	cr_assert(suite.pattern[2].line == 8 && suite.pattern[2].column == 16);
	cr_assert_str_eq(suite.entry[1].plan.bytes, "x=kill;\ny=stop\n");
	cr_assert(suite.entry[1].has_seed && suite.entry[1].seed == UINT64_MAX);
	suite_free(&suite);
}

Test(suite, prints_as_a_suite_that_prints_the_same)
{
	char text[1024], second[1024];
	size_t length;

	must_parse("{run: [{seed: 7, plan: \"a='b';\\n\\\"\", cases: 'x'}], budget: 90, version: 1}");
	length = suite_print(&suite, text, sizeof(text));
	cr_assert_str_eq(text, "version: 1\nbudget: 90000ms\nrun:\n  - cases:\n      - \"x\"\n"
						   "    plan: \"a='b';\\n\\\"\"\n    seed: 7\n");
	cr_assert(suite_parse(text, length, &again, &error));
	cr_assert_eq(suite_print(&again, second, sizeof(second)), length);
	cr_assert_str_eq(second, text);
	suite_free(&again);
	suite_free(&suite);
}

Test(suite, refusals_name_their_place)
{
	static const struct
	{
		const char *text;
		unsigned line, column;
		const char *says;
	} bad[] = {
		{"", 1, 1, "empty"},
		{"# nothing\n", 2, 1, "empty"},
		{"{", 1, 2, "did not find expected node"},
		{"- a\n", 1, 1, "a suite is a mapping, not a list"},
		{"version: 1\n", 1, 1, "no \"run\""},
		{"run:\n  - cases: a\n", 1, 1, "no \"version\""},
		{"version: 2\nrun: [{cases: a}]\n", 1, 10, "version is 1, not \"2\""},
		{"version: \"1\"\nrun: [{cases: a}]\n", 1, 10, "text in quotes"},
		{"version: 1\nversion: 1\n", 2, 1, "comes twice"},
		{"version: 1\nrnu:\n", 2, 1, "did you mean \"run\""},
		{"version: 1\nrun: a10\n", 2, 6, "run is a list, not a word"},
		{"version: 1\nrun: []\n", 2, 6, "empty list"},
		{"version: 1\nrun: [{}]\n", 2, 7, "no \"cases\""},
		{"version: 1\nrun: [{cases: []}]\n", 2, 15, "empty list"},
		{"version: 1\nrun: [{cases: }]\n", 2, 15, "empty"},
		{"version: 1\nrun: [{cases: [[a]]}]\n", 2, 16, "not a list"},
		{"version: 1\nrun: [{cases: *a}]\n", 2, 15, "in quotes"},
		{"version: 1\nrun: [{cases: a, case: b}]\n", 2, 18, "did you mean \"cases\""},
		{"version: 1\nrun: [{cases: a, seed: -1}]\n", 2, 24, "64 bits"},
		{"version: 1\nrun: [{cases: a, seed: 18446744073709551616}]\n", 2, 24, "64 bits"},
		{"version: 1\nseed: 0\nrun: [{cases: a}]\n", 2, 7, "from 1 on"},
		{"version: 1\njobs: 257\nrun: [{cases: a}]\n", 2, 7, "from 1 to 256"},
		{"version: 1\njobs: 08\nrun: [{cases: a}]\n", 2, 7, "from 1 to 256"},
		{"version: 1\nbudget: soon\nrun: [{cases: a}]\n", 2, 9, "a time like"},
		{"version: 1\nbudget: 999999999999h\nrun: [{cases: a}]\n", 2, 9, "a time like"},
		{"version: 1\nrun: [{<<: a}]\n", 2, 8, "merge keys"},
		{"version: 1\nrun: [{? [a] : b}]\n", 2, 10, "a key is a word"},
		{"version: !!int 1\n", 1, 10, "tags"},
		{"&a version: 1\n", 1, 1, "anchors"},
		{"%YAML 1.1\n---\nversion: 1\n", 1, 1, "directives"},
		{"version: 1\nrun: [{cases: a}]\n---\n", 3, 1, "second document"},
		{"version: 1\n\tjobs: 1\n", 2, 1, "tab"},
		{"version: 1\nrun: [{cases: \"\\x1b[31m\"}]\n", 2, 15, "printable"},
		{"version: 1\nrun: [{cases: \xc3\xa4}]\n", 2, 15, "printable"},
		{"version: \xc0\xb1\n", 1, 10, "UTF-8"},
		{"\xef\xbb\xbfrun: 1\n", 1, 6, "run is a list"},
		{"version: 1\r\n\r\njobs: x\r\n", 3, 7, "jobs is a number"},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
	{
		cr_assert_not(suite_parse(bad[i].text, strlen(bad[i].text), &suite, &error), "%s",
					  bad[i].text);
		cr_assert(error.line == bad[i].line && error.column == bad[i].column &&
					  strstr(error.message, bad[i].says) != NULL,
				  "%zu: %u:%u: %s", i, error.line, error.column, error.message);
		cr_assert_null(suite.text);
	}
}

Test(suite, a_zero_byte_is_seen_behind_the_end_too)
{
	static const char text[] = "version: 1\nrun: [{cases: a}]\n\0...";

	cr_assert_not(suite_parse(text, sizeof(text) - 1, &suite, &error));
	cr_assert(error.line == 3 && error.column == 1);
}

/* What a caller made of `count` times `unit` behind `head` must be refused, at the limit and not after it. */
static void
refuse_many(const char *head, const char *unit, size_t count, const char *tail, const char *says)
{
	size_t length = strlen(head) + count * strlen(unit) + strlen(tail);
	char *text = malloc(length + 1), *at = text;

	cr_assert_not_null(text);
	at = stpcpy(at, head);
	for (size_t i = 0; i < count; i++)
		at = stpcpy(at, unit);
	(void) stpcpy(at, tail);
	cr_assert_not(suite_parse(text, length, &suite, &error));
	cr_assert(strstr(error.message, says) != NULL, "%s", error.message);
	free(text);
}

Test(suite, limits)
{
	refuse_many("version: 1\nrun:\n", "  - cases: a\n", SUITE_ENTRIES_MAX + 1, "", "entries");
	refuse_many("version: 1\nrun:\n  - cases: [", "a,", SUITE_PATTERNS_MAX + 1, "]", "patterns");
	refuse_many("version: 1\nrun:\n  - cases: ", "a", SUITE_PATTERN_SIZE, "\n", "may have 255");
	refuse_many("version: 1\nrun:\n  - cases: a\n    plan: ", "a", SUITE_PLAN_SIZE, "\n",
				"may have 4095");
	refuse_many("", "#", SUITE_SIZE_MAX + 1, "", "larger than");
}

#endif
