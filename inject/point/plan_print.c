/*
 * plan_print.c
 *		The canonical text of a plan.  Parsing it gives the plan again.
 *
 * Thread safety: reads the plan, writes the caller's buffer.  No allocation.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "inject/inject.h"
#include "plan_names.h"
#include "plan_print.h"

/* Like snprintf: counts on when the buffer is full. */
typedef struct Writer
{
	char *text;
	size_t size;
	size_t length;
} Writer;

static void put(Writer *writer, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void
put(Writer *writer, const char *format, ...)
{
	size_t left = writer->length < writer->size ? writer->size - writer->length : 0;
	va_list args;
	int added;

	va_start(args, format);
	added = vsnprintf(left > 0 ? writer->text + writer->length : NULL, left, format, args);
	va_end(args);
	if (added > 0)
		writer->length += (size_t) added;
}

/* In the largest unit that divides it. */
static void
put_duration(Writer *writer, int64_t nanoseconds)
{
	static const struct
	{
		const char *unit;
		int64_t factor;
	} units[] = {{"m", INT64_C(60000000000)}, {"s", 1000000000}, {"ms", 1000000}, {"us", 1000}};

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]) && nanoseconds != 0; i++)
	{
		if (nanoseconds % units[i].factor != 0)
			continue;
		put(writer, "%" PRId64 "%s", nanoseconds / units[i].factor, units[i].unit);
		return;
	}
	put(writer, "%" PRId64 "ns", nanoseconds);
}

static void
put_triggers(Writer *writer, const InjectStep *step)
{
	if (step->chance != INJECT_ALWAYS)
	{
		char decimals[8];
		int used = 7;

		snprintf(decimals, sizeof(decimals), "%07" PRIu32, step->chance % (INJECT_ALWAYS / 100));
		while (used > 0 && decimals[used - 1] == '0')
			used--;
		put(writer, "%" PRIu32 "%s%.*s%% ", step->chance / (INJECT_ALWAYS / 100),
			used > 0 ? "." : "", used, decimals);
	}
	if (step->limit != INJECT_FOREVER)
		put(writer, "%" PRIu64 "*", step->limit);
	if (step->nth != 0)
	{
		put(writer, "#%" PRIu64, step->nth);
		if (step->nth_end == INJECT_FOREVER)
			put(writer, "..");
		else if (step->nth_end != step->nth || step->every != 0)
			put(writer, "..%" PRIu64, step->nth_end);
		if (step->every != 0)
			put(writer, "/%" PRIu64, step->every);
		put(writer, " ");
	}
	if (step->after_hits == 1)
		put(writer, "after(%s) ", step->after);
	else if (step->after_hits != 0)
		put(writer, "after(%s,%" PRIu64 ") ", step->after, step->after_hits);
}

static void
put_action(Writer *writer, const InjectAction *action)
{
	put(writer, "%s", inject_action_name(action->kind));
	switch (plan_action_arguments(action->kind))
	{
		case PLAN_NO_ARGUMENT:
			break;
		case PLAN_ERRNO_ARGUMENT:
			if (inject_errno_name((int) action->a) != NULL)
				put(writer, "(%s)", inject_errno_name((int) action->a));
			else
				put(writer, "(%" PRId64 ")", action->a);
			break;
		case PLAN_SIGNAL_ARGUMENT:
			if (action->a < 32 && sigabbrev_np((int) action->a) != NULL)
				put(writer, "(SIG%s)", sigabbrev_np((int) action->a));
			else
				put(writer, "(%" PRId64 ")", action->a);
			break;
		case PLAN_SIGNED_ARGUMENT:
		case PLAN_COUNT_ARGUMENT:
		case PLAN_STATUS_ARGUMENT:
			put(writer, "(%" PRId64 ")", action->a);
			break;
		case PLAN_DURATION_ARGUMENT:
		case PLAN_JUMP_ARGUMENT:
			put(writer, action->a < 0 ? "(-" : "(");
			put_duration(writer, action->a < 0 ? -action->a : action->a);
			put(writer, ")");
			break;
		case PLAN_NAME_ARGUMENT:
			put(writer, "(%s)", action->name);
			break;
		case PLAN_NAME_AND_COUNT_ARGUMENT:
			put(writer, "(%s,%" PRId64 ")", action->name, action->a);
			break;
		case PLAN_MASK_ARGUMENT:
			put(writer, "(%" PRId64 ",0x%02" PRIx64 ")", action->a, (uint64_t) action->b);
			break;
	}
}

static void
put_filters(Writer *writer, const InjectStep *step)
{
	static const char *const scopes[] = {"", "global", "proc", "thread"};
	const char *separator = "[";

	if (step->role[0] != '\0')
	{
		put(writer, "%sproc=%s", separator, step->role);
		if (step->ordinal >= 0)
			put(writer, ".%d", step->ordinal);
		separator = ",";
	}
	if (step->in[0] != '\0')
	{
		put(writer, "%sin=%s", separator, step->in);
		separator = ",";
	}
	if (step->held[0] != '\0')
	{
		put(writer, "%sheld=%s", separator, step->held);
		separator = ",";
	}
	if (step->has_arg)
	{
		put(writer, "%sarg=%" PRId64, separator, step->arg_low);
		if (step->arg_high != step->arg_low)
			put(writer, "..%" PRId64, step->arg_high);
		separator = ",";
	}
	if (step->scope != INJECT_SCOPE_DEFAULT)
	{
		put(writer, "%scount=%s", separator, scopes[step->scope]);
		separator = ",";
	}
	if (separator[0] == ',')
		put(writer, "]");
}

static void
put_item(Writer *writer, const InjectPlan *plan, const InjectItem *item)
{
	put(writer, "%s=", item->point);
	for (int i = 0; i < item->step_count; i++)
	{
		const InjectStep *step = &plan->steps[item->first_step + i];

		if (i > 0)
			put(writer, "->");
		put_triggers(writer, step);
		for (int j = 0; j < step->action_count; j++)
		{
			if (j > 0)
				put(writer, "+");
			put_action(writer, &step->actions[j]);
		}
		put_filters(writer, step);
	}
}

size_t
plan_print_item(const InjectPlan *plan, int index, char *text, size_t size)
{
	Writer writer = {.text = text, .size = size};

	put_item(&writer, plan, &plan->items[index]);
	return writer.length;
}

size_t
inject_plan_print(const InjectPlan *plan, char *text, size_t size)
{
	Writer writer = {.text = text, .size = size};
	const char *separator = "";

	if (size > 0)
		text[0] = '\0';
	if (plan->has_seed)
	{
		put(&writer, "seed=%" PRIu64, plan->seed);
		separator = "; ";
	}
	if (plan->deadline_ns != 0)
	{
		put(&writer, "%sdeadline=", separator);
		put_duration(&writer, plan->deadline_ns);
		separator = "; ";
	}
	for (int i = 0; i < plan->item_count; i++)
	{
		put(&writer, "%s", separator);
		put_item(&writer, plan, &plan->items[i]);
		separator = "; ";
	}
	return writer.length;
}
