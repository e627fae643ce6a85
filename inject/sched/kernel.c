/*
 * kernel.c
 *		What the lock sources ask of the system: futex, clock, sleeping, who is dead.  Simulated, or, when the processes
 *		are real, the system's own with the time-outs left out.
 *
 * A wait on a futex ends when somebody wakes it, or by a time-out move.  Waiting in a loop that yields or naps ends when
 * what the loop reads has changed: the process goes back to where it stood after its last change, as if it had not looked
 * yet.  That loses nothing, because looking changes nothing and every other moment to look is explored as well.
 */
#include <errno.h>
#include <linux/futex.h>
#include <stdarg.h>

#include <holdfast/ipc.h>
#include <holdfast/recovery.h>

#include "baton.h"
#include "model.h"
#include "report.h"

/* More than any loop takes until it asks who is dead; and, where time passes, until it gives up. */
#define NAPS_TO_ASK     24
#define NAPS_TO_GIVE_UP 256

/* ---- waiting in a loop ---- */

static uint64_t
nanoseconds(const struct timespec *time)
{
	return time == NULL ? UINT64_MAX
						: (uint64_t) time->tv_sec * UINT64_C(1000000000) + (uint64_t) time->tv_nsec;
}

/*
 * A spin is one block: as nobody else runs meanwhile it reads the same again and again, until it gives up and does something
 * else, or goes on to yield and nap.  That it is lucky is explored by scheduling it later.
 */
void
sim_pause(void)
{
	if (sim.running)
		sim.looks_without_stopping = true;
}

/*
 * The recoverer's loops ask the kernel, after some naps, whether who they wait for has died meanwhile: while there are
 * dead, they are run through to that question.  Others' loops get there by a time-out move, or, where only waiters
 * recover, too.
 */
static bool
recovers_the_dead(void)
{
	const SimShared *shared = &sim_world->shared;

	if (sim.config->supervisor &&
		shared->segment.proc_global.recovery_owner != (uint32_t) sim.current + 1)
		return false;
	for (int i = 0; i < sim.processes; i++)
	{
		sim_touch(&shared->kernel.dead[i], false);
		sim_touch(&shared->segment.procs[i].life, false);
		if (shared->kernel.dead[i] && PROC_STATE(shared->segment.procs[i].life) == PROC_LIVE)
			return true;
	}
	return false;
}

static void
wait_for_change(void)
{
	sim_tso_fence();
	if (!sim.running || sim.impatient)
		return;
	if (recovers_the_dead())
	{
		sim.impatient = sim.looks_without_stopping = true;
		return;
	}
	sim.looks_without_stopping = false;
	/* Once round the loop, so that all it waits for has been looked at since the last change. */
	if (sim.napped)
		sim_stop_here(sim.changed_something ? STOP_NAP : STOP_SPIN, NULL);
	sim.napped = true;
}

int
sim_sched_yield(void)
{
	wait_for_change();
	return 0;
}

int
sim_nanosleep(const struct timespec *request, struct timespec *left)
{
	uint64_t *clock = &sim_world->shared.kernel.clock[sim.current];

	(void) left;
	wait_for_change();
	if (!sim.running || !sim.impatient)
		return 0;
	/* Time passes only where the schedule says so: a loop that asks for it may then give up. */
	if (sim.timed_out)
		sim_set(clock, *clock + nanoseconds(request));
	if (++sim.naps > (sim.timed_out ? NAPS_TO_GIVE_UP : NAPS_TO_ASK))
	{
		sim.impatient = sim.looks_without_stopping = false;
		sim_stop_here(STOP_SPIN, NULL);
	}
	return 0;
}

/* ---- futex ---- */

