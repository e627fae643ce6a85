/*
 * events.c
 *		libyaml's events, less those that a suite file has no use for.
 *
 * libyaml is given whole bytes that are checked for length and NUL first, told that they are UTF-8, and asked for one
 * event after the other: how deep it goes is decided by who asks, and ends at the first thing that is not expected.
 */
#include "suite/events.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* The length of the line end that begins there, 0 when none does: LF, CR, CR LF, NEL, LS and PS, as in YAML. */
static size_t
line_end_at(const unsigned char *at, size_t left)
{
	switch (at[0])
	{
		case '\n':
			return 1;
		case '\r':
			return left > 1 && at[1] == '\n' ? 2 : 1;
		case 0xc2:
			return left > 1 && at[1] == 0x85 ? 2 : 0;
		case 0xe2:
			return left > 2 && at[1] == 0x80 && (at[2] == 0xa8 || at[2] == 0xa9) ? 3 : 0;
		default:
			return 0;
	}
}

/* The place of a byte, in characters as libyaml counts them. */
static yaml_mark_t
place_of(const EventReader *reader, size_t offset)
{
	yaml_mark_t mark = {0};

	for (size_t i = 0, end; i < offset && i<reader->length; i += end> 0 ? end : 1)
	{
		end = line_end_at(reader->bytes + i, reader->length - i);
		if (end > 0)
		{
			mark.line++;
			mark.column = 0;
		}
		else if ((reader->bytes[i] & 0xc0) != 0x80)
			mark.column++;
	}
	return mark;
}

/* libyaml puts the end on a line of its own, which is not there when the last one has no line end. */
static yaml_mark_t
place_inside(const EventReader *reader, yaml_mark_t mark)
{
	yaml_mark_t end = place_of(reader, reader->length);

	return mark.line > end.line ? end : mark;
}

static bool
refuse(EventReader *reader, yaml_mark_t mark, const char *format, va_list args)
{
	SuiteError *error = reader->error;

	mark = place_inside(reader, mark);
	error->line = (uint32_t) mark.line + 1;
	error->column = (uint32_t) mark.column + 1;
	(void) vsnprintf(error->message, sizeof(error->message), format, args);
	return false;
}

bool
events_refuse_at(EventReader *reader, const yaml_mark_t *mark, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void) refuse(reader, *mark, format, args);
	va_end(args);
	return false;
}

bool
events_refuse(EventReader *reader, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void) refuse(reader, reader->event.start_mark, format, args);
	va_end(args);
	return false;
}

/* What libyaml found wrong.  Its reader knows the byte alone, all else has a mark. */
static bool
refuse_syntax(EventReader *reader)
{
	const yaml_parser_t *parser = &reader->parser;
	const char *problem = parser->problem != NULL ? parser->problem : "not YAML";
	bool alias = parser->context != NULL && strstr(parser->context, "alias") != NULL;
	yaml_mark_t mark = parser->problem_mark;

	if (parser->error == YAML_MEMORY_ERROR)
	{
		reader->error->out_of_memory = true;
		problem = "out of memory";
	}
	if (parser->error == YAML_READER_ERROR)
		mark = place_of(reader, parser->problem_offset);
	if (alias)
		return events_refuse_at(reader, &mark,
								"a pattern that begins with * is to be in quotes, as \"*\"");
	return events_refuse_at(reader, &mark, "%s%s%s", problem, parser->context != NULL ? " " : "",
							parser->context != NULL ? parser->context : "");
}

