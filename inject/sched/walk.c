/*
 * walk.c
 *		One schedule after the other, each from the start: at random, by priorities (PCT), or with few preemptions.
 *
 * A waiting loop is run once; its process then stands aside until somebody has changed something.  Deaths fall on
 * moves chosen beforehand.  Nothing is remembered of the states that were seen.
 */
#include <math.h>
#include <stdlib.h>

#include "coroutine.h"
#include "search.h"

#define STEPS_MAX 20000

typedef struct Walk
{
	const ExploreConfig *config;
	ExploreReport *report;
	uint64_t random;
	ExploreMove move[STEPS_MAX];
	uint32_t count;
	uint64_t version;                    /* changes so far */
	uint64_t looks_from[SIM_PROCESSES];  /* the version at which it began to look */
	uint64_t stood_aside[SIM_PROCESSES]; /* the version at which it looked in vain, + 1 */
	uint32_t priority[SIM_PROCESSES];
	uint32_t flush_one_in;
	uint32_t length; /* longest schedule so far */
} Walk;

static uint64_t
next_random(Walk *walk)
{
	uint64_t z = walk->random += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static uint32_t
below(Walk *walk, uint32_t n)
{
	return (uint32_t) (((next_random(walk) >> 32) * n) >> 32);
}

static uint32_t
choices(const Walk *walk, int *process)
{
	uint32_t n = 0;

	for (int p = 0; p < sim.processes; p++)
	{
		if (sim_can_step(p) && walk->stood_aside[p] != walk->version + 1)
			process[n++] = p;
	}
	return n;
}

static int
choose(Walk *walk, const int *process, uint32_t n, bool by_priority)
{
	int best = process[0];

	if (!by_priority)
		return process[n > 1 ? below(walk, n) : 0];
	for (uint32_t i = 1; i < n; i++)
	{
		if (walk->priority[process[i]] > walk->priority[best])
			best = process[i];
	}
	return best;
}

static bool
kill_somebody(Walk *walk)
{
	int victim[SIM_PROCESSES];
	uint32_t n = 0;

	for (int p = 0; p < sim.processes; p++)
	{
		if (sim_can_kill(p))
			victim[n++] = p;
	}
	if (n == 0)
		return false;
	victim[0] = victim[below(walk, n)];
	(void) sim_move(MOVE_KILL, victim[0]);
	walk->move[walk->count++] = (ExploreMove){MOVE_KILL, (uint8_t) victim[0]};
	walk->version++;
	walk->report->crash_transitions++;
	return true;
}

/* Somebody's sleep ends by itself. */
static bool
time_somebody_out(Walk *walk)
{
	int sleeper[SIM_PROCESSES];
	uint32_t n = 0;

	for (int p = 0; p < sim.processes; p++)
	{
		if (sim_can_time_out(p, false))
			sleeper[n++] = p;
	}
	if (n == 0 || walk->count == STEPS_MAX)
		return false;
	sleeper[0] = sleeper[below(walk, n)];
	(void) sim_move(MOVE_TIMEOUT, sleeper[0]);
	walk->move[walk->count++] = (ExploreMove){MOVE_TIMEOUT, (uint8_t) sleeper[0]};
	walk->looks_from[sleeper[0]] = ++walk->version;
	return true;
}

/* Stores that come to memory before their process waits for them: in some schedules often, in some hardly ever. */
static bool
flush_somebody(Walk *walk)
{
	int with_stores[SIM_PROCESSES];
	uint32_t n = 0;

	if (walk->count == STEPS_MAX || below(walk, walk->flush_one_in) != 0)
		return false;
	for (int p = 0; p < sim.processes; p++)
	{
		if (sim_can_flush(p))
			with_stores[n++] = p;
	}
	if (n == 0)
		return false;
	with_stores[0] = with_stores[below(walk, n)];
	(void) sim_move(MOVE_FLUSH, with_stores[0]);
	walk->move[walk->count++] = (ExploreMove){MOVE_FLUSH, (uint8_t) with_stores[0]};
	walk->version++;
	return true;
}

/* Where something happens in a schedule of about `length` moves. */
static void
draw(Walk *walk, uint32_t *at, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		at[i] = below(walk, walk->length > 8 ? walk->length : 8);
}

static bool
is_drawn(uint32_t *at, uint32_t n, uint32_t now)
{
	for (uint32_t i = 0; i < n; i++)
	{
		if (at[i] == now)
		{
			at[i] = UINT32_MAX;
			return true;
		}
	}
	return false;
}

/* One schedule.  What it violated, or SIM_NOTHING. */
static SimViolation
one_schedule(Walk *walk, unsigned depth)
{
	uint32_t change[16], crash[16];
	uint32_t nchange = depth > 0 ? depth - 1 : 0;
	uint32_t ncrash = walk->config->crashes + walk->config->recoverer_crashes;
	uint32_t low = 16;

	walk->count = 0;
	walk->version = 0;
	for (int p = 0; p < sim.processes; p++)
	{
		walk->stood_aside[p] = walk->looks_from[p] = 0;
		walk->priority[p] = 32 + (uint32_t) (next_random(walk) >> 40);
	}
	if (nchange > 16)
		nchange = 16;
	if (ncrash > 16)
		ncrash = 16;
	if (walk->config->tso)
		walk->flush_one_in = 1u << (2 * below(walk, 4) + 1);
	draw(walk, change, nchange);
	draw(walk, crash, ncrash);
	for (;;)
	{
		int process[SIM_PROCESSES];
		uint32_t n;
		int p;

		if (is_drawn(crash, ncrash, walk->count) && walk->count < STEPS_MAX && kill_somebody(walk))
			continue;
		if (walk->config->tso && flush_somebody(walk))
			continue;
		n = choices(walk, process);
		/* Without a supervisor nothing else goes on; with one, now and then. */
		if ((n == 0 ? !walk->config->supervisor : below(walk, 64) == 0) && time_somebody_out(walk))
			continue;
		if (n == 0)
			return sim_is_terminal() ? sim_judge_terminal() : sim_judge_stuck();
		if (walk->count == STEPS_MAX)
			return SIM_LIVELOCK;
		p = choose(walk, process, n, depth > 0);
		walk->move[walk->count++] = (ExploreMove){MOVE_STEP, (uint8_t) p};
		if (sim_move(MOVE_STEP, p) == OUTCOME_SPUN)
		{
			if (walk->looks_from[p] == walk->version)
				walk->stood_aside[p] = walk->version + 1;
			walk->looks_from[p] = walk->version;
		}
		else if (sim.changed_something)
			walk->looks_from[p] = ++walk->version;
		if (sim_violation() != SIM_NOTHING)
			return sim_violation();
		if (is_drawn(change, nchange, walk->count))
			walk->priority[p] = low--;
	}
}

/* PCT's bound, for one schedule of n processes and k steps, hitting a bug of that depth. */
static double
hit_probability(unsigned depth, uint32_t k)
{
	return 1.0 / ((double) sim.processes * pow(k > 1 ? k : 2, (double) depth - 1));
}

static SimMark start_mark[SIM_PROCESSES];

static void
back_to_start(void)
{
	sim_history_again();
	sim_undo(&start_mark[0]);
	for (int p = 1; p < sim.processes; p++)
		sim_undo(&start_mark[p]);
}

void
sim_walk(const ExploreConfig *config, ExploreReport *report)
{
	static Walk walk;
	double start = sim_now();
	double log_miss = 0;
	SimViolation violation = SIM_NOTHING;

	walk = (Walk){.config = config, .report = report, .random = config->seed};
	report->end = EXPLORE_COMPLETE;
	sim.walking = true;
	for (int p = 0; p < sim.processes; p++)
		start_mark[p] = sim_mark(p);
	for (uint64_t i = 0; i < config->schedules && violation == SIM_NOTHING; i++)
	{
		unsigned depth = config->depths > 0 ? config->depth[i % config->depths] : 0;

		if ((i & 0xfff) == 0)
		{
			report->seconds = sim_now() - start;
			if (config->interrupted != NULL && config->interrupted())
				report->end = EXPLORE_CUT_SIGNAL;
			if (config->seconds > 0 && report->seconds > config->seconds)
				report->end = EXPLORE_CUT_TIME;
			if (report->end != EXPLORE_COMPLETE)
				break;
			if (config->progress != NULL)
				config->progress(report->schedules, report->steps, report->seconds);
		}
		violation = one_schedule(&walk, depth);
		report->schedules++;
		report->steps += walk.count;
		if (walk.count > walk.length)
			walk.length = walk.count;
		if (depth > 0)
			log_miss += log1p(-hit_probability(depth, walk.length));
		if (violation == SIM_NOTHING)
			back_to_start();
	}
	sim.walking = false;
	report->transitions = report->steps;
	report->miss_probability = config->depths > 0 ? exp(log_miss) : 1;
	report->seconds = sim_now() - start;
	if (violation != SIM_NOTHING)
		sim_report_finding(report, walk.move, walk.count, violation);
}

/* ---- the floor ---- */

static void *bounce_sp, *measure_sp;

static void
bounce(void)
{
	for (;;)
		sim_switch(&bounce_sp, measure_sp);
}

void
sim_measure_switches(ExploreReport *report)
{
	double start = sim_now();

	bounce_sp = sim_new_stack(sim_world->stack[0], SIM_STACK_SIZE, bounce);
	do
	{
		for (int i = 0; i < 100000; i++)
			sim_switch(&measure_sp, bounce_sp);
		report->steps += 100000;
		report->seconds = sim_now() - start;
	} while (report->seconds < 0.5);
	report->end = EXPLORE_COMPLETE;
}
