/*
 * result.h
 *		What one scenario case came to: the unit in which the runner hands results to whoever wants them.
 *
 * Owner: the runner owns every string, and only for the length of the callback; a listener that needs
 * one later copies it.  Strings may hold any bytes (a dying program's last words): writers must escape.
 * Called from the runner's own process, one result at a time, never from a signal handler.
 */
#ifndef HOLDFAST_RUNNER_RESULT_H
#define HOLDFAST_RUNNER_RESULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum ScenarioStatus
{
	SCENARIO_PASS,
	SCENARIO_FAIL,  /* the oracle says no: a finding */
	SCENARIO_SKIP,  /* this machine cannot run it; `message` says what is missing */
	SCENARIO_ERROR, /* the case itself went wrong (deadline of the set-up, fault never fired) */
} ScenarioStatus;

#define SCENARIO_STATUS_COUNT 4

/* Counted, so that a NUL byte inside is kept; {NULL, 0} means there is none. */
typedef struct ScenarioText
{
	const char *bytes;
	size_t length;
} ScenarioText;

typedef struct ScenarioResult
{
	const char *scenario;  /* "c10-kill-mid-lock" */
	const char *case_name; /* "lwlock/acquire/post-cas:exclusive:holder" */
	ScenarioStatus status;
	double milliseconds;
	ScenarioText message; /* one line; empty for a pass */
	ScenarioText detail;  /* any length: what was seen, last output, post-mortem */
	const char *replay;   /* the command that reproduces it, or NULL */
	bool known;           /* skipped, because it is a finding that is known: told, not counted */
	const char *plan;     /* the user's, or a sweep's, faults that it ran with; NULL: none */
	bool has_seed;        /* one of its own, from a token or a suite, and not the run's */
	uint64_t seed;
} ScenarioResult;

typedef void (*ScenarioListener)(const ScenarioResult *result, void *arg);

#endif
