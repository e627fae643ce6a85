/*
 * point_origin.c
 *		Where the fault points and the scenarios of this program are written: what results/origin.h asks for.
 *
 * The scenarios' places are taken from the source when this program is configured (tools/CMakeLists.txt).
 */
#include <string.h>

#include "inject/inject.h"
#include "results/origin.h"

static const struct
{
	const char *id, *file;
	unsigned line;
} scenarios[] = {
#include "scenario_places.h"
	{NULL, NULL, 0}};

bool
origin_of_point(const char *name, ResultOrigin *origin)
{
	InjectPointInfo point;

	if (!inject_point_find(name, &point) || point.file[0] == '\0' ||
		strlen(point.file) >= sizeof(origin->file))
		return false;
	(void) memcpy(origin->file, point.file, strlen(point.file) + 1);
	origin->line = (unsigned) point.line;
	return true;
}

bool
origin_of_scenario(const char *id, ResultOrigin *origin)
{
	for (size_t i = 0; scenarios[i].id != NULL; i++)
	{
		if (strcmp(scenarios[i].id, id) != 0 || strlen(scenarios[i].file) >= sizeof(origin->file))
			continue;
		(void) memcpy(origin->file, scenarios[i].file, strlen(scenarios[i].file) + 1);
		origin->line = scenarios[i].line;
		return true;
	}
	return false;
}
