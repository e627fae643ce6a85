/*
 * identity.c
 *		Is that process the one that was meant, and does it still run?  Which boot and which namespace is this?
 *
 * A PID is only a number: it is reused, a zombie keeps it, a thread can have it.  A process is a PID together with
 * its start time; whether it runs is asked through a pidfd, which polls readable as soon as the process has ended,
 * reaped or not.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <holdfast/recovery.h>

#include "identity.h"

#define START_TIME_FIELD 22 /* of /proc/PID/stat, counted from 1 */

/* Reads a small file whole; -1 with errno. */
static ssize_t
read_small_file(const char *path, char *buffer, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got;
	int saved_errno;

	if (fd < 0)
		return -1;
	do
		got = read(fd, buffer, size - 1);
	while (got < 0 && errno == EINTR);
	saved_errno = errno;
	(void) close(fd);
	errno = saved_errno;
	if (got >= 0)
		buffer[got] = '\0';
	return got;
}

uint64_t
holdfast_process_start_time(pid_t pid)
{
	char path[64];
	char stat_line[1024];
	const char *field;
	uint64_t value = 0;

	(void) snprintf(path, sizeof(path), "/proc/%d/stat", (int) pid);
	if (pid <= 0 || read_small_file(path, stat_line, sizeof(stat_line)) <= 0)
		return 0;
	/* The name in parentheses may itself contain blanks and parentheses: fields are counted after the last. */
	field = strrchr(stat_line, ')');
	for (int i = 2; field != NULL && i < START_TIME_FIELD; i++)
		field = strchr(field + 1, ' ');
	if (field == NULL || sscanf(field, "%lu", &value) != 1)
		return 0;
	return value;
}

bool
holdfast_process_is_dead(pid_t pid, uint64_t start_time)
{
	struct pollfd poller = {.events = POLLIN};
	uint64_t now;
	int ended;

	if (pid <= 0)
		return true;
	poller.fd = (int) syscall(SYS_pidfd_open, pid, 0);
	if (poller.fd < 0)
	{
		/* ESRCH: nobody.  EINVAL (ENOENT since Linux 6.15): a thread's number, no process has it. */
		return errno == ESRCH || errno == EINVAL || errno == ENOENT;
	}
	do
		ended = poll(&poller, 1, 0);
	while (ended < 0 && errno == EINTR);
	(void) close(poller.fd);
	if (ended > 0)
		return true;
	if (start_time == 0)
		return false;
	now = holdfast_process_start_time(pid);
	return now != 0 && now != start_time;
}

bool
holdfast_identity_boot_id(char out[40])
{
	char text[64];

	if (read_small_file("/proc/sys/kernel/random/boot_id", text, sizeof(text)) < 36)
		return false;
	memcpy(out, text, 36);
	out[36] = '\0';
	return true;
}

bool
holdfast_identity_namespaces(uint64_t *pid_namespace, uint64_t *ipc_namespace)
{
	struct stat info;

	if (stat("/proc/self/ns/pid", &info) < 0)
		return false;
	*pid_namespace = info.st_ino;
	if (stat("/proc/self/ns/ipc", &info) < 0)
		return false;
	*ipc_namespace = info.st_ino;
	return true;
}

bool
holdfast_identity_cookie(HoldfastCookie *out)
{
	do
	{
		if (getrandom(out, sizeof(*out), 0) != (ssize_t) sizeof(*out))
			return false;
	} while (out->word[0] == 0 && out->word[1] == 0);
	return true;
}
