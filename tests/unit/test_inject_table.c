/*
 * test_inject_table.c
 *		The control table: one arm for all processes, counters that outlive them, pause points, and what is
 *		refused.
 *
 * Every kill is a real SIGKILL of a real child.  Children die with the test and leave by _exit().
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/single_threaded.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "inject/inject.h"
#include "inject/point/table.h"

#define DEADLINE_MS 20000
#define ENDLESS     1000000000

TestSuite(inject_table, .timeout = 120);

static void
reach(void)
{
	INJECT_POINT("test/table/point", INJECT_ANYWHERE, "nothing");
}

static void
reach_other(void)
{
	INJECT_POINT("test/table/other", INJECT_ANYWHERE, "nothing");
}

static void
reach_spinning(void)
{
	INJECT_POINT("test/table/spinning", INJECT_NO_SLEEP | INJECT_NO_MALLOC, "others spin");
}

/* ---- helpers ---- */

static void
start(const char *plan)
{
	InjectError error;

	cr_assert(inject_table_create(&error) == INJECT_OK, "%s", error.message);
	if (plan != NULL)
		cr_assert(inject_arm(plan, &error) == INJECT_OK, "%s", error.message);
}

/* A child that says its role and reaches the point so often, then exits 0. */
static pid_t
child(const char *role, int ordinal, int hits)
{
	pid_t parent = getpid();
	pid_t pid = fork();

	cr_assert(pid >= 0);
	if (pid > 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(99);
	__libc_single_threaded =
		1; /* Criterion's other thread stayed behind, which the C library does not see */
	if (role != NULL)
		inject_set_role(role, ordinal);
	for (int i = 0; i < hits; i++)
		reach();
	_exit(0);
}

/* Exit status, or 1000 and the signal. */
static int
outcome(pid_t pid)
{
	int status;

	cr_assert(waitpid(pid, &status, 0) == pid);
	return WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status);
}

static InjectPointInfo
point_info(const char *name)
{
	InjectPointInfo info;

	cr_assert(inject_point_find(name, &info), "%s", name);
	return info;
}

static InjectItemInfo
item_info(int index)
{
	InjectItemInfo info;

	cr_assert(inject_item_at(index, &info));
	return info;
}

static int64_t
now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- disarmed, observed ---- */

Test(inject_table, without_a_table_points_are_nothing)
{
	InjectError error;

	reach();
	cr_expect(!inject_table_mapped());
	cr_expect(inject_table_fd() == -1);
	cr_expect(inject_arm("test/table/point=kill", &error) == INJECT_NO_TABLE);
	cr_expect(inject_wait_reached("x", 1, 1) == INJECT_NO_TABLE);
	cr_expect(inject_release("x") == -1);
	cr_expect(inject_unfired(NULL, 0, NULL) == 0);
	cr_expect(point_info("test/table/point").hits == 0);
	inject_disarm_all();
	inject_table_detach();
}

Test(inject_table, observing_counts_what_is_not_armed)
{
	start(NULL);
	reach();
	cr_expect(point_info("test/table/point").hits == 0);
	inject_observe(true);
	reach();
	reach();
	reach_other();
	cr_expect(point_info("test/table/point").hits == 2);
	cr_expect(point_info("test/table/point").skips == 2);
	cr_expect(point_info("test/table/other").hits == 1);
	inject_observe(false);
	reach();
	cr_expect(point_info("test/table/point").hits == 2);
	inject_table_detach();
}

