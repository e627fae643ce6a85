/*
 * coroutine.h
 *		Leaving one stack for another: the only machine-dependent part of the simulator.
 */
#ifndef HOLDFAST_SCHED_COROUTINE_H
#define HOLDFAST_SCHED_COROUTINE_H

#include <stddef.h>

/* Saves the caller's registers on its stack and that stack's top in *save, and goes on where `to` was saved. */
void sim_switch(void **save, void *to);

/* A stack on which sim_switch() begins `entry`, which must not return.  The stack is zeroed first. */
void *sim_new_stack(unsigned char *stack, size_t size, void (*entry)(void));

#endif
