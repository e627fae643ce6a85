/*
 * print.c
 *		A suite as the text that parses to it: every string in quotes, keys in the order of the schema.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "suite/suite.h"

typedef struct Out
{
	char *bytes;
	size_t size, length; /* length: of the whole, as if there were room */
} Out;

static void __attribute__((format(printf, 2, 3))) put(Out *out, const char *format, ...)
{
	size_t at = out->length < out->size ? out->length : out->size;
	va_list args;
	int length;

	va_start(args, format);
	length = vsnprintf(out->size > 0 ? out->bytes + at : NULL, out->size - at, format, args);
	va_end(args);
	out->length += length > 0 ? (size_t) length : 0;
}

static void
put_char(Out *out, char c)
{
	if (out->length + 1 < out->size)
	{
		out->bytes[out->length] = c;
		out->bytes[out->length + 1] = '\0';
	}
	out->length++;
}

static void
put_text(Out *out, const char *text)
{
	put_char(out, '"');
	for (; *text != '\0'; text++)
		switch (*text)
		{
			case '\n':
				put(out, "\\n");
				break;
			case '\t':
				put(out, "\\t");
				break;
			case '"':
			case '\\':
				put_char(out, '\\');
				put_char(out, *text);
				break;
			default:
				put_char(out, *text);
		}
	put_char(out, '"');
}

static void
put_entry(Out *out, const Suite *suite, const SuiteEntry *entry)
{
	put(out, "  - cases:\n");
	for (size_t i = 0; i < entry->pattern_count; i++)
	{
		put(out, "      - ");
		put_text(out, suite->pattern[entry->first_pattern + i].bytes);
		put(out, "\n");
	}
	if (entry->plan.bytes != NULL)
	{
		put(out, "    plan: ");
		put_text(out, entry->plan.bytes);
		put(out, "\n");
	}
	if (entry->has_seed)
		put(out, "    seed: %" PRIu64 "\n", entry->seed);
}

size_t
suite_print(const Suite *suite, char *text, size_t size)
{
	Out out = {.bytes = text, .size = size};

	put(&out, "version: %d\n", SUITE_VERSION);
	if (suite->seed != 0)
		put(&out, "seed: %" PRIu64 "\n", suite->seed);
	if (suite->jobs != 0)
		put(&out, "jobs: %" PRIu64 "\n", suite->jobs);
	if (suite->repeat != 0)
		put(&out, "repeat: %" PRIu64 "\n", suite->repeat);
	if (suite->budget_ms != 0)
		put(&out, "budget: %" PRIu64 "ms\n", suite->budget_ms);
	put(&out, "run:\n");
	for (size_t i = 0; i < suite->entry_count; i++)
		put_entry(&out, suite, &suite->entry[i]);
	return out.length;
}
