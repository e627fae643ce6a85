/*
 * kernel_view.c
 *		Which point a system call is, seen from the kernel.
 *
 * Points are named by functions of the C library, and it is free in what it asks the kernel with: open() comes as
 * openat, semop() as semtimedop without a time, waitpid() as wait4 without usage.  Here is what this machine's
 * library does.  Where two functions ask the same the first of calls.def that the plan names is meant.
 *
 * Constant data; safe anywhere.
 */
#include "kernel_view.h"

#include <linux/futex.h>
#include <stddef.h>
#include <string.h>

#include "inject/syscall/prototypes.h"

static const struct
{
	const char *call;
	const char *reason;
} blind[] = {
	{"clock_gettime", "the vDSO answers without the kernel"},
	{"gettimeofday", "the vDSO answers without the kernel"},
	{"time", "the vDSO answers without the kernel"},
	{"sem_wait", "the kernel sees a futex, and only when somebody must wait"},
	{"sem_trywait", "the kernel sees a futex, and only when somebody must wait"},
	{"sem_timedwait", "the kernel sees a futex, and only when somebody must wait"},
	{"sem_post", "the kernel sees a futex, and only when somebody waits"},
	{"sem_init", "the kernel has no part in it"},
	{"shm_open", "the kernel sees an openat there"},
	{"shm_unlink", "the kernel sees an unlink there"},
	{"posix_fallocate", "the kernel sees a fallocate there"},
	{"clone", "the kernel cannot tell it from the start of a thread"},
	{"posix_spawn", "the kernel sees a clone and an exec there"},
	{"posix_spawnp", "the kernel sees a clone and an exec there"},
};

const char *
kernel_view_blind(const char *point)
{
	const InjectCallSpec *spec = inject_call_spec(point);

	if (spec == NULL)
		return "it is in a program of ours, not in the kernel's way";
	if (spec->call == NULL)
		return "a call is stopped before it is made, never after";
	for (size_t i = 0; i < sizeof(blind) / sizeof(blind[0]); i++)
		if (strcmp(blind[i].call, spec->call) == 0)
			return blind[i].reason;
	return NULL;
}

int
kernel_view_numbers(const InjectCallSpec *spec, long *numbers)
{
	int count = 0;

	if (spec->number >= 0)
		numbers[count++] = spec->number;
	if (spec->also >= 0)
		numbers[count++] = spec->also;
#ifdef SYS_fork
	if (strcmp(spec->call, "fork") == 0)
		numbers[count++] = SYS_fork;
#endif
	return count;
}

/* The same number for several functions: by what its arguments say. */
static bool
is_meant(const InjectCallSpec *spec, long number, const uint64_t *argument)
{
	switch (number)
	{
		case SYS_openat:
			return ((int) argument[0] == AT_FDCWD) == (strcmp(spec->call, "open") == 0);
		case SYS_semtimedop:
			return strcmp(spec->call, "semtimedop") == 0 || argument[3] == 0;
		case SYS_wait4:
			return strcmp(spec->call, "wait4") == 0 || argument[3] == 0;
		case SYS_clock_nanosleep:
			return strcmp(spec->call, "clock_nanosleep") == 0 ||
				   (argument[0] == CLOCK_REALTIME && argument[1] == 0);
		case SYS_clone:
			return (argument[0] & CLONE_VM) == 0;
		default:
			return true;
	}
}

static bool
is_futex(const InjectCallSpec *spec, const uint64_t *argument)
{
	switch (argument[1] & (uint64_t) FUTEX_CMD_MASK)
	{
		case FUTEX_WAIT:
		case FUTEX_WAIT_BITSET:
			return strcmp(spec->call, "futex_wait") == 0;
		case FUTEX_WAKE:
		case FUTEX_WAKE_BITSET:
			return strcmp(spec->call, "futex_wake") == 0;
		case FUTEX_REQUEUE:
		case FUTEX_CMP_REQUEUE:
			return strcmp(spec->call, "futex_requeue") == 0;
		default:
			return false;
	}
}

bool
kernel_view_matches(const InjectCallSpec *spec, long number, const uint64_t *argument, int64_t *arg)
{
	long numbers[KERNEL_VIEW_NUMBERS];
	int count = kernel_view_numbers(spec, numbers);
	int place = spec->argument;
	bool found = false;

	for (int i = 0; i < count; i++)
		found = found || numbers[i] == number;
	if (!found ||
		(number == SYS_futex ? !is_futex(spec, argument) : !is_meant(spec, number, argument)))
		return false;
	/* open's flags are one further in openat */
	if (number == SYS_openat && strcmp(spec->call, "open") == 0)
		place++;
	*arg = 0;
	if (place >= 0)
		/* sizes are whole words, the rest are ints and fit */
		*arg = strcmp(spec->arg, "bytes") == 0 || strcmp(spec->arg, "size") == 0
				   ? (int64_t) argument[place]
				   : (int64_t) (int32_t) argument[place];
	return true;
}
