/*
 * c78_stopped_holder.c
 *		The holder of a lock is stopped (SIGSTOP), far longer than anybody is patient, and goes on.
 *
 * The story: a holder is stopped inside its section; two wait for the lock without a deadline, one with.  Patience that is
 * measured in time alone would now take the stopped one for dead.  Then it continues.  Deaths in each window of the
 * queue (queued, linked, woken, not yet tried again, list locked) are c10's.
 *
 * PostgreSQL (postgresql.md l): who spins on a lock word whose holder was stopped inside the list PANICs after about two
 * minutes; queues of the dead are never repaired; a death after the wake-up loses wake-ups.  All of them end in a restart.
 * Ours: time alone proves nothing.  The waiters wait, the one with a deadline is told, and when the holder goes on all
 * are served and the data is as it should be.
 */
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <holdfast/ipc.h>
#include <holdfast/lwlock.h>

#include "catalogue/arena.h"
#include "catalogue/catalogue.h"
#include "catalogue/story.h"

#define STOPPED_MS                                                                                 \
	1500 /* waiters look after the holder every few milliseconds: hundreds of looks */

typedef struct Board
{
	Latch made, held, release, waiting, served, timed_out;
} Board;

static int
hold(ScenarioContext *ctx, void *arg)
{
	Board *board = arg;
	Arena arena;

	if (!arena_create(ctx, &arena, "holder") || LWLockAcquire(arena.lock, LW_EXCLUSIVE) < 0)
		return 1;
	latch_add(&board->made);
	arena.data->first++;
	latch_add(&board->held);
	if (!latch_wait(&board->release, 1, ctx->deadline_ns))
		return 2;
	arena.data->second++;
	if (LWLockRelease(arena.lock) < 0 || !latch_wait(&board->served, 2, ctx->deadline_ns))
		return 3;
	proc_exit(arena.data->repairs == 0 ? 0 : 4);
}

static int
wait_for_it(ScenarioContext *ctx, void *arg)
{
	Board *board = arg;
	Arena arena;

	if (!arena_enter(ctx, &arena, "waiter"))
		return 1;
	latch_add(&board->waiting);
	if (!arena_visit(ctx, &arena, LW_EXCLUSIVE))
		return 2;
	latch_add(&board->served);
	proc_exit(0);
}

static int
lose_patience(ScenarioContext *ctx, void *arg)
{
	Board *board = arg;
	Arena arena;

	if (!arena_enter(ctx, &arena, "impatient") ||
		LWLockAcquireTimed(arena.lock, LW_SHARED, STOPPED_MS * 1000) != HOLDFAST_TIMED_OUT)
		return 1;
	latch_add(&board->timed_out);
	proc_exit(0);
}

static void
list_cases(ScenarioCaseList *list)
{
	(void) scenario_case_add(list, "longer-than-anybody-is-patient");
}

static ScenarioStatus
run_case(ScenarioContext *ctx, const ScenarioCase *which)
{
	Board *board = shared_memory(ctx, sizeof(*board));
	Actor holder, waiter[2], impatient;

	(void) which;
	if (board == NULL)
		return SCENARIO_ERROR;
	SCENARIO_TRY(actor_start(ctx, &holder, "holder", 1, hold, board));
	SCENARIO_REQUIRE(ctx, latch_wait(&board->held, 1, ctx->deadline_ns), "nobody holds the lock");
	for (int i = 0; i < 2; i++)
		SCENARIO_TRY(actor_start(ctx, &waiter[i], "waiter", i + 1, wait_for_it, board));
	SCENARIO_REQUIRE(ctx, latch_wait(&board->waiting, 2, ctx->deadline_ns), "nobody waits");
	SCENARIO_TRY(actor_stop(ctx, &holder));
	SCENARIO_TRY(actor_start(ctx, &impatient, "impatient", 1, lose_patience, board));
	/* Its deadline is the clock of this story. */
	SCENARIO_REQUIRE(ctx, latch_wait(&board->timed_out, 1, ctx->deadline_ns),
					 "who waits with a deadline was not told");
	SCENARIO_TRY(actor_expect_exit(ctx, &impatient, 0));
	SCENARIO_REQUIRE(ctx, latch_read(&board->served) == 0,
					 "somebody got the lock of a holder that is only stopped");
	SCENARIO_REQUIRE(ctx, actor_alive(&waiter[0]) && actor_alive(&waiter[1]), "a waiter gave up");
	SCENARIO_TRY(actor_signal(ctx, &holder, SIGCONT));
	latch_add(&board->release);
	for (int i = 0; i < 2; i++)
		SCENARIO_TRY(actor_expect_exit(ctx, &waiter[i], 0));
	SCENARIO_TRY(actor_expect_exit(ctx, &holder, 0));
	return expect_nothing_left(ctx);
}

static const char *const mutants[] = {"176-silence-is-death", NULL};

static const ScenarioHole holes[] = {
	{"l", "PANIC after two minutes; a queue or a wake-up lost with the dead: restart of all",
	 "waits for who is only stopped; queues of the dead are mended (c10)", "*"},
	{0},
};

const Scenario scenario_c78_stopped_holder = {
	.id = "c78-stopped-holder",
	.summary = "a holder is stopped for longer than anybody is patient: nobody takes it for dead",
	.list = list_cases,
	.run = run_case,
	.deadline_ms = 15000,
	.mutants = mutants,
	.holes = holes,
};
