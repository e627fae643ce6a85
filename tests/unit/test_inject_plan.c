/*
 * test_inject_plan.c
 *		The plan language: what is read, what is printed, where errors are, what is refused at a point.
 */
#define HOLDFAST_INJECT
#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "inject/inject.h"

TestSuite(inject_plan, .timeout = 60);

static InjectPlan plan;
static InjectPlan again;
static char printed[INJECT_PLAN_SIZE];

/* Points of this program, beside those of the library. */
static void
reach_points(void)
{
	INJECT_POINT("test/plan/anywhere", INJECT_ANYWHERE, "nothing");
	INJECT_POINT("test/plan/spinning", INJECT_NO_SLEEP, "others spin");
	INJECT_POINT("test/plan/handler", INJECT_NO_MALLOC, "nothing");
}

static InjectStatus
parse(const char *text, InjectError *error)
{
	return inject_plan_parse(text, strlen(text), &plan, error);
}

/* ---- parse, print, parse ---- */

static void
forget_places(InjectPlan *of)
{
	InjectPlace nowhere = {0, 0};

	for (int i = 0; i < of->item_count; i++)
		of->items[i].place = nowhere;
	for (int i = 0; i < of->step_count; i++)
	{
		InjectStep *step = &of->steps[i];

		step->after_place = step->in_place = step->held_place = step->arg_place = nowhere;
		for (int j = 0; j < step->action_count; j++)
			step->actions[j].place = nowhere;
	}
}

static bool
same_action(const InjectAction *left, const InjectAction *right)
{
	return left->kind == right->kind && left->a == right->a && left->b == right->b &&
		   strcmp(left->name, right->name) == 0;
}

static bool
same_step(const InjectStep *left, const InjectStep *right)
{
	for (int i = 0; i < left->action_count && i < right->action_count; i++)
		if (!same_action(&left->actions[i], &right->actions[i]))
			return false;
	return left->action_count == right->action_count && left->chance == right->chance &&
		   left->limit == right->limit && left->nth == right->nth &&
		   left->nth_end == right->nth_end && left->every == right->every &&
		   left->after_hits == right->after_hits && strcmp(left->after, right->after) == 0 &&
		   strcmp(left->role, right->role) == 0 && left->ordinal == right->ordinal &&
		   strcmp(left->in, right->in) == 0 && strcmp(left->held, right->held) == 0 &&
		   left->has_arg == right->has_arg && left->arg_low == right->arg_low &&
		   left->arg_high == right->arg_high && left->scope == right->scope;
}

static bool
same_plan(const InjectPlan *left, const InjectPlan *right)
{
	if (left->has_seed != right->has_seed || left->seed != right->seed ||
		left->deadline_ns != right->deadline_ns || left->item_count != right->item_count ||
		left->step_count != right->step_count)
		return false;
	for (int i = 0; i < left->item_count; i++)
		if (strcmp(left->items[i].point, right->items[i].point) != 0 ||
			left->items[i].first_step != right->items[i].first_step ||
			left->items[i].step_count != right->items[i].step_count)
			return false;
	for (int i = 0; i < left->step_count; i++)
		if (!same_step(&left->steps[i], &right->steps[i]))
			return false;
	return true;
}

/* Parses `text`, which must print as `canonical`, which must parse to the same plan. */
static void
check_round_trip(const char *text, const char *canonical)
{
	InjectError error;
	char why[320];

	if (parse(text, &error) != INJECT_OK)
	{
		inject_error_text(&error, why, sizeof(why));
		cr_assert_fail("\"%s\": %s", text, why);
	}
	cr_assert(inject_plan_print(&plan, printed, sizeof(printed)) == strlen(printed));
	cr_assert_str_eq(printed, canonical);
	cr_assert(inject_plan_parse(printed, strlen(printed), &again, &error) == INJECT_OK,
			  "\"%s\" is printed and not read: %s", printed, error.message);
	cr_assert(same_plan(&plan, &again), "\"%s\" is not what \"%s\" was", printed, text);
}

