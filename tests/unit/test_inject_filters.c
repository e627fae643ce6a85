/*
 * test_inject_filters.c
 *		What narrows a fault down (in=, held=), what is remembered of that, and the actions throw and skip.
 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/shm.h>
#include <sys/single_threaded.h>
#include <unistd.h>

#include "../support/arm.h"
#include "../support/fixture.h"
#include "inject/inject.h"
#include "inject/point/symbol.h"
#include "inject/point/table.h"

#define PATIENCE_MS 20000

TestSuite(inject_filters, .timeout = 60);

static InjectItemInfo
item(int index)
{
	InjectItemInfo info = {.hits = 0};

	if (!inject_item_at(index, &info))
		abort();
	return info;
}

/*
 * A test's process has Criterion's thread beside it, and so counts by other instructions than the programs of one
 * thread that most are.  So what is counted is checked twice: here, and in a child, which has one.
 */
#define NEED(condition_)                                                                           \
	do                                                                                             \
	{                                                                                              \
		if (!(condition_))                                                                         \
		{                                                                                          \
			(void) fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition_);                \
			return 1;                                                                              \
		}                                                                                          \
	} while (0)

static int (*body_of_child)(void);

static int
run_with_one_thread(int arg)
{
	(void) arg;
	__libc_single_threaded = 1; /* the C library does not see that the other thread stayed behind */
	return body_of_child();
}

static void
check_with_and_without_threads(int (*body)(void))
{
	arm("test/filters/point=off");
	body_of_child = body;
	cr_expect(child_wait(child_start_without_slot(run_with_one_thread, 0)) == 0,
			  "with one thread: see stderr");
	cr_expect(body() == 0, "with two: see stderr");
}

/* ---- in= ---- */

static void
reach(void)
{
	INJECT_POINT("test/filters/point", INJECT_ANYWHERE, "nothing");
}

static void
reach_too(void)
{
	INJECT_POINT("test/filters/point", INJECT_ANYWHERE, "nothing");
}

Test(inject_filters, in_is_the_function_that_the_point_is_written_in)
{
	arm("test/filters/point=count[in=reach_too]");
	reach();
	reach_too();
	reach();
	cr_expect(item(0).hits == 3 && item(0).fires == 1);
}

/* What the library's calls are linked to. */
int __wrap_shmget(key_t key, size_t size, int flags);

static __attribute__((noinline)) int
first_caller(void)
{
	int result = __wrap_shmget(-1, 0, 0);

	__asm__ volatile("" ::: "memory"); /* no tail call: we are to be seen */
	return result;
}

static __attribute__((noinline)) int
second_caller(void)
{
	int result = __wrap_shmget(-1, 1, 0) /* not the same code as above */;

	__asm__ volatile("" ::: "memory");
	return result;
}

Test(inject_filters, in_is_the_function_that_makes_the_call)
{
	InjectProcInfo proc;

	arm("sysv/shm/shmget=return(7)[in=second_caller]");
	for (int i = 0; i < 3; i++)
	{
		cr_expect(first_caller() != 7);
		cr_expect(second_caller() == 7);
	}
	cr_expect(item(0).hits == 6 && item(0).fires == 3);
	cr_assert(inject_proc_at(0, &proc));
	cr_expect(strncmp(proc.last_caller, "second_caller (", 15) == 0, "%s", proc.last_caller);
	/* the same number of a name in the next plan is another name */
	arm("sysv/shm/shmget=return(8)[in=first_caller]");
	cr_expect(first_caller() == 8 && second_caller() != 8);
}

static volatile sig_atomic_t in_handler;

static void
call_in_handler(int number)
{
	(void) number;
	in_handler = second_caller();
}

Test(inject_filters, in_works_in_a_signal_handler_and_after_fork)
{
	arm("sysv/shm/shmget=return(9)[in=second_caller]");
	signal(SIGUSR1, call_in_handler);
	raise(SIGUSR1);
	cr_expect(in_handler == 9);
}

Test(inject_filters, a_damaged_file_has_no_symbols)
{
	char path[] = "/tmp/holdfast-symbol-XXXXXX";
	unsigned char head[64] = {0x7f, 'E', 'L', 'F', 2, 1, 1};
	char name[64];
	int fd = mkstemp(path);

	cr_assert(fd >= 0);
	cr_expect(!symbol_at(path, 0, name, sizeof(name)), "empty");
	for (int round = 0; round < 200; round++)
	{
		for (size_t i = 16; i < sizeof(head); i++)
			head[i] = (unsigned char) (rand() >> 7);
		head[0x36] = 56;
		head[0x37] = 0;
		head[0x3a] = 64;
		head[0x3b] = 0;
		cr_assert(pwrite(fd, head, sizeof(head), 0) == (ssize_t) sizeof(head));
		cr_assert(ftruncate(fd, 64 + rand() % 4096) == 0);
		(void) symbol_at(path, (uint64_t) rand(), name, sizeof(name));
		(void) symbol_exists(path, "main");
	}
	cr_expect(!symbol_at("/no/such/file", 0, name, sizeof(name)));
	cr_expect(symbol_exists("/proc/self/exe", "first_caller"));
	close(fd);
	unlink(path);
}

