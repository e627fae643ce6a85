/*
 * verdict.h
 *		From what is left of a case to the result that listeners get.
 */
#ifndef HOLDFAST_RUNNER_VERDICT_H
#define HOLDFAST_RUNNER_VERDICT_H

#include <stdbool.h>

#include "runner/result.h"
#include "runner/runner.h"
#include "runner/sandbox.h"

/* What the runner knows of a case besides its report. */
typedef struct CaseEnd
{
	bool timed_out;
	char stuck[4096]; /* what its processes did at the deadline */
	double milliseconds;
	uint64_t seed;
	const char *plan;
} CaseEnd;

/* Owns the result's strings, until verdict_free(). */
typedef struct Verdict
{
	ScenarioResult result;
	char message[1024 + 256];
	char *replay, *detail;
} Verdict;

/* `sandbox` is dead but not closed. */
void verdict_of(const RunnerItem *item, const Sandbox *sandbox, const CaseEnd *end,
				Verdict *verdict);
void verdict_free(Verdict *verdict);

#endif
