/*
 * plan.c
 *		The grammar of plans: text in, InjectPlan out.
 *
 *		plan  = item *(";" item) [";"]
 *		item  = "seed=" N | "deadline=" DUR | point "=" chain
 *		chain = step *("->" step)
 *		step  = *trig action *("+" action) ["[" filter *("," filter) "]"]
 *		trig  = P"%" | N"*" | "#"N[".."[M]]["/"K] | "after(" point ["," N] ")"
 *
 * Syntax only, by recursive descent, one function for one line of the grammar; what the words mean at the
 * points they name is plan_check.c's.  No allocation: all limits are in inject.h.
 *
 * Thread safety: the plan and the cursor are the caller's.
 * Errors: INJECT_BAD_PLAN with the place of the first.
 */
#include <string.h>

#include "inject/inject.h"
#include "plan_lex.h"
#include "plan_names.h"

static InjectStep
empty_step(void)
{
	return (InjectStep){
		.chance = INJECT_ALWAYS,
		.limit = INJECT_FOREVER,
		.ordinal = -1,
	};
}

/* "#" N [".." [M]] ["/" K], the "#" being read. */
static bool
parse_nth(PlanCursor *cursor, InjectStep *step, InjectPlace start)
{
	bool range;
	bool open;

	if (step->nth != 0)
		return plan_error(cursor, start, NULL, "a step has at most one '#'");
	if (!plan_unsigned(cursor, "the number of a hit", 1, INJECT_FOREVER - 1, &step->nth))
		return false;
	step->nth_end = step->nth;
	range = plan_accept_dots(cursor);
	open = range && !plan_peek_digit(cursor);
	if (range && !open &&
		!plan_unsigned(cursor, "the last hit", step->nth, INJECT_FOREVER - 1, &step->nth_end))
		return false;
	if (plan_accept(cursor, '/'))
	{
		/* "#3/2" has no end of its own: 3, 5, 7 ... */
		open = open || !range;
		if (!plan_unsigned(cursor, "the stride", 1, INJECT_FOREVER - 1, &step->every))
			return false;
	}
	if (open)
		step->nth_end = INJECT_FOREVER;
	return true;
}

/* N "*" or P "%": which of the two shows after the digits. */
static bool
parse_number_trigger(PlanCursor *cursor, InjectStep *step)
{
	InjectPlace start = cursor->place;
	uint64_t number;

	if (!plan_unsigned(cursor, "a number", 0, INJECT_FOREVER - 1, &number))
		return false;
	if (plan_accept(cursor, '*'))
	{
		if (step->limit != INJECT_FOREVER)
			return plan_error(cursor, start, NULL, "a step has at most one 'N*'");
		if (number == 0)
			return plan_error(cursor, start, NULL, "'0*' would never fire");
		step->limit = number;
		return true;
	}
	if (step->chance != INJECT_ALWAYS)
		return plan_error(cursor, start, NULL, "a step has at most one percentage");
	if (!plan_fraction(cursor, number, &step->chance))
		return false;
	if (step->chance == 0)
		return plan_error(cursor, start, NULL, "0%% would never fire");
	return plan_expect(cursor, '%', "or '*' after the number of a trigger");
}

/* "(" point ["," N] ")", the "after" being read. */
static bool
parse_after(PlanCursor *cursor, InjectStep *step, InjectPlace start)
{
	if (step->after_hits != 0)
		return plan_error(cursor, start, NULL, "a step has at most one after()");
	if (!plan_expect(cursor, '(', "after \"after\""))
		return false;
	plan_skip_space(cursor);
	step->after_place = cursor->place;
	step->after_hits = 1;
	if (!plan_point_name(cursor, false, step->after))
		return false;
	if (plan_accept(cursor, ',') &&
		!plan_unsigned(cursor, "the number of hits", 1, INJECT_FOREVER - 1, &step->after_hits))
		return false;
	return plan_expect(cursor, ')', "to end after()");
}

static bool
parse_errno(PlanCursor *cursor, InjectAction *action)
{
	InjectPlace start;
	char name[INJECT_TAG_SIZE];
	const char *suggestion = NULL;
	uint64_t number;

	if (plan_peek_digit(cursor))
	{
		if (!plan_unsigned(cursor, "an errno", 1, 4095, &number))
			return false;
		action->a = (int64_t) number;
		return true;
	}
	plan_skip_space(cursor);
	start = cursor->place;
	if (!plan_word(cursor, "", "an errno such as ENOSPC", name, sizeof(name)))
		return false;
	if (!plan_errno_value(name, &action->a, &suggestion))
		return plan_error(cursor, start, suggestion, "\"%s\" is no errno", name);
	return true;
}

