/*
 * kernel_view.h
 *		Which point a system call is, seen from the kernel.
 */
#ifndef HOLDFAST_INJECT_KERNEL_VIEW_H
#define HOLDFAST_INJECT_KERNEL_VIEW_H

#include <stdbool.h>
#include <stdint.h>

#include "inject/syscall/errno_table.h"

/* NULL when the kernel can tell; else why calls of that point are never seen there, or not as such. */
const char *kernel_view_blind(const char *point);

/* Numbers under which the call of a point may come, at most KERNEL_VIEW_NUMBERS; how many. */
#define KERNEL_VIEW_NUMBERS 3
int kernel_view_numbers(const InjectCallSpec *spec, long *numbers);

/* Whether this call, with these arguments, is the one that the point means; then what arg= is. */
bool kernel_view_matches(const InjectCallSpec *spec, long number, const uint64_t *argument,
						 int64_t *arg);

#endif
