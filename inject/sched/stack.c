/*
 * stack.c
 *		Which calls a simulated process stands in: addresses, which the command line finds names for.
 *
 * A process walks its own stack: the engine switches to where it stopped, it does so instead of going on, and switches back.
 * Its live bytes stay as they are.
 */
#include <unwind.h>

#include "coroutine.h"
#include "model.h"

static _Unwind_Reason_Code
note_frame(struct _Unwind_Context *context, void *arg)
{
	ExploreStack *stack = arg;

	/* The first call of a stack returns to nowhere. */
	if (stack->count == EXPLORE_FRAMES_MAX || _Unwind_GetIP(context) == 0)
		return _URC_END_OF_STACK;
	stack->address[stack->count++] = (uint64_t) _Unwind_GetIP(context);
	return _URC_NO_REASON;
}

/* The stack this is called on, if it is a process's. */
void
sim_note_stack(ExploreStack *stack)
{
	unsigned char *here = __builtin_frame_address(0);

	if (stack == NULL ||
		(uintptr_t) here - (uintptr_t) sim_world->stack >= sizeof(sim_world->stack))
		return;
	stack->count = 0;
	(void) _Unwind_Backtrace(note_frame, stack);
}

void
sim_tell_stacks(ExploreReport *report)
{
	for (int p = 0; p < sim.processes && p < EXPLORE_STACKS_MAX; p++)
		sim_unwind(p, &report->stack[p]);
}