Test(inject_plan, every_construct_survives_printing)
{
	static const char *const plans[][2] = {
		{"a/b=kill", "a/b=kill"},
		{" a/b = kill ; ", "a/b=kill"},
		{"a/b=#3 kill[proc=worker.1]", "a/b=#3 kill[proc=worker.1]"},
		{"a/b=#3..kill", "a/b=#3.. kill"},
		{"a/b=#3..9/2 kill", "a/b=#3..9/2 kill"},
		{"a/b=#3/2 kill", "a/b=#3../2 kill"},
		{"a/b=#4..4 stop", "a/b=#4 stop"},
		{"a/b=1*errno(EEXIST)->off", "a/b=1*errno(EEXIST)->off"},
		{"a/b=errno(28)", "a/b=errno(ENOSPC)"},
		{"a/b=errno(4000)", "a/b=errno(4000)"},
		{"a/b=0.5% kill", "a/b=0.5% kill"},
		{"a/b=12.3456789%kill", "a/b=12.3456789% kill"},
		{"a/b=return(-1)", "a/b=return(-1)"},
		{"a/b=return(-9223372036854775808)", "a/b=return(-9223372036854775808)"},
		{"a/b=short(0x10)", "a/b=short(16)"},
		{"a/b=sleep(1500us)", "a/b=sleep(1500us)"},
		{"a/b=sleep(2000us)+spin(60s)+yield", "a/b=sleep(2ms)+spin(1m)+yield"},
		{"a/b=sleep(0ns)", "a/b=sleep(0ns)"},
		{"a/b=pause(here)", "a/b=pause(here)"},
		{"a/b=barrier(all, 3)", "a/b=barrier(all,3)"},
		{"a/b=signal(SIGTERM)", "a/b=signal(SIGTERM)"},
		{"a/b=signal(15)", "a/b=signal(SIGTERM)"},
		{"a/b=signal(40)", "a/b=signal(40)"},
		{"a/b=exit(255)", "a/b=exit(255)"},
		{"a/b=abort", "a/b=abort"},
		{"a/b=skip", "a/b=skip"},
		{"a/b=corrupt(8,0xff)", "a/b=corrupt(8,0xff)"},
		{"a/b=torn(3)", "a/b=torn(3)"},
		{"a/b=print+count", "a/b=print+count"},
		{"a/b=call(function)", "a/b=call(function)"},
		{"a/b=after(c/d) kill", "a/b=after(c/d) kill"},
		{"a/b=after(c/d,7) 25% 3* #2.. kill", "a/b=25% 3*#2.. after(c/d,7) kill"},
		{"a/b=kill[in=fork,held=Proc.3,arg=1..2,count=thread]",
		 "a/b=kill[in=fork,held=Proc.3,arg=1..2,count=thread]"},
		{"a/b=kill[arg=IPC_RMID]", "a/b=kill[arg=0]"},
		{"a/b=kill[arg=-5..-1,count=proc]", "a/b=kill[arg=-5..-1,count=proc]"},
		{"a/*=kill; *=count[count=global]", "a/*=kill; *=count[count=global]"},
		{"a/b=kill; seed=0; deadline=5000ms", "seed=0; deadline=5s; a/b=kill"},
		{"seed=18446744073709551615; a/b-c_d=off", "seed=18446744073709551615; a/b-c_d=off"},
		{"a/b=#1 kill\n\t->\r\n #2 stop -> off", "a/b=#1 kill->#2 stop->off"},
	};

	for (size_t i = 0; i < sizeof(plans) / sizeof(plans[0]); i++)
		check_round_trip(plans[i][0], plans[i][1]);
}

/* ---- any plan that can be built ---- */

static uint64_t random_state = 20261124;

static uint64_t
draw(uint64_t below)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state % below;
}

static void
draw_name(char *name, const char *first, size_t size)
{
	snprintf(name, size, "%s%c%c", first, (char) ('a' + draw(26)), (char) ('a' + draw(26)));
}

