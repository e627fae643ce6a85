/*
 * actions.c
 *		The harm itself.
 *
 * Everything here is async-signal-safe and calls no malloc: raw system calls, no stdio.  A kill is a real
 * SIGKILL that the process sends itself; nothing runs after it, no handler, no destructor, no flush.
 *
 * Thread safety: acts on the calling thread (signal, stop) or its process (kill, exit, abort).
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "digits.h"
#include "hit.h"

void
inject_signal_self(int number)
{
	/* to this thread: it is handled before the call returns */
	syscall(SYS_tgkill, syscall(SYS_getpid), syscall(SYS_gettid), number);
}

_Noreturn void
inject_kill_self(void)
{
	long pid = syscall(SYS_getpid);

	syscall(SYS_kill, pid, SIGKILL);
	/*
	 * The first process of a PID namespace is immune to its own SIGKILL.  It ends as abruptly, with the
	 * status a shell would show for the signal.
	 */
	for (;;)
		syscall(SYS_exit_group, 128 + SIGKILL);
}

static int64_t
now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t) now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Signal handlers run, the sleep goes on. */
static void
sleep_ns(int64_t nanoseconds)
{
	int64_t end = now_ns() + nanoseconds;
	struct timespec until = {.tv_sec = end / 1000000000, .tv_nsec = end % 1000000000};

	while (syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) != 0 &&
		   errno == EINTR)
		;
}

static void
spin_ns(int64_t nanoseconds)
{
	int64_t end = now_ns() + nanoseconds;

	while (now_ns() < end)
		;
}

static char *
append_text(char *at, const char *text)
{
	size_t length = strnlen(text, INJECT_NAME_SIZE);

	memcpy(at, text, length);
	return at + length;
}

/* "holdfast: lwlock/acquire/post-cas hit 3 process 4711 worker.1" in one write. */
static void
print_arrival(const InjectArrival *arrival)
{
	InjectRole role = self_role(arrival->self);
	char line[256];
	char *at = append_text(line, "holdfast: ");

	at = append_text(at, arrival->site->name);
	at = append_number(append_text(at, " hit "), arrival->hit);
	at = append_number(append_text(at, " process "), (uint64_t) syscall(SYS_getpid));
	if (role.name[0] != '\0')
	{
		at = append_text(append_text(at, " "), role.name);
		at = append_number(append_text(at, "."), (uint64_t) role.ordinal);
	}
	*at++ = '\n';
	syscall(SYS_write, STDERR_FILENO, line, (size_t) (at - line));
}

/* The plan may have been replaced meanwhile; then the name is not ours any more. */
static void
run_callback(const InjectArrival *arrival, const TableAction *action)
{
	char name[INJECT_TAG_SIZE];

	if (action->name >= TABLE_NAMES)
		return;
	memcpy(name, active_plan(arrival->active)->names[action->name], sizeof(name));
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	if (active_epoch(active_load()) == arrival->epoch)
		inject_run_callback(name, arrival->site->name);
}

static void
set_verdict(InjectArrival *arrival, const TableAction *action)
{
	static const InjectVerdict verdicts[INJECT_ACTION_KINDS] = {
		[INJECT_ERRNO] = VERDICT_ERRNO,     [INJECT_RETURN] = VERDICT_RETURN,
		[INJECT_SHORT] = VERDICT_SHORT,     [INJECT_SKIP] = VERDICT_SKIP,
		[INJECT_CORRUPT] = VERDICT_CORRUPT, [INJECT_TORN] = VERDICT_TORN,
		[INJECT_JUMP] = VERDICT_JUMP,
	};

	arrival->verdict = verdicts[action->kind];
	arrival->a = action->a;
	arrival->b = action->b;
}

static void
act_once(InjectArrival *arrival, const TableAction *action)
{
	switch ((InjectActionKind) action->kind)
	{
		case INJECT_KILL:
			inject_kill_self();
		case INJECT_SIGNAL:
			inject_signal_self((int) action->a);
			break;
		case INJECT_STOP:
			inject_signal_self(SIGSTOP);
			break;
		case INJECT_EXIT:
			_exit((int) action->a);
		case INJECT_ABORT:
			abort();
		case INJECT_SLEEP:
			sleep_ns(action->a);
			break;
		case INJECT_SPIN:
			spin_ns(action->a);
			break;
		case INJECT_YIELD:
			sched_yield();
			break;
		case INJECT_PAUSE:
			inject_park(arrival, action->name, 0);
			break;
		case INJECT_BARRIER:
			inject_park(arrival, action->name, action->a);
			break;
		case INJECT_PRINT:
			print_arrival(arrival);
			break;
		case INJECT_CALL:
			run_callback(arrival, action);
			break;
		case INJECT_THROW:
			inject_throw();
			break;
		case INJECT_ERRNO:
		case INJECT_RETURN:
		case INJECT_SHORT:
		case INJECT_SKIP:
		case INJECT_CORRUPT:
		case INJECT_TORN:
		case INJECT_JUMP:
			set_verdict(arrival, action);
			break;
		case INJECT_OFF:
		case INJECT_COUNT:
		case INJECT_ACTION_KINDS:
			/* the fire itself was counted */
			break;
	}
}

void
inject_act(InjectArrival *arrival)
{
	for (int i = 0; i < arrival->step->action_count && i < INJECT_MAX_ACTIONS; i++)
		act_once(arrival, &arrival->step->actions[i]);
}
