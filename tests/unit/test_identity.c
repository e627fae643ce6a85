/*
 * test_identity.c
 *		Who is dead and who only looks so; and what names this boot, these namespaces, this incarnation.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../support/fixture.h"
#include "identity.h"

#define NOT_PERMITTED 77
#define PATIENCE_S    20

TestSuite(identity, .timeout = 60);

static int
pause_for_ever(int arg)
{
	(void) arg;
	while (pause() != 0)
		continue;
	return 0;
}

/* Ended and not reaped. */
static void
make_zombie(pid_t pid)
{
	siginfo_t info;

	cr_assert(kill(pid, SIGKILL) == 0);
	cr_assert(waitid(P_PID, (id_t) pid, &info, WEXITED | WNOWAIT) == 0);
}

static double
seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (double) now.tv_sec + (double) now.tv_nsec * 1e-9;
}

/* A body's answer: 0, or the skip. */
static void
expect_ok(int status)
{
	if (status == NOT_PERMITTED)
		cr_skip_test("not permitted here");
	cr_assert(status == 0, "check %d failed", status);
}

/* ---- alive and dead ---- */

Test(identity, we_live)
{
	uint64_t start_time = holdfast_process_start_time(getpid());

	cr_assert(start_time != 0);
	cr_assert(start_time == holdfast_process_start_time(getpid()));
	cr_assert(start_time >= holdfast_process_start_time(getppid()));
	cr_assert(!holdfast_process_is_dead(getpid(), 0));
	cr_assert(!holdfast_process_is_dead(getpid(), start_time));
	cr_assert(!holdfast_process_is_dead(1, 0));
}

Test(identity, another_start_time_is_another_process)
{
	uint64_t start_time = holdfast_process_start_time(getpid());

	cr_assert(holdfast_process_is_dead(getpid(), start_time + 1));
	cr_assert(holdfast_process_is_dead(getpid(), start_time - 1));
	cr_assert(holdfast_process_is_dead(getpid(), UINT64_MAX));
}

