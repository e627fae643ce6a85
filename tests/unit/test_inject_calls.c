/*
 * test_inject_calls.c
 *		The list of calls: each errno of each arrives as the manual says, by --wrap, by syscall() and by preload; each
 *		call still does what it is for, and is seen before and after.
 */
#include <criterion/criterion.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>

/* The wrappers that the library's calls are linked to; the test's own calls are its own. */
#include "inject/syscall/prototypes.h"
#define CALL(how_, result_, name_, ...) extern __typeof__(name_) __wrap_##name_;
#define LONE_POINT(...)
#include "inject/syscall/calls.def"
extern __typeof__(syscall) __wrap_syscall;

#define THE(name_) __wrap_##name_
#include "../support/arm.h"
#include "../support/every_call.h"
#include "inject/inject.h"
#include "inject/syscall/errno_table.h"

TestSuite(inject_calls, .timeout = 120);

/* The n-th arrival meets the n-th errno.  How many there are. */
static int
plan_all_errnos(const InjectCallSpec *spec, char *plan, size_t size)
{
	size_t length = (size_t) snprintf(plan, size, "%s=", spec->point);
	int count = 0;

	for (; spec->errnos[count] != 0; count++)
		length += (size_t) snprintf(plan + length, size - length, "%s#1 errno(%s)",
									count > 0 ? "->" : "", inject_errno_name(spec->errnos[count]));
	cr_assert(length < size);
	return count;
}

/* What a failed call must look like to its caller. */
static bool
failed_well(const EveryCall *call, long result, int number, int expected)
{
	return call->returns_errno ? result == expected && number == 0
							   : result == -1 && number == expected;
}

static uint64_t
fires(const char *point)
{
	InjectPointInfo info;

	cr_assert(inject_point_find(point, &info), "%s", point);
	return info.fires;
}

/* ---- every errno ---- */

typedef struct Calls
{
	int next;
} Calls;

/* The next call of the list that is not a point after one. */
static const InjectCallSpec *
next_call(Calls *at)
{
	const InjectCallSpec *spec;

	while ((spec = inject_call_spec_at(at->next++)) != NULL)
		if (spec->call != NULL)
			return spec;
	return NULL;
}

Test(inject_calls, every_errno_by_wrap)
{
	const InjectCallSpec *spec;
	int tried = 0;

	for (Calls at = {0}; (spec = next_call(&at)) != NULL;)
	{
		const EveryCall *call = every_call_find(spec->call);
		char plan[2048];
		int count = plan_all_errnos(spec, plan, sizeof(plan));

		/* vfork is there in preload only: the library has none */
		if (call == NULL)
		{
			cr_assert_str_eq(spec->call, "vfork");
			continue;
		}
		arm(plan);
		for (int i = 0; i < count; i++, tried++)
		{
			long result;

			errno = 0;
			result = call->make();
			cr_expect(failed_well(call, result, errno, spec->errnos[i]), "%s: %s gives %ld, %s",
					  spec->point, strerrorname_np(spec->errnos[i]), result, strerror(errno));
		}
		cr_expect(fires(spec->point) == (uint64_t) count, "%s", spec->point);
	}
	cr_expect(tried > 450, "%d", tried);
}

Test(inject_calls, every_errno_by_number)
{
	const InjectCallSpec *spec;
	int calls = 0;

	for (Calls at = {0}; (spec = next_call(&at)) != NULL;)
	{
		char plan[2048];
		int count;

		if (spec->number < 0 || spec->number == SYS_futex || spec->number == SYS_vfork)
			continue;
		calls++;
		count = plan_all_errnos(spec, plan, sizeof(plan));
		arm(plan);
		for (int i = 0; i < count; i++)
		{
			errno = 0;
			/* numbers fail as the kernel's do, whatever the function of that name returns */
			cr_expect(__wrap_syscall(spec->number, 1000L, 0L, 0L, 0L, 0L, 0L) == -1 &&
						  errno == spec->errnos[i],
					  "%s: %s", spec->point, strerror(errno));
		}
		cr_expect(fires(spec->point) == (uint64_t) count, "%s", spec->point);
	}
	cr_expect(calls > 45, "%d", calls);
}

/* ---- a program that knows nothing of it ---- */

