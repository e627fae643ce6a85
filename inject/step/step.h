/*
 * step.h
 *		Runs a piece of code in a process of its own, one machine instruction at a time, and says what each one did.
 *
 *		StepTrace *trace = step_trace_make();
 *		StepPlan plan = {.engine = STEP_PTRACE, .body = work, .region = {segment, size}};
 *		StepOutcome outcome = step_run(&plan, trace);
 *
 * The victim is forked from the caller and shares `region`, memory that both have mapped at one address.  What a death
 * leaves is the region and the kernel's state, never a register.  So an instruction that changed bytes of the region,
 * or that was a system call, is an event; a kill after any other leaves what a kill after the last event left.  Kill number
 * n is a real SIGKILL of the victim when event n has happened and the next instruction has not; 0 is before the first
 * instruction.
 *
 * Two engines: PTRACE_SINGLESTEP, for everything; and EFLAGS.TF set by the victim in itself, where the machine
 * has it and the body handles no SIGTRAP: no switch to another process for each instruction, so faster.
 * The second reports the instruction behind a system call together with it, in two records.
 *
 * Owner: the trace is the caller's; the victim belongs to step_run() and is dead and reaped when that returns.
 * Thread safety: one thread at a time.  The victim dies with its tracer.
 */
#ifndef HOLDFAST_INJECT_STEP_H
#define HOLDFAST_INJECT_STEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define STEP_INSTRUCTIONS_MAX (UINT32_C(4) << 20)
#define STEP_WRITES_MAX       (UINT32_C(1) << 20)
#define STEP_NO_SYSCALL       (-1)
#define STEP_KILL_NEVER       UINT64_MAX

/* One aligned word of the region, with what it holds afterwards. */
typedef struct StepWrite
{
	uint64_t offset;
	uint64_t value;
} StepWrite;

typedef struct StepInstruction
{
	uint64_t address;
	uint32_t first_write; /* in StepTrace.write */
	uint32_t writes;      /* words changed */
	int32_t syscall;      /* its number, or STEP_NO_SYSCALL */
	uint32_t event;       /* how many there were with this one; its own number when it is one */
	uint64_t outside;     /* what plan->outside said after it; 0 when it was not asked */
	uint64_t is_event;
} StepInstruction;

/* Shared with the victim: it must survive its death. */
typedef struct StepTrace
{
	uint32_t running; /* the victim is inside its body */
	uint32_t signal;  /* futex: counts what the victim has to say */
	uint32_t sleep;   /* StepSleep */
	uint32_t finished;
	uint32_t overflow; /* there were more instructions or writes than fit */
	uint32_t events;
	uint32_t instructions;
	uint32_t writes;
	uint64_t nanoseconds; /* in which they were stepped */
	StepInstruction instruction[STEP_INSTRUCTIONS_MAX];
	StepWrite write[STEP_WRITES_MAX];
} StepTrace;

typedef enum StepEngine
{
	STEP_PTRACE,
	STEP_TF,
} StepEngine;

typedef enum StepOutcome
{
	STEP_FINISHED, /* the body returned, or the process ended itself by exit */
	STEP_KILLED,   /* at the event that was asked for */
	STEP_DIED,     /* by a signal that nobody here sent */
	STEP_LATE,     /* the deadline came first */
	STEP_FAILED,   /* the process could not be made or traced: errno */
} StepOutcome;

typedef struct StepRegion
{
	void *base;
	size_t size;
} StepRegion;

typedef struct StepPlan
{
	StepEngine engine;
	bool (*prepare)(void *arg); /* in the victim, at full speed; false: it gives up.  May be NULL */
	bool (*scene)(void *arg);   /* in the caller, when the victim is prepared.  May be NULL */
	void (*body)(void *arg);    /* in the victim, stepped */
	bool (*on_sleep)(
		void *arg); /* in the caller, before the victim's first FUTEX_WAIT; false: stop there */
	uint64_t (*outside)(
		void *arg); /* after each system call: a fingerprint of what else a death leaves */
	void *arg;
	StepRegion region; /* base NULL: the first segment that the victim attaches (ptrace only) */
	bool record_from_sleep; /* events before the first FUTEX_WAIT are not counted */
	bool quick; /* kill runs: system calls before the last one are not stepped (ptrace only) */
	uint64_t kill_after;   /* event number, or STEP_KILL_NEVER */
	uint64_t kill_address; /* quick: after the instruction there has run ... */
	uint32_t kill_times;   /* ... so many times.  0: by the following */
	int32_t kill_syscall;  /* quick: after the system call of that number ... */
	uint32_t
		kill_syscalls;     /* ... was made so many times (how often others are made may vary) ... */
	uint32_t kill_changes; /* ... and it is this many changes after the last of them */
	bool hold; /* instead of killing: leave it stopped there, detached; see step_held_pid() */
	uint64_t deadline_ms;
} StepPlan;

StepTrace *step_trace_make(void);
void step_trace_free(StepTrace *trace);

bool step_engine_exists(StepEngine engine);
bool step_has_breakpoints(void); /* kill_address may be used */
StepOutcome step_run(const StepPlan *plan, StepTrace *trace);
const char *step_outcome_name(StepOutcome outcome);

/* After a run with `hold`: the victim, stopped by SIGSTOP.  The caller kills and reaps it. */
pid_t step_held_pid(void);

/* Bare steps per second here and now, of a loop that touches nothing, without any record: the floor. */
double step_bare_rate(StepEngine engine, uint64_t steps);

#endif
