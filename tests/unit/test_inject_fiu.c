/*
 * test_inject_fiu.c
 *		libfiu as the way in: its own API acts at our points, and its known defects are not ours.
 *
 * The defects, each with the test that shows that a plan does not have it: probability -1 never fires;
 * ONETIME is per process; a seed repeats one sequence in all children; a fork while another thread is inside
 * hangs the child; an action holds up whoever arms; the remote control starts a thread that takes signals;
 * a missing value crashes; names that are not there are taken; nothing says whether a fault happened.
 */
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fiu-control.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define FIU_ENABLE
#include <fiu.h>

#include "../support/arm.h"
#include "inject/inject.h"

#define DEADLINE_MS 20000

TestSuite(inject_fiu, .timeout = 120);

/* What the library's calls are linked to. */
int __wrap_shmget(key_t key, size_t size, int flags);

static void
reach(void)
{
	INJECT_POINT("test/fiu/point", INJECT_ANYWHERE, "nothing");
}

static void
reach_no_malloc(void)
{
	INJECT_POINT("test/fiu/no-malloc", INJECT_NO_MALLOC, "nothing");
}

static uint64_t
item_fires(int index)
{
	InjectItemInfo info;

	cr_assert(inject_item_at(index, &info));
	return info.fires;
}

static pid_t
start_child(void)
{
	pid_t parent = getpid();
	pid_t pid = fork();

	cr_assert(pid >= 0);
	if (pid == 0)
	{
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(99);
	}
	return pid;
}

static int
outcome(pid_t pid)
{
	int status;

	cr_assert(waitpid(pid, &status, 0) == pid);
	return WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* ---- plans go through libfiu ---- */

Test(inject_fiu, an_armed_point_is_enabled_in_libfiu)
{
	arm("test/fiu/point=#2 count");
	/* libfiu crashes when it is asked anything before this */
	cr_assert(fiu_init(0) == 0);
	cr_expect(fiu_disable("test/fiu/point") != 0, "not before the first hit");
	reach();
	/* Somebody else's fiu_fail() is not a hit of ours. */
	cr_expect(fiu_fail("test/fiu/point") == 0);
	cr_expect(fiu_disable("test/fiu/point") == 0, "libfiu knew the point");
	/* Disabled there by whoever: the plan holds. */
	reach();
	cr_expect(item_fires(0) == 1);
}

Test(inject_fiu, a_table_that_goes_takes_its_points_out_of_libfiu)
{
	arm("test/fiu/point=count");
	reach();
	inject_table_detach();
	cr_expect(fiu_disable("test/fiu/point") != 0);
	reach();
}

/* ---- passthrough: what users of libfiu expect ---- */

typedef struct UserCase
{
	const char *name;
	intptr_t failinfo;
	unsigned flags;
	int outcome;
} UserCase;

static int
child_under(const UserCase *user)
{
	pid_t pid = start_child();

	if (pid == 0)
	{
		if (inject_fiu_passthrough(true, NULL) != INJECT_OK ||
			fiu_enable(user->name, 1, (void *) user->failinfo, user->flags) != 0)
			_exit(90);
		reach();
		_exit(0);
	}
	return outcome(pid);
}

Test(inject_fiu, the_users_failinfo_is_a_signal)
{
	static const UserCase cases[] = {
		{"test/fiu/point", 0, 0, 1000 + SIGKILL},
		{"test/fiu/point", SIGTERM, 0, 1000 + SIGTERM},
		{"test/fiu/point", 123456, 0, 1000 + SIGKILL},
		{"test/fiu/point", 0, FIU_ONETIME, 1000 + SIGKILL},
		{"test/fiu/*", SIGUSR1, 0, 1000 + SIGUSR1},
		{"*", SIGUSR2, 0, 1000 + SIGUSR2},
		{"test/fiu/other", 0, 0, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		int got = child_under(&cases[i]);

		cr_expect(got == cases[i].outcome, "%s, %d: %d", cases[i].name, (int) cases[i].failinfo,
				  got);
	}
}

Test(inject_fiu, the_users_failinfo_at_a_call_is_an_errno)
{
	cr_assert(inject_fiu_passthrough(true, NULL) == INJECT_OK);
	cr_assert(fiu_enable("sysv/shm/shmget", 1, (void *) (intptr_t) EEXIST, 0) == 0);
	cr_expect(__wrap_shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600) == -1 && errno == EEXIST);
	/* None, and one that shmget never gives: the first of the documented ones. */
	cr_assert(fiu_disable("sysv/shm/shmget") == 0); /* libfiu leaks what is enabled twice */
	cr_assert(fiu_enable("sysv/shm/shmget", 1, NULL, 0) == 0);
	cr_expect(__wrap_shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600) == -1 && errno == ENOSPC);
	cr_assert(fiu_disable("sysv/shm/shmget") == 0);
	cr_assert(fiu_enable("sysv/shm/shmget", 1, (void *) (intptr_t) EXDEV, 0) == 0);
	cr_expect(__wrap_shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600) == -1 && errno == ENOSPC);
	cr_assert(fiu_disable("sysv/shm/shmget") == 0);
	reach();
}

