/*
 * schedule.c
 *		A schedule as text: one move after the other, equal neighbours counted.
 */
#include <stdio.h>
#include <string.h>

#include "schedule.h"

#define MOVE_KINDS " KTF" /* by ExploreMove.kind */

static bool
read_digits(const char **text, unsigned most, unsigned *value)
{
	const char *start = *text;

	*value = 0;
	while (**text >= '0' && **text <= '9')
	{
		*value = *value * 10 + (unsigned) (**text - '0');
		if (*value > most)
			return false;
		(*text)++;
	}
	return *text > start;
}

static bool
add(ExploreSchedule *schedule, ExploreMove move, unsigned times)
{
	if (times > EXPLORE_SCHEDULE_MAX - schedule->count)
		return false;
	while (times-- > 0)
		schedule->move[schedule->count++] = move;
	return true;
}

static bool
read_move(const char **text, ExploreSchedule *schedule)
{
	ExploreMove move = {0, 0};
	unsigned process, times = 1;

	for (unsigned char kind = 1; kind < sizeof(MOVE_KINDS) - 1; kind++)
	{
		if (**text == MOVE_KINDS[kind])
			move.kind = kind;
	}
	*text += move.kind > 0;
	if (!read_digits(text, 15, &process))
		return false;
	move.process = (unsigned char) process;
	if (**text == '*')
	{
		(*text)++;
		if (!read_digits(text, EXPLORE_SCHEDULE_MAX, &times) || times == 0)
			return false;
	}
	return add(schedule, move, times);
}

bool
schedule_parse(const char *text, ExploreSchedule *schedule, size_t *position)
{
	const char *at = text;
	bool good = true;

	schedule->count = 0;
	if (strcmp(text, "-") == 0)
		return true;
	while (good)
	{
		good = read_move(&at, schedule);
		if (good && *at == '\0')
			return true;
		good = good && *at == '.';
		at += good;
	}
	*position = (size_t) (at - text);
	return false;
}

bool
schedule_print(const ExploreSchedule *schedule, char *out, size_t size)
{
	size_t at = 0;

	if (schedule->count == 0)
		return snprintf(out, size, "-") < (int) size;
	for (unsigned i = 0; i < schedule->count;)
	{
		ExploreMove move = schedule->move[i];
		unsigned times = 1;
		char kind[2] = {0}, count[16] = "";
		int length;

		while (i + times < schedule->count && schedule->move[i + times].kind == move.kind &&
			   schedule->move[i + times].process == move.process)
			times++;
		if (move.kind > 0 && move.kind < sizeof(MOVE_KINDS) - 1)
			kind[0] = MOVE_KINDS[move.kind];
		if (times > 1)
			(void) snprintf(count, sizeof(count), "*%u", times);
		length =
			snprintf(out + at, size - at, "%s%s%u%s", i > 0 ? "." : "", kind, move.process, count);
		if (length < 0 || (size_t) length >= size - at)
			return false;
		at += (size_t) length;
		i += times;
	}
	return true;
}
