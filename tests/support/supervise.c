/*
 * supervise.c
 *		supervise SECONDS COMMAND [ARG...]: runs a test program so that nothing of it outlives its result.
 *
 * A test runner that is killed at its deadline leaves its workers and their children running, holding the
 * pipes that CTest waits for; one that ends well may have left a daemon behind and say nothing of it.
 * This program is the subreaper of all of them: whatever loses its parent becomes our child.
 *
 * Exit code: the command's own (128+N when signal N ended it); 124 when the deadline passed; 125 when
 * processes were left over although the command ended; 126 when it could not be started.  In every case
 * all descendants are dead and reaped on return.
 *
 * Owner of the process tree: this process, by PR_SET_CHILD_SUBREAPER.  It dies with its own parent
 * (PDEATHSIG), and takes the tree with it.  One thread; signals are blocked and taken by sigtimedwait.
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define EXIT_DEADLINE  124
#define EXIT_LEFTOVER  125
#define EXIT_NOT_BEGUN 126

/* Workers of a runner that just ended are on their way out; what is there after that is left over. */
#define GRACE_MS 3000

typedef struct Tree
{
	pid_t main_pid;
	int main_status;
	bool main_ended;
	bool empty; /* no child at all is left */
} Tree;

static int64_t
now_ms(void)
{
	struct timespec now;

	(void) clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void
reap(Tree *tree)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
	{
		if (pid == tree->main_pid)
		{
			tree->main_ended = true;
			tree->main_status = status;
		}
	}
	tree->empty = pid < 0 && errno == ECHILD;
}

/* Waits for a signal until `deadline`.  Returns its number, 0 when the deadline passed. */
static int
wait_signal(const sigset_t *signals, int64_t deadline)
{
	int64_t left = deadline - now_ms();
	struct timespec timeout;
	int number;

	if (left <= 0)
		return 0;
	timeout = (struct timespec){.tv_sec = left / 1000, .tv_nsec = (left % 1000) * 1000000};
	number = sigtimedwait(signals, NULL, &timeout);
	return number > 0 ? number : 0;
}

/* The PIDs of our children, as the kernel lists them; calls `each` for every one. */
static void
for_each_child(void (*each)(pid_t pid))
{
	char path[64];
	FILE *file;
	int pid;

	(void) snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int) getpid());
	file = fopen(path, "re");
	if (file == NULL)
		return;
	while (fscanf(file, "%d", &pid) == 1)
		each((pid_t) pid);
	(void) fclose(file);
}

static void
name_child(pid_t pid)
{
	char path[64], name[64] = "";
	FILE *file;

	(void) snprintf(path, sizeof(path), "/proc/%d/comm", (int) pid);
	file = fopen(path, "re");
	if (file != NULL)
	{
		if (fgets(name, sizeof(name), file) != NULL)
			name[strcspn(name, "\n")] = '\0';
		(void) fclose(file);
	}
	(void) fprintf(stderr, "supervise: left over: process %d (%s)\n", (int) pid, name);
}

static void
kill_child(pid_t pid)
{
	(void) kill(pid, SIGKILL);
}

/* Kills children until there are none: the orphans of each round are the children of the next. */
static void
kill_tree(Tree *tree, const sigset_t *signals)
{
	for (reap(tree); !tree->empty; reap(tree))
	{
		for_each_child(kill_child);
		(void) wait_signal(signals, now_ms() + 100);
	}
}

static pid_t
start(char **argv, const sigset_t *old_mask)
{
	pid_t pid = fork();

	if (pid == 0)
	{
		(void) sigprocmask(SIG_SETMASK, old_mask, NULL);
		(void) execvp(argv[0], argv);
		(void) fprintf(stderr, "supervise: %s: %s\n", argv[0], strerror(errno));
		_exit(EXIT_NOT_BEGUN);
	}
	return pid;
}

static int
exit_code_of(int status)
{
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Follows the tree until it is empty, or must be ended.  Returns this program's exit code. */
static int
follow(Tree *tree, const sigset_t *signals, int64_t deadline)
{
	bool grace = false;

	for (;;)
	{
		int number;

		reap(tree);
		if (tree->empty)
			return exit_code_of(tree->main_status);
		if (tree->main_ended && !grace)
		{
			grace = true;
			deadline = now_ms() + GRACE_MS;
		}
		number = wait_signal(signals, deadline);
		if (number == SIGCHLD)
			continue;
		if (number != 0)
			return 128 + number;
		if (now_ms() < deadline)
			continue;
		if (!grace)
			(void) fprintf(stderr, "supervise: deadline passed\n");
		for_each_child(name_child);
		return grace ? EXIT_LEFTOVER : EXIT_DEADLINE;
	}
}

int
main(int argc, char **argv)
{
	sigset_t signals, old_mask;
	Tree tree = {0};
	char *end;
	long seconds;
	int code;

	seconds = argc >= 3 ? strtol(argv[1], &end, 10) : 0;
	if (argc < 3 || *end != '\0' || seconds <= 0)
	{
		(void) fprintf(stderr, "usage: supervise SECONDS COMMAND [ARG...]\n");
		return EXIT_NOT_BEGUN;
	}
	(void) sigemptyset(&signals);
	(void) sigaddset(&signals, SIGCHLD);
	(void) sigaddset(&signals, SIGTERM);
	(void) sigaddset(&signals, SIGINT);
	(void) sigaddset(&signals, SIGHUP);
	(void) sigprocmask(SIG_BLOCK, &signals, &old_mask);
	if (prctl(PR_SET_CHILD_SUBREAPER, 1) != 0 || prctl(PR_SET_PDEATHSIG, SIGTERM) != 0)
	{
		perror("supervise: prctl");
		return EXIT_NOT_BEGUN;
	}
	tree.main_pid = start(argv + 2, &old_mask);
	if (tree.main_pid < 0)
	{
		perror("supervise: fork");
		return EXIT_NOT_BEGUN;
	}
	code = follow(&tree, &signals, now_ms() + seconds * 1000);
	kill_tree(&tree, &signals);
	return code;
}
