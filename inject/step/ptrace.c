/*
 * ptrace.c
 *		Steps a victim by PTRACE_SINGLESTEP.
 *
 * The victim stops itself when it is prepared; from then on it moves only by our word.  A system call in which it would
 * sleep is one step as any other: plan->on_sleep sees to it that somebody wakes it.
 *
 * Signals: SIGALRM is ours for the length of a run, so that a victim that never stops again is given up at the deadline.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "inject/one_processor.h"
#include "inject/step/internal.h"
#include "inject/step/machine.h"

#define SYSCALL_STOP (SIGTRAP | 0x80)

static pid_t held_pid;

typedef struct Tracer
{
	StepRecorder recorder;
	pid_t pid;
	uint64_t deadline_ns;
	int status;    /* of the last stop */
	int pending;   /* a signal to be passed on with the next step */
	bool attached; /* the region is a segment that we attached ourselves */
	bool slept;
} Tracer;

/* ---- the victim ---- */

void
step_victim_main(const StepPlan *plan, StepTrace *trace)
{
	if (plan->prepare != NULL && !plan->prepare(plan->arg))
		_exit(1);
	if (raise(SIGSTOP) != 0)
		_exit(1);
	__atomic_store_n(&trace->running, 1, __ATOMIC_RELAXED);
	plan->body(plan->arg);
	__atomic_store_n(&trace->running, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&trace->finished, 1, __ATOMIC_RELEASE);
	for (;;)
		(void) pause();
}

static pid_t
fork_victim(const StepPlan *plan, StepTrace *trace)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	(void) prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
		_exit(1);
	step_victim_main(plan, trace);
	_exit(1);
}

/* ---- the tracer ---- */

static void
on_alarm(int number)
{
	(void) number;
}

/* Until the next stop or the end.  False: the deadline. */
static bool
wait_stop(Tracer *tracer)
{
	while (waitpid(tracer->pid, &tracer->status, __WALL) < 0)
	{
		if (errno != EINTR || step_now_ns() >= tracer->deadline_ns)
			return false;
	}
	return true;
}

typedef enum Move
{
	MOVE_OK,
	MOVE_ENDED,
	MOVE_LATE,
} Move;

static Move
resume(Tracer *tracer, int request)
{
	for (;;)
	{
		if (ptrace(request, tracer->pid, NULL, (void *) (intptr_t) tracer->pending) < 0)
			return MOVE_ENDED;
		tracer->pending = 0;
		if (!wait_stop(tracer))
			return MOVE_LATE;
		if (!WIFSTOPPED(tracer->status))
			return MOVE_ENDED;
		if (WSTOPSIG(tracer->status) == SIGTRAP || WSTOPSIG(tracer->status) == SYSCALL_STOP)
			return MOVE_OK;
		tracer->pending = WSTOPSIG(tracer->status);
	}
}

/* The victim left shmat(): from now on that is the region.  What it only reads is not: our attachment would be counted. */
static void
follow_attach(Tracer *tracer, const MachineState *entered, int64_t result)
{
	StepRegion *region = &tracer->recorder.region;
	struct shmid_ds info;
	void *base;

	if (tracer->recorder.plan->region.base != NULL || tracer->attached ||
		(entered->argument[2] & SHM_RDONLY) != 0 || (result < 0 && result > -4096) ||
		shmctl((int) entered->argument[0], IPC_STAT, &info) < 0)
		return;
	base = shmat((int) entered->argument[0], NULL, SHM_RDONLY);
	if (base == (void *) -1)
		return;
	tracer->attached = true;
	*region = (StepRegion){.base = base, .size = info.shm_segsz};
	tracer->recorder.shadow = malloc(region->size);
	if (tracer->recorder.shadow != NULL)
		memcpy(tracer->recorder.shadow, base, region->size);
}

