/*
 * test_ipc.c
 *		Exit callbacks: their order, re-entry, every way to end, and children that must not run their parent's.
 *
 * What runs is written to a page that parent and children share.  leave_quietly() is registered before anything of the
 * library's, so that a child's real exit() runs the library's backstop, then it, and nothing of the test runner's.
 */
#include <criterion/criterion.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../support/fixture.h"

#define LOG_MAX       4096
#define NOT_PERMITTED 77

typedef struct Log
{
	uint32_t count;
	int code[LOG_MAX]; /* what the callback was given */
	Datum arg[LOG_MAX];
} Log;

static Log *ran;
static pid_t tester;

static void
leave_quietly(int status, void *unused)
{
	(void) unused;
	if (getpid() != tester)
		_exit(status);
}

static void
open_log(void)
{
	ran = mmap(NULL, sizeof(*ran), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	cr_assert(ran != MAP_FAILED);
	tester = getpid();
	cr_assert(on_exit(leave_quietly, NULL) == 0);
}

TestSuite(ipc, .init = open_log, .timeout = 60);

static void
note(int code, Datum arg)
{
	uint32_t n = __atomic_fetch_add(&ran->count, 1, __ATOMIC_SEQ_CST);

	if (n < LOG_MAX)
	{
		ran->code[n] = code;
		ran->arg[n] = arg;
	}
}

/* In children an unmet expectation is an exit status that no test waits for. */
static void
expect(bool holds)
{
	if (!holds)
		_exit(90);
}

static int
run_child(void (*body)(void))
{
	pid_t parent = getpid();
	pid_t pid = fork();

	cr_assert(pid >= 0);
	if (pid == 0)
	{
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(99);
		body();
		_exit(91);
	}
	return child_wait(pid);
}

static void
expect_ran(uint32_t count, const Datum *args, int code)
{
	cr_assert(ran->count == count, "%u callbacks ran, not %u", ran->count, count);
	for (uint32_t i = 0; i < count; i++)
	{
		cr_assert(ran->arg[i] == args[i], "call %u was of entry %lu", i,
				  (unsigned long) ran->arg[i]);
		cr_assert(ran->code[i] == code, "call %u got code %d", i, ran->code[i]);
	}
}

/* 1 2 on_proc, 3 4 on_shmem, 5 6 before_shmem. */
static const Datum all_six[] = {6, 5, 4, 3, 2, 1};

static void
register_six(void)
{
	expect(on_proc_exit(note, 1) == HOLDFAST_OK && on_proc_exit(note, 2) == HOLDFAST_OK);
	expect(on_shmem_exit(note, 3) == HOLDFAST_OK && on_shmem_exit(note, 4) == HOLDFAST_OK);
	expect(before_shmem_exit(note, 5) == HOLDFAST_OK && before_shmem_exit(note, 6) == HOLDFAST_OK);
}

/* ---- order ---- */

static void
leave_by_proc_exit(void)
{
	register_six();
	proc_exit(7);
}

Test(ipc, each_list_backwards_and_lists_in_order)
{
	cr_assert(run_child(leave_by_proc_exit) == 7);
	expect_ran(6, all_six, 7);
}

static void
leave_by_exit(void)
{
	register_six();
	exit(3);
}

Test(ipc, exit_runs_them_too)
{
	cr_assert(run_child(leave_by_exit) == 3, "the status is exit()'s own");
	expect_ran(6, all_six, -1);
}

static void
keep_on_proc(void)
{
	register_six();
	shmem_exit(1);
	expect(ran->count == 4 && !shmem_exit_inprogress && !proc_exit_inprogress);
	shmem_exit(1);
	expect(ran->count == 4);
	_exit(0);
}

Test(ipc, shmem_exit_keeps_what_must_outlive_shared_memory)
{
	cr_assert(run_child(keep_on_proc) == 0);
	expect_ran(4, all_six, 1);
}

static void
note_flags(int code, Datum arg)
{
	note(code, arg | (Datum) shmem_exit_inprogress << 8 | (Datum) proc_exit_inprogress << 9);
}

static void
watch_flags(void)
{
	expect(!shmem_exit_inprogress && !proc_exit_inprogress);
	expect(on_proc_exit(note_flags, 1) == HOLDFAST_OK);
	expect(before_shmem_exit(note_flags, 3) == HOLDFAST_OK);
	shmem_exit(5);
	expect(on_shmem_exit(note_flags, 2) == HOLDFAST_OK);
	proc_exit(5);
}

Test(ipc, callbacks_can_tell_what_is_going_on)
{
	cr_assert(run_child(watch_flags) == 5);
	expect_ran(3, (const Datum[]){0x103, 0x302, 0x201}, 5);
}

static int
leave_holding(int arg)
{
	(void) arg;
	if (LWLockAcquire(&locks[0].lock, LW_EXCLUSIVE) < 0 ||
		LWLockAcquire(&locks[1].lock, LW_SHARED) < 0)
		return 80;
	proc_exit(0);
}

static void
look_at_locks(int code, Datum arg)
{
	note(code,
		 arg | (Datum) (locks[0].lock.state != 0) << 8 | (Datum) (locks[1].lock.state != 0) << 9);
}

static int
leave_holding_and_look(int arg)
{
	if (before_shmem_exit(look_at_locks, 1) < 0)
		return 81;
	return leave_holding(arg);
}

Test(ipc, locks_are_released_before_the_first_callback)
{
	cluster_start();
	cr_assert(child_wait(child_start(leave_holding_and_look, 0)) == 0);
	expect_ran(1, (const Datum[]){1}, 0);
	cluster_stop();
}

/* ---- re-entry ---- */

static void
note_and_exit(int code, Datum arg)
{
	note(code, arg);
	proc_exit(code + 1);
}

static void
exit_from_every_callback(void)
{
	expect(on_proc_exit(note_and_exit, 1) == HOLDFAST_OK);
	expect(on_proc_exit(note_and_exit, 2) == HOLDFAST_OK);
	expect(on_shmem_exit(note_and_exit, 3) == HOLDFAST_OK);
	expect(before_shmem_exit(note_and_exit, 4) == HOLDFAST_OK);
	proc_exit(10);
}

Test(ipc, proc_exit_in_a_callback_goes_on_with_the_next)
{
	cr_assert(run_child(exit_from_every_callback) == 14, "the last caller's code counts");
	cr_assert(ran->count == 4);
	for (uint32_t i = 0; i < 4; i++)
		cr_assert(ran->arg[i] == 4 - i && ran->code[i] == 10 + (int) i);
}

static void
exit_inside_exit(void)
{
	expect(on_proc_exit(note, 1) == HOLDFAST_OK);
	expect(on_proc_exit(note_and_exit, 2) == HOLDFAST_OK);
	exit(3);
}

Test(ipc, proc_exit_inside_the_backstop)
{
	cr_assert(run_child(exit_inside_exit) == 0);
	cr_assert(ran->count == 2 && ran->arg[0] == 2 && ran->arg[1] == 1);
	cr_assert(ran->code[0] == -1 && ran->code[1] == 0);
}

static void
register_more(int code, Datum arg)
{
	note(code, arg);
	if (arg > 1)
		expect(on_shmem_exit(register_more, arg - 1) == HOLDFAST_OK);
}

static void
grow_while_running(void)
{
	expect(on_shmem_exit(note, 0) == HOLDFAST_OK &&
		   on_shmem_exit(register_more, 30) == HOLDFAST_OK);
	proc_exit(0);
}

Test(ipc, a_callback_may_register_others)
{
	cr_assert(run_child(grow_while_running) == 0);
	cr_assert(ran->count == 31);
	for (uint32_t i = 0; i < 31; i++)
		cr_assert(ran->arg[i] == 30 - i);
}

/* ---- registering ---- */

static void
register_a_thousand(void)
{
	for (Datum i = 0; i < 1000; i++)
		expect(on_shmem_exit(note, i) == HOLDFAST_OK);
	proc_exit(0);
}

Test(ipc, lists_grow)
{
	cr_assert(run_child(register_a_thousand) == 0);
	cr_assert(ran->count == 1000);
	for (uint32_t i = 0; i < 1000; i++)
		cr_assert(ran->arg[i] == 999 - i);
}

static void
register_without_memory(void)
{
	struct rlimit nothing = {0, 0};
	Datum n = 0;
	HoldfastStatus status;

	expect(setrlimit(RLIMIT_AS, &nothing) == 0);
	while ((status = on_proc_exit(note, n)) == HOLDFAST_OK && n < 1 << 24)
		n++;
	expect(status == HOLDFAST_NO_MEMORY && holdfast_last_error()->status == HOLDFAST_NO_MEMORY);
	expect(holdfast_last_error()->message[0] != '\0');
	proc_exit(n > 0 ? 0 : 92);
}

Test(ipc, out_of_memory_is_an_error_and_loses_no_entry)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	cr_skip_test("the sanitizer's own allocator takes memory first");
#endif
	cr_assert(run_child(register_without_memory) == 0);
	cr_assert(ran->count > 0);
	cr_assert(ran->arg[0] == ran->count - 1, "the newest came first, and each was called");
}

