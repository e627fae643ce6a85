/*
 * plan_print.h
 *		One item of a plan as text; the whole plan is inject_plan_print()'s.
 */
#ifndef HOLDFAST_INJECT_PLAN_PRINT_H
#define HOLDFAST_INJECT_PLAN_PRINT_H

#include "inject/inject.h"

/* As snprintf: cut to `size`, returns the length that is needed. */
size_t plan_print_item(const InjectPlan *plan, int index, char *text, size_t size);

#endif