Test(inject_fiu, remote_control_strings_work)
{
	char command[] = "enable name=sysv/shm/shmget,failinfo=12";
	char *problem = NULL;

	setenv("FIU_ENABLE", command, 1);
	cr_assert(inject_init_from_environment(NULL) == INJECT_OK && inject_table_mapped());
	cr_assert(fiu_rc_string(command, &problem) == 0, "%s", problem);
	cr_expect(__wrap_shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600) == -1 && errno == ENOMEM);
}

Test(inject_fiu, the_plan_wins_over_the_user)
{
	pid_t pid = start_child();

	if (pid == 0)
	{
		arm("test/fiu/point=exit(5)");
		if (inject_fiu_passthrough(true, NULL) != INJECT_OK ||
			fiu_enable("test/fiu/point", 1, NULL, 0) != 0)
			_exit(90);
		reach();
		_exit(0);
	}
	cr_expect(outcome(pid) == 5);
}

Test(inject_fiu, where_malloc_is_forbidden_libfiu_is_not_asked)
{
	cr_assert(inject_fiu_passthrough(true, NULL) == INJECT_OK);
	cr_assert(fiu_enable("test/fiu/no-malloc", 1, NULL, 0) == 0);
	reach_no_malloc();
	arm("test/fiu/no-malloc=count");
	reach_no_malloc();
	cr_expect(item_fires(0) == 1, "plans act there all the same");
}

Test(inject_fiu, passthrough_ends)
{
	InjectPointInfo info;

	cr_assert(inject_fiu_passthrough(true, NULL) == INJECT_OK);
	cr_assert(fiu_enable("test/fiu/point", 1, NULL, 0) == 0);
	cr_assert(inject_fiu_passthrough(false, NULL) == INJECT_OK);
	reach();
	cr_assert(inject_point_find("test/fiu/point", &info));
	cr_expect(info.hits == 0);
}

/* ---- libfiu's defects ---- */

Test(inject_fiu, always_is_always)
{
	int fires = 0;

	/* libfiu: -1 is documented to mean always, and means never. */
	cr_assert(fiu_init(0) == 0);
	cr_assert(fiu_enable_random("elsewhere", 1, NULL, 0, -1) == 0);
	for (int i = 0; i < 1000; i++)
		fires += fiu_fail("elsewhere");
	cr_expect(fires == 0, "libfiu was mended: say so in the documentation");
	arm("test/fiu/point=100% count");
	for (int i = 0; i < 1000; i++)
		reach();
	cr_expect(item_fires(0) == 1000);
	cr_expect(inject_arm("test/fiu/point=-1% count", NULL) == INJECT_BAD_PLAN);
}

Test(inject_fiu, once_is_once_over_all_processes)
{
	int libfiu = 0;
	int ours = 0;

	cr_assert(fiu_init(0) == 0);
	cr_assert(fiu_enable("elsewhere", 1, NULL, FIU_ONETIME) == 0);
	arm("test/fiu/point=1*exit(2)");
	for (int i = 0; i < 5; i++)
	{
		pid_t pid = start_child();

		if (pid == 0)
			_exit(fiu_fail("elsewhere"));
		libfiu += outcome(pid);
		pid = start_child();
		if (pid == 0)
		{
			reach();
			_exit(0);
		}
		ours += outcome(pid) == 2;
	}
	cr_expect(libfiu == 5, "libfiu's ONETIME fires in each child");
	cr_expect(ours == 1);
}

static volatile bool churning = true;

static void *
churn(void *arg)
{
	(void) arg;
	while (churning)
	{
		(void) fiu_enable("elsewhere/churned", 1, NULL, 0);
		(void) fiu_disable("elsewhere/churned");
	}
	return NULL;
}

