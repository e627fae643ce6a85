/*
 * c71_ipcrm.c
 *		The segment is removed (ipcrm) while processes are attached to it.
 *
 * The kernel keeps it until the last one detaches, under its id, but forgets its key: who looks by key finds the key free.
 *
 * The stories: the server runs; or its supervisor is dead and a worker is stopped.  The lockfile is kept, or removed too.
 *
 * PostgreSQL (postgresql.md e2): with the lockfile it refuses, by the id in line 7.  Without, it STARTS a second server beside
 * the processes of the first: both write the same files.
 * Ours: refuses in all of them: segments without key are looked at too, and the guard file is locked.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/shm.h>

#include "catalogue/catalogue.h"
#include "catalogue/story.h"

static ScenarioStatus
ipcrm(ScenarioContext *ctx)
{
	IpcMemoryId shmid;

	SCENARIO_TRY(recorded_key(ctx, NULL, &shmid));
	SCENARIO_REQUIRE(ctx, shmctl(shmid, IPC_RMID, NULL) == 0, "ipcrm: %s", strerror(errno));
	return SCENARIO_PASS;
}

static ScenarioStatus
orphan(ScenarioContext *ctx, HoldfastMemoryType memory, bool keep_lockfile, bool keep_guard)
{
	Served served = served_with(ctx, memory);
	pid_t worker;

	SCENARIO_TRY(served_up(ctx, &served));
	SCENARIO_TRY(make_orphan(ctx, &served, &worker));
	SCENARIO_TRY(ipcrm(ctx));
	if (!keep_lockfile)
		SCENARIO_TRY(remove_lockfile(ctx));
	if (!keep_guard)
		SCENARIO_TRY(remove_guard(ctx));
	SCENARIO_TRY(segment_forbids_start(ctx));
	SCENARIO_TRY(end_orphan(ctx, worker));
	return served_clean_life(ctx);
}

static ScenarioStatus
orphan_lockfile_kept(ScenarioContext *ctx, HoldfastMemoryType memory)
{
	return orphan(ctx, memory, true, true);
}

static ScenarioStatus
orphan_lockfile_removed(ScenarioContext *ctx, HoldfastMemoryType memory)
{
	return orphan(ctx, memory, false, true);
}

static ScenarioStatus
orphan_everything_removed(ScenarioContext *ctx, HoldfastMemoryType memory)
{
	return orphan(ctx, memory, false, false);
}

/* Stopped, so that it does not notice before the second one comes. */
static ScenarioStatus
server_lockfile_removed(ScenarioContext *ctx, HoldfastMemoryType memory)
{
	Served served = served_with(ctx, memory);

	SCENARIO_TRY(served_up(ctx, &served));
	SCENARIO_TRY(actor_stop(ctx, &served.supervisor));
	SCENARIO_TRY(ipcrm(ctx));
	SCENARIO_TRY(remove_lockfile(ctx));
	SCENARIO_TRY(segment_forbids_start(ctx));
	SCENARIO_TRY(actor_signal(ctx, &served.supervisor, SIGCONT));
	SCENARIO_TRY(actor_expect_exit(ctx, &served.supervisor, CLUSTER_IMMEDIATE));
	served_close(&served);
	return served_clean_life(ctx);
}

static ScenarioStatus
server_lockfile_kept(ScenarioContext *ctx, HoldfastMemoryType memory)
{
	Served served = served_with(ctx, memory), second = served_with(ctx, memory);

	SCENARIO_TRY(served_up(ctx, &served));
	SCENARIO_TRY(ipcrm(ctx));
	SCENARIO_TRY(served_start(ctx, &second));
	SCENARIO_TRY(served_refused(ctx, &second, "lock file \"postmaster.pid\" already exists",
								"Is another postmaster (PID"));
	/* It says so, restarts with a new one, and its bank balances. */
	SCENARIO_TRY(served_wait_said(ctx, &served, "was removed while it is in use"));
	SCENARIO_TRY(served_wait_said(ctx, &served, "reinitialized"));
	return served_down(ctx, &served);
}

static const Story stories[] = {
	{"orphan-lockfile-kept", orphan_lockfile_kept, true},
	{"orphan-lockfile-removed", orphan_lockfile_removed, true},
	{"orphan-everything-removed", orphan_everything_removed, true},
	{"server-lockfile-removed", server_lockfile_removed, true},
	{"server-lockfile-kept", server_lockfile_kept, true},
	{0},
};

STORIES_AS_CASES(stories)

static const char *const mutants[] = {"60-removed-is-gone", NULL};

static const ScenarioHole holes[] = {
	{"e2", "lockfile kept: refuses; lockfile removed: STARTS a second server",
	 "refuses in both, and the first server says that somebody removed its segment", "*"},
	{0},
};

const Scenario scenario_c71_ipcrm = {
	.id = "c71-ipcrm",
	.summary = "the segment is removed while it is in use: nobody starts beside its users",
	.list = list_cases,
	.run = run_case,
	.deadline_ms = 15000,
	.mutants = mutants,
	.holes = holes,
};
