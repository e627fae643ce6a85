/*
 * environment.c
 *		What a program does first: the table, the plan and libfiu as its environment says.
 *
 * Thread safety: before threads start.
 */
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "table.h"

static const char *
setting(const char *name)
{
	const char *value = getenv(name);

	return value != NULL && value[0] != '\0' ? value : NULL;
}

static InjectStatus
attach_to(const char *number, InjectError *error)
{
	char *end;
	long fd = strtol(number, &end, 10);

	if (*end != '\0' || fd < 0 || fd > 1 << 20)
		return inject_fail(error, INJECT_BAD_TABLE, INJECT_FD_ENV "=%s is no descriptor", number);
	return inject_table_attach((int) fd, error);
}

/* A table of its own, which what it executes will share. */
static InjectStatus
create_and_export(InjectError *error)
{
	InjectStatus status = inject_table_create(error);

	return status == INJECT_OK ? inject_table_export(error) : status;
}

InjectStatus
inject_init_from_environment(InjectError *error)
{
	const char *plan = setting(INJECT_PLAN_ENV);
	const char *number = setting(INJECT_FD_ENV);
	bool fiu = setting("FIU_ENABLE") != NULL || setting("FIU_CTRL_FIFO") != NULL;
	InjectStatus status = INJECT_OK;

	if (inject_table != NULL)
		return inject_fail(error, INJECT_MISUSE, "a control table is mapped already");
	if (number != NULL)
		status = attach_to(number, error);
	else if (plan != NULL || fiu)
		status = create_and_export(error);
	/* Epoch 0: nobody has armed this table yet; it is not for each child to arm it again. */
	if (status == INJECT_OK && plan != NULL && active_epoch(active_load()) == 0)
		status = inject_arm(plan, error);
	if (status == INJECT_OK && fiu)
		status = inject_fiu_passthrough(true, error);
	return status;
}