Test(ipc, null_is_refused)
{
	cr_assert(on_proc_exit(NULL, 0) == HOLDFAST_MISUSE);
	cr_assert(on_shmem_exit(NULL, 0) == HOLDFAST_MISUSE);
	cr_assert(before_shmem_exit(NULL, 0) == HOLDFAST_MISUSE);
	cr_assert(check_on_shmem_exit_lists_are_empty() == HOLDFAST_OK);
}

static void
cancel(void)
{
	expect(cancel_before_shmem_exit(note, 1) == HOLDFAST_MISUSE);
	expect(before_shmem_exit(note, 1) == HOLDFAST_OK && before_shmem_exit(note, 2) == HOLDFAST_OK);
	expect(cancel_before_shmem_exit(note, 1) == HOLDFAST_MISUSE);
	expect(cancel_before_shmem_exit(note_flags, 2) == HOLDFAST_MISUSE);
	expect(cancel_before_shmem_exit(note, 2) == HOLDFAST_OK);
	expect(cancel_before_shmem_exit(note, 2) == HOLDFAST_MISUSE);
	proc_exit(0);
}

Test(ipc, only_the_newest_can_be_cancelled)
{
	cr_assert(run_child(cancel) == 0);
	expect_ran(1, (const Datum[]){1}, 0);
}

