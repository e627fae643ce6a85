/*
 * campaign.c
 *		How fast the campaigns go, as `holdfast explore --bench` and `holdfast step --bench` say themselves, beside their
 *		floors: a bare switch of stacks, a bare single step.
 *
 * Floors are measured by the same programs in the same run.  Their JSON is read with jansson; built without it, the
 * group is empty and says so.
 */
#include "bench.h"

#include <string.h>

#ifdef HOLDFAST_BENCH_JANSSON

#include <jansson.h>

static const struct
{
	const char *name; /* as explore calls it */
	double least;     /* per second */
} explore_targets[] = {
	{"exhaustive S,X, 2 + 2 crashes", 1.4e6},
	{"random S,S", 1e6},
	{"real processes, 2 and a supervisor", 2000},
	{NULL, 0},
};

static void
add_rate(const char *name, const char *unit, double rate)
{
	Figure *figure = figure_add_one("campaign", name, unit, rate);

	for (int i = 0; explore_targets[i].name != NULL; i++)
	{
		if (strcmp(explore_targets[i].name, name) != 0)
			continue;
		figure->bound = FIGURE_AT_LEAST;
		figure->want = explore_targets[i].least;
	}
}

static void
add_explore(const json_t *root)
{
	size_t i;
	json_t *rate;

	json_array_foreach(json_object_get(root, "rates"), i, rate)
	{
		const char *name = json_string_value(json_object_get(rate, "name"));
		const char *unit = json_string_value(json_object_get(rate, "unit"));

		if (name != NULL && unit != NULL)
			add_rate(name, unit, json_number_value(json_object_get(rate, "per_second")));
	}
}

static void
add_step(const json_t *root)
{
	size_t i;
	json_t *engine;

	json_array_foreach(json_object_get(root, "engines"), i, engine)
	{
		const char *kind = json_string_value(json_object_get(engine, "engine"));
		char name[96];
		Figure *figure;

		if (kind == NULL)
			continue;
		(void) snprintf(name, sizeof(name), "step by %s", kind);
		figure =
			figure_add_one("campaign", name, "instr/s",
						   json_number_value(json_object_get(engine, "instructions_per_second")));
		figure->bound = FIGURE_AT_LEAST;
		figure->want = strcmp(kind, "tf") == 0 ? 65000 : 35000;
		(void) snprintf(name, sizeof(name), "floor: bare single step by %s", kind);
		(void) figure_add_one("campaign", name, "instr/s",
							  json_number_value(json_object_get(engine, "bare_steps_per_second")));
	}
}

static void
read_program(const char *command, void (*add)(const json_t *root))
{
	const char *const argv[] = {"holdfast", command, "--bench", "--json", "-", NULL};
	Program program;
	json_t *root;

	if (!program_start(&program, argv))
		return;
	root = json_loadf(program.out, JSON_DISABLE_EOF_CHECK, NULL);
	if (program_end(&program) && root != NULL)
		add(root);
	json_decref(root);
}

void
bench_campaign(void)
{
	read_program("explore", add_explore);
	read_program("step", add_step);
}

#else

void
bench_campaign(void)
{
	(void) fprintf(stderr, "holdfast-bench: no campaign figures: built without libjansson-dev\n");
}

#endif
