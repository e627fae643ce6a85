/*
 * sandbox_init.c
 *		PID 1 of a case: makes the place, runs the case as its child, reaps, looks what is left.
 *
 * It was made by clone3() from the runner, hence uses nothing that a fork handler would have to mend (the
 * case itself is made by fork()).  It never returns into the runner's code and ends by _exit().
 * Signals: as PID 1 it gets none that it does not handle, except from outside its namespace.
 */
#include "runner/sandbox_init.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "oracle/leftovers.h"
#include "runner/clock.h"
#include "runner/faults.h"

#define LEFTOVER_GRACE_MS 250
#define OUTPUT_MAX        (64 * 1024 * 1024)

static __attribute__((noreturn)) void
give_up(const SandboxInit *init, const char *what)
{
	int saved_errno = errno;

	init->report->sandbox_failed = 1;
	snprintf(init->report->message, sizeof(init->report->message), "%s: %s", what,
			 strerror(saved_errno));
	_exit(1);
}

/*
 * PDEATHSIG tells only of a death that comes after it was set.  The pipe tells of one that came before the runner had
 * said go; its pidfd, of one in between.
 */
static void
wait_for_go(const SandboxInit *init)
{
	struct pollfd runner = {.fd = init->runner_pidfd, .events = POLLIN};
	char byte;

	close(init->go_write_fd);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		give_up(init, "could not ask to die with the runner");
	if (read(init->go_fd, &byte, 1) != 1 || poll(&runner, 1, 0) != 0)
		_exit(1);
}

static void
reset_signals(void)
{
	sigset_t child;

	for (int sig = 1; sig < NSIG; sig++)
		if (sig != SIGKILL && sig != SIGSTOP)
			signal(sig, SIG_DFL);
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD); /* leftovers_find() waits for it */
	sigprocmask(SIG_SETMASK, &child, NULL);
}

static void
redirect(const SandboxInit *init)
{
	int null_fd = open("/dev/null", O_RDWR);
	int output = init->spec->verbose ? STDERR_FILENO : init->output_fd;

	if (null_fd < 0 || dup2(null_fd, STDIN_FILENO) < 0 || dup2(output, STDERR_FILENO) < 0 ||
		dup2(output, STDOUT_FILENO) < 0)
		give_up(init, "could not redirect standard input and output");
	if (close_range(3, ~0u, 0) < 0)
		give_up(init, "could not close inherited files");
}

static void
limit(void)
{
	struct rlimit none = {0, 0};
	struct rlimit output = {OUTPUT_MAX, OUTPUT_MAX};

	/* Lowering one's own limits cannot fail, and nothing depends on it. */
	(void) setrlimit(RLIMIT_CORE, &none);
	(void) setrlimit(RLIMIT_FSIZE, &output);
}

/* Its own file systems: a private tmpfs to work in, and a /proc that knows its PIDs. */
static void
make_place(const SandboxInit *init)
{
	char data_dir[4096];

	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		give_up(init, "could not make mounts private");
	if (mount("tmpfs", init->spec->work_dir, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755,size=64m") <
		0)
		give_up(init, "could not mount a tmpfs");
	if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
		give_up(init, "could not mount /proc");
	snprintf(data_dir, sizeof(data_dir), "%s/data", init->spec->work_dir);
	if (mkdir(data_dir, 0700) < 0)
		give_up(init, "could not make the data directory");
}

/* The case's own process. */
static __attribute__((noreturn)) void
run_case(const SandboxInit *init)
{
	const SandboxSpec *spec = init->spec;
	char data_dir[4096];
	ScenarioContext ctx = {
		.scenario_id = spec->scenario->id,
		.case_name = spec->which->name,
		.work_dir = spec->work_dir,
		.data_dir = data_dir,
		.user_plan = spec->user_plan,
		.seed = spec->seed,
		.deadline_ns = clock_deadline_ns(spec->scenario->deadline_ms),
		.has_other_users = !init->rootless,
		.verbose = spec->verbose,
		.report = init->report,
	};
	sigset_t none;

	snprintf(data_dir, sizeof(data_dir), "%s/data", spec->work_dir);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);

	ScenarioStatus status = SCENARIO_SKIP;

	if (spec->which->unreachable)
		scenario_skip(&ctx, "cannot happen: %s", spec->which->unreachable);
	else
	{
		status = faults_open(&ctx);
		if (status == SCENARIO_PASS && spec->observation)
			observation_begin();
		if (status == SCENARIO_PASS)
			status = spec->scenario->run(&ctx, spec->which);
		if (status == SCENARIO_PASS && spec->observation)
			observation_take(spec->observation);
		if (status == SCENARIO_PASS)
			status = faults_check_fired(&ctx);
		else
			faults_log(&ctx);
	}
	init->report->status = status;
	init->report->returned = 1; /* read after this process was waited for */
	fflush(NULL);
	_exit(0);
}

/* Reaps everybody until the case itself has ended. */
static void
wait_for_case(const SandboxInit *init, pid_t pid)
{
	int status = 0;

	for (;;)
	{
		pid_t reaped = waitpid(-1, &status, 0);

		if (reaped == pid)
			break;
		if (reaped < 0 && errno != EINTR)
			give_up(init, "could not wait for the case");
	}
	init->report->wait_status = status;
}

void
sandbox_init_main(const SandboxInit *init)
{
	wait_for_go(init);
	setsid();
	reset_signals();
	redirect(init);
	limit();
	make_place(init);

	pid_t pid = fork();

	if (pid < 0)
		give_up(init, "could not fork");
	if (pid == 0)
		run_case(init);
	wait_for_case(init, pid);

	CaseReport *report = init->report;

	if (report->returned && report->status == SCENARIO_PASS)
		report->leftover = leftovers_find(init->spec->work_dir, report->leaves, LEFTOVER_GRACE_MS,
										  report->leftover_text, sizeof(report->leftover_text));
	report->post_mortem_done = 1;
	_exit(0);
}
