/*
 * test_start_deaths.c
 *		A server that dies at each step of its start and stop, once and twice in a row, and one whose every system call
 *		fails in each way it can: the next start is good, and nothing is left in the end.
 *
 * What there is to break is learnt from a run that is watched, so that a new point is swept without a word here.  A kill is
 * a real SIGKILL of a real child.  Data directories lie in memory (/dev/shm) when they can: some thousand starts fsync.
 */
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <unistd.h>

#include <holdfast/ipc.h>
#include <holdfast/lockfile.h>
#include <holdfast/pg_shmem.h>

#include "inject.h"

#define REFUSED    3
#define EVENTS_MAX 512

static char dir[64];

static void
prepare(void)
{
	InjectError error;
	const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";

	if (geteuid() != 0)
		cr_skip_test("needs IPC namespaces of its own");
	(void) snprintf(dir, sizeof(dir), "%s/holdfast-deaths-XXXXXX", base);
	cr_assert(mkdtemp(dir) != NULL);
	cr_assert(holdfast_set_data_directory(dir) == HOLDFAST_OK);
	cr_assert(inject_table_create(&error) == INJECT_OK, "%s", error.message);
}

TestSuite(deaths, .timeout = 300, .init = prepare);

/*
 * An IPC namespace without a past.  In an old one the kernel's next index, and with it the number of calls of a scan, grows
 * with each segment.
 */
static void
fresh_namespace(void)
{
	cr_assert(unshare(CLONE_NEWIPC) == 0);
}

/* ---- one life ---- */

static int
live(void)
{
	PGShmemHeader *header;

	if (CreateDataDirLockFile(true) < 0 || PGSharedMemoryCreate(8192, &header) < 0 ||
		AddToDataDirLockFile(LOCK_FILE_LINE_PM_STATUS, "ready") < 0)
	{
		bool said = holdfast_last_error()->level >= HOLDFAST_ERROR &&
					holdfast_last_error()->message[0] != '\0';

		shmem_exit(1);
		UnlinkLockFiles(1, 0);
		return said ? REFUSED : 4;
	}
	shmem_exit(0);
	UnlinkLockFiles(0, 0);
	return 0;
}

