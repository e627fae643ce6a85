/*
 * faults.c
 *		See faults.h.
 *
 * Owner: the case's first process arms and checks; all its processes obey.  Errors: SCENARIO_ERROR, as a fault that
 * cannot be armed says nothing about what is tested.
 */
#include "runner/faults.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The plan that is armed is the n-th of a loop, and may rightly not fire. */
static bool loop_running;

ScenarioStatus
faults_open(ScenarioContext *ctx)
{
	InjectError error;

	if (inject_table_create(&error) == INJECT_OK)
		return SCENARIO_PASS;
	return scenario_error(ctx, "could not make the control table: %s", error.message);
}

void
faults_log(ScenarioContext *ctx)
{
	InjectItemInfo item;

	for (int i = 0; inject_item_at(i, &item); i++)
		scenario_log(ctx, "plan: %s: %" PRIu64 " hits, %" PRIu64 " fired", item.text, item.hits,
					 item.fires);
}

ScenarioStatus
faults_check_fired(ScenarioContext *ctx)
{
	InjectError error;

	if (loop_running || inject_unfired(NULL, 0, &error) <= 0)
		return SCENARIO_PASS;
	faults_log(ctx);
	return scenario_error(ctx, "armed, never fired: %s", error.message);
}

static ScenarioStatus
arm(ScenarioContext *ctx, const char *plan)
{
	InjectError error;
	char text[512];

	scenario_log(ctx, "arm: %s", plan);
	if (inject_arm(plan, &error) == INJECT_OK)
		return SCENARIO_PASS;
	inject_error_text(&error, text, sizeof(text));
	return scenario_error(ctx, "could not arm \"%s\": %s", plan, text);
}

static ScenarioStatus __attribute__((format(printf, 2, 0)))
format_and_arm(ScenarioContext *ctx, const char *format, va_list args)
{
	char plan[2048];
	int length = vsnprintf(plan, sizeof(plan), format, args);

	if (length < 0 || (size_t) length >= sizeof(plan))
		return scenario_error(ctx, "plan too long");
	return arm(ctx, plan);
}

ScenarioStatus
faults_arm(ScenarioContext *ctx, const char *format, ...)
{
	va_list args;
	ScenarioStatus status;

	SCENARIO_TRY(faults_check_fired(ctx));
	loop_running = false;
	va_start(args, format);
	status = format_and_arm(ctx, format, args);
	va_end(args);
	return status;
}

ScenarioStatus
faults_arm_nth(ScenarioContext *ctx, const char *format, ...)
{
	va_list args;
	ScenarioStatus status;

	inject_disarm_all();
	loop_running = true;
	va_start(args, format);
	status = format_and_arm(ctx, format, args);
	va_end(args);
	return status;
}

void
faults_end_loop(void)
{
	inject_disarm_all(); /* loop_running stays: the last plan was meant not to fire */
}

ScenarioStatus
faults_arm_user_plan(ScenarioContext *ctx)
{
	return ctx->user_plan[0] ? arm(ctx, ctx->user_plan) : SCENARIO_PASS;
}

ScenarioStatus
faults_disarm(ScenarioContext *ctx)
{
	SCENARIO_TRY(faults_check_fired(ctx));
	inject_disarm_all();
	return SCENARIO_PASS;
}

uint64_t
faults_fired(void)
{
	InjectItemInfo item;
	uint64_t fired = 0;

	for (int i = 0; inject_item_at(i, &item); i++)
		fired += item.fires;
	return fired;
}

ScenarioStatus
faults_wait_reached(ScenarioContext *ctx, const char *tag, int count)
{
	InjectStatus status = inject_wait_reached(tag, count, scenario_time_left_ms(ctx));

	if (status == INJECT_OK)
		return SCENARIO_PASS;
	faults_log(ctx);
	return scenario_fail(ctx, "nobody came to the pause \"%s\"", tag);
}

bool
faults_plan_is_good(const char *text, char *problem, size_t size)
{
	InjectError error;
	InjectPlan *plan = malloc(sizeof(*plan));
	bool good;

	if (!plan)
	{
		snprintf(problem, size, "out of memory");
		return false;
	}
	good = inject_plan_parse(text, strlen(text), plan, &error) == INJECT_OK &&
		   inject_plan_check(plan, &error) == INJECT_OK;
	if (!good)
		inject_error_text(&error, problem, size);
	free(plan);
	return good;
}