/* ---- held= ---- */

static void
expect_held(const char *lock, bool expected)
{
	char plan[128];

	(void) snprintf(plan, sizeof(plan), "test/filters/point=count[held=%s]", lock);
	arm(plan);
	reach();
	cr_expect((item(0).fires == 1) == expected, "held=%s", lock);
}

Test(inject_filters, held_asks_the_library)
{
	InjectError error;

	cluster_start();
	expect_held("test", false);
	cr_assert(LWLockAcquire(&locks[3].lock, LW_EXCLUSIVE) == HOLDFAST_OK);
	cr_assert(LWLockAcquire(&locks[5].lock, LW_SHARED) == HOLDFAST_OK);
	expect_held("test", true);
	expect_held("test:3", true);
	expect_held("test:4", false);
	expect_held("test:3/exclusive", true);
	expect_held("test:3/shared", false);
	expect_held("test:5/shared", true);
	expect_held("test:5/exclusive", false);
	expect_held("test:3/waiting", false);
	cr_expect(inject_arm("test/filters/point=count[held=tset]", &error) == INJECT_BAD_PLAN);
	cr_expect(strstr(error.message, "no tranche") != NULL, "%s", error.message);
	LWLockReleaseAll();
	expect_held("test", false);
	inject_table_detach();
	cluster_stop();
}

static int
take_and_leave(int lock)
{
	if (LWLockAcquire(&locks[lock].lock, LW_EXCLUSIVE) < 0)
		return 1;
	LWLockReleaseAll();
	return 0;
}

/* Only who stands in the queue of that lock is meant, not its holder, not another lock's queue. */
Test(inject_filters, a_waiter_is_told_from_a_holder)
{
	pid_t waiter;

	cluster_start();
	cr_assert(LWLockAcquire(&locks[2].lock, LW_EXCLUSIVE) == HOLDFAST_OK);
	arm("lwlock/acquire/pre-sleep=kill[held=test:3/waiting]->1*exit(41)[held=test:2/waiting]");
	waiter = child_start(take_and_leave, 2);
	cr_expect(child_wait(waiter) == 41);
	cr_assert(holdfast_recover(1000000, NULL) == HOLDFAST_OK);
	LWLockReleaseAll();
	/* a kill of a holder, by what it holds */
	arm("lwlock/acquire/held=kill[held=test:6/exclusive]");
	cr_expect(child_wait(child_start(take_and_leave, 5)) == 0);
	cr_expect(child_wait(child_start(take_and_leave, 6)) == 1000 + SIGKILL);
	cr_assert(holdfast_recover(1000000, NULL) == HOLDFAST_OK);
	inject_table_detach();
	cluster_stop();
}

/* ---- what a process remembers: that a plan does not mean it ---- */

static int
change_roles(void)
{
	arm("test/filters/point=count[proc=worker.2]");
	reach();
	reach();
	NEED(item(0).fires == 0 && item(0).hits == 2);
	inject_set_role("worker", 2);
	reach();
	NEED(item(0).fires == 1);
	inject_set_role("worker", 3);
	reach();
	NEED(item(0).fires == 1 && item(0).hits == 4);
	return 0;
}

Test(inject_filters, another_role_is_another_answer)
{
	check_with_and_without_threads(change_roles);
}

static void *
reach_as_worker(void *arg)
{
	inject_set_thread_role("worker", 2);
	reach();
	return arg;
}

Test(inject_filters, a_thread_with_a_role_is_not_overlooked)
{
	pthread_t thread;

	arm("test/filters/point=count[proc=worker.2]");
	for (int i = 0; i < 100; i++)
		reach();
	cr_assert(pthread_create(&thread, NULL, reach_as_worker, NULL) == 0);
	pthread_join(thread, NULL);
	cr_expect(item(0).hits == 101 && item(0).fires == 1);
}

static int
count_what_is_over(void)
{
	InjectPointInfo info;

	arm("test/filters/point=#2 count; test/filters/*=1*print->off");
	for (int i = 0; i < 50; i++)
		reach();
	NEED(inject_point_find("test/filters/point", &info));
	NEED(info.hits == 50 && info.fires == 2 && info.skips == 48);
	NEED(item(0).hits == 50 && item(0).fires == 1);
	NEED(item(1).hits == 49 && item(1).fires == 1 && item(1).skips == 48);
	/* and a new plan is looked at */
	arm("test/filters/point=#2 count");
	reach();
	reach();
	NEED(item(0).fires == 1);
	return 0;
}

Test(inject_filters, what_is_over_is_still_counted)
{
	check_with_and_without_threads(count_what_is_over);
}

static volatile sig_atomic_t alarms;

static void
reach_in_handler(int number)
{
	(void) number;
	alarms++;
	reach();
}

