/*
 * test_inject_wait.c
 *		Pause and barrier across processes, and the actions that stop, delay or end a process.
 */
#define HOLDFAST_INJECT
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../support/arm.h"
#include "../support/fixture.h"
#include "inject/inject.h"

#define PATIENCE_MS 20000

TestSuite(inject_wait, .timeout = 60);

static void
reach_point(void)
{
	INJECT_POINT("test/wait/here", INJECT_ANYWHERE, "nothing");
}

static void
reach_spinning(void)
{
	INJECT_POINT("test/wait/spinning", INJECT_NO_SLEEP, "others spin");
}

static void
reach_in_handler(void)
{
	INJECT_POINT("test/wait/handler", INJECT_NO_MALLOC, "nothing");
}

static int
go_there(int ordinal)
{
	inject_set_role("walker", ordinal);
	reach_point();
	return 0;
}

static pid_t
send(int ordinal)
{
	return child_start_without_slot(go_there, ordinal);
}

static uint64_t
fires(void)
{
	InjectPointInfo info;

	cr_assert(inject_point_find("test/wait/here", &info));
	return info.fires;
}

/* ---- pause ---- */

Test(inject_wait, who_is_paused_is_seen_and_let_go)
{
	InjectWaiter waiter;
	pid_t pid;

	arm("test/wait/here=pause(door)");
	cr_assert(inject_waiters(&waiter, 1) == 0);
	pid = send(3);
	cr_assert(inject_wait_reached("door", 1, PATIENCE_MS) == INJECT_OK);
	cr_assert(inject_waiters(NULL, 0) == 1);
	cr_assert(inject_waiters(&waiter, 1) == 1);
	cr_assert(waiter.pid == pid && waiter.tid == pid && waiter.ordinal == 3);
	cr_assert_str_eq(waiter.tag, "door");
	cr_assert_str_eq(waiter.point, "test/wait/here");
	cr_assert_str_eq(waiter.role, "walker");
	cr_assert(fires() == 1, "counted before it sleeps");
	cr_assert(waitpid(pid, NULL, WNOHANG) == 0);
	cr_assert(inject_release("door") == 1);
	cr_assert(child_wait(pid) == 0);
	cr_assert(inject_waiters(NULL, 0) == 0 && inject_release("door") == 0);
	cr_assert(inject_waits_expired() == 0);
}

Test(inject_wait, a_release_is_not_remembered)
{
	pid_t pid;

	arm("test/wait/here=pause(door)");
	cr_assert(inject_release("door") == 0);
	pid = send(1);
	cr_assert(inject_wait_reached("door", 1, PATIENCE_MS) == INJECT_OK);
	cr_assert(inject_release("door") == 1);
	cr_assert(child_wait(pid) == 0);
}

Test(inject_wait, each_tag_has_its_own_door)
{
	pid_t left;
	pid_t right;

	arm("test/wait/here=pause(left)[proc=walker.1]->pause(right)");
	left = send(1);
	right = send(2);
	cr_assert(inject_wait_reached("left", 1, PATIENCE_MS) == INJECT_OK);
	cr_assert(inject_wait_reached("right", 1, PATIENCE_MS) == INJECT_OK);
	cr_assert(inject_waiters(NULL, 0) == 2);
	cr_assert(inject_release("left") == 1);
	cr_assert(child_wait(left) == 0);
	cr_assert(inject_waiters(NULL, 0) == 1);
	cr_assert(inject_release("right") == 1);
	cr_assert(child_wait(right) == 0);
}

Test(inject_wait, the_tester_has_a_deadline_too)
{
	pid_t pid;

	arm("test/wait/here=pause(door)");
	cr_assert(inject_wait_reached("door", 1, 30) == INJECT_TIMED_OUT);
	pid = send(1);
	cr_assert(inject_wait_reached("door", 1, PATIENCE_MS) == INJECT_OK);
	cr_assert(inject_wait_reached("door", 2, 30) == INJECT_TIMED_OUT);
	cr_assert(inject_wait_reached("window", 1, 0) == INJECT_MISUSE);
	cr_assert(inject_release("window") == -1);
	inject_disarm_all();
	cr_assert(child_wait(pid) == 0);
	cr_assert(inject_wait_reached("door", 1, 0) == INJECT_MISUSE);
}

Test(inject_wait, a_pause_ends_by_its_deadline)
{
	arm("deadline=30ms; test/wait/here=pause(door)");
	cr_assert(child_wait(send(1)) == 0);
	cr_assert(inject_waits_expired() == 1 && inject_waiters(NULL, 0) == 0);
}