static void
draw_action(InjectAction *action)
{
	action->kind = (InjectActionKind) draw(INJECT_ACTION_KINDS);
	switch (action->kind)
	{
		case INJECT_ERRNO:
			action->a = 1 + (int64_t) draw(4095);
			break;
		case INJECT_RETURN:
			action->a = (int64_t) draw(UINT64_MAX);
			break;
		case INJECT_SHORT:
		case INJECT_TORN:
			action->a = (int64_t) draw(INT64_MAX);
			break;
		case INJECT_SLEEP:
		case INJECT_SPIN:
			action->a = (int64_t) draw(UINT64_C(3600000000000));
			break;
		case INJECT_BARRIER:
			action->a = 1 + (int64_t) draw(INJECT_MAX_PROCS);
			draw_name(action->name, "tag.", sizeof(action->name));
			break;
		case INJECT_PAUSE:
		case INJECT_CALL:
			draw_name(action->name, "name-", sizeof(action->name));
			break;
		case INJECT_SIGNAL:
			action->a = 1 + (int64_t) draw(64);
			break;
		case INJECT_EXIT:
			action->a = (int64_t) draw(256);
			break;
		case INJECT_CORRUPT:
			action->a = (int64_t) draw(INT64_MAX);
			action->b = 1 + (int64_t) draw(255);
			break;
		default:
			break;
	}
}

static void
draw_step(InjectStep *step)
{
	*step = (InjectStep){.chance = INJECT_ALWAYS, .limit = INJECT_FOREVER, .ordinal = -1};
	if (draw(3) == 0)
		step->chance = 1 + (uint32_t) draw(INJECT_ALWAYS - 1);
	if (draw(3) == 0)
		step->limit = 1 + draw(INJECT_FOREVER - 2);
	if (draw(3) == 0)
	{
		step->nth = 1 + draw(1000);
		step->nth_end = draw(2) == 0 ? INJECT_FOREVER : step->nth + draw(100);
		step->every = draw(2) == 0 ? 0 : 1 + draw(9);
	}
	if (draw(4) == 0)
	{
		step->after_hits = 1 + draw(3);
		draw_name(step->after, "x/", sizeof(step->after));
	}
	step->action_count = 1 + (int) draw(INJECT_MAX_ACTIONS);
	for (int i = 0; i < step->action_count; i++)
		draw_action(&step->actions[i]);
	if (draw(3) == 0)
	{
		draw_name(step->role, "role", sizeof(step->role));
		step->ordinal = (int) draw(4) - 1;
	}
	if (draw(5) == 0)
		draw_name(step->in, "function_", sizeof(step->in));
	if (draw(5) == 0)
		draw_name(step->held, "Lock:", sizeof(step->held));
	if (draw(5) == 0)
	{
		step->has_arg = true;
		step->arg_low = (int64_t) draw(1000) - 500;
		step->arg_high = step->arg_low + (int64_t) draw(100);
	}
	step->scope = (InjectScope) draw(4);
}

static void
draw_plan(InjectPlan *drawn)
{
	memset(drawn, 0, sizeof(*drawn));
	drawn->has_seed = draw(2) == 0;
	drawn->seed = drawn->has_seed ? draw(UINT64_MAX) : 0;
	drawn->deadline_ns = draw(2) == 0 ? 0 : 1 + (int64_t) draw(1000000000);
	drawn->item_count = 1 + (int) draw(4);
	for (int i = 0; i < drawn->item_count; i++)
	{
		InjectItem *item = &drawn->items[i];

		draw_name(item->point, "room/op/", sizeof(item->point));
		if (draw(4) == 0)
			strcat(item->point, "*");
		item->first_step = drawn->step_count;
		item->step_count = 1 + (int) draw(3);
		for (int j = 0; j < item->step_count; j++)
			draw_step(&drawn->steps[drawn->step_count++]);
	}
}

