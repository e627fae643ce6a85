/*
 * carrier.h
 *		Ways to bring a plan to a program that was not built with points, other than by preload.
 *
 *		seccomp		the kernel stops the calls that the plan names and asks us (seccomp user notification); reaches
 *					static programs and those that go past the C library.  Every call costs a round trip.
 *		strace		strace injects; it understands a part of the plans.  A second opinion, for tests.
 *
 * Both use the control table that is mapped and the plan that is armed in it; counters and processes are found there
 * afterwards, as after a run by preload.
 *
 * Thread safety: one carrier at a time, one thread.  Errors: InjectStatus and InjectError.
 */
#ifndef HOLDFAST_INJECT_CARRIER_H
#define HOLDFAST_INJECT_CARRIER_H

#include "inject/inject.h"

typedef struct Carrier
{
	const char *name;

	/* Whether it can do all that the plan asks; INJECT_BAD_PLAN with the place of what it cannot. */
	InjectStatus (*check)(const InjectPlan *plan, InjectError *error);

	/*
	 * Run `command` and all that it starts under the armed plan, to the end of the last of them.  `wait_status` is
	 * that of the command itself, as waitpid() gives it; 127 and 126 as a shell says them when it could not be run.
	 */
	InjectStatus (*run)(char *const *command, int *wait_status, InjectError *error);

	/* Whether this machine allows it; says why not. */
	InjectStatus (*probe)(InjectError *error);
} Carrier;

extern const Carrier carrier_seccomp;
extern const Carrier carrier_strace;

/* By name; NULL when there is none. */
const Carrier *carrier_find(const char *name);

/* Why preload cannot reach a program, in a few words; NULL when nothing is known that is in its way. */
const char *carrier_preload_obstacle(const char *program);

/* Parse and check the plan that is armed in the mapped table. */
INJECT_MUST_CHECK InjectStatus carrier_check_armed(const Carrier *carrier, InjectError *error);

#endif
