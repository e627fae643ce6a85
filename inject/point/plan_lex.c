/*
 * plan_lex.c
 *		The characters of a plan: white space, words, numbers, durations, each with its position.
 *
 * The text is input from anywhere: it may hold NUL bytes, control characters, numbers without end.  It is
 * never copied and never read past its end.
 *
 * Thread safety: the cursor is the caller's.  No allocation.
 */
#include "plan_lex.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "error.h"

#define NANOSECONDS_MAX (INT64_C(3600) * 1000000000)
#define JUMP_MAX        (UINT64_C(876000) * 3600 * 1000000000)

void
plan_cursor_start(PlanCursor *cursor, const void *text, size_t length, InjectError *error)
{
	cursor->next = text;
	cursor->end = cursor->next + length;
	cursor->place = (InjectPlace){.line = 1, .column = 1};
	cursor->error = error;
	cursor->failed = false;
}

bool
plan_error(PlanCursor *cursor, InjectPlace place, const char *suggestion, const char *format, ...)
{
	char message[sizeof(((InjectError *) NULL)->message)];
	va_list args;

	if (cursor->failed)
		return false;
	cursor->failed = true;
	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	inject_fail_at(cursor->error, place, suggestion, "%s", message);
	return false;
}

static void
step_over(PlanCursor *cursor)
{
	if (*cursor->next == '\n')
	{
		cursor->place.line++;
		cursor->place.column = 1;
	}
	else
		cursor->place.column++;
	cursor->next++;
}

static bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* The next character, or NUL at the end.  A NUL in the text is refused before anything is parsed. */
static char
here(const PlanCursor *cursor)
{
	return cursor->next < cursor->end ? *cursor->next : '\0';
}

static char
ahead(const PlanCursor *cursor, size_t distance)
{
	return (size_t) (cursor->end - cursor->next) > distance ? cursor->next[distance] : '\0';
}

void
plan_skip_space(PlanCursor *cursor)
{
	while (is_space(here(cursor)))
		step_over(cursor);
}

bool
plan_at_end(PlanCursor *cursor)
{
	plan_skip_space(cursor);
	return cursor->next == cursor->end;
}

bool
plan_peek(PlanCursor *cursor, char c)
{
	plan_skip_space(cursor);
	return here(cursor) == c && c != '\0';
}

bool
plan_peek_digit(PlanCursor *cursor)
{
	plan_skip_space(cursor);
	return is_digit(here(cursor));
}

bool
plan_accept(PlanCursor *cursor, char c)
{
	if (!plan_peek(cursor, c))
		return false;
	step_over(cursor);
	return true;
}

bool
plan_accept_arrow(PlanCursor *cursor)
{
	plan_skip_space(cursor);
	if (here(cursor) != '-' || ahead(cursor, 1) != '>')
		return false;
	step_over(cursor);
	step_over(cursor);
	return true;
}

bool
plan_accept_dots(PlanCursor *cursor)
{
	if (here(cursor) != '.' || ahead(cursor, 1) != '.')
		return false;
	step_over(cursor);
	step_over(cursor);
	return true;
}

/* What stands at the cursor, for "expected X, found Y". */
static const char *
found_here(const PlanCursor *cursor, char *text, size_t size)
{
	unsigned char c = (unsigned char) here(cursor);

	if (cursor->next == cursor->end)
		snprintf(text, size, "the end");
	else if (c < 0x20 || c >= 0x7f)
		snprintf(text, size, "byte 0x%02x", c);
	else
		snprintf(text, size, "'%c'", c);
	return text;
}

bool
plan_expect(PlanCursor *cursor, char c, const char *where)
{
	char found[16];

	if (plan_accept(cursor, c))
		return true;
	return plan_error(cursor, cursor->place, NULL, "expected '%c' %s, found %s", c, where,
					  found_here(cursor, found, sizeof(found)));
}

bool
plan_word(PlanCursor *cursor, const char *extra, const char *what, char *word, size_t size)
{
	InjectPlace start;
	size_t length = 0;
	char found[16];

	plan_skip_space(cursor);
	start = cursor->place;
	for (char c = here(cursor); c != '\0'; c = here(cursor))
	{
		if (!is_letter(c) && !is_digit(c) && c != '_' && strchr(extra, c) == NULL)
			break;
		if (c == '-' && ahead(cursor, 1) == '>')
			break;
		if (length + 1 >= size)
			return plan_error(cursor, start, NULL, "%s is longer than %zu characters", what,
							  size - 1);
		word[length++] = c;
		step_over(cursor);
	}
	word[length] = '\0';
	if (length == 0)
		return plan_error(cursor, start, NULL, "expected %s, found %s", what,
						  found_here(cursor, found, sizeof(found)));
	return true;
}

