/*
 * c35_kill_twice.c
 *		The supervisor is killed, and so is the one that comes to mend what the first one left.
 *
 * The story: the first life ends at point A.  The second, which finds a stale lockfile, perhaps a segment without header,
 * perhaps a temporary file, ends at point B of its own start or exit.  The third must live, and leave nothing: no segment that
 * nobody knows any more, no lockfile that nobody understands.  Each case is one A, with every B in turn.
 *
 * PostgreSQL: two deaths leak two segments (postgresql.md i), and leave an empty lockfile to be removed by hand when
 * the second comes between open and write (f).
 */
#include "catalogue/catalogue.h"
#include "catalogue/start_points.h"
#include "runner/faults.h"

/* One life that dies at its first arrival at the point, if it comes there at all. */
static ScenarioStatus
life_that_dies_at(ScenarioContext *ctx, HoldfastMemoryType memory, const char *point, bool *killed)
{
	SCENARIO_TRY(faults_arm_nth(ctx, "%s=#1 kill[proc=supervisor]", point));
	SCENARIO_TRY(short_life(ctx, memory, killed));
	faults_end_loop();
	return workers_gone(ctx);
}

static ScenarioStatus
try_pair(ScenarioContext *ctx, HoldfastMemoryType memory, const char *first, const char *second)
{
	bool killed;
	ScenarioStatus status = life_that_dies_at(ctx, memory, first, &killed);

	if (status == SCENARIO_PASS && !killed)
		status = scenario_fail(ctx, "the supervisor does not come to %s", first);
	if (status == SCENARIO_PASS)
		status = life_that_dies_at(ctx, memory, second, &killed);
	if (status == SCENARIO_PASS)
		status = served_clean_life(ctx);
	if (status != SCENARIO_PASS)
		scenario_log(ctx, "first death at %s, second life %s %s", first,
					 killed ? "killed at" : "not killed at", second);
	return status;
}

static ScenarioStatus
run_case(ScenarioContext *ctx, const ScenarioCase *which)
{
	InjectPointInfo info;
	unsigned pairs = 0;

	for (int i = 0; inject_point_at(i, &info); i++)
	{
		if (!restart_point_belongs(info.name))
			continue;
		SCENARIO_TRY(try_pair(ctx, start_memory_of(which), start_point_of(which), info.name));
		pairs++;
	}
	SCENARIO_REQUIRE(ctx, pairs > 0, "no second point is registered");
	return SCENARIO_PASS;
}

static const char *const mutants[] = {"56-announced-key-forgotten", "57-temporary-truncated", NULL};

const Scenario scenario_c35_kill_twice = {
	.id = "c35-kill-twice",
	.summary =
		"killed in start or end, and again while the next start mends it: the third is clean",
	.list = start_points_list,
	.run = run_case,
	.deadline_ms = 60000,
	.mutants = mutants,
};
