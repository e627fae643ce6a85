/*
 * plan_names.c
 *		The words of the plan language: actions, errnos, signals, argument names; both ways.
 *
 * Names of errnos and signals come from the C library, so that they are those of this machine.
 * Constant data and the caller's memory only: safe in any thread.
 */
#include "plan_names.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ipc.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <time.h>

#define ERRNO_LIMIT 134 /* one more than EHWPOISON, Linux's last */

static const struct
{
	const char *name;
	PlanArguments arguments;
} action_table[INJECT_ACTION_KINDS] = {
	[INJECT_OFF] = {"off", PLAN_NO_ARGUMENT},
	[INJECT_ERRNO] = {"errno", PLAN_ERRNO_ARGUMENT},
	[INJECT_RETURN] = {"return", PLAN_SIGNED_ARGUMENT},
	[INJECT_SHORT] = {"short", PLAN_COUNT_ARGUMENT},
	[INJECT_SLEEP] = {"sleep", PLAN_DURATION_ARGUMENT},
	[INJECT_SPIN] = {"spin", PLAN_DURATION_ARGUMENT},
	[INJECT_YIELD] = {"yield", PLAN_NO_ARGUMENT},
	[INJECT_PAUSE] = {"pause", PLAN_NAME_ARGUMENT},
	[INJECT_BARRIER] = {"barrier", PLAN_NAME_AND_COUNT_ARGUMENT},
	[INJECT_KILL] = {"kill", PLAN_NO_ARGUMENT},
	[INJECT_SIGNAL] = {"signal", PLAN_SIGNAL_ARGUMENT},
	[INJECT_STOP] = {"stop", PLAN_NO_ARGUMENT},
	[INJECT_EXIT] = {"exit", PLAN_STATUS_ARGUMENT},
	[INJECT_ABORT] = {"abort", PLAN_NO_ARGUMENT},
	[INJECT_SKIP] = {"skip", PLAN_NO_ARGUMENT},
	[INJECT_CORRUPT] = {"corrupt", PLAN_MASK_ARGUMENT},
	[INJECT_TORN] = {"torn", PLAN_COUNT_ARGUMENT},
	[INJECT_PRINT] = {"print", PLAN_NO_ARGUMENT},
	[INJECT_COUNT] = {"count", PLAN_NO_ARGUMENT},
	[INJECT_CALL] = {"call", PLAN_NAME_ARGUMENT},
	[INJECT_JUMP] = {"jump", PLAN_JUMP_ARGUMENT},
	[INJECT_THROW] = {"throw", PLAN_NO_ARGUMENT},
};

static const struct
{
	const char *name;
	int value;
} argument_table[] = {
	{"IPC_RMID", IPC_RMID},
	{"IPC_SET", IPC_SET},
	{"IPC_STAT", IPC_STAT},
	{"IPC_INFO", IPC_INFO},
	{"SHM_INFO", SHM_INFO},
	{"SHM_STAT", SHM_STAT},
	{"SHM_LOCK", SHM_LOCK},
	{"SHM_UNLOCK", SHM_UNLOCK},
	{"SEM_INFO", SEM_INFO},
	{"SEM_STAT", SEM_STAT},
	{"GETALL", GETALL},
	{"GETNCNT", GETNCNT},
	{"GETPID", GETPID},
	{"GETVAL", GETVAL},
	{"GETZCNT", GETZCNT},
	{"SETALL", SETALL},
	{"SETVAL", SETVAL},
	{"F_DUPFD", F_DUPFD},
	{"F_DUPFD_CLOEXEC", F_DUPFD_CLOEXEC},
	{"F_GETFD", F_GETFD},
	{"F_SETFD", F_SETFD},
	{"F_GETFL", F_GETFL},
	{"F_SETFL", F_SETFL},
	{"F_GETLK", F_GETLK},
	{"F_SETLK", F_SETLK},
	{"F_SETLKW", F_SETLKW},
	{"F_OFD_GETLK", F_OFD_GETLK},
	{"F_OFD_SETLK", F_OFD_SETLK},
	{"F_OFD_SETLKW", F_OFD_SETLKW},
	{"LOCK_SH", LOCK_SH},
	{"LOCK_EX", LOCK_EX},
	{"LOCK_UN", LOCK_UN},
	{"CLOCK_REALTIME", CLOCK_REALTIME},
	{"CLOCK_MONOTONIC", CLOCK_MONOTONIC},
	{"CLOCK_BOOTTIME", CLOCK_BOOTTIME},
	{"CLOCK_REALTIME_COARSE", CLOCK_REALTIME_COARSE},
	{"CLOCK_MONOTONIC_COARSE", CLOCK_MONOTONIC_COARSE},
	{"CLOCK_PROCESS_CPUTIME_ID", CLOCK_PROCESS_CPUTIME_ID},
};

