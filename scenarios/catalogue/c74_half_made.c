/*
 * c74_half_made.c
 *		A server is killed between shmget and the end of its header, and then a file is removed by hand.
 *
 * The story: the segment has no header yet, so it says nothing of whose it is; only the announced key leads to it.  The
 * announcement is in the lockfile and in the guard file, and one of them is removed.
 *
 * PostgreSQL (postgresql.md i): the segment with its zero header is foreign for ever: one LEAKS per such death.
 * Ours: the next start removes it, whichever of the two files is left.
 */
#include "catalogue/catalogue.h"
#include "catalogue/story.h"
#include "oracle/leftovers.h"
#include "runner/faults.h"

typedef enum Removed
{
	REMOVED_NOTHING,
	REMOVED_LOCKFILE,
	REMOVED_GUARD,
	REMOVALS,
} Removed;

static const char *const removal_names[REMOVALS] = {"files-kept", "lockfile-removed",
													"guard-removed"};
static const char *const points[] = {"sysv/create/post-shmget", "sysv/create/post-shmat",
									 "sysv/create/recorded", "sysv/create/half-header"};
#define NPOINTS (sizeof(points) / sizeof(points[0]))

static void
list_cases(ScenarioCaseList *list)
{
	for (size_t point = 0; point < NPOINTS; point++)
	{
		for (int removed = 0; removed < REMOVALS; removed++)
		{
			ScenarioCase *added =
				scenario_case_add(list, "%s:%s", points[point], removal_names[removed]);

			if (added == NULL)
				return;
			added->text = points[point];
			added->param[0] = removed;
		}
	}
}

static ScenarioStatus
run_case(ScenarioContext *ctx, const ScenarioCase *which)
{
	bool killed;

	SCENARIO_TRY(faults_arm(ctx, "%s=#1 kill[proc=supervisor]", which->text));
	SCENARIO_TRY(short_life(ctx, HOLDFAST_MEMORY_MMAP, &killed));
	SCENARIO_REQUIRE(ctx, killed, "the server was not killed");
	SCENARIO_TRY(faults_disarm(ctx));
	SCENARIO_REQUIRE(ctx, leftovers_count_segments() == 1, "no half-made segment was left");
	if (which->param[0] == REMOVED_LOCKFILE)
		SCENARIO_TRY(remove_lockfile(ctx));
	if (which->param[0] == REMOVED_GUARD)
		SCENARIO_TRY(remove_guard(ctx));
	return served_clean_life(ctx);
}

static const char *const mutants[] = {"173-half-made-only-by-lockfile", NULL};

static const ScenarioHole holes[] = {
	{"i", "one segment LEAKS per death between shmget and header",
	 "the next start removes it, by lockfile or guard file", "*"},
	{0},
};

const Scenario scenario_c74_half_made = {
	.id = "c74-half-made",
	.summary = "killed before the header is whole, lockfile or guard removed: nothing leaks",
	.list = list_cases,
	.run = run_case,
	.deadline_ms = 15000,
	.mutants = mutants,
	.holes = holes,
};