static long
futex_wait(const uint32_t *word, uint32_t expected, const struct timespec *timeout)
{
	SimKernel *kernel = &sim_world->shared.kernel;

	sim_stop_here(STOP_FUTEX_WAIT, word);
	sim_tso_drain();
	sim_touch(word, true);
	if (__atomic_load_n(word, __ATOMIC_SEQ_CST) != expected)
	{
		errno = EAGAIN;
		return -1;
	}
	sim_set(&kernel->timed[sim.current], nanoseconds(timeout));
	sim_set(&kernel->asleep[sim.current], sim_offset(word) + 1);
	if (sim.real)
		sim_baton_sleep(word, expected);
	else
		sim_stop_here(STOP_ASLEEP, word);
	return 0;
}

static long
futex_wake(const uint32_t *word, int count)
{
	SimKernel *kernel = &sim_world->shared.kernel;
	long woken = 0;

	sim_stop_here(STOP_FUTEX_WAKE, word);
	sim_tso_drain();
	sim_touch(word, true);
	sim.changed_something = true;
	for (int i = 0; i < sim.processes && woken < count; i++)
	{
		if (kernel->asleep[i] != sim_offset(word) + 1 || kernel->dead[i])
			continue;
		sim_set(&kernel->asleep[i], 0);
		woken++;
	}
	if (sim.real && woken > 0)
		sim_baton_wake(word, count);
	return woken;
}

long
sim_syscall(long number, ...)
{
	va_list args;
	const uint32_t *word;
	int operation;
	uint32_t value;
	const struct timespec *timeout;

	if (number == SYS_gettid)
		return sim_getpid();
	if (number != SYS_futex || !sim.running)
	{
		errno = ENOSYS;
		return -1;
	}
	va_start(args, number);
	word = va_arg(args, const uint32_t *);
	operation = va_arg(args, int);
	value = va_arg(args, uint32_t);
	timeout = va_arg(args, const struct timespec *);
	va_end(args);
	if (operation == FUTEX_WAIT)
		return futex_wait(word, value, timeout);
	return futex_wake(word, (int) value);
}

/* ---- time, names ---- */

int
sim_clock_gettime(clockid_t clock, struct timespec *now)
{
	uint64_t ns = sim_world->shared.kernel.clock[sim.current];

	(void) clock;
	now->tv_sec = (time_t) (ns / UINT64_C(1000000000));
	now->tv_nsec = (long) (ns % UINT64_C(1000000000));
	return 0;
}

pid_t
sim_getpid(void)
{
	return sim_pid(sim.current);
}

/* The kernel's answer about a slot's owner; whoever asks twice asks the same simulated machine. */
bool
holdfast_process_is_dead(pid_t pid, uint64_t start_time)
{
	int process = pid - sim_pid(0);

	(void) start_time;
	if (process >= 0 && process < sim.processes)
		sim_touch(&sim_world->shared.kernel.dead[process], false);
	return process < 0 || process >= sim.processes || sim_world->shared.kernel.dead[process] != 0;
}

uint64_t
holdfast_process_start_time(pid_t pid)
{
	return (uint64_t) pid;
}

int
sim_pthread_once(pthread_once_t *once, void (*routine)(void))
{
	(void) once;
	(void) routine;
	return 0;
}

int
sim_pthread_key_create(pthread_key_t *key, void (*destructor)(void *))
{
	(void) key;
	(void) destructor;
	return 0;
}

int
sim_pthread_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void))
{
	(void) prepare;
	(void) parent;
	(void) child;
	return 0;
}

int
sim_pthread_setspecific(pthread_key_t key, const void *value)
{
	(void) key;
	(void) value;
	return 0;
}

/* ---- what else the lock sources need of the library ---- */

ShmemAccess holdfast_shmem;

HoldfastStatus
on_shmem_exit(pg_on_exit_callback function, Datum arg)
{
	(void) function;
	(void) arg;
	return HOLDFAST_OK;
}

HoldfastStatus
holdfast_report_at(const char *file, int line, const char *function, HoldfastLevel level,
				   HoldfastStatus status, int saved_errno, const char *detail, const char *hint,
				   const char *format, ...)
{
	(void) file;
	(void) line;
	(void) function;
	(void) level;
	(void) saved_errno;
	(void) detail;
	(void) hint;
	(void) format;
	return status;
}
