/*
 * origin.h
 *		The place in the source that a finding belongs to: which file a reader opens first.
 *
 * In this order: a file and line that its message or detail names; the fault point that its case or replay names; the file
 * of the scenario or campaign.  Paths are those of the source tree.
 */
#ifndef HOLDFAST_TOOLS_ORIGIN_H
#define HOLDFAST_TOOLS_ORIGIN_H

#include <stdbool.h>

#include "runner/result.h"

typedef struct ResultOrigin
{
	char file[160]; /* "" when nothing is known */
	unsigned line;  /* 0: the file as a whole */
} ResultOrigin;

void result_origin(const ScenarioResult *result, ResultOrigin *origin);

/* "run.c10-kill-mid-lock" is a scenario of the part "run"; others are a part, or a scenario, by themselves. */
const char *result_scenario_id(const char *scenario);

/*
 * Answered by the program (point_origin.c), for this file knows no fault points and no scenarios: false when it has no such
 * point or scenario.
 */
bool origin_of_point(const char *name, ResultOrigin *origin);
bool origin_of_scenario(const char *id, ResultOrigin *origin);

#endif
