/*
 * check.h
 *		Is a segment as a death left it good enough?  Asked of a copy, with the victim declared dead.
 */
#ifndef HOLDFAST_STEP_CHECK_H
#define HOLDFAST_STEP_CHECK_H

#include <stddef.h>

#include "step/world.h"

/*
 * In a process of its own, with a segment of its own that holds `image` where the world's segment is mapped: recovers, and
 * asks the oracle; takes every free lock in both modes; then declares the peers dead too, recovers, and every lock must
 * be had.  The victim is dead already, so that the kernel says so too.  False with the reason.
 */
bool check_image(StepWorld *world, const void *image, char *why, size_t size);

#endif
