/*
 * baton.c
 *		The same stops in real processes: each waits there until it is given the baton.
 *
 * The module is the same, down to the instruction; only what a stop does is another.  Each simulated process is a forked
 * one; a kill is a SIGKILL that is waited for; a sleep is the kernel's futex, with the time-out left out unless the
 * schedule says that it came.  The segment is memory that all of them share.
 *
 * Owner: the leader makes and ends the processes; they die with it (PDEATHSIG).  Nothing is left behind.
 */
#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "baton.h"
#include "inject/one_processor.h"
#include "search.h"

#define STEP_SECONDS 10 /* a process that does not stop within that is lost */
#define CONTINUATION_MOVES                                                                         \
	4000 /* after the schedule: whoever can, in turn; more than any end takes */

enum
{
	CHILD_RUNS = 0,
	CHILD_STOPS,
	CHILD_SLEEPS, /* in the kernel, on a futex */
};

typedef struct Child
{
	uint32_t state; /* futex: the leader waits on it */
	uint32_t go;    /* futex: the child waits on it; 1 step, 2 without patience */
	uint32_t stop;
	uint64_t address;
	pid_t pid; /* the leader's */
} Child;

static Child *child; /* shared, one per process */
static SimImage where[SIM_PROCESSES];

static void
futex_sleep(const uint32_t *word, uint32_t value, int seconds)
{
	struct timespec timeout = {.tv_sec = seconds};

	(void) syscall(SYS_futex, word, FUTEX_WAIT, value, seconds > 0 ? &timeout : NULL, NULL, 0);
}

static void
set_state(Child *me, uint32_t state)
{
	__atomic_store_n(&me->state, state, __ATOMIC_SEQ_CST);
	(void) syscall(SYS_futex, &me->state, FUTEX_WAKE, 1, NULL, NULL, 0);
}

/* ---- in the processes ---- */

static void
wait_for_baton(Child *me, SimStop stop)
{
	uint32_t go;

	while ((go = __atomic_exchange_n(&me->go, 0, __ATOMIC_SEQ_CST)) == 0)
		futex_sleep(&me->go, 0, 0);
	sim.impatient = sim.looks_without_stopping = sim.timed_out = go == 2;
	sim.naps = 0;
	sim_history_step(sim.current);
	sim.changed_something = stop == STOP_ASLEEP || stop == STOP_IDLE || stop == STOP_STANDBY;
}

void
sim_baton_stop(SimStop stop, const void *address)
{
	Child *me = &child[sim.current];

	me->stop = stop;
	me->address = address != NULL ? sim_offset(address) : 0;
	set_state(me, CHILD_STOPS);
	wait_for_baton(me, stop);
}

void
sim_baton_sleep(const uint32_t *word, uint32_t expected)
{
	const uint64_t *asleep = &sim_world->shared.kernel.asleep[sim.current];
	Child *me = &child[sim.current];

	me->stop = STOP_ASLEEP;
	me->address = sim_offset(word);
	set_state(me, CHILD_SLEEPS);
	while (__atomic_load_n(asleep, __ATOMIC_SEQ_CST) != 0)
	{
		futex_sleep(word, expected, 0);
		/* A changed word alone is no wake-up: who is not woken sleeps on, as it would have in the kernel. */
		expected = __atomic_load_n(word, __ATOMIC_SEQ_CST);
	}
	set_state(me, CHILD_STOPS);
	wait_for_baton(me, STOP_ASLEEP);
}

void
sim_baton_wake(const uint32_t *word, int count)
{
	(void) syscall(SYS_futex, word, FUTEX_WAKE, count, NULL, NULL, 0);
}

static void
live(int process)
{
	(void) prctl(PR_SET_PDEATHSIG, SIGKILL);
	sim.current = process;
	__builtin_memcpy(sim.tls, sim.process[process].image->tls, sim.tls_size);
	sim.real = true;
	sim.running = true;
	switch (sim.process[process].role)
	{
		case SIM_WORKER:
			sim_run_program(process);
			break;
		case SIM_SUPERVISOR:
			sim_run_supervisor();
			break;
		case SIM_STANDBY:
			sim_run_standby();
			break;
	}
	sim_set(&sim_world->shared.kernel.done[process], 1);
	child[process].stop = STOP_DONE;
	set_state(&child[process], CHILD_STOPS);
	for (;;) /* its leader ends it */
		(void) pause();
}

/* ---- the leader ---- */

/* Until the process has stopped, or sleeps.  False: it did neither. */
static bool
await(int process)
{
	double end = sim_now() + STEP_SECONDS;

	while (__atomic_load_n(&child[process].state, __ATOMIC_SEQ_CST) == CHILD_RUNS)
	{
		if (sim_now() > end)
			return false;
		futex_sleep(&child[process].state, CHILD_RUNS, 1);
	}
	where[process].stop = (uint16_t) child[process].stop;
	where[process].address = child[process].address;
	return true;
}

/* Who was woken has to leave the kernel before anybody goes on. */
static bool
await_the_woken(void)
{
	for (int p = 0; p < sim.processes; p++)
	{
		double end = sim_now() + STEP_SECONDS;

		if (sim_world->shared.kernel.dead[p] || sim_world->shared.kernel.asleep[p] != 0)
			continue;
		while (__atomic_load_n(&child[p].state, __ATOMIC_SEQ_CST) == CHILD_SLEEPS)
		{
			if (sim_now() > end)
				return false;
			futex_sleep(&child[p].state, CHILD_SLEEPS, 1);
		}
	}
	return true;
}

