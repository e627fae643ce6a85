/*
 * scenario.h
 *		What a scenario is, what it is given, and the table of all of them.
 *
 * A scenario is a story with one oracle ("a holder is killed; the others go on").  It lists its cases from
 * data (which point, which mode, which part the victim plays), and runs one of them at a time.
 *
 *		static ScenarioStatus
 *		run_collision(ScenarioContext *ctx, const ScenarioCase *which)
 *		{
 *			...
 *			SCENARIO_REQUIRE(ctx, status == HOLDFAST_COLLISION, "got %s", holdfast_status_name(status));
 *			return SCENARIO_PASS;
 *		}
 *
 * A case runs in a process of its own, as root of fresh IPC, PID and mount namespaces (runner/sandbox.c),
 * so that it may return in the middle: what it leaves running dies with the namespace.  But a case that
 * passes must have tidied up: whatever is left then, and was not declared, fails it.
 *
 * Owners: scenarios and their case lists are constant; the context belongs to the runner, for one case.
 * Threads: a case's own process has one.  Errors: a case fails through its return value and message.
 */
#ifndef HOLDFAST_RUNNER_SCENARIO_H
#define HOLDFAST_RUNNER_SCENARIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "runner/result.h"

#define SCENARIO_CASE_NAME_SIZE 128
#define SCENARIO_CASE_PARAMS    6

/* One case: a name that is unique in its scenario, and what the scenario wants to know about it. */
typedef struct ScenarioCase
{
	char name[SCENARIO_CASE_NAME_SIZE];
	long param[SCENARIO_CASE_PARAMS];
	const char *text;        /* constant; a point's name, say */
	const char *unreachable; /* constant; why this combination cannot happen, or NULL */
} ScenarioCase;

/* Grows as cases are added; freed by scenario_cases_free(). */
typedef struct ScenarioCaseList
{
	ScenarioCase *item;
	size_t count, capacity;
	bool out_of_memory;
} ScenarioCaseList;

/* Appends a case and returns it to be filled in; NULL (and out_of_memory) when malloc fails. */
ScenarioCase *scenario_case_add(ScenarioCaseList *list, const char *name_format, ...)
	__attribute__((format(printf, 2, 3)));
/* Appends a case for each name, with its place among them in param[0]. */
void scenario_cases_named(ScenarioCaseList *list, const char *const *names, int count);
void scenario_cases_free(ScenarioCaseList *list);

/* What a case may leave behind when it passes. */
typedef enum ScenarioLeftover
{
	SCENARIO_LEAVES_NOTHING = 0,
	SCENARIO_LEAVES_SEGMENT = 1 << 0,
	SCENARIO_LEAVES_SEMAPHORE = 1 << 1,
	SCENARIO_LEAVES_PROCESS = 1 << 2,
	SCENARIO_LEAVES_LOCKFILE = 1 << 3, /* postmaster.pid in the data directory */
	SCENARIO_LEAVES_FILE = 1 << 4,     /* anything else in the work directory */
} ScenarioLeftover;

/* What a case is given. */
typedef struct ScenarioContext
{
	const char *scenario_id;
	const char *case_name;
	const char *work_dir;  /* an empty tmpfs of its own */
	const char *data_dir;  /* work_dir "/data", made, mode 0700 */
	const char *user_plan; /* "" when none; only scenarios that take one look at it */
	uint64_t seed;
	uint64_t deadline_ns;      /* CLOCK_MONOTONIC; the runner kills the case some time later */
	bool has_other_users;      /* there are user ids besides our own: we are root */
	bool verbose;              /* copy the log to stderr as it is written */
	struct CaseReport *report; /* where message and log go: shared with the runner */
} ScenarioContext;

typedef enum ScenarioFlags
{
	SCENARIO_TAKES_PLAN = 1 << 0, /* `run --plan` may be combined with it */
} ScenarioFlags;

/* A place where PostgreSQL's segment and lockfile layer lets something through, and what comes of it there and here. */
typedef struct ScenarioHole
{
	const char *hole;       /* "d2": as docs/scenarios.md letters them */
	const char *postgresql; /* what PostgreSQL does */
	const char *holdfast;   /* what we do */
	const char *cases;      /* a glob over the case names that show it */
} ScenarioHole;

typedef struct Scenario
{
	const char *id;      /* "c10-kill-mid-lock": class, number, name */
	const char *summary; /* one line */
	void (*list)(ScenarioCaseList *list);
	ScenarioStatus (*run)(ScenarioContext *ctx, const ScenarioCase *which);
	unsigned deadline_ms;       /* for one case */
	unsigned flags;             /* ScenarioFlags */
	const char *const *mutants; /* files in tests/mutants it catches; NULL-terminated */
	const ScenarioHole *holes;  /* those it shows closed; ends with hole NULL; NULL: none */
} Scenario;

/* All scenarios, in order of id.  scenario_table[scenario_count] does not exist. */
extern const Scenario *const scenario_table[];
extern const size_t scenario_count;

/* The one whose id, or id without its "a10-" prefix, is `name`; NULL when there is none. */
const Scenario *scenario_find(const char *name);

/* ---- for the body of a case ---- */

/* Says why, and returns SCENARIO_FAIL, SCENARIO_SKIP or SCENARIO_ERROR.  The first message wins. */
ScenarioStatus scenario_fail(ScenarioContext *ctx, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
ScenarioStatus scenario_skip(ScenarioContext *ctx, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
ScenarioStatus scenario_error(ScenarioContext *ctx, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* One line of the case's story, shown when it fails.  May be called by any process of the case. */
void scenario_log(ScenarioContext *ctx, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* From now on these (ScenarioLeftover, or-ed) may be there at the end. */
void scenario_leaves(ScenarioContext *ctx, unsigned leftovers);

/* Milliseconds until the case's deadline, at least 0. */
int scenario_time_left_ms(const ScenarioContext *ctx);

/* In a function that returns ScenarioStatus: leaves it with SCENARIO_FAIL unless `condition`. */
#define SCENARIO_REQUIRE(ctx_, condition_, ...)                                                    \
	do                                                                                             \
	{                                                                                              \
		if (!(condition_))                                                                         \
			return scenario_fail((ctx_), __VA_ARGS__);                                             \
	} while (0)

/* Passes on what a step came to, unless it passed. */
#define SCENARIO_TRY(step_)                                                                        \
	do                                                                                             \
	{                                                                                              \
		ScenarioStatus step_status_ = (step_);                                                     \
		if (step_status_ != SCENARIO_PASS)                                                         \
			return step_status_;                                                                   \
	} while (0)

#endif
