/*
 * sweep.h
 *		Every fault at every place: one scenario, run again and again, each time with one more thing gone wrong.
 *
 *		1 record	the scenario runs without faults; where its processes come by is written down
 *		2 rows		for each point, role and n-th arrival: killed, stopped, each legal errno (once, and from then on), a
 *					short count
 *		3 run		each row is a case of its own, with that plan; the scenario's own oracle judges
 *		4 second	for deaths that were survived: another death in what the survivors did because of the first
 *
 * A row whose fault never fired proves nothing: it is tried again, and then stands there with the reason.  What is legal
 * in this program but not on the scenario's way gets a row too, so that nobody takes silence for success.
 *
 * Owner: the caller owns the Sweep and frees it.  Threads and signals: as runner_run().
 */
#ifndef HOLDFAST_SWEEP_SWEEP_H
#define HOLDFAST_SWEEP_SWEEP_H

#include "runner/runner.h"

typedef enum SweepOutcome
{
	SWEEP_NOT_RUN, /* budget or interruption */
	SWEEP_PASSED,
	SWEEP_FAILED,
	SWEEP_NOT_REACHED, /* `reason` says why */
	SWEEP_OUTCOMES
} SweepOutcome;

const char *sweep_outcome_name(SweepOutcome outcome); /* "passed" */

typedef enum SweepKind
{
	SWEEP_KILL,
	SWEEP_STOP,
	SWEEP_ERRNO_ONCE,
	SWEEP_ERRNO_ON, /* from the n-th arrival on */
	SWEEP_SHORT,
	SWEEP_SECOND, /* a kill, and a second one in the recovery from it */
	SWEEP_KINDS
} SweepKind;

const char *sweep_kind_name(SweepKind kind); /* "errno-on" */

typedef struct SweepRow
{
	SweepKind kind;
	char point[INJECT_NAME_SIZE];
	char role[INJECT_ROLE_SIZE]; /* "": any */
	unsigned nth;
	int error;                     /* of the errno kinds */
	char second[INJECT_NAME_SIZE]; /* where the second death is, and whose */
	char second_role[INJECT_ROLE_SIZE];
	char plan[320];
	SweepOutcome outcome;
	char reason[320]; /* of a failure, or why it was not reached or not run */
	char *replay;     /* of a failure; may be NULL */
	unsigned runs;
	double milliseconds;
	CaseObservation *observation; /* while step 4 wants it */
} SweepRow;

typedef struct Sweep
{
	const Scenario *scenario;
	const ScenarioCase *which;
	CaseObservation *recorded;
	SweepRow *row;
	size_t count, capacity;
	size_t second_possible; /* pairs of step 4, of which some may have been chosen */
	double milliseconds;
	char problem[256];
} Sweep;

typedef enum SweepDepth
{
	SWEEP_FIRST_ONLY,
	SWEEP_SECOND_SOME, /* a few for each first death, spread over all second places */
	SWEEP_SECOND_ALL,
} SweepDepth;

typedef struct SweepConfig
{
	const Scenario *scenario; /* takes a plan */
	const ScenarioCase *which;
	unsigned nth_max; /* arrivals 1..nth_max of each point and role */
	SweepDepth depth;
	unsigned jobs; /* 0: four per processor: cases mostly wait */
	uint64_t seed;
	unsigned shard_index, shard_count;
	uint64_t budget_ms;
	void (*progress)(size_t done, size_t total, const char *running, void *arg);
	void *progress_arg;
	void (*finding)(const SweepRow *row, const ScenarioResult *result, void *arg); /* may be NULL */
	void *finding_arg;
} SweepConfig;

/* RUNNER_GOOD: every row passed, or was not reached for a reason that is said. */
RunnerOutcome sweep_run(const SweepConfig *config, Sweep *sweep);
void sweep_free(Sweep *sweep);

/* sweep_rows.c: steps 2 and 4.  False when out of memory. */
bool sweep_make_rows(const SweepConfig *config, Sweep *sweep);
bool sweep_make_second_rows(const SweepConfig *config, Sweep *sweep);

#endif