Test(inject_plan, any_plan_survives_printing)
{
	InjectError error;

	for (int round = 0; round < 3000; round++)
	{
		size_t length;

		draw_plan(&plan);
		length = inject_plan_print(&plan, printed, sizeof(printed));
		cr_assert(length < sizeof(printed) && length == strlen(printed));
		cr_assert(inject_plan_parse(printed, length, &again, &error) == INJECT_OK,
				  "round %d, \"%s\": %d:%d %s", round, printed, error.line, error.column,
				  error.message);
		forget_places(&again);
		cr_assert(same_plan(&plan, &again), "round %d: \"%s\"", round, printed);
	}
}

Test(inject_plan, printing_is_cut_as_snprintf_cuts)
{
	char small[8];

	cr_assert(parse("a/b=#3 kill[proc=worker.1]", NULL) == INJECT_OK);
	cr_assert(inject_plan_print(&plan, NULL, 0) == 26);
	cr_assert(inject_plan_print(&plan, small, sizeof(small)) == 26);
	cr_assert_str_eq(small, "a/b=#3 ");
}

/* ---- errors have a place ---- */

typedef struct BadPlan
{
	const char *text;
	int line;
	int column;
	const char *says;       /* part of the message */
	const char *suggestion; /* NULL: none expected */
} BadPlan;

static void
check_refused(const BadPlan *bad, bool (*judge)(const char *, InjectError *))
{
	InjectError error;

	cr_assert(!judge(bad->text, &error), "\"%s\" was taken", bad->text);
	cr_expect(error.status == INJECT_BAD_PLAN);
	cr_expect(error.line == bad->line && error.column == bad->column,
			  "\"%s\": at %d:%d, not %d:%d (%s)", bad->text, error.line, error.column, bad->line,
			  bad->column, error.message);
	cr_expect(strstr(error.message, bad->says) != NULL, "\"%s\": %s", bad->text, error.message);
	cr_expect_str_eq(error.suggestion, bad->suggestion == NULL ? "" : bad->suggestion, "\"%s\"",
					 bad->text);
}

static bool
is_syntax(const char *text, InjectError *error)
{
	return parse(text, error) == INJECT_OK;
}

