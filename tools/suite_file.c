/*
 * suite_file.c
 *		See suite_file.h.
 *
 * The schema is scenarios/suite's; here is what only a whole program knows: which cases there are, which points a plan
 * may name, which scenarios take one.
 */
#include "suite_file.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"

#ifdef HOLDFAST_HAS_LIBYAML

#include "runner/faults.h"

/* As compilers do, so that editors go there. */
static void __attribute__((format(printf, 4, 5)))
say_at(const char *path, uint32_t line, uint32_t column, const char *format, ...)
{
	va_list args;

	(void) fprintf(stderr, "%s:%u:%u: ", strcmp(path, "-") == 0 ? "stdin" : path, line, column);
	va_start(args, format);
	(void) vfprintf(stderr, format, args);
	va_end(args);
	(void) fputc('\n', stderr);
}

static int
out_of_memory(void)
{
	(void) fputs("holdfast: out of memory\n", stderr);
	return EXIT_INTERNAL;
}

/* One byte more than a suite may have shows that it has more. */
static int
read_bytes(const char *path, char *bytes, size_t *length)
{
	bool is_stdin = strcmp(path, "-") == 0;
	FILE *file = is_stdin ? stdin : fopen(path, "re");
	bool failed;

	if (file == NULL)
		return usage_error("could not read the suite \"%s\": %s", path, strerror(errno));
	*length = fread(bytes, 1, SUITE_SIZE_MAX + 1, file);
	failed = ferror(file) != 0;
	if (failed)
		(void) usage_error("could not read the suite \"%s\": %s", path, strerror(errno));
	if (!is_stdin)
		(void) fclose(file);
	return failed ? EXIT_USAGE : EXIT_GOOD;
}

int
suite_file_read(const char *path, Suite *suite)
{
	char *bytes = malloc(SUITE_SIZE_MAX + 1);
	SuiteError error = {.out_of_memory = true};
	size_t length = 0;
	int code;

	if (bytes == NULL)
		return out_of_memory();
	code = read_bytes(path, bytes, &length);
	if (code == EXIT_GOOD && !suite_parse(bytes, length, suite, &error))
	{
		say_at(path, error.line, error.column, "%s", error.message);
		code = error.out_of_memory ? EXIT_INTERNAL : EXIT_USAGE;
	}
	free(bytes);
	return code;
}

/* ---- from a suite to a selection ---- */

/* As `--plan` is checked; all of them, before the first pattern is looked at. */
static int
check_plans(const char *path, const Suite *suite)
{
	char problem[400];
	int code = EXIT_GOOD;

	for (size_t i = 0; i < suite->entry_count; i++)
	{
		const SuiteText *plan = &suite->entry[i].plan;

		if (plan->bytes == NULL || faults_plan_is_good(plan->bytes, problem, sizeof(problem)))
			continue;
		say_at(path, plan->line, plan->column, "plan: %s", problem);
		code = EXIT_USAGE;
	}
	return code;
}

static int
check_takers(const char *path, const Suite *suite, const RunnerSelection *selection)
{
	for (size_t i = 0; i < suite->entry_count; i++)
	{
		const SuiteText *plan = &suite->entry[i].plan;

		for (size_t k = 0; plan->bytes != NULL && k < selection->count; k++)
		{
			const RunnerItem *item = &selection->item[k];

			if (item->plan != plan->bytes || (item->scenario->flags & SCENARIO_TAKES_PLAN))
				continue;
			say_at(path, plan->line, plan->column,
				   "scenario \"%s\" brings its own faults and takes no plan", item->scenario->id);
			return EXIT_USAGE;
		}
	}
	return EXIT_GOOD;
}

/* It is named in lists, reports and replay lines; to a plan all blanks are the same. */
static void
make_one_line(char *plan)
{
	size_t length = strlen(plan);

	for (; length > 0 && strchr(" \t\n", plan[length - 1]) != NULL; length--)
		plan[length - 1] = '\0';
	for (; *plan != '\0'; plan++)
		if (*plan == '\n' || *plan == '\t')
			*plan = ' ';
}

static void
make_plans_one_line(Suite *suite)
{
	for (size_t i = 0; i < suite->entry_count; i++)
		if (suite->entry[i].plan.bytes != NULL)
			make_one_line(suite->text + (suite->entry[i].plan.bytes - suite->text));
}

static void
make_choices(const Suite *suite, RunnerChoice *choices)
{
	for (size_t i = 0; i < suite->entry_count; i++)
	{
		const SuiteEntry *entry = &suite->entry[i];

		for (size_t k = 0; k < entry->pattern_count; k++)
			choices[entry->first_pattern + k] =
				(RunnerChoice){.pattern = suite->pattern[entry->first_pattern + k].bytes,
							   .plan = entry->plan.bytes,
							   .has_seed = entry->has_seed,
							   .seed = entry->seed};
	}
}

int
suite_file_select(const char *path, Suite *suite, RunnerSelection **selection)
{
	RunnerChoice *choices = calloc(suite->pattern_count, sizeof(*choices));
	RunnerProblem problem;
	int code = check_plans(path, suite);

	*selection = NULL;
	if (code != EXIT_GOOD || choices == NULL)
	{
		free(choices);
		return code != EXIT_GOOD ? code : out_of_memory();
	}
	make_plans_one_line(suite);
	make_choices(suite, choices);
	if (!runner_select_choices(choices, suite->pattern_count, selection, &problem))
	{
		const SuiteText *pattern = &suite->pattern[problem.number];

		say_at(path, pattern->line, pattern->column,
			   problem.suggestion[0] != '\0' ? "%s; did you mean \"%s\"?" : "%s", problem.message,
			   problem.suggestion);
		code = problem.pattern[0] == '\0' ? EXIT_INTERNAL : EXIT_NOTHING;
	}
	else
		code = check_takers(path, suite, *selection);
	free(choices);
	if (code != EXIT_GOOD)
		runner_selection_free(*selection);
	return code;
}

void
suite_file_free(Suite *suite)
{
	suite_free(suite);
}

#else

int
suite_file_read(const char *path, Suite *suite)
{
	(void) path;
	(void) suite;
	(void) fprintf(stderr,
				   "holdfast: built without libyaml: apt install libyaml-dev, and build again\n");
	return EXIT_UNFIT;
}

int
suite_file_select(const char *path, Suite *suite, RunnerSelection **selection)
{
	(void) path;
	(void) suite;
	*selection = NULL;
	return EXIT_UNFIT;
}

void
suite_file_free(Suite *suite)
{
	(void) suite;
}

#endif
