/*
 * carrier.c
 *		The carriers by name, and what they have in common.
 */
#include "carrier.h"

#include <stdlib.h>
#include <string.h>

#include "inject/point/error.h"

const Carrier *
carrier_find(const char *name)
{
	static const Carrier *const carriers[] = {&carrier_seccomp, &carrier_strace};

	for (size_t i = 0; i < sizeof(carriers) / sizeof(carriers[0]); i++)
		if (strcmp(carriers[i]->name, name) == 0)
			return carriers[i];
	return NULL;
}

InjectStatus
carrier_check_armed(const Carrier *carrier, InjectError *error)
{
	char *text = malloc(INJECT_PLAN_SIZE);
	InjectPlan *plan = malloc(sizeof(*plan));
	InjectStatus status;

	if (text == NULL || plan == NULL)
		status = inject_fail(error, INJECT_SYSTEM_ERROR, "out of memory");
	else
	{
		size_t length = inject_armed_text(text, INJECT_PLAN_SIZE);

		status = inject_plan_parse(text, length, plan, error);
		if (status == INJECT_OK)
			status = carrier->check(plan, error);
	}
	free(text);
	free(plan);
	return status;
}