Test(identity, numbers_that_no_process_has)
{
	const pid_t numbers[] = {0, -1, -getpid(), INT32_MIN, INT32_MAX, 1 << 30};

	for (unsigned i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
	{
		cr_assert(holdfast_process_is_dead(numbers[i], 0), "%d", (int) numbers[i]);
		cr_assert(holdfast_process_is_dead(numbers[i], 1), "%d", (int) numbers[i]);
		cr_assert(holdfast_process_start_time(numbers[i]) == 0, "%d", (int) numbers[i]);
	}
}

Test(identity, a_zombie_is_dead)
{
	pid_t pid = child_start_without_slot(pause_for_ever, 0);
	uint64_t start_time = holdfast_process_start_time(pid);

	cr_assert(start_time != 0);
	cr_assert(!holdfast_process_is_dead(pid, 0) && !holdfast_process_is_dead(pid, start_time));
	make_zombie(pid);
	cr_assert(kill(pid, 0) == 0, "kill() would have been deceived");
	cr_assert(holdfast_process_is_dead(pid, 0) && holdfast_process_is_dead(pid, start_time));
	cr_assert(waitpid(pid, NULL, 0) == pid);
	cr_assert(holdfast_process_is_dead(pid, start_time));
}

Test(identity, a_stopped_process_lives)
{
	pid_t pid = child_start_without_slot(pause_for_ever, 0);
	siginfo_t info;

	cr_assert(kill(pid, SIGSTOP) == 0);
	cr_assert(waitid(P_PID, (id_t) pid, &info, WSTOPPED) == 0);
	cr_assert(!holdfast_process_is_dead(pid, 0));
	cr_assert(!holdfast_process_is_dead(pid, holdfast_process_start_time(pid)));
	child_kill(pid);
}

Test(identity, a_name_of_blanks_and_parentheses)
{
	const char *const names[] = {"a) S 1 1 1 1 1", ") ) ) )", "((((((((", "1 2 3 4 5 6 7 8",
								 "\n)\n("};
	uint64_t start_time = holdfast_process_start_time(getpid());

	for (unsigned i = 0; i < sizeof(names) / sizeof(*names); i++)
	{
		cr_assert(prctl(PR_SET_NAME, names[i]) == 0);
		cr_assert(holdfast_process_start_time(getpid()) == start_time, "\"%s\"", names[i]);
	}
}

/* The very number again, for a later process. */
static pid_t
start_with_number(pid_t pid)
{
	struct clone_args args = {
		.exit_signal = SIGCHLD, .set_tid = (uint64_t) (uintptr_t) &pid, .set_tid_size = 1};
	long result = syscall(SYS_clone3, &args, sizeof(args));

	if (result == 0)
	{
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(pause_for_ever(0));
	}
	return (pid_t) result;
}

Test(identity, a_reused_number_is_not_the_dead_one)
{
	pid_t pid = child_start_without_slot(pause_for_ever, 0);
	uint64_t start_time = holdfast_process_start_time(pid);
	double tick = 2.0 / (double) sysconf(_SC_CLK_TCK);
	double born = seconds_now();
	pid_t again;

	cr_assert(start_time != 0);
	child_kill(pid);
	/* Start times are told apart by the clock tick: this is what the test is about, not a wait for somebody. */
	while (seconds_now() < born + tick)
		sched_yield();
	again = start_with_number(pid);
	if (again < 0)
		cr_skip_test("a number cannot be chosen here, or is taken");
	cr_assert(again == pid);
	cr_assert(!holdfast_process_is_dead(pid, 0));
	cr_assert(holdfast_process_is_dead(pid, start_time));
	cr_assert(holdfast_process_start_time(pid) > start_time);
	cr_assert(!holdfast_process_is_dead(pid, holdfast_process_start_time(pid)));
	child_kill(again);
}

/* ---- threads ---- */

static void *
say_number_and_wait(void *pipe_end)
{
	pid_t tid = (pid_t) syscall(SYS_gettid);
	const int *fd = pipe_end;
	char byte;

	cr_assert(write(fd[1], &tid, sizeof(tid)) == (ssize_t) sizeof(tid));
	cr_assert(read(fd[2], &byte, 1) == 0);
	return NULL;
}

Test(identity, a_threads_number_is_no_process)
{
	int fd[4];
	pthread_t thread;
	pid_t tid;

	cr_assert(pipe2(fd, O_CLOEXEC) == 0 && pipe2(fd + 2, O_CLOEXEC) == 0);
	cr_assert(pthread_create(&thread, NULL, say_number_and_wait, fd) == 0);
	cr_assert(read(fd[0], &tid, sizeof(tid)) == (ssize_t) sizeof(tid));
	cr_assert(tid != getpid() && kill(tid, 0) == 0, "kill() would have been deceived");
	cr_assert(holdfast_process_is_dead(tid, 0));
	cr_assert(holdfast_process_is_dead(tid, holdfast_process_start_time(getpid())));
	cr_assert(holdfast_process_start_time(tid) == 0);
	close(fd[3]);
	cr_assert(pthread_join(thread, NULL) == 0);
	close(fd[0]);
	close(fd[1]);
	close(fd[2]);
}

static bool
main_thread_is_zombie(void)
{
	char path[64];
	char line[256] = "";
	FILE *file;

	(void) snprintf(path, sizeof(path), "/proc/%d/stat", (int) getpid());
	file = fopen(path, "re");
	if (file == NULL)
		return false;
	if (fgets(line, sizeof(line), file) == NULL)
		line[0] = '\0';
	(void) fclose(file);
	return strstr(line, ") Z ") != NULL;
}

static bool
forbid_pidfds(int with_errno)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pidfd_open, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t) with_errno),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = sizeof(code) / sizeof(*code), .filter = code};

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
		   prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/* As a container whose filter is older than pidfds: 1 dead, 0 not. */
static int
is_dead_by_number(int pid)
{
	if (!forbid_pidfds(EPERM))
		return NOT_PERMITTED;
	return holdfast_process_is_dead(pid, 0) ? 1 : 0;
}

static int survivor_fd;
static uint64_t survivor_start_time;

static void *
outlive_the_main_thread(void *unused)
{
	double deadline = seconds_now() + PATIENCE_S;
	bool good;

	(void) unused;
	while (!main_thread_is_zombie())
	{
		if (seconds_now() > deadline)
			_exit(1);
		sched_yield();
	}
	good = holdfast_process_start_time(getpid()) == survivor_start_time &&
		   !holdfast_process_is_dead(getpid(), survivor_start_time);
	if (write(survivor_fd, good ? "y" : "n", 1) != 1)
		_exit(2);
	pause_for_ever(0);
	return NULL;
}

