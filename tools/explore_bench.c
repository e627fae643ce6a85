/*
 * explore_bench.c
 *		See explore_bench.h.
 *
 * Searches are measured in time of the processor, real processes in time that passes.
 */
#include "explore_bench.h"

#include <inttypes.h>
#include <stdio.h>

#include "command.h"
#include "results/json_writer.h"

#define MIB (UINT64_C(1) << 20)

static double
rate(uint64_t count, double seconds)
{
	return seconds > 0 ? (double) count / seconds : 0;
}

static const struct
{
	const char *name, *unit, *program;
	ExploreStrategy strategy;
	unsigned crashes, recoverer_crashes;
	uint64_t schedules;
	const char *schedule; /* EXPLORE_REAL */
} rates[] = {
	{"floor: switch of stacks", "steps/s", "X", EXPLORE_FLOOR, 0, 0, 0, NULL},
	{"exhaustive S,X, 2 + 2 crashes", "transitions/s", "S,X", EXPLORE_EXHAUSTIVE, 2, 2, 0, NULL},
	{"random S,S", "schedules/s", "S,S", EXPLORE_RANDOM, 0, 0, 300000, NULL},
	{"random S,X", "schedules/s", "S,X", EXPLORE_RANDOM, 0, 0, 200000, NULL},
	{"pct 3 S,S,X, 1 crash", "schedules/s", "S,S,X", EXPLORE_PCT, 1, 0, 30000, NULL},
	{"real processes, 2 and a supervisor", "schedules/s", "S,X", EXPLORE_REAL, 0, 0, 200,
	 "0.1*2.0.1"},
	{"the same with a SIGKILL", "schedules/s", "S,X", EXPLORE_REAL, 1, 0, 200,
	 "0*3.1*3.0.1*2.K1.2*3"},
};

/* How many a second; 0 when it did not work. */
static double
measure(const Simulator *simulator, size_t which, bool (*interrupted)(void), ExploreCase *what,
		ExploreReport *report)
{
	ExploreConfig *config = &what->config;
	size_t position;
	double seconds = 0;

	*what = (ExploreCase){.config = {.supervisor = true, .seed = 1, .memory_limit = 1024 * MIB}};
	config->strategy = rates[which].strategy;
	config->crashes = rates[which].crashes;
	config->recoverer_crashes = rates[which].recoverer_crashes;
	config->schedules = rates[which].schedules;
	config->depth[0] = 3;
	config->depths = config->strategy == EXPLORE_PCT;
	config->schedule = &what->schedule;
	config->interrupted = interrupted;
	if (!explore_set_program(what, rates[which].program) ||
		(rates[which].schedule != NULL &&
		 !schedule_parse(rates[which].schedule, &what->schedule, &position)))
		return 0;
	if (config->strategy != EXPLORE_REAL)
	{
		if (!simulator->explore(EXPLORE_ABI, config, report) || report->end != EXPLORE_COMPLETE)
			return 0;
		return rate(config->strategy == EXPLORE_EXHAUSTIVE
						? report->transitions + report->crash_transitions
					: config->strategy == EXPLORE_FLOOR ? report->steps
														: report->schedules,
					report->processor_seconds);
	}
	for (uint64_t i = 0; i < config->schedules && !interrupted(); i++)
	{
		if (!simulator->explore(EXPLORE_ABI, config, report) || report->end != EXPLORE_COMPLETE)
			return 0;
		seconds += report->seconds;
	}
	return rate(config->schedules, seconds);
}

int
explore_bench(const Simulator *simulator, const ReportFiles *files, bool (*interrupted)(void))
{
	static ExploreCase what;
	static ExploreReport report;
	FILE *file = files->json != NULL ? open_output(files->json) : NULL;
	JsonWriter json;
	int status = EXIT_GOOD;

	if (files->json != NULL && file == NULL)
		return EXIT_INTERNAL;
	if (file != NULL)
	{
		json_begin(&json, file);
		json_object(&json, NULL);
		json_int(&json, "schema_version", 1);
		json_array(&json, "rates");
	}
	for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]) && !interrupted(); i++)
	{
		double per_second = measure(simulator, i, interrupted, &what, &report);

		if (per_second <= 0)
			status = EXIT_FINDINGS;
		if (reports_people(files) == stdout)
			(void) printf("%-36s %14.0f %s\n", rates[i].name, per_second, rates[i].unit);
		if (file == NULL)
			continue;
		json_object(&json, NULL);
		json_string(&json, "name", rates[i].name);
		json_string(&json, "unit", rates[i].unit);
		json_uint(&json, "per_second", (uint64_t) per_second);
		json_object_end(&json);
	}
	if (file != NULL)
	{
		json_array_end(&json);
		json_object_end(&json);
		if (!json_finish(&json) || !close_output(file, files->json))
			status = EXIT_INTERNAL;
	}
	return interrupted() ? EXIT_INTERRUPTED : status;
}
