/*
 * test_history.c
 *		The history of a cluster, and the checker: each kind of wrong is found, and what only looks wrong is not.
 *
 * Histories are made up here, by one process that plays all workers.
 */
#include <criterion/criterion.h>
#include <string.h>
#include <unistd.h>

#include "cluster/history.h"

TestSuite(history, .timeout = 60);

#define INITIAL 1000

static History *history;
static uint64_t version[2];

static void
begin(void)
{
	history = history_create(3, 2);
	cr_assert_not_null(history);
	history_new_epoch(history);
}

static HistoryWorker *
worker(unsigned ordinal)
{
	HistoryWorker *me = history_born(history, ordinal);

	history_has_slot(history, me, (int) ordinal);
	return me;
}

static HistorySection
enter(HistoryWorker *me, unsigned account, bool exclusive)
{
	HistorySection section = {.account = account, .exclusive = exclusive};

	history_enter(history, me, &section, &version[account]);
	return section;
}

static void
leave(HistoryWorker *me, const HistorySection *section)
{
	history_leave(history, me, section, &version[section->account]);
}

static void
visit(HistoryWorker *me, unsigned account, bool exclusive)
{
	HistorySection section = enter(me, account, exclusive);

	leave(me, &section);
}

/* Checks, the accounts holding so much in the end. */
static void
check(int64_t first, int64_t second)
{
	HistoryChecked checked;

	history_end(history, 0, first, version[0]);
	history_end(history, 1, second, version[1]);
	history_check(history, INITIAL, &checked);
}

static void
expect(const char *violation)
{
	cr_assert(history->violations > 0, "nothing was found");
	cr_assert(strstr(history->violation, violation) != NULL, "found \"%s\"", history->violation);
}

static void
expect_good(void)
{
	cr_assert_eq(history->violations, 0, "found \"%s\"", history->violation);
}

Test(history, turns_are_good)
{
	HistoryWorker *a, *b;

	begin();
	a = worker(1);
	b = worker(2);
	for (int i = 0; i < 10000; i++) /* more than is kept */
	{
		visit(a, 0, true);
		visit(b, 0, true);
		visit(a, 0, false);
		visit(b, 1, i % 2);
	}
	check(INITIAL, INITIAL);
	expect_good();
}

Test(history, sharers_may_be_together)
{
	HistorySection one, two;
	HistoryWorker *a, *b;

	begin();
	a = worker(1);
	b = worker(2);
	one = enter(a, 0, false);
	two = enter(b, 0, false);
	leave(a, &one);
	leave(b, &two);
	visit(a, 0, true);
	check(INITIAL, INITIAL);
	expect_good();
}

Test(history, two_owners_are_found_at_once)
{
	HistorySection one, two;
	HistoryWorker *a, *b;

	begin();
	a = worker(1);
	b = worker(2);
	one = enter(a, 0, true);
	two = enter(b, 0, true);
	leave(b, &two);
	expect_good();
	leave(a, &one);
	expect("mutual exclusion: worker 1");
}

Test(history, an_owner_among_sharers_is_found_at_once)
{
	HistorySection one;
	HistoryWorker *a, *b;

	begin();
	a = worker(1);
	b = worker(2);
	one = enter(a, 1, false);
	visit(b, 1, true);
	leave(a, &one);
	expect("shared");
}

/* The owner came and is still there when the sharer comes and goes: versions agree, only the clock tells. */
Test(history, a_sharer_within_an_owner_is_found_by_the_clock)
{
	HistorySection one;
	HistoryWorker *a, *b;

	begin();
	a = worker(1);
	b = worker(2);
	one = enter(a, 1, true);
	visit(b, 1, false);
	leave(a, &one);
	expect_good();
	check(INITIAL, INITIAL);
	expect("shared with its owner");
}

Test(history, a_lost_count_is_found)
{
	HistoryWorker *a;

	begin();
	a = worker(1);
	visit(a, 0, true);
	visit(a, 0, true);
	version[0] = 1; /* somebody wrote what it had read before */
	check(INITIAL, INITIAL);
	expect("lost update");
}

Test(history, a_count_of_the_dead_may_be_there_or_not)
{
	for (uint64_t stored = 0; stored < 2; stored++)
	{
		HistoryWorker *a;

		version[0] = 0;
		begin();
		a = worker(1);
		visit(a, 0, true);
		a->claimed = 1; /* killed while counting */
		version[0] += stored;
		(void) worker(1);
		check(INITIAL, INITIAL);
		expect_good();
	}
}

static void
transfer(HistoryWorker *me, TransferState until)
{
	history_transfer_pending(me, 0, 1, 100);
	if (until != TRANSFER_PENDING)
		history_transfer_active(me);
	if (until == TRANSFER_COMMITTING)
		me->transfer = TRANSFER_COMMITTING;
	if (until == TRANSFER_NONE)
		history_transfer_done(me);
}

Test(history, transfers_that_came_through_count_once)
{
	static const struct
	{
		TransferState until;
		bool undone, through;
	} ways[] = {
		{TRANSFER_NONE, false, true},    {TRANSFER_PENDING, false, false},
		{TRANSFER_PENDING, true, false}, {TRANSFER_ACTIVE, true, false},
		{TRANSFER_ACTIVE, false, true},  {TRANSFER_COMMITTING, false, true},
	};

	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
	{
		int64_t moved = ways[i].through ? 100 : 0;
		HistoryWorker *a;

		begin();
		a = worker(1);
		transfer(a, ways[i].until);
		if (ways[i].undone)
			history_repaired(history, 1, 0, true);
		(void) worker(1); /* the next one in its place */
		check(INITIAL - moved, INITIAL + moved);
		expect_good();
		history->ended = 0;
		check(INITIAL - moved, INITIAL + moved + 1);
		expect("lost update");
	}
}

Test(history, one_death_is_recovered_once)
{
	HistoryWorker *b;

	begin();
	(void) worker(1);
	b = worker(2);
	history->worker[0].kill_ns = 1;
	history_repaired(history, 1, 0, false);
	history_repaired(history, 1, 0, false); /* by the next recoverer, nobody was in yet */
	expect_good();
	visit(b, 0, true);
	cr_assert_eq(history->delays, 1);
	history_repaired(history, 1, 0, false);
	expect("recovered again");
}

Test(history, an_epoch_begins_anew)
{
	HistoryWorker *a;

	begin();
	a = worker(1);
	visit(a, 0, true);
	transfer(a, TRANSFER_ACTIVE);
	history_new_epoch(history);
	version[0] = 0;
	a = worker(1);
	visit(a, 0, true);
	check(INITIAL, INITIAL);
	expect_good();
}

Test(history, without_one_nothing_is_kept)
{
	HistorySection section = {.account = 1};
	uint64_t untouched = 7;

	history_new_epoch(NULL);
	cr_assert_null(history_born(NULL, 1));
	history_has_slot(NULL, NULL, 0);
	history_stage(NULL, HISTORY_INSIDE);
	section.exclusive = true;
	history_enter(NULL, NULL, &section, &untouched);
	history_leave(NULL, NULL, &section, &untouched);
	history_transfer_pending(NULL, 0, 1, 5);
	history_transfer_active(NULL);
	history_transfer_done(NULL);
	history_repaired(NULL, 0, 0, true);
	history_violation(NULL, "nobody hears");
	cr_assert_eq(untouched, 7);
}
