/*
 * test_refused_calls.c
 *		Each call that an operation of the library makes is refused once, for each reason that a program must expect.
 *
 * An operation runs first undisturbed and is watched; then again for every arrival at every call, in a process of its own that
 * lives on.  Whatever is refused: the operation fails with words, or succeeds; once nothing is refused any more it works in
 * the same process; and what a later start finds is taken away by it.  (The same in processes that die: the scenarios c40-c45.)
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <unistd.h>

#include <holdfast/inspect.h>
#include <holdfast/ipc.h>
#include <holdfast/lockfile.h>
#include <holdfast/proc.h>
#include <holdfast/recovery.h>
#include <holdfast/shmem.h>
#include <holdfast/supervisor.h>

#include "../support/arm.h"
#include "../support/directory.h"
#include "inject/inject.h"

#ifndef SHM_STAT_ANY
#define SHM_STAT_ANY 15
#endif

#define ARRIVALS_MAX 24 /* of one call: a long loop is not tried at each turn */

TestSuite(refused_calls, .timeout = 200, .init = make_directory);

/* ---- operations: 0, or what failed ---- */

static HoldfastMemoryType memory_type;

static int
serve(void)
{
	HoldfastShmemConfig config = {
		.max_procs = 4, .user_size = 4096, .memory = {.type = memory_type}};

	if (CreateDataDirLockFile(true) < 0)
		return 1;
	if (holdfast_shmem_create(&config) < 0)
		return 2;
	if (holdfast_shmem_publish() < 0)
		return 3;
	if (InitProcess("server") < 0)
		return 4;
	return AddToDataDirLockFile(LOCK_FILE_LINE_PORT, "5432") < 0 ? 5 : 0;
}

static void
stop(void)
{
	shmem_exit(0);
	UnlinkLockFiles(0, 0);
}

static int
join(void)
{
	return holdfast_shmem_join() < 0 ? 1 : InitProcess("joiner") < 0 ? 2 : 0;
}

static void
leave(void)
{
	HoldfastStatus status;

	ProcKill(0, 0);
	status = PGSharedMemoryDetach();
	(void) status; /* refused, or not: the kernel does it at exit */
}

static int
inspect(void)
{
	HoldfastInspection *in;
	HoldfastStatus status = holdfast_inspect(dir, &in);

	if (status < 0)
		return in == NULL ? 1 : 90;
	holdfast_inspect_free(in);
	return 0;
}

static bool
remember(const HoldfastOrphan *found, void *arg)
{
	*(HoldfastOrphan *) arg = *found;
	return true;
}

static int
reap(void)
{
	HoldfastOrphan orphan = {.shmid = -1};

	if (holdfast_segments_visit(remember, &orphan) < 0)
		return 1;
	if (orphan.shmid < 0)
		return 0; /* somebody reaped it: the try before, or it is not to be read */
	return holdfast_segment_reap(orphan.shmid, &orphan.cookie) < 0 ? 2 : 0;
}

static int
look_again(void)
{
	if (holdfast_lockfile_watch_fd() < 0)
		return 1;
	if (!RecheckDataDirLockFile())
		return 91; /* nothing that fails is proof that the file is lost */
	return AddToDataDirLockFile(LOCK_FILE_LINE_PM_STATUS, "ready") < 0 ? 2 : 0;
}

static int
return_at_once(const HoldfastWorker *self, void *arg)
{
	(void) self;
	(void) arg;
	return 0;
}

static HoldfastSupervisor *supervisor;

static void
stop_after_one(const HoldfastWorkerEnd *end, void *arg)
{
	(void) end;
	(void) arg;
	holdfast_supervisor_stop(supervisor, HOLDFAST_STOP_FAST);
}

static int
supervise(void)
{
	const HoldfastSupervisorConfig config = {.workers = 1,
											 .worker = return_at_once,
											 .ended = stop_after_one,
											 .backoff_ms_max = 5,
											 .quit_ms = 2000,
											 .subreaper = true};
	HoldfastStatus status = holdfast_supervisor_open(&config, &supervisor);

	if (status < 0)
		return 1;
	status = holdfast_supervisor_run(supervisor, HOLDFAST_RUN_TAKE_SIGNALS);
	holdfast_supervisor_close(supervisor);
	return status < 0 ? 2 : 0;
}

