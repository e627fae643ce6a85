/*
 * plan_check.c
 *		Whether a plan makes sense at the points it names.
 *
 * A fault that cannot happen is refused here, with its place in the text and the reason; after this nothing
 * in a plan is silently inert.  A wildcard must fit at every point it covers.
 *
 * Thread safety: reads the registry and the table.  Errors: INJECT_BAD_PLAN.
 */
#include <stdio.h>
#include <string.h>

#include "error.h"
#include "hit.h"
#include "registry.h"
#include "symbol.h"

/* An action at a point, as far as one sentence needs it. */
typedef struct Check
{
	const InjectPointInfo *point;
	const InjectStep *step;
	const InjectAction *action;
	InjectError *error;
} Check;

static InjectStatus
refuse(const Check *check, const char *reason)
{
	return inject_fail_at(check->error, check->action->place, NULL,
						  "%s is not possible at \"%s\": %s",
						  inject_action_name(check->action->kind), check->point->name, reason);
}

static bool
is_legal_errno(const int *errnos, int64_t number)
{
	for (int i = 0; errnos != NULL && errnos[i] != 0; i++)
		if (errnos[i] == number)
			return true;
	return false;
}

static InjectStatus
check_errno(const Check *check)
{
	char legal[160] = "";
	size_t length = 0;

	if (check->point->errnos == NULL)
		return refuse(check, "no call is made there that could fail");
	if (is_legal_errno(check->point->errnos, check->action->a))
		return INJECT_OK;
	for (int i = 0; check->point->errnos[i] != 0 && length < sizeof(legal); i++)
		length += (size_t) snprintf(legal + length, sizeof(legal) - length, " %s",
									inject_errno_name(check->point->errnos[i]));
	return inject_fail_at(check->error, check->action->place, NULL,
						  "\"%s\" is not documented to fail with %s; it can with%s",
						  check->point->name,
						  inject_errno_name((int) check->action->a) != NULL
							  ? inject_errno_name((int) check->action->a)
							  : "that number",
						  legal);
}

/* What an action needs of its point, and what to say where that is missing. */
static InjectStatus
check_capability(const Check *check)
{
	static const struct
	{
		unsigned needs;
		const char *reason;
	} needs[INJECT_ACTION_KINDS] = {
		[INJECT_RETURN] = {INJECT_CAN_ERRNO, "no call is made there that could return"},
		[INJECT_SHORT] = {INJECT_CAN_SHORT, "nothing is read or written there"},
		[INJECT_SLEEP] = {INJECT_CAN_SLEEP,
						  "others spin on whoever is there (spin, pause and stop are possible)"},
		[INJECT_SKIP] = {INJECT_CAN_SKIP, "there is no step that could be left out unnoticed"},
		[INJECT_CORRUPT] = {INJECT_CAN_CORRUPT, "no data pass there"},
		[INJECT_TORN] = {INJECT_CAN_TORN, "nothing is written there"},
		[INJECT_JUMP] = {INJECT_CAN_JUMP, "no clock is read there"},
		[INJECT_THROW] = {INJECT_CAN_THROW,
						  "a jump out of there leaves others spinning, or a handler"},
		[INJECT_CALL] = {INJECT_CAN_CALL, "an unknown function may call malloc, which is not safe"},
	};
	InjectActionKind kind = check->action->kind;

	if (kind == INJECT_ERRNO)
		return check_errno(check);
	if (needs[kind].needs != 0 && (check->point->actions & needs[kind].needs) == 0)
		return refuse(check, needs[kind].reason);
	return INJECT_OK;
}

static bool
ends_process(InjectActionKind kind)
{
	return kind == INJECT_KILL || kind == INJECT_EXIT || kind == INJECT_ABORT ||
		   kind == INJECT_THROW;
}

