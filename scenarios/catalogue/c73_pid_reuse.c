/*
 * c73_pid_reuse.c
 *		The PID in the lockfile of a dead server is by now something else's.
 *
 * The stories: a thread's; a zombie's; a process of another user; and, by clone3(set_tid), really that very number, given to
 * a new process of the same user.
 *
 * PostgreSQL (postgresql.md h): kill(pid, 0) answers for a thread, for a zombie and for any process of the user: it REFUSES to
 * start until somebody removes the file by hand.  Another user's process gives EPERM, which it takes for stale.
 * Ours: pidfd and start time tell a process from a thread, the dead from the living, and this one from the one before it.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <holdfast/lockfile.h>
#include <holdfast/recovery.h>

#include "catalogue/catalogue.h"
#include "catalogue/story.h"

static ScenarioStatus
plain_file(ScenarioContext *ctx, pid_t pid)
{
	HoldfastLockfile file = {.pid = pid, .start_time_s = 1700000000, .port = 5432};

	snprintf(file.data_dir, sizeof(file.data_dir), "%s", ctx->data_dir);
	return put_lockfile(ctx, &file);
}

typedef struct Linger
{
	int hold; /* until it is closed */
	int tell; /* the number to write into the lockfile */
} Linger;

static void *
thread_lingers(void *arg)
{
	const Linger *linger = arg;
	pid_t tid = (pid_t) syscall(SYS_gettid);
	char byte;

	if (write(linger->tell, &tid, sizeof(tid)) == sizeof(tid))
		(void) !read(linger->hold, &byte, 1);
	return NULL;
}

static int
linger_with_thread(ScenarioContext *ctx, void *arg)
{
	pthread_t thread;

	(void) ctx;
	if (pthread_create(&thread, NULL, thread_lingers, arg) != 0)
		return 1;
	return pthread_join(thread, NULL) != 0;
}

static int
linger_as_process(ScenarioContext *ctx, void *arg)
{
	(void) ctx;
	return thread_lingers(arg) != NULL;
}

/* Starts it, puts what it tells into a lockfile, lets a server live beside it. */
static ScenarioStatus
beside(ScenarioContext *ctx, ActorBody body, bool dead)
{
	int hold[2], tell[2];
	Linger linger;
	Actor actor;
	pid_t number;

	if (pipe2(hold, O_CLOEXEC) < 0 || pipe2(tell, O_CLOEXEC) < 0)
		return scenario_error(ctx, "pipe: %s", strerror(errno));
	linger = (Linger){.hold = hold[0], .tell = tell[1]};
	SCENARIO_TRY(actor_start(ctx, &actor, "lingerer", 1, body, &linger));
	SCENARIO_REQUIRE(ctx, read(tell[0], &number, sizeof(number)) == sizeof(number),
					 "it told no number");
	if (dead)
	{
		SCENARIO_TRY(actor_signal(ctx, &actor, SIGKILL));
		SCENARIO_TRY(wait_for_pid_gone(ctx, actor.pid)); /* ended, not reaped */
	}
	SCENARIO_REQUIRE(ctx, kill(number, 0) == 0, "kill() does not take %d for alive: %s",
					 (int) number, strerror(errno));
	SCENARIO_TRY(plain_file(ctx, number));
	SCENARIO_TRY(served_clean_life(ctx));
	close(hold[1]);
	close(hold[0]);
	close(tell[0]);
	close(tell[1]);
	if (!dead)
		SCENARIO_TRY(actor_signal(ctx, &actor, SIGKILL)); /* it has the pipe itself */
	return actor_expect_signal(ctx, &actor, SIGKILL);
}

static ScenarioStatus
threads_number(ScenarioContext *ctx, HoldfastMemoryType memory)
{
	(void) memory;
	return beside(ctx, linger_with_thread, false);
}

static ScenarioStatus
zombies_number(ScenarioContext *ctx, HoldfastMemoryType memory)
{
	(void) memory;
	return beside(ctx, linger_as_process, true);
}

static ScenarioStatus
another_users(ScenarioContext *ctx, HoldfastMemoryType memory)
{
	Served served = served_with(ctx, memory);
	char path[4096];

	if (!ctx->has_other_users)
		return scenario_skip(ctx, "needs a second user id: run it as root");
	SCENARIO_TRY(plain_file(ctx, 1)); /* init of this namespace, which is root's */
	snprintf(path, sizeof(path), "%s/%s", ctx->data_dir, HOLDFAST_LOCKFILE_NAME);
	SCENARIO_REQUIRE(ctx, chown(ctx->data_dir, 65534, 65534) == 0 && chown(path, 65534, 65534) == 0,
					 "chown: %s", strerror(errno));
	served.uid = 65534;
	SCENARIO_TRY(served_up(ctx, &served));
	return served_down(ctx, &served);
}

/* A child with that PID: 0 in the child, which waits to be killed. */
static pid_t
fork_as(pid_t wanted)
{
	struct clone_args args = {
		.exit_signal = SIGCHLD,
		.set_tid = (uint64_t) (uintptr_t) &wanted,
		.set_tid_size = 1,
	};
	pid_t pid = (pid_t) syscall(SYS_clone3, &args, sizeof(args));

	if (pid == 0)
	{
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			(void) pause();
	}
	return pid;
}

/* Start times are counted in ticks: until the new one's differs from the old one's. */
static pid_t
reuse(pid_t wanted, uint64_t not_started_at)
{
	for (;;)
	{
		pid_t pid = fork_as(wanted);

		if (pid < 0 || holdfast_process_start_time(pid) != not_started_at)
			return pid;
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
}

static ScenarioStatus
the_same_number(ScenarioContext *ctx, HoldfastMemoryType memory)
{
	Served served = served_with(ctx, memory);
	HoldfastLockfile file;
	ScenarioStatus status;
	pid_t pid;

	SCENARIO_TRY(served_up(ctx, &served));
	SCENARIO_TRY(actor_kill(ctx, &served.supervisor));
	served_close(&served);
	SCENARIO_TRY(workers_gone(ctx));
	SCENARIO_REQUIRE(ctx, holdfast_lockfile_read(ctx->data_dir, &file) == HOLDFAST_OK,
					 "could not read the lockfile");
	pid = reuse(file.pid, file.pid_start_time);
	if (pid < 0 && (errno == ENOSYS || errno == EPERM || errno == EINVAL))
		return scenario_skip(ctx, "cannot choose a PID here: %s", strerror(errno));
	SCENARIO_REQUIRE(ctx, pid == file.pid, "clone3 with PID %d: %s", (int) file.pid,
					 strerror(errno));
	status = kill(pid, 0) == 0 ? served_clean_life(ctx)
							   : scenario_fail(ctx, "the process with the reused PID is not there");
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return status;
}

static const Story stories[] = {
	{"thread", threads_number, false},
	{"zombie", zombies_number, false},
	{"another-users", another_users, false},
	{"the-same-number", the_same_number, true},
	{0},
};

STORIES_AS_CASES(stories)

static const char *const mutants[] = {"172-start-time-not-asked", NULL};

static const ScenarioHole holes[] = {
	{"h", "REFUSES to start for a thread, a zombie, or any process of the user with that number",
	 "starts: pidfd and start time tell them from the dead server", "*"},
	{0},
};

const Scenario scenario_c73_pid_reuse = {
	.id = "c73-pid-reuse",
	.summary =
		"the dead server's PID is a thread's, a zombie's, another process's: the next starts",
	.list = list_cases,
	.run = run_case,
	.deadline_ms = 15000,
	.mutants = mutants,
	.holes = holes,
};