static void
nothing_to_undo(void)
{
}

/* ---- one refusal ---- */

typedef struct Operation
{
	int (*run)(void);
	void (*undo)(void);
	bool needs_server;     /* in the parent */
	bool needs_own;        /* a server is the child itself */
	bool needs_orphan;     /* a server died before it, and left its segment */
	bool believes_absence; /* ENOENT and ENOTDIR are news to it, no failures */
	bool varies;           /* how often it arrives depends on others */
	const char *points;    /* rooms whose calls are refused */
} Operation;

static _Noreturn void
in_child(const Operation *operation, const char *plan, bool observe)
{
	int first, again = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	on_exit_reset();
	if (operation->needs_server && PGSharedMemoryDetach() != HOLDFAST_OK)
		_exit(80);
	if (operation->needs_own && serve() != 0)
		_exit(81);
	if (observe)
		inject_observe(true);
	else
		arm(plan);
	first = operation->run();
	if (observe)
		inject_observe(false);
	else
		inject_disarm_all();
	if (first >= 80)
		_exit(first);
	if (first != 0 && holdfast_last_error()->message[0] == '\0')
		_exit(82); /* no word why */
	operation->undo();
	if (first != 0)
	{
		if (operation->undo == stop)
			stop(); /* as much as there is of it */
		again = operation->run();
		operation->undo();
	}
	if (operation->needs_own)
		stop();
	_exit(again != 0 ? 83 : first != 0 ? 1 : 0);
}

static int
run_in_child(const Operation *operation, const char *plan, bool observe)
{
	int status;
	pid_t pid = fork();

	cr_assert(pid >= 0);
	if (pid == 0)
		in_child(operation, plan, observe);
	cr_assert(waitpid(pid, &status, 0) == pid);
	cr_assert(WIFEXITED(status), "%s: it did not live on: %#x", plan, status);
	return WEXITSTATUS(status);
}

static int
start_and_stop(void)
{
	const Operation plain = {.run = serve, .undo = stop};

	return run_in_child(&plain, "", true);
}

/* A server that ends and tidies up nothing. */
static void
leave_orphan(void)
{
	pid_t pid;
	int status;

	inject_disarm_all();
	pid = fork();
	cr_assert(pid >= 0);
	if (pid == 0)
	{
		on_exit_reset();
		_exit(serve());
	}
	cr_assert(waitpid(pid, &status, 0) == pid && status == 0 && count_segments() == 1);
}

/* `list` holds rooms and whole names. */
static bool
is_listed(const char *list, const char *name, size_t length)
{
	for (const char *at = list; (at = strstr(at, name)) != NULL; at++)
	{
		if ((at == list || at[-1] == ' ') && (at[length] == ' ' || at[length] == '\0'))
			return true;
	}
	return false;
}

static bool
is_wanted(const Operation *operation, const InjectPointInfo *point)
{
	char room[INJECT_NAME_SIZE];

	if (point->errnos == NULL || !(point->actions & INJECT_CAN_ERRNO) || point->hits == 0)
		return false;
	(void) snprintf(room, sizeof(room), "%.*s", (int) (strrchr(point->name, '/') - point->name),
					point->name);
	return is_listed(operation->points, room, strlen(room)) ||
		   is_listed(operation->points, point->name, strlen(point->name));
}

typedef struct Tally
{
	int refused, failed, survived;
} Tally;

/* False: nobody came. */
static bool
refuse(const Operation *operation, const char *plan, Tally *tally)
{
	int outcome;

	if (operation->needs_orphan)
		leave_orphan();
	outcome = run_in_child(operation, plan, false);
	cr_assert(outcome <= 1, "%s: %d", plan, outcome);
	if (!operation->needs_server && count_segments() > 0)
		cr_assert(start_and_stop() == 0 && count_segments() == 0,
				  "%s: a segment is left, and the next start leaves it", plan);
	if (inject_unfired(NULL, 0, NULL) > 0)
		return false;
	tally->refused++;
	tally->failed += outcome == 1;
	tally->survived += outcome == 0;
	return true;
}

