/*
 * test_lwlock_windows.c
 *		LWLocks among the living, with one of them parked between two steps: no wake-up is lost in the window.
 *
 * Parked by pause points, let go by name: no test here depends on timing.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <unistd.h>

#include "../support/fixture.h"
#include "inject/inject.h"
#include "lwlock_state.h"

TestSuite(lwlock_windows, .timeout = 60);

#define LOCK        (&locks[0].lock)
#define PATIENCE_MS 20000

static int
get_and_release(int mode)
{
	inject_set_role("waiter", 1);
	if (LWLockAcquire(LOCK, (LWLockMode) mode) < 0)
		return 1;
	return LWLockRelease(LOCK) == HOLDFAST_OK ? 0 : 2;
}

/* The holder lets go while the waiter stands at `point`; the waiter must get the lock all the same. */
static void
release_while_parked_at(const char *point, LWLockMode mode)
{
	InjectError error;
	char plan[160];
	pid_t waiter;

	cluster_start();
	(void) snprintf(plan, sizeof(plan), "%s=#1 pause(window)[proc=waiter]", point);
	cr_assert(inject_table_create(&error) == INJECT_OK, "%s", error.message);
	cr_assert(inject_arm(plan, &error) == INJECT_OK, "%s", error.message);
	cr_assert(LWLockAcquire(LOCK, LW_EXCLUSIVE) == HOLDFAST_OK);
	waiter = child_start(get_and_release, mode);
	cr_assert(inject_wait_reached("window", 1, PATIENCE_MS) == INJECT_OK, "nobody came to %s",
			  point);
	cr_assert(LWLockRelease(LOCK) == HOLDFAST_OK);
	cr_assert(inject_release("window") == 1);
	cr_assert(child_wait(waiter) == 0, "the waiter at %s was forgotten", point);
	cr_assert(inject_unfired(NULL, 0, NULL) == 0);
	inject_table_detach();
	cr_assert(holdfast_recover(1000000, NULL) == HOLDFAST_OK);
	cr_assert(LOCK->state == 0, "word %016llx", (unsigned long long) LOCK->state);
	cluster_stop();
}

Test(lwlock_windows, released_before_the_waiter_queued)
{
	release_while_parked_at("lwlock/acquire/pre-queue", LW_EXCLUSIVE);
}

Test(lwlock_windows, released_before_a_reader_queued)
{
	release_while_parked_at("lwlock/acquire/pre-queue", LW_SHARED);
}

Test(lwlock_windows, released_before_the_waiter_tried_again)
{
	release_while_parked_at("lwlock/acquire/queued", LW_EXCLUSIVE);
}

Test(lwlock_windows, released_before_the_waiter_slept)
{
	release_while_parked_at("lwlock/acquire/pre-sleep", LW_EXCLUSIVE);
}