Test(inject_wait, disarming_releases_everybody)
{
	pid_t pids[5];

	arm("test/wait/here=pause(door)");
	for (int i = 0; i < 5; i++)
		pids[i] = send(i);
	cr_assert(inject_wait_reached("door", 5, PATIENCE_MS) == INJECT_OK);
	inject_disarm_all();
	for (int i = 0; i < 5; i++)
		cr_assert(child_wait(pids[i]) == 0);
	cr_assert(inject_waits_expired() == 0);
}

Test(inject_wait, another_plan_releases_everybody)
{
	pid_t pid;
	pid_t next;

	arm("test/wait/here=pause(door)");
	pid = send(1);
	cr_assert(inject_wait_reached("door", 1, PATIENCE_MS) == INJECT_OK);
	arm("test/wait/here=pause(door)");
	cr_assert(child_wait(pid) == 0);
	next = send(2);
	cr_assert(inject_wait_reached("door", 1, PATIENCE_MS) == INJECT_OK);
	inject_disarm_all();
	cr_assert(child_wait(next) == 0);
}

static int
disarm_for_all(int arg)
{
	(void) arg;
	inject_disarm_all();
	return 0;
}

Test(inject_wait, any_process_may_disarm)
{
	pid_t pid;

	arm("test/wait/here=pause(door)");
	pid = send(1);
	cr_assert(inject_wait_reached("door", 1, PATIENCE_MS) == INJECT_OK);
	cr_assert(child_wait(child_start_without_slot(disarm_for_all, 0)) == 0);
	cr_assert(child_wait(pid) == 0);
}

Test(inject_wait, dead_waiters_are_not_counted)
{
	pid_t dead;
	pid_t alive;

	arm("test/wait/here=pause(door)");
	dead = send(1);
	cr_assert(inject_wait_reached("door", 1, PATIENCE_MS) == INJECT_OK);
	child_kill(dead);
	cr_assert(inject_waiters(NULL, 0) == 0);
	cr_assert(inject_wait_reached("door", 1, 30) == INJECT_TIMED_OUT);
	alive = send(2);
	cr_assert(inject_wait_reached("door", 1, PATIENCE_MS) == INJECT_OK);
	cr_assert(inject_release("door") == 1);
	cr_assert(child_wait(alive) == 0);
}

/* More corpses than the table has entries: each is freed for the next. */
Test(inject_wait, corpses_do_not_fill_the_table)
{
	arm("test/wait/here=pause(door)");
	for (int i = 0; i < 300; i++)
	{
		pid_t pid = send(i);

		cr_assert(inject_wait_reached("door", 1, PATIENCE_MS) == INJECT_OK, "corpse %d", i);
		child_kill(pid);
	}
	cr_assert(inject_waiters(NULL, 0) == 0);
}

/* As an old kernel, a container's filter or valgrind would answer. */
static void
forbid_pidfds(uint32_t with_errno)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pidfd_open, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | with_errno),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = sizeof(code) / sizeof(*code), .filter = code};

	cr_assert(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
		cr_skip_test("no filters here");
	cr_assert(syscall(SYS_pidfd_open, getpid(), 0) == -1);
}

static void
check_living_and_dead(void)
{
	siginfo_t info;
	pid_t zombie;
	pid_t pid;

	arm("test/wait/here=pause(door)");
	zombie = send(1);
	pid = send(2);
	cr_assert(inject_wait_reached("door", 2, PATIENCE_MS) == INJECT_OK);
	cr_assert(kill(zombie, SIGKILL) == 0);
	cr_assert(waitid(P_PID, (id_t) zombie, &info, WEXITED | WNOWAIT) == 0);
	cr_assert(inject_waiters(NULL, 0) == 1, "one is a zombie, the other lives");
	child_kill(zombie);
	child_kill(pid);
	cr_assert(inject_waiters(NULL, 0) == 0);
	inject_table_detach();
}

Test(inject_wait, the_dead_are_known_without_pidfds)
{
	check_living_and_dead();
	forbid_pidfds(EPERM);
	check_living_and_dead();
}

Test(inject_wait, the_dead_are_known_to_old_kernels)
{
	forbid_pidfds(ENOSYS);
	check_living_and_dead();
}

static volatile sig_atomic_t interrupted;

static void
note_signal(int number)
{
	(void) number;
	interrupted = 1;
}