static void
check_emptiness(void)
{
	expect(on_proc_exit(note, 1) == HOLDFAST_OK);
	expect(check_on_shmem_exit_lists_are_empty() == HOLDFAST_OK);
	expect(on_shmem_exit(note, 2) == HOLDFAST_OK);
	expect(check_on_shmem_exit_lists_are_empty() == HOLDFAST_MISUSE);
	shmem_exit(0);
	expect(check_on_shmem_exit_lists_are_empty() == HOLDFAST_OK);
	expect(before_shmem_exit(note, 3) == HOLDFAST_OK);
	expect(check_on_shmem_exit_lists_are_empty() == HOLDFAST_MISUSE);
	on_exit_reset();
	expect(check_on_shmem_exit_lists_are_empty() == HOLDFAST_OK);
	exit(0);
}

Test(ipc, emptiness_is_of_the_two_shmem_lists)
{
	cr_assert(run_child(check_emptiness) == 0);
	expect_ran(1, (const Datum[]){2}, 0);
}

/* ---- children ---- */

static pid_t
fork_by_fork(void)
{
	return fork();
}

static pid_t
fork_without_handlers(void)
{
	return (pid_t) syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
}

static pid_t (*fork_it)(void);
static void (*child_body)(void);

/* A process with six entries has a child; nothing but what the child itself does may be noted till it is gone. */
static void
have_a_child(void)
{
	pid_t pid;
	int status;

	register_six();
	pid = fork_it();
	expect(pid >= 0);
	if (pid == 0)
	{
		child_body();
		exit(0);
	}
	expect(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
	if (WEXITSTATUS(status) != 0)
		_exit(WEXITSTATUS(status));
	note(0, 100);
	proc_exit(0);
}

static void
expect_child_harmless(pid_t (*how)(void), void (*body)(void), uint32_t own)
{
	int status;

	fork_it = how;
	child_body = body;
	__atomic_store_n(&ran->count, 0, __ATOMIC_SEQ_CST);
	status = run_child(have_a_child);
	if (status == NOT_PERMITTED)
		cr_skip_test("no namespaces here");
	cr_assert(status == 0, "status %d", status);
	cr_assert(ran->count == own + 7, "%u calls", ran->count);
	cr_assert(ran->arg[own] == 100, "the child ran its parent's callbacks");
	for (uint32_t i = 0; i < 6; i++)
		cr_assert(ran->arg[own + 1 + i] == all_six[i], "the child took an entry away");
}

static void
do_nothing(void)
{
}

static void
call_proc_exit(void)
{
	proc_exit(0);
}

static void
call_shmem_exit(void)
{
	shmem_exit(0);
}

static void
reset_first(void)
{
	on_exit_reset();
	proc_exit(0);
}

static void
touch_what_is_the_parents(void)
{
	expect(cancel_before_shmem_exit(note, 6) == HOLDFAST_MISUSE);
	expect(check_on_shmem_exit_lists_are_empty() == HOLDFAST_OK);
}

static void
register_own(void)
{
	expect(on_shmem_exit(note, 50) == HOLDFAST_OK);
	expect(check_on_shmem_exit_lists_are_empty() == HOLDFAST_MISUSE);
}

Test(ipc, a_forked_child_runs_none_of_its_parents)
{
	pid_t (*const ways[])(void) = {fork_by_fork, fork_without_handlers};

	for (unsigned i = 0; i < 2; i++)
	{
		expect_child_harmless(ways[i], do_nothing, 0);
		expect_child_harmless(ways[i], call_proc_exit, 0);
		expect_child_harmless(ways[i], call_shmem_exit, 0);
		expect_child_harmless(ways[i], reset_first, 0);
		expect_child_harmless(ways[i], touch_what_is_the_parents, 0);
	}
}

Test(ipc, a_forked_child_runs_its_own)
{
	expect_child_harmless(fork_by_fork, register_own, 1);
	cr_assert(ran->arg[0] == 50 && ran->code[0] == -1);
	expect_child_harmless(fork_without_handlers, register_own, 1);
	cr_assert(ran->arg[0] == 50 && ran->code[0] == -1);
}

static pid_t
fork_as_first_of_a_namespace(void)
{
	pid_t pid;

	if (unshare(CLONE_NEWPID) != 0)
		_exit(NOT_PERMITTED);
	pid = fork();
	if (pid == 0)
		expect(getpid() == 1);
	return pid;
}

/* Itself the first of a namespace, so that parent and child are both 1. */
static void
be_the_first(void)
{
	int status;
	pid_t pid = fork_as_first_of_a_namespace();

	expect(pid >= 0);
	if (pid == 0)
		have_a_child();
	expect(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
	_exit(WEXITSTATUS(status));
}

Test(ipc, a_child_that_bears_its_parents_number)
{
	int status;

	fork_it = fork_as_first_of_a_namespace;
	child_body = call_proc_exit;
	status = run_child(be_the_first);
	if (status == NOT_PERMITTED)
		cr_skip_test("no PID namespaces here");
	cr_assert(status == 0, "status %d", status);
	cr_assert(ran->count == 7 && ran->arg[0] == 100, "the child ran its parent's callbacks");
}

static void
fork_and_look(int code, Datum arg)
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
	{
		on_exit_reset();
		_exit(proc_exit_inprogress || shmem_exit_inprogress);
	}
	expect(waitpid(pid, &status, 0) == pid && status == 0);
	note(code, arg);
}

static void
fork_from_a_callback(void)
{
	expect(before_shmem_exit(fork_and_look, 1) == HOLDFAST_OK);
	proc_exit(0);
}

Test(ipc, a_child_of_a_callback_is_not_exiting)
{
	cr_assert(run_child(fork_from_a_callback) == 0);
	expect_ran(1, (const Datum[]){1}, 0);
}

static int
end_without_reset(int arg)
{
	int status;
	pid_t pid;

	(void) arg;
	if (LWLockAcquire(&locks[3].lock, LW_EXCLUSIVE) < 0 || before_shmem_exit(note, 1) < 0)
		return 82;
	for (int i = 0; i < 2; i++)
	{
		pid = i == 0 ? fork() : fork_without_handlers();
		if (pid == 0)
			exit(0);
		if (waitpid(pid, &status, 0) != pid || status != 0)
			return 83;
	}
	return LWLockHeldByMe(&locks[3].lock) && locks[3].lock.state != 0 && ran->count == 0 ? 0 : 84;
}

Test(ipc, a_forked_child_that_exits_keeps_its_parents_locks)
{
	cluster_start();
	cr_assert(child_wait(child_start(end_without_reset, 0)) == 0);
	cluster_stop();
}