Test(inject_plan, syntax_errors_have_line_and_column)
{
	static const BadPlan plans[] = {
		{"", 1, 1, "empty", NULL},
		{" \n ", 2, 2, "empty", NULL},
		{";", 1, 1, "expected a point's name", NULL},
		{"a/b", 1, 4, "expected '='", NULL},
		{"a/b=", 1, 5, "expected an action, found the end", NULL},
		{"a/b=kil", 1, 5, "is no action", "kill"},
		{"a/b=kill;\nc/d=#2\n  slepp(1ms)", 3, 3, "is no action", "sleep"},
		{"a/b=errno(ENOSPCE)", 1, 11, "is no errno", "ENOSPC"},
		{"a/b=errno(0)", 1, 11, "must lie between 1", NULL},
		{"a/b=errno()", 1, 11, "expected an errno", NULL},
		{"a/b=signal(SIGTREM)", 1, 12, "is no signal", "SIGTERM"},
		{"a/b=signal(TERM)", 1, 12, "is no signal", "SIGTERM"},
		{"a/b=signal(65)", 1, 12, "must lie between 1", NULL},
		{"a/b=kill(9)", 1, 9, "takes no argument", NULL},
		{"a/b=sleep", 1, 10, "expected '('", NULL},
		{"a/b=sleep(5)", 1, 12, "expected a unit", NULL},
		{"a/b=sleep(5d)", 1, 11, "is no unit", NULL},
		{"a/b=sleep(2h)", 1, 11, "at most one hour", NULL},
		{"a/b=jump(-876001h)", 1, 11, "at most a hundred years", NULL},
		{"a/b=sleep(61m)", 1, 11, "at most one hour", NULL},
		{"a/b=sleep(99999999999999999999s)", 1, 11, "64 bits", NULL},
		{"a/b=sleep(18446744073709551615m)", 1, 11, "at most one hour", NULL},
		{"a/b=#0 kill", 1, 6, "must lie between 1", NULL},
		{"a/b=#99999999999999999999 kill", 1, 6, "64 bits", NULL},
		{"a/b=#5..3 kill", 1, 9, "must lie between 5", NULL},
		{"a/b=#1/0 kill", 1, 8, "must lie between 1", NULL},
		{"a/b=#1 #2 kill", 1, 8, "at most one '#'", NULL},
		{"a/b=0* kill", 1, 5, "would never fire", NULL},
		{"a/b=0% kill", 1, 5, "would never fire", NULL},
		{"a/b=101% kill", 1, 8, "at most 100", NULL},
		{"a/b=1.% kill", 1, 7, "digits", NULL},
		{"a/b=1.123456789% kill", 1, 14, "seven decimals", NULL},
		{"a/b=5 kill", 1, 7, "expected '%'", NULL},
		{"a/b=-1% kill", 1, 5, "expected an action", NULL},
		{"a/b=kill #3", 1, 10, "before the action", NULL},
		{"a/b=kill c/d=stop", 1, 10, "expected ';'", NULL},
		{"a/b=kill[", 1, 10, "expected a filter", NULL},
		{"a/b=kill[prco=w]", 1, 10, "is no filter", "proc"},
		{"a/b=kill[proc=w", 1, 16, "expected ']'", NULL},
		{"a/b=kill[proc=w,proc=v]", 1, 17, "at most one filter", NULL},
		{"a/b=kill[count=treads]", 1, 16, "is no scope", "thread"},
		{"a/b=kill[arg=IPC_RIMD]", 1, 14, "is no name of an argument", "IPC_RMID"},
		{"a/b=kill[arg=5..4]", 1, 14, "is empty", NULL},
		{"a/b=kill[arg=9223372036854775808]", 1, 14, "must lie between", NULL},
		{"a*b=kill", 1, 3, "at the end of a name only", NULL},
		{"A/b=kill", 1, 1, "lower case", NULL},
		{"seed=1;seed=2;a/b=kill", 1, 8, "twice", NULL},
		{"seed=-1;a/b=kill", 1, 6, "expected a seed", NULL},
		{"deadline=0s;a/b=kill", 1, 1, "at once", NULL},
		{"a/b=kill+", 1, 10, "expected an action", NULL},
		{"a/b=kill->", 1, 11, "expected an action", NULL},
		{"a/b=count+count+count+count+count", 1, 29, "at most 4 actions", NULL},
		{"a/b=barrier(x)", 1, 14, "expected ','", NULL},
		{"a/b=barrier(x,0)", 1, 15, "must lie between 1", NULL},
		{"a/b=exit(256)", 1, 10, "must lie between 0 and 255", NULL},
		{"a/b=\x01", 1, 5, "byte 0x01", NULL},
		{"a/b=\xc3\xa4", 1, 5, "byte 0xc3", NULL},
	};

	for (size_t i = 0; i < sizeof(plans) / sizeof(plans[0]); i++)
		check_refused(&plans[i], is_syntax);
}

Test(inject_plan, an_error_is_one_line_with_a_suggestion)
{
	InjectError error;
	char text[320];
	char tiny[6];

	cr_assert(parse("a/b=kill;\nc/d=slepp(1s)", &error) == INJECT_BAD_PLAN);
	inject_error_text(&error, text, sizeof(text));
	cr_expect_str_eq(text, "2:5: \"slepp\" is no action; did you mean \"sleep\"?");
	inject_error_text(&error, tiny, sizeof(tiny));
	cr_expect_str_eq(tiny, "2:5: ");
	cr_assert(parse("a/b=\x1b[31m", NULL) == INJECT_BAD_PLAN);
	cr_assert(parse("a/b=\x1b[31m", &error) == INJECT_BAD_PLAN);
	for (const char *c = error.message; *c != '\0'; c++)
		cr_assert(*c >= 0x20 && *c < 0x7f);
}