static bool
is_verdict(InjectActionKind kind)
{
	return kind == INJECT_ERRNO || kind == INJECT_RETURN || kind == INJECT_SHORT ||
		   kind == INJECT_SKIP || kind == INJECT_CORRUPT || kind == INJECT_TORN ||
		   kind == INJECT_JUMP;
}

/* Actions of a step among each other. */
static InjectStatus
check_combination(const InjectStep *step, InjectError *error)
{
	int verdicts = 0;

	for (int i = 0; i < step->action_count; i++)
	{
		const InjectAction *action = &step->actions[i];

		if (action->kind == INJECT_OFF && step->action_count > 1)
			return inject_fail_at(error, action->place, NULL, "off stands alone");
		if (i > 0 && ends_process(step->actions[i - 1].kind))
			return inject_fail_at(error, action->place, NULL,
								  "%s is never reached: nothing comes after the %s before it",
								  inject_action_name(action->kind),
								  inject_action_name(step->actions[i - 1].kind));
		verdicts += is_verdict(action->kind);
		if (verdicts > 1)
			return inject_fail_at(error, action->place, NULL,
								  "one call has one result; %s is the second",
								  inject_action_name(action->kind));
		if (action->kind == INJECT_CALL && !inject_callback_known(action->name))
			return inject_fail_at(error, action->place, NULL,
								  "no function is registered under the name \"%s\"", action->name);
		if (action->kind == INJECT_THROW && !inject_throw_known())
			return inject_fail_at(error, action->place, NULL,
								  "throw is not possible: this program catches nothing "
								  "(inject_set_catch)");
	}
	return INJECT_OK;
}

static InjectStatus
check_filters(const InjectStep *step, InjectError *error)
{
	InjectPointInfo info;

	if (step->held[0] != '\0' && !inject_held_known())
		return inject_fail_at(error, step->held_place, NULL,
							  "held= is not possible: this program has no probe for held locks");
	if (step->held[0] != '\0' && inject_held_problem(step->held) != NULL)
		return inject_fail_at(error, step->held_place, NULL, "held=%s: %s", step->held,
							  inject_held_problem(step->held));
	if (step->after_hits != 0 && !inject_point_find(step->after, &info))
		return inject_fail_at(error, step->after_place, inject_point_suggest(step->after),
							  "no point is called \"%s\"", step->after);
	return INJECT_OK;
}

/* A step that always fires leaves nothing for those behind it. */
static bool
always_fires(const InjectStep *step)
{
	return step->chance == INJECT_ALWAYS && step->limit == INJECT_FOREVER && step->nth == 0 &&
		   step->after_hits == 0 && step->role[0] == '\0' && !step->has_arg &&
		   step->held[0] == '\0' && step->in[0] == '\0';
}

/* What does not depend on the point. */
static InjectStatus
check_chain(const InjectPlan *plan, const InjectItem *item, InjectError *error)
{
	for (int i = 0; i < item->step_count; i++)
	{
		const InjectStep *step = &plan->steps[item->first_step + i];
		InjectStatus status = check_combination(step, error);

		if (status == INJECT_OK)
			status = check_filters(step, error);
		if (status != INJECT_OK)
			return status;
		if (always_fires(step) && i + 1 < item->step_count)
			return inject_fail_at(error, plan->steps[item->first_step + i + 1].actions[0].place,
								  NULL,
								  "this step is never reached: the one before it always fires");
	}
	return INJECT_OK;
}

static InjectStatus
check_at_point(const InjectPlan *plan, const InjectItem *item, const InjectPointInfo *point,
			   InjectError *error)
{
	for (int i = 0; i < item->step_count; i++)
	{
		const InjectStep *step = &plan->steps[item->first_step + i];

		if (step->has_arg && (point->actions & INJECT_HAS_ARG) == 0)
			return inject_fail_at(error, step->arg_place, NULL,
								  "\"%s\" has no argument for arg=", point->name);
		for (int j = 0; j < step->action_count; j++)
		{
			Check check = {point, step, &step->actions[j], error};
			InjectStatus status = check_capability(&check);

			if (status != INJECT_OK)
				return status;
		}
	}
	return INJECT_OK;
}

