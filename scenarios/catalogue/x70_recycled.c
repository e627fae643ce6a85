/*
 * x70_recycled.c
 *		Numbers that were the dead server's are somebody else's now: its PID, its segment's id and key, the boot.
 *
 * The story: a server is killed with its workers.  Then a stranger is given what the lockfile names, by force
 * (inject/identity), and a server is started.  Or the server lives, and only its numbers look different: another boot id in
 * a container, a starter whose clocks count from another moment.
 * The oracle: the dead never keep a server from starting, strangers keep what is theirs, the living are never taken over.
 *
 * PostgreSQL (postgresql.md h, e): a recycled PID of the same user refuses the start, whatever boot it is; a recycled shmid
 * is found to be foreign by its header.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <unistd.h>

#include <holdfast/lockfile.h>
#include <holdfast/recovery.h>

#include "catalogue/catalogue.h"
#include "catalogue/collision.h"
#include "catalogue/start_points.h"
#include "inject/identity/identity.h"
#include "runner/faults.h"
#include "runner/served.h"

#define OTHER_BOOT "01234567-89ab-4def-8123-456789abcdef"
#define SECOND_NS  INT64_C(1000000000)
#define STRANGE    0x5a /* what a stranger has written */

typedef enum Twist
{
	TWIST_PID,              /* a stranger has the PID */
	TWIST_PID_AND_START,    /* and, as far as can be seen, was started when the server was */
	TWIST_OTHER_BOOT,       /* likewise, but the machine was booted in between */
	TWIST_OTHER_BOOT_ALIVE, /* the boot id is another's, the server lives */
	TWIST_OTHER_CLOCKS,     /* the starter's clocks are off, the server lives */
	TWIST_SHMID,            /* a stranger's segment has the id */
	TWIST_SHMID_AND_KEY,    /* and the key */
	TWIST_SHMID_ATTACHED,   /* and the stranger is attached */
	TWIST_CLOCK_BACK,       /* a clock that says 1926 */
	TWIST_CLOCK_AHEAD,      /* and one that says 2126 */
	TWISTS
} Twist;

static const char *const twist_names[TWISTS] = {
	"pid",   "pid-and-start", "other-boot",     "other-boot-alive", "other-clocks",
	"shmid", "shmid-and-key", "shmid-attached", "clock-back",       "clock-ahead",
};

static void
list_cases(ScenarioCaseList *list)
{
	scenario_cases_named(list, twist_names, TWISTS);
}

/* ---- the dead server ---- */

static ScenarioStatus
live_and_die(ScenarioContext *ctx, HoldfastLockfile *left)
{
	Served first = {.config = served_config(ctx)};

	SCENARIO_TRY(served_up(ctx, &first));
	SCENARIO_TRY(actor_kill(ctx, &first.supervisor));
	served_close(&first);
	SCENARIO_TRY(workers_gone(ctx));
	SCENARIO_REQUIRE(ctx, holdfast_lockfile_read(ctx->data_dir, left) == HOLDFAST_OK,
					 "the dead server's lockfile cannot be read");
	return SCENARIO_PASS;
}

static ScenarioStatus
start_and_stop(ScenarioContext *ctx)
{
	Served second = {.config = served_config(ctx)};

	SCENARIO_TRY(served_up(ctx, &second));
	return served_down(ctx, &second);
}

/* What does not work on this machine is no failure of the library's. */
static ScenarioStatus
cannot(ScenarioContext *ctx, const char *what)
{
	return scenario_skip(ctx, "%s: %s (see `holdfast doctor`)", what, strerror(errno));
}

/* ---- processes ---- */

static ScenarioStatus
start_stranger(ScenarioContext *ctx, pid_t pid, pid_t *stranger)
{
	*stranger = identity_fork_as(pid);
	if (*stranger < 0)
		return cannot(ctx, "no process can be given a PID");
	if (*stranger == 0)
	{
		(void) prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			(void) pause();
	}
	return SCENARIO_PASS;
}

static void
end_stranger(pid_t stranger)
{
	(void) kill(stranger, SIGKILL);
	while (waitpid(stranger, NULL, 0) < 0 && errno == EINTR)
		;
}

/* The lockfile says that the server was started when the stranger was. */
static ScenarioStatus
same_start(ScenarioContext *ctx, const HoldfastLockfile *left, pid_t stranger)
{
	HoldfastLockfile file = *left;

	file.pid_start_time = holdfast_process_start_time(stranger);
	SCENARIO_REQUIRE(ctx, file.pid_start_time != 0, "the stranger's start time cannot be read");
	return put_lockfile(ctx, &file);
}

static ScenarioStatus
run_pid(ScenarioContext *ctx, const HoldfastLockfile *left, Twist twist)
{
	Served second = {.config = served_config(ctx)};
	ScenarioStatus status;
	pid_t stranger;

	SCENARIO_TRY(start_stranger(ctx, left->pid, &stranger));
	if (twist != TWIST_PID)
		SCENARIO_TRY(same_start(ctx, left, stranger));
	if (twist == TWIST_OTHER_BOOT)
	{
		/* the machine's segments did not survive either */
		(void) shmctl((int) left->shmem_id, IPC_RMID, NULL);
		if (!identity_boot_id_set(OTHER_BOOT, ctx->work_dir))
			return cannot(ctx, "no other boot id");
	}
	if (twist != TWIST_PID_AND_START)
		status = start_and_stop(ctx);
	else
	{
		/* Nobody could tell that one from the server: it is refused, and only while the stranger is there. */
		SCENARIO_TRY(served_start(ctx, &second));
		SCENARIO_TRY(
			served_refused(ctx, &second, "lock file \"postmaster.pid\" already exists", "HINT:"));
		status = SCENARIO_PASS;
	}
	end_stranger(stranger);
	return status == SCENARIO_PASS ? start_and_stop(ctx) : status;
}