static int
go_there_and_be_interrupted(int ordinal)
{
	struct sigaction action = {.sa_handler = note_signal};

	sigaction(SIGUSR1, &action, NULL);
	return go_there(ordinal) + (interrupted ? 0 : 1);
}

Test(inject_wait, a_signal_does_not_end_a_pause)
{
	pid_t pid;

	arm("test/wait/here=pause(door)");
	pid = child_start_without_slot(go_there_and_be_interrupted, 1);
	cr_assert(inject_wait_reached("door", 1, PATIENCE_MS) == INJECT_OK);
	cr_assert(kill(pid, SIGUSR1) == 0);
	cr_assert(inject_waiters(NULL, 0) == 1);
	cr_assert(inject_release("door") == 1);
	cr_assert(child_wait(pid) == 0);
}

static void *
walk_in_thread(void *arg)
{
	reach_point();
	return arg;
}

Test(inject_wait, threads_wait_side_by_side)
{
	pthread_t threads[3];

	arm("test/wait/here=pause(door)");
	for (int i = 0; i < 3; i++)
		cr_assert(pthread_create(&threads[i], NULL, walk_in_thread, NULL) == 0);
	cr_assert(inject_wait_reached("door", 3, PATIENCE_MS) == INJECT_OK);
	cr_assert(inject_waiters(NULL, 0) == 3);
	cr_assert(inject_release("door") == 3);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
}

/* ---- barrier ---- */

Test(inject_wait, a_barrier_opens_when_all_are_there)
{
	pid_t pids[3];

	arm("test/wait/here=barrier(all,3)");
	pids[0] = send(0);
	pids[1] = send(1);
	cr_assert(inject_wait_reached("all", 2, PATIENCE_MS) == INJECT_OK);
	cr_assert(waitpid(pids[0], NULL, WNOHANG) == 0 && waitpid(pids[1], NULL, WNOHANG) == 0);
	pids[2] = send(2);
	for (int i = 0; i < 3; i++)
		cr_assert(child_wait(pids[i]) == 0);
	cr_assert(inject_waits_expired() == 0);
}

Test(inject_wait, a_corpse_does_not_count_at_a_barrier)
{
	pid_t dead;
	pid_t first;
	pid_t second;

	arm("test/wait/here=barrier(all,2)");
	dead = send(0);
	cr_assert(inject_wait_reached("all", 1, PATIENCE_MS) == INJECT_OK);
	child_kill(dead);
	first = send(1);
	cr_assert(inject_wait_reached("all", 1, PATIENCE_MS) == INJECT_OK);
	cr_assert(waitpid(first, NULL, WNOHANG) == 0);
	second = send(2);
	cr_assert(child_wait(first) == 0 && child_wait(second) == 0);
}

static int
go_there_often(int ordinal)
{
	for (int i = 0; i < 200; i++)
		go_there(ordinal);
	return 0;
}

/* As many as it is for, again and again: nobody laps anybody. */
Test(inject_wait, a_barrier_serves_round_after_round)
{
	pid_t pids[3];

	arm("test/wait/here=barrier(all,3)");
	for (int i = 0; i < 3; i++)
		pids[i] = child_start_without_slot(go_there_often, i);
	for (int i = 0; i < 3; i++)
		cr_assert(child_wait(pids[i]) == 0, "walker %d", i);
	cr_assert(inject_waits_expired() == 0 && fires() == 600);
}

/* ---- the other actions ---- */

static int
end_of(const char *plan)
{
	arm(plan);
	return child_wait(send(1));
}

Test(inject_wait, a_process_ends_as_the_plan_says)
{
	cr_expect(end_of("test/wait/here=kill") == 1000 + SIGKILL);
	cr_expect(end_of("test/wait/here=exit(7)") == 7);
	cr_expect(end_of("test/wait/here=exit(0)") == 0);
	cr_expect(end_of("test/wait/here=abort") == 1000 + SIGABRT);
	cr_expect(end_of("test/wait/here=signal(SIGTERM)") == 1000 + SIGTERM);
	cr_expect(end_of("test/wait/here=signal(9)") == 1000 + SIGKILL);
	cr_expect(end_of("test/wait/here=count+yield+exit(3)") == 3);
	cr_expect(fires() == 1);
}

Test(inject_wait, a_stopped_process_can_be_continued)
{
	int status;
	pid_t pid;

	arm("test/wait/here=stop");
	pid = send(1);
	cr_assert(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status));
	cr_assert(WSTOPSIG(status) == SIGSTOP && fires() == 1);
	cr_assert(kill(pid, SIGCONT) == 0);
	cr_assert(child_wait(pid) == 0);
}

