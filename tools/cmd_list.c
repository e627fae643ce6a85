/*
 * cmd_list.c
 *		`holdfast list`: the scenarios, the fault points, the holes; the mutants are listed by list_mutants.c.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "catalogue/holes.h"
#include "command.h"
#include "inject/inject.h"
#include "list_mutants.h"
#include "results/json_writer.h"
#include "runner/scenario.h"

static struct
{
	bool json;
	bool cases;
} opt;

static const Option *
list_options(void)
{
	static const Option options[] = {
		{"--json", OPTION_FLAG, &opt.json, NULL, "as JSON"},
		{"--cases", OPTION_FLAG, &opt.cases, NULL, "scenarios: every case too"},
		{0},
	};

	return options;
}

/* ---- scenarios ---- */

static void
print_cases(const ScenarioCaseList *cases)
{
	for (size_t i = 0; i < cases->count; i++)
	{
		const ScenarioCase *one = &cases->item[i];

		(void) printf("    %s%s%s\n", one->name, one->unreachable != NULL ? "  unreachable: " : "",
					  one->unreachable != NULL ? one->unreachable : "");
	}
}

static void
json_cases(JsonWriter *json, const ScenarioCaseList *cases)
{
	json_array(json, "cases");
	for (size_t i = 0; i < cases->count; i++)
	{
		json_object(json, NULL);
		json_string(json, "name", cases->item[i].name);
		json_string(json, "unreachable", cases->item[i].unreachable);
		json_object_end(json);
	}
	json_array_end(json);
}

static void
json_hole(JsonWriter *json, const ScenarioHole *hole)
{
	json_object(json, NULL);
	json_string(json, "hole", hole->hole);
	json_string(json, "postgresql", hole->postgresql);
	json_string(json, "holdfast", hole->holdfast);
	json_string(json, "cases", hole->cases);
	json_object_end(json);
}

static int
list_scenarios(void)
{
	JsonWriter json;

	json_begin(&json, stdout);
	if (opt.json)
	{
		json_object(&json, NULL);
		json_int(&json, "schema_version", 1);
		json_array(&json, "scenarios");
	}
	for (size_t i = 0; i < scenario_count; i++)
	{
		const Scenario *scenario = scenario_table[i];
		ScenarioCaseList cases = {0};

		scenario->list(&cases);
		if (cases.out_of_memory)
			return EXIT_INTERNAL;
		if (opt.json)
		{
			json_object(&json, NULL);
			json_string(&json, "id", scenario->id);
			json_string(&json, "summary", scenario->summary);
			json_cases(&json, &cases);
			json_array(&json, "mutants");
			for (const char *const *mutant = scenario->mutants; mutant != NULL && *mutant != NULL;
				 mutant++)
				json_string(&json, NULL, *mutant);
			json_array_end(&json);
			json_array(&json, "holes");
			for (const ScenarioHole *hole = scenario->holes; hole != NULL && hole->hole != NULL;
				 hole++)
				json_hole(&json, hole);
			json_array_end(&json);
			json_object_end(&json);
		}
		else
		{
			(void) printf("%-28s %4zu  %s\n", scenario->id, cases.count, scenario->summary);
			if (opt.cases)
				print_cases(&cases);
		}
		scenario_cases_free(&cases);
	}
	if (!opt.json)
		return EXIT_GOOD;
	json_array_end(&json);
	json_object_end(&json);
	return json_finish(&json) ? EXIT_GOOD : EXIT_INTERNAL;
}

/* ---- holes ---- */

/* Each scenario that shows it, what PostgreSQL does there, what we do. */
static void
print_hole(const Hole *hole, JsonWriter *json)
{
	for (size_t i = 0; i < scenario_count; i++)
	{
		const Scenario *scenario = scenario_table[i];

		for (const ScenarioHole *shown = scenario->holes; shown != NULL && shown->hole != NULL;
			 shown++)
		{
			if (strcmp(shown->hole, hole->id) != 0)
				continue;
			if (!opt.json)
			{
				(void) printf("| %s | %s | %s | %s | `%s/%s` |\n", hole->id, hole->what,
							  shown->postgresql, shown->holdfast, scenario->id, shown->cases);
				continue;
			}
			json_object(json, NULL);
			json_string(json, "hole", hole->id);
			json_string(json, "what", hole->what);
			json_string(json, "postgresql", shown->postgresql);
			json_string(json, "holdfast", shown->holdfast);
			json_string(json, "scenario", scenario->id);
			json_string(json, "cases", shown->cases);
			json_object_end(json);
		}
	}
}

