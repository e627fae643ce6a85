/*
 * p10_postgresql_holes.c
 *		The holes that the crash scenarios show closed, shown open: the same stories with a real PostgreSQL 15.
 *
 * Each case asserts what PostgreSQL does, also where that is to lose data: so the left column of `holdfast list holes` is no
 * hearsay, and a PostgreSQL that does better makes a case fail.  A backend that lives on is played by one of its
 * auxiliary processes, stopped.  Skipped where PostgreSQL 15 is not installed, or there is no user but root.
 *
 * Ours, in the same situation: see the scenario that the hole's letter leads to.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <holdfast/lockfile.h>

#include "catalogue/catalogue.h"
#include "catalogue/postgres.h"
#include "oracle/leftovers.h"

#define IN_USE "pre-existing shared memory block"

static const char *
lockfile_path(const ScenarioContext *ctx)
{
	static char path[4096];

	snprintf(path, sizeof(path), "%s/%s", ctx->data_dir, HOLDFAST_LOCKFILE_NAME);
	return path;
}

static ScenarioStatus
segments_are(ScenarioContext *ctx, int wanted)
{
	int count = leftovers_count_segments();

	SCENARIO_REQUIRE(ctx, count == wanted, "%d segments instead of %d", count, wanted);
	return SCENARIO_PASS;
}

static ScenarioStatus
is_alive(ScenarioContext *ctx, pid_t orphan)
{
	SCENARIO_REQUIRE(ctx, kill(orphan, 0) == 0, "the orphan is gone");
	return SCENARIO_PASS;
}

/* It would be this directory's first key. */
static ScenarioStatus
squat(ScenarioContext *ctx, Stranger *stranger)
{
	struct stat info;

	SCENARIO_REQUIRE(ctx, stat(ctx->data_dir, &info) == 0, "stat: %s", strerror(errno));
	stranger->key = (IpcMemoryKey) info.st_ino;
	return stranger_make(ctx, stranger);
}

static ScenarioStatus
key_hole(ScenarioContext *ctx)
{
	Stranger stranger = {.size = 4096, .attach = true};
	Postgres first = {0}, second = {0};
	pid_t orphan;

	SCENARIO_TRY(squat(ctx, &stranger));
	SCENARIO_TRY(postgres_up(ctx, &first));
	SCENARIO_TRY(postgres_orphan(ctx, &first, &orphan));
	SCENARIO_TRY(stranger_remove(ctx, &stranger));
	SCENARIO_TRY(remove_lockfile(ctx));
	SCENARIO_TRY(postgres_up(ctx, &second)); /* beside the orphan */
	SCENARIO_TRY(is_alive(ctx, orphan));
	return segments_are(ctx, 2);
}

static ScenarioStatus
ipcrm(ScenarioContext *ctx, bool keep_lockfile)
{
	Postgres first = {0}, second = {0};
	unsigned long key;
	IpcMemoryId shmid;
	pid_t orphan;

	SCENARIO_TRY(postgres_up(ctx, &first));
	SCENARIO_TRY(postgres_orphan(ctx, &first, &orphan));
	SCENARIO_REQUIRE(ctx, postgres_segment(ctx, &key, &shmid), "no line 7");
	SCENARIO_REQUIRE(ctx, shmctl(shmid, IPC_RMID, NULL) == 0, "ipcrm: %s", strerror(errno));
	if (keep_lockfile)
		return postgres_refuses(ctx, IN_USE);
	SCENARIO_TRY(remove_lockfile(ctx));
	SCENARIO_TRY(postgres_up(ctx, &second));
	return is_alive(ctx, orphan);
}

static ScenarioStatus
ipcrm_lockfile_kept(ScenarioContext *ctx)
{
	return ipcrm(ctx, true);
}

static ScenarioStatus
ipcrm_lockfile_removed(ScenarioContext *ctx)
{
	return ipcrm(ctx, false);
}

static ScenarioStatus
line_7_missing(ScenarioContext *ctx)
{
	Postgres postgres = {0};
	HoldfastLockfile file;
	pid_t orphan;

	SCENARIO_TRY(postgres_up(ctx, &postgres));
	SCENARIO_TRY(postgres_orphan(ctx, &postgres, &orphan));
	SCENARIO_REQUIRE(ctx, holdfast_lockfile_read(ctx->data_dir, &file) == HOLDFAST_OK,
					 "cannot read PostgreSQL's lockfile");
	file.has_segment = false;
	SCENARIO_TRY(put_lockfile(ctx, &file));
	SCENARIO_REQUIRE(ctx, chown(lockfile_path(ctx), POSTGRES_UID, POSTGRES_UID) == 0, "chown: %s",
					 strerror(errno));
	SCENARIO_TRY(postgres_refuses(ctx, IN_USE));
	SCENARIO_REQUIRE(ctx, access(lockfile_path(ctx), F_OK) < 0,
					 "the refused start left the lockfile, which it is said to delete");
	return SCENARIO_PASS;
}

/* B's file is in place when A stops. */
static ScenarioStatus
replaced_lockfile(ScenarioContext *ctx)
{
	Postgres postgres = {0};
	HoldfastLockfile file;

	SCENARIO_TRY(postgres_up(ctx, &postgres));
	SCENARIO_REQUIRE(ctx, holdfast_lockfile_read(ctx->data_dir, &file) == HOLDFAST_OK,
					 "cannot read PostgreSQL's lockfile");
	file.pid = getpid();
	SCENARIO_TRY(put_lockfile(ctx, &file));
	SCENARIO_TRY(postgres_down(ctx, &postgres));
	SCENARIO_REQUIRE(ctx, access(lockfile_path(ctx), F_OK) < 0,
					 "A's exit left B's lockfile, which it is said to delete");
	return SCENARIO_PASS;
}

