/*
 * settle.h
 *		Looking again for a moment before refusing.
 *
 * A process that was killed just now is still being taken down: for a few milliseconds its PID lives, its segment counts
 * it, its locks are held.  So does a tool that is attached only to look.  Nobody but a start that is about to be refused
 * waits, and not for long.
 */
#ifndef HOLDFAST_SETTLE_H
#define HOLDFAST_SETTLE_H

#include <stdbool.h>
#include <time.h>

#define SETTLE_STEP_NS 2000000L
#define SETTLE_STEPS   50 /* 100 ms in all */

/* Waits one step and is true, or is false when the patience is over.  *steps starts at 0. */
static inline bool
settle_again(int *steps)
{
	const struct timespec step = {.tv_nsec = SETTLE_STEP_NS};

	if (*steps >= SETTLE_STEPS)
		return false;
	(*steps)++;
	(void) nanosleep(&step, NULL); /* cut short by a signal: only a look earlier */
	return true;
}

#endif
