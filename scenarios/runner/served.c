/*
 * served.c
 *		See served.h.
 *
 * Errors: ScenarioStatus; whatever the server said is logged before a failure is reported.
 */
#include "runner/served.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <holdfast/ipc.h>

#include "oracle/leftovers.h"

#define SAID_MAX 16384

ClusterConfig
served_config(const ScenarioContext *ctx)
{
	return (ClusterConfig){
		.data_dir = ctx->data_dir,
		.workers = 3,
		.accounts = 4, /* few: they get in each other's way */
		.audit_ms = 50,
		.quit_ms = 1000,
		.ready_fd = -1,
	};
}

static int
serve_here(Served *served)
{
	if (dup2(served->said_fd, STDERR_FILENO) < 0 || dup2(served->said_fd, STDOUT_FILENO) < 0)
		return 70;
	if (served->uid != 0 && (setgid(served->uid) < 0 || setuid(served->uid) < 0))
	{
		perror("could not become another user");
		return 70;
	}
	served->config.out = stdout;
	proc_exit(cluster_serve(&served->config));
}

/* PID 1 of its namespace; goes with its keeper. */
static int
serve_as_init(Served *served)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ||
		mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
	{
		perror("could not set up a container");
		return 70;
	}
	return serve_here(served);
}

/* Outside of the container: passes SIGTERM on, and ends as the server does. */
static int
keep(pid_t server)
{
	sigset_t mask;
	int status, taken;

	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGCHLD);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	while (waitpid(server, &status, WNOHANG) == 0)
		if (sigwait(&mask, &taken) == 0 && taken == SIGTERM)
			kill(server, SIGTERM);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int
serve(ScenarioContext *ctx, void *arg)
{
	Served *served = arg;
	pid_t server;

	(void) ctx;
	if (served->namespaces && unshare(served->namespaces) < 0)
	{
		perror("could not make namespaces");
		return 70;
	}
	if (!(served->namespaces & CLONE_NEWPID))
		return serve_here(served);
	server = fork();
	if (server == 0)
		_exit(serve_as_init(served));
	close(served->config.ready_fd);
	return server < 0 ? 70 : keep(server);
}

ScenarioStatus
served_start(ScenarioContext *ctx, Served *served)
{
	int ready[2];
	ScenarioStatus status;

	served->ready = false;
	served->said_fd = memfd_create("server-said", MFD_CLOEXEC);
	if (served->said_fd < 0 || fcntl(served->said_fd, F_SETFL, O_APPEND) < 0 ||
		pipe2(ready, O_CLOEXEC) < 0)
		return scenario_error(ctx, "could not prepare a server: %s", strerror(errno));
	served->ready_fd = ready[0];
	served->config.ready_fd = ready[1];
	status = actor_start(ctx, &served->supervisor, "supervisor", 1, serve, served);
	close(ready[1]);
	served->config.ready_fd = -1;
	return status;
}

/* The next line or end of file on the pipe; workers inherit it too, so the supervisor's own end counts as well. */
ScenarioStatus
served_wait(ScenarioContext *ctx, Served *served)
{
	for (;;)
	{
		struct pollfd fds[2] = {
			{.fd = served->ready_fd, .events = POLLIN},
			{.fd = served->supervisor.pidfd, .events = POLLIN},
		};
		char line[64];

		if (poll(fds, 2, scenario_time_left_ms(ctx)) < 0 && errno != EINTR)
			return scenario_error(ctx, "could not wait for the server: %s", strerror(errno));
		if (fds[0].revents & POLLIN)
		{
			served->ready = read(served->ready_fd, line, sizeof(line)) > 0;
			if (served->ready)
				return SCENARIO_PASS;
		}
		if (fds[1].revents)
			return actor_wait(ctx, &served->supervisor);
		if (fds[0].revents & POLLHUP)
			return actor_wait(ctx, &served->supervisor);
		if (scenario_time_left_ms(ctx) == 0)
		{
			served_log(ctx, served);
			return scenario_fail(ctx, "the server neither became ready nor refused");
		}
	}
}

ScenarioStatus
served_up(ScenarioContext *ctx, Served *served)
{
	SCENARIO_TRY(served_start(ctx, served));
	SCENARIO_TRY(served_wait(ctx, served));
	if (served->ready)
		return SCENARIO_PASS;
	served_log(ctx, served);
	return scenario_fail(ctx, "the server did not start");
}

static size_t
read_said(const Served *served, char *text, size_t size)
{
	ssize_t got = pread(served->said_fd, text, size - 1, 0);

	text[got > 0 ? got : 0] = '\0';
	return got > 0 ? (size_t) got : 0;
}

/* All of it, however much that is: the last words are asked for most. */
bool
served_said(const Served *served, const char *text)
{
	struct stat file;
	const char *said;
	bool found;

	if (fstat(served->said_fd, &file) < 0 || file.st_size == 0)
		return false;
	said = mmap(NULL, (size_t) file.st_size, PROT_READ, MAP_PRIVATE, served->said_fd, 0);
	if (said == MAP_FAILED)
		return false;
	found = memmem(said, (size_t) file.st_size, text, strlen(text)) != NULL;
	(void) munmap((void *) (uintptr_t) said, (size_t) file.st_size);
	return found;
}

