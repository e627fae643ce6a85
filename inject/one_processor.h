/*
 * one_processor.h
 *		Processes that take turns share one processor.
 *
 * Who hands over to another on the same processor causes a switch; on another processor it is an interrupt, to one that
 * may have to be woken first, and takes five to ten times as long.
 *
 * Owner: the caller's thread and the children it makes meanwhile.  Should it be refused, all is as it was, and slower.
 */
#ifndef HOLDFAST_INJECT_ONE_PROCESSOR_H
#define HOLDFAST_INJECT_ONE_PROCESSOR_H

#include <sched.h>
#include <stdbool.h>

typedef struct OneProcessor
{
	bool taken;
	cpu_set_t before;
} OneProcessor;

static inline void
one_processor_take(OneProcessor *own)
{
	int here = sched_getcpu();
	cpu_set_t one;

	own->taken = here >= 0 && sched_getaffinity(0, sizeof(own->before), &own->before) == 0;
	if (!own->taken)
		return;
	CPU_ZERO(&one);
	CPU_SET((unsigned) here, &one);
	own->taken = sched_setaffinity(0, sizeof(one), &one) == 0;
}

static inline void
one_processor_give_back(const OneProcessor *own)
{
	if (own->taken)
		(void) sched_setaffinity(0, sizeof(own->before), &own->before);
}

#endif
