/*
 * c50_orphan.c
 *		The supervisor is gone, a worker is not: its segment is an orphan, and the directory must not be taken.
 *
 * The story: one worker is stopped (SIGSTOP), then the supervisor is killed, so that the worker cannot leave.  The lockfile is
 * then left as it is, or tampered with.  A new start must refuse and say what PostgreSQL says; inspection must call it an
 * orphan with somebody attached.  When the worker is gone the next start recycles the segment.
 *
 * PostgreSQL (postgresql.md b, f2, g, e2, d2): refuses while the lockfile or the key leads to the segment; STARTS, beside the
 * orphan, when the lockfile was removed and the segment was removed with ipcrm (it lives on with key 0) or its key is not the
 * first one tried; a refused start over a lockfile without line 7 deletes that lockfile.
 * Ours: refuses in all of them, by lockfile, key, scan of all segments, and the guard file.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <unistd.h>

#include <holdfast/lockfile.h>

#include "catalogue/catalogue.h"
#include "runner/served.h"

#define IN_USE "pre-existing shared memory block"
#define HINT   "Terminate any old server processes associated with data directory"

typedef enum OrphanTwist
{
	TWIST_NONE,
	TWIST_LOCKFILE_REMOVED,
	TWIST_LINE_7_MISSING,
	TWIST_IPCRM,             /* the segment was removed, and is still attached */
	TWIST_IPCRM_NO_LOCKFILE, /* and the lockfile removed too */
	TWIST_FOREIGN_PID,       /* line 1 names a living stranger, as in a plain PostgreSQL file */
	TWIST_TWO_ORPHANS,       /* two workers are left */
	TWISTS,
} OrphanTwist;

static const char *const twist_names[TWISTS] = {
	"lockfile-kept",     "lockfile-removed", "line-7-missing", "ipcrm",
	"ipcrm-no-lockfile", "foreign-pid",      "two-workers",
};

static void
list_cases(ScenarioCaseList *list)
{
	scenario_cases_named(list, twist_names, TWISTS);
}

static ScenarioStatus
stop_process(ScenarioContext *ctx, pid_t pid)
{
	if (kill(pid, SIGSTOP) < 0)
		return scenario_error(ctx, "could not stop %d: %s", (int) pid, strerror(errno));
	return wait_for_pid_stopped(ctx, pid);
}

/* Kills the supervisor, keeps the first `kept` workers stopped, waits for the others to leave. */
static ScenarioStatus
orphan_them(ScenarioContext *ctx, Served *served, pid_t *kept_pids, unsigned kept)
{
	pid_t workers[16];
	unsigned count;

	SCENARIO_TRY(served_pids(ctx, "worker", workers, 16, &count));
	SCENARIO_REQUIRE(ctx, count >= kept, "only %u workers", count);
	for (unsigned i = 0; i < kept; i++)
	{
		SCENARIO_TRY(stop_process(ctx, workers[i]));
		kept_pids[i] = workers[i];
	}
	SCENARIO_TRY(actor_kill(ctx, &served->supervisor));
	served_close(served);
	for (unsigned i = kept; i < count; i++)
		SCENARIO_TRY(wait_for_pid_gone(ctx, workers[i]));
	return SCENARIO_PASS;
}

static ScenarioStatus
rewrite_lockfile(ScenarioContext *ctx, const char *path, bool without_segment, pid_t pid)
{
	HoldfastLockfile file;
	char bytes[HOLDFAST_LOCKFILE_SIZE_MAX];
	int fd;

	SCENARIO_REQUIRE(ctx, holdfast_lockfile_read(ctx->data_dir, &file) == HOLDFAST_OK,
					 "could not read the lockfile");
	if (without_segment)
		file.has_segment = false;
	if (pid)
	{
		file.is_ours = false; /* eight lines, as PostgreSQL's own */
		file.pid = pid;
	}

	Size length = holdfast_lockfile_format(&file, bytes, sizeof(bytes));

	fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	if (fd < 0 || write(fd, bytes, length) != (ssize_t) length)
		return scenario_error(ctx, "could not write the lockfile: %s", strerror(errno));
	close(fd);
	return SCENARIO_PASS;
}

