/*
 * ipc.c
 *		Exit callbacks.
 *
 * Order at exit: LWLockReleaseAll, before_shmem_exit entries, on_shmem_exit entries, on_proc_exit entries; each list
 * last-in first-out.  An entry is taken off before it is called: a callback that itself calls proc_exit(), or is killed,
 * is not called twice, and the next one goes on.
 *
 * Owner: the lists are private memory of this process.  Every entry carries the process that registered it: its PID, and
 * how many fork()s lie above it.  A child that was forked and never called on_exit_reset() drops, and does not run, what
 * its parent registered.  The PID alone would not tell: the first process of a PID namespace and its child that is the
 * first of a nested one are both 1.  The count alone would not either: clone() and _Fork() run no fork handlers.
 *
 * Thread safety: none, registering is for the main thread.  Errors: HOLDFAST_NO_MEMORY, HOLDFAST_MISUSE.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <holdfast/ipc.h>
#include <holdfast/lwlock.h>

#include "inject_point.h"
#include "ipc_internal.h"
#include "report.h"

typedef struct ExitEntry
{
	pg_on_exit_callback function;
	Datum arg;
	pid_t pid;
	uint32_t forks;
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

static bool hooks_installed = false;
static uint32_t forks_above = 0; /* of this process, since the hooks were installed */

static bool
is_ours(const ExitEntry *entry)
{
	return entry->pid == getpid() && entry->forks == forks_above;
}

/* Inherited entries lie below all that this process registered. */
static bool
has_ours(const ExitList *list)
{
	return list->count > 0 && is_ours(&list->entry[list->count - 1]);
}

/* ---- running ---- */

static void
run_list(ExitList *list, int code)
{
	while (list->count > 0)
	{
		ExitEntry entry = list->entry[--list->count];

		if (is_ours(&entry))
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
	INJECT_POINT(
		"ipc/exit/locks-released", INJECT_ANYWHERE,
		"no lock held; before_shmem work undone, slot, segment and lockfile in place: recovered");
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

/*
 * The backstop for a caller that left by exit() or by returning from main().  Does nothing after proc_exit(), nor in a
 * forked child that registered nothing: its locks, too, are its parent's.
 */
static void
run_at_exit(void)
{
	if (has_ours(&before_shmem_list) || has_ours(&on_shmem_list) || has_ours(&on_proc_list))
		proc_exit_prepare(-1);
}

/* ---- registering ---- */

static void
count_fork(void)
{
	forks_above++;
}

/* Once per process and its children: both hooks are inherited. */
static bool
install_hooks(void)
{
	if (!hooks_installed)
		hooks_installed = pthread_atfork(NULL, NULL, count_fork) == 0 && atexit(run_at_exit) == 0;
	return hooks_installed;
}

/* Room for one more. */
static bool
reserve(ExitList *list)
{
	size_t capacity = list->capacity * 2 + 8;
	ExitEntry *entry;

	if (list->count < list->capacity)
		return true;
	entry = realloc(list->entry, capacity * sizeof(*entry));
	if (entry == NULL)
		return false;
	list->entry = entry;
	list->capacity = capacity;
	return true;
}

static HoldfastStatus
push(ExitList *list, pg_on_exit_callback function, Datum arg)
{
	if (function == NULL)
		return report(HOLDFAST_ERROR, HOLDFAST_MISUSE, 0, NULL, NULL,
					  "an exit callback must not be NULL");
	if (!install_hooks() || !reserve(list))
		return report(HOLDFAST_FATAL, HOLDFAST_NO_MEMORY, 0, NULL, NULL,
					  "out of memory for exit callbacks");
	list->entry[list->count++] =
		(ExitEntry){.function = function, .arg = arg, .pid = getpid(), .forks = forks_above};
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
	const ExitList *list = &before_shmem_list;
	const ExitEntry *newest = has_ours(list) ? &list->entry[list->count - 1] : NULL;

	if (newest == NULL || newest->function != function || newest->arg != arg)
		return report(HOLDFAST_ERROR, HOLDFAST_MISUSE, 0, NULL, NULL,
					  "that before_shmem_exit callback is not the latest entry");
	before_shmem_list.count--;
	return HOLDFAST_OK;
}

void
holdfast_cancel_on_shmem_exit(pg_on_exit_callback function, Datum arg)
{
	ExitEntry *entry = on_shmem_list.entry;

	for (size_t i = on_shmem_list.count; i > 0; i--)
	{
		if (entry[i - 1].function != function || entry[i - 1].arg != arg || !is_ours(&entry[i - 1]))
			continue;
		on_shmem_list.count--;
		memmove(&entry[i - 1], &entry[i], (on_shmem_list.count - (i - 1)) * sizeof(*entry));
		return;
	}
}

void
on_exit_reset(void)
{
	before_shmem_list.count = 0;
	on_shmem_list.count = 0;
	on_proc_list.count = 0;
	/* Forked by a callback: the exit under way is the parent's. */
	proc_exit_inprogress = false;
	shmem_exit_inprogress = false;
}

HoldfastStatus
check_on_shmem_exit_lists_are_empty(void)
{
	bool before = has_ours(&before_shmem_list);

	if (!before && !has_ours(&on_shmem_list))
		return HOLDFAST_OK;
	return report(HOLDFAST_FATAL, HOLDFAST_MISUSE, 0, NULL, NULL,
				  "%s_shmem_exit has been called prematurely", before ? "before" : "on");
}