/* ---- hostile text ---- */

Test(inject_plan, a_nul_byte_is_refused_where_it_stands)
{
	static const char text[] = "a/b=kill;\nc/d=\0stop";
	InjectError error;

	cr_assert(inject_plan_parse(text, sizeof(text) - 1, &plan, &error) == INJECT_BAD_PLAN);
	cr_assert(error.line == 2 && error.column == 5 && strstr(error.message, "NUL") != NULL);
}

Test(inject_plan, a_megabyte_is_refused)
{
	size_t size = 1 << 20;
	char *text = malloc(size);
	InjectError error;

	cr_assert(text != NULL);
	memset(text, 'a', size);
	cr_assert(inject_plan_parse(text, size, &plan, &error) == INJECT_BAD_PLAN);
	cr_assert(strstr(error.message, "1048576") != NULL, "%s", error.message);
	/* And the longest name that is still looked at. */
	cr_assert(inject_plan_parse(text, INJECT_PLAN_SIZE - 1, &plan, &error) == INJECT_BAD_PLAN);
	cr_assert(error.line == 1 && error.column == 1);
	free(text);
}

static void
repeat(char *text, const char *part, int times)
{
	text[0] = '\0';
	for (int i = 0; i < times; i++)
		text = stpcpy(text, part);
}

Test(inject_plan, fixed_limits_are_said)
{
	InjectError error;

	repeat(printed, "a/b=kill;", INJECT_MAX_ITEMS);
	cr_assert(parse(printed, &error) == INJECT_OK);
	repeat(printed, "a/b=kill;", INJECT_MAX_ITEMS + 1);
	cr_assert(parse(printed, &error) == INJECT_BAD_PLAN);
	cr_assert(strstr(error.message, "at most 64 items") != NULL, "%s", error.message);
	strcpy(printed, "a/b=");
	repeat(printed + 4, "#1 kill->", INJECT_MAX_STEPS);
	strcat(printed, "off");
	cr_assert(parse(printed, &error) == INJECT_BAD_PLAN);
	cr_assert(strstr(error.message, "at most 256 steps") != NULL, "%s", error.message);
	strcpy(printed, "a/b=pause(");
	repeat(printed + 10, "x", INJECT_TAG_SIZE);
	strcat(printed, ")");
	cr_assert(parse(printed, &error) == INJECT_BAD_PLAN && error.column == 11);
}