/* A child that is forked while another thread is inside libfiu: its lock is copied as it stands. */
Test(inject_fiu, a_fork_amid_threads_does_not_hang_the_child)
{
	pthread_t thread;

	arm("test/fiu/point=#1 exit(7)[count=proc]");
	cr_assert(fiu_init(0) == 0);
	cr_assert(pthread_create(&thread, NULL, churn, NULL) == 0);
	for (int i = 0; i < 100; i++)
	{
		pid_t pid = start_child();

		if (pid == 0)
		{
			alarm(20);
			reach();
			_exit(0);
		}
		cr_assert(outcome(pid) == 7, "child %d", i);
	}
	churning = false;
	pthread_join(thread, NULL);
}

static void *
reach_once(void *arg)
{
	(void) arg;
	reach();
	return NULL;
}

/* libfiu's callbacks run under its lock, and so would their sleeping. */
Test(inject_fiu, a_running_action_holds_up_nobody)
{
	pthread_t thread;

	arm("test/fiu/point=pause(here)");
	cr_assert(pthread_create(&thread, NULL, reach_once, NULL) == 0);
	cr_assert(inject_wait_reached("here", 1, DEADLINE_MS) == INJECT_OK);
	/* Would wait for the paused thread for ever, were it inside. */
	cr_expect(fiu_enable("elsewhere", 1, NULL, 0) == 0);
	cr_expect(fiu_disable("elsewhere") == 0);
	inject_disarm_all();
	pthread_join(thread, NULL);
}

static int
count_threads(void)
{
	DIR *tasks = opendir("/proc/self/task");
	int count = 0;

	cr_assert(tasks != NULL);
	for (struct dirent *entry = readdir(tasks); entry != NULL; entry = readdir(tasks))
		count += entry->d_name[0] != '.';
	closedir(tasks);
	return count;
}

/*
 * libfiu's remote control reads a FIFO in a thread, which then takes signals that main() has blocked.  Counted in
 * children: beside the test itself Criterion has a thread, which comes when it likes.
 */
Test(inject_fiu, control_needs_no_thread)
{
	pid_t pid;

	arm("test/fiu/point=#5 exit(4)");
	pid = start_child();
	if (pid == 0)
	{
		reach();
		_exit(inject_arm("test/fiu/point=count", NULL) == INJECT_OK ? count_threads() : 90);
	}
	cr_expect(outcome(pid) == 1);
	pid = start_child();
	if (pid == 0)
	{
		reach();
		_exit(inject_fiu_passthrough(true, NULL) == INJECT_OK ? count_threads() : 91);
	}
	cr_expect(outcome(pid) == 1);
}

Test(inject_fiu, incomplete_commands_are_errors_not_crashes)
{
	static const char *const plans[] = {
		"test/fiu/point",       "test/fiu/point=", "=kill",
		"test/fiu/point=errno", "enable",          "enable name",
		"enable name=",         "seed=",           "test/fiu/point=kill[proc]",
		"test/fiu/point=kill[",
	};
	InjectError error;

	cr_assert(inject_table_create(NULL) == INJECT_OK);
	for (size_t i = 0; i < sizeof(plans) / sizeof(plans[0]); i++)
	{
		cr_expect(inject_arm(plans[i], &error) == INJECT_BAD_PLAN, "%s", plans[i]);
		cr_expect(error.line == 1 && error.column >= 1, "%s", plans[i]);
	}
}

Test(inject_fiu, what_libfiu_takes_silently_is_refused)
{
	InjectError error;

	cr_assert(fiu_init(0) == 0);
	cr_expect(fiu_enable("test/fiu/piont", 1, NULL, 0) == 0, "libfiu takes any name");
	cr_expect(fiu_enable("test/*/point", 1, NULL, 0) == 0, "and a star that never matches");
	cr_assert(inject_table_create(NULL) == INJECT_OK);
	cr_expect(inject_arm("test/fiu/piont=kill", &error) == INJECT_BAD_PLAN);
	cr_expect_str_eq(error.suggestion, "test/fiu/point");
	cr_expect(inject_arm("test/*/point=kill", &error) == INJECT_BAD_PLAN);
}

/* A plan's decisions take nothing from random(), and give nothing to it. */
Test(inject_fiu, the_programs_own_random_numbers_are_left_alone)
{
	long expected[8];

	srandom(7);
	for (int i = 0; i < 8; i++)
		expected[i] = random();
	arm("seed=3; test/fiu/point=50% count");
	srandom(7);
	for (int i = 0; i < 8; i++)
	{
		reach();
		cr_expect(random() == expected[i]);
	}
}
