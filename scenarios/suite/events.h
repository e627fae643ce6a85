/*
 * events.h
 *		What a suite file is made of: scalars, lists and mappings, without the rest of YAML.
 *
 * Owner: the reader owns its event, which lives until the next one is asked for.  One thread.
 * Errors: false, and *error says what and where; a reader that has failed is only closed.
 */
#ifndef HOLDFAST_SUITE_EVENTS_H
#define HOLDFAST_SUITE_EVENTS_H

#include <yaml.h>

#include "suite/suite.h"

typedef struct EventReader
{
	yaml_parser_t parser;
	yaml_event_t event;
	bool has_event;
	const unsigned char *bytes;
	size_t length;
	SuiteError *error;
} EventReader;

/* True means that it is to be closed. */
bool events_open(EventReader *reader, const void *bytes, size_t length, SuiteError *error);
void events_close(EventReader *reader);

/* The next event.  Anchors, aliases, tags, directives and a second document are refused. */
bool events_next(EventReader *reader);

/* Always false: the error, at the event that was read last. */
bool events_refuse(EventReader *reader, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* The same at a place of its own, counted from 0 as libyaml does. */
bool events_refuse_at(EventReader *reader, const yaml_mark_t *mark, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* "a list", "a mapping", "text in quotes": what the event is, for messages. */
const char *events_kind(const EventReader *reader);

/* The bytes of a scalar for a message: cut, and "?" for what is not printable. */
#define EVENTS_SHOWN_SIZE 48
const char *events_shown(const EventReader *reader, char shown[EVENTS_SHOWN_SIZE]);

#endif
