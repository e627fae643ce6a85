/*
 * suite.c
 *		The schema of a suite file: two mappings, their keys, and what each takes.
 *
 * See suite.h.  How deep the file may go is how deep the schema goes: nothing here calls itself.
 */
#include "suite/suite.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "inject/inject.h"
#include "suite/events.h"

#define KEYS_MAX 8

typedef struct SuiteReader
{
	EventReader events;
	Suite *suite;
	size_t text_used, text_size;
} SuiteReader;

/* A key of a mapping; `read` takes the value that is the current event, to its end. */
typedef struct Key
{
	const char *name;
	bool needed;
	bool (*read)(SuiteReader *reader, const char *name);
} Key;

/* ---- mappings ---- */

static bool
unknown_key(SuiteReader *reader, const Key *keys, size_t count)
{
	const char *names[KEYS_MAX];
	char shown[EVENTS_SHOWN_SIZE], list[96] = "";
	const char *key = events_shown(&reader->events, shown);

	if (strcmp(key, "<<") == 0)
		return events_refuse(&reader->events, "merge keys are not taken here");
	for (size_t i = 0; i < count; i++)
	{
		names[i] = keys[i].name;
		snprintf(list + strlen(list), sizeof(list) - strlen(list), "%s%s", i > 0 ? ", " : "",
				 keys[i].name);
	}

	const char *nearest = inject_suggest(key, names, count);

	if (nearest != NULL)
		return events_refuse(&reader->events,
							 "no key is called \"%s\"; did you mean \"%s\"? There are %s", key,
							 nearest, list);
	return events_refuse(&reader->events, "no key is called \"%s\"; there are %s", key, list);
}

/* The key that is the current event; `count` after an error. */
static size_t
find_key(SuiteReader *reader, const Key *keys, size_t count, unsigned seen)
{
	const yaml_event_t *event = &reader->events.event;

	if (event->type != YAML_SCALAR_EVENT)
	{
		(void) events_refuse(&reader->events, "a key is a word, not %s",
							 events_kind(&reader->events));
		return count;
	}
	for (size_t i = 0; i < count; i++)
	{
		if (strlen(keys[i].name) != event->data.scalar.length ||
			memcmp(keys[i].name, event->data.scalar.value, event->data.scalar.length) != 0)
			continue;
		if ((seen & (1u << i)) == 0)
			return i;
		(void) events_refuse(&reader->events, "\"%s\" comes twice", keys[i].name);
		return count;
	}
	(void) unknown_key(reader, keys, count);
	return count;
}

/* A mapping, whose start is the current event, to its end. */
static bool
read_mapping(SuiteReader *reader, const char *what, const Key *keys, size_t count)
{
	yaml_mark_t start = reader->events.event.start_mark;
	unsigned seen = 0;

	if (reader->events.event.type != YAML_MAPPING_START_EVENT)
		return events_refuse(&reader->events, "%s is a mapping, not %s", what,
							 events_kind(&reader->events));
	for (;;)
	{
		if (!events_next(&reader->events))
			return false;
		if (reader->events.event.type == YAML_MAPPING_END_EVENT)
			break;

		size_t key = find_key(reader, keys, count, seen);

		if (key == count)
			return false;
		seen |= 1u << key;
		if (!events_next(&reader->events) || !keys[key].read(reader, keys[key].name))
			return false;
	}
	for (size_t i = 0; i < count; i++)
		if (keys[i].needed && (seen & (1u << i)) == 0)
			return events_refuse_at(&reader->events, &start, "%s has no \"%s\"", what,
									keys[i].name);
	return true;
}

/* ---- scalars ---- */

/* A word without quotes, which is not nothing; NULL after an error. */
static const char *
take_word(SuiteReader *reader, const char *name, const char *wanted)
{
	const yaml_event_t *event = &reader->events.event;

	if (event->type == YAML_SCALAR_EVENT && event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
		event->data.scalar.length > 0)
		return (const char *) event->data.scalar.value;
	(void) events_refuse(&reader->events, "%s is %s, not %s", name, wanted,
						 events_kind(&reader->events));
	return NULL;
}

/* Decimal, and when it may be, hexadecimal with 0x.  No octal, no underscore, no sign. */
static bool
read_digits(const char *word, bool hexadecimal, uint64_t *number)
{
	int base = hexadecimal && word[0] == '0' && word[1] == 'x' ? 16 : 10;
	const char *digits = base == 16 ? word + 2 : word;
	char *end;

	if (!(base == 16 ? isxdigit((unsigned char) digits[0]) : isdigit((unsigned char) digits[0])) ||
		(base == 10 && digits[0] == '0' && digits[1] != '\0'))
		return false;
	errno = 0;
	*number = strtoull(digits, &end, base);
	return *end == '\0' && errno == 0;
}