bool
plan_point_name(PlanCursor *cursor, bool star_allowed, char *name)
{
	InjectPlace start;
	size_t length;

	plan_skip_space(cursor);
	start = cursor->place;
	/* "*" alone stands for every point. */
	name[0] = '\0';
	if (here(cursor) != '*' && !plan_word(cursor, "-/", "a point's name", name, INJECT_NAME_SIZE))
		return false;
	for (const char *c = name; *c != '\0'; c++)
		if (*c >= 'A' && *c <= 'Z')
			return plan_error(cursor, start, NULL, "\"%s\": points are written in lower case",
							  name);
	if (here(cursor) != '*')
		return true;
	if (!star_allowed)
		return plan_error(cursor, cursor->place, NULL, "a wildcard cannot stand here");
	step_over(cursor);
	length = strlen(name);
	if (length + 1 >= INJECT_NAME_SIZE)
		return plan_error(cursor, start, NULL, "a point's name is longer than %d characters",
						  INJECT_NAME_SIZE - 1);
	memcpy(name + length, "*", 2);
	if (is_letter(here(cursor)) || is_digit(here(cursor)) || here(cursor) == '/')
		return plan_error(cursor, cursor->place, NULL, "'*' may stand at the end of a name only");
	return true;
}

static int
digit_value(char c)
{
	if (is_digit(c))
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return 99;
}

bool
plan_unsigned(PlanCursor *cursor, const char *what, uint64_t low, uint64_t high, uint64_t *value)
{
	InjectPlace start;
	uint64_t sum = 0;
	int base = 10;
	char found[16];

	plan_skip_space(cursor);
	start = cursor->place;
	if (!is_digit(here(cursor)))
		return plan_error(cursor, start, NULL, "expected %s, found %s", what,
						  found_here(cursor, found, sizeof(found)));
	if (here(cursor) == '0' && ahead(cursor, 1) == 'x' && digit_value(ahead(cursor, 2)) < 16)
	{
		base = 16;
		step_over(cursor);
		step_over(cursor);
	}
	for (int digit = digit_value(here(cursor)); digit < base; digit = digit_value(here(cursor)))
	{
		if (__builtin_mul_overflow(sum, (uint64_t) base, &sum) ||
			__builtin_add_overflow(sum, (uint64_t) digit, &sum))
			return plan_error(cursor, start, NULL, "%s is larger than 64 bits", what);
		step_over(cursor);
	}
	if (sum < low || sum > high)
		return plan_error(cursor, start, NULL, "%s must lie between %llu and %llu", what,
						  (unsigned long long) low, (unsigned long long) high);
	*value = sum;
	return true;
}

bool
plan_signed(PlanCursor *cursor, const char *what, int64_t *value)
{
	bool negative = plan_accept(cursor, '-');
	uint64_t magnitude;

	if (!plan_unsigned(cursor, what, 0, (uint64_t) INT64_MAX + (negative ? 1 : 0), &magnitude))
		return false;
	*value = (int64_t) (negative ? 0 - magnitude : magnitude);
	return true;
}

/* A number and its unit, at most `longest` nanoseconds, which is called `limit`. */
static bool
scan_duration(PlanCursor *cursor, uint64_t longest, const char *limit, int64_t *nanoseconds)
{
	static const struct
	{
		const char *name;
		uint64_t factor;
	} units[] = {
		{"ns", 1},
		{"us", 1000},
		{"ms", 1000000},
		{"s", 1000000000},
		{"m", UINT64_C(60000000000)},
		{"h", UINT64_C(3600000000000)},
	};
	InjectPlace start;
	uint64_t value;
	char unit[4];

	plan_skip_space(cursor);
	start = cursor->place;
	if (!plan_unsigned(cursor, "a duration", 0, UINT64_MAX, &value) ||
		!plan_word(cursor, "", "a unit (ns us ms s m h)", unit, sizeof(unit)))
		return false;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
	{
		if (strcmp(unit, units[i].name) != 0)
			continue;
		if (__builtin_mul_overflow(value, units[i].factor, &value) || value > longest)
			return plan_error(cursor, start, NULL, "%s", limit);
		*nanoseconds = (int64_t) value;
		return true;
	}
	return plan_error(cursor, start, NULL, "\"%s\" is no unit of time (ns us ms s m h)", unit);
}

bool
plan_duration(PlanCursor *cursor, int64_t *nanoseconds)
{
	return scan_duration(cursor, NANOSECONDS_MAX, "a duration is at most one hour", nanoseconds);
}

bool
plan_jump(PlanCursor *cursor, int64_t *nanoseconds)
{
	bool back = plan_accept(cursor, '-');

	if (!scan_duration(cursor, JUMP_MAX, "a clock jumps at most a hundred years", nanoseconds))
		return false;
	if (back)
		*nanoseconds = -*nanoseconds;
	return true;
}

bool
plan_fraction(PlanCursor *cursor, uint64_t percent, uint32_t *parts_per_1e9)
{
	uint64_t parts;
	uint32_t weight = INJECT_ALWAYS / 100;

	if (percent > 100)
		return plan_error(cursor, cursor->place, NULL, "a percentage is at most 100");
	parts = percent * weight;
	if (here(cursor) == '.')
	{
		step_over(cursor);
		if (!is_digit(here(cursor)))
			return plan_error(cursor, cursor->place, NULL, "expected digits after the '.'");
		for (; is_digit(here(cursor)); step_over(cursor))
		{
			weight /= 10;
			if (weight == 0)
				return plan_error(cursor, cursor->place, NULL,
								  "a percentage has at most seven decimals");
			parts += (uint64_t) (here(cursor) - '0') * weight;
		}
	}
	if (parts > INJECT_ALWAYS)
		return plan_error(cursor, cursor->place, NULL, "a percentage is at most 100");
	*parts_per_1e9 = (uint32_t) parts;
	return true;
}
