/*
 * explore_stacks.c
 *		See explore_stacks.h.  What of a stack is the simulator's own, below the lock code, is left out.
 */
#include <inttypes.h>
#include <string.h>

#include "explore_stacks.h"
#include "inject/step/symbols.h"

typedef struct Frame
{
	uint64_t address; /* in the call, not after it */
	StepPlace place;
} Frame;

/* The scheduler's side of a stop; programs, which make the calls, are the user's. */
static bool
is_engine(const StepPlace *place)
{
	return place->file != NULL && strncmp(place->file, "inject/sched/", 13) == 0 &&
		   strcmp(place->file, "inject/sched/program.c") != 0;
}

/* From the lock code outwards; the whole stack if there are no lines to know it by. */
static uint32_t
find_frames(StepSymbols *symbols, const ExploreStack *stack, Frame *frame)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < stack->count && i < EXPLORE_FRAMES_MAX; i++)
	{
		frame[count].address = stack->address[i] - 1;
		step_symbols_find(symbols, frame[count].address, &frame[count].place);
		if (!is_engine(&frame[count].place))
			count++;
	}
	return count;
}

static const char *
who(const ExploreCase *what, uint32_t process)
{
	uint32_t workers = (uint32_t) what->config.workers;

	return process < workers    ? what->config.program[process]
		   : process == workers ? "supervisor"
								: "standby";
}

static void
print_stack(FILE *out, StepSymbols *symbols, const ExploreStack *stack)
{
	Frame frame[EXPLORE_FRAMES_MAX];
	uint32_t count = find_frames(symbols, stack, frame);

	for (uint32_t i = 0; i < count; i++)
	{
		const StepPlace *place = &frame[i].place;

		if (place->symbol != NULL)
			(void) fprintf(out, "  #%u  %s+0x%" PRIx64, i, place->symbol, place->symbol_offset);
		else
			(void) fprintf(out, "  #%u  %s+0x%" PRIx64, i, place->module, place->module_offset);
		if (place->line > 0)
			(void) fprintf(out, "  %s:%d", place->file, place->line);
		(void) fputc('\n', out);
	}
}

void
explore_print_stacks(FILE *out, const ExploreCase *what, const ExploreReport *report)
{
	StepSymbols *symbols = step_symbols_open();

	if (symbols == NULL)
		return;
	if (report->violating.count > 0)
	{
		(void) fprintf(out, "where process %d broke the rule:\n", report->culprit);
		print_stack(out, symbols, &report->violating);
	}
	for (uint32_t p = 0; p < EXPLORE_STACKS_MAX; p++)
	{
		if (report->stack[p].count == 0)
			continue;
		(void) fprintf(out, "process %u (%s):\n", p, who(what, p));
		print_stack(out, symbols, &report->stack[p]);
	}
	step_symbols_close(symbols);
}

static void
write_stack(JsonWriter *json, StepSymbols *symbols, const ExploreStack *stack)
{
	Frame frame[EXPLORE_FRAMES_MAX];
	uint32_t count = find_frames(symbols, stack, frame);

	json_array(json, "frames");
	for (uint32_t i = 0; i < count; i++)
	{
		const StepPlace *place = &frame[i].place;

		json_object(json, NULL);
		json_string(json, "module", place->module);
		json_uint(json, "offset", place->module_offset);
		json_string(json, "symbol", place->symbol);
		json_string(json, "file", place->line > 0 ? place->file : NULL);
		json_int(json, "line", place->line);
		json_object_end(json);
	}
	json_array_end(json);
}

void
explore_write_stacks(JsonWriter *json, const ExploreCase *what, const ExploreReport *report)
{
	StepSymbols *symbols = step_symbols_open();

	if (symbols == NULL)
		return;
	json_string(json, "symbols", step_symbols_source());
	json_array(json, "stacks");
	for (uint32_t p = 0; p < EXPLORE_STACKS_MAX; p++)
	{
		if (report->stack[p].count == 0)
			continue;
		json_object(json, NULL);
		json_uint(json, "process", p);
		json_string(json, "who", who(what, p));
		write_stack(json, symbols, &report->stack[p]);
		json_object_end(json);
	}
	if (report->violating.count > 0)
	{
		json_object(json, NULL);
		json_int(json, "process", report->culprit);
		json_string(json, "who", "where the rule was broken");
		write_stack(json, symbols, &report->violating);
		json_object_end(json);
	}
	json_array_end(json);
	step_symbols_close(symbols);
}
