/*
 * start_points.c
 *		See start_points.h.
 */
#include "catalogue/start_points.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

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

/* A child of the sandbox's init that is not the case itself has lost its parent; a zombie has closed its files. */
static bool
is_orphan(const char *pid)
{
	char path[64], line[512];
	const char *rest;
	char state;
	int parent;
	bool read_it;
	FILE *file;

	if (snprintf(path, sizeof(path), "/proc/%.20s/stat", pid) >= (int) sizeof(path))
		return false;
	file = fopen(path, "re");
	if (file == NULL)
		return false;
	read_it = fgets(line, sizeof(line), file) != NULL;
	fclose(file);
	rest = read_it ? strrchr(line, ')') : NULL;
	return rest != NULL && sscanf(rest, ") %c %d", &state, &parent) == 2 && parent == 1 &&
		   state != 'Z';
}

/* 0: none. */
static pid_t
find_orphan(void)
{
	DIR *proc = opendir("/proc");
	pid_t found = 0;

	if (proc == NULL)
		return 0;
	for (struct dirent *entry; found == 0 && (entry = readdir(proc)) != NULL;)
	{
		pid_t pid = (pid_t) strtol(entry->d_name, NULL, 10);

		if (pid > 1 && pid != getpid() && is_orphan(entry->d_name))
			found = pid;
	}
	closedir(proc);
	return found;
}

/* Not by the slots: who is on the way out has none any more, and may have a share in the guard's lock still. */
ScenarioStatus
workers_gone(ScenarioContext *ctx)
{
	for (pid_t pid; (pid = find_orphan()) != 0;)
		SCENARIO_TRY(wait_for_pid_gone(ctx, pid));
	return SCENARIO_PASS;
}