static bool
take_number(SuiteReader *reader, const char *name, uint64_t least, uint64_t most, uint64_t *number)
{
	char shown[EVENTS_SHOWN_SIZE];
	const char *word = take_word(reader, name, "a number");

	if (word == NULL)
		return false;
	if (read_digits(word, most == UINT64_MAX, number) && *number >= least && *number <= most)
		return true;
	if (most == UINT64_MAX)
		return events_refuse(&reader->events,
							 "%s is a number of 64 bits from %llu on, decimal or as 0x7f3a, not "
							 "\"%s\"",
							 name, (unsigned long long) least,
							 events_shown(&reader->events, shown));
	return events_refuse(&reader->events, "%s is a number from %llu to %llu, not \"%s\"", name,
						 (unsigned long long) least, (unsigned long long) most,
						 events_shown(&reader->events, shown));
}

/* 250ms, 10s, 5m, 1h; a number alone is seconds. */
static bool
read_time(const char *word, uint64_t *milliseconds)
{
	static const struct
	{
		const char *unit;
		uint64_t ms;
	} units[] = {{"ms", 1}, {"s", 1000}, {"", 1000}, {"m", 60000}, {"h", 3600000}};
	size_t digits = strspn(word, "0123456789");
	char number[13];

	if (digits >= sizeof(number))
		return false;
	memcpy(number, word, digits);
	number[digits] = '\0';
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (strcmp(word + digits, units[i].unit) == 0 && read_digits(number, false, milliseconds))
		{
			*milliseconds *= units[i].ms; /* 12 digits and an hour: no 64 bits are too few */
			return *milliseconds > 0 && *milliseconds <= SUITE_BUDGET_MAX;
		}
	return false;
}

static bool
is_printable(const char *bytes, size_t length, bool lines)
{
	for (size_t i = 0; i < length; i++)
	{
		unsigned char byte = (unsigned char) bytes[i];

		if ((byte < 0x20 || byte >= 0x7f) && !(lines && (byte == '\n' || byte == '\t')))
			return false;
	}
	return true;
}

/* Keeps a scalar.  `lines`: it may have several. */
static bool
take_text(SuiteReader *reader, const char *name, size_t size, bool lines, SuiteText *text)
{
	const yaml_event_t *event = &reader->events.event;

	if (event->type != YAML_SCALAR_EVENT)
		return events_refuse(&reader->events, "%s is text, not %s", name,
							 events_kind(&reader->events));

	const char *bytes = (const char *) event->data.scalar.value;
	size_t length = event->data.scalar.length;

	if (length == 0)
		return events_refuse(&reader->events, "%s is empty", name);
	if (length >= size)
		return events_refuse(&reader->events, "%s has %zu bytes, and may have %zu", name, length,
							 size - 1);
	if (!is_printable(bytes, length, lines))
		return events_refuse(&reader->events,
							 "%s has a character that is in no name: only printable ASCII is",
							 name);
	if (reader->text_size - reader->text_used <= length)
		return events_refuse(&reader->events, "the texts are too long together");
	*text = (SuiteText){.bytes = reader->suite->text + reader->text_used,
						.line = (uint32_t) event->start_mark.line + 1,
						.column = (uint32_t) event->start_mark.column + 1};
	memcpy(reader->suite->text + reader->text_used, bytes, length + 1);
	reader->text_used += length + 1;
	return true;
}

/* ---- an entry of `run` ---- */

static SuiteEntry *
last_entry(SuiteReader *reader)
{
	return &reader->suite->entry[reader->suite->entry_count - 1];
}

static bool
take_pattern(SuiteReader *reader)
{
	Suite *suite = reader->suite;

	if (suite->pattern_count == SUITE_PATTERNS_MAX)
		return events_refuse(&reader->events, "more than %d patterns", SUITE_PATTERNS_MAX);
	if (!take_text(reader, "a pattern", SUITE_PATTERN_SIZE, false,
				   &suite->pattern[suite->pattern_count]))
		return false;
	suite->pattern_count++;
	last_entry(reader)->pattern_count++;
	return true;
}

static bool
read_cases(SuiteReader *reader, const char *name)
{
	EventReader *events = &reader->events;
	yaml_mark_t start = events->event.start_mark;

	last_entry(reader)->first_pattern = reader->suite->pattern_count;
	if (events->event.type == YAML_SCALAR_EVENT)
		return take_pattern(reader);
	if (events->event.type != YAML_SEQUENCE_START_EVENT)
		return events_refuse(events, "%s is a pattern or a list of patterns, not %s", name,
							 events_kind(events));
	for (;;)
	{
		if (!events_next(events))
			return false;
		if (events->event.type == YAML_SEQUENCE_END_EVENT)
			break;
		if (!take_pattern(reader))
			return false;
	}
	return last_entry(reader)->pattern_count > 0 ||
		   events_refuse_at(events, &start, "%s is an empty list", name);
}

static bool
read_plan(SuiteReader *reader, const char *name)
{
	return take_text(reader, name, SUITE_PLAN_SIZE, true, &last_entry(reader)->plan);
}

static bool
read_entry_seed(SuiteReader *reader, const char *name)
{
	last_entry(reader)->has_seed = true;
	return take_number(reader, name, 0, UINT64_MAX, &last_entry(reader)->seed);
}