/* Exit status, or 1000 + signal. */
static int
life(void)
{
	pid_t pid = fork();
	int status;

	cr_assert(pid >= 0);
	if (pid == 0)
	{
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		on_exit_reset();
		inject_set_role("server", 1);
		_exit(live());
	}
	cr_assert(waitpid(pid, &status, 0) == pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static int
segments(void)
{
	struct shm_info info;

	cr_assert(shmctl(0, SHM_INFO, (struct shmid_ds *) (void *) &info) >= 0);
	return info.used_ids;
}

/* The undisturbed start after all deaths: good, and it leaves the guard only. */
static void
good_end(const char *story)
{
	struct dirent *file;
	DIR *list;
	int status;

	inject_disarm_all();
	status = life();
	cr_assert(status == 0, "%s: the next start ended with %d", story, status);
	cr_assert(segments() == 0, "%s: %d segments are left", story, segments());
	list = opendir(dir);
	while ((file = readdir(list)) != NULL)
	{
		if (file->d_name[0] != '.')
			cr_assert(strcmp(file->d_name, HOLDFAST_LOCKFILE_GUARD) == 0, "%s: %s is left", story,
					  file->d_name);
	}
	closedir(list);
}

static void
remove_dir(void)
{
	char path[160];

	(void) snprintf(path, sizeof(path), "%s/%s", dir, HOLDFAST_LOCKFILE_GUARD);
	(void) unlink(path);
	cr_assert(rmdir(dir) == 0);
}

/* ---- what there is to break ---- */

typedef struct Event
{
	char point[INJECT_NAME_SIZE];
	uint64_t nth;
	const int *errnos;
} Event;

static Event events[EVENTS_MAX];
static int nevents;

static bool
is_in_scope(const char *point)
{
	return strncmp(point, "lockfile/", 9) == 0 || strncmp(point, "sysv/", 5) == 0 ||
		   strncmp(point, "ipc/", 4) == 0 || strncmp(point, "file/", 5) == 0;
}

/* Every arrival at a point, in a life that follows a death (there is more to do then) or a clean one. */
static void
learn(bool after_a_death)
{
	InjectPointInfo info;

	fresh_namespace();
	if (after_a_death)
	{
		cr_assert(inject_arm("sysv/create/header=#1 kill", NULL) == INJECT_OK);
		cr_assert(life() == 1000 + SIGKILL);
		inject_disarm_all();
	}
	/* Arming sets the counters to zero; this one waits for a role that nobody has. */
	cr_assert(inject_arm("sysv/create/header=kill[proc=nobody]", NULL) == INJECT_OK);
	inject_observe(true);
	cr_assert(life() == 0);
	inject_observe(false);
	nevents = 0;
	for (int i = 0; inject_point_at(i, &info); i++)
	{
		for (uint64_t nth = 1; is_in_scope(info.name) && nth <= info.hits; nth++)
		{
			cr_assert(nevents < EVENTS_MAX);
			(void) snprintf(events[nevents].point, INJECT_NAME_SIZE, "%s", info.name);
			events[nevents].nth = nth;
			events[nevents++].errnos = info.errnos;
		}
	}
	cr_assert(nevents > 60, "only %d events", nevents);
}

/* True when it died there. */
static bool
die_at(const Event *event)
{
	char plan[128];
	InjectError error;
	int status;

	(void) snprintf(plan, sizeof(plan), "%s=#%lu kill", event->point, (unsigned long) event->nth);
	cr_assert(inject_arm(plan, &error) == INJECT_OK, "%s: %s", plan, error.message);
	status = life();
	cr_assert(status == 1000 + SIGKILL || status == 0, "%s ended with %d", plan, status);
	return status != 0;
}

/* ---- deaths ---- */

Test(deaths, once_anywhere)
{
	char story[128];

	for (int after = 0; after <= 1; after++)
	{
		learn(after == 1);
		for (int i = 0; i < nevents; i++)
		{
			(void) snprintf(story, sizeof(story), "death at %.63s #%lu%s", events[i].point,
							(unsigned long) events[i].nth, after ? " after a death" : "");
			fresh_namespace();
			if (after == 1)
				cr_assert(die_at(&(Event){.point = "sysv/create/header", .nth = 1}));
			cr_assert(die_at(&events[i]), "%s: it lived", story);
			good_end(story);
		}
	}
	remove_dir();
}

/* What a system call leaves, the points around it leave too. */
static bool
is_a_call(const Event *event)
{
	return strncmp(event->point, "file/", 5) == 0 || strncmp(event->point, "sysv/shm/", 9) == 0;
}

/* Every pair.  The second life takes another course than the one that was watched: it may miss its death. */
Test(deaths, twice_in_a_row_anywhere)
{
	char story[256];
	int pairs = 0;
	int missed = 0;

	learn(true);
	for (int i = 0; i < nevents; i++)
	{
		for (int j = 0; j < nevents && !is_a_call(&events[i]); j++)
		{
			if (is_a_call(&events[j]))
				continue;
			fresh_namespace();
			(void) snprintf(story, sizeof(story), "deaths at %.63s #%lu and %.63s #%lu",
							events[i].point, (unsigned long) events[i].nth, events[j].point,
							(unsigned long) events[j].nth);
			(void) die_at(&events[i]);
			if (!die_at(&events[j]))
				missed++;
			pairs++;
			good_end(story);
		}
	}
	cr_assert(pairs > 1000, "only %d pairs", pairs);
	cr_assert(missed < pairs / 4, "%d of %d second deaths did not happen", missed, pairs);
	remove_dir();
}

/* ---- errors ---- */

Test(deaths, every_error_of_every_call_is_a_refusal_or_nothing)
{
	char story[128];
	InjectError error;
	int fired = 0;

	for (int after = 0; after <= 1; after++)
	{
		learn(after == 1);
		for (int i = 0; i < nevents; i++)
		{
			for (const int *number = events[i].errnos; number != NULL && *number != 0; number++)
			{
				int status;

				fresh_namespace();
				(void) snprintf(story, sizeof(story), "%.63s=#%lu errno(%s)", events[i].point,
								(unsigned long) events[i].nth, inject_errno_name(*number));
				if (after == 1)
					cr_assert(die_at(&(Event){.point = "sysv/create/header", .nth = 1}));
				cr_assert(inject_arm(story, &error) == INJECT_OK, "%s: %s", story, error.message);
				status = life();
				cr_assert(status == 0 || status == REFUSED, "%s ended with %d", story, status);
				cr_assert(inject_unfired(NULL, 0, NULL) == 0, "%s never fired", story);
				fired++;
				good_end(story);
			}
		}
	}
	cr_assert(fired > 500, "only %d errors were tried", fired);
	remove_dir();
}