static int
end_at_once(ScenarioContext *ctx, void *arg)
{
	(void) ctx;
	(void) arg;
	return setuid(POSTGRES_UID) != 0;
}

/* Of its own user; it was somebody else's it would be stale. */
static ScenarioStatus
zombies_pid(ScenarioContext *ctx)
{
	HoldfastLockfile file = {.start_time_s = 1700000000, .port = 5432};
	Actor zombie;

	SCENARIO_TRY(actor_start(ctx, &zombie, "zombie", 1, end_at_once, NULL));
	SCENARIO_TRY(wait_for_pid_gone(ctx, zombie.pid));
	snprintf(file.data_dir, sizeof(file.data_dir), "%s", ctx->data_dir);
	file.pid = zombie.pid;
	SCENARIO_TRY(put_lockfile(ctx, &file));
	SCENARIO_REQUIRE(ctx, chown(lockfile_path(ctx), POSTGRES_UID, POSTGRES_UID) == 0, "chown: %s",
					 strerror(errno));
	SCENARIO_TRY(postgres_refuses(ctx, "lock file \"postmaster.pid\" already exists"));
	return actor_expect_exit(ctx, &zombie, 0);
}

static ScenarioStatus
half_made(ScenarioContext *ctx)
{
	Postgres dying = {.trouble = POSTGRES_DIES_AT_SHMAT}, next = {0};
	unsigned long key;
	IpcMemoryId shmid;
	struct stat info;

	SCENARIO_TRY(postgres_start(ctx, &dying));
	SCENARIO_REQUIRE(ctx, WIFSIGNALED(dying.postmaster.wait_status), "it was not killed at shmat");
	SCENARIO_TRY(segments_are(ctx, 1));
	SCENARIO_TRY(postgres_up(ctx, &next));
	SCENARIO_REQUIRE(ctx, postgres_segment(ctx, &key, &shmid), "no line 7");
	SCENARIO_REQUIRE(ctx, stat(ctx->data_dir, &info) == 0 && key == (uint32_t) info.st_ino + 1,
					 "it did not step aside for its own half-made segment");
	SCENARIO_TRY(postgres_down(ctx, &next));
	return segments_are(ctx, 1); /* leaked */
}

static ScenarioStatus
unrecorded(ScenarioContext *ctx)
{
	Postgres postgres = {.trouble = POSTGRES_NO_SPACE_AT_LINE};
	unsigned long key;
	IpcMemoryId shmid;

	SCENARIO_TRY(postgres_up(ctx, &postgres));
	SCENARIO_REQUIRE(ctx, !postgres_segment(ctx, &key, &shmid), "line 7 was written after all");
	return segments_are(ctx, 1);
}

static ScenarioStatus
both_pid_1(ScenarioContext *ctx)
{
	Postgres first = {.namespaces = CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWNS}, second = first;

	SCENARIO_TRY(postgres_up(ctx, &first));
	SCENARIO_TRY(postgres_up(ctx, &second));
	SCENARIO_REQUIRE(ctx, actor_alive(&first.postmaster) && actor_alive(&second.postmaster),
					 "one of the two ended");
	return SCENARIO_PASS;
}

static const struct
{
	const char *name;
	ScenarioStatus (*run)(ScenarioContext *ctx);
} cases[] = {
	{"d2-key-hole", key_hole},
	{"e2-ipcrm-lockfile-kept", ipcrm_lockfile_kept},
	{"e2-ipcrm-lockfile-removed", ipcrm_lockfile_removed},
	{"f2-line-7-missing", line_7_missing},
	{"g2-replaced-lockfile", replaced_lockfile},
	{"h-zombies-pid", zombies_pid},
	{"i-half-made", half_made},
	{"j-unrecorded", unrecorded},
	{"k2-both-pid-1", both_pid_1},
};

static void
list_cases(ScenarioCaseList *list)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		ScenarioCase *added = scenario_case_add(list, "%s", cases[i].name);

		if (added != NULL)
			added->param[0] = (long) i;
	}
}

static ScenarioStatus
run_case(ScenarioContext *ctx, const ScenarioCase *which)
{
	SCENARIO_TRY(postgres_prepare(ctx));
	return cases[which->param[0]].run(ctx);
}

static const char *const mutants[] = {"179-key-hole-with-lockfile", NULL};

static const ScenarioHole holes[] = {
	{"d2", "seen: the second one serves beside the orphan", "refuses (c70)", "d2-*"},
	{"e2", "seen: refuses with lockfile, serves without", "refuses (c71)", "e2-*"},
	{"f2", "seen: refuses, and the lockfile is gone", "refuses, and leaves it (c50)", "f2-*"},
	{"g2", "seen: B's lockfile is gone", "leaves it (c72)", "g2-*"},
	{"h", "seen: a zombie's PID refuses the start", "starts (c73)", "h-*"},
	{"i", "seen: steps aside for its own segment, which stays for ever", "recycles it (c74)",
	 "i-*"},
	{"j", "seen: serves without line 7", "refuses (c75)", "j-*"},
	{"k2", "seen: both serve", "refuses (c76)", "k2-*"},
	{0},
};

const Scenario scenario_p10_postgresql_holes = {
	.id = "p10-postgresql-holes",
	.summary = "a real PostgreSQL in the situations of c50 and c70 to c76 does what is said of it",
	.list = list_cases,
	.run = run_case,
	.deadline_ms = 60000,
	.mutants = mutants,
	.holes = holes,
};