/*
 * All that `operation` can be refused at one call, one after the other: every reason at its first arrival, later two of
 * them in turn.  `filter` may leave nobody; and who walks over segments arrives as often as the kernel has numbers.
 */
static void
refuse_each(const Operation *operation, const InjectPointInfo *point, const char *filter,
			Tally *tally)
{
	uint64_t arrivals = point->hits < ARRIVALS_MAX ? point->hits : ARRIVALS_MAX;

	for (uint64_t arrival = 1; arrival <= arrivals; arrival++)
	{
		for (int i = 0; point->errnos[i] != 0; i++)
		{
			char plan[160];

			if (arrival > 1 && i != (int) (arrival % 2))
				continue;
			if (operation->believes_absence &&
				(point->errnos[i] == ENOENT || point->errnos[i] == ENOTDIR))
				continue;
			cr_assert((size_t) snprintf(plan, sizeof(plan), "%s=#%llu errno(%d)[count=proc%s]",
										point->name, (unsigned long long) arrival, point->errnos[i],
										filter) < sizeof(plan));
			if (refuse(operation, plan, tally))
				continue;
			cr_assert(operation->varies || filter[0] != '\0', "%s did not fire", plan);
			return;
		}
	}
}

static void
refuse_each_command(const Operation *operation, const InjectPointInfo *point, Tally *tally)
{
	static const int commands[] = {IPC_STAT, IPC_RMID, SHM_INFO, SHM_STAT_ANY};
	char filter[32];

	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
	{
		(void) snprintf(filter, sizeof(filter), ",arg=%d..%d", commands[i], commands[i]);
		refuse_each(operation, point, filter, tally);
	}
}

static Tally
refuse_all(const Operation *operation)
{
	static InjectPointInfo points[INJECT_MAX_POINTS];
	Tally tally = {0};
	int count = 0;

	arm("seed=1");
	if (operation->needs_server)
		cr_assert(serve() == 0, "%s", holdfast_last_error()->message);
	if (operation->needs_orphan)
		leave_orphan();
	cr_assert(run_in_child(operation, "", true) == 0, "it does not even work undisturbed");
	while (count < INJECT_MAX_POINTS && inject_point_at(count, &points[count]))
		count++;
	for (int i = 0; i < count; i++)
	{
		if (!is_wanted(operation, &points[i]))
			continue;
		if (strcmp(points[i].name, "sysv/shm/shmctl") == 0)
			refuse_each_command(operation, &points[i], &tally);
		else
			refuse_each(operation, &points[i], "", &tally);
	}
	stop();
	inject_table_detach();
	cr_assert(tally.refused > 0);
	cr_assert(count_segments() == 0);
	cr_assert(start_and_stop() == 0);
	return tally;
}

/* Not shmdt: who cannot let go of an orphan is attached to it until he ends, and no start recycles what somebody has. */
#define CALLS_ON_ORPHANS "sysv/shm/shmget sysv/shm/shmat sysv/shm/shmctl"

#define CALLS "sysv/shm file linux/memfd posix/mm"

Test(refused_calls, of_a_start)
{
	const Operation start = {.run = serve, .undo = stop, .points = CALLS};
	Tally tally = refuse_all(&start);

	cr_assert(tally.failed > 0 && tally.survived > 0);
	remove_directory();
}

Test(refused_calls, of_a_start_with_a_block)
{
	const Operation start = {.run = serve,
							 .undo = stop,
							 .points = "sysv/shm linux/memfd posix/mm file/ftruncate file/fcntl"};
	Tally tally;

	memory_type = HOLDFAST_MEMORY_MMAP;
	tally = refuse_all(&start);
	cr_assert(tally.failed > 0 && tally.survived > 0);
	remove_directory();
}

