/*
 * test_report.c
 *		Statuses by name, the last error, the reporters: what a caller and an operator are told.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <holdfast/holdfast.h>
#include <holdfast/ipc.h>

#include "report.h"

TestSuite(report, .timeout = 60);

Test(report, every_status_has_its_own_name)
{
	char seen[64][40];
	int count = 0;

	for (int status = HOLDFAST_RESET_NEEDED; status <= HOLDFAST_OWNER_DEAD; status++)
	{
		const char *name = holdfast_status_name((HoldfastStatus) status);

		cr_assert(strncmp(name, "HOLDFAST_", 9) == 0);
		cr_assert(strcmp(name, "HOLDFAST_UNKNOWN_STATUS") != 0, "%d", status);
		for (int i = 0; i < count; i++)
			cr_assert(strcmp(name, seen[i]) != 0);
		(void) snprintf(seen[count++], sizeof(seen[0]), "%s", name);
	}
	cr_assert(strcmp(holdfast_status_name((HoldfastStatus) 1000), "HOLDFAST_UNKNOWN_STATUS") == 0);
	cr_assert(strcmp(holdfast_status_name((HoldfastStatus) -1000), "HOLDFAST_UNKNOWN_STATUS") == 0);
}

Test(report, an_error_is_remembered_and_a_warning_is_not)
{
	HoldfastStatus status;

	cr_assert(holdfast_last_error()->level == HOLDFAST_DEBUG);
	status = report(HOLDFAST_ERROR, HOLDFAST_SYSTEM_ERROR, ENOSPC, "a detail", "a hint",
					"no %s: %m", "room");
	cr_assert(status == HOLDFAST_SYSTEM_ERROR);
	cr_assert(holdfast_last_error()->saved_errno == ENOSPC);
	cr_assert(strcmp(holdfast_last_error()->message, "no room: No space left on device") == 0);
	cr_assert(strcmp(holdfast_last_error()->detail, "a detail") == 0);
	cr_assert(strcmp(holdfast_last_error()->hint, "a hint") == 0);
	cr_assert(strcmp(holdfast_last_error()->function, __func__) == 0);
	(void) report(HOLDFAST_WARNING, HOLDFAST_TIMED_OUT, 0, NULL, NULL, "later");
	cr_assert(holdfast_last_error()->status == HOLDFAST_SYSTEM_ERROR);
}

Test(report, errno_is_the_callers_own)
{
	errno = EDOM;
	(void) report(HOLDFAST_ERROR, HOLDFAST_SYSTEM_ERROR, EIO, NULL, NULL, "x: %m");
	cr_assert(errno == EDOM);
}

Test(report, a_long_message_is_cut_and_ends)
{
	char text[2000];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	(void) report(HOLDFAST_ERROR, HOLDFAST_MISUSE, 0, text, text, "%s", text);
	cr_assert(strlen(holdfast_last_error()->message) == sizeof(holdfast_last_error()->message) - 1);
	cr_assert(strlen(holdfast_last_error()->detail) == sizeof(holdfast_last_error()->detail) - 1);
	cr_assert(strlen(holdfast_last_error()->hint) == sizeof(holdfast_last_error()->hint) - 1);
}

static void *
look_from_another_thread(void *unused)
{
	(void) unused;
	return (void *) (uintptr_t) (holdfast_last_error()->level == HOLDFAST_DEBUG);
}

Test(report, the_last_error_is_the_threads_own)
{
	pthread_t thread;
	void *clean;

	(void) report(HOLDFAST_ERROR, HOLDFAST_MISUSE, 0, NULL, NULL, "here");
	cr_assert(pthread_create(&thread, NULL, look_from_another_thread, NULL) == 0);
	cr_assert(pthread_join(thread, &clean) == 0);
	cr_assert(clean != NULL);
}

static void
count_reports(const HoldfastError *error, void *arg)
{
	int *counts = arg;

	counts[error->level]++;
	/* What the reporter is told has been remembered already. */
	if (error->level >= HOLDFAST_ERROR)
		counts[5] += holdfast_last_error()->line == error->line;
}

Test(report, a_reporter_hears_every_level)
{
	int counts[6] = {0};

	holdfast_set_reporter(count_reports, counts);
	for (HoldfastLevel level = HOLDFAST_DEBUG; level <= HOLDFAST_FATAL; level++)
		(void) report(level, HOLDFAST_MISUSE, 0, NULL, NULL, "x");
	holdfast_set_reporter(NULL, NULL);
	(void) report(HOLDFAST_ERROR, HOLDFAST_MISUSE, 0, NULL, NULL, "x");
	for (int level = 0; level < 5; level++)
		cr_assert(counts[level] == 1);
	cr_assert(counts[5] == 2);
}

/* Runs body in a child and returns what it wrote to stderr; *code is how it ended. */
static const char *
stderr_of(void (*body)(void), int *code)
{
	static char text[4096];
	size_t length = 0;
	ssize_t got;
	int fds[2];
	pid_t pid;

	cr_assert(pipe(fds) == 0);
	pid = fork();
	if (pid == 0)
	{
		(void) dup2(fds[1], STDERR_FILENO);
		(void) close(fds[0]);
		body();
		_exit(77);
	}
	(void) close(fds[1]);
	while ((got = read(fds[0], text + length, sizeof(text) - 1 - length)) > 0)
		length += (size_t) got;
	text[length] = '\0';
	(void) close(fds[0]);
	cr_assert(waitpid(pid, code, 0) == pid);
	return text;
}

static void
say_everything(void)
{
	holdfast_set_reporter(holdfast_report_to_stderr, NULL);
	(void) report(HOLDFAST_LOG, HOLDFAST_OK, 0, NULL, NULL, "one");
	(void) report(HOLDFAST_FATAL, HOLDFAST_MISUSE, 0, "because", "do this", "two");
	(void) report(HOLDFAST_WARNING, HOLDFAST_OK, 0, "only a detail", NULL, "three");
	(void) report(HOLDFAST_ERROR, HOLDFAST_OK, 0, NULL, "only a hint", "four");
}

Test(report, stderr_looks_like_postgresqls)
{
	int code;
	const char *text = stderr_of(say_everything, &code);

	cr_assert(strcmp(text, "LOG:  one\n"
						   "FATAL:  two\nDETAIL:  because\nHINT:  do this\n"
						   "WARNING:  three\nDETAIL:  only a detail\n"
						   "ERROR:  four\nHINT:  only a hint\n") == 0);
	cr_assert(WIFEXITED(code) && WEXITSTATUS(code) == 77); /* and nobody ended the process */
}

static void
note_exit(int code, Datum arg)
{
	(void) arg;
	(void) fprintf(stderr, "exit callback, code %d\n", code);
}

static void
fail_as_postgres(void)
{
	on_exit_reset();
	if (on_proc_exit(note_exit, 0) < 0)
		_exit(78);
	holdfast_set_reporter(holdfast_report_as_postgres, NULL);
	(void) report(HOLDFAST_ERROR, HOLDFAST_MISUSE, 0, NULL, NULL, "goes on");
	(void) report(HOLDFAST_FATAL, HOLDFAST_MISUSE, 0, NULL, NULL, "ends");
}

Test(report, fatal_as_postgres_runs_the_exit_callbacks_and_exits_with_1)
{
	int code;
	const char *text = stderr_of(fail_as_postgres, &code);

	cr_assert(strcmp(text, "ERROR:  goes on\nFATAL:  ends\nexit callback, code 1\n") == 0);
	cr_assert(WIFEXITED(code) && WEXITSTATUS(code) == 1);
}