Test(inject_table, listing_is_sorted_and_complete)
{
	InjectPointInfo info;
	char before[INJECT_NAME_SIZE] = "";
	bool lock_point = false;
	int count = 0;

	for (int i = 0; inject_point_at(i, &info); i++)
	{
		cr_assert(strcmp(before, info.name) < 0, "%s, %s", before, info.name);
		cr_expect(info.line > 0 && info.file[0] != '\0' && info.sites >= 1);
		cr_expect(info.corpse[0] != '\0');
		lock_point = lock_point || strncmp(info.name, "lwlock/acquire/", 15) == 0;
		strcpy(before, info.name);
		count++;
	}
	cr_expect(lock_point, "the library's own points are missing");
	cr_expect(count > 40);
	cr_expect(!inject_point_at(-1, &info));
	info = point_info("sysv/shm/shmdt");
	cr_expect(info.errnos != NULL && info.errnos[0] != 0 && (info.actions & INJECT_CAN_ERRNO) != 0);
	info = point_info("test/table/spinning");
	cr_expect((info.actions & (INJECT_CAN_SLEEP | INJECT_CAN_CALL)) == 0);
}

/* ---- death ---- */

Test(inject_table, the_third_hit_kills_and_is_counted)
{
	InjectProcInfo proc;
	uint64_t hits;
	uint64_t fires;
	pid_t pid;

	start("test/table/point=#3 kill");
	pid = child("worker", 1, 10);
	cr_expect(outcome(pid) == 1000 + SIGKILL);
	cr_expect(point_info("test/table/point").hits == 3);
	cr_expect(point_info("test/table/point").fires == 1);
	cr_expect(point_info("test/table/point").skips == 2);
	cr_expect(item_info(0).fires == 1 && item_info(0).skips == 2);
	/* slot 0 is the test itself */
	cr_assert(inject_proc_at(1, &proc));
	cr_expect(proc.pid == pid && !proc.live);
	cr_expect_str_eq(proc.role, "worker");
	cr_expect(proc.ordinal == 1 && proc.hits == 3 && proc.fires == 1);
	cr_expect_str_eq(proc.last_point, "test/table/point");
	cr_expect_str_eq(proc.last_action, "kill");
	cr_expect(proc.last_hit == 3);
	cr_assert(inject_proc_point(1, "test/table/point", &hits, &fires));
	cr_expect(hits == 3 && fires == 1);
	cr_expect(!inject_proc_at(2, &proc));
	cr_expect(inject_unfired(NULL, 0, NULL) == 0);
}

Test(inject_table, one_arm_reaches_those_that_run_already)
{
	pid_t pids[4];

	start("test/table/point=pause(here)");
	for (int i = 0; i < 4; i++)
		pids[i] = child("worker", i, ENDLESS);
	cr_assert(inject_wait_reached("here", 4, DEADLINE_MS) == INJECT_OK);
	cr_assert(inject_arm("test/table/point=kill[proc=worker.2]", NULL) == INJECT_OK);
	cr_expect(outcome(pids[2]) == 1000 + SIGKILL);
	cr_assert(inject_arm("test/table/point=exit(7)", NULL) == INJECT_OK);
	for (int i = 0; i < 4; i++)
		cr_expect(i == 2 || outcome(pids[i]) == 7);
}

Test(inject_table, each_way_to_end_is_what_it_says)
{
	static const struct
	{
		const char *action;
		int outcome;
	} ends[] = {
		{"kill", 1000 + SIGKILL}, {"signal(SIGTERM)", 1000 + SIGTERM},
		{"exit(42)", 42},         {"abort", 1000 + SIGABRT},
		{"print+exit(3)", 3},
	};

	start(NULL);
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
	{
		char plan[128];
		int got;

		snprintf(plan, sizeof(plan), "test/table/point=%s", ends[i].action);
		cr_assert(inject_arm(plan, NULL) == INJECT_OK);
		got = outcome(child(NULL, 0, 1));
		cr_expect(got == ends[i].outcome, "%s: %d", plan, got);
		cr_expect(point_info("test/table/point").fires == 1);
	}
}

