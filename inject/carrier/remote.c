/*
 * remote.c
 *		Arrivals of other processes: who they are in the control table, decided here for them.
 *
 * Each has its own counters, as it would keep them itself under preload, and is named by what it executes.  A pid
 * is trusted while the pidfd that was opened with it says that its process lives.
 *
 * Owner: the list is this file's, one thread's.
 */
#include "remote.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SWEEP_EVERY 64 /* the dead are looked for when so many more are known */

static Remote **remotes;
static size_t remote_count;

static bool
has_ended(const Remote *remote)
{
	struct pollfd ended = {.fd = remote->pidfd, .events = POLLIN};

	return remote->pidfd < 0 || poll(&ended, 1, 0) == 1;
}

static void
forget(size_t index)
{
	if (remotes[index]->pidfd >= 0)
		(void) close(remotes[index]->pidfd);
	free(remotes[index]);
	remotes[index] = remotes[--remote_count];
}

void
remote_forget(void)
{
	while (remote_count > 0)
		forget(remote_count - 1);
	free(remotes);
	remotes = NULL;
}

/* Process and program of a thread, from its status file: "Name:\tsh\n...Tgid:\t4711\n". */
static pid_t
read_process(pid_t tid, char *program, size_t size)
{
	char path[64];
	char text[1024];
	const char *at;
	ssize_t length;
	int fd;

	(void) snprintf(path, sizeof(path), "/proc/%d/status", (int) tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	length = read(fd, text, sizeof(text) - 1);
	(void) close(fd);
	if (length <= 0)
		return -1;
	text[length] = '\0';
	at = strstr(text, "\nTgid:");
	if (strncmp(text, "Name:\t", 6) != 0 || at == NULL)
		return -1;
	(void) snprintf(program, size, "%.*s", (int) strcspn(text + 6, "\n"), text + 6);
	return (pid_t) strtol(at + 6, NULL, 10);
}

static Remote *
find(pid_t pid)
{
	for (size_t i = 0; i < remote_count; i++)
	{
		if (remotes[i]->pid != pid)
			continue;
		if (!has_ended(remotes[i]))
			return remotes[i];
		forget(i);
		break;
	}
	return NULL;
}

static Remote *
adopt(pid_t pid, bool living)
{
	Remote **longer;
	Remote *remote;

	if (living && remote_count % SWEEP_EVERY == SWEEP_EVERY - 1)
		for (size_t i = remote_count; i-- > 0;)
			if (has_ended(remotes[i]))
				forget(i);
	longer = realloc(remotes, (remote_count + 1) * sizeof(*remotes));
	remote = calloc(1, sizeof(*remote));
	if (longer != NULL)
		remotes = longer;
	if (longer == NULL || remote == NULL || !self_adopt(&remote->self, pid))
	{
		free(remote);
		return NULL;
	}
	remote->pid = pid;
	remote->pidfd = living ? (int) syscall(SYS_pidfd_open, pid, 0) : -1;
	remotes[remote_count++] = remote;
	return remote;
}

void
remote_name(Remote *remote, const char *program)
{
	(void) snprintf(remote->program, sizeof(remote->program), "%s", program);
	self_name(&remote->self, remote->program);
}

Remote *
remote_of(pid_t tid)
{
	char program[16];
	pid_t pid = read_process(tid, program, sizeof(program));
	Remote *remote;

	if (pid < 0)
		return NULL;
	remote = find(pid);
	if (remote == NULL)
		remote = adopt(pid, true);
	if (remote != NULL && strcmp(remote->program, program) != 0)
		remote_name(remote, program);
	return remote;
}

Remote *
remote_of_ended(pid_t pid)
{
	for (size_t i = 0; i < remote_count; i++)
		if (remotes[i]->pid == pid)
			return remotes[i];
	return adopt(pid, false);
}

void
remote_judge(Remote *remote, const RegistryPoint *point, bool has_arg, int64_t arg,
			 InjectArrival *arrival)
{
	*arrival = (InjectArrival){.site = point->first,
							   .index = point->index,
							   .has_arg = has_arg,
							   .arg = arg,
							   .step = &remote->step,
							   .self = &remote->self};
	inject_judge(arrival);
}
