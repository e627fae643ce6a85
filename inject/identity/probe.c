/*
 * probe.c
 *		Which of the identity room's means work here.
 *
 * Each is tried for real: a child enters namespaces of its own, through a user namespace where it must, and its
 * child, PID 1 there, does the thing and looks at what came of it.
 *
 * Owner: nothing stays.  Thread safety: it forks.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "identity.h"

#define PROBE_PID     4711
#define PROBE_ID      4711
#define PROBE_BOOT_ID "01234567-89ab-4def-8123-456789abcdef"

/* ---- as PID 1 of namespaces of its own: 0 or an errno ---- */

static int
end_of(pid_t child)
{
	int status;

	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
}

static int
try_pid(void)
{
	pid_t child = identity_fork_as(PROBE_PID);

	if (child == 0)
		_exit(getpid() == PROBE_PID ? 0 : ESRCH);
	return child < 0 ? errno : end_of(child);
}

static int
try_last_pid(void)
{
	int fd = open("/proc/sys/kernel/ns_last_pid", O_WRONLY | O_CLOEXEC);
	pid_t child;

	if (fd < 0 || write(fd, "4710", 4) != 4)
		return errno;
	(void) close(fd);
	child = fork();
	if (child == 0)
		_exit(getpid() == PROBE_PID ? 0 : ESRCH);
	return child < 0 ? errno : end_of(child);
}

static int
try_shmid(void)
{
	int shmid = identity_shmget_as(PROBE_ID, IPC_PRIVATE, 4096, 0600);
	int error = errno;

	return shmid < 0 ? error : shmctl(shmid, IPC_RMID, NULL) < 0 ? errno : 0;
}

static int
try_semid(void)
{
	int semid = identity_semget_as(PROBE_ID, IPC_PRIVATE, 1, 0600);
	int error = errno;

	return semid < 0 ? error : semctl(semid, 0, IPC_RMID) < 0 ? errno : 0;
}

static int
try_boot_id(void)
{
	char text[64] = "";
	int fd;

	if (!identity_boot_id_set(PROBE_BOOT_ID, "/tmp"))
		return errno;
	fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
		return errno;
	(void) close(fd);
	return strncmp(text, PROBE_BOOT_ID, strlen(PROBE_BOOT_ID)) == 0 ? 0 : EINVAL;
}

static int
try_time(void)
{
	struct timespec before;
	struct timespec now;
	pid_t child;

	if (clock_gettime(CLOCK_BOOTTIME, &before) < 0 ||
		!identity_clocks_for_children(0, INT64_C(100000) * 1000000000))
		return errno;
	child = fork();
	if (child == 0)
		_exit(clock_gettime(CLOCK_BOOTTIME, &now) == 0 && now.tv_sec >= before.tv_sec + 100000
				  ? 0
				  : EINVAL);
	return child < 0 ? errno : end_of(child);
}

static const struct
{
	const char *name;
	int (*try)(void);
} means_table[IDENTITY_MEANS] = {
	[IDENTITY_PID] = {"PID reuse", try_pid},
	[IDENTITY_LAST_PID] = {"ns_last_pid", try_last_pid},
	[IDENTITY_SHM_NEXT_ID] = {"shm_next_id", try_shmid},
	[IDENTITY_SEM_NEXT_ID] = {"sem_next_id", try_semid},
	[IDENTITY_BOOT_ID] = {"boot_id", try_boot_id},
	[IDENTITY_TIME_NAMESPACE] = {"time namespace", try_time},
};

const char *
identity_means_name(IdentityMeans means)
{
	return (unsigned) means < IDENTITY_MEANS ? means_table[means].name : NULL;
}

/* ---- getting there ---- */

static bool
write_map(const char *path, unsigned id)
{
	char text[64];
	int length = snprintf(text, sizeof(text), "0 %u 1\n", id);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool well = fd >= 0 && write(fd, text, (size_t) length) == length;

	if (fd >= 0)
		(void) close(fd);
	return well;
}

/* Whoever we are becomes root there; without that, nothing can be written where we mount. */
static bool
enter(int namespaces)
{
	unsigned uid = geteuid();
	unsigned gid = getegid();
	int fd;

	if (unshare(namespaces) < 0)
		return false;
	if ((namespaces & CLONE_NEWUSER) == 0)
		return true;
	fd = open("/proc/self/setgroups", O_WRONLY | O_CLOEXEC);
	if (fd >= 0)
	{
		(void) !write(fd, "deny", 4);
		(void) close(fd);
	}
	return write_map("/proc/self/uid_map", uid) && write_map("/proc/self/gid_map", gid);
}

static int
inside(int namespaces, int (*try)(void))
{
	pid_t first;

	if (!enter(namespaces))
		return errno;
	first = fork();
	if (first == 0)
	{
		(void) prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
			mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0 ||
			mount("tmpfs", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0700") < 0)
			_exit(errno);
		_exit(try());
	}
	return first < 0 ? errno : end_of(first);
}

static int
probe_in(int namespaces, int (*try)(void))
{
	pid_t child;

	(void) fflush(NULL);
	child = fork();
	if (child == 0)
		_exit(inside(namespaces, try));
	return child < 0 ? errno : end_of(child);
}

int
identity_probe(IdentityMeans means, bool *through_user_namespace)
{
	const int namespaces = CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWNS;
	int (*try)(void) = means_table[means].try;
	int error = probe_in(namespaces, try);

	*through_user_namespace = false;
	if (error != EPERM && error != EACCES)
		return error;
	*through_user_namespace = true;
	return probe_in(namespaces | CLONE_NEWUSER, try);
}