static int
kill_where_others_spin(int handler)
{
	if (handler)
		reach_in_handler();
	else
		reach_spinning();
	return 0;
}

Test(inject_wait, death_and_pause_are_possible_everywhere)
{
	pid_t pid;

	arm("test/wait/spinning=kill; test/wait/handler=exit(4)");
	cr_expect(child_wait(child_start_without_slot(kill_where_others_spin, 0)) == 1000 + SIGKILL);
	cr_expect(child_wait(child_start_without_slot(kill_where_others_spin, 1)) == 4);
	arm("test/wait/spinning=pause(inside)");
	pid = child_start_without_slot(kill_where_others_spin, 0);
	cr_expect(inject_wait_reached("inside", 1, PATIENCE_MS) == INJECT_OK);
	cr_expect(inject_release("inside") == 1);
	cr_expect(child_wait(pid) == 0);
}

static double
seconds_at_point(void)
{
	struct timespec start;
	struct timespec end;

	clock_gettime(CLOCK_MONOTONIC, &start);
	reach_point();
	clock_gettime(CLOCK_MONOTONIC, &end);
	return (double) (end.tv_sec - start.tv_sec) + (double) (end.tv_nsec - start.tv_nsec) * 1e-9;
}

Test(inject_wait, delays_last_as_long_as_they_say)
{
	struct sigaction action = {.sa_handler = note_signal};

	arm("test/wait/here=sleep(40ms)");
	cr_expect(seconds_at_point() >= 0.040);
	arm("test/wait/here=spin(20ms)");
	cr_expect(seconds_at_point() >= 0.020);
	arm("test/wait/here=sleep(10ms)+spin(10ms)");
	cr_expect(seconds_at_point() >= 0.020);
	/* A handler runs, and the sleep goes on. */
	sigaction(SIGALRM, &action, NULL);
	arm("test/wait/here=sleep(60ms)");
	ualarm(10000, 0);
	cr_expect(seconds_at_point() >= 0.060 && interrupted);
}

static char called_with[128];

static void
note_call(const char *point, void *arg)
{
	snprintf(called_with, sizeof(called_with), "%s %s", point, (const char *) arg);
}

Test(inject_wait, a_function_of_the_program_is_called)
{
	cr_assert(inject_register_call("note", note_call, (void *) (uintptr_t) "arg") == INJECT_OK);
	cr_assert(inject_register_call("note", note_call, NULL) == INJECT_MISUSE);
	cr_assert(inject_register_call(NULL, note_call, NULL) == INJECT_MISUSE);
	cr_assert(inject_register_call("none", NULL, NULL) == INJECT_MISUSE);
	arm("test/wait/here=#2 call(note)");
	reach_point();
	cr_assert_str_eq(called_with, "");
	reach_point();
	cr_assert_str_eq(called_with, "test/wait/here arg");
}

static int
print_to_pipe(int fd)
{
	inject_set_role("walker", 2);
	dup2(fd, STDERR_FILENO);
	reach_point();
	return 0;
}

Test(inject_wait, printing_is_one_line)
{
	char line[256] = "";
	char expected[256];
	int ends[2];
	pid_t pid;

	cr_assert(pipe(ends) == 0);
	arm("test/wait/here=print");
	pid = child_start_without_slot(print_to_pipe, ends[1]);
	cr_assert(child_wait(pid) == 0);
	cr_assert(read(ends[0], line, sizeof(line) - 1) > 0);
	snprintf(expected, sizeof(expected), "holdfast: test/wait/here hit 1 process %d walker.2\n",
			 (int) pid);
	cr_assert_str_eq(line, expected);
}

static void
park_in_handler(int number)
{
	(void) number;
	reach_in_handler();
}

static int
be_signalled(int arg)
{
	struct sigaction action = {.sa_handler = park_in_handler};

	sigaction(SIGUSR1, &action, NULL);
	raise(SIGUSR1);
	return arg;
}

Test(inject_wait, a_handler_can_be_parked)
{
	pid_t pid;

	arm("test/wait/handler=pause(handler)");
	pid = child_start_without_slot(be_signalled, 6);
	cr_assert(inject_wait_reached("handler", 1, PATIENCE_MS) == INJECT_OK);
	cr_assert(inject_release("handler") == 1);
	cr_assert(child_wait(pid) == 6);
}