/* No place that the item covers is in that function, nor could be: it is not in this program at all. */
static InjectStatus
check_functions(const InjectPlan *plan, const InjectItem *item, InjectError *error)
{
	for (int i = 0; i < item->step_count; i++)
	{
		const InjectStep *step = &plan->steps[item->first_step + i];
		const char *nearest = NULL;
		InjectPointInfo point;
		bool possible = step->in[0] == '\0';

		for (int j = 0; !possible && inject_point_at(j, &point); j++)
			possible = point_name_matches(item->point, point.name) &&
					   (registry_find(point.name) == NULL ||
						registry_is_in(point.name, step->in, &nearest));
		/* what the compiler has put the place into, or a caller that it has taken in */
		if (!possible && !symbol_exists("/proc/self/exe", step->in))
			return inject_fail_at(error, step->in_place, nearest, "\"%s\" is in no function \"%s\"",
								  item->point, step->in);
	}
	return INJECT_OK;
}

static InjectStatus
check_item(const InjectPlan *plan, const InjectItem *item, InjectError *error)
{
	InjectPointInfo point;
	bool any = false;
	InjectStatus status = check_chain(plan, item, error);

	for (int i = 0; status == INJECT_OK && inject_point_at(i, &point); i++)
	{
		if (!point_name_matches(item->point, point.name))
			continue;
		any = true;
		status = check_at_point(plan, item, &point, error);
	}
	if (status == INJECT_OK && !any)
		status = inject_fail_at(error, item->place, inject_point_suggest(item->point),
								"no point is called \"%s\"", item->point);
	return status == INJECT_OK ? check_functions(plan, item, error) : status;
}

/* Distinct names are interned in the table, so there is an end to them. */
typedef struct NameSet
{
	const char *names[INJECT_MAX_TAGS > TABLE_NAMES ? INJECT_MAX_TAGS : TABLE_NAMES];
	int count;
	int limit;
} NameSet;

static bool
add_name(NameSet *set, const char *name)
{
	for (int i = 0; i < set->count; i++)
		if (strcmp(set->names[i], name) == 0)
			return true;
	if (set->count == set->limit)
		return false;
	set->names[set->count++] = name;
	return true;
}

static InjectStatus
check_limits(const InjectPlan *plan, InjectError *error)
{
	static const char too_many[] = "a plan has at most %d names of locks and functions";
	NameSet tags = {.limit = INJECT_MAX_TAGS};
	NameSet names = {.limit = TABLE_NAMES};

	for (int i = 0; i < plan->step_count; i++)
	{
		const InjectStep *step = &plan->steps[i];

		if (step->held[0] != '\0' && !add_name(&names, step->held))
			return inject_fail_at(error, step->held_place, NULL, too_many, TABLE_NAMES);
		if (step->in[0] != '\0' && !add_name(&names, step->in))
			return inject_fail_at(error, step->in_place, NULL, too_many, TABLE_NAMES);
		for (int j = 0; j < step->action_count; j++)
		{
			const InjectAction *action = &step->actions[j];
			bool tag = action->kind == INJECT_PAUSE || action->kind == INJECT_BARRIER;

			if (tag && !add_name(&tags, action->name))
				return inject_fail_at(error, action->place, NULL, "a plan has at most %d tags",
									  INJECT_MAX_TAGS);
			if (action->kind == INJECT_CALL && !add_name(&names, action->name))
				return inject_fail_at(error, action->place, NULL, too_many, TABLE_NAMES);
		}
	}
	return INJECT_OK;
}

InjectStatus
inject_plan_check(const InjectPlan *plan, InjectError *error)
{
	InjectStatus status = check_limits(plan, error);

	for (int i = 0; i < plan->item_count && status == INJECT_OK; i++)
		status = check_item(plan, &plan->items[i], error);
	return status;
}