static ScenarioStatus
remove_segment(ScenarioContext *ctx)
{
	HoldfastLockfile file;

	SCENARIO_REQUIRE(ctx, holdfast_lockfile_read(ctx->data_dir, &file) == HOLDFAST_OK,
					 "could not read the lockfile");
	if (shmctl((int) file.shmem_id, IPC_RMID, NULL) < 0)
		return scenario_error(ctx, "ipcrm: %s", strerror(errno));
	return SCENARIO_PASS;
}

static ScenarioStatus
twist_it(ScenarioContext *ctx, OrphanTwist twist)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/%s", ctx->data_dir, HOLDFAST_LOCKFILE_NAME);
	switch (twist)
	{
		case TWIST_LINE_7_MISSING:
			return rewrite_lockfile(ctx, path, true, 0);
		case TWIST_FOREIGN_PID:
			return rewrite_lockfile(ctx, path, false, getpid());
		case TWIST_IPCRM:
			return remove_segment(ctx);
		case TWIST_IPCRM_NO_LOCKFILE:
			SCENARIO_TRY(remove_segment(ctx));
			break;
		case TWIST_LOCKFILE_REMOVED:
			break;
		case TWIST_NONE:
		case TWIST_TWO_ORPHANS:
		case TWISTS:
			return SCENARIO_PASS;
	}
	SCENARIO_REQUIRE(ctx, unlink(path) == 0, "could not remove the lockfile");
	return SCENARIO_PASS;
}

/* The lockfile is what it was before a refused start. */
static ScenarioStatus
lockfile_is_there(ScenarioContext *ctx, bool wanted)
{
	char path[4096];
	struct stat status;
	bool there;

	snprintf(path, sizeof(path), "%s/%s", ctx->data_dir, HOLDFAST_LOCKFILE_NAME);
	there = stat(path, &status) == 0;
	SCENARIO_REQUIRE(ctx, there == wanted, "the refused start %s the lockfile",
					 there ? "left" : "deleted");
	return SCENARIO_PASS;
}

static ScenarioStatus
run_case(ScenarioContext *ctx, const ScenarioCase *which)
{
	OrphanTwist twist = (OrphanTwist) which->param[0];
	unsigned kept = twist == TWIST_TWO_ORPHANS ? 2 : 1;
	bool lockfile_gone = twist == TWIST_LOCKFILE_REMOVED || twist == TWIST_IPCRM_NO_LOCKFILE;
	Served first = {.config = served_config(ctx)}, second = {.config = served_config(ctx)};
	pid_t kept_pids[2];

	SCENARIO_TRY(served_up(ctx, &first));
	SCENARIO_TRY(orphan_them(ctx, &first, kept_pids, kept));
	SCENARIO_TRY(expect_inspect(ctx, HOLDFAST_INSPECT_ORPHAN, kept));
	SCENARIO_TRY(twist_it(ctx, twist));
	SCENARIO_TRY(served_start(ctx, &second));
	/* Line 1's stranger is the case's own first process: alive, and the parent of nobody's server but ours. */
	SCENARIO_TRY(served_refused(ctx, &second, IN_USE, HINT));
	SCENARIO_TRY(lockfile_is_there(ctx, !lockfile_gone));
	for (unsigned i = 0; i < kept; i++)
	{
		kill(kept_pids[i], SIGKILL);
		SCENARIO_TRY(wait_for_pid_gone(ctx, kept_pids[i]));
	}
	return served_clean_life(ctx);
}

static const ScenarioHole holes[] = {
	{"b", "refuses as long as a worker lives", "the same", "lockfile-kept"},
	{"f2", "refuses by the key, and DELETES the lockfile in passing", "refuses, and leaves it",
	 "line-7-missing"},
	{0},
};

static const char *const mutants[] = {"60-removed-is-gone", NULL};

const Scenario scenario_c50_orphan = {
	.id = "c50-orphan",
	.summary =
		"supervisor dead, worker alive: refused as PostgreSQL does, recycled when it is gone",
	.list = list_cases,
	.run = run_case,
	.deadline_ms = 15000,
	.mutants = mutants,
	.holes = holes,
};
