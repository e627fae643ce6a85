/*
 * arm.h
 *		Arms a plan in the control table of a test's process, which is made by the first.
 */
#ifndef HOLDFAST_TESTS_ARM_H
#define HOLDFAST_TESTS_ARM_H

#include <criterion/criterion.h>

#include "inject/inject.h"

static inline void
arm(const char *plan)
{
	InjectError error;

	if (!inject_table_mapped())
		cr_assert(inject_table_create(&error) == INJECT_OK, "%s", error.message);
	cr_assert(inject_arm(plan, &error) == INJECT_OK, "%s: %d:%d %s", plan, error.line, error.column,
			  error.message);
}

#endif