static bool
give_baton(int process, uint32_t go)
{
	__atomic_store_n(&child[process].state, CHILD_RUNS, __ATOMIC_SEQ_CST);
	__atomic_store_n(&child[process].go, go, __ATOMIC_SEQ_CST);
	(void) syscall(SYS_futex, &child[process].go, FUTEX_WAKE, 1, NULL, NULL, 0);
	if (!await(process) || !await_the_woken())
		return false;
	sim_judge_step();
	return true;
}

static void
kill_child(int process)
{
	if (child[process].pid <= 0)
		return;
	(void) kill(child[process].pid, SIGKILL);
	while (waitpid(child[process].pid, NULL, 0) < 0 && errno == EINTR)
		;
	child[process].pid = 0;
}

static bool
make_move(ExploreMove move)
{
	int p = move.process;

	if (p >= sim.processes)
		return false;
	switch (move.kind)
	{
		case MOVE_STEP:
			return sim_can_step(p) && give_baton(p, 1);
		case MOVE_KILL:
			if (!sim_can_kill(p))
				return false;
			kill_child(p);
			sim_note_death(p);
			return true;
		case MOVE_TIMEOUT:
			if (sim_world->shared.kernel.timeouts_left == 0)
				return false;
			if (where[p].stop != STOP_ASLEEP)
			{
				sim_note_time_out(p);
				return give_baton(p, 2);
			}
			if (!sim_can_time_out(p, false))
				return false;
			sim_note_time_out(p);
			sim_baton_wake((const uint32_t *) ((const char *) SIM_ADDRESS + where[p].address), 1);
			return await_the_woken() && give_baton(p, 1);
		case MOVE_FLUSH:
			if (!sim_can_flush(p))
				return false;
			sim_tso_flush(p);
			sim_judge_step();
			return true;
		default:
			return false;
	}
}

static bool
start_children(void)
{
	child = mmap(NULL, sizeof(*child) * SIM_PROCESSES, PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (child == MAP_FAILED)
		return false;
	for (int p = 0; p < sim.processes; p++)
	{
		pid_t pid = fork();

		if (pid < 0)
			return false;
		if (pid == 0)
			live(p);
		child[p].pid = pid;
		if (!await(p)) /* one after the other: what they note before their first stop is shared */
			return false;
	}
	for (int p = 0; p < sim.processes; p++)
	{
		__builtin_memset(&where[p], 0, sizeof(where[p]));
		where[p].stop = (uint16_t) child[p].stop;
		where[p].address = child[p].address;
		sim.process[p].image = sim.process[p].pure = &where[p];
	}
	return true;
}

static void
end_children(void)
{
	if (child == NULL || child == MAP_FAILED)
		return;
	for (int p = 0; p < sim.processes; p++)
	{
		if (child[p].pid > 0)
			(void) kill(child[p].pid, SIGKILL); /* all die at once, and are waited for in turn */
	}
	for (int p = 0; p < sim.processes; p++)
		kill_child(p);
	(void) munmap(child, sizeof(*child) * SIM_PROCESSES);
	child = NULL;
}

/* The schedule is over: does it end by itself, when everybody who can goes on in turn? */
static SimViolation
go_on(void)
{
	for (int moves = 0, p = 0, idle = 0; moves < CONTINUATION_MOVES; p = (p + 1) % sim.processes)
	{
		if (sim_violation() != SIM_NOTHING)
			return sim_violation();
		if (sim_is_terminal())
			return sim_judge_terminal();
		if (!sim_can_step(p))
		{
			if (++idle >= sim.processes)
				return sim_judge_stuck();
			continue;
		}
		idle = 0;
		moves++;
		if (!give_baton(p, 1))
			return SIM_OVERRUN;
	}
	return SIM_LIVELOCK;
}

static void
show_to_debugger(const ExploreConfig *config, const ExploreReport *report)
{
	int pid[SIM_PROCESSES];

	for (int p = 0; p < sim.processes; p++)
		pid[p] = child[p].pid;
	config->at_finding(pid, sim.processes, report->culprit);
}

void
sim_run_real(const ExploreConfig *config, ExploreReport *report)
{
	double start = sim_now();
	SimViolation violation = SIM_NOTHING;
	OneProcessor processor;

	one_processor_take(&processor);
	if (!start_children())
	{
		(void) snprintf(report->problem, sizeof(report->problem), "could not start the processes");
		report->end = EXPLORE_UNFIT;
		end_children();
		one_processor_give_back(&processor);
		return;
	}
	report->end = EXPLORE_COMPLETE;
	for (uint32_t i = 0; i < config->schedule->count && violation == SIM_NOTHING; i++)
	{
		if (!make_move(config->schedule->move[i]))
		{
			report->end = EXPLORE_DIVERGED;
			break;
		}
		report->followed = i + 1;
		violation = sim_violation();
	}
	report->culprit = (int) sim_world->shared.notes.culprit;
	sim_tell(report);
	if (report->end == EXPLORE_COMPLETE && config->at_finding != NULL)
		show_to_debugger(config, report);
	if (report->end == EXPLORE_COMPLETE && violation == SIM_NOTHING)
		violation = go_on();
	report->transitions = report->followed;
	report->seconds = sim_now() - start;
	end_children();
	one_processor_give_back(&processor);
	if (report->end == EXPLORE_DIVERGED || violation == SIM_NOTHING)
		return;
	report->end = EXPLORE_FOUND;
	report->signature = sim_violation_name(violation);
	report->text = sim_violation_text(violation);
	report->schedule = *config->schedule;
}
