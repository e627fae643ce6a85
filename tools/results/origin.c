/*
 * origin.c
 *		See origin.h.
 */
#include "origin.h"

#include <stdlib.h>
#include <string.h>

#define NAME_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./"

const char *
result_scenario_id(const char *scenario)
{
	const char *dot = strchr(scenario, '.');

	return dot != NULL ? dot + 1 : scenario;
}

/* The path from the room on, of however it was written; NULL: it is in no room of the source. */
static const char *
inside_source(const char *path)
{
	static const char *const rooms[] = {"lib/src/", "lib/include/", "inject/", "scenarios/",
										"fuzz/",    "tools/",       "tests/"};

	for (size_t i = 0; i < sizeof(rooms) / sizeof(rooms[0]); i++)
	{
		const char *found = strstr(path, rooms[i]);

		if (found != NULL && (found == path || found[-1] == '/') && strstr(found, "..") == NULL)
			return found;
	}
	return NULL;
}

static bool
set_origin(ResultOrigin *origin, const char *path, unsigned line)
{
	const char *inside = inside_source(path);

	if (inside == NULL || strlen(inside) >= sizeof(origin->file))
		return false;
	(void) memcpy(origin->file, inside, strlen(inside) + 1);
	origin->line = line;
	return true;
}

static size_t
span(const char *at, const char *end, const char *characters)
{
	const char *stop = at;

	while (stop < end && *stop != '\0' && strchr(characters, *stop) != NULL)
		stop++;
	return (size_t) (stop - at);
}

/* "lib/src/lwlock.c:214" at the start of the text. */
static bool
read_place(const char *at, size_t name, const char *end, ResultOrigin *origin)
{
	char path[256];
	size_t digits;

	if (name < 3 || name >= sizeof(path) || at[name - 2] != '.' ||
		(at[name - 1] != 'c' && at[name - 1] != 'h') || at + name >= end || at[name] != ':')
		return false;
	digits = span(at + name + 1, end, "0123456789");
	if (digits == 0 || digits > 7)
		return false;
	(void) memcpy(path, at, name);
	path[name] = '\0';
	return set_origin(origin, path, (unsigned) strtoul(at + name + 1, NULL, 10));
}

static bool
find_place(const ScenarioText *text, ResultOrigin *origin)
{
	const char *at = text->bytes;
	const char *end = at != NULL ? at + text->length : NULL;

	while (at < end)
	{
		size_t name = span(at, end, NAME_CHARACTERS);

		if (read_place(at, name, end, origin))
			return true;
		at += name + 1;
	}
	return false;
}

/* Points look like a/b or a/b/c: every such word is asked for.  Those of wrapped calls are written in inject/, not by who calls. */
static bool
find_point(const char *text, ResultOrigin *origin)
{
	const char *end = text != NULL ? text + strlen(text) : NULL;
	ResultOrigin found;

	while (text < end)
	{
		size_t size = span(text, end, NAME_CHARACTERS);
		char name[128];

		if (size > 2 && size < sizeof(name) && memchr(text, '/', size) != NULL)
		{
			(void) memcpy(name, text, size);
			name[size] = '\0';
			if (origin_of_point(name, &found) && strstr(found.file, "inject/") == NULL &&
				set_origin(origin, found.file, found.line))
				return true;
		}
		text += size + 1;
	}
	return false;
}

static bool
find_campaign(const char *name, ResultOrigin *origin)
{
	static const struct
	{
		const char *name, *file;
	} campaigns[] = {
		{"doctor", "tools/cmd_doctor.c"},
		{"explore", "inject/sched/judge.c"},
		{"fuzz", "tools/cmd_fuzz.c"},
		{"gate", "tools/cmd_gate.c"},
		{"powerloss", "scenarios/powerloss/powerloss.c"},
		{"step", "scenarios/step/subjects.c"},
		{"storm", "tools/storm/director.c"},
	};

	for (size_t i = 0; i < sizeof(campaigns) / sizeof(campaigns[0]); i++)
	{
		if (strcmp(campaigns[i].name, name) == 0)
			return set_origin(origin, campaigns[i].file, 0);
	}
	return false;
}

void
result_origin(const ScenarioResult *result, ResultOrigin *origin)
{
	const char *id = result_scenario_id(result->scenario);
	ResultOrigin found;

	*origin = (ResultOrigin){.file = ""};
	if (find_place(&result->message, origin) || find_point(result->case_name, origin) ||
		find_point(result->replay, origin) || find_place(&result->detail, origin) ||
		find_campaign(id, origin))
		return;
	if (origin_of_scenario(id, &found))
		(void) set_origin(origin, found.file, found.line);
}
