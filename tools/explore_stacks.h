/*
 * explore_stacks.h
 *		The stacks of a finding of `holdfast explore`, with functions and lines.
 *
 * While the simulator is loaded: names are looked up in its module.
 */
#ifndef HOLDFAST_TOOLS_EXPLORE_STACKS_H
#define HOLDFAST_TOOLS_EXPLORE_STACKS_H

#include <stdio.h>

#include "explore_case.h"
#include "results/json_writer.h"

void explore_print_stacks(FILE *out, const ExploreCase *what, const ExploreReport *report);
/* "symbols": where names are from, "stacks": [{"process": 1, "who": "X", "frames": [{"symbol", "file", "line"}...]}...] */
void explore_write_stacks(JsonWriter *json, const ExploreCase *what, const ExploreReport *report);

#endif
