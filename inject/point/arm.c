/*
 * arm.c
 *		Arming and disarming: a checked plan becomes the one that all processes obey.
 *
 *	1. parse and check in private memory; nothing is touched on failure;
 *	2. take the writers' lock;
 *	3. compile into the buffer that is not active;
 *	4. publish epoch and buffer in one store;
 *	5. set the bytes that the points test; release the waiters of the plan before.
 * A process that dies in 2-3 has changed nothing that anybody reads.  One that dies between 4 and 5 leaves
 * bytes of the plan before: the next arm or disarm, or process that attaches, sets them.
 *
 * Thread, process safety: any number may arm; the lock puts them in order.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "hit.h"
#include "plan_print.h"
#include "registry.h"
#include "table.h"

/* Index of `name` among `count` names, appended if it is new.  plan_check.c has counted. */
static unsigned
intern_tag(TablePlan *to, const char *name)
{
	for (unsigned i = 0; i < to->tag_count; i++)
		if (strcmp(to->tags[i].name, name) == 0)
			return i;
	memcpy(to->tags[to->tag_count].name, name, INJECT_TAG_SIZE);
	return to->tag_count++;
}

static unsigned
intern_name(TablePlan *to, const char *name)
{
	for (unsigned i = 0; i < to->name_count; i++)
		if (strcmp(to->names[i], name) == 0)
			return i;
	strcpy(to->names[to->name_count], name); /* from an InjectStep: at most a point's name */
	return to->name_count++;
}

static void
compile_step(TablePlan *to, const InjectStep *from, TableStep *step)
{
	*step = (TableStep){
		.limit = from->limit,
		.nth = from->nth,
		.nth_end = from->nth_end,
		.every = from->every,
		.after_hits = from->after_hits,
		.arg_low = from->arg_low,
		.arg_high = from->arg_high,
		.chance = from->chance,
		.ordinal = from->ordinal,
		.after = NO_POINT,
		.held = NO_POINT,
		.in = NO_POINT,
		.scope = (uint8_t) from->scope,
		.has_arg = from->has_arg,
		.action_count = (uint8_t) from->action_count,
	};
	memcpy(step->role, from->role, sizeof(step->role));
	if (from->after_hits != 0)
	{
		step->after = (uint16_t) table_find_point(from->after);
		to->watched[step->after] = 1;
	}
	if (from->held[0] != '\0')
		step->held = (uint16_t) intern_name(to, from->held);
	if (from->in[0] != '\0')
		step->in = (uint16_t) intern_name(to, from->in);
	for (int i = 0; i < from->action_count; i++)
	{
		const InjectAction *action = &from->actions[i];
		TableAction *compiled = &step->actions[i];

		*compiled = (TableAction){.kind = (uint16_t) action->kind, .a = action->a, .b = action->b};
		step->throws = step->throws || action->kind == INJECT_THROW;
		if (action->kind == INJECT_PAUSE || action->kind == INJECT_BARRIER)
			compiled->name = (uint16_t) intern_tag(to, action->name);
		else if (action->kind == INJECT_CALL)
			compiled->name = (uint16_t) intern_name(to, action->name);
	}
}

static bool
has_effect(const InjectPlan *plan, const InjectItem *item)
{
	for (int i = 0; i < item->step_count; i++)
		if (plan->steps[item->first_step + i].actions[0].kind != INJECT_OFF)
			return true;
	return false;
}

static void
compile_item(TablePlan *to, const InjectPlan *from, int index)
{
	const InjectItem *item = &from->items[index];
	TableItem *compiled = &to->items[index];
	size_t length;

	memset(compiled, 0, sizeof(*compiled));
	memcpy(compiled->point, item->point, sizeof(compiled->point));
	length = plan_print_item(from, index, compiled->text, sizeof(compiled->text));
	if (length >= sizeof(compiled->text))
		memcpy(compiled->text + sizeof(compiled->text) - 4, "...", 4);
	compiled->first_step = (uint16_t) item->first_step;
	compiled->step_count = (uint16_t) item->step_count;
	compiled->can_fire = has_effect(from, item);
	for (uint32_t i = 0; i < inject_table->point_count; i++)
		if (point_name_matches(item->point, inject_table->points[i].name))
			to->point_items[i] |= UINT64_C(1) << index;
}

/*
 * The tags' futex words are not cleared: somebody slow may still sleep on one, and must find it changed,
 * not back at the value that it saw.
 */
static void
compile_plan(TablePlan *to, const InjectPlan *from)
{
	to->seed = from->has_seed ? from->seed : 0;
	to->deadline_ns = from->deadline_ns;
	to->item_count = (uint32_t) from->item_count;
	to->step_count = (uint32_t) from->step_count;
	to->tag_count = 0;
	to->name_count = 0;
	memset(to->point_items, 0, sizeof(to->point_items));
	memset(to->watched, 0, sizeof(to->watched));
	for (int i = 0; i < from->step_count; i++)
		compile_step(to, &from->steps[i], &to->steps[i]);
	for (int i = 0; i < from->item_count; i++)
		compile_item(to, from, i);
	if (inject_plan_print(from, to->text, sizeof(to->text)) >= sizeof(to->text))
		memcpy(to->text + sizeof(to->text) - 4, "...", 4);
}

static void
plan_publish(uint64_t epoch, unsigned buffer)
{
	/* release: publishes the compiled plan; pairs with the acquire in active_load() */
	__atomic_store_n(&inject_table->active, epoch << 2 | buffer << 1 | 1, __ATOMIC_RELEASE);
}

static InjectStatus
arm_checked(const InjectPlan *plan, InjectError *error)
{
	InjectStatus status = table_lock(error);
	uint64_t before;
	unsigned buffer;

	if (status != INJECT_OK)
		return status;
	before = active_load();
	buffer = (before >> 1 & 1) ^ 1;
	compile_plan(&inject_table->plans[buffer], plan);
	plan_publish(active_epoch(before) + 1, buffer);
	table_refresh_armed();
	wait_release_all(active_plan(before));
	table_unlock();
	return INJECT_OK;
}

InjectStatus
inject_arm_bytes(const void *text, size_t length, InjectError *error)
{
	InjectPlan *plan;
	InjectStatus status;

	if (inject_table == NULL)
		return inject_fail(error, INJECT_NO_TABLE, "no control table is mapped");
	plan = malloc(sizeof(*plan));
	if (plan == NULL)
		return inject_fail_errno(error, "cannot hold the plan");
	status = inject_plan_parse(text, length, plan, error);
	if (status == INJECT_OK)
		status = inject_plan_check(plan, error);
	if (status == INJECT_OK)
		status = arm_checked(plan, error);
	free(plan);
	return status;
}

InjectStatus
inject_arm(const char *text, InjectError *error)
{
	return inject_arm_bytes(text, strlen(text), error);
}

/*
 * Without the lock, if its holder lives and does not let go, the armed bit alone is cleared: points then
 * look, and find nothing.
 */
void
inject_disarm_all(void)
{
	uint64_t active;
	bool locked;

	if (inject_table == NULL)
		return;
	locked = table_lock(NULL) == INJECT_OK;
	/* acq_rel: who sees the plan gone sees what we did before; pairs with active_load() */
	active = __atomic_fetch_and(&inject_table->active, ~UINT64_C(1), __ATOMIC_ACQ_REL);
	if (locked)
		table_refresh_armed();
	wait_release_all(active_plan(active));
	if (locked)
		table_unlock();
}