static bool
parse_signal(PlanCursor *cursor, InjectAction *action)
{
	InjectPlace start;
	char name[INJECT_TAG_SIZE];
	const char *suggestion = NULL;
	uint64_t number;

	if (plan_peek_digit(cursor))
	{
		if (!plan_unsigned(cursor, "a signal", 1, 64, &number))
			return false;
		action->a = (int64_t) number;
		return true;
	}
	plan_skip_space(cursor);
	start = cursor->place;
	if (!plan_word(cursor, "", "a signal such as SIGTERM", name, sizeof(name)))
		return false;
	if (!plan_signal_value(name, &action->a, &suggestion))
		return plan_error(cursor, start, suggestion, "\"%s\" is no signal", name);
	return true;
}

static bool
parse_count(PlanCursor *cursor, uint64_t low, uint64_t high, int64_t *value)
{
	uint64_t number;

	if (!plan_unsigned(cursor, "a number", low, high, &number))
		return false;
	*value = (int64_t) number;
	return true;
}

/* What stands between the parentheses. */
static bool
parse_arguments(PlanCursor *cursor, InjectAction *action)
{
	switch (plan_action_arguments(action->kind))
	{
		case PLAN_NO_ARGUMENT:
			return true;
		case PLAN_ERRNO_ARGUMENT:
			return parse_errno(cursor, action);
		case PLAN_SIGNED_ARGUMENT:
			return plan_signed(cursor, "a value", &action->a);
		case PLAN_COUNT_ARGUMENT:
			return parse_count(cursor, 0, INT64_MAX, &action->a);
		case PLAN_DURATION_ARGUMENT:
			return plan_duration(cursor, &action->a);
		case PLAN_JUMP_ARGUMENT:
			return plan_jump(cursor, &action->a);
		case PLAN_NAME_ARGUMENT:
			return plan_word(cursor, "-.", "a name", action->name, sizeof(action->name));
		case PLAN_NAME_AND_COUNT_ARGUMENT:
			return plan_word(cursor, "-.", "a tag", action->name, sizeof(action->name)) &&
				   plan_expect(cursor, ',', "and a number after the tag") &&
				   parse_count(cursor, 1, INJECT_MAX_PROCS, &action->a);
		case PLAN_SIGNAL_ARGUMENT:
			return parse_signal(cursor, action);
		case PLAN_STATUS_ARGUMENT:
			return parse_count(cursor, 0, 255, &action->a);
		case PLAN_MASK_ARGUMENT:
			return parse_count(cursor, 0, INT64_MAX, &action->a) &&
				   plan_expect(cursor, ',', "and a mask after the offset") &&
				   parse_count(cursor, 1, 255, &action->b);
	}
	return false;
}

/* action ["(" arguments ")"], its word being read. */
static bool
parse_action(PlanCursor *cursor, InjectStep *step, const char *word, InjectPlace start)
{
	InjectAction *action;
	const char *suggestion = NULL;

	if (step->action_count == INJECT_MAX_ACTIONS)
		return plan_error(cursor, start, NULL, "a step has at most %d actions", INJECT_MAX_ACTIONS);
	action = &step->actions[step->action_count++];
	memset(action, 0, sizeof(*action));
	action->place = start;
	if (!plan_action_kind(word, &action->kind, &suggestion))
		return plan_error(cursor, start, suggestion, "\"%s\" is no action", word);
	if (plan_action_arguments(action->kind) == PLAN_NO_ARGUMENT)
	{
		if (plan_peek(cursor, '('))
			return plan_error(cursor, cursor->place, NULL, "\"%s\" takes no argument", word);
		return true;
	}
	if (!plan_expect(cursor, '(', "and an argument after the action") ||
		!parse_arguments(cursor, action))
		return false;
	return plan_expect(cursor, ')', "to end the action's arguments");
}