Test(inject_table, stop_stops_and_continues)
{
	pid_t pid;
	int status;

	start("test/table/point=1*stop");
	pid = child(NULL, 0, 2);
	cr_assert(waitpid(pid, &status, WUNTRACED) == pid);
	cr_assert(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
	kill(pid, SIGCONT);
	cr_expect(outcome(pid) == 0);
	cr_expect(point_info("test/table/point").hits == 2);
}

Test(inject_table, where_others_spin_death_is_allowed)
{
	InjectError error;
	pid_t pid;

	start("test/table/spinning=kill");
	pid = fork();
	if (pid == 0)
	{
		reach_spinning();
		_exit(0);
	}
	cr_expect(outcome(pid) == 1000 + SIGKILL);
	cr_expect(inject_arm("test/table/spinning=sleep(1ms)", &error) == INJECT_BAD_PLAN);
	cr_expect(error.line == 1 && error.column == 21);
}

static int
count_descriptors(void)
{
	int count = 0;

	for (int fd = 0; fd < 1024; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

/* Ten times as many as there are slots, eight at a time: each is killed at its second arrival. */
Test(inject_table, ten_thousand_corpses_are_counted_exactly, .timeout = 300)
{
	enum
	{
		CHILDREN = 10000,
		AT_ONCE = 8
	};
	int descriptors;
	int status;

	start("test/table/point=#2/2 kill[count=proc]");
	descriptors = count_descriptors();
	for (int i = 0; i < CHILDREN + AT_ONCE; i++)
	{
		if (i >= AT_ONCE)
			cr_assert(wait(&status) > 0 && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		if (i < CHILDREN)
			(void) child("worker", i, 5);
	}
	cr_expect(point_info("test/table/point").hits == 2 * CHILDREN);
	cr_expect(point_info("test/table/point").fires == CHILDREN);
	cr_expect(item_info(0).fires == CHILDREN && item_info(0).skips == CHILDREN);
	/* more of them than slots: the dead made room */
	cr_expect(inject_procs_recycled() >= CHILDREN - INJECT_MAX_PROCS);
	/* and nothing is left of them: no process, no descriptor, no waiter, no lock */
	cr_expect(wait(&status) == -1 && errno == ECHILD);
	cr_expect(count_descriptors() == descriptors);
	cr_expect(inject_waiters(NULL, 0) == 0 && inject_table->lock == 0);
	cr_expect(inject_arm("test/table/point=exit(6)", NULL) == INJECT_OK);
	cr_expect(outcome(child(NULL, 0, 1)) == 6);
}

/* Killed from outside, anywhere in the middle of counting: at most the arrival that it was in is missing or too many. */
Test(inject_table, who_is_killed_amid_counting_leaves_whole_numbers, .timeout = 300)
{
	volatile uint64_t *own =
		mmap(NULL, sizeof(*own), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t hits = 0;

	start("test/table/point=kill[proc=nobody]");
	for (int i = 0; i < 300; i++)
	{
		pid_t pid = fork();

		if (pid == 0)
		{
			__libc_single_threaded = 1;
			for (*own = 0;; ++*own)
				reach();
		}
		while (*own < 50)
			sched_yield();
		kill(pid, SIGKILL);
		cr_assert(outcome(pid) == 1000 + SIGKILL);
		cr_assert(point_info("test/table/point").hits - hits - *own <= 1);
		hits = point_info("test/table/point").hits;
		cr_assert(item_info(0).hits <= hits && item_info(0).hits + (uint64_t) i + 1 >= hits);
		*own = 0;
	}
}

/* ---- triggers and filters ---- */

Test(inject_table, a_fire_is_spent_once_for_all_processes)
{
	pid_t pids[8];
	int ended = 0;

	start("test/table/point=1*exit(5)");
	for (int i = 0; i < 8; i++)
		pids[i] = child(NULL, 0, 100);
	for (int i = 0; i < 8; i++)
		ended += outcome(pids[i]) == 5;
	cr_expect(ended == 1);
	cr_expect(item_info(0).fires == 1);
}

Test(inject_table, counting_by_process_starts_anew_in_each)
{
	start("test/table/point=#3 exit(3)[count=proc]");
	for (int i = 0; i < 5; i++)
		cr_expect(outcome(child(NULL, 0, 3)) == 3);
	cr_expect(outcome(child(NULL, 0, 2)) == 0);
	cr_expect(item_info(0).fires == 5);
}

static void *
reach_twice(void *arg)
{
	(void) arg;
	reach();
	reach();
	return NULL;
}

Test(inject_table, counting_by_thread_starts_anew_in_each)
{
	start("test/table/point=#2 count[count=thread]");
	for (int i = 0; i < 3; i++)
	{
		pthread_t thread;

		cr_assert(pthread_create(&thread, NULL, reach_twice, NULL) == 0);
		pthread_join(thread, NULL);
	}
	reach();
	cr_expect(item_info(0).hits == 7 && item_info(0).fires == 3);
}

static void *
reach_in_role(void *arg)
{
	inject_set_thread_role("reader", *(int *) arg);
	reach();
	inject_set_thread_role(NULL, 0);
	reach();
	return NULL;
}

Test(inject_table, a_thread_may_have_a_role_of_its_own)
{
	int ordinal = 4;
	pthread_t thread;

	start("test/table/point=count[proc=reader.4]->count[proc=main]");
	inject_set_role("main", 0);
	cr_assert(pthread_create(&thread, NULL, reach_in_role, &ordinal) == 0);
	pthread_join(thread, NULL);
	cr_expect(item_info(0).fires == 2 && item_info(0).hits == 2);
}

Test(inject_table, a_child_has_no_role_until_it_says_so)
{
	start("test/table/point=exit(9)[proc=parent]");
	inject_set_role("parent", 0);
	cr_expect(outcome(child(NULL, 0, 1)) == 0);
	cr_expect(outcome(child("parent", 3, 1)) == 9);
}

Test(inject_table, strides_and_ranges)
{
	start("test/table/point=#3..9/2 count");
	for (int i = 0; i < 20; i++)
		reach();
	cr_expect(item_info(0).fires == 4);
	cr_assert(inject_arm("test/table/point=#5.. count", NULL) == INJECT_OK);
	for (int i = 0; i < 20; i++)
		reach();
	cr_expect(item_info(0).fires == 16 && item_info(0).skips == 4);
}

Test(inject_table, a_chain_is_an_else_branch)
{
	start("test/table/point=2*count->#2 print->off");
	for (int i = 0; i < 6; i++)
		reach();
	/* two counts, then the second of those that the first step let pass; the rest is off */
	cr_expect(item_info(0).fires == 3 && item_info(0).skips == 3);
}

Test(inject_table, after_waits_for_another_point)
{
	start("test/table/point=after(test/table/other,2) #1 exit(6)");
	cr_expect(outcome(child(NULL, 0, 3)) == 0);
	reach_other();
	cr_expect(outcome(child(NULL, 0, 3)) == 0);
	reach_other();
	cr_expect(outcome(child(NULL, 0, 3)) == 6);
	cr_expect(point_info("test/table/other").hits == 2);
}

Test(inject_table, several_items_at_one_point_go_in_order)
{
	start("test/table/*=#1 count; test/table/point=#1 print; test/table/point=count");
	for (int i = 0; i < 4; i++)
		reach();
	cr_expect(item_info(0).fires == 1 && item_info(0).hits == 4);
	cr_expect(item_info(1).fires == 1 && item_info(1).hits == 3);
	cr_expect(item_info(2).fires == 2 && item_info(2).hits == 2);
}

/* Which of 64 hits of a child fired, as bits. */
static uint64_t
pattern(const char *role, int ordinal)
{
	uint64_t *shared =
		mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t bits;
	pid_t pid = fork();

	if (pid == 0)
	{
		if (role != NULL)
			inject_set_role(role, ordinal);
		for (int i = 0; i < 64; i++)
		{
			uint64_t before = item_info(0).fires;

			reach();
			*shared |= (item_info(0).fires - before) << i;
		}
		_exit(0);
	}
	cr_assert(outcome(pid) == 0);
	bits = *shared;
	munmap(shared, sizeof(*shared));
	return bits;
}

Test(inject_table, chance_repeats_and_differs_by_role_and_child)
{
	uint64_t first;
	uint64_t nameless;

	start("seed=5; test/table/point=50% count");
	first = pattern("worker", 1);
	cr_expect(first != 0 && first != UINT64_MAX);
	cr_expect(pattern("worker", 1) == first, "the same process, the same decisions");
	cr_expect(pattern("worker", 2) != first);
	cr_expect(pattern("reader", 1) != first);
	/* Children without a role differ by which child of whom they are, as libfiu's do not. */
	nameless = pattern(NULL, 0);
	cr_expect(pattern(NULL, 0) != nameless);
	cr_assert(inject_arm("seed=6; test/table/point=50% count", NULL) == INJECT_OK);
	cr_expect(pattern("worker", 1) != first);
	cr_assert(inject_arm("seed=5; test/table/point=50% count", NULL) == INJECT_OK);
	cr_expect(pattern("worker", 1) == first);
}

static int calls;

static void
count_call(const char *point, void *arg)
{
	cr_expect_str_eq(point, "test/table/point");
	calls += *(int *) arg;
}

static bool held_answer;

static bool
answer_held(const char *lock)
{
	return held_answer && strcmp(lock, "Bank:3") == 0;
}

Test(inject_table, functions_and_locks_of_the_program)
{
	int three = 3;

	start(NULL);
	cr_expect(inject_arm("test/table/point=call(mine)", NULL) == INJECT_BAD_PLAN);
	cr_assert(inject_register_call("mine", count_call, &three) == INJECT_OK);
	cr_expect(inject_register_call("mine", count_call, &three) == INJECT_MISUSE);
	cr_assert(inject_arm("test/table/point=#2 call(mine)", NULL) == INJECT_OK);
	reach();
	reach();
	cr_expect(calls == 3);
	inject_set_held_probe(answer_held);
	cr_assert(inject_arm("test/table/point=count[held=Bank:3]", NULL) == INJECT_OK);
	reach();
	held_answer = true;
	reach();
	cr_expect(item_info(0).fires == 1 && item_info(0).hits == 2);
}

Test(inject_table, delays_last_at_least_as_long_as_said)
{
	int64_t before = now_ms();

	start("test/table/point=#1 sleep(30ms)->#1 spin(20ms)->yield");
	reach();
	cr_expect(now_ms() - before >= 30);
	before = now_ms();
	reach();
	cr_expect(now_ms() - before >= 20);
	reach();
	cr_expect(item_info(0).fires == 3);
}

/* ---- arming ---- */

Test(inject_table, a_refused_plan_leaves_the_one_before)
{
	InjectError error;
	char text[128];

	start("test/table/point=#3 exit(5)");
	cr_expect(inject_arm("test/table/point=kill; test/table/othre=kill", &error) ==
			  INJECT_BAD_PLAN);
	cr_expect(error.line == 1 && error.column == 24);
	cr_expect_str_eq(error.suggestion, "test/table/other");
	cr_expect(inject_arm_bytes("test/table/point=kill\0", 22, &error) == INJECT_BAD_PLAN);
	cr_expect(inject_armed_text(text, sizeof(text)) == 27);
	cr_expect_str_eq(text, "test/table/point=#3 exit(5)");
	cr_expect(outcome(child(NULL, 0, 5)) == 5);
}

Test(inject_table, a_new_plan_starts_at_zero)
{
	start("test/table/point=#2 count");
	reach();
	reach();
	cr_expect(item_info(0).fires == 1);
	for (int i = 0; i < 70; i++)
	{
		cr_assert(inject_arm("test/table/point=#2 count", NULL) == INJECT_OK);
		cr_expect(point_info("test/table/point").hits == 0 && item_info(0).fires == 0);
		reach();
		cr_expect(item_info(0).fires == 0);
		reach();
		cr_expect(item_info(0).fires == 1);
	}
}

Test(inject_table, what_never_fired_is_named)
{
	InjectError error;
	int items[4];

	start("test/table/point=count; test/table/other=#2 kill; test/table/spinning=off");
	reach();
	reach_other();
	cr_assert(inject_unfired(items, 4, &error) == 1);
	cr_expect(items[0] == 1);
	cr_expect_str_eq(error.message, "test/table/other=#2 kill");
	inject_disarm_all();
	cr_expect(inject_unfired(NULL, 0, NULL) == 1, "numbers stay after disarm");
	reach();
	cr_expect(point_info("test/table/point").hits == 1);
	cr_expect(!point_info("test/table/point").armed);
}

Test(inject_table, a_lock_that_a_corpse_holds_is_taken_over)
{
	pid_t pid;

	start(NULL);
	pid = fork();
	if (pid == 0)
	{
		if (table_lock(NULL) == INJECT_OK)
			kill(getpid(), SIGKILL);
		_exit(1);
	}
	cr_assert(outcome(pid) == 1000 + SIGKILL);
	cr_assert(inject_arm("test/table/point=count", NULL) == INJECT_OK);
	reach();
	cr_expect(item_info(0).fires == 1);
}

static void *
arm_again_and_again(void *arg)
{
	bool *done = arg;

	for (int i = 0; i < 3000; i++)
	{
		cr_assert(inject_arm("test/table/point=count[proc=a]->count[proc=b]->exit(1)", NULL) ==
				  INJECT_OK);
		cr_assert(inject_arm("test/table/point=exit(1)[proc=a]->2*count->off", NULL) == INJECT_OK);
	}
	__atomic_store_n(done, true, __ATOMIC_RELEASE);
	return NULL;
}

/* A step that is half of one plan and half of the next could end the process, which neither does. */
Test(inject_table, arming_while_points_are_reached_tears_nothing)
{
	bool done = false;
	pthread_t thread;

	start(NULL);
	inject_set_role("b", 0);
	cr_assert(pthread_create(&thread, NULL, arm_again_and_again, &done) == 0);
	while (!__atomic_load_n(&done, __ATOMIC_ACQUIRE))
		reach();
	pthread_join(thread, NULL);
	cr_expect(item_info(0).fires <= 2);
}

/* ---- pause ---- */

Test(inject_table, the_tester_waits_and_releases)
{
	InjectWaiter waiters[4];
	pid_t pids[3];

	start("test/table/point=1*pause(first)[count=proc]");
	for (int i = 0; i < 3; i++)
		pids[i] = child("worker", i, 2);
	cr_assert(inject_wait_reached("first", 3, DEADLINE_MS) == INJECT_OK);
	cr_expect(inject_waiters(waiters, 4) == 3);
	cr_expect_str_eq(waiters[0].tag, "first");
	cr_expect_str_eq(waiters[0].point, "test/table/point");
	cr_expect_str_eq(waiters[0].role, "worker");
	cr_expect(waitpid(pids[0], NULL, WNOHANG) == 0);
	cr_expect(inject_wait_reached("first", 4, 20) == INJECT_TIMED_OUT);
	cr_expect(inject_wait_reached("second", 1, 20) == INJECT_MISUSE);
	cr_expect(inject_release("second") == -1);
	cr_expect(inject_release("first") == 3);
	for (int i = 0; i < 3; i++)
		cr_expect(outcome(pids[i]) == 0);
	cr_expect(inject_waiters(NULL, 0) == 0);
	cr_expect(inject_waits_expired() == 0);
}

Test(inject_table, disarming_releases_every_waiter)
{
	pid_t pids[3];

	start("test/table/point=pause(here)[proc=a]->pause(there)");
	pids[0] = child("a", 0, ENDLESS);
	pids[1] = child("b", 0, 1);
	pids[2] = child("b", 1, 1);
	cr_assert(inject_wait_reached("here", 1, DEADLINE_MS) == INJECT_OK);
	cr_assert(inject_wait_reached("there", 2, DEADLINE_MS) == INJECT_OK);
	inject_disarm_all();
	cr_expect(outcome(pids[1]) == 0 && outcome(pids[2]) == 0);
	cr_expect(inject_waits_expired() == 0);
	kill(pids[0], SIGKILL);
	cr_expect(outcome(pids[0]) == 1000 + SIGKILL);
}

Test(inject_table, the_dead_do_not_wait)
{
	pid_t pids[2];

	start("test/table/point=pause(here)");
	pids[0] = child("a", 0, 1);
	pids[1] = child("a", 1, 1);
	cr_assert(inject_wait_reached("here", 2, DEADLINE_MS) == INJECT_OK);
	kill(pids[0], SIGKILL);
	cr_expect(outcome(pids[0]) == 1000 + SIGKILL);
	cr_expect(inject_wait_reached("here", 2, 20) == INJECT_TIMED_OUT);
	cr_expect(inject_waiters(NULL, 0) == 1);
	cr_expect(inject_release("here") == 1);
	cr_expect(outcome(pids[1]) == 0);
}

/* Not reaped, and so still there for kill(pid, 0). */
Test(inject_table, a_zombie_does_not_wait)
{
	siginfo_t info;
	pid_t pid;

	start("test/table/point=pause(here)");
	pid = child("a", 0, 1);
	cr_assert(inject_wait_reached("here", 1, DEADLINE_MS) == INJECT_OK);
	kill(pid, SIGKILL);
	cr_assert(waitid(P_PID, (id_t) pid, &info, WEXITED | WNOWAIT) == 0);
	cr_expect(inject_waiters(NULL, 0) == 0);
	cr_expect(outcome(pid) == 1000 + SIGKILL);
}

Test(inject_table, a_wait_has_a_deadline)
{
	start("deadline=30ms; test/table/point=pause(for_nobody)");
	cr_expect(outcome(child(NULL, 0, 1)) == 0);
	cr_expect(inject_waits_expired() == 1);
}

Test(inject_table, a_barrier_lets_them_go_together)
{
	pid_t pids[6];

	start("test/table/point=barrier(all,3)");
	pids[0] = child("w", 0, 1);
	pids[1] = child("w", 1, 1);
	cr_assert(inject_wait_reached("all", 2, DEADLINE_MS) == INJECT_OK);
	cr_expect(waitpid(pids[0], NULL, WNOHANG) == 0);
	/* One dies waiting: it does not count. */
	kill(pids[1], SIGKILL);
	cr_expect(outcome(pids[1]) == 1000 + SIGKILL);
	pids[2] = child("w", 2, 1);
	cr_assert(inject_wait_reached("all", 2, DEADLINE_MS) == INJECT_OK);
	pids[3] = child("w", 3, 1);
	cr_expect(outcome(pids[0]) == 0 && outcome(pids[2]) == 0 && outcome(pids[3]) == 0);
	/* Two rounds at once, again and again: a round takes three, never four. */
	for (int round = 0; round < 50; round++)
	{
		for (int i = 0; i < 6; i++)
			pids[i] = child("w", i, 1);
		for (int i = 0; i < 6; i++)
			cr_expect(outcome(pids[i]) == 0);
	}
	cr_expect(inject_waits_expired() == 0);
}

/* ---- who may attach to what ---- */

static InjectStatus
attach_in_child(int fd, InjectError *error)
{
	inject_table_detach();
	return inject_table_attach(fd, error);
}

Test(inject_table, a_table_is_attached_by_descriptor)
{
	InjectError error;
	int fd;

	start("test/table/point=#2 count");
	reach();
	cr_expect(inject_table_create(&error) == INJECT_MISUSE);
	cr_expect(inject_table_attach(0, &error) == INJECT_MISUSE);
	fd = dup(inject_table_fd());
	cr_assert(attach_in_child(fd, &error) == INJECT_OK, "%s", error.message);
	reach();
	cr_expect(item_info(0).fires == 1, "the counters are those of before");
	close(fd);
}

static int
memory_file(size_t size, int seals)
{
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	cr_assert(fd >= 0 && ftruncate(fd, (off_t) size) == 0);
	if (seals != 0)
		cr_assert(fcntl(fd, F_ADD_SEALS, seals) == 0);
	return fd;
}

static void
check_not_attached(int fd, InjectStatus expected, const char *says)
{
	InjectError error;

	cr_expect(inject_table_attach(fd, &error) == expected, "%s", error.message);
	cr_expect(strstr(error.message, says) != NULL, "%s", error.message);
	cr_expect(!inject_table_mapped());
	close(fd);
}

Test(inject_table, what_is_no_table_is_refused)
{
	int seals = F_SEAL_SHRINK | F_SEAL_GROW;
	uint64_t head[3] = {TABLE_MAGIC, TABLE_VERSION + 1, sizeof(InjectTable)};
	char text[32];
	int fd;

	(void) snprintf(text, sizeof(text), "version %d", TABLE_VERSION + 1);
	check_not_attached(open("/dev/null", O_RDWR | O_CLOEXEC), INJECT_BAD_TABLE, "not sealed");
	check_not_attached(memory_file(sizeof(InjectTable), 0), INJECT_BAD_TABLE, "not sealed");
	check_not_attached(memory_file(4096, seals), INJECT_BAD_TABLE, "4096 bytes");
	check_not_attached(memory_file(0, seals), INJECT_BAD_TABLE, "0 bytes");
	check_not_attached(memory_file(sizeof(InjectTable), seals), INJECT_BAD_TABLE, "no magic");
	fd = memory_file(sizeof(InjectTable), seals);
	cr_assert(pwrite(fd, head, sizeof(head), 0) == (ssize_t) sizeof(head));
	check_not_attached(fd, INJECT_BAD_TABLE, text);
	check_not_attached(-1, INJECT_SYSTEM_ERROR, "Bad file descriptor");
	check_not_attached(900, INJECT_SYSTEM_ERROR, "Bad file descriptor");
}

Test(inject_table, another_users_table_is_refused)
{
	InjectError error;
	pid_t pid;

	if (geteuid() != 0)
		cr_skip_test("needs root, to become two others");
	start(NULL);
	pid = fork();
	if (pid == 0)
	{
		/* The file's owner is who made it; this one then is somebody else. */
		bool good = fchown(inject_table_fd(), 12345, 12345) == 0 && seteuid(12346) == 0 &&
					attach_in_child(dup(inject_table_fd()), &error) != INJECT_OK;

		_exit(good && !inject_table_mapped() ? 0 : 1);
	}
	cr_expect(outcome(pid) == 0);
}

Test(inject_table, the_environment_says_what_to_do)
{
	InjectError error;

	cr_expect(inject_init_from_environment(&error) == INJECT_OK && !inject_table_mapped());
	setenv(INJECT_FD_ENV, "many", 1);
	cr_expect(inject_init_from_environment(&error) == INJECT_BAD_TABLE && !inject_table_mapped());
	unsetenv(INJECT_FD_ENV);
	setenv(INJECT_PLAN_ENV, "test/table/point=#1 count", 1);
	cr_assert(inject_init_from_environment(&error) == INJECT_OK, "%s", error.message);
	reach();
	cr_expect(item_info(0).fires == 1);
	cr_expect(getenv(INJECT_FD_ENV) != NULL && atoi(getenv(INJECT_FD_ENV)) == inject_table_fd());
	cr_expect((fcntl(inject_table_fd(), F_GETFD) & FD_CLOEXEC) == 0);
}
