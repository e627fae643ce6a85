/*
 * test_inject_identity.c
 *		Numbers by force: the means that there are, and that what they give is what was asked for.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <unistd.h>

#include "inject/identity/identity.h"

TestSuite(inject_identity, .timeout = 60);

/* Not everything works everywhere; what does not says so by a number of its own. */
Test(inject_identity, each_means_works_or_says_why)
{
	for (int means = 0; means < IDENTITY_MEANS; means++)
	{
		bool through;
		int error = identity_probe((IdentityMeans) means, &through);

		cr_expect(identity_means_name((IdentityMeans) means) != NULL);
		cr_expect(error == 0 || error == EPERM || error == EACCES || error == ENOSYS ||
					  error == ENOENT || error == EINVAL || error == ENOSPC,
				  "%s: %s", identity_means_name((IdentityMeans) means), strerror(error));
		cr_expect(error != 0 || geteuid() != 0 || !through, "root needs no user namespace");
	}
	cr_expect(identity_means_name(IDENTITY_MEANS) == NULL);
}

/* ---- in namespaces of its own: the line of what went wrong, or 0; 255: there are none to be had ---- */

#define WELL(condition_)                                                                           \
	do                                                                                             \
	{                                                                                              \
		if (!(condition_))                                                                         \
			return __LINE__ - here;                                                                \
	} while (0)

static int
status_of(pid_t pid)
{
	int status = -1;

	return waitpid(pid, &status, 0) == pid ? status : -1;
}

static int
processes(void)
{
	const int here = __LINE__;
	pid_t child;

	for (int i = 0; i < 200; i++)
	{
		child = identity_fork_as(777);
		if (child == 0)
			_exit(getpid() == 777 ? 7 : 8);
		WELL(child == 777 && WEXITSTATUS(status_of(child)) == 7);
	}
	child = identity_fork_as(778);
	if (child == 0)
	{
		/* the C library sends this to the thread that it believes to be */
		(void) signal(SIGABRT, SIG_DFL);
		abort();
	}
	WELL(child == 778);
	/* a zombie keeps its number */
	WELL(waitid(P_PID, 778, &(siginfo_t){0}, WEXITED | WNOWAIT) == 0);
	WELL(identity_fork_as(778) == -1 && errno == EEXIST);
	WELL(WTERMSIG(status_of(778)) == SIGABRT);
	return 0;
}

static int
objects(void)
{
	const int here = __LINE__;
	int shmid = shmget(4711, 4096, IPC_CREAT | 0600);
	int semid = semget(4711, 2, IPC_CREAT | 0600);

	WELL(shmid >= 0 && semid >= 0);
	WELL(identity_shmget_as(shmid, 4712, 4096, 0600) == -1 && errno == EEXIST);
	WELL(identity_semget_as(semid, 4712, 1, 0600) == -1 && errno == EEXIST);
	/* nothing is left of that */
	WELL(shmget(4712, 0, 0) == -1 && semget(4712, 0, 0) == -1);
	WELL(shmctl(shmid, IPC_RMID, NULL) == 0 && semctl(semid, 0, IPC_RMID) == 0);
	WELL(identity_shmget_as(shmid, 4711, 8192, 0600) == shmid);
	WELL(identity_semget_as(semid, 4711, 3, 0600) == semid);
	return 0;
}

static int
boot(void)
{
	const int here = __LINE__;

	WELL(!identity_boot_id_set("too short", "/tmp") && errno == EINVAL);
	WELL(identity_boot_id_set("01234567-89ab-4def-8123-456789abcdef", "/tmp"));
	WELL(system("grep -q 01234567-89ab-4def-8123-456789abcdef /proc/sys/kernel/random/boot_id") ==
		 0);
	WELL(identity_boot_id_restore());
	WELL(system("! grep -q 01234567-89ab-4def-8123-456789abcdef /proc/sys/kernel/random/boot_id") ==
		 0);
	WELL(system("test -z \"$(ls /tmp)\"") == 0);
	return 0;
}

static int
as_first(int (*body)(void))
{
	(void) prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		mount("proc", "/proc", "proc", 0, NULL) < 0 || mount("tmpfs", "/tmp", "tmpfs", 0, NULL) < 0)
		return 255;
	return body();
}

static void
in_namespaces(int (*body)(void))
{
	pid_t pid = fork();
	int status;

	cr_assert(pid >= 0);
	if (pid == 0)
	{
		pid_t first;

		if (unshare(CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWNS) < 0)
			_exit(255);
		first = fork();
		if (first == 0)
			_exit(as_first(body));
		status = status_of(first);
		_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 254);
	}
	status = status_of(pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 255)
		cr_skip_test("namespaces of its own need root; x70-recycled does this without");
	cr_expect(status == 0, "%d lines into it", WEXITSTATUS(status));
}

Test(inject_identity, a_pid_is_somebody_elses)
{
	in_namespaces(processes);
}

Test(inject_identity, ids_are_somebody_elses)
{
	in_namespaces(objects);
}

Test(inject_identity, the_boot_is_another)
{
	in_namespaces(boot);
}