/* *trig action *("+" action) */
static bool
parse_triggers_and_actions(PlanCursor *cursor, InjectStep *step)
{
	for (;;)
	{
		InjectPlace start;
		char word[INJECT_TAG_SIZE];

		plan_skip_space(cursor);
		start = cursor->place;
		if (plan_accept(cursor, '#'))
		{
			if (!parse_nth(cursor, step, start))
				return false;
			continue;
		}
		if (plan_peek_digit(cursor))
		{
			if (!parse_number_trigger(cursor, step))
				return false;
			continue;
		}
		if (!plan_word(cursor, "", "an action", word, sizeof(word)))
			return false;
		if (strcmp(word, "after") == 0)
		{
			if (!parse_after(cursor, step, start))
				return false;
			continue;
		}
		if (!parse_action(cursor, step, word, start))
			return false;
		break;
	}
	while (plan_accept(cursor, '+'))
	{
		InjectPlace start;
		char word[INJECT_TAG_SIZE];

		plan_skip_space(cursor);
		start = cursor->place;
		if (!plan_word(cursor, "", "an action", word, sizeof(word)) ||
			!parse_action(cursor, step, word, start))
			return false;
	}
	return true;
}

/* ROLE [ "." i ] */
static bool
parse_role(PlanCursor *cursor, InjectStep *step)
{
	uint64_t ordinal;

	if (!plan_word(cursor, "-", "a role", step->role, sizeof(step->role)))
		return false;
	if (!plan_accept(cursor, '.'))
		return true;
	if (!plan_unsigned(cursor, "a role's ordinal", 0, INT32_MAX, &ordinal))
		return false;
	step->ordinal = (int) ordinal;
	return true;
}

static bool
parse_argument_bound(PlanCursor *cursor, int64_t *value)
{
	InjectPlace start;
	char name[INJECT_TAG_SIZE];
	const char *suggestion = NULL;

	if (plan_peek_digit(cursor) || plan_peek(cursor, '-'))
		return plan_signed(cursor, "an argument's value", value);
	start = cursor->place;
	if (!plan_word(cursor, "", "an argument's value", name, sizeof(name)))
		return false;
	if (!plan_argument_value(name, value, &suggestion))
		return plan_error(cursor, start, suggestion, "\"%s\" is no name of an argument", name);
	return true;
}

/* LO [".." HI] */
static bool
parse_argument_range(PlanCursor *cursor, InjectStep *step)
{
	plan_skip_space(cursor);
	step->arg_place = cursor->place;
	step->has_arg = true;
	if (!parse_argument_bound(cursor, &step->arg_low))
		return false;
	step->arg_high = step->arg_low;
	if (!plan_accept_dots(cursor))
		return true;
	if (!parse_argument_bound(cursor, &step->arg_high))
		return false;
	if (step->arg_high < step->arg_low)
		return plan_error(cursor, step->arg_place, NULL, "the range of arg= is empty");
	return true;
}

static bool
parse_scope(PlanCursor *cursor, InjectStep *step)
{
	static const char *const names[] = {"global", "proc", "thread"};
	InjectPlace start;
	char word[INJECT_TAG_SIZE];

	plan_skip_space(cursor);
	start = cursor->place;
	if (!plan_word(cursor, "", "global, proc or thread", word, sizeof(word)))
		return false;
	for (int i = 0; i < 3; i++)
	{
		if (strcmp(word, names[i]) != 0)
			continue;
		step->scope = (InjectScope) (INJECT_SCOPE_GLOBAL + i);
		return true;
	}
	return plan_error(cursor, start, inject_suggest(word, names, 3),
					  "\"%s\" is no scope of counting (global, proc, thread)", word);
}

static bool
parse_filter(PlanCursor *cursor, InjectStep *step)
{
	static const char *const names[] = {"proc", "in", "held", "arg", "count"};
	bool again[] = {step->role[0] != '\0', step->in[0] != '\0', step->held[0] != '\0',
					step->has_arg, step->scope != INJECT_SCOPE_DEFAULT};
	InjectPlace start;
	char word[INJECT_TAG_SIZE];
	size_t which = 0;

	plan_skip_space(cursor);
	start = cursor->place;
	if (!plan_word(cursor, "", "a filter", word, sizeof(word)))
		return false;
	while (which < 5 && strcmp(word, names[which]) != 0)
		which++;
	if (which == 5)
		return plan_error(cursor, start, inject_suggest(word, names, 5),
						  "\"%s\" is no filter (proc in held arg count)", word);
	if (again[which])
		return plan_error(cursor, start, NULL, "a step has at most one filter \"%s\"", word);
	if (!plan_expect(cursor, '=', "after the filter's name"))
		return false;
	switch (which)
	{
		case 0:
			return parse_role(cursor, step);
		case 1:
			step->in_place = start;
			return plan_word(cursor, ".", "a function", step->in, sizeof(step->in));
		case 2:
			step->held_place = start;
			return plan_word(cursor, "-.:/", "a lock", step->held, sizeof(step->held));
		case 3:
			return parse_argument_range(cursor, step);
		default:
			return parse_scope(cursor, step);
	}
}