static void
after_syscall(Tracer *tracer, const MachineState *entered, int64_t number,
			  StepInstruction *instruction)
{
	const StepPlan *plan = tracer->recorder.plan;
	MachineState state;

	if (number == SYS_shmat && machine_read(tracer->pid, &state))
		follow_attach(tracer, entered, state.result);
	if (instruction != NULL && plan->outside != NULL)
		instruction->outside = plan->outside(plan->arg);
}

/* The victim stands before its first FUTEX_WAIT.  False: it is to stop there. */
static bool
let_sleep(Tracer *tracer)
{
	const StepPlan *plan = tracer->recorder.plan;

	tracer->slept = true;
	if (plan->record_from_sleep)
		tracer->recorder.recording = true;
	if (plan->on_sleep == NULL)
		return true;
	if (!plan->on_sleep(plan->arg))
		return false;
	step_resync(&tracer->recorder);
	return true;
}

/* One instruction.  *stop: the run ends here, with *outcome. */
static bool
step_once(Tracer *tracer, StepOutcome *outcome)
{
	StepRecorder *recorder = &tracer->recorder;
	MachineState state;
	StepInstruction *instruction;
	bool calls;

	if (!machine_read(tracer->pid, &state))
	{
		*outcome = STEP_FAILED;
		return false;
	}
	calls = machine_is_syscall(state.ip);
	if (calls && !tracer->slept && step_is_futex_wait(state.number, state.argument[1], SYS_futex) &&
		!let_sleep(tracer))
	{
		*outcome = STEP_FINISHED;
		return false;
	}
	instruction = step_record(recorder, state.ip, calls ? (int32_t) state.number : STEP_NO_SYSCALL);
	switch (resume(tracer, PTRACE_SINGLESTEP))
	{
		case MOVE_OK:
			break;
		case MOVE_LATE:
			*outcome = STEP_LATE;
			return false;
		case MOVE_ENDED:
			*outcome = WIFEXITED(tracer->status) ? STEP_FINISHED : STEP_DIED;
			if (instruction != NULL)
				(void) step_record_effects(recorder, instruction);
			return false;
	}
	if (calls)
		after_syscall(tracer, &state, state.number, instruction);
	if (step_record_effects(recorder, instruction))
	{
		*outcome = STEP_KILLED;
		return false;
	}
	return true;
}

static StepOutcome
step_all(Tracer *tracer)
{
	const StepTrace *trace = tracer->recorder.trace;
	StepOutcome outcome = STEP_FINISHED;

	while (__atomic_load_n(&trace->running, __ATOMIC_RELAXED) != 0 && step_once(tracer, &outcome))
		continue;
	return outcome;
}

/* ---- kill runs that do not step what lies behind ---- */

static StepOutcome
outcome_of(Move move, int status)
{
	if (move == MOVE_LATE)
		return STEP_LATE;
	return WIFEXITED(status) ? STEP_FINISHED : STEP_DIED;
}

/* To behind the n-th system call of that number. */
static bool
run_syscalls(Tracer *tracer, int32_t number, uint32_t times, StepOutcome *outcome)
{
	for (uint32_t seen = 0; seen < times;)
	{
		MachineState state = {0};
		Move move = resume(tracer, PTRACE_SYSCALL);

		if (move == MOVE_OK)
		{
			(void) machine_read(tracer->pid, &state);
			move = resume(tracer, PTRACE_SYSCALL);
		}
		if (move != MOVE_OK)
		{
			*outcome = outcome_of(move, tracer->status);
			return false;
		}
		after_syscall(tracer, &state, state.entered, NULL);
		seen += state.entered == number;
	}
	return true;
}