#define ARGUMENT_COUNT (sizeof(argument_table) / sizeof(argument_table[0]))

const char *
inject_action_name(InjectActionKind kind)
{
	return (unsigned) kind < INJECT_ACTION_KINDS ? action_table[kind].name : NULL;
}

PlanArguments
plan_action_arguments(InjectActionKind kind)
{
	return action_table[kind].arguments;
}

bool
plan_action_kind(const char *name, InjectActionKind *kind, const char **suggestion)
{
	const char *names[INJECT_ACTION_KINDS];

	for (int i = 0; i < INJECT_ACTION_KINDS; i++)
	{
		names[i] = action_table[i].name;
		if (strcmp(name, names[i]) == 0)
		{
			*kind = (InjectActionKind) i;
			return true;
		}
	}
	*suggestion = inject_suggest(name, names, INJECT_ACTION_KINDS);
	return false;
}

const char *
inject_errno_name(int number)
{
	return number > 0 && number < ERRNO_LIMIT ? strerrorname_np(number) : NULL;
}

int
inject_errno_number(const char *name)
{
	/* Second names, which strerrorname_np() does not give. */
	if (strcmp(name, "EWOULDBLOCK") == 0)
		return EWOULDBLOCK;
	if (strcmp(name, "EDEADLOCK") == 0)
		return EDEADLOCK;
	if (strcmp(name, "ENOTSUP") == 0)
		return ENOTSUP;
	for (int number = 1; number < ERRNO_LIMIT; number++)
	{
		const char *known = inject_errno_name(number);

		if (known != NULL && strcmp(known, name) == 0)
			return number;
	}
	return 0;
}

bool
plan_errno_value(const char *name, int64_t *value, const char **suggestion)
{
	const char *names[ERRNO_LIMIT];
	size_t count = 0;

	*value = inject_errno_number(name);
	if (*value != 0)
		return true;
	for (int number = 1; number < ERRNO_LIMIT; number++)
		if (inject_errno_name(number) != NULL)
			names[count++] = inject_errno_name(number);
	*suggestion = inject_suggest(name, names, count);
	return false;
}

bool
plan_signal_value(const char *name, int64_t *value, const char **suggestion)
{
	/* "SIG" and the abbreviation; the longest is SIGSTKFLT. */
	static _Thread_local char storage[32][16];
	const char *names[32];
	size_t count = 0;

	for (int number = 1; number < 32; number++)
	{
		const char *abbreviation = sigabbrev_np(number);

		if (abbreviation == NULL)
			continue;
		snprintf(storage[count], sizeof(storage[count]), "SIG%s", abbreviation);
		if (strcmp(name, storage[count]) == 0)
		{
			*value = number;
			return true;
		}
		if (strcmp(name, abbreviation) == 0)
		{
			*suggestion = storage[count];
			return false;
		}
		names[count] = storage[count];
		count++;
	}
	*suggestion = inject_suggest(name, names, count);
	return false;
}

bool
plan_argument_value(const char *name, int64_t *value, const char **suggestion)
{
	const char *names[ARGUMENT_COUNT];

	for (size_t i = 0; i < ARGUMENT_COUNT; i++)
	{
		names[i] = argument_table[i].name;
		if (strcmp(name, names[i]) == 0)
		{
			*value = argument_table[i].value;
			return true;
		}
	}
	*suggestion = inject_suggest(name, names, ARGUMENT_COUNT);
	return false;
}
