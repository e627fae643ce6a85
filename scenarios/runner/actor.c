/*
 * actor.c
 *		See actor.h.
 *
 * Crash safety: an actor that dies anywhere leaves its pidfd readable and its latches as they were.
 * Errors: as ScenarioStatus with a message; system calls that fail here are SCENARIO_ERROR.
 */
#include "runner/actor.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <holdfast/ipc.h>

#include "inject/inject.h"
#include "runner/clock.h"

static __attribute__((noreturn)) void
actor_main(ScenarioContext *ctx, const char *role, int ordinal, ActorBody body, void *arg)
{
	sigset_t none;

	for (int sig = 1; sig < NSIG; sig++)
		if (sig != SIGKILL && sig != SIGSTOP)
			signal(sig, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	on_exit_reset();
	inject_set_role(role, ordinal);

	int code = body(ctx, arg);

	fflush(NULL);
	_exit(code);
}

ScenarioStatus
actor_start(ScenarioContext *ctx, Actor *actor, const char *role, int ordinal, ActorBody body,
			void *arg)
{
	memset(actor, 0, sizeof(*actor));
	snprintf(actor->name, sizeof(actor->name), "%.20s.%d", role, ordinal);
	fflush(NULL);
	actor->pid = fork();
	if (actor->pid == 0)
		actor_main(ctx, role, ordinal, body, arg);
	if (actor->pid < 0)
		return scenario_error(ctx, "could not fork %s: %s", actor->name, strerror(errno));
	actor->pidfd = (int) syscall(SYS_pidfd_open, actor->pid, 0);
	if (actor->pidfd < 0)
		return scenario_error(ctx, "no pidfd of %s: %s", actor->name, strerror(errno));
	return SCENARIO_PASS;
}

/* Polls a pidfd until its process has ended. */
static ScenarioStatus
wait_for_pidfd(ScenarioContext *ctx, int pidfd, const char *name)
{
	for (;;)
	{
		struct pollfd one = {.fd = pidfd, .events = POLLIN};
		int polled = poll(&one, 1, scenario_time_left_ms(ctx));

		if (polled > 0)
			return SCENARIO_PASS;
		if (polled < 0 && errno != EINTR)
			return scenario_error(ctx, "could not wait for %s: %s", name, strerror(errno));
		if (scenario_time_left_ms(ctx) == 0)
			return scenario_fail(ctx, "%s did not end in time", name);
	}
}

ScenarioStatus
actor_wait(ScenarioContext *ctx, Actor *actor)
{
	if (actor->reaped)
		return SCENARIO_PASS;
	SCENARIO_TRY(wait_for_pidfd(ctx, actor->pidfd, actor->name));
	if (waitpid(actor->pid, &actor->wait_status, 0) != actor->pid)
		return scenario_error(ctx, "could not reap %s: %s", actor->name, strerror(errno));
	actor->reaped = true;
	close(actor->pidfd);
	actor->pidfd = -1;
	return SCENARIO_PASS;
}

static void
describe_end(const Actor *actor, char *text, size_t size)
{
	int status = actor->wait_status;

	if (WIFSIGNALED(status))
		snprintf(text, size, "was killed by signal %d (%s)", WTERMSIG(status),
				 strsignal(WTERMSIG(status)));
	else
		snprintf(text, size, "exited with code %d", WEXITSTATUS(status));
}

ScenarioStatus
actor_expect_exit(ScenarioContext *ctx, Actor *actor, int code)
{
	char end[96];

	SCENARIO_TRY(actor_wait(ctx, actor));
	if (WIFEXITED(actor->wait_status) && WEXITSTATUS(actor->wait_status) == code)
		return SCENARIO_PASS;
	describe_end(actor, end, sizeof(end));
	return scenario_fail(ctx, "%s %s, not with code %d", actor->name, end, code);
}

ScenarioStatus
actor_expect_signal(ScenarioContext *ctx, Actor *actor, int signal_number)
{
	char end[96];

	SCENARIO_TRY(actor_wait(ctx, actor));
	if (WIFSIGNALED(actor->wait_status) && WTERMSIG(actor->wait_status) == signal_number)
		return SCENARIO_PASS;
	describe_end(actor, end, sizeof(end));
	return scenario_fail(ctx, "%s %s, not by signal %d (%s)", actor->name, end, signal_number,
						 strsignal(signal_number));
}

bool
actor_alive(const Actor *actor)
{
	struct pollfd one = {.fd = actor->pidfd, .events = POLLIN};

	return !actor->reaped && poll(&one, 1, 0) == 0;
}

ScenarioStatus
actor_signal(ScenarioContext *ctx, const Actor *actor, int signal_number)
{
	if (syscall(SYS_pidfd_send_signal, actor->pidfd, signal_number, NULL, 0) == 0)
		return SCENARIO_PASS;
	return scenario_error(ctx, "could not send signal %d to %s: %s", signal_number, actor->name,
						  strerror(errno));
}

ScenarioStatus
actor_kill(ScenarioContext *ctx, Actor *actor)
{
	SCENARIO_TRY(actor_signal(ctx, actor, SIGKILL));
	return actor_expect_signal(ctx, actor, SIGKILL);
}

ScenarioStatus
wait_for_pid_stopped(ScenarioContext *ctx, pid_t pid)
{
	char path[64], line[512];

	snprintf(path, sizeof(path), "/proc/%d/stat", (int) pid);
	/* There is no event for "somebody else's child has stopped": look until it has. */
	while (scenario_time_left_ms(ctx) > 0)
	{
		FILE *file = fopen(path, "re");
		const char *after_name;

		if (!file || !fgets(line, sizeof(line), file))
			line[0] = '\0';
		if (file)
			fclose(file);
		after_name = strrchr(line, ')');
		if (!after_name)
			return scenario_fail(ctx, "process %d ended instead of stopping", (int) pid);
		if (strncmp(after_name, ") T", 3) == 0)
			return SCENARIO_PASS;
		sched_yield();
	}
	return scenario_fail(ctx, "process %d did not stop in time", (int) pid);
}

ScenarioStatus
actor_stop(ScenarioContext *ctx, Actor *actor)
{
	SCENARIO_TRY(actor_signal(ctx, actor, SIGSTOP));
	return wait_for_pid_stopped(ctx, actor->pid);
}

ScenarioStatus
wait_for_pid_gone(ScenarioContext *ctx, pid_t pid)
{
	char name[32];
	int pidfd = (int) syscall(SYS_pidfd_open, pid, 0);
	ScenarioStatus status;

	if (pidfd < 0)
		return errno == ESRCH
				   ? SCENARIO_PASS
				   : scenario_error(ctx, "no pidfd of process %d: %s", (int) pid, strerror(errno));
	snprintf(name, sizeof(name), "process %d", (int) pid);
	status = wait_for_pidfd(ctx, pidfd, name);
	close(pidfd);
	return status;
}

void *
shared_memory(ScenarioContext *ctx, size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
	{
		scenario_error(ctx, "could not map shared memory: %s", strerror(errno));
		return NULL;
	}
	return memory;
}
