/*
 * plan_parse.c
 *		Fuzz target: any bytes as a fault plan.
 *
 * A refusal says where, and the place is in the text.  What is accepted can be printed; the printed text is the same
 * plan, prints as itself, and is cut off cleanly in a smaller buffer.
 */
#include "fuzz.h"

#include "inject/inject.h"

static InjectPlan plan, again; /* large */

static size_t
lines_of(const uint8_t *data, size_t size)
{
	size_t lines = 1;

	for (size_t i = 0; i < size; i++)
		lines += data[i] == '\n';
	return lines;
}

static void
require_good_error(const InjectError *error, const uint8_t *data, size_t size)
{
	REQUIRE(error->status == INJECT_BAD_PLAN);
	REQUIRE(error->line >= 1 && (size_t) error->line <= lines_of(data, size));
	REQUIRE(error->column >= 1 && (size_t) error->column <= size + 1);
	REQUIRE(error->message[0] != '\0');
	REQUIRE(memchr(error->message, '\0', sizeof(error->message)) != NULL);
	REQUIRE(memchr(error->suggestion, '\0', sizeof(error->suggestion)) != NULL);
	for (const char *c = error->message; *c != '\0'; c++)
		REQUIRE(*c >= ' ' && *c != 0x7f);
}

static void
require_sane_steps(const InjectPlan *sane)
{
	REQUIRE(sane->item_count >= 0 && sane->item_count <= INJECT_MAX_ITEMS);
	REQUIRE(sane->step_count >= 0 && sane->step_count <= INJECT_MAX_STEPS);
	for (int i = 0; i < sane->item_count; i++)
	{
		const InjectItem *item = &sane->items[i];

		REQUIRE(item->step_count >= 1 && item->first_step >= 0);
		REQUIRE(item->first_step + item->step_count <= sane->step_count);
		REQUIRE(memchr(item->point, '\0', sizeof(item->point)) != NULL);
	}
	for (int i = 0; i < sane->step_count; i++)
	{
		const InjectStep *step = &sane->steps[i];

		REQUIRE(step->action_count >= 1 && step->action_count <= INJECT_MAX_ACTIONS);
		REQUIRE(step->chance > 0 && step->chance <= INJECT_ALWAYS && step->limit > 0);
		REQUIRE(step->nth <= step->nth_end || step->nth == 0);
		REQUIRE(!step->has_arg || step->arg_low <= step->arg_high);
		for (int j = 0; j < step->action_count; j++)
			REQUIRE((unsigned) step->actions[j].kind < INJECT_ACTION_KINDS);
	}
}

static bool
same_action(const InjectAction *a, const InjectAction *b)
{
	return a->kind == b->kind && a->a == b->a && a->b == b->b && strcmp(a->name, b->name) == 0;
}

/* All but where it stood. */
static bool
same_step(const InjectStep *a, const InjectStep *b)
{
	for (int i = 0; i < a->action_count && i < b->action_count; i++)
	{
		if (!same_action(&a->actions[i], &b->actions[i]))
			return false;
	}
	return a->action_count == b->action_count && a->chance == b->chance && a->limit == b->limit &&
		   a->nth == b->nth && a->nth_end == b->nth_end && a->every == b->every &&
		   a->after_hits == b->after_hits && strcmp(a->after, b->after) == 0 &&
		   strcmp(a->role, b->role) == 0 && a->ordinal == b->ordinal && strcmp(a->in, b->in) == 0 &&
		   strcmp(a->held, b->held) == 0 && a->has_arg == b->has_arg && a->arg_low == b->arg_low &&
		   a->arg_high == b->arg_high && a->scope == b->scope;
}

static void
require_same_plan(const InjectPlan *a, const InjectPlan *b)
{
	REQUIRE(a->has_seed == b->has_seed && a->seed == b->seed && a->deadline_ns == b->deadline_ns);
	REQUIRE(a->item_count == b->item_count && a->step_count == b->step_count);
	for (int i = 0; i < a->item_count; i++)
	{
		REQUIRE(strcmp(a->items[i].point, b->items[i].point) == 0);
		REQUIRE(a->items[i].first_step == b->items[i].first_step);
		REQUIRE(a->items[i].step_count == b->items[i].step_count);
	}
	for (int i = 0; i < a->step_count; i++)
		REQUIRE(same_step(&a->steps[i], &b->steps[i]));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char text[INJECT_PLAN_SIZE * 2], second[INJECT_PLAN_SIZE * 2];
	char cut[16];
	InjectError error;
	size_t length;

	memset(&error, 0, sizeof(error));
	if (inject_plan_parse(data, size, &plan, &error) != INJECT_OK)
	{
		require_good_error(&error, data, size);
		return 0;
	}
	require_sane_steps(&plan);
	length = inject_plan_print(&plan, text, sizeof(text));
	REQUIRE(length < sizeof(text) && strlen(text) == length);
	if (length >= INJECT_PLAN_SIZE) /* canonical text may be longer than what was typed */
		return 0;
	REQUIRE(inject_plan_parse(text, length, &again, &error) == INJECT_OK);
	require_same_plan(&plan, &again);
	REQUIRE(inject_plan_print(&again, second, sizeof(second)) == length);
	REQUIRE(memcmp(text, second, length + 1) == 0);
	REQUIRE(inject_plan_print(&plan, cut, sizeof(cut)) == length);
	REQUIRE(strlen(cut) < sizeof(cut) && strncmp(cut, text, strlen(cut)) == 0);
	return 0;
}