static int
leave_threads_behind(int arg)
{
	pthread_t thread;

	survivor_fd = arg;
	survivor_start_time = holdfast_process_start_time(getpid());
	if (pthread_create(&thread, NULL, outlive_the_main_thread, NULL) != 0)
		return 3;
	/* As pthread_exit() ends, without its unwinding through the test runner. */
	syscall(SYS_exit, 0);
	return 4;
}

Test(identity, a_process_lives_as_long_as_any_of_its_threads)
{
	int fd[2];
	char answer = 0;
	uint64_t start_time;
	pid_t pid;

	cr_assert(pipe2(fd, O_CLOEXEC) == 0);
	pid = child_start_without_slot(leave_threads_behind, fd[1]);
	close(fd[1]);
	cr_assert(read(fd[0], &answer, 1) == 1, "the thread never saw its main thread end");
	cr_assert(answer == 'y', "seen from inside");
	start_time = holdfast_process_start_time(pid);
	cr_assert(start_time != 0);
	cr_assert(!holdfast_process_is_dead(pid, 0) && !holdfast_process_is_dead(pid, start_time));
	expect_ok(child_wait(child_start_without_slot(is_dead_by_number, pid)));
	make_zombie(pid);
	cr_assert(holdfast_process_is_dead(pid, start_time));
	cr_assert(child_wait(child_start_without_slot(is_dead_by_number, pid)) == 1);
	cr_assert(waitpid(pid, NULL, 0) == pid);
	close(fd[0]);
}

/* ---- what cannot be found out is no proof of death ---- */

static int
ask_without_proc(int arg)
{
	pid_t parent = getppid();
	pid_t dead;
	siginfo_t info;

	(void) arg;
	if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
		mount("none", "/proc", "tmpfs", 0, NULL) != 0)
		return NOT_PERMITTED;
	if (holdfast_process_start_time(parent) != 0)
		return 1;
	if (holdfast_process_is_dead(parent, 0) || holdfast_process_is_dead(parent, 12345))
		return 2;
	dead = fork();
	if (dead == 0)
		_exit(0);
	if (waitid(P_PID, (id_t) dead, &info, WEXITED | WNOWAIT) != 0 ||
		!holdfast_process_is_dead(dead, 12345))
		return 3;
	if (waitpid(dead, NULL, 0) != dead || !holdfast_process_is_dead(dead, 12345))
		return 4;
	return 0;
}

Test(identity, unreadable_proc)
{
	expect_ok(child_wait(child_start_without_slot(ask_without_proc, 0)));
}

static int
ask_without_descriptors(int arg)
{
	struct rlimit nothing = {0, 0};
	pid_t parent = getppid();

	(void) arg;
	if (setrlimit(RLIMIT_NOFILE, &nothing) != 0)
		return 1;
	if (holdfast_process_start_time(parent) != 0)
		return 2;
	return holdfast_process_is_dead(parent, 0) || holdfast_process_is_dead(parent, 12345) ? 3 : 0;
}

Test(identity, no_descriptors_left)
{
	expect_ok(child_wait(child_start_without_slot(ask_without_descriptors, 0)));
}

static int
ask_without_pidfds(int with_errno)
{
	pid_t parent = getppid();
	uint64_t start_time = holdfast_process_start_time(parent);

	if (!forbid_pidfds(with_errno))
		return NOT_PERMITTED;
	if (holdfast_process_start_time(parent) != start_time)
		return 1;
	if (holdfast_process_is_dead(parent, 0) || holdfast_process_is_dead(parent, start_time))
		return 2;
	if (!holdfast_process_is_dead(parent, start_time + 1))
		return 3; /* /proc alone proves that the number was reused */
	return holdfast_process_is_dead(1 << 30, start_time) ? 0 : 4; /* nobody has that number */
}

Test(identity, pidfds_refused)
{
	expect_ok(child_wait(child_start_without_slot(ask_without_pidfds, EPERM)));
	expect_ok(child_wait(child_start_without_slot(ask_without_pidfds, ENOSYS)));
}

/* ---- another namespace's /proc ---- */

