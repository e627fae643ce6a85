/*
 * test_linear.c
 *		Histories of operations on locks: those that one order explains are good, the others are not.
 */
#include <criterion/criterion.h>

#include "model.h"

static ExploreConfig config;
Sim sim; /* the checker's, which knows nothing else of the simulator */

static void
begin(void)
{
	config = (ExploreConfig){.supervisor = true};
	sim.config = &config;
	sim.processes = 4;
	cr_assert(sim_history_open());
	sim_history_begin();
	sim_history_mark();
}

static void
end(void)
{
	sim_history_close();
}

TestSuite(linear, .timeout = 60, .init = begin, .fini = end);

static void
call(int process, SimAsk ask, uint64_t value)
{
	sim.current = process;
	sim_history_call(ask, 0, value);
	sim_history_step(process);
}

static void
returns(int process, HoldfastStatus status, uint64_t value)
{
	sim.current = process;
	sim_history_return(status, value);
}

static void
does(int process, SimAsk ask, HoldfastStatus status, uint64_t value)
{
	call(process, ask, value);
	returns(process, status, value);
}

Test(linear, one_after_the_other)
{
	for (int i = 0; i < 15; i++)
	{
		does(i % 3, i % 2 == 0 ? SIM_ASK_EXCLUSIVE : SIM_ASK_SHARED, HOLDFAST_OK, 0);
		does(i % 3, SIM_ASK_RELEASE, HOLDFAST_OK, 0);
	}
	cr_assert(sim_is_linearizable());
}

Test(linear, two_hold_who_exclude_each_other)
{
	does(0, SIM_ASK_SHARED, HOLDFAST_OK, 0);
	does(1, SIM_ASK_SHARED, HOLDFAST_OK, 0);
	cr_assert(sim_is_linearizable());
	does(2, SIM_ASK_EXCLUSIVE, HOLDFAST_OK, 0);
	cr_assert_not(sim_is_linearizable());
}

/* A call that is still going on may have taken effect at any moment since it began. */
Test(linear, calls_at_the_same_time_have_no_order)
{
	does(0, SIM_ASK_EXCLUSIVE, HOLDFAST_OK, 0);
	call(0, SIM_ASK_RELEASE, 0);
	does(1, SIM_ASK_EXCLUSIVE, HOLDFAST_WAITED, 0);
	cr_assert(sim_is_linearizable());
	returns(0, HOLDFAST_OK, 0);
	cr_assert(sim_is_linearizable());
	does(2, SIM_ASK_SHARED, HOLDFAST_OK, 0);
	cr_assert_not(sim_is_linearizable());
}

Test(linear, the_order_is_searched_for)
{
	/* They end as 3 2 1, and only 1 2 3 explains what was seen. */
	does(0, SIM_ASK_EXCLUSIVE, HOLDFAST_OK, 0);
	call(1, SIM_ASK_IF_FREE_SHARED, 0);
	call(2, SIM_ASK_EXCLUSIVE, 0);
	call(3, SIM_ASK_VALUE, 0);
	does(0, SIM_ASK_RELEASE, HOLDFAST_OK, 0);
	returns(3, HOLDFAST_OK, 0);
	returns(2, HOLDFAST_OK, 0);
	returns(1, HOLDFAST_BUSY, 0);
	cr_assert(sim_is_linearizable());
	does(3, SIM_ASK_VALUE, HOLDFAST_OK, 0);
	cr_assert_not(sim_is_linearizable(), "2 holds it");
}

Test(linear, busy_wants_somebody_who_excludes)
{
	does(0, SIM_ASK_SHARED, HOLDFAST_OK, 0);
	does(1, SIM_ASK_IF_FREE_EXCLUSIVE, HOLDFAST_BUSY, 0);
	cr_assert(sim_is_linearizable());
	does(1, SIM_ASK_IF_FREE_SHARED, HOLDFAST_BUSY, 0);
	cr_assert_not(sim_is_linearizable());
	/* Where time passes the newcomer may have been told to stand back. */
	config.timeouts = 1;
	cr_assert(sim_is_linearizable());
}

