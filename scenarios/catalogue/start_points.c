/*
 * start_points.c
 *		See start_points.h.
 */
#include "catalogue/start_points.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "inject/inject.h"

static bool
in_rooms(const char *point, const char *const *rooms, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strncmp(point, rooms[i], strlen(rooms[i])) == 0)
			return true;
	return false;
}

bool
start_point_belongs(const char *point)
{
	/* sysv/shm/ are the system calls themselves: c40-shm-errno's. */
	static const char *const rooms[] = {
		"sysv/create/", "sysv/exit/", "lockfile/",       "ipc/",
		"shmem/",       "proc/",      "lwlock/tranche/", "sysv/block/"};

	return in_rooms(point, rooms, sizeof(rooms) / sizeof(rooms[0]));
}

bool
restart_point_belongs(const char *point)
{
	static const char *const rooms[] = {"sysv/create/", "sysv/recycle/", "sysv/collision/",
										"sysv/attach/", "sysv/exit/",    "lockfile/"};

	return in_rooms(point, rooms, sizeof(rooms) / sizeof(rooms[0]));
}

static void
add_case(ScenarioCaseList *list, const InjectPointInfo *point, HoldfastMemoryType memory,
		 const char *suffix)
{
	ScenarioCase *added = scenario_case_add(list, "%s%s", point->name, suffix);

	if (added != NULL)
		added->param[0] = memory;
}

static bool
only_with_block(const char *point)
{
	return strncmp(point, "sysv/block/", strlen("sysv/block/")) == 0;
}

void
start_points_list(ScenarioCaseList *list)
{
	InjectPointInfo info;

	for (int i = 0; inject_point_at(i, &info); i++)
	{
		if (start_point_belongs(info.name))
			add_case(list, &info,
					 only_with_block(info.name) ? HOLDFAST_MEMORY_MMAP : HOLDFAST_MEMORY_SYSV, "");
	}
}

void
start_points_list_mmap(ScenarioCaseList *list)
{
	InjectPointInfo info;

	for (int i = 0; inject_point_at(i, &info); i++)
	{
		if (start_point_belongs(info.name) && !only_with_block(info.name))
			add_case(list, &info, HOLDFAST_MEMORY_MMAP, ":mmap");
	}
}

const char *
start_point_of(const ScenarioCase *which)
{
	static char point[SCENARIO_CASE_NAME_SIZE];

	(void) snprintf(point, sizeof(point), "%.*s", (int) strcspn(which->name, ":"), which->name);
	return point;
}

HoldfastMemoryType
start_memory_of(const ScenarioCase *which)
{
	return (HoldfastMemoryType) which->param[0];
}

static ScenarioStatus
expect_any_end(ScenarioContext *ctx, Served *served, bool *killed)
{
	int status = served->supervisor.wait_status;

	*killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
	if (*killed || (WIFEXITED(status) && WEXITSTATUS(status) == CLUSTER_STOPPED))
		return SCENARIO_PASS;
	served_log(ctx, served);
	return scenario_fail(ctx, "the server neither lived nor was killed: wait status %#x", status);
}

ScenarioStatus
short_life(ScenarioContext *ctx, HoldfastMemoryType memory, bool *killed)
{
	Served served = {.config = served_config(ctx)};

	served.config.memory.type = memory;
	served.config.workers = 1;
	served.config.pace_us = 100;
	SCENARIO_TRY(served_start(ctx, &served));
	SCENARIO_TRY(served_wait(ctx, &served));
	if (served.ready)
	{
		/* It may be dead already, or die of what it is told. */
		if (actor_alive(&served.supervisor))
			SCENARIO_TRY(actor_signal(ctx, &served.supervisor, SIGTERM));
		SCENARIO_TRY(actor_wait(ctx, &served.supervisor));
	}
	SCENARIO_TRY(expect_any_end(ctx, &served, killed));
	served_close(&served);
	return SCENARIO_PASS;
}

ScenarioStatus
workers_gone(ScenarioContext *ctx)
{
	pid_t workers[16];
	unsigned count;

	SCENARIO_TRY(served_pids(ctx, "worker", workers, 16, &count));
	for (unsigned i = 0; i < count; i++)
		SCENARIO_TRY(wait_for_pid_gone(ctx, workers[i]));
	return SCENARIO_PASS;
}
