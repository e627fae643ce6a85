/*
 * context.c
 *		What the body of a case calls: verdicts, log, declared leftovers, the list of cases.
 *
 * Owner: the report is shared by all processes of the case and the runner; everything here only adds to it,
 * by atomic claims, so that any process of the case may call it and may die in the middle.
 * Errors: a message that is too long is cut; a log that is full loses its newest lines, and says so.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "runner/clock.h"
#include "runner/report.h"
#include "runner/scenario.h"

static void
log_bytes(CaseReport *report, const char *bytes, size_t length)
{
	/* relaxed: the claim alone must be unique; the runner reads after all writers are dead */
	uint32_t at = __atomic_fetch_add(&report->log_claimed, (uint32_t) length, __ATOMIC_RELAXED);

	if (at < CASE_LOG_SIZE && length <= CASE_LOG_SIZE - at)
		memcpy(report->log + at, bytes, length);
}

static __attribute__((format(printf, 3, 0))) size_t
format_line(char *line, size_t size, const char *format, va_list args)
{
	int length = vsnprintf(line, size - 1, format, args);

	if (length < 0)
		return 0;
	if ((size_t) length > size - 2)
		length = (int) size - 2;
	line[length++] = '\n';
	return (size_t) length;
}

void
case_report_log(CaseReport *report, const char *format, ...)
{
	char line[1024];
	va_list args;

	va_start(args, format);
	size_t length = format_line(line, sizeof(line), format, args);
	va_end(args);
	log_bytes(report, line, length);
}

void
scenario_log(ScenarioContext *ctx, const char *format, ...)
{
	char line[1024];
	int prefix = snprintf(line, sizeof(line), "[%d] ", (int) getpid());
	va_list args;

	va_start(args, format);
	size_t length = format_line(line + prefix, sizeof(line) - (size_t) prefix, format, args);
	va_end(args);
	length += (size_t) prefix;
	log_bytes(ctx->report, line, length);
	if (ctx->verbose && write(STDERR_FILENO, line, length) < 0)
		ctx->verbose = false; /* nobody reads it any more */
}

/* The first one to say something is right: what comes after may only be its consequence. */
static void __attribute__((format(printf, 2, 0)))
set_message(ScenarioContext *ctx, const char *format, va_list args)
{
	CaseReport *report = ctx->report;

	/* relaxed: only uniqueness matters */
	if (__atomic_exchange_n(&report->message_claimed, 1, __ATOMIC_RELAXED) == 0)
		vsnprintf(report->message, sizeof(report->message), format, args);
	else
	{
		char line[1024];
		size_t length = format_line(line, sizeof(line), format, args);

		log_bytes(report, line, length);
	}
}

#define VERDICT(name_, status_)                                                                    \
	ScenarioStatus name_(ScenarioContext *ctx, const char *format, ...)                            \
	{                                                                                              \
		va_list args;                                                                              \
                                                                                                   \
		va_start(args, format);                                                                    \
		set_message(ctx, format, args);                                                            \
		va_end(args);                                                                              \
		return status_;                                                                            \
	}

VERDICT(scenario_fail, SCENARIO_FAIL)
VERDICT(scenario_skip, SCENARIO_SKIP)
VERDICT(scenario_error, SCENARIO_ERROR)

void
scenario_leaves(ScenarioContext *ctx, unsigned leftovers)
{
	ctx->report->leaves |= leftovers;
}

int
scenario_time_left_ms(const ScenarioContext *ctx)
{
	return clock_ms_until(ctx->deadline_ns);
}

static bool
grow(ScenarioCaseList *list)
{
	size_t capacity = list->capacity ? list->capacity * 2 : 32;
	ScenarioCase *item = realloc(list->item, capacity * sizeof(*item));

	if (!item)
	{
		list->out_of_memory = true;
		return false;
	}
	list->item = item;
	list->capacity = capacity;
	return true;
}

ScenarioCase *
scenario_case_add(ScenarioCaseList *list, const char *name_format, ...)
{
	va_list args;

	if (list->count == list->capacity && !grow(list))
		return NULL;

	ScenarioCase *added = &list->item[list->count++];

	memset(added, 0, sizeof(*added));
	va_start(args, name_format);
	vsnprintf(added->name, sizeof(added->name), name_format, args);
	va_end(args);
	return added;
}

void
scenario_cases_named(ScenarioCaseList *list, const char *const *names, int count)
{
	for (int i = 0; i < count; i++)
	{
		ScenarioCase *added = scenario_case_add(list, "%s", names[i]);

		if (added == NULL)
			return;
		added->param[0] = i;
	}
}

void
scenario_cases_free(ScenarioCaseList *list)
{
	free(list->item);
	memset(list, 0, sizeof(*list));
}
