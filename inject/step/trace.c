/*
 * trace.c
 *		The record of a stepped run, and what both engines need.
 *
 * A comparison of the whole region after each instruction costs a fraction of a step: it is some tens of kilobytes, in
 * cache.  Async-signal-safe: step_record*() run in the victim's SIGTRAP handler.
 */
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#include "inject/step/internal.h"
#include "inject/step/machine.h"

StepTrace *
step_trace_make(void)
{
	void *trace = mmap(NULL, sizeof(StepTrace), PROT_READ | PROT_WRITE,
					   MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return trace == MAP_FAILED ? NULL : trace;
}

void
step_trace_free(StepTrace *trace)
{
	if (trace != NULL)
		(void) munmap(trace, sizeof(*trace));
}

const char *
step_outcome_name(StepOutcome outcome)
{
	static const char *const names[] = {"finished", "killed", "died", "late", "failed"};

	return (size_t) outcome < sizeof(names) / sizeof(names[0]) ? names[outcome] : "unknown";
}

StepInstruction *
step_record(StepRecorder *recorder, uint64_t address, int32_t syscall)
{
	StepTrace *trace = recorder->trace;
	StepInstruction *instruction;

	if (!recorder->recording)
		return NULL;
	if (trace->instructions >= STEP_INSTRUCTIONS_MAX)
	{
		trace->overflow = 1;
		return NULL;
	}
	instruction = &trace->instruction[trace->instructions++];
	*instruction = (StepInstruction){.address = address,
									 .syscall = syscall,
									 .first_write = trace->writes,
									 .event = trace->events};
	return instruction;
}

/* Adds the words of one line that differ, and brings the shadow up to date. */
static void
record_line(StepRecorder *recorder, size_t from, size_t to, bool keep)
{
	StepTrace *trace = recorder->trace;

	for (size_t at = from; at + 8 <= to; at += 8)
	{
		uint64_t now, before;

		memcpy(&now, (const char *) recorder->region.base + at, 8);
		memcpy(&before, recorder->shadow + at, 8);
		if (now == before)
			continue;
		memcpy(recorder->shadow + at, &now, 8);
		if (!keep)
			continue;
		if (trace->writes >= STEP_WRITES_MAX)
			trace->overflow = 1;
		else
			trace->write[trace->writes++] = (StepWrite){.offset = at, .value = now};
	}
}

static bool
record_changes(StepRecorder *recorder, bool keep)
{
	size_t size = recorder->region.size & ~(size_t) 7;

	if (recorder->shadow == NULL || memcmp(recorder->region.base, recorder->shadow, size) == 0)
		return false;
	for (size_t at = 0; at < size; at += 64)
	{
		size_t end = at + 64 < size ? at + 64 : size;

		if (memcmp((const char *) recorder->region.base + at, recorder->shadow + at, end - at) != 0)
			record_line(recorder, at, end, keep);
	}
	return true;
}

bool
step_record_effects(StepRecorder *recorder, StepInstruction *instruction)
{
	StepTrace *trace = recorder->trace;
	bool changed = record_changes(recorder, true);

	if (instruction == NULL)
		return false;
	instruction->writes = trace->writes - instruction->first_write;
	if (changed || instruction->syscall != STEP_NO_SYSCALL)
	{
		instruction->is_event = 1;
		trace->events++;
	}
	instruction->event = trace->events;
	return instruction->is_event && trace->events == recorder->plan->kill_after;
}

void
step_resync(StepRecorder *recorder)
{
	(void) record_changes(recorder, true);
}

uint64_t
step_now_ns(void)
{
	struct timespec now;

	(void) clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t) now.tv_sec * UINT64_C(1000000000) + (uint64_t) now.tv_nsec;
}

uint64_t
step_deadline(const StepPlan *plan)
{
	return step_now_ns() + (plan->deadline_ms != 0 ? plan->deadline_ms : 60000) * UINT64_C(1000000);
}

bool
step_engine_exists(StepEngine engine)
{
#ifdef __x86_64__
	return engine == STEP_PTRACE || engine == STEP_TF;
#else
	return engine == STEP_PTRACE;
#endif
}

bool
step_has_breakpoints(void)
{
	return machine_has_breakpoints;
}

StepOutcome
step_run(const StepPlan *plan, StepTrace *trace)
{
	/* Only what was used: the mapping is large. */
	trace->running = trace->signal = trace->sleep = trace->finished = trace->overflow = 0;
	trace->events = trace->instructions = trace->writes = 0;
	trace->nanoseconds = 0;
	return plan->engine == STEP_TF ? step_tf_run(plan, trace) : step_ptrace_run(plan, trace);
}

double
step_bare_rate(StepEngine engine, uint64_t steps)
{
	return engine == STEP_TF ? step_tf_bare_rate(steps) : step_ptrace_bare_rate(steps);
}
