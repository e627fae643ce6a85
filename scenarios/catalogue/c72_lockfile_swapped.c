/*
 * c72_lockfile_swapped.c
 *		The lockfile of a running server is removed, or another server's is put in its place.
 *
 * PostgreSQL (postgresql.md g, g2): looks every minute, at the PID only; until then a new start is stopped by its key probe
 * alone.  When A ends it removes whatever has the name of its lockfile, B's too, and B then shuts down in turn: an outage.
 * Ours: the kernel says at once that the file was touched; A leaves, and leaves alone what is not its own.  A new start is
 * refused as long as any process of A lives.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <holdfast/lockfile.h>

#include "catalogue/catalogue.h"
#include "catalogue/story.h"

static ScenarioStatus
leaves_at_once(ScenarioContext *ctx, Served *served)
{
	SCENARIO_TRY(actor_expect_exit(ctx, &served->supervisor, CLUSTER_IMMEDIATE));
	SCENARIO_REQUIRE(ctx, served_said(served, "data directory lock file is invalid"),
					 "it did not say why it shut down");
	served_close(served);
	return SCENARIO_PASS;
}

static ScenarioStatus
removed(ScenarioContext *ctx, HoldfastMemoryType memory)
{
	Served served = served_with(ctx, memory);

	SCENARIO_TRY(served_up(ctx, &served));
	SCENARIO_TRY(actor_stop(ctx, &served.supervisor));
	SCENARIO_TRY(remove_lockfile(ctx));
	SCENARIO_TRY(segment_forbids_start(ctx));
	SCENARIO_TRY(actor_signal(ctx, &served.supervisor, SIGCONT));
	SCENARIO_TRY(leaves_at_once(ctx, &served));
	return served_clean_life(ctx);
}

/* B's own file, with B alive: A's end must not take it away. */
static ScenarioStatus
replaced(ScenarioContext *ctx, HoldfastMemoryType memory)
{
	Served served = served_with(ctx, memory);
	HoldfastLockfile file;
	char path[4096];
	struct stat before, after;

	SCENARIO_TRY(served_up(ctx, &served));
	SCENARIO_REQUIRE(ctx, holdfast_lockfile_read(ctx->data_dir, &file) == HOLDFAST_OK,
					 "could not read the lockfile");
	file.pid = getpid();
	file.pid_start_time = 0;
	file.cookie.word[0] ^= 1;
	SCENARIO_TRY(put_lockfile(ctx, &file));
	snprintf(path, sizeof(path), "%s/%s", ctx->data_dir, HOLDFAST_LOCKFILE_NAME);
	SCENARIO_REQUIRE(ctx, stat(path, &before) == 0, "there is no lockfile");
	SCENARIO_TRY(leaves_at_once(ctx, &served));
	SCENARIO_REQUIRE(ctx, stat(path, &after) == 0 && before.st_ino == after.st_ino,
					 "A's exit removed B's lockfile");
	return remove_lockfile(ctx);
}

/* The same, and A is told to stop in order before it can notice. */
static ScenarioStatus
replaced_then_stopped(ScenarioContext *ctx, HoldfastMemoryType memory)
{
	Served served = served_with(ctx, memory);
	HoldfastLockfile file;
	char path[4096];
	struct stat after;

	SCENARIO_TRY(served_up(ctx, &served));
	SCENARIO_TRY(actor_stop(ctx, &served.supervisor));
	SCENARIO_REQUIRE(ctx, holdfast_lockfile_read(ctx->data_dir, &file) == HOLDFAST_OK,
					 "could not read the lockfile");
	file.cookie.word[1] ^= 1; /* the PID is A's: PostgreSQL would take it for its own */
	SCENARIO_TRY(put_lockfile(ctx, &file));
	SCENARIO_TRY(actor_signal(ctx, &served.supervisor, SIGTERM));
	SCENARIO_TRY(actor_signal(ctx, &served.supervisor, SIGCONT));
	SCENARIO_TRY(actor_wait(ctx, &served.supervisor));
	served_close(&served);
	snprintf(path, sizeof(path), "%s/%s", ctx->data_dir, HOLDFAST_LOCKFILE_NAME);
	SCENARIO_REQUIRE(ctx, stat(path, &after) == 0, "A's exit removed B's lockfile");
	return remove_lockfile(ctx);
}

static const Story stories[] = {
	{"removed", removed, true},
	{"replaced", replaced, true},
	{"replaced-then-stopped", replaced_then_stopped, false},
	{0},
};

STORIES_AS_CASES(stories)

static const char *const mutants[] = {"171-exit-removes-any-lockfile", NULL};

static const ScenarioHole holes[] = {
	{"g", "notices within two minutes; until then only the key stops a new start",
	 "notices at once; a new start is refused by segment and guard", "removed*"},
	{"g2", "A's exit DELETES B's lockfile, and B shuts down", "A leaves B's lockfile alone",
	 "replaced*"},
	{0},
};

const Scenario scenario_c72_lockfile_swapped = {
	.id = "c72-lockfile-swapped",
	.summary =
		"the lockfile is removed or replaced: its server leaves at once, and only its own goes",
	.list = list_cases,
	.run = run_case,
	.deadline_ms = 15000,
	.mutants = mutants,
	.holes = holes,
};
