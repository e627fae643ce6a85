/*
 * identity.c
 *		Forcing what by chance takes years: another process, segment or boot under a number that was somebody's.
 *
 * The kernel's own means, made for restoring checkpoints: clone3(set_tid), ns_last_pid, shm_next_id and sem_next_id;
 * a bind mount for the boot id; a time namespace.
 */
#include "identity.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define BOOT_ID_PATH   "/proc/sys/kernel/random/boot_id"
#define BOOT_ID_LENGTH 36
#define RACES_MAX      20 /* others fork, too, between our writing of ns_last_pid and our fork */

static bool
write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t written;
	int saved_errno;

	if (fd < 0)
		return false;
	written = write(fd, text, strlen(text));
	saved_errno = errno;
	(void) close(fd);
	errno = saved_errno;
	return written == (ssize_t) strlen(text);
}

static bool
write_number(const char *path, int64_t number)
{
	char text[32];

	(void) snprintf(text, sizeof(text), "%" PRId64, number);
	return write_text(path, text);
}

/* ---- processes ---- */

/* The kernel keeps the C library's idea of the thread's number right, if it is told where that is. */
static pid_t
clone_as(pid_t pid)
{
	struct clone_args args = {
		.exit_signal = SIGCHLD, .set_tid = (uintptr_t) &pid, .set_tid_size = 1};
	int *tid_address = NULL;

	if (prctl(PR_GET_TID_ADDRESS, &tid_address, 0, 0, 0) == 0 && tid_address != NULL)
	{
		args.flags = CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID;
		args.child_tid = (uintptr_t) tid_address;
	}
	return (pid_t) syscall(SYS_clone3, &args, sizeof(args));
}

static pid_t
fork_after(pid_t pid)
{
	for (int i = 0; i < RACES_MAX; i++)
	{
		pid_t child;

		if (!write_number("/proc/sys/kernel/ns_last_pid", (int64_t) pid - 1))
			return -1;
		child = fork();
		if (child == 0 && getpid() != pid)
			_exit(0);
		if (child <= 0 || child == pid)
			return child;
		/* that one ends by itself; nobody else waits for it */
		while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
			;
	}
	errno = EEXIST;
	return -1;
}

pid_t
identity_fork_as(pid_t pid)
{
	pid_t child;

	(void) fflush(NULL);
	child = clone_as(pid);
	if (child < 0 && (errno == ENOSYS || errno == EPERM || errno == EINVAL))
		child = fork_after(pid);
	return child;
}

/* ---- System V objects ---- */

int
identity_shmget_as(int shmid, key_t key, size_t size, int flags)
{
	int got;

	if (!write_number("/proc/sys/kernel/shm_next_id", shmid))
		return -1;
	got = shmget(key, size, flags | IPC_CREAT | IPC_EXCL);
	if (got == shmid || got < 0)
		return got;
	(void) shmctl(got, IPC_RMID, NULL);
	errno = EEXIST;
	return -1;
}

int
identity_semget_as(int semid, key_t key, int count, int flags)
{
	int got;

	if (!write_number("/proc/sys/kernel/sem_next_id", semid))
		return -1;
	got = semget(key, count, flags | IPC_CREAT | IPC_EXCL);
	if (got == semid || got < 0)
		return got;
	(void) semctl(got, 0, IPC_RMID);
	errno = EEXIST;
	return -1;
}

/* ---- boot and time ---- */

bool
identity_boot_id_set(const char *boot_id, const char *directory)
{
	char path[PATH_MAX];
	char line[BOOT_ID_LENGTH + 2];
	bool well;
	int saved_errno;
	int fd;

	if (strlen(boot_id) != BOOT_ID_LENGTH)
	{
		errno = EINVAL;
		return false;
	}
	(void) snprintf(path, sizeof(path), "%s/boot-id-XXXXXX", directory);
	(void) snprintf(line, sizeof(line), "%s\n", boot_id);
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		return false;
	/* the mount keeps the file after its name is gone */
	well = write(fd, line, sizeof(line) - 1) == (ssize_t) sizeof(line) - 1 &&
		   fchmod(fd, 0444) == 0 && mount(path, BOOT_ID_PATH, NULL, MS_BIND, NULL) == 0;
	saved_errno = errno;
	(void) close(fd);
	(void) unlink(path);
	errno = saved_errno;
	return well;
}

bool
identity_boot_id_restore(void)
{
	return umount2(BOOT_ID_PATH, MNT_DETACH) == 0;
}

/* Whole seconds, rounded down, and what is left of them. */
static int
print_offset(char *text, size_t size, const char *clock, int64_t ns)
{
	int64_t seconds = ns / 1000000000 - (ns % 1000000000 < 0 ? 1 : 0);

	return snprintf(text, size, "%s %" PRId64 " %" PRId64 "\n", clock, seconds,
					ns - seconds * 1000000000);
}

bool
identity_clocks_for_children(int64_t monotonic_ns, int64_t boottime_ns)
{
	char text[128];
	int length = print_offset(text, sizeof(text), "monotonic", monotonic_ns);

	(void) print_offset(text + length, sizeof(text) - (size_t) length, "boottime", boottime_ns);
	return unshare(CLONE_NEWTIME) == 0 && write_text("/proc/self/timens_offsets", text);
}
