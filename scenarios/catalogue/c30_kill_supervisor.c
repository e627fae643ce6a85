/*
 * c30_kill_supervisor.c
 *		The supervisor is killed at every step of its start and of its end, and started again.
 *
 * The story: at the n-th arrival at the point the supervisor is killed, for n = 1, 2, 3 ... until a whole life passes without
 * the point being reached that often: so every arrival is tried, and nobody has to know how many there are.  After
 * each death workers leave by themselves, and the next start must succeed at once and leave nothing behind.
 *
 * PostgreSQL (postgresql.md i, c): a death between shmget and the record in the lockfile leaks a segment for ever, as its
 * header is still zero and the next start takes it for a stranger's; an empty lockfile has to be removed by hand.
 * Ours: the intended key is on disk before shmget, the lockfile is replaced as a whole: nothing leaks, nothing is refused.
 */
#include "catalogue/catalogue.h"
#include "catalogue/start_points.h"
#include "runner/faults.h"

#define ARRIVALS_MAX 200

/* A supervisor died.  Whatever it left, the next one lives, and leaves nothing. */
static ScenarioStatus
next_start_is_clean(ScenarioContext *ctx, unsigned nth)
{
	ScenarioStatus status;

	faults_end_loop();
	status = workers_gone(ctx);
	if (status == SCENARIO_PASS)
		status = served_clean_life(ctx);
	if (status != SCENARIO_PASS)
		scenario_log(ctx, "after the death at arrival %u", nth);
	return status;
}

static void
list_cases(ScenarioCaseList *list)
{
	start_points_list(list);
	start_points_list_mmap(list);
}

static ScenarioStatus
run_case(ScenarioContext *ctx, const ScenarioCase *which)
{
	unsigned nth = 1, deaths = 0;
	bool killed = true;

	for (; killed && nth <= ARRIVALS_MAX; nth++)
	{
		SCENARIO_TRY(
			faults_arm_nth(ctx, "%s=#%u kill[proc=supervisor]", start_point_of(which), nth));
		SCENARIO_TRY(short_life(ctx, start_memory_of(which), &killed));
		deaths += killed;
		if (killed)
			SCENARIO_TRY(next_start_is_clean(ctx, nth));
	}
	scenario_log(ctx, "%u deaths", deaths);
	SCENARIO_REQUIRE(ctx, deaths > 0, "a supervisor never comes to this point");
	SCENARIO_REQUIRE(ctx, !killed, "still reached at arrival %d", ARRIVALS_MAX);
	faults_end_loop();
	return expect_nothing_left(ctx);
}

static const ScenarioHole holes[] = {
	{"c", "recycles, unless a worker is still on its way out: then spurious FATAL",
	 "recycles; looks again for a moment before it refuses", "*"},
	{0},
};

static const char *const mutants[] = {"55-no-half-made", NULL};

const Scenario scenario_c30_kill_supervisor = {
	.id = "c30-kill-supervisor",
	.summary = "the supervisor is killed at every step of start and end: the next start is clean",
	.list = list_cases,
	.run = run_case,
	.deadline_ms = 30000,
	.mutants = mutants,
	.holes = holes,
};
