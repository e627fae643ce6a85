/*
 * sweep.c
 *		Records, runs the rows, tries those again whose fault never fired.
 *
 * See sweep.h.  Results come back by the plan that they ran with, which each row owns.
 */
#include "sweep/sweep.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runner/clock.h"

#define RECORDINGS 3 /* what happens by chance happens in one of them */
#define TRIES      3 /* for a fault that did not fire */

static const char NEVER_FIRED[] = "armed, never fired";

const char *
sweep_outcome_name(SweepOutcome outcome)
{
	static const char *const names[] = {"not-run", "passed", "failed", "not-reached"};

	return outcome < SWEEP_OUTCOMES ? names[outcome] : "?";
}

const char *
sweep_kind_name(SweepKind kind)
{
	static const char *const names[] = {"kill",     "stop",  "errno-once",
										"errno-on", "short", "second-kill"};

	return kind < SWEEP_KINDS ? names[kind] : "?";
}

/* ---- one run of the runner ---- */

typedef struct Pass
{
	const SweepConfig *config;
	Sweep *sweep;
	uint64_t started_ns;
	bool ours; /* all rows: second deaths are in the part that has seen the recovery of the first */
} Pass;

static SweepRow *
row_of(Sweep *sweep, const char *plan)
{
	const char *first = sweep->row[0].plan;

	/* Each row's plan lies in the row. */
	return plan ? &sweep->row[(size_t) (plan - first) / sizeof(SweepRow)] : NULL;
}

static void
take_result(const ScenarioResult *result, void *arg)
{
	Pass *pass = arg;
	SweepRow *row = row_of(pass->sweep, result->plan);
	const char *message = result->message.bytes ? result->message.bytes : "";

	row->runs++;
	row->milliseconds += result->milliseconds;
	if (result->status == SCENARIO_PASS)
	{
		row->outcome = SWEEP_PASSED;
		return;
	}
	if (result->status == SCENARIO_ERROR &&
		strncmp(message, NEVER_FIRED, sizeof(NEVER_FIRED) - 1) == 0)
	{
		row->outcome = SWEEP_NOT_REACHED;
		snprintf(row->reason, sizeof(row->reason),
				 "was reached when recorded, and in none of %u runs with this fault", row->runs);
		return;
	}
	row->outcome = SWEEP_FAILED;
	snprintf(row->reason, sizeof(row->reason), "%.*s",
			 (int) (result->message.length < sizeof(row->reason) ? result->message.length
																 : sizeof(row->reason) - 1),
			 message);
	free(row->replay);
	row->replay = result->replay ? strdup(result->replay) : NULL;
	if (pass->config->finding)
		pass->config->finding(row, result, pass->config->finding_arg);
}

static unsigned
default_jobs(void)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);

	return processors > 0 ? 4 * (unsigned) processors : 4;
}

/* Milliseconds that are left of the budget; 0: none was set.  Never 0 when one was. */
static uint64_t
budget_left(const Pass *pass)
{
	uint64_t used = (clock_now_ns() - pass->started_ns) / NS_PER_MS;

	if (pass->config->budget_ms == 0)
		return 0;
	return used < pass->config->budget_ms ? pass->config->budget_ms - used : 1;
}

static RunnerOutcome
run_items(const Pass *pass, RunnerItem *items, size_t count, unsigned attempt)
{
	const SweepConfig *config = pass->config;
	RunnerSelection selection = {.item = items, .count = count};
	RunnerConfig run = {
		.selection = &selection,
		.jobs = config->jobs ? config->jobs : default_jobs(),
		.seed = config->seed + attempt,
		.shard_index = pass->ours ? 0 : config->shard_index,
		.shard_count = pass->ours ? 0 : config->shard_count,
		.budget_ms = budget_left(pass),
		.listener = take_result,
		.listener_arg = (void *) pass,
		.progress = config->progress,
		.progress_arg = config->progress_arg,
	};
	RunnerSummary summary;
	RunnerOutcome outcome = runner_run(&run, &summary);

	snprintf(pass->sweep->problem, sizeof(pass->sweep->problem), "%s", summary.problem);
	return outcome == RUNNER_NOTHING ? RUNNER_GOOD : outcome;
}

static bool
is_over(RunnerOutcome outcome)
{
	return outcome != RUNNER_GOOD && outcome != RUNNER_FINDINGS;
}

/* Rows from `first` on that have not run yet, or (again) whose fault did not fire though somebody came here. */
static RunnerOutcome
run_rows(const Pass *pass, size_t first, unsigned attempt)
{
	Sweep *sweep = pass->sweep;
	RunnerItem *items = calloc(sweep->count + 1, sizeof(*items));
	size_t count = 0;
	RunnerOutcome outcome = RUNNER_GOOD;

	if (!items)
		return RUNNER_INTERNAL;
	for (size_t i = first; i < sweep->count; i++)
	{
		SweepRow *row = &sweep->row[i];

		if (attempt == 0 ? row->outcome == SWEEP_NOT_RUN
						 : row->outcome == SWEEP_NOT_REACHED && row->runs > 0)
			items[count++] = (RunnerItem){.scenario = sweep->scenario,
										  .which = sweep->which,
										  .plan = row->plan,
										  .observation = row->observation};
	}
	if (count > 0)
		outcome = run_items(pass, items, count, attempt);
	free(items);
	return outcome;
}