/* Counting without the bus lock must not lose what a handler counts in between. */
static int
count_in_handlers(void)
{
	struct sigaction action = {.sa_handler = reach_in_handler};
	InjectPointInfo info;
	uint64_t own = 0;

	arm("test/filters/point=kill[proc=nobody]");
	sigaction(SIGALRM, &action, NULL);
	alarms = 0;
	ualarm(50, 50);
	while (alarms < 2000)
	{
		reach();
		own++;
	}
	ualarm(0, 0);
	NEED(inject_point_find("test/filters/point", &info));
	NEED(info.hits == own + (uint64_t) alarms);
	NEED(item(0).hits == info.hits);
	return 0;
}

Test(inject_filters, a_handler_loses_no_count)
{
	check_with_and_without_threads(count_in_handlers);
}

static void *
reach_often(void *arg)
{
	for (int i = 0; i < 100000; i++)
		reach();
	return arg;
}

Test(inject_filters, threads_lose_no_count)
{
	pthread_t threads[4];

	arm("test/filters/point=kill[proc=nobody]");
	for (int i = 0; i < 4; i++)
		cr_assert(pthread_create(&threads[i], NULL, reach_often, NULL) == 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	cr_expect(item(0).hits == 400000);
}

/* ---- throw ---- */

static sigjmp_buf catcher;

Test(inject_filters, throw_goes_where_the_program_catches)
{
	volatile int thrown = 0;
	volatile int passed = 0;

	inject_set_catch(&catcher);
	arm("test/filters/point=#2.. throw");
	for (volatile int i = 0; i < 5; i++)
	{
		if (sigsetjmp(catcher, 1) == 0)
		{
			reach();
			passed++;
		}
		else
			thrown++;
	}
	cr_expect(thrown == 4 && passed == 1 && item(0).fires == 4);
	/* nothing is held up by a jump: the next plan is armed, its hits are decided */
	arm("test/filters/point=count");
	reach();
	cr_expect(item(0).fires == 1);
	/* Who catches nothing is not thrown, and that is seen. */
	inject_set_catch(NULL);
	arm("test/filters/point=throw");
	reach();
	cr_expect(inject_unfired(NULL, 0, NULL) == 1);
}

/* ---- skip ---- */

static int steps_done;

static void
reach_step(void)
{
	if (INJECT_STEP("test/filters/step", INJECT_ANYWHERE, "the step is not done"))
		steps_done++;
}

Test(inject_filters, a_step_can_be_left_out)
{
	InjectPointInfo info;

	reach_step();
	arm("test/filters/step=#2 skip");
	reach_step();
	reach_step();
	reach_step();
	cr_expect(steps_done == 3 && item(0).fires == 1);
	cr_assert(inject_point_find("test/filters/step", &info));
	cr_expect((info.actions & INJECT_CAN_SKIP) != 0);
	cr_expect(inject_arm("test/filters/point=skip", NULL) == INJECT_BAD_PLAN);
}

/* ---- a hit that is waited for is neither missed nor met twice ---- */

static int
wait_for_hits(void)
{
	static const char *const plans[] = {
		"test/filters/point=#37 count",
		"test/filters/point=#1 count->#36 count",
		"test/filters/point=off[proc=nobody]->#37 count->count[proc=nobody]",
		"test/filters/*=#37 count; test/filters/point=count[proc=nobody]",
		"test/filters/point=#37 count[count=proc]",
		"test/filters/point=#37 count[count=thread]",
		"test/filters/point=#37..37 1*count",
		"test/filters/point=100% #37 count",
	};

	for (size_t i = 0; i < sizeof(plans) / sizeof(plans[0]); i++)
	{
		uint64_t before;

		arm(plans[i]);
		for (int hit = 1; hit <= 36; hit++)
			reach();
		before = item(0).fires;
		reach();
		NEED(item(0).fires == before + 1 && item(0).hits == 37);
		for (int hit = 0; hit < 50; hit++)
			reach();
		NEED(item(0).fires == before + 1 && item(0).hits == 87);
	}
	arm("test/filters/point=#10..20/5 count->#30.. count");
	for (int hit = 1; hit <= 60; hit++)
		reach();
	/* 10, 15, 20, and from the thirtieth of the other 57 on */
	NEED(item(0).fires == 3 + 28);
	return 0;
}

Test(inject_filters, the_hit_is_met_whatever_was_remembered)
{
	check_with_and_without_threads(wait_for_hits);
}

static int
reach_a_thousand_times(int arg)
{
	__libc_single_threaded = 1;
	for (int i = 0; i < 1000; i++)
		reach();
	return arg;
}

Test(inject_filters, one_of_many_processes_meets_the_hit)
{
	InjectProcInfo proc;
	int met = 0;
	pid_t pids[8];

	arm("test/filters/point=#5000 count");
	for (int i = 0; i < 8; i++)
		pids[i] = child_start_without_slot(reach_a_thousand_times, 0);
	for (int i = 0; i < 8; i++)
		cr_expect(child_wait(pids[i]) == 0);
	cr_expect(item(0).hits == 8000 && item(0).fires == 1);
	for (int i = 0; inject_proc_at(i, &proc); i++)
		if (proc.fires > 0)
			met += proc.last_hit == 5000 ? 1 : 100;
	cr_expect(met == 1);
}
