/*
 * victim.c
 *		A program that knows nothing of faults: what carriers of plans are tested on, dynamic and static.
 *
 *		victim call NAME COUNT	make that call so often, with arguments that do no harm; a line "RESULT ERRNO NAME" each
 *		victim vfork			"RESULT ERRNO" of a vfork, whose child closes nothing and ends; "SIGKILL" when it died
 *		victim all				every call for real, in the current directory; exit 0, or the line is said
 *		victim shm COUNT		COUNT segments; a line "ok" or the errno's name each; removes what it made
 *		victim fsync COUNT		COUNT times fsync of a file in the current directory; as above
 *		victim children N COUNT	N children, one after the other, that do `fsync COUNT`
 *
 * Output goes through stdio, once, at the end: the C library's own write, which no wrapper sees.
 */
#define THE(name_) name_
#include "every_call.h"

#include <stdio.h>
#include <stdlib.h>

static int
usage(void)
{
	(void) fputs("usage: victim call NAME COUNT | vfork | all | shm COUNT | fsync COUNT | children "
				 "N COUNT\n",
				 stderr);
	return 2;
}

static int
make_calls(const char *name, int count)
{
	const EveryCall *call = every_call_find(name);

	if (call == NULL)
		return usage();
	for (int i = 0; i < count; i++)
	{
		long result;
		int number;

		errno = 0;
		result = call->make();
		number = errno;
		if (call->returns_errno)
			(void) printf("%ld %d %s\n", result, number, strerrorname_np((int) result));
		else
			(void) printf("%ld %d %s\n", result, number,
						  number != 0 ? strerrorname_np(number) : "-");
	}
	return 0;
}

static int
make_vfork(void)
{
	pid_t pid;
	int number;
	int status = 0;

	errno = 0;
	pid = vfork();
	if (pid == 0)
	{
		(void) close(-1);
		_exit(5);
	}
	number = errno;
	if (pid > 0 && waitpid(pid, &status, 0) != pid)
		return 1;
	(void) printf("%d %d%s%s\n", pid > 0 ? 1 : pid, pid > 0 ? 0 : number,
				  WIFSIGNALED(status) ? " SIG" : "",
				  WIFSIGNALED(status) ? sigabbrev_np(WTERMSIG(status)) : "");
	return 0;
}

static void
say_outcome(bool well)
{
	(void) printf("%s\n", well ? "ok" : strerrorname_np(errno));
}

static int
make_segments(int count)
{
	for (int i = 0; i < count; i++)
	{
		int shmid = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);

		say_outcome(shmid >= 0);
		if (shmid >= 0)
			(void) shmctl(shmid, IPC_RMID, NULL);
	}
	return 0;
}

static int
make_syncs(int count)
{
	int fd = open("synced", O_RDWR | O_CREAT, 0600);

	if (fd < 0)
	{
		perror("synced");
		return 1;
	}
	for (int i = 0; i < count; i++)
		say_outcome(fsync(fd) == 0);
	(void) close(fd);
	return unlink("synced") != 0;
}

static int
make_children(int children, int count)
{
	for (int i = 0; i < children; i++)
	{
		int status;
		pid_t pid;

		(void) fflush(stdout);
		pid = fork();
		if (pid == 0)
			exit(make_syncs(count));
		if (pid < 0 || waitpid(pid, &status, 0) != pid)
			return 1;
		if (WIFSIGNALED(status))
			(void) printf("SIG%s\n", sigabbrev_np(WTERMSIG(status)));
	}
	return 0;
}

int
main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (strcmp(what, "call") == 0 && argc == 4)
		return make_calls(argv[2], atoi(argv[3]));
	if (strcmp(what, "vfork") == 0 && argc == 2)
		return make_vfork();
	if (strcmp(what, "shm") == 0 && argc == 3)
		return make_segments(atoi(argv[2]));
	if (strcmp(what, "fsync") == 0 && argc == 3)
		return make_syncs(atoi(argv[2]));
	if (strcmp(what, "children") == 0 && argc == 4)
		return make_children(atoi(argv[2]), atoi(argv[3]));
	if (strcmp(what, "all") == 0 && argc == 2)
	{
		int line = every_call_for_real();

		if (line != 0)
			(void) printf("every_call.h:%d: %s\n", line, strerror(errno));
		return line != 0;
	}
	return usage();
}