/* A table as Markdown has it: docs/scenarios.md holds a copy, which a test compares. */
static int
list_holes(void)
{
	JsonWriter json;

	json_begin(&json, stdout);
	if (opt.json)
	{
		json_object(&json, NULL);
		json_int(&json, "schema_version", 1);
		json_array(&json, "holes");
	}
	else
		(void) printf("| | what happens | PostgreSQL | here | shown by |\n|---|---|---|---|---|\n");
	for (const Hole *hole = hole_table; hole->id != NULL; hole++)
		print_hole(hole, &json);
	if (!opt.json)
		return EXIT_GOOD;
	json_array_end(&json);
	json_object_end(&json);
	return json_finish(&json) ? EXIT_GOOD : EXIT_INTERNAL;
}

/* ---- points ---- */

static const struct
{
	unsigned bit;
	const char *actions;
} action_names[] = {
	{INJECT_CAN_DIE, "kill signal stop exit abort off print count"},
	{INJECT_CAN_WAIT, "pause barrier spin yield"},
	{INJECT_CAN_SLEEP, "sleep"},
	{INJECT_CAN_CALL, "call"},
	{INJECT_CAN_ERRNO, "errno return"},
	{INJECT_CAN_SHORT, "short"},
	{INJECT_CAN_SKIP, "skip"},
	{INJECT_CAN_CORRUPT, "corrupt"},
	{INJECT_CAN_TORN, "torn"},
	{INJECT_CAN_JUMP, "jump"},
	{INJECT_CAN_THROW, "throw"},
};

static void
print_point(const InjectPointInfo *point)
{
	(void) printf("%-36s %s:%d%s%s%s%s\n", point->name, point->file, point->line,
				  point->function[0] != '\0' ? " in " : "", point->function,
				  (point->context & INJECT_NO_SLEEP) != 0 ? "  no-sleep" : "",
				  (point->context & INJECT_NO_MALLOC) != 0 ? "  no-malloc" : "");
	if (point->corpse[0] != '\0')
		(void) printf("    corpse: %s\n", point->corpse);
	if (point->errnos == NULL)
		return;
	(void) printf("    errno:");
	for (const int *error = point->errnos; *error != 0; error++)
		(void) printf(" %s", strerrorname_np(*error));
	(void) printf("\n");
}

static void
json_point(JsonWriter *json, const InjectPointInfo *point)
{
	json_object(json, NULL);
	json_string(json, "name", point->name);
	json_string(json, "file", point->file);
	json_int(json, "line", point->line);
	json_string(json, "function", point->function);
	json_int(json, "sites", point->sites);
	json_string(json, "corpse", point->corpse);
	json_bool(json, "no_malloc", (point->context & INJECT_NO_MALLOC) != 0);
	json_bool(json, "no_sleep", (point->context & INJECT_NO_SLEEP) != 0);
	json_array(json, "actions");
	for (size_t i = 0; i < sizeof(action_names) / sizeof(action_names[0]); i++)
	{
		const char *name = action_names[i].actions;

		while ((point->actions & action_names[i].bit) && *name != '\0')
		{
			size_t length = strcspn(name, " ");

			json_bytes(json, NULL, name, length);
			name += length + (name[length] == ' ');
		}
	}
	json_array_end(json);
	json_array(json, "errnos");
	for (const int *error = point->errnos; error != NULL && *error != 0; error++)
		json_string(json, NULL, strerrorname_np(*error));
	json_array_end(json);
	json_string(json, "arg", point->arg);
	json_object_end(json);
}

static int
list_points(void)
{
	InjectPointInfo point;
	JsonWriter json;

	json_begin(&json, stdout);
	if (opt.json)
	{
		json_object(&json, NULL);
		json_int(&json, "schema_version", 1);
		json_array(&json, "points");
	}
	for (int i = 0; inject_point_at(i, &point); i++)
	{
		if (opt.json)
			json_point(&json, &point);
		else
			print_point(&point);
	}
	if (!opt.json)
		return EXIT_GOOD;
	json_array_end(&json);
	json_object_end(&json);
	return json_finish(&json) ? EXIT_GOOD : EXIT_INTERNAL;
}

static int
list_the_mutants(void)
{
	return list_mutants(opt.json);
}

static int
run_list(int argc, char **argv)
{
	static const char *const kinds[] = {"scenarios", "points", "holes", "mutants", NULL};
	static int (*const list_them[])(void) = {list_scenarios, list_points, list_holes,
											 list_the_mutants};
	int count;
	int status = command_options(&command_list, argc, argv, &count, NULL);

	if (status != EXIT_GOOD)
		return status;
	if (count == 0)
		return list_scenarios();
	for (int i = 0; count == 1 && kinds[i] != NULL; i++)
		if (strcmp(argv[0], kinds[i]) == 0)
			return list_them[i]();
	return usage_error("list knows scenarios, points, holes and mutants, not \"%s\"%s",
					   argv[count > 1 ? 1 : 0], did_you_mean(argv[0], kinds));
}

const Command command_list = {
	.name = "list",
	.usage = "[scenarios|points|holes|mutants] [OPTION...]",
	.summary = "scenarios, fault points, PostgreSQL's holes that are closed, mutants",
	.run = run_list,
	.options = list_options,
};