static void
path_beside(const char *name, char *path)
{
	char self[PATH_MAX] = "";

	cr_assert(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
	cr_assert(snprintf(path, PATH_MAX, "%s/%s", dirname(self), name) < PATH_MAX);
	cr_assert(access(path, R_OK) == 0, "%s", path);
}

typedef struct Output
{
	int status;
	char text[4096];
} Output;

/* The victim under preload and this process's table, in the directory `where`. */
static Output
run_victim(const char *where, char *const *arguments)
{
	Output output = {0};
	char preload[PATH_MAX];
	char victim[PATH_MAX];
	size_t length = 0;
	ssize_t got;
	int ends[2];
	pid_t pid;

	path_beside("../lib/holdfast_preload.so", preload);
	path_beside("holdfast_victim", victim);
	cr_assert(pipe(ends) == 0);
	pid = fork();
	cr_assert(pid >= 0);
	if (pid == 0)
	{
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(ends[1], STDOUT_FILENO);
		dup2(ends[1], STDERR_FILENO);
		close(ends[0]);
		close(ends[1]);
		setenv("LD_PRELOAD", preload, 1);
		if (chdir(where) == 0)
			execv(victim, arguments);
		_exit(127);
	}
	close(ends[1]);
	while (length < sizeof(output.text) - 1 &&
		   (got = read(ends[0], output.text + length, sizeof(output.text) - 1 - length)) > 0)
		length += (size_t) got;
	close(ends[0]);
	cr_assert(waitpid(pid, &output.status, 0) == pid);
	return output;
}

static void
check_lines(const InjectCallSpec *spec, const EveryCall *call, const Output *output, int count)
{
	const char *line = output->text;

	for (int i = 0; i < count; i++)
	{
		long result;
		int number;

		cr_assert(sscanf(line, "%ld %d", &result, &number) == 2, "%s: %s", spec->point,
				  output->text);
		cr_expect(failed_well(call, result, number, spec->errnos[i]), "%s: %s gives %ld %d",
				  spec->point, strerrorname_np(spec->errnos[i]), result, number);
		line = strchr(line, '\n') + 1;
	}
	cr_expect(*line == '\0', "%s: %s", spec->point, line);
}

Test(inject_calls, every_errno_by_preload)
{
	const InjectCallSpec *spec;
	char directory[] = "/tmp/holdfast-calls-XXXXXX";

	cr_assert(mkdtemp(directory) != NULL);
	cr_assert(inject_table_create(NULL) == INJECT_OK && inject_table_export(NULL) == INJECT_OK);
	for (Calls at = {0}; (spec = next_call(&at)) != NULL;)
	{
		char plan[2048];
		char times[16];
		char name[32];
		char *arguments[] = {(char[]){"victim"}, (char[]){"call"}, name, times, NULL};
		EveryCall vfork_call = {"vfork", false, NULL};
		const EveryCall *call = every_call_find(spec->call);
		int count = plan_all_errnos(spec, plan, sizeof(plan));
		Output output;

		snprintf(name, sizeof(name), "%s", spec->call);
		snprintf(times, sizeof(times), "%d", count);
		if (call == NULL)
		{
			call = &vfork_call;
			arguments[1] = name;
			arguments[2] = NULL;
			count = 1;
		}
		arm(plan);
		output = run_victim(directory, arguments);
		cr_expect(output.status == 0, "%s: %#x %s", spec->point, output.status, output.text);
		check_lines(spec, call, &output, count);
		cr_expect(fires(spec->point) == (uint64_t) count, "%s", spec->point);
	}
	cr_expect(rmdir(directory) == 0);
}

/* ---- for real ---- */

/* Arrivals at all points of calls; those that a program cannot make by its own means are said. */
static void
check_all_seen(bool preload)
{
	for (int i = 0; inject_call_spec_at(i) != NULL; i++)
	{
		const char *point = inject_call_spec_at(i)->point;
		InjectPointInfo info;

		if (strcmp(point, "process/vfork") == 0)
			continue;
		cr_assert(inject_point_find(point, &info), "%s", point);
		cr_expect(info.hits > 0, "%s was not seen%s", point, preload ? " by preload" : "");
	}
}

Test(inject_calls, every_call_works_and_is_seen_before_and_after)
{
	char directory[] = "/tmp/holdfast-calls-XXXXXX";
	int line;

	cr_assert(mkdtemp(directory) != NULL && chdir(directory) == 0);
	arm("*=count");
	line = every_call_for_real();
	cr_expect(line == 0, "every_call.h:%d: %s", line, strerror(errno));
	check_all_seen(false);
	cr_expect(chdir("/") == 0 && rmdir(directory) == 0);
}

Test(inject_calls, every_call_works_and_is_seen_by_preload)
{
	char directory[] = "/tmp/holdfast-calls-XXXXXX";
	Output output;

	cr_assert(mkdtemp(directory) != NULL);
	arm("*=count");
	cr_assert(inject_table_export(NULL) == INJECT_OK);
	output = run_victim(directory, (char *[]){(char[]){"victim"}, (char[]){"all"}, NULL});
	cr_expect(output.status == 0, "%s", output.text);
	check_all_seen(true);
	arm("process/vfork=count");
	output = run_victim(directory, (char *[]){(char[]){"victim"}, (char[]){"vfork"}, NULL});
	cr_expect_str_eq(output.text, "1 0\n");
	cr_expect(fires("process/vfork") == 1);
	/* between vfork and its end the child is in its parent's memory, and dies alone */
	arm("file/close=#1 kill");
	output = run_victim(directory, (char *[]){(char[]){"victim"}, (char[]){"vfork"}, NULL});
	cr_expect_str_eq(output.text, "1 0 SIGKILL\n");
	cr_expect(output.status == 0 && fires("file/close") == 1);
	cr_expect(rmdir(directory) == 0);
}

/* ---- more than errnos ---- */

Test(inject_calls, vectors_are_cut_torn_and_changed)
{
	int fd = memfd_create("test", MFD_CLOEXEC);
	char text[16] = "";
	struct iovec three[3] = {{(char[]){"abc"}, 3}, {(char[]){"def"}, 3}, {(char[]){"ghi"}, 3}};
	struct iovec two[2] = {{text, 2}, {text + 4, 4}};

	arm("file/writev=#1 short(7)->#1 short(2)->#1 torn(6)->#1 skip->#1 short(0); "
		"file/preadv=#1 corrupt(3,0x20)->#1 short(1)");
	/* at most so many bytes: as many whole pieces as fit, or a part of the first */
	cr_expect(__wrap_writev(fd, three, 3) == 6);
	cr_expect(__wrap_writev(fd, three, 3) == 2);
	cr_expect(__wrap_writev(fd, three, 3) == 9);
	cr_expect(__wrap_writev(fd, three, 3) == 9);
	cr_expect(__wrap_writev(fd, three, 3) == 0);
	cr_expect(__wrap_writev(fd, three, 0) == 0);
	cr_expect(lseek(fd, 0, SEEK_END) == 14);
	cr_expect(__wrap_preadv(fd, two, 2, 0) == 6);
	cr_expect(memcmp(text, "ab\0\0cDef", 8) == 0, "%s %s", text, text + 4);
	cr_expect(__wrap_preadv(fd, two, 2, 5) == 1 && text[0] == 'f' && text[1] == 'b');
	close(fd);
}

Test(inject_calls, clocks_jump_both_ways_and_after_a_point)
{
	struct timespec before;
	struct timespec now;
	struct timeval old;

	arm("clock/clock_gettime=#1 jump(2h)[arg=CLOCK_REALTIME]->#1 jump(-90m)[arg=CLOCK_REALTIME]; "
		"clock/time=after(sysv/sem/semget) jump(-876000h); clock/gettimeofday=jump(-1500ms)");
	cr_assert(clock_gettime(CLOCK_REALTIME, &before) == 0);
	cr_expect(__wrap_clock_gettime(CLOCK_MONOTONIC, &now) == 0 && now.tv_sec < before.tv_sec);
	cr_expect(__wrap_clock_gettime(CLOCK_REALTIME, &now) == 0);
	cr_expect(now.tv_sec >= before.tv_sec + 7200 && now.tv_sec < before.tv_sec + 7200 + 600);
	cr_expect(__wrap_clock_gettime(CLOCK_REALTIME, &now) == 0);
	cr_expect(now.tv_sec >= before.tv_sec - 5400 && now.tv_sec < before.tv_sec - 5400 + 600);
	cr_expect(now.tv_nsec >= 0 && now.tv_nsec < 1000000000);
	cr_expect(__wrap_time(NULL) >= before.tv_sec);
	cr_expect(__wrap_semget(IPC_PRIVATE, -1, 0) == -1);
	cr_expect(__wrap_time(NULL) <= before.tv_sec - INT64_C(876000) * 3600 + 600);
	cr_assert(clock_gettime(CLOCK_REALTIME, &before) == 0);
	cr_expect(__wrap_gettimeofday(&old, NULL) == 0);
	cr_expect(old.tv_sec <= before.tv_sec && old.tv_sec >= before.tv_sec - 3);
	cr_expect(old.tv_usec >= 0 && old.tv_usec < 1000000);
}

Test(inject_calls, a_clock_can_jump_and_nothing_else_can)
{
	InjectError error;

	cr_assert(inject_table_create(NULL) == INJECT_OK);
	cr_expect(inject_arm("file/fsync=jump(1s)", &error) == INJECT_BAD_PLAN);
	cr_expect(strstr(error.message, "no clock is read there") != NULL, "%s", error.message);
	cr_expect(inject_arm("clock/post-clock_gettime=jump(1s)", &error) == INJECT_BAD_PLAN);
}

/* A storm of EINTR: whoever sleeps for the rest sleeps the whole in the end. */
Test(inject_calls, an_interrupted_sleep_says_what_is_left)
{
	struct timespec time = {0, 2000000};
	struct timespec rest = {0, 0};
	int interrupted = 0;

	arm("clock/nanosleep=#1..20 errno(EINTR); clock/clock_nanosleep=#1 errno(EINTR)");
	while (__wrap_nanosleep(&time, &rest) == -1 && errno == EINTR)
	{
		interrupted++;
		cr_assert(rest.tv_sec == 0 && rest.tv_nsec == 2000000);
		time = rest;
	}
	cr_expect(interrupted == 20, "%d", interrupted);
	rest.tv_nsec = 0;
	cr_expect(__wrap_clock_nanosleep(CLOCK_MONOTONIC, 0, &time, &rest) == EINTR);
	cr_expect(rest.tv_nsec == 2000000);
}

static int
outcome_of(int (*body)(void))
{
	int status;
	pid_t pid = fork();

	cr_assert(pid >= 0);
	if (pid == 0)
	{
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(body());
	}
	cr_assert(waitpid(pid, &status, 0) == pid);
	return WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status);
}

