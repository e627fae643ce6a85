/*
 * runner.h
 *		Selecting cases and running them, each in a sandbox of its own, several at a time.
 *
 *		RunnerSelection *selection;
 *		if (!runner_select(patterns, npatterns, &selection, &problem)) ...
 *		RunnerConfig config = {.selection = selection, .jobs = 2, .listener = print_result};
 *		RunnerSummary summary;
 *		RunnerOutcome outcome = runner_run(&config, &summary);
 *		runner_selection_free(selection);
 *
 * A replay token is SCENARIO/CASE@SEED, as in
 *		c10-kill-mid-lock/lwlock/acquire/post-cas:exclusive:holder@7f3a
 * and is a pattern like any other: it selects one case and fixes its seed.
 *
 * Owners: the selection is the caller's.  Threads: one, the caller's, which must have no others (cases are
 * made by clone).  Signals: SIGINT, SIGTERM, SIGHUP and SIGCHLD are blocked for the length of runner_run();
 * the first three end the run, kill every case, and give RUNNER_INTERRUPTED.  A second one does nothing more:
 * the first already takes no longer than a kill.
 */
#ifndef HOLDFAST_RUNNER_RUNNER_H
#define HOLDFAST_RUNNER_RUNNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runner/observation.h"
#include "runner/result.h"
#include "runner/scenario.h"

/* One case that was chosen. */
typedef struct RunnerItem
{
	const Scenario *scenario;
	const ScenarioCase *which; /* points into `cases` */
	bool has_seed;             /* from a replay token */
	uint64_t seed;
	const char *plan;             /* its own faults; NULL: those of the whole run */
	CaseObservation *observation; /* where it writes what it came by; NULL: nowhere */
} RunnerItem;

typedef struct RunnerSelection
{
	RunnerItem *item;
	size_t count, capacity;
	ScenarioCaseList *cases; /* one list per scenario of the table, in its order */
} RunnerSelection;

typedef struct RunnerProblem
{
	char pattern[SCENARIO_CASE_NAME_SIZE * 2]; /* the one that selected nothing; "" for malloc */
	char message[256];                         /* what is wrong with it */
	char suggestion[SCENARIO_CASE_NAME_SIZE];  /* nearest scenario; "" when none is near */
	size_t number;                             /* which pattern, from 0 */
} RunnerProblem;

/* A pattern, and what the cases that it selects are run with. */
typedef struct RunnerChoice
{
	const char *pattern;
	const char *plan; /* NULL: the plan of the whole run */
	bool has_seed;    /* a seed in the pattern goes before this one */
	uint64_t seed;
} RunnerChoice;

/*
 * Patterns: an id ("c10-kill-mid-lock"), its name alone ("kill-mid-lock"), a shell glob over ids ("c*"), any
 * of these with "/" and a glob over case names, or a replay token.  None at all selects every case.
 * A pattern that selects nothing is a failure: *problem says which.  Cases selected twice run once.
 */
bool runner_select(const char *const *patterns, size_t npatterns, RunnerSelection **selection,
				   RunnerProblem *problem);

/*
 * The same with plans and seeds of their own; the plans' texts are the caller's, and outlive the selection.  A case that
 * is selected with another plan or another seed is run for each.
 */
bool runner_select_choices(const RunnerChoice *choices, size_t nchoices,
						   RunnerSelection **selection, RunnerProblem *problem);
void runner_selection_free(RunnerSelection *selection);

typedef struct RunnerConfig
{
	const RunnerSelection *selection;
	unsigned jobs;                     /* 0: one per processor */
	uint64_t seed;                     /* a case's own is a hash of this and its name */
	unsigned shard_index, shard_count; /* 1-based; 0/0: everything.  By hash of the name: stable */
	unsigned repeat;                   /* 0 and 1: once */
	uint64_t budget_ms;                /* no case is started after that; 0: no limit */
	const char *plan;                  /* faults that the user asks for; NULL: none */
	bool verbose;                      /* the log of each case on stderr, as it goes */
	ScenarioListener listener;         /* may be NULL */
	void *listener_arg;
	void (*progress)(size_t done, size_t total, const char *running, void *arg); /* may be NULL */
	void *progress_arg;
} RunnerConfig;

typedef struct RunnerSummary
{
	size_t selected; /* of this shard, times repeat */
	size_t run;
	size_t by_status[SCENARIO_STATUS_COUNT];
	size_t flaky;   /* cases that both passed and failed among their repeats */
	size_t not_run; /* budget or interruption */
	double milliseconds;
	char problem[256]; /* on RUNNER_UNFIT and RUNNER_INTERNAL */
} RunnerSummary;

typedef enum RunnerOutcome
{
	RUNNER_GOOD,       /* everything selected ran and passed, or was skipped for a reason */
	RUNNER_FINDINGS,   /* some case failed or went wrong every time */
	RUNNER_FLAKY,      /* all failures were of cases that also passed */
	RUNNER_INCOMPLETE, /* budget spent; nothing failed so far */
	RUNNER_NOTHING,    /* this shard has no case */
	RUNNER_UNFIT,      /* no namespaces, no shared memory: see problem */
	RUNNER_BAD_PLAN, /* the user's plan does not parse, or the scenario does not take one: see problem */
	RUNNER_INTERRUPTED, /* a signal ended it */
	RUNNER_INTERNAL,    /* out of memory, fork failed: see problem */
} RunnerOutcome;

/* Is the case in the shard that `config` asks for?  Always, when it asks for none. */
bool runner_in_shard(const RunnerConfig *config, const RunnerItem *item);

RunnerOutcome runner_run(const RunnerConfig *config, RunnerSummary *summary);

/* Writes SCENARIO/CASE@SEED; false when it does not fit. */
bool runner_token(const Scenario *scenario, const ScenarioCase *which, uint64_t seed, char *out,
				  size_t size);

#endif
