/*
 * tf.c
 *		A victim that steps itself: it sets the trap flag, and its SIGTRAP handler writes the record.
 *
 * No switch to a tracer for each instruction.  In exchange the victim must not handle SIGTRAP itself, and the instruction
 * behind a system call traps together with it.  The caller only waits: for the end, for the deadline, and for a
 * victim that is about to sleep and must be seen to.
 *
 * Async-signal-safe: the handler uses the record, which is memory, and raw system calls.
 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "inject/step/internal.h"
#include "inject/step/machine.h"

/* Of the victim alone: there is one body per process. */
static StepRecorder self;
static uint64_t previous_ip; /* of the instruction that has just run */
static int32_t previous_call = STEP_NO_SYSCALL;
static bool slept;
static uint64_t start_ns;

/* ---- in the victim ---- */

static void
say(StepTrace *trace)
{
	(void) __atomic_fetch_add(&trace->signal, 1, __ATOMIC_RELEASE);
	(void) syscall(SYS_futex, &trace->signal, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

static void
ask_before_sleep(StepTrace *trace)
{
	slept = true;
	trace->nanoseconds = step_now_ns() - start_ns;
	if (self.plan->record_from_sleep)
		self.recording = true;
	if (self.plan->on_sleep == NULL)
		return;
	__atomic_store_n(&trace->sleep, SLEEP_ASKED, __ATOMIC_RELEASE);
	say(trace);
	while (__atomic_load_n(&trace->sleep, __ATOMIC_ACQUIRE) == SLEEP_ASKED)
		(void) syscall(SYS_futex, &trace->sleep, FUTEX_WAIT, SLEEP_ASKED, NULL, NULL, 0);
	if (__atomic_load_n(&trace->sleep, __ATOMIC_ACQUIRE) == SLEEP_STOP_HERE)
		for (;;)
			(void) pause();
	step_resync(&self);
	start_ns = step_now_ns() - trace->nanoseconds; /* the caller's part does not count */
}

static void
die_if(bool it_is_time)
{
	if (it_is_time)
		(void) syscall(SYS_kill, getpid(), SIGKILL);
}

/* After each instruction: what was it, what did it do, and does it lead into a sleep? */
static void
on_trap(int number, siginfo_t *info, void *context)
{
	StepTrace *trace = self.trace;
	MachineState state;

	(void) number;
	(void) info;
	machine_read_context(context, &state);
	if (previous_call != STEP_NO_SYSCALL)
	{
		/* The call, and then the one that trapped with it. */
		die_if(step_record_effects(&self, step_record(&self, previous_ip, previous_call)));
		die_if(step_record_effects(
			&self, step_record(&self, previous_ip + machine_syscall_length, STEP_NO_SYSCALL)));
	}
	else if (previous_ip != 0)
		die_if(step_record_effects(&self, step_record(&self, previous_ip, STEP_NO_SYSCALL)));
	previous_ip = state.ip;
	previous_call = machine_is_syscall(state.ip) ? (int32_t) state.number : STEP_NO_SYSCALL;
	if (previous_call != STEP_NO_SYSCALL && !slept &&
		step_is_futex_wait(state.number, state.argument[1], SYS_futex))
		ask_before_sleep(trace);
}

static void
wait_for_go(StepTrace *trace)
{
	say(trace);
	while (__atomic_load_n(&trace->running, __ATOMIC_ACQUIRE) == 0)
		(void) syscall(SYS_futex, &trace->running, FUTEX_WAIT, 0, NULL, NULL, 0);
}

void
step_tf_victim(const StepPlan *plan, StepTrace *trace)
{
	struct sigaction action = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO};

	if (plan->prepare != NULL && !plan->prepare(plan->arg))
		_exit(1);
	wait_for_go(trace);
	self = (StepRecorder){.plan = plan, .trace = trace, .region = plan->region};
	self.shadow = malloc(plan->region.size);
	if (self.shadow == NULL || sigaction(SIGTRAP, &action, NULL) < 0)
		_exit(1);
	memcpy(self.shadow, plan->region.base, plan->region.size);
	self.recording = !plan->record_from_sleep;
	previous_ip = 0;
	die_if(plan->kill_after == 0);
	start_ns = step_now_ns();
	machine_trap_on();
	plan->body(plan->arg);
	machine_trap_off();
	trace->nanoseconds = step_now_ns() - start_ns;
	__atomic_store_n(&trace->finished, 1, __ATOMIC_RELEASE);
	say(trace);
	for (;;)
		(void) pause();
}

/* ---- in the caller ---- */

/* Until `signal` moves on from `seen`, the victim ends, or some time has passed. */
static void
listen(StepTrace *trace, uint32_t seen)
{
	struct timespec tick = {.tv_nsec = 20000000};

	(void) syscall(SYS_futex, &trace->signal, FUTEX_WAIT, seen, &tick, NULL, 0);
}

static bool
has_ended(pid_t pid, int *status)
{
	return waitpid(pid, status, WNOHANG | __WALL) == pid;
}

static void
answer_sleep(const StepPlan *plan, StepTrace *trace)
{
	bool go_on = plan->on_sleep(plan->arg);

	__atomic_store_n(&trace->sleep, go_on ? SLEEP_GO_ON : SLEEP_STOP_HERE, __ATOMIC_RELEASE);
	(void) syscall(SYS_futex, &trace->sleep, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

static StepOutcome
end_of(int status)
{
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
		return STEP_KILLED;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? STEP_FINISHED
		   : WIFEXITED(status)                           ? STEP_FAILED
														 : STEP_DIED;
}

static void
kill_victim(pid_t pid)
{
	(void) kill(pid, SIGKILL);
	while (waitpid(pid, NULL, __WALL) < 0 && errno == EINTR)
		continue;
}

static StepOutcome
attend(const StepPlan *plan, StepTrace *trace, pid_t pid)
{
	uint64_t deadline_ns = step_deadline(plan);
	bool started = false;
	int status;

	for (;;)
	{
		uint32_t seen = __atomic_load_n(&trace->signal, __ATOMIC_ACQUIRE);

		if (has_ended(pid, &status))
			return end_of(status);
		if (seen > 0 && !started)
		{
			started = true;
			if (plan->scene != NULL && !plan->scene(plan->arg))
				break;
			__atomic_store_n(&trace->running, 1, __ATOMIC_RELEASE);
			(void) syscall(SYS_futex, &trace->running, FUTEX_WAKE, 1, NULL, NULL, 0);
		}
		if (__atomic_load_n(&trace->sleep, __ATOMIC_ACQUIRE) == SLEEP_ASKED)
			answer_sleep(plan, trace);
		if (__atomic_load_n(&trace->finished, __ATOMIC_ACQUIRE) != 0 ||
			trace->sleep == SLEEP_STOP_HERE)
		{
			kill_victim(pid);
			return STEP_FINISHED;
		}
		if (step_now_ns() >= deadline_ns)
			break;
		listen(trace, seen);
	}
	kill_victim(pid);
	return step_now_ns() >= deadline_ns ? STEP_LATE : STEP_FAILED;
}

StepOutcome
step_tf_run(const StepPlan *plan, StepTrace *trace)
{
	pid_t pid;

	if (!step_engine_exists(STEP_TF) || plan->region.base == NULL || plan->quick || plan->hold)
	{
		errno = ENOTSUP;
		return STEP_FAILED;
	}
	pid = fork();
	if (pid < 0)
		return STEP_FAILED;
	if (pid == 0)
	{
		(void) prctl(PR_SET_PDEATHSIG, SIGKILL);
		step_tf_victim(plan, trace);
	}
	return attend(plan, trace, pid);
}

/* ---- the floor ---- */

static volatile uint64_t bare_traps;

static void
on_bare_trap(int number)
{
	(void) number;
	bare_traps++;
}

double
step_tf_bare_rate(uint64_t steps)
{
	struct sigaction action = {.sa_handler = on_bare_trap};
	struct sigaction before;
	uint64_t start_ns;
	volatile uint64_t count = 0;

	if (!step_engine_exists(STEP_TF) || sigaction(SIGTRAP, &action, &before) < 0)
		return 0;
	bare_traps = 0;
	start_ns = step_now_ns();
	machine_trap_on();
	while (bare_traps < steps)
		count++;
	machine_trap_off();
	start_ns = step_now_ns() - start_ns;
	(void) sigaction(SIGTRAP, &before, NULL);
	return (double) steps * 1e9 / (double) start_ns;
}
