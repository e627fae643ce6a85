/*
 * c76_two_namespaces.c
 *		Two containers, one data directory: each server is PID 1 of a namespace that knows nothing of the other.
 *
 * PostgreSQL (postgresql.md k, k2): with only one kind of namespace the second is refused, by PID or by segment; with PID and
 * IPC namespaces of its own the second server STARTS: its own PID is that of the lockfile, the segment does not exist for it,
 * both serve for ever and both find their lockfile in order.
 * Ours: the guard file's lock belongs to the kernel, not to a namespace: the second is refused.  When the first was killed,
 * its namespaces are gone with it and the second starts, whatever number its PID has.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <holdfast/lockfile.h>

#include "catalogue/catalogue.h"
#include "runner/served.h"

typedef struct Kind
{
	const char *name;
	int namespaces;
	const char *message; /* with which the second is refused */
} Kind;

static const Kind kinds[] = {
	{"pid", CLONE_NEWPID | CLONE_NEWNS, "pre-existing shared memory block"},
	{"ipc", CLONE_NEWIPC, "lock file \"postmaster.pid\" already exists"},
	{"pid+ipc", CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWNS, "data directory is still in use"},
};

enum
{
	PARAM_KIND,
	PARAM_FIRST_DEAD,
};

static void
list_cases(ScenarioCaseList *list)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		for (int dead = 0; dead <= 1; dead++)
		{
			ScenarioCase *added = scenario_case_add(list, "%s:%s", kinds[i].name,
													dead ? "first-was-killed" : "first-runs");

			if (!added)
				return;
			added->param[PARAM_KIND] = (long) i;
			added->param[PARAM_FIRST_DEAD] = dead;
		}
}

/* No process of any incarnation has the guard file's lock any more. */
static bool
guard_is_free(void *arg)
{
	struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	int fd = open(arg, O_RDWR | O_CLOEXEC);
	bool unlocked = fd >= 0 && fcntl(fd, F_OFD_GETLK, &whole) == 0 && whole.l_type == F_UNLCK;

	if (fd >= 0)
		close(fd);
	return unlocked;
}

static ScenarioStatus
run_case(ScenarioContext *ctx, const ScenarioCase *which)
{
	const Kind *kind = &kinds[which->param[PARAM_KIND]];
	Served first = {.config = served_config(ctx), .namespaces = kind->namespaces};
	Served second = first;
	char guard[4096];

	snprintf(guard, sizeof(guard), "%s/%s", ctx->data_dir, HOLDFAST_LOCKFILE_GUARD);
	SCENARIO_TRY(served_up(ctx, &first));
	if (!which->param[PARAM_FIRST_DEAD])
	{
		SCENARIO_TRY(served_start(ctx, &second));
		SCENARIO_TRY(served_refused(ctx, &second, kind->message, "HINT:"));
		SCENARIO_TRY(served_down(ctx, &first));
		return expect_nothing_left(ctx);
	}
	SCENARIO_TRY(actor_kill(ctx, &first.supervisor));
	served_close(&first);
	SCENARIO_TRY(wait_until(ctx, guard_is_free, guard, "the first container to be empty"));
	SCENARIO_TRY(served_up(ctx, &second));
	SCENARIO_TRY(served_down(ctx, &second));
	return expect_nothing_left(ctx);
}

static const ScenarioHole holes[] = {
	{"k", "PID namespace only: refuses, by the segment", "the same", "pid:*"},
	{"k", "IPC namespace only: refuses, by the PID", "the same", "ipc:*"},
	{"k2", "both namespaces, both PID 1: BOTH SERVE, for ever",
	 "refuses: the guard file's lock is the kernel's", "pid+ipc:*"},
	{0},
};

static const char *const mutants[] = {"65-guard-not-asked-when-stale", NULL};

const Scenario scenario_c76_two_namespaces = {
	.id = "c76-two-namespaces",
	.summary = "two containers on one data directory, each server PID 1: the second is refused",
	.list = list_cases,
	.run = run_case,
	.deadline_ms = 15000,
	.mutants = mutants,
	.holes = holes,
};