/* Over as many changes of the region.  String instructions that change nothing are run through. */
static bool
step_changes(Tracer *tracer, uint32_t count, StepOutcome *outcome)
{
	StepRecorder *recorder = &tracer->recorder;
	StepTrace *trace = recorder->trace;

	step_resync(recorder);
	for (uint32_t seen = 0; seen < count;)
	{
		uint32_t before = trace->writes;
		MachineState state;
		bool skipping =
			machine_read(tracer->pid, &state) && machine_skip_rounds(tracer->pid, state.ip);
		Move move = resume(tracer, skipping ? PTRACE_CONT : PTRACE_SINGLESTEP);

		if (skipping)
			machine_break_off(tracer->pid);
		if (move != MOVE_OK)
		{
			*outcome = outcome_of(move, tracer->status);
			return false;
		}
		step_resync(recorder);
		seen += trace->writes != before;
	}
	return true;
}

/* To behind the n-th time that the instruction at `address` runs; sees to the sleep on the way. */
static bool
run_to_address(Tracer *tracer, uint64_t address, uint32_t times, StepOutcome *outcome)
{
	StepRecorder *recorder = &tracer->recorder;
	MachineState state;

	if (!machine_break_at(tracer->pid, address))
	{
		*outcome = STEP_FAILED;
		return false;
	}
	for (uint32_t seen = 0; seen < times;)
	{
		Move move = resume(tracer, PTRACE_SYSCALL);

		if (move != MOVE_OK)
		{
			*outcome = outcome_of(move, tracer->status);
			return false;
		}
		if (!machine_read(tracer->pid, &state))
			return false;
		if (WSTOPSIG(tracer->status) != SYSCALL_STOP)
			seen += state.ip == address && recorder->recording;
		else if (!tracer->slept &&
				 step_is_futex_wait((long) state.entered, state.argument[1], SYS_futex))
		{
			/* A sleep that is to be killed behind it is the instruction itself, and recording begins with it. */
			if (!let_sleep(tracer))
				return false;
			seen +=
				recorder->plan->record_from_sleep && state.ip - machine_syscall_length == address;
		}
	}
	machine_break_off(tracer->pid);
	return true;
}

/* The victim stands before the instruction that is its last. */
static void
run_that_one(Tracer *tracer, StepOutcome *outcome)
{
	MachineState state;

	if (!tracer->slept && machine_read(tracer->pid, &state) && machine_is_syscall(state.ip) &&
		step_is_futex_wait((long) state.number, state.argument[1], SYS_futex))
		(void) let_sleep(tracer);
	if (resume(tracer, PTRACE_SINGLESTEP) != MOVE_OK)
		*outcome = STEP_DIED;
}

static StepOutcome
quick_kill(Tracer *tracer)
{
	const StepPlan *plan = tracer->recorder.plan;
	StepOutcome outcome = STEP_KILLED;

	if (plan->kill_address != 0)
	{
		if (run_to_address(tracer, plan->kill_address, plan->kill_times, &outcome))
			run_that_one(tracer, &outcome);
		return outcome;
	}
	if (run_syscalls(tracer, plan->kill_syscall, plan->kill_syscalls, &outcome))
		(void) step_changes(tracer, plan->kill_changes, &outcome);
	return outcome;
}

/* ---- the run ---- */

/* To the victim's first stop, the scene, and from there into its body. */
static StepOutcome
begin(Tracer *tracer)
{
	StepRecorder *recorder = &tracer->recorder;
	const StepPlan *plan = recorder->plan;

	if (!wait_stop(tracer))
		return STEP_LATE;
	if (!WIFSTOPPED(tracer->status) ||
		ptrace(PTRACE_SETOPTIONS, tracer->pid, NULL,
			   (void *) (uintptr_t) (PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD)) < 0)
		return STEP_FAILED;
	if (plan->scene != NULL && !plan->scene(plan->arg))
		return STEP_FAILED;
	if (recorder->region.base != NULL)
	{
		recorder->shadow = malloc(recorder->region.size);
		if (recorder->shadow == NULL)
			return STEP_FAILED;
		memcpy(recorder->shadow, recorder->region.base, recorder->region.size);
	}
	tracer->pending = 0;
	while (__atomic_load_n(&recorder->trace->running, __ATOMIC_RELAXED) == 0)
	{
		if (resume(tracer, PTRACE_SINGLESTEP) != MOVE_OK)
			return STEP_FAILED;
	}
	recorder->recording = !plan->record_from_sleep;
	return STEP_FINISHED;
}