static int semid;

static int
post_semaphore(void)
{
	struct sembuf up = {0, 1, 0};

	return __wrap_semop(semid, &up, 1) == 0 ? 0 : 1;
}

Test(inject_calls, death_before_a_semop_undoes_it_and_after_it_does_not)
{
	semid = semget(IPC_PRIVATE, 1, IPC_CREAT | 0600);
	cr_assert(semid >= 0);
	arm("sysv/sem/semop=kill");
	cr_expect(outcome_of(post_semaphore) == 1000 + SIGKILL);
	cr_expect(semctl(semid, 0, GETVAL) == 0);
	arm("sysv/sem/post-semop=kill");
	cr_expect(outcome_of(post_semaphore) == 1000 + SIGKILL);
	cr_expect(semctl(semid, 0, GETVAL) == 1);
	arm("sysv/sem/semop=skip");
	cr_expect(outcome_of(post_semaphore) == 0);
	cr_expect(semctl(semid, 0, GETVAL) == 1, "a skipped call was made");
	cr_expect(semctl(semid, 0, IPC_RMID) == 0);
}

static int
fork_and_wait(void)
{
	int status;
	pid_t pid = __wrap_fork();

	if (pid == 0)
		_exit(5);
	return pid > 0 && waitpid(pid, &status, 0) == pid ? (WIFSIGNALED(status) ? 9 : 1) : 2;
}

Test(inject_calls, after_a_fork_the_argument_says_who_dies)
{
	arm("process/post-fork=kill[arg=0..0]");
	cr_expect(outcome_of(fork_and_wait) == 9, "the child dies, its parent does not");
	arm("process/post-fork=kill[arg=1..9999999]");
	cr_expect(outcome_of(fork_and_wait) == 1000 + SIGKILL, "the parent dies");
}

/* libfiu draws its errnos from random(), by time. */
Test(inject_calls, the_programs_random_numbers_are_its_own)
{
	long expected[8];

	srandom(4711);
	for (int i = 0; i < 8; i++)
		expected[i] = random();
	arm("file/fsync=50% errno(EIO)");
	srandom(4711);
	for (int i = 0; i < 8; i++)
	{
		(void) __wrap_fsync(-1);
		cr_expect(random() == expected[i]);
	}
}
