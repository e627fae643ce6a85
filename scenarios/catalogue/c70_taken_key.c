/*
 * c70_taken_key.c
 *		Somebody else has our key, or our id: the next one is used, and nothing at it is lost when he goes.
 *
 * The stories: a server that had to take the second key dies, and the stranger goes; or an orphan is left there, the lockfile is
 * removed, and the stranger goes; or the id in line 7 belongs to a stranger by the time of the next start.
 *
 * PostgreSQL (postgresql.md d, d2, e): leaks the segment at the higher key; STARTS a second server beside the orphan, because
 * the first key of the chain is free and it looks no further; takes a recycled id for foreign, unless its header is forged.
 * Ours: a scan of all segments finds what is ours wherever it is; nobody starts beside an orphan; what is not ours is not touched.
 */
#include <errno.h>
#include <string.h>
#include <sys/shm.h>

#include <holdfast/lockfile.h>

#include "catalogue/catalogue.h"
#include "catalogue/story.h"
#include "oracle/leftovers.h"

static ScenarioStatus
leaks_nothing(ScenarioContext *ctx, HoldfastMemoryType memory)
{
	Stranger stranger = {.size = 4096, .attach = true};
	Served served = served_with(ctx, memory);
	IpcMemoryKey key;

	SCENARIO_TRY(stranger_at_first_key(ctx, &stranger));
	SCENARIO_TRY(served_up(ctx, &served));
	SCENARIO_TRY(recorded_key(ctx, &key, NULL));
	SCENARIO_REQUIRE(ctx, key != stranger.key, "two segments under one key");
	SCENARIO_TRY(actor_kill(ctx, &served.supervisor));
	served_close(&served);
	SCENARIO_TRY(workers_gone(ctx));
	SCENARIO_TRY(stranger_untouched(ctx, &stranger));
	SCENARIO_TRY(stranger_remove(ctx, &stranger));
	SCENARIO_TRY(served_up(ctx, &served));
	SCENARIO_REQUIRE(ctx, leftovers_count_segments() == 1, "the segment at the higher key leaked");
	return served_down(ctx, &served);
}

static ScenarioStatus
key_hole(ScenarioContext *ctx, HoldfastMemoryType memory)
{
	Stranger stranger = {.size = 4096, .attach = true};
	Served served = served_with(ctx, memory);
	pid_t worker;

	SCENARIO_TRY(stranger_at_first_key(ctx, &stranger));
	SCENARIO_TRY(served_up(ctx, &served));
	SCENARIO_TRY(make_orphan(ctx, &served, &worker));
	SCENARIO_TRY(stranger_remove(ctx, &stranger));
	SCENARIO_TRY(remove_lockfile(ctx));
	SCENARIO_TRY(segment_forbids_start(ctx));
	SCENARIO_TRY(end_orphan(ctx, worker));
	return served_clean_life(ctx);
}

/* Without the guard file too: the segment alone forbids it. */
static ScenarioStatus
key_hole_without_guard(ScenarioContext *ctx, HoldfastMemoryType memory)
{
	Stranger stranger = {.size = 4096, .attach = true};
	Served served = served_with(ctx, memory);
	pid_t worker;

	SCENARIO_TRY(stranger_at_first_key(ctx, &stranger));
	SCENARIO_TRY(served_up(ctx, &served));
	SCENARIO_TRY(make_orphan(ctx, &served, &worker));
	SCENARIO_TRY(stranger_remove(ctx, &stranger));
	SCENARIO_TRY(remove_lockfile(ctx));
	SCENARIO_TRY(remove_guard(ctx));
	SCENARIO_TRY(segment_forbids_start(ctx));
	SCENARIO_TRY(end_orphan(ctx, worker));
	return served_clean_life(ctx);
}

/*
 * The kernel gives ids in order of their index; a segment that is made right after one was removed has another sequence
 * number, so the same id comes back only after thousands.  What the server would see is the same: line 7 names his.
 */
static ScenarioStatus
recycled_id(ScenarioContext *ctx, HoldfastMemoryType memory)
{
	Stranger stranger = {.size = 4096, .attach = true, .postgres_magic = true, .key = 4711};
	HoldfastLockfile file;
	Served served = served_with(ctx, memory);

	SCENARIO_TRY(served_up(ctx, &served));
	SCENARIO_TRY(actor_kill(ctx, &served.supervisor));
	served_close(&served);
	SCENARIO_TRY(workers_gone(ctx));
	SCENARIO_REQUIRE(ctx, holdfast_lockfile_read(ctx->data_dir, &file) == HOLDFAST_OK,
					 "could not read the lockfile");
	SCENARIO_REQUIRE(ctx, shmctl((int) file.shmem_id, IPC_RMID, NULL) == 0, "ipcrm: %s",
					 strerror(errno));
	SCENARIO_TRY(stranger_make(ctx, &stranger));
	file.shmem_id = (unsigned long) stranger.shmid;
	SCENARIO_TRY(put_lockfile(ctx, &file));
	SCENARIO_TRY(expect_inspect(ctx, HOLDFAST_INSPECT_FOREIGN, 1));
	SCENARIO_TRY(served_up(ctx, &served));
	SCENARIO_TRY(stranger_untouched(ctx, &stranger));
	SCENARIO_TRY(served_down(ctx, &served));
	return stranger_remove(ctx, &stranger);
}

static const Story stories[] = {
	{"leaks-nothing", leaks_nothing, true},
	{"key-hole", key_hole, true},
	{"key-hole-without-guard", key_hole_without_guard, true},
	{"recycled-id", recycled_id, false},
	{0},
};

STORIES_AS_CASES(stories)

static const char *const mutants[] = {"170-scan-stops-at-a-free-key", NULL};

static const ScenarioHole holes[] = {
	{"d", "leaks the segment at the higher key once the stranger goes", "recycles it by a scan",
	 "leaks-nothing*"},
	{"d2", "STARTS a second server beside the orphan", "refuses: the scan finds it", "key-hole*"},
	{"e", "takes the stranger's segment for foreign, unless its header is forged",
	 "the same, by a checksum of the header", "recycled-id"},
	{0},
};

const Scenario scenario_c70_taken_key = {
	.id = "c70-taken-key",
	.summary = "a stranger has our key and goes: nothing leaks, no orphan is overlooked",
	.list = list_cases,
	.run = run_case,
	.deadline_ms = 15000,
	.mutants = mutants,
	.holes = holes,
};
