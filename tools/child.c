/*
 * child.c
 *		Starting programs and waiting for them.
 */
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static sigset_t before;
static bool interrupted;

static sigset_t
awaited(void)
{
	sigset_t set;

	(void) sigemptyset(&set);
	(void) sigaddset(&set, SIGCHLD);
	(void) sigaddset(&set, SIGINT);
	(void) sigaddset(&set, SIGTERM);
	(void) sigaddset(&set, SIGHUP);
	return set;
}

void
children_begin(void)
{
	sigset_t set = awaited();

	interrupted = false;
	(void) sigprocmask(SIG_BLOCK, &set, &before);
}

void
children_end(void)
{
	(void) sigprocmask(SIG_SETMASK, &before, NULL);
}

bool
children_interrupted(void)
{
	return interrupted;
}

static _Noreturn void
become(const char *const *argv, const char *const *settings, const char *output, pid_t parent)
{
	int in = open("/dev/null", O_RDONLY);
	int out = open(output, O_WRONLY | O_CREAT | O_TRUNC, 0666);

	(void) prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent || in < 0 || out < 0)
		_exit(126);
	if (dup2(in, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0 || dup2(out, STDERR_FILENO) < 0)
		_exit(126);
	for (; settings != NULL && *settings != NULL; settings++)
		(void) putenv((char *) (uintptr_t) *settings);
	(void) sigprocmask(SIG_SETMASK, &before, NULL);
	(void) execvp(argv[0], (char *const *) (uintptr_t) argv);
	_exit(127);
}

pid_t
child_start(const char *const *argv, const char *const *settings, const char *output)
{
	pid_t parent = getpid();
	pid_t pid = fork();

	if (pid == 0)
		become(argv, settings, output, parent);
	return pid;
}

static int
reap(pid_t *children, int count, int *status)
{
	for (int i = 0; i < count; i++)
	{
		if (children[i] > 0 && waitpid(children[i], status, WNOHANG) == children[i])
		{
			children[i] = 0;
			return i;
		}
	}
	return -1;
}

int
child_wait(pid_t *children, int count, int ms, int *status)
{
	struct timespec patience = {.tv_sec = ms / 1000, .tv_nsec = (long) (ms % 1000) * 1000000};
	sigset_t set = awaited();
	int which = reap(children, count, status);
	int got;

	if (which >= 0)
		return which;
	got = sigtimedwait(&set, NULL, &patience);
	if (got == SIGINT || got == SIGTERM || got == SIGHUP)
		interrupted = true;
	return reap(children, count, status);
}

uint64_t
monotonic_ms(void)
{
	struct timespec now;

	(void) clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t) now.tv_sec * 1000 + (uint64_t) now.tv_nsec / 1000000;
}

bool
child_run(const char *const *argv, const char *const *settings, const char *output,
		  uint64_t deadline_ms, int *status)
{
	uint64_t end = monotonic_ms() + deadline_ms;
	pid_t pid = child_start(argv, settings, output);

	if (pid < 0)
		return false;
	while (child_wait(&pid, 1, 200, status) < 0)
	{
		if (interrupted || (deadline_ms != 0 && monotonic_ms() >= end))
			(void) kill(pid, SIGKILL);
	}
	return true;
}