static RunnerOutcome
run_rows_until_fired(const Pass *pass, size_t first)
{
	RunnerOutcome outcome = RUNNER_GOOD;

	for (unsigned attempt = 0; attempt < TRIES && !is_over(outcome); attempt++)
		outcome = run_rows(pass, first, attempt);
	return outcome;
}

/* ---- recording ---- */

static void
ignore_result(const ScenarioResult *result, void *arg)
{
	Sweep *sweep = arg;

	if (result->status != SCENARIO_PASS)
		snprintf(sweep->problem, sizeof(sweep->problem),
				 "\"%s/%s\" does not pass without faults: %.*s", result->scenario,
				 result->case_name, (int) result->message.length, result->message.bytes);
}

/* The most of each. */
static void
merge_observation(CaseObservation *into, const CaseObservation *from)
{
	for (uint32_t i = 0; i < from->count; i++)
	{
		const Observed *observed = &from->item[i];
		uint32_t j = 0;

		while (j < into->count && (strcmp(into->item[j].point, observed->point) != 0 ||
								   strcmp(into->item[j].role, observed->role) != 0 ||
								   into->item[j].life != observed->life))
			j++;
		if (j == into->count && into->count < OBSERVED_MAX)
			into->item[into->count++] = *observed;
		else if (j < into->count && into->item[j].hits < observed->hits)
			into->item[j].hits = observed->hits;
	}
	into->overflow |= from->overflow;
}

static RunnerOutcome
record(const SweepConfig *config, Sweep *sweep)
{
	RunnerOutcome outcome = RUNNER_GOOD;

	sweep->recorded = observation_make();
	if (!sweep->recorded)
		return RUNNER_INTERNAL;
	for (unsigned i = 0; i < RECORDINGS && outcome == RUNNER_GOOD; i++)
	{
		CaseObservation *seen = observation_make();
		RunnerItem item = {.scenario = sweep->scenario, .which = sweep->which, .observation = seen};
		RunnerSelection selection = {.item = &item, .count = 1};
		RunnerConfig run = {.selection = &selection,
							.jobs = 1,
							.seed = config->seed + i,
							.listener = ignore_result,
							.listener_arg = sweep};
		RunnerSummary summary;

		if (!seen)
			return RUNNER_INTERNAL;
		outcome = runner_run(&run, &summary);
		if (summary.problem[0])
			snprintf(sweep->problem, sizeof(sweep->problem), "%s", summary.problem);
		merge_observation(sweep->recorded, seen);
		observation_free(seen);
	}
	return outcome;
}

/* ---- all of it ---- */

/* First deaths are watched, for what their recovery came by. */
static bool
watch_first_deaths(const SweepConfig *config, Sweep *sweep)
{
	for (size_t i = 0; config->depth != SWEEP_FIRST_ONLY && i < sweep->count; i++)
	{
		SweepRow *row = &sweep->row[i];

		if (row->kind != SWEEP_KILL || row->nth != 1 || row->outcome != SWEEP_NOT_RUN)
			continue;
		row->observation = observation_make();
		if (!row->observation)
			return false;
	}
	return true;
}

static void
forget_observations(Sweep *sweep)
{
	for (size_t i = 0; i < sweep->count; i++)
	{
		observation_free(sweep->row[i].observation);
		sweep->row[i].observation = NULL;
	}
}

static RunnerOutcome
run_second(Pass *pass)
{
	size_t firsts = pass->sweep->count;

	pass->ours = true;
	if (!sweep_make_second_rows(pass->config, pass->sweep))
		return RUNNER_INTERNAL;
	return run_rows_until_fired(pass, firsts);
}

static RunnerOutcome
conclude(const SweepConfig *config, const Sweep *sweep, RunnerOutcome outcome)
{
	bool failed = false, missing = false;

	if (is_over(outcome) && outcome != RUNNER_INCOMPLETE)
		return outcome;
	for (size_t i = 0; i < sweep->count; i++)
	{
		failed |= sweep->row[i].outcome == SWEEP_FAILED;
		missing |= sweep->row[i].outcome == SWEEP_NOT_RUN && config->shard_count == 0;
	}
	if (failed)
		return RUNNER_FINDINGS;
	return missing ? RUNNER_INCOMPLETE : outcome == RUNNER_FINDINGS ? RUNNER_GOOD : outcome;
}

RunnerOutcome
sweep_run(const SweepConfig *config, Sweep *sweep)
{
	Pass pass = {.config = config, .sweep = sweep, .started_ns = clock_now_ns()};
	RunnerOutcome outcome;

	*sweep = (Sweep){.scenario = config->scenario, .which = config->which};
	outcome = record(config, sweep);
	if (outcome != RUNNER_GOOD)
		return outcome == RUNNER_FINDINGS ? RUNNER_INTERNAL : outcome;
	if (!sweep_make_rows(config, sweep) || !watch_first_deaths(config, sweep))
		return RUNNER_INTERNAL;
	outcome = run_rows_until_fired(&pass, 0);
	if (!is_over(outcome) && config->depth != SWEEP_FIRST_ONLY)
		outcome = run_second(&pass);
	forget_observations(sweep);
	sweep->milliseconds = (double) (clock_now_ns() - pass.started_ns) / (double) NS_PER_MS;
	return conclude(config, sweep, outcome);
}

void
sweep_free(Sweep *sweep)
{
	forget_observations(sweep);
	for (size_t i = 0; i < sweep->count; i++)
		free(sweep->row[i].replay);
	free(sweep->row);
	observation_free(sweep->recorded);
	*sweep = (Sweep){0};
}