static void
end(Tracer *tracer, StepOutcome outcome)
{
	bool over = WIFEXITED(tracer->status) || WIFSIGNALED(tracer->status);

	held_pid = 0;
	if (!over && tracer->recorder.plan->hold && outcome == STEP_KILLED)
	{
		held_pid = tracer->pid;
		(void) ptrace(PTRACE_DETACH, tracer->pid, NULL, (void *) (intptr_t) SIGSTOP);
	}
	else if (!over)
	{
		(void) kill(tracer->pid, SIGKILL);
		while (waitpid(tracer->pid, &tracer->status, __WALL) >= 0 && WIFSTOPPED(tracer->status))
			continue;
	}
	if (tracer->attached)
		(void) shmdt(tracer->recorder.region.base);
	free(tracer->recorder.shadow);
}

static StepOutcome
trace_victim(Tracer *tracer)
{
	StepTrace *trace = tracer->recorder.trace;
	StepOutcome outcome = begin(tracer);
	uint64_t start_ns = step_now_ns();

	if (outcome != STEP_FINISHED)
		return outcome;
	if (tracer->recorder.plan->kill_after == 0)
		return STEP_KILLED;
	outcome = tracer->recorder.plan->quick ? quick_kill(tracer) : step_all(tracer);
	trace->nanoseconds = step_now_ns() - start_ns;
	return outcome;
}

StepOutcome
step_ptrace_run(const StepPlan *plan, StepTrace *trace)
{
	Tracer tracer = {
		.recorder = {.plan = plan, .trace = trace, .region = plan->region},
		.deadline_ns = step_deadline(plan),
	};
	struct itimerval tick = {.it_interval = {.tv_usec = 100000}, .it_value = {.tv_usec = 100000}};
	struct itimerval none = {.it_value = {0}};
	struct sigaction alarm_action = {.sa_handler = on_alarm};
	struct sigaction before;
	OneProcessor processor;
	StepOutcome outcome = STEP_FAILED;

	one_processor_take(&processor);
	(void) sigaction(SIGALRM, &alarm_action, &before);
	tracer.pid = fork_victim(plan, trace);
	if (tracer.pid > 0)
	{
		(void) setitimer(ITIMER_REAL, &tick, NULL);
		outcome = trace_victim(&tracer);
		end(&tracer, outcome);
		(void) setitimer(ITIMER_REAL, &none, NULL);
	}
	(void) sigaction(SIGALRM, &before, NULL);
	one_processor_give_back(&processor);
	return outcome;
}

pid_t
step_held_pid(void)
{
	return held_pid;
}

/* ---- the floor ---- */

static void
spin_for_ever(void *arg)
{
	volatile uint64_t *count = arg;

	for (;;)
		(*count)++;
}

double
step_ptrace_bare_rate(uint64_t steps)
{
	uint64_t count = 0;
	StepTrace *trace = step_trace_make();
	StepPlan plan = {.body = spin_for_ever, .arg = &count};
	OneProcessor processor;
	uint64_t start_ns = 0;
	int status;
	pid_t pid;

	if (trace == NULL)
		return 0;
	one_processor_take(&processor);
	pid = fork_victim(&plan, trace);
	if (pid > 0 && waitpid(pid, &status, __WALL) == pid)
	{
		start_ns = step_now_ns();
		for (uint64_t i = 0; i < steps; i++)
		{
			(void) ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL);
			(void) waitpid(pid, &status, __WALL);
		}
		start_ns = step_now_ns() - start_ns;
		(void) kill(pid, SIGKILL);
		(void) waitpid(pid, &status, __WALL);
	}
	one_processor_give_back(&processor);
	step_trace_free(trace);
	return pid > 0 ? (double) steps * 1e9 / (double) start_ns : 0;
}