bool
events_open(EventReader *reader, const void *bytes, size_t length, SuiteError *error)
{
	const unsigned char *nul = length > 0 ? memchr(bytes, '\0', length) : NULL;

	*reader = (EventReader){.bytes = bytes, .length = length, .error = error};
	*error = (SuiteError){.line = 1, .column = 1};
	if (length > SUITE_SIZE_MAX)
	{
		yaml_mark_t mark = place_of(reader, SUITE_SIZE_MAX);

		return events_refuse_at(reader, &mark, "the file is larger than %zu bytes", SUITE_SIZE_MAX);
	}
	if (nul != NULL)
	{
		yaml_mark_t mark = place_of(reader, (size_t) (nul - reader->bytes));

		return events_refuse_at(reader, &mark, "a NUL byte");
	}
	if (!yaml_parser_initialize(&reader->parser))
	{
		error->out_of_memory = true;
		snprintf(error->message, sizeof(error->message), "out of memory");
		return false;
	}
	/* libyaml would let a byte order mark count as a column, and what follows it end at the next line. */
	if (length >= 3 && memcmp(bytes, "\xef\xbb\xbf", 3) == 0)
	{
		reader->bytes += 3;
		reader->length -= 3;
	}
	yaml_parser_set_encoding(&reader->parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(
		&reader->parser, reader->length > 0 ? reader->bytes : (const void *) "", reader->length);
	return true;
}

void
events_close(EventReader *reader)
{
	if (reader->has_event)
		yaml_event_delete(&reader->event);
	yaml_parser_delete(&reader->parser);
}

static bool
has_properties(EventReader *reader, const yaml_char_t *anchor, const yaml_char_t *tag)
{
	if (anchor != NULL)
		return !events_refuse(reader, "anchors and aliases are not taken here");
	if (tag != NULL)
		return !events_refuse(reader, "tags are not taken here");
	return false;
}

/* The parts of YAML that nobody needs for a list of cases, and that make files mean what they do not say. */
static bool
is_plain_enough(EventReader *reader)
{
	const yaml_event_t *event = &reader->event;

	switch (event->type)
	{
		case YAML_ALIAS_EVENT:
			return events_refuse(
				reader, "anchors and aliases are not taken here; a pattern that begins with * is "
						"to be in quotes");
		case YAML_SCALAR_EVENT:
			return !has_properties(reader, event->data.scalar.anchor, event->data.scalar.tag);
		case YAML_SEQUENCE_START_EVENT:
			return !has_properties(reader, event->data.sequence_start.anchor,
								   event->data.sequence_start.tag);
		case YAML_MAPPING_START_EVENT:
			return !has_properties(reader, event->data.mapping_start.anchor,
								   event->data.mapping_start.tag);
		case YAML_DOCUMENT_START_EVENT:
			if (event->data.document_start.version_directive != NULL ||
				event->data.document_start.tag_directives.start !=
					event->data.document_start.tag_directives.end)
				return events_refuse(reader, "directives (%%YAML, %%TAG) are not taken here");
			return true;
		default:
			return true;
	}
}

bool
events_next(EventReader *reader)
{
	if (reader->has_event)
		yaml_event_delete(&reader->event);
	reader->has_event = false;
	if (!yaml_parser_parse(&reader->parser, &reader->event))
		return refuse_syntax(reader);
	reader->has_event = true;
	return is_plain_enough(reader);
}

const char *
events_kind(const EventReader *reader)
{
	const yaml_event_t *event = &reader->event;

	switch (event->type)
	{
		case YAML_SEQUENCE_START_EVENT:
			return "a list";
		case YAML_MAPPING_START_EVENT:
			return "a mapping";
		case YAML_SCALAR_EVENT:
			if (event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
				return "text in quotes";
			return event->data.scalar.length == 0 ? "nothing" : "a word";
		default:
			return "the end";
	}
}

const char *
events_shown(const EventReader *reader, char shown[EVENTS_SHOWN_SIZE])
{
	const unsigned char *bytes = reader->event.data.scalar.value;
	size_t length = reader->event.data.scalar.length;
	bool cut = length > EVENTS_SHOWN_SIZE - 1;
	size_t kept = cut ? EVENTS_SHOWN_SIZE - 4 : length;

	for (size_t i = 0; i < kept; i++)
		shown[i] = bytes[i] >= 0x20 && bytes[i] < 0x7f ? (char) bytes[i] : '?';
	strcpy(shown + kept, cut ? "..." : "");
	return shown;
}
