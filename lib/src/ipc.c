/*
 * ipc.c
 *		Exit callbacks.
 *
 * Order at exit: LWLockReleaseAll, before_shmem_exit entries, on_shmem_exit entries, on_proc_exit entries; each list
 * last-in first-out.  An entry is taken off before it is called: a callback that itself calls proc_exit(), or is killed,
 * is not called twice, and the next one goes on.
 *
 * Owner: the lists are private memory of this process.  Every entry carries the PID that registered it; a child that was
 * forked and never called on_exit_reset() drops, and does not run, what its parent registered.
 */
#include <stdlib.h>
#include <unistd.h>

#include <holdfast/ipc.h>
#include <holdfast/lwlock.h>

#include "inject_point.h"
#include "report.h"

typedef struct ExitEntry
{
	pg_on_exit_callback function;
	Datum arg;
	pid_t pid;
} ExitEntry;

typedef struct ExitList
{
	ExitEntry *entry;
	size_t count;
	size_t capacity;
} ExitList;

static ExitList before_shmem_list;
static ExitList on_shmem_list;
static ExitList on_proc_list;

bool proc_exit_inprogress = false;
bool shmem_exit_inprogress = false;

static bool atexit_registered = false;

/* ---- running ---- */

static void
run_list(ExitList *list, int code)
{
	while (list->count > 0)
	{
		ExitEntry entry = list->entry[--list->count];

		if (entry.pid == getpid())
			entry.function(code, entry.arg);
	}
}

void
shmem_exit(int code)
{
	shmem_exit_inprogress = true;
	INJECT_POINT("ipc/exit/begin", INJECT_ANYWHERE,
				 "locks held, segment and lockfile in place: as a death anywhere");
	LWLockReleaseAll();
	run_list(&before_shmem_list, code);
	INJECT_POINT("ipc/exit/before-shmem-done", INJECT_ANYWHERE,
				 "no lock held; segment and lockfile in place: recycled");
	LWLockReleaseAll(); /* what a before_shmem callback left */
	run_list(&on_shmem_list, code);
	shmem_exit_inprogress = false;
}

/* All but the exit itself. */
static void
proc_exit_prepare(int code)
{
	proc_exit_inprogress = true;
	shmem_exit(code);
	INJECT_POINT("ipc/exit/shmem-done", INJECT_ANYWHERE,
				 "the segment is gone, the lockfile is not: stale");
	run_list(&on_proc_list, code);
	INJECT_POINT("ipc/exit/done", INJECT_ANYWHERE, "nothing is left");
}

void
proc_exit(int code)
{
	proc_exit_prepare(code);
	exit(code);
}

/* The backstop for a caller that left by exit() or by returning from main(). */
static void
run_at_exit(void)
{
	proc_exit_prepare(-1);
}

/* ---- registering ---- */

static HoldfastStatus
push(ExitList *list, pg_on_exit_callback function, Datum arg)
{
	if (function == NULL)
		return report(HOLDFAST_ERROR, HOLDFAST_MISUSE, 0, NULL, NULL,
					  "an exit callback must not be NULL");
	if (list->count == list->capacity)
	{
		size_t capacity = list->capacity * 2 + 8;
		ExitEntry *entry = realloc(list->entry, capacity * sizeof(*entry));

		if (entry == NULL)
			return report(HOLDFAST_FATAL, HOLDFAST_NO_MEMORY, 0, NULL, NULL,
						  "out of memory for exit callbacks");
		list->entry = entry;
		list->capacity = capacity;
	}
	if (!atexit_registered)
	{
		if (atexit(run_at_exit) != 0)
			return report(HOLDFAST_FATAL, HOLDFAST_NO_MEMORY, 0, NULL, NULL,
						  "out of memory for exit callbacks");
		atexit_registered = true;
	}
	list->entry[list->count++] = (ExitEntry){.function = function, .arg = arg, .pid = getpid()};
	return HOLDFAST_OK;
}

HoldfastStatus
on_proc_exit(pg_on_exit_callback function, Datum arg)
{
	return push(&on_proc_list, function, arg);
}

HoldfastStatus
before_shmem_exit(pg_on_exit_callback function, Datum arg)
{
	return push(&before_shmem_list, function, arg);
}

HoldfastStatus
on_shmem_exit(pg_on_exit_callback function, Datum arg)
{
	return push(&on_shmem_list, function, arg);
}

HoldfastStatus
cancel_before_shmem_exit(pg_on_exit_callback function, Datum arg)
{
	const ExitEntry *newest =
		before_shmem_list.count > 0 ? &before_shmem_list.entry[before_shmem_list.count - 1] : NULL;

	if (newest == NULL || newest->function != function || newest->arg != arg)
		return report(HOLDFAST_ERROR, HOLDFAST_MISUSE, 0, NULL, NULL,
					  "that before_shmem_exit callback is not the latest entry");
	before_shmem_list.count--;
	return HOLDFAST_OK;
}

void
on_exit_reset(void)
{
	before_shmem_list.count = 0;
	on_shmem_list.count = 0;
	on_proc_list.count = 0;
}

HoldfastStatus
check_on_shmem_exit_lists_are_empty(void)
{
	if (before_shmem_list.count == 0 && on_shmem_list.count == 0)
		return HOLDFAST_OK;
	return report(HOLDFAST_FATAL, HOLDFAST_MISUSE, 0, NULL, NULL,
				  "%s_shmem_exit has been called prematurely",
				  before_shmem_list.count > 0 ? "before" : "on");
}
