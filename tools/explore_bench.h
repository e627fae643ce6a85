/*
 * explore_bench.h
 *		`holdfast explore --bench`: how many states and schedules a second, beside a bare switch of stacks.
 */
#ifndef HOLDFAST_TOOLS_EXPLORE_BENCH_H
#define HOLDFAST_TOOLS_EXPLORE_BENCH_H

#include <stdbool.h>

#include "explore_case.h"
#include "reports.h"

/* Prints the rates, or writes them as JSON.  Returns an exit code: 1 when one of them could not be measured. */
int explore_bench(const Simulator *simulator, const ReportFiles *files, bool (*interrupted)(void));

#endif