void
served_log(ScenarioContext *ctx, const Served *served)
{
	char said[SAID_MAX], *rest = said;

	read_said(served, said, sizeof(said));
	for (char *line; (line = strsep(&rest, "\n")) != NULL;)
		if (line[0] != '\0')
			scenario_log(ctx, "%s: %s", served->supervisor.name, line);
}

ScenarioStatus
served_down(ScenarioContext *ctx, Served *served)
{
	ScenarioStatus status;

	SCENARIO_TRY(actor_signal(ctx, &served->supervisor, SIGTERM));
	status = actor_expect_exit(ctx, &served->supervisor, CLUSTER_STOPPED);
	if (status == SCENARIO_PASS && !served_said(served, "audit: balanced"))
		status = scenario_fail(ctx, "the server ended without a balanced audit");
	if (status != SCENARIO_PASS)
		served_log(ctx, served);
	else
		served_close(served);
	return status;
}

ScenarioStatus
served_refused(ScenarioContext *ctx, Served *served, const char *message, const char *hint)
{
	SCENARIO_TRY(served_wait(ctx, served));
	if (served->ready)
	{
		served_log(ctx, served);
		return scenario_fail(ctx, "the server started, though it should have refused");
	}

	ScenarioStatus status = actor_expect_exit(ctx, &served->supervisor, CLUSTER_REFUSED);

	if (status == SCENARIO_PASS && message && !served_said(served, message))
		status = scenario_fail(ctx, "refused, but did not say \"%s\"", message);
	if (status == SCENARIO_PASS && hint && !served_said(served, hint))
		status = scenario_fail(ctx, "refused, but did not hint \"%s\"", hint);
	if (status != SCENARIO_PASS)
		served_log(ctx, served);
	else
		served_close(served);
	return status;
}

ScenarioStatus
served_wait_said(ScenarioContext *ctx, Served *served, const char *text)
{
	struct timespec pause = {.tv_nsec = 500000};

	while (!served_said(served, text))
	{
		if (scenario_time_left_ms(ctx) == 0 || !actor_alive(&served->supervisor))
		{
			served_log(ctx, served);
			return scenario_fail(ctx, "the server never said \"%s\"", text);
		}
		nanosleep(&pause, NULL); /* a memfd gives no event */
	}
	return SCENARIO_PASS;
}

void
served_close(Served *served)
{
	close(served->ready_fd);
	close(served->said_fd);
}

ScenarioStatus
served_clean_life(ScenarioContext *ctx)
{
	Served served = {.config = served_config(ctx)};

	SCENARIO_TRY(served_up(ctx, &served));
	SCENARIO_TRY(served_down(ctx, &served));
	return expect_nothing_left(ctx);
}

ScenarioStatus
served_pids(ScenarioContext *ctx, const char *role, pid_t *pids, unsigned max, unsigned *count)
{
	HoldfastInspection *inspection;

	*count = 0;
	if (holdfast_inspect(ctx->data_dir, &inspection) < 0)
		return scenario_fail(ctx, "could not inspect the data directory: %s",
							 holdfast_last_error()->message);
	for (uint32_t i = 0; i < inspection->nprocs && *count < max; i++)
		if (strcmp(inspection->procs[i].role, role) == 0)
			pids[(*count)++] = inspection->procs[i].pid;
	holdfast_inspect_free(inspection);
	return SCENARIO_PASS;
}

static const char *
state_name(HoldfastInspectState state)
{
	static const char *const names[] = {"none", "in-use", "orphan", "foreign", "damaged"};

	return (size_t) state < sizeof(names) / sizeof(names[0]) ? names[state] : "?";
}

ScenarioStatus
expect_inspect(ScenarioContext *ctx, HoldfastInspectState state, uint64_t nattch_at_least)
{
	HoldfastInspection *inspection;
	ScenarioStatus status = SCENARIO_PASS;

	if (holdfast_inspect(ctx->data_dir, &inspection) < 0)
		return scenario_fail(ctx, "could not inspect the data directory: %s",
							 holdfast_last_error()->message);
	if (inspection->state != state)
		status = scenario_fail(ctx, "inspection says \"%s\" (%s), not \"%s\"",
							   state_name(inspection->state), inspection->state_message,
							   state_name(state));
	else if (inspection->segment.nattch < nattch_at_least)
		status = scenario_fail(ctx, "inspection says nattch %llu, not %llu or more",
							   (unsigned long long) inspection->segment.nattch,
							   (unsigned long long) nattch_at_least);
	holdfast_inspect_free(inspection);
	return status;
}

ScenarioStatus
expect_nothing_left(ScenarioContext *ctx)
{
	char path[4096];
	struct stat status;

	SCENARIO_REQUIRE(ctx, leftovers_count_segments() == 0, "%d segments are left",
					 leftovers_count_segments());
	snprintf(path, sizeof(path), "%s/%s", ctx->data_dir, HOLDFAST_LOCKFILE_NAME);
	SCENARIO_REQUIRE(ctx, lstat(path, &status) < 0, "the lockfile is left");
	return SCENARIO_PASS;
}

ScenarioStatus
wait_until(ScenarioContext *ctx, bool (*condition)(void *arg), void *arg, const char *what)
{
	struct timespec pause = {.tv_nsec = 200000};

	while (!condition(arg))
	{
		if (scenario_time_left_ms(ctx) == 0)
			return scenario_fail(ctx, "waited in vain: %s", what);
		nanosleep(&pause, NULL);
	}
	return SCENARIO_PASS;
}