/* ---- a server that lives ---- */

static ScenarioStatus
run_alive(ScenarioContext *ctx, Twist twist)
{
	Served first = {.config = served_config(ctx)};
	Served second = first;

	SCENARIO_TRY(served_up(ctx, &first));
	if (twist == TWIST_OTHER_BOOT_ALIVE && !identity_boot_id_set(OTHER_BOOT, ctx->work_dir))
		return cannot(ctx, "no other boot id");
	if (twist == TWIST_OTHER_CLOCKS && !identity_clocks_for_children(0, 1000 * SECOND_NS))
		return cannot(ctx, "no time namespace");
	SCENARIO_TRY(served_start(ctx, &second));
	SCENARIO_TRY(served_refused(
		ctx, &second, twist == TWIST_OTHER_CLOCKS ? "already exists" : "still in use", "HINT:"));
	if (twist == TWIST_OTHER_BOOT_ALIVE && !identity_boot_id_restore())
		return scenario_error(ctx, "the boot id cannot be restored: %s", strerror(errno));
	SCENARIO_TRY(served_down(ctx, &first));
	return SCENARIO_PASS;
}

/* ---- segments ---- */

static ScenarioStatus
run_shmid(ScenarioContext *ctx, const HoldfastLockfile *left, Twist twist)
{
	int shmid = (int) left->shmem_id;
	key_t key = twist == TWIST_SHMID ? 4711 : (key_t) left->shmem_key;
	struct shmid_ds info;
	unsigned char *bytes;
	size_t strange = 0;

	SCENARIO_REQUIRE(ctx, shmctl(shmid, IPC_RMID, NULL) == 0, "the segment was gone: %s",
					 strerror(errno));
	if (identity_shmget_as(shmid, key, 8192, 0600) != shmid)
		return cannot(ctx, "no segment can be given an id");
	bytes = shmat(shmid, NULL, 0);
	SCENARIO_REQUIRE(ctx, bytes != (void *) -1, "shmat: %s", strerror(errno));
	memset(bytes, STRANGE, 8192);
	if (twist != TWIST_SHMID_ATTACHED)
		(void) shmdt(bytes);
	SCENARIO_TRY(start_and_stop(ctx));
	SCENARIO_REQUIRE(ctx,
					 shmctl(shmid, IPC_STAT, &info) == 0 && (info.shm_perm.mode & SHM_DEST) == 0,
					 "the stranger's segment was removed");
	if (twist != TWIST_SHMID_ATTACHED)
		bytes = shmat(shmid, NULL, SHM_RDONLY);
	while (bytes != (void *) -1 && strange < 8192 && bytes[strange] == STRANGE)
		strange++;
	SCENARIO_REQUIRE(ctx, strange == 8192, "the stranger's segment was written to");
	(void) shmdt(bytes);
	(void) shmctl(shmid, IPC_RMID, NULL);
	return SCENARIO_PASS;
}

/* ---- clocks ---- */

/* The lockfile says when the server was started; whatever that is, the file must be readable and the server run. */
static ScenarioStatus
run_clock(ScenarioContext *ctx, Twist twist)
{
	Served served = {.config = served_config(ctx)};
	HoldfastLockfile file;

	SCENARIO_TRY(faults_arm(ctx, "clock/time=jump(%s876000h)[proc=supervisor]",
							twist == TWIST_CLOCK_BACK ? "-" : ""));
	SCENARIO_TRY(served_up(ctx, &served));
	SCENARIO_REQUIRE(ctx,
					 holdfast_lockfile_read(ctx->data_dir, &file) == HOLDFAST_OK && file.is_ours,
					 "the lockfile cannot be read");
	SCENARIO_TRY(expect_inspect(ctx, HOLDFAST_INSPECT_IN_USE, 1));
	SCENARIO_TRY(served_down(ctx, &served));
	return faults_disarm(ctx);
}

static ScenarioStatus
run_case(ScenarioContext *ctx, const ScenarioCase *which)
{
	Twist twist = (Twist) which->param[0];
	HoldfastLockfile left;

	if (twist == TWIST_OTHER_BOOT_ALIVE || twist == TWIST_OTHER_CLOCKS)
		SCENARIO_TRY(run_alive(ctx, twist));
	else if (twist == TWIST_CLOCK_BACK || twist == TWIST_CLOCK_AHEAD)
		SCENARIO_TRY(run_clock(ctx, twist));
	else
	{
		SCENARIO_TRY(live_and_die(ctx, &left));
		SCENARIO_TRY(twist <= TWIST_OTHER_BOOT ? run_pid(ctx, &left, twist)
											   : run_shmid(ctx, &left, twist));
	}
	return expect_nothing_left(ctx);
}

static const char *const mutants[] = {"65-guard-not-asked-when-stale", "90-start-time-not-compared",
									  "91-boot-not-compared",          "92-no-time-before-1970",
									  "93-stranger-is-in-use",         NULL};

const Scenario scenario_x70_recycled = {
	.id = "x70-recycled",
	.summary =
		"PID, shmid, key, boot id of the dead are a stranger's; clocks are off: nobody is fooled",
	.list = list_cases,
	.run = run_case,
	.deadline_ms = 20000,
	.mutants = mutants,
};