/* The text ends where the readable page ends. */
Test(inject_plan, damaged_text_is_never_read_past_its_end)
{
	static const char good[] = "seed=7; lwlock/acquire/post-cas=12.5% #3..9/2 kill[proc=w.1]->"
							   "after(a/b,2) errno(ENOSPC)+sleep(10ms)[arg=-1..4,count=proc]";
	long page = sysconf(_SC_PAGESIZE);
	char *pages =
		mmap(NULL, 2 * (size_t) page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	InjectError error;

	cr_assert(pages != MAP_FAILED && mprotect(pages + page, (size_t) page, PROT_NONE) == 0);
	for (int round = 0; round < 30000; round++)
	{
		size_t length = draw(sizeof(good));
		char *text = pages + page - length;

		memcpy(text, good, length);
		for (uint64_t i = draw(4); i > 0 && length > 0; i--)
			text[draw(length)] = (char) draw(256);
		if (inject_plan_parse(text, length, &plan, &error) == INJECT_OK)
			continue;
		cr_assert(error.status == INJECT_BAD_PLAN && error.line >= 1 && error.column >= 1);
		cr_assert(error.message[0] != '\0' && (size_t) error.column <= length + 1);
	}
	munmap(pages, 2 * (size_t) page);
}

/* ---- what fits where ---- */

static bool
is_fit(const char *text, InjectError *error)
{
	return parse(text, error) == INJECT_OK && inject_plan_check(&plan, error) == INJECT_OK;
}

Test(inject_plan, what_cannot_happen_is_refused)
{
	static const BadPlan plans[] = {
		{"test/plan/anywere=kill", 1, 1, "no point is called", "test/plan/anywhere"},
		{"anywhere=kill", 1, 1, "no point is called", "test/plan/anywhere"},
		{"quite/something/else=kill", 1, 1, "no point is called", NULL},
		{"nothing/*=kill", 1, 1, "no point is called", NULL},
		{"test/plan/anywhere=errno(ENOSPC)", 1, 20, "no call is made there", NULL},
		{"test/plan/anywhere=return(3)", 1, 20, "no call is made there", NULL},
		{"test/plan/anywhere=short(3)", 1, 20, "nothing is read or written", NULL},
		{"test/plan/anywhere=torn(3)", 1, 20, "nothing is written", NULL},
		{"test/plan/anywhere=skip", 1, 20, "no step", NULL},
		{"test/plan/anywhere=corrupt(1,1)", 1, 20, "no data", NULL},
		{"test/plan/spinning=sleep(1ms)", 1, 20, "others spin", NULL},
		{"test/plan/*=#1 sleep(1ms)", 1, 16, "others spin", NULL},
		{"test/plan/handler=call(f)", 1, 19, "no function is registered", NULL},
		{"test/plan/anywhere=call(f)", 1, 20, "no function is registered", NULL},
		{"test/plan/anywhere=kill[arg=1]", 1, 29, "no argument", NULL},
		{"test/plan/anywhere=kill[in=reach_point]", 1, 25, "is in no function", "reach_points"},
		{"test/plan/*=kill[in=nobody_has_that]", 1, 18, "is in no function", NULL},
		{"test/plan/anywhere=kill[held=x/exclusiv]", 1, 25, "exclusive, shared or waiting", NULL},
		{"test/plan/anywhere=kill[held=x:y]", 1, 25, "number of the lock", NULL},
		{"test/plan/anywhere=throw", 1, 20, "catches nothing", NULL},
		{"test/plan/spinning=throw", 1, 20, "catches nothing", NULL},
		{"test/plan/anywhere=after(test/plan/spining) kill", 1, 26, "no point is called",
		 "test/plan/spinning"},
		{"test/plan/anywhere=off+kill", 1, 20, "off stands alone", NULL},
		{"test/plan/anywhere=kill+stop", 1, 25, "never reached", NULL},
		{"test/plan/anywhere=kill->stop", 1, 26, "never reached", NULL},
		{"sysv/shm/shmdt=errno(ENOSPC)", 1, 16, "not documented to fail with ENOSPC", NULL},
		{"sysv/shm/shmget=errno(ENOSPC)+return(1)", 1, 31, "one call has one result", NULL},
		{"sysv/shm/post-shmget=errno(ENOSPC)", 1, 22, "no call is made there", NULL},
		{"sysv/shm/*=errno(EINVAL)", 1, 12, "no call is made there", NULL},
	};

	reach_points();
	for (size_t i = 0; i < sizeof(plans) / sizeof(plans[0]); i++)
		check_refused(&plans[i], is_fit);
}

Test(inject_plan, what_can_happen_is_taken)
{
	static const char *const plans[] = {
		"test/plan/spinning=kill",
		"test/plan/spinning=stop",
		"test/plan/spinning=pause(x)+yield",
		"test/plan/handler=kill",
		"test/plan/*=#2 kill",
		"test/plan/anywhere=#1 kill->#2 stop->sleep(1ms)",
		"test/plan/anywhere=after(test/plan/spinning) abort",
		"sysv/shm/shmget=1*errno(ENOSPC)->off",
		"sysv/shm/shmctl=errno(EIDRM)[arg=IPC_STAT]",
		"sysv/shm/post-shmget=kill",
		"test/plan/anywhere=kill[in=reach_points]",
		"test/plan/anywhere=kill[in=check_refused]",
		"sysv/shm/shmget=errno(ENOSPC)[in=function_of_another_program]",
		"test/plan/anywhere=kill[held=Bank:3/waiting]",
	};
	InjectError error;

	for (size_t i = 0; i < sizeof(plans) / sizeof(plans[0]); i++)
		cr_expect(is_fit(plans[i], &error), "%s: %s", plans[i], error.message);
}

/* ---- did you mean ---- */

Test(inject_plan, distance_counts_swaps_once)
{
	char long_word[200];

	cr_expect(inject_edit_distance("", "") == 0);
	cr_expect(inject_edit_distance("", "abc") == 3);
	cr_expect(inject_edit_distance("kitten", "sitting") == 3);
	cr_expect(inject_edit_distance("kill", "klil") == 1);
	cr_expect(inject_edit_distance("ab", "ba") == 1);
	cr_expect(inject_edit_distance("ca", "abc") == 3);
	memset(long_word, 'x', sizeof(long_word) - 1);
	long_word[sizeof(long_word) - 1] = '\0';
	cr_expect(inject_edit_distance(long_word, "x") == 62);
	cr_expect(inject_edit_distance("x", long_word) == 62);
}

Test(inject_plan, only_the_near_is_suggested)
{
	static const char *const words[] = {"run", "sweep", "explore", "serve"};

	cr_expect_str_eq(inject_suggest("srve", words, 4), "serve");
	cr_expect_str_eq(inject_suggest("rnu", words, 4), "run");
	cr_expect_null(inject_suggest("banana", words, 4));
	cr_expect_null(inject_suggest("", words, 4));
	cr_expect_null(inject_suggest("run", words, 0));
}

Test(inject_plan, errnos_have_names_both_ways)
{
	cr_expect_str_eq(inject_errno_name(ENOSPC), "ENOSPC");
	cr_expect(inject_errno_number("EIDRM") == EIDRM);
	cr_expect(inject_errno_number("EWOULDBLOCK") == EAGAIN);
	cr_expect(inject_errno_number("enospc") == 0);
	cr_expect_null(inject_errno_name(0));
	cr_expect_null(inject_errno_name(-1));
	cr_expect_null(inject_errno_name(4000));
	cr_expect_null(inject_action_name(INJECT_ACTION_KINDS));
	cr_expect_str_eq(inject_action_name(INJECT_KILL), "kill");
}

/* ---- chance ---- */

Test(inject_plan, chance_is_a_pure_function)
{
	int fires = 0;
	int differs_by_seed = 0;
	int differs_by_role = 0;
	int differs_by_ordinal = 0;
	int differs_by_point = 0;
	uint32_t quarter = INJECT_ALWAYS / 4;

	for (uint64_t hit = 1; hit <= 10000; hit++)
	{
		bool now = inject_chance(1, "a/b", "worker", 1, hit, quarter);

		cr_assert(now == inject_chance(1, "a/b", "worker", 1, hit, quarter));
		fires += now;
		differs_by_seed += now != inject_chance(2, "a/b", "worker", 1, hit, quarter);
		differs_by_role += now != inject_chance(1, "a/b", "reader", 1, hit, quarter);
		differs_by_ordinal += now != inject_chance(1, "a/b", "worker", 2, hit, quarter);
		differs_by_point += now != inject_chance(1, "a/c", "worker", 1, hit, quarter);
		cr_assert(inject_chance(1, "a/b", "worker", 1, hit, INJECT_ALWAYS));
		cr_assert(!inject_chance(1, "a/b", "worker", 1, hit, 0));
	}
	/* 2500 expected, deviation 43; independent pairs differ 3750 times in 10000 */
	cr_expect(fires > 2300 && fires < 2700, "%d", fires);
	cr_expect(differs_by_seed > 3500 && differs_by_seed < 4000, "%d", differs_by_seed);
	cr_expect(differs_by_role > 3500 && differs_by_role < 4000, "%d", differs_by_role);
	cr_expect(differs_by_ordinal > 3500 && differs_by_ordinal < 4000, "%d", differs_by_ordinal);
	cr_expect(differs_by_point > 3500 && differs_by_point < 4000, "%d", differs_by_point);
}