static const Key entry_keys[] = {
	{"cases", true, read_cases}, {"plan", false, read_plan}, {"seed", false, read_entry_seed}};

/* ---- the file ---- */

static bool
read_version(SuiteReader *reader, const char *name)
{
	char shown[EVENTS_SHOWN_SIZE];
	const char *word = take_word(reader, name, "a number");
	uint64_t version;

	if (word == NULL)
		return false;
	if (read_digits(word, false, &version) && version == SUITE_VERSION)
		return true;
	return events_refuse(&reader->events, "%s is %d, not \"%s\": this program knows no other", name,
						 SUITE_VERSION, events_shown(&reader->events, shown));
}

static bool
read_seed(SuiteReader *reader, const char *name)
{
	return take_number(reader, name, 1, UINT64_MAX, &reader->suite->seed);
}

static bool
read_jobs(SuiteReader *reader, const char *name)
{
	return take_number(reader, name, 1, SUITE_JOBS_MAX, &reader->suite->jobs);
}

static bool
read_repeat(SuiteReader *reader, const char *name)
{
	return take_number(reader, name, 1, SUITE_REPEAT_MAX, &reader->suite->repeat);
}

static bool
read_budget(SuiteReader *reader, const char *name)
{
	char shown[EVENTS_SHOWN_SIZE];
	const char *word = take_word(reader, name, "a time");

	if (word == NULL)
		return false;
	return read_time(word, &reader->suite->budget_ms) ||
		   events_refuse(&reader->events, "%s is a time like 500ms, 10s, 5m or 1h, not \"%s\"",
						 name, events_shown(&reader->events, shown));
}

static bool
read_run(SuiteReader *reader, const char *name)
{
	EventReader *events = &reader->events;
	yaml_mark_t start = events->event.start_mark;

	if (events->event.type != YAML_SEQUENCE_START_EVENT)
		return events_refuse(events, "%s is a list, not %s", name, events_kind(events));
	for (;;)
	{
		if (!events_next(events))
			return false;
		if (events->event.type == YAML_SEQUENCE_END_EVENT)
			break;
		if (reader->suite->entry_count == SUITE_ENTRIES_MAX)
			return events_refuse(events, "more than %d entries", SUITE_ENTRIES_MAX);
		reader->suite->entry[reader->suite->entry_count++] = (SuiteEntry){0};
		if (!read_mapping(reader, "an entry of \"run\"", entry_keys,
						  sizeof(entry_keys) / sizeof(entry_keys[0])))
			return false;
	}
	return reader->suite->entry_count > 0 ||
		   events_refuse_at(events, &start, "%s is an empty list", name);
}

static const Key file_keys[] = {{"version", true, read_version}, {"seed", false, read_seed},
								{"jobs", false, read_jobs},      {"repeat", false, read_repeat},
								{"budget", false, read_budget},  {"run", true, read_run}};

_Static_assert(sizeof(file_keys) / sizeof(file_keys[0]) <= KEYS_MAX, "unknown_key() names them");

static bool
expect(SuiteReader *reader, yaml_event_type_t type, const char *otherwise)
{
	if (!events_next(&reader->events))
		return false;
	return reader->events.event.type == type || events_refuse(&reader->events, "%s", otherwise);
}

static bool
read_file(SuiteReader *reader)
{
	return expect(reader, YAML_STREAM_START_EVENT, "not YAML") &&
		   expect(reader, YAML_DOCUMENT_START_EVENT,
				  "the file is empty: a suite has \"version\" and \"run\"") &&
		   events_next(&reader->events) &&
		   read_mapping(reader, "a suite", file_keys, sizeof(file_keys) / sizeof(file_keys[0])) &&
		   expect(reader, YAML_DOCUMENT_END_EVENT, "the file goes on behind its end") &&
		   expect(reader, YAML_STREAM_END_EVENT, "a second document: one file is one suite");
}

bool
suite_parse(const void *bytes, size_t length, Suite *suite, SuiteError *error)
{
	SuiteReader reader = {.suite = suite};
	bool good;

	suite->seed = suite->jobs = suite->repeat = suite->budget_ms = 0;
	suite->entry_count = suite->pattern_count = 0;
	suite->text = NULL;
	if (!events_open(&reader.events, bytes, length, error))
		return false;
	/* An escape of two bytes becomes three at most; each string has a byte between it and the next. */
	reader.text_size = 2 * length + 16;
	suite->text = malloc(reader.text_size);
	if (suite->text == NULL)
	{
		error->out_of_memory = true;
		snprintf(error->message, sizeof(error->message), "out of memory");
	}
	good = suite->text != NULL && read_file(&reader);
	events_close(&reader.events);
	if (!good)
		suite_free(suite);
	return good;
}

void
suite_free(Suite *suite)
{
	free(suite->text);
	suite->text = NULL;
	suite->entry_count = suite->pattern_count = 0;
}
