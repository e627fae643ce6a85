/*
 * x80_futex.c
 *		Sleep that the kernel does not keep its word on: wake-ups that are lost, sleeps that end for no reason.
 *
 * The story: the workers of a cluster get in each other's way, and every one of their futex calls is tampered with, for good.
 * The oracle: money goes on moving (the plan fires again and again), the cluster stops in order and balances.
 *
 * PostgreSQL: a lost wake-up is for ever, whoever waits for a semaphore looks at nothing else (postgresql.md l, b2).
 * Ours: every sleep has an end, and whoever wakes looks at the lock's words and at nothing else.
 */
#include "catalogue/catalogue.h"
#include "runner/faults.h"
#include "runner/served.h"

#define FIRES_ENOUGH                                                                               \
	40 /* many more than there are workers: they have slept and gone on, again and again */

static const struct
{
	const char *name;
	const char *plan;
} twists[] = {
	{"wake-lost", "linux/futex/wake=skip[proc=worker]"},
	{"wake-refused", "linux/futex/wake=errno(EFAULT)[proc=worker]"},
	{"wait-interrupted", "linux/futex/wait=errno(EINTR)[proc=worker]"},
	{"wait-spurious", "linux/futex/wait=skip[proc=worker]"},
	{"wait-late", "linux/futex/wait=50% sleep(2ms)[proc=worker]"},
};

static void
list_cases(ScenarioCaseList *list)
{
	for (size_t i = 0; i < sizeof(twists) / sizeof(twists[0]); i++)
	{
		ScenarioCase *added = scenario_case_add(list, "%s", twists[i].name);

		if (added)
			added->text = twists[i].plan;
	}
}

static bool
fired_often(void *arg)
{
	(void) arg;
	return faults_fired() >= FIRES_ENOUGH;
}

static ScenarioStatus
run_case(ScenarioContext *ctx, const ScenarioCase *which)
{
	Served served = {.config = served_config(ctx)};

	served.config.accounts = 2;
	served.config.linger_us = 200; /* so that there is something to wait for */
	SCENARIO_TRY(faults_arm(ctx, "%s", which->text));
	SCENARIO_TRY(served_up(ctx, &served));
	SCENARIO_TRY(wait_until(ctx, fired_often, NULL, "the workers to sleep and go on"));
	SCENARIO_TRY(served_down(ctx, &served));
	SCENARIO_TRY(faults_disarm(ctx));
	return expect_nothing_left(ctx);
}

static const char *const mutants[] = {"144-sleeps-have-no-end", NULL};

const Scenario scenario_x80_futex = {
	.id = "x80-futex",
	.summary = "wake-ups that are lost, sleeps that end for no reason: everybody goes on",
	.list = list_cases,
	.run = run_case,
	.deadline_ms = 20000,
	.mutants = mutants,
};
