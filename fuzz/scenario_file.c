/*
 * scenario_file.c
 *		Fuzz target: any bytes as a suite file.
 *
 * A refusal says where, in the file, and in one printable line.  What is accepted keeps its limits, prints as text that
 * parses to the same suite and prints as itself, and is cut off cleanly in a smaller buffer.
 */
#include "fuzz.h"

#include "suite/suite.h"

#define PRINTED_SIZE ((size_t) 1 << 18)

static Suite suite, again; /* large */

/* What libyaml takes for the end of a line, in bytes; 0: nothing. */
static size_t
line_end(const uint8_t *data, size_t size)
{
	switch (data[0])
	{
		case '\n':
			return 1;
		case '\r':
			return size >= 2 && data[1] == '\n' ? 2 : 1;
		case 0xc2: /* NEL */
			return size >= 2 && data[1] == 0x85 ? 2 : 0;
		case 0xe2: /* LS, PS */
			return size >= 3 && data[1] == 0x80 && (data[2] | 1) == 0xa9 ? 3 : 0;
		default:
			return 0;
	}
}

/* In a line that is there, and not behind its end. */
static bool
is_inside(uint32_t line, uint32_t column, const uint8_t *data, size_t size)
{
	size_t at = 0, length = 0;

	if (line < 1 || column < 1)
		return false;
	for (; line > 1; line--)
	{
		while (at < size && line_end(data + at, size - at) == 0)
			at++;
		if (at == size)
			return false;
		at += line_end(data + at, size - at);
	}
	for (; at < size && line_end(data + at, size - at) == 0; at++)
		length++;
	return column <= length + 1;
}

static void
require_good_error(const SuiteError *error, const uint8_t *data, size_t size)
{
	REQUIRE(!error->out_of_memory);
	REQUIRE(is_inside(error->line, error->column, data, size));
	REQUIRE(error->message[0] != '\0');
	REQUIRE(memchr(error->message, '\0', sizeof(error->message)) != NULL);
	for (const char *c = error->message; *c != '\0'; c++)
		REQUIRE(*c >= ' ' && *c < 0x7f);
}

static void
require_good_text(const SuiteText *text, size_t most, bool lines, const uint8_t *data, size_t size)
{
	size_t length = strlen(text->bytes);

	REQUIRE(length > 0 && length < most);
	REQUIRE(is_inside(text->line, text->column, data, size));
	for (const char *c = text->bytes; *c != '\0'; c++)
		REQUIRE((*c >= ' ' && *c < 0x7f) || (lines && (*c == '\n' || *c == '\t')));
}

static void
require_limits(const uint8_t *data, size_t size)
{
	size_t patterns = 0;

	REQUIRE(suite.entry_count >= 1 && suite.entry_count <= SUITE_ENTRIES_MAX);
	REQUIRE(suite.pattern_count >= 1 && suite.pattern_count <= SUITE_PATTERNS_MAX);
	REQUIRE(suite.jobs <= SUITE_JOBS_MAX && suite.repeat <= SUITE_REPEAT_MAX);
	REQUIRE(suite.budget_ms <= SUITE_BUDGET_MAX);
	for (size_t i = 0; i < suite.entry_count; i++)
	{
		const SuiteEntry *entry = &suite.entry[i];

		/* Each pattern is one entry's, in the order of the file. */
		REQUIRE(entry->first_pattern == patterns && entry->pattern_count >= 1);
		patterns += entry->pattern_count;
		if (entry->plan.bytes != NULL)
			require_good_text(&entry->plan, SUITE_PLAN_SIZE, true, data, size);
		REQUIRE(entry->has_seed || entry->seed == 0);
	}
	REQUIRE(patterns == suite.pattern_count);
	for (size_t i = 0; i < patterns; i++)
		require_good_text(&suite.pattern[i], SUITE_PATTERN_SIZE, false, data, size);
}

/* All but where it stood. */
static bool
same_text(const SuiteText *a, const SuiteText *b)
{
	if (a->bytes == NULL || b->bytes == NULL)
		return a->bytes == b->bytes;
	return strcmp(a->bytes, b->bytes) == 0;
}

static void
require_same_suite(void)
{
	REQUIRE(suite.seed == again.seed && suite.jobs == again.jobs);
	REQUIRE(suite.repeat == again.repeat && suite.budget_ms == again.budget_ms);
	REQUIRE(suite.entry_count == again.entry_count);
	REQUIRE(suite.pattern_count == again.pattern_count);
	for (size_t i = 0; i < suite.entry_count; i++)
	{
		const SuiteEntry *a = &suite.entry[i], *b = &again.entry[i];

		REQUIRE(a->first_pattern == b->first_pattern && a->pattern_count == b->pattern_count);
		REQUIRE(same_text(&a->plan, &b->plan));
		REQUIRE(a->has_seed == b->has_seed && a->seed == b->seed);
	}
	for (size_t i = 0; i < suite.pattern_count; i++)
		REQUIRE(same_text(&suite.pattern[i], &again.pattern[i]));
}

static void
require_cut_cleanly(const char *text, size_t length)
{
	char cut[40]; /* shorter than any suite */

	memset(cut, 'x', sizeof(cut));
	REQUIRE(suite_print(&suite, cut, sizeof(cut)) == length);
	REQUIRE(strlen(cut) == (length < sizeof(cut) ? length : sizeof(cut) - 1));
	REQUIRE(strncmp(cut, text, strlen(cut)) == 0);
	REQUIRE(suite_print(&suite, NULL, 0) == length);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char text[PRINTED_SIZE], second[PRINTED_SIZE];
	SuiteError error;
	size_t length;

	if (!suite_parse(data, size, &suite, &error))
	{
		require_good_error(&error, data, size);
		REQUIRE(suite.text == NULL);
		return 0;
	}
	require_limits(data, size);
	length = suite_print(&suite, text, sizeof(text));
	/* `- "` and the like before each text, and two bytes for a line end: not much more than what was read. */
	REQUIRE(length <= 200 + 24 * size && (length >= sizeof(text) || strlen(text) == length));
	if (length < sizeof(text))
	{
		REQUIRE(suite_parse(text, length, &again, &error));
		require_same_suite();
		REQUIRE(suite_print(&again, second, sizeof(second)) == length);
		REQUIRE(memcmp(text, second, length + 1) == 0);
		suite_free(&again);
		require_cut_cleanly(text, length);
	}
	suite_free(&suite);
	return 0;
}
