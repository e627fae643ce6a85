/*
 * c80_shm_story.c
 *		The whole story of PostgreSQL's own test of this layer (src/test/recovery/t/017_shm.pl), and what it leaves unasked.
 *
 *		1 a stranger has the first key; the server takes the next one
 *		2 an orderly restart: the same
 *		3 kill -9, start: the segment is recycled
 *		4 the stranger goes, kill -9, start: the first key again
 *		5 the stranger is back, start, stop
 *		6 a worker lives on, kill -9, the lockfile is removed: a start is refused; the worker goes: a start is good
 *
 * PostgreSQL: after 4 the segment at the next key is leaked, as the test itself says, until 5 happens to find it; only 6 is
 * asserted.
 * Ours: every step is asserted, and there is never a segment more than there should be.
 */
#include "catalogue/catalogue.h"
#include "catalogue/story.h"
#include "oracle/leftovers.h"

static ScenarioStatus
segments_are(ScenarioContext *ctx, int wanted, const char *when)
{
	int count = leftovers_count_segments();

	SCENARIO_REQUIRE(ctx, count == wanted, "%d segments instead of %d %s", count, wanted, when);
	return SCENARIO_PASS;
}

static ScenarioStatus
up_at(ScenarioContext *ctx, Served *served, const Stranger *stranger, bool first_key_taken)
{
	IpcMemoryKey key;

	SCENARIO_TRY(served_up(ctx, served));
	SCENARIO_TRY(recorded_key(ctx, &key, NULL));
	SCENARIO_REQUIRE(ctx, (key != stranger->key) == first_key_taken, "the wrong key: %d",
					 (int) key);
	return segments_are(ctx, first_key_taken ? 2 : 1, "while it runs");
}

static ScenarioStatus
kill9(ScenarioContext *ctx, Served *served)
{
	SCENARIO_TRY(actor_kill(ctx, &served->supervisor));
	served_close(served);
	return workers_gone(ctx);
}

static ScenarioStatus
shm_017(ScenarioContext *ctx, HoldfastMemoryType memory)
{
	Stranger stranger = {.size = 1024, .attach = true};
	Served served = served_with(ctx, memory);
	pid_t worker;

	SCENARIO_TRY(stranger_at_first_key(ctx, &stranger));
	SCENARIO_TRY(up_at(ctx, &served, &stranger, true));
	SCENARIO_TRY(served_down(ctx, &served));
	SCENARIO_TRY(segments_are(ctx, 1, "after an orderly end"));
	SCENARIO_TRY(up_at(ctx, &served, &stranger, true));
	SCENARIO_TRY(kill9(ctx, &served));
	SCENARIO_TRY(up_at(ctx, &served, &stranger, true));
	SCENARIO_TRY(stranger_untouched(ctx, &stranger));
	SCENARIO_TRY(stranger_remove(ctx, &stranger));
	SCENARIO_TRY(kill9(ctx, &served));
	/* Here PostgreSQL has two: its own, and the leaked one. */
	SCENARIO_TRY(up_at(ctx, &served, &stranger, false));
	SCENARIO_TRY(served_down(ctx, &served));
	SCENARIO_TRY(stranger_make(ctx, &stranger));
	SCENARIO_TRY(up_at(ctx, &served, &stranger, true));
	SCENARIO_TRY(make_orphan(ctx, &served, &worker));
	SCENARIO_TRY(remove_lockfile(ctx));
	SCENARIO_TRY(segment_forbids_start(ctx));
	SCENARIO_TRY(end_orphan(ctx, worker));
	SCENARIO_TRY(up_at(ctx, &served, &stranger, true));
	SCENARIO_TRY(served_down(ctx, &served));
	SCENARIO_TRY(stranger_untouched(ctx, &stranger));
	return stranger_remove(ctx, &stranger);
}

static const Story stories[] = {
	{"017_shm", shm_017, true},
	{0},
};

STORIES_AS_CASES(stories)

static const char *const mutants[] = {"178-recycles-one-key-only", NULL};

static const ScenarioHole holes[] = {
	{"d", "017_shm.pl: admits a leaked segment at the higher key", "asserts each step, leaks none",
	 "*"},
	{0},
};

const Scenario scenario_c80_shm_story = {
	.id = "c80-shm-story",
	.summary = "PostgreSQL's 017_shm.pl, every step asserted: no segment too many",
	.list = list_cases,
	.run = run_case,
	.deadline_ms = 20000,
	.mutants = mutants,
	.holes = holes,
};