/*
 * The first of a new PID namespace, under the old /proc, where 1 is somebody else; `arg` is where it says what it
 * thinks of itself.
 */
static void
be_one_under_foreign_proc(int arg, bool without_pidfds)
{
	uint64_t said = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (without_pidfds && !forbid_pidfds(ENOSYS))
		_exit(NOT_PERMITTED);
	said = holdfast_process_start_time(getpid());
	if (getpid() != 1 || holdfast_process_is_dead(getpid(), 0))
		_exit(1);
	if (!without_pidfds && holdfast_process_is_dead(getpid(), said))
		_exit(2);
	if (without_pidfds && (said != 0 || holdfast_process_is_dead(getpid(), 12345)))
		_exit(3);
	_exit(write(arg, &said, sizeof(said)) == (ssize_t) sizeof(said) ? 0 : 4);
}

static int
ask_under_foreign_proc(int without_pidfds)
{
	int fd[2];
	uint64_t said;
	uint64_t seen;
	siginfo_t info;
	int status;
	pid_t pid;

	if (unshare(CLONE_NEWPID) != 0)
		return NOT_PERMITTED;
	if (pipe2(fd, O_CLOEXEC) != 0)
		return 10;
	pid = fork();
	if (pid == 0)
		be_one_under_foreign_proc(fd[1], without_pidfds != 0);
	if (waitid(P_PID, (id_t) pid, &info, WEXITED | WNOWAIT) != 0)
		return 11;
	seen = holdfast_process_start_time(pid);
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return 12;
	if (WEXITSTATUS(status) != 0)
		return WEXITSTATUS(status);
	if (read(fd[0], &said, sizeof(said)) != (ssize_t) sizeof(said))
		return 13;
	if (without_pidfds)
		return 0;
	return said != 0 && said == seen ? 0 : 14;
}

Test(identity, our_number_under_anothers_proc)
{
	expect_ok(child_wait(child_start_without_slot(ask_under_foreign_proc, 0)));
}

Test(identity, our_number_under_anothers_proc_without_pidfds)
{
	expect_ok(child_wait(child_start_without_slot(ask_under_foreign_proc, 1)));
}

/* ---- boot, namespaces, incarnation ---- */

Test(identity, boot_id_is_a_uuid_and_stays)
{
	char one[40];
	char two[40];

	cr_assert(holdfast_identity_boot_id(one) && holdfast_identity_boot_id(two));
	cr_assert_str_eq(one, two);
	cr_assert(strlen(one) == 36);
	cr_assert(strspn(one, "0123456789abcdef-") == 36);
	cr_assert(one[8] == '-' && one[13] == '-' && one[18] == '-' && one[23] == '-');
}

static int
ask_boot_id_without_proc(int arg)
{
	const char *const directories[] = {"/proc/sys", "/proc/sys/kernel", "/proc/sys/kernel/random"};
	char boot_id[40];
	uint64_t one;
	uint64_t two;
	int fd;

	(void) arg;
	if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
		mount("none", "/proc", "tmpfs", 0, NULL) != 0)
		return NOT_PERMITTED;
	errno = 0;
	if (holdfast_identity_boot_id(boot_id) || errno != ENOENT)
		return 1;
	errno = 0;
	if (holdfast_identity_namespaces(&one, &two) || errno != ENOENT)
		return 2;
	for (int i = 0; i < 3; i++)
	{
		if (mkdir(directories[i], 0700) != 0)
			return 3;
	}
	fd = open("/proc/sys/kernel/random/boot_id", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, "too short\n", 10) != 10 || close(fd) != 0)
		return 4;
	errno = 0;
	return holdfast_identity_boot_id(boot_id) || errno != EIO ? 5 : 0;
}

Test(identity, what_the_kernel_does_not_tell_is_an_error)
{
	expect_ok(child_wait(child_start_without_slot(ask_boot_id_without_proc, 0)));
}

static int
move_to_another_ipc_namespace(int arg)
{
	uint64_t pid_before, pid_after, ipc_before, ipc_after;

	(void) arg;
	if (!holdfast_identity_namespaces(&pid_before, &ipc_before))
		return 1;
	if (unshare(CLONE_NEWIPC) != 0)
		return NOT_PERMITTED;
	if (!holdfast_identity_namespaces(&pid_after, &ipc_after))
		return 2;
	return pid_before != 0 && pid_before == pid_after && ipc_before != ipc_after ? 0 : 3;
}