Test(linear, what_a_waiter_saw)
{
	does(0, SIM_ASK_EXCLUSIVE, HOLDFAST_OK, 0);
	call(1, SIM_ASK_VALUE, 0);
	call(2, SIM_ASK_VALUE, 0);
	does(0, SIM_ASK_SET, HOLDFAST_OK, 7);
	returns(1, HOLDFAST_CHANGED, 7);
	cr_assert(sim_is_linearizable());
	returns(2, HOLDFAST_OK, 0);
	cr_assert_not(sim_is_linearizable(), "it was not free while 2 asked");
}

Test(linear, a_value_that_nobody_set)
{
	does(0, SIM_ASK_EXCLUSIVE, HOLDFAST_OK, 0);
	does(0, SIM_ASK_SET, HOLDFAST_OK, 7);
	does(1, SIM_ASK_VALUE, HOLDFAST_CHANGED, 8);
	cr_assert_not(sim_is_linearizable());
}

Test(linear, what_the_dead_hold_is_free)
{
	does(0, SIM_ASK_EXCLUSIVE, HOLDFAST_OK, 0);
	call(1, SIM_ASK_EXCLUSIVE, 0);
	call(0, SIM_ASK_RELEASE, 0);
	sim_history_death(0); /* before or after it took effect */
	returns(1, HOLDFAST_OK, 0);
	cr_assert(sim_is_linearizable());
	does(2, SIM_ASK_SHARED, HOLDFAST_OK, 0);
	cr_assert_not(sim_is_linearizable(), "1 lives, and holds it");
}

Test(linear, a_dead_process_took_effect_or_did_not)
{
	does(0, SIM_ASK_EXCLUSIVE, HOLDFAST_OK, 0);
	call(0, SIM_ASK_SET, 7);
	sim_history_death(0);
	call(1, SIM_ASK_VALUE, 0);
	returns(1, HOLDFAST_CHANGED, 7);
	cr_assert(sim_is_linearizable());
	does(2, SIM_ASK_VALUE, HOLDFAST_OK, 0);
	cr_assert(sim_is_linearizable());
	does(2, SIM_ASK_VALUE, HOLDFAST_CHANGED, 8);
	cr_assert_not(sim_is_linearizable());
}

Test(linear, nobody_has_died_and_an_owner_is_said_to_be_dead)
{
	does(0, SIM_ASK_EXCLUSIVE, HOLDFAST_OWNER_DEAD, 0);
	cr_assert_not(sim_is_linearizable());
	sim_history_begin();
	sim_history_death(1);
	does(0, SIM_ASK_EXCLUSIVE, HOLDFAST_OWNER_DEAD, 0);
	cr_assert(sim_is_linearizable());
}

/* What waited in vain, or was refused for ever, says nothing of the lock. */
Test(linear, in_vain_is_no_effect)
{
	does(0, SIM_ASK_EXCLUSIVE, HOLDFAST_OK, 0);
	does(0, SIM_ASK_RELEASE, HOLDFAST_OK, 0);
	does(1, SIM_ASK_EXCLUSIVE, HOLDFAST_TIMED_OUT, 0);
	does(1, SIM_ASK_IF_FREE_SHARED, HOLDFAST_NOT_RECOVERABLE, 0);
	does(2, SIM_ASK_EXCLUSIVE, HOLDFAST_OK, 0);
	cr_assert(sim_is_linearizable());
}

Test(linear, begins_again)
{
	sim.current = 0;
	sim_history_call(SIM_ASK_EXCLUSIVE, 0, 0);
	sim_history_mark();
	returns(0, HOLDFAST_OK, 0);
	does(1, SIM_ASK_SHARED, HOLDFAST_OK, 0);
	cr_assert_not(sim_is_linearizable());
	sim_history_again();
	does(1, SIM_ASK_SHARED, HOLDFAST_OK, 0);
	does(1, SIM_ASK_RELEASE, HOLDFAST_OK, 0);
	returns(0, HOLDFAST_OK, 0);
	cr_assert(sim_is_linearizable());
}

/* More than is judged, and more than there is room for: nothing is said. */
Test(linear, too_long_a_history_is_not_judged)
{
	does(0, SIM_ASK_EXCLUSIVE, HOLDFAST_OK, 0);
	for (int i = 0; i < 300; i++)
		does(1, SIM_ASK_SHARED, HOLDFAST_OK, 0);
	cr_assert(sim_is_linearizable());
}
