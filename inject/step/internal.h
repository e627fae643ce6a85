/*
 * internal.h
 *		What the two engines of step.h share: the record, and the start of a victim.
 */
#ifndef HOLDFAST_INJECT_STEP_INTERNAL_H
#define HOLDFAST_INJECT_STEP_INTERNAL_H

#include <linux/futex.h>
#include <string.h>

#include "inject/step/step.h"

typedef enum StepSleep
{
	SLEEP_NOT_YET,
	SLEEP_ASKED, /* the victim stands before its FUTEX_WAIT */
	SLEEP_GO_ON, /* the caller has done what it had to */
	SLEEP_STOP_HERE,
} StepSleep;

/* What one engine keeps while it steps one victim. */
typedef struct StepRecorder
{
	const StepPlan *plan;
	StepTrace *trace;
	StepRegion region;
	unsigned char *shadow; /* the region after the last instruction; NULL: none yet */
	bool recording;
} StepRecorder;

/* The record of an instruction; NULL when there is no room, or nothing is recorded yet. */
StepInstruction *step_record(StepRecorder *recorder, uint64_t address, int32_t syscall);
/* Which words it changed; counts it as an event if it is one.  True when it was the one to be killed after. */
bool step_record_effects(StepRecorder *recorder, StepInstruction *instruction);
/* Somebody else changed the region: no event of the victim's. */
void step_resync(StepRecorder *recorder);

/* FUTEX_WAIT, whatever its flags. */
static inline bool
step_is_futex_wait(long number, uint64_t operation, long futex_number)
{
	return number == futex_number && (operation & FUTEX_CMD_MASK) == FUTEX_WAIT;
}

void step_victim_main(const StepPlan *plan, StepTrace *trace);

/* tf.c; never returns, and only where step_engine_exists(STEP_TF). */
void step_tf_victim(const StepPlan *plan, StepTrace *trace);
StepOutcome step_tf_run(const StepPlan *plan, StepTrace *trace);
StepOutcome step_ptrace_run(const StepPlan *plan, StepTrace *trace);

double step_tf_bare_rate(uint64_t steps);
double step_ptrace_bare_rate(uint64_t steps);

uint64_t step_now_ns(void);
/* The deadline as a moment. */
uint64_t step_deadline(const StepPlan *plan);

#endif