Test(refused_calls, of_a_joiner)
{
	const Operation joiner = {.run = join, .undo = leave, .needs_server = true, .points = CALLS};
	Tally tally = refuse_all(&joiner);

	cr_assert(tally.failed > 0);
	remove_directory();
}

Test(refused_calls, of_a_joiner_with_a_block)
{
	const Operation joiner = {.run = join, .undo = leave, .needs_server = true, .points = CALLS};
	Tally tally;

	memory_type = HOLDFAST_MEMORY_MMAP;
	tally = refuse_all(&joiner);
	cr_assert(tally.failed > 0);
	remove_directory();
}

Test(refused_calls, of_an_inspector)
{
	const Operation inspector = {
		.run = inspect, .undo = nothing_to_undo, .needs_server = true, .points = CALLS};
	Tally tally = refuse_all(&inspector);

	cr_assert(tally.failed > 0 && tally.survived > 0, "much of it is a finding, no failure");
	remove_directory();
}

Test(refused_calls, of_an_inspector_with_a_block)
{
	const Operation inspector = {
		.run = inspect, .undo = nothing_to_undo, .needs_server = true, .points = CALLS};

	memory_type = HOLDFAST_MEMORY_MMAP;
	cr_assert(refuse_all(&inspector).refused > 0);
	remove_directory();
}

Test(refused_calls, of_a_start_after_a_death)
{
	const Operation start = {
		.run = serve, .undo = stop, .needs_orphan = true, .points = CALLS_ON_ORPHANS};
	Tally tally = refuse_all(&start);

	cr_assert(tally.failed > 0 && tally.survived > 0, "what cannot be removed is nobody's");
	remove_directory();
}

Test(refused_calls, of_an_operator_who_reaps)
{
	const Operation reaper = {
		.run = reap, .undo = nothing_to_undo, .needs_orphan = true, .points = CALLS_ON_ORPHANS};
	Tally tally = refuse_all(&reaper);

	cr_assert(tally.failed > 0);
	remove_directory();
}

Test(refused_calls, of_a_server_that_looks_at_its_lockfile)
{
	const Operation looker = {.run = look_again,
							  .undo = nothing_to_undo,
							  .needs_own = true,
							  .believes_absence = true,
							  .points = "file"};
	Tally tally = refuse_all(&looker);

	cr_assert(tally.failed > 0 && tally.survived > 0);
	remove_directory();
}

/* EIO for ever is no kernel's, EAGAIN of what polls as readable neither; nobody is to be kept busy by them. */
Test(refused_calls, events_that_are_never_given)
{
	static const char *const plans[] = {"file/read=errno(EIO)", "file/read=errno(EAGAIN)",
										"file/read=40*errno(EINTR)"};

	for (size_t i = 0; i < sizeof(plans) / sizeof(plans[0]); i++)
	{
		struct pollfd watch = {.events = POLLIN};
		int looks = 0;

		cr_assert(serve() == 0, "%s", holdfast_last_error()->message);
		watch.fd = holdfast_lockfile_watch_fd();
		cr_assert(watch.fd >= 0 && poll(&watch, 1, 0) == 0);
		cr_assert(AddToDataDirLockFile(LOCK_FILE_LINE_PM_STATUS, "ready") == HOLDFAST_OK);
		arm(plans[i]);
		for (; looks < 100 && poll(&watch, 1, 0) == 1; looks++)
			cr_assert(RecheckDataDirLockFile(), "nothing that fails is proof");
		cr_assert(looks < 100, "%s: readable for ever", plans[i]);
		cr_assert(inject_unfired(NULL, 0, NULL) == 0);
		arm("seed=1");
		stop();
	}
	inject_table_detach();
	remove_directory();
}

Test(refused_calls, of_a_supervisor)
{
	const Operation over = {.run = supervise,
							.undo = nothing_to_undo,
							.needs_own = true,
							.varies = true,
							.points = "process linux/pidfd io"};

	Tally tally = refuse_all(&over);

	cr_assert(tally.refused > 0);
	remove_directory();
}