static bool
parse_step(PlanCursor *cursor, InjectStep *step)
{
	*step = empty_step();
	if (!parse_triggers_and_actions(cursor, step))
		return false;
	if (!plan_accept(cursor, '['))
		return true;
	do
	{
		if (!parse_filter(cursor, step))
			return false;
	} while (plan_accept(cursor, ','));
	return plan_expect(cursor, ']', "to end the filters");
}

static bool
parse_chain(PlanCursor *cursor, InjectPlan *plan, InjectItem *item)
{
	item->first_step = plan->step_count;
	do
	{
		if (plan->step_count == INJECT_MAX_STEPS)
			return plan_error(cursor, cursor->place, NULL, "a plan has at most %d steps",
							  INJECT_MAX_STEPS);
		if (!parse_step(cursor, &plan->steps[plan->step_count]))
			return false;
		plan->step_count++;
		item->step_count++;
	} while (plan_accept_arrow(cursor));
	return true;
}

static bool
parse_item(PlanCursor *cursor, InjectPlan *plan)
{
	InjectItem *item;
	InjectPlace start;
	char name[INJECT_NAME_SIZE];

	plan_skip_space(cursor);
	start = cursor->place;
	if (!plan_point_name(cursor, true, name) || !plan_expect(cursor, '=', "after a point's name"))
		return false;
	if (strcmp(name, "seed") == 0)
	{
		if (plan->has_seed)
			return plan_error(cursor, start, NULL, "the seed is given twice");
		plan->has_seed = true;
		return plan_unsigned(cursor, "a seed", 0, UINT64_MAX, &plan->seed);
	}
	if (strcmp(name, "deadline") == 0)
	{
		if (plan->deadline_ns != 0)
			return plan_error(cursor, start, NULL, "the deadline is given twice");
		if (!plan_duration(cursor, &plan->deadline_ns))
			return false;
		return plan->deadline_ns != 0 ||
			   plan_error(cursor, start, NULL,
						  "a deadline of nothing would end every wait at once");
	}
	if (plan->item_count == INJECT_MAX_ITEMS)
		return plan_error(cursor, start, NULL, "a plan has at most %d items", INJECT_MAX_ITEMS);
	item = &plan->items[plan->item_count++];
	memset(item, 0, sizeof(*item));
	memcpy(item->point, name, sizeof(item->point));
	item->place = start;
	return parse_chain(cursor, plan, item);
}

static bool
parse_plan(PlanCursor *cursor, InjectPlan *plan)
{
	do
	{
		if (!parse_item(cursor, plan))
			return false;
	} while (plan_accept(cursor, ';') && !plan_at_end(cursor));
	if (plan_at_end(cursor))
		return true;
	/* The commonest slips have better answers than "expected ';'". */
	if (plan_accept(cursor, '['))
		return plan_error(cursor, cursor->place, NULL, "filters stand once, after the last action");
	if (plan_peek(cursor, '#') || plan_peek_digit(cursor))
		return plan_error(cursor, cursor->place, NULL, "triggers stand before the action");
	return plan_expect(cursor, ';', "between items");
}

/* A NUL would otherwise look like the end. */
static bool
refuse_nul(PlanCursor *cursor)
{
	InjectPlace place = cursor->place;

	for (const char *c = cursor->next; c < cursor->end; c++)
	{
		if (*c == '\0')
			return plan_error(cursor, place, NULL, "a plan holds no NUL byte");
		place.column++;
		if (*c == '\n')
			place = (InjectPlace){.line = place.line + 1, .column = 1};
	}
	return true;
}

InjectStatus
inject_plan_parse(const void *text, size_t length, InjectPlan *plan, InjectError *error)
{
	PlanCursor cursor;

	/* 150 KiB: items and steps are cleared as they are taken. */
	memset(plan, 0, offsetof(InjectPlan, items));
	plan_cursor_start(&cursor, text, length, error);
	if (length >= INJECT_PLAN_SIZE)
		plan_error(&cursor, cursor.place, NULL, "a plan is at most %d bytes long, this one %zu",
				   INJECT_PLAN_SIZE - 1, length);
	else if (!refuse_nul(&cursor))
		cursor.failed = true;
	else if (plan_at_end(&cursor))
		plan_error(&cursor, cursor.place, NULL, "the plan is empty");
	else
		(void) parse_plan(&cursor, plan);
	return cursor.failed ? INJECT_BAD_PLAN : INJECT_OK;
}
