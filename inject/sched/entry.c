/*
 * entry.c
 *		The module's one door.
 */
#include <stdio.h>

#include "baton.h"
#include "search.h"

/* How things stand after a given schedule: what was violated, or that the end cannot be reached any more. */
static void
replay(const ExploreConfig *config, ExploreReport *report)
{
	double start = sim_now();
	SimFollowed followed =
		sim_follow(config->schedule->move, config->schedule->count, NULL, &report->followed);
	SimViolation violation = sim_violation();
	SimViolation stuck;

	report->transitions = report->followed;
	report->end = followed == FOLLOWED_NOT ? EXPLORE_DIVERGED : EXPLORE_COMPLETE;
	report->culprit = (int) sim_world->shared.notes.culprit;
	sim_tell(report);
	if (violation == SIM_NOTHING && sim_is_terminal())
		violation = sim_judge_terminal();
	else if (violation == SIM_NOTHING)
	{
		bool can_step = false;

		for (int p = 0; p < sim.processes; p++)
			can_step = can_step || sim_can_step(p);
		stuck = sim_judge_stuck();
		if (!can_step)
			violation = stuck;
		else if (followed != FOLLOWED_NOT && !sim_can_end(config->memory_limit))
			violation = SIM_LIVELOCK;
	}
	report->seconds = sim_now() - start;
	if (violation == SIM_NOTHING)
		return;
	report->end = EXPLORE_FOUND;
	report->signature = sim_violation_name(violation);
	report->text = sim_violation_text(violation);
	report->schedule = *config->schedule;
}

static double
processor_now(void)
{
	struct timespec now;

	(void) clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double) now.tv_sec + (double) now.tv_nsec * 1e-9;
}

bool holdfast_explore(int abi, const ExploreConfig *config, ExploreReport *report);

__attribute__((visibility("default"))) bool
holdfast_explore(int abi, const ExploreConfig *config, ExploreReport *report)
{
	double processor;

	if (abi != EXPLORE_ABI)
		return false;
	__builtin_memset(report, 0, sizeof(*report));
	if (!sim_open(config, report->problem, sizeof(report->problem)))
	{
		report->end = EXPLORE_BAD_CONFIG;
		return true;
	}
	processor = processor_now();
	sim_start();
	switch (config->strategy)
	{
		case EXPLORE_EXHAUSTIVE:
			sim_search(config, report);
			break;
		case EXPLORE_RANDOM:
		case EXPLORE_PCT:
			sim_walk(config, report);
			break;
		case EXPLORE_PREEMPTIONS:
			sim_search(config, report);
			break;
		case EXPLORE_DPOR:
			sim_dpor(config, report);
			break;
		case EXPLORE_REPLAY:
			replay(config, report);
			break;
		case EXPLORE_FLOOR:
			sim_measure_switches(report);
			break;
		case EXPLORE_REAL:
			sim_run_real(config, report);
			break;
	}
	report->processor_seconds = processor_now() - processor;
	sim_close();
	return true;
}