Test(identity, namespaces_are_told_apart)
{
	uint64_t pid_namespace;
	uint64_t ipc_namespace;

	cr_assert(holdfast_identity_namespaces(&pid_namespace, &ipc_namespace));
	cr_assert(pid_namespace != 0 && ipc_namespace != 0 && pid_namespace != ipc_namespace);
	expect_ok(child_wait(child_start_without_slot(move_to_another_ipc_namespace, 0)));
}

Test(identity, cookies_are_random)
{
	HoldfastCookie cookie[64];

	for (unsigned i = 0; i < 64; i++)
	{
		cr_assert(holdfast_identity_cookie(&cookie[i]));
		cr_assert(cookie[i].word[0] != 0 || cookie[i].word[1] != 0);
		for (unsigned j = 0; j < i; j++)
			cr_assert(memcmp(&cookie[i], &cookie[j], sizeof(cookie[i])) != 0);
	}
}

/* ---- time namespaces ---- */

/* Where both clocks are `seconds` ahead: what ask() says there; NOT_PERMITTED. */
static int
elsewhen(int64_t seconds, int (*ask)(pid_t pid, uint64_t start_time), pid_t pid,
		 uint64_t start_time)
{
	char text[96];
	int length = snprintf(text, sizeof(text), "monotonic %lld 0\nboottime %lld 5000000\n",
						  (long long) seconds, (long long) seconds);
	pid_t outside = fork(), inside;
	int status, fd;

	if (outside != 0)
		return waitpid(outside, &status, 0) == outside && WIFEXITED(status) ? WEXITSTATUS(status)
																			: 99;
	fd = unshare(CLONE_NEWTIME) == 0 ? open("/proc/self/timens_offsets", O_WRONLY) : -1;
	if (fd < 0 || write(fd, text, (size_t) length) != length)
		_exit(NOT_PERMITTED);
	close(fd);
	inside = fork();
	if (inside == 0)
		_exit(ask(pid, start_time));
	_exit(waitpid(inside, &status, 0) == inside && WIFEXITED(status) ? WEXITSTATUS(status) : 98);
}

static int
ask_dead(pid_t pid, uint64_t start_time)
{
	return holdfast_process_is_dead(pid, start_time);
}

static int
ask_start_time(pid_t pid, uint64_t start_time)
{
	int64_t difference = (int64_t) (holdfast_process_start_time(pid) - start_time);

	return difference >= -1 && difference <= 1;
}

/* A waiter that calls the living dead takes their locks away. */
Test(identity, the_living_are_alive_in_every_time_namespace)
{
	uint64_t start_time = holdfast_process_start_time(getpid());
	int said = elsewhen(100000, ask_dead, getpid(), start_time);

	if (said == NOT_PERMITTED)
		cr_skip_test("no time namespaces here");
	cr_assert_eq(said, 0, "alive, and said to be dead (%d)", said);
	cr_assert_eq(elsewhen(100000, ask_start_time, getpid(), start_time), 1);
	cr_assert_eq(elsewhen(0, ask_start_time, getpid(), start_time), 1);
	/* Another start time is another process there, too. */
	cr_assert_eq(elsewhen(100000, ask_dead, getpid(), start_time + 50), 1);
	/* Not just where /proc shows it: whoever stands there under that very number passes for the one that is meant. */
	cr_assert_eq(elsewhen(100000, ask_dead, getpid(), start_time + 100000 * 100 + 50), 1);
}

/* Between unshare and fork nobody can tell: then a start time is no proof. */
Test(identity, who_cannot_know_its_clock_calls_nobody_dead)
{
	pid_t child = fork();
	int status;

	if (child == 0)
	{
		pid_t parent = getppid();
		uint64_t start_time = holdfast_process_start_time(parent);

		if (unshare(CLONE_NEWTIME) < 0)
			_exit(NOT_PERMITTED);
		_exit(holdfast_process_is_dead(parent, start_time) ||
			  holdfast_process_is_dead(parent, start_time + 50));
	}
	cr_assert_eq(waitpid(child, &status, 0), child);
	if (WEXITSTATUS(status) == NOT_PERMITTED)
		cr_skip_test("no time namespaces here");
	cr_assert_eq(status, 0);
}
