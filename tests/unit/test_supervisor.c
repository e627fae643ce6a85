/*
 * test_supervisor.c
 *		The supervisor: workers are replaced, recovered, reset, stopped; nothing is left of them, nor of their children.
 *
 * Every death here is a real SIGKILL or exit.  Workers tell what they do on the board, which a reset makes anew: what must
 * survive one is in `kept`, shared memory of the test's own.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <holdfast/supervisor.h>

#include "../support/fixture.h"

TestSuite(supervisor, .timeout = 120);

#define LOCK        (&locks[0].lock)
#define PATIENCE_MS 20000
#define PLACES      4

typedef struct Kept
{
	uint32_t behaviour[PLACES]; /* Behaviour of the next worker at that place */
	uint32_t born;
	uint32_t terminated; /* workers that saw SIGTERM */
	uint32_t inside;     /* workers inside the lock */
	pid_t pid[PLACES];
	pid_t grandchild[2];
	uint64_t born_ns[64];
} Kept;

typedef enum Behaviour
{
	LIVE,           /* until SIGTERM */
	HOLD,           /* the lock, until killed */
	EXIT_0,         /* at once */
	EXIT_9,         /* at once, which is a crash */
	IGNORE_ALL,     /* SIGTERM and SIGQUIT */
	LEAVE_CHILDREN, /* two grandchildren, one with a session of its own; then dies */
} Behaviour;

static Kept *kept;
static HoldfastSupervisor *supervisor;
static HoldfastWorkerEnd last_end;
static unsigned ends;
static volatile sig_atomic_t told;

/* ---- workers ---- */

static void
on_term(int signal_number)
{
	(void) signal_number;
	told = 1;
}

static void
wait_for_term(void)
{
	struct sigaction action = {.sa_handler = on_term};
	sigset_t none;

	sigaction(SIGTERM, &action, NULL);
	sigemptyset(&none);
	while (!told)
		sigsuspend(&none);
	__atomic_fetch_add(&kept->terminated, 1, __ATOMIC_SEQ_CST);
}

static pid_t
leave_child(bool own_session)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	if (own_session)
		setsid();
	for (;;)
		pause();
}

static int
behave(Behaviour how)
{
	switch (how)
	{
		case LIVE:
			wait_for_term();
			return 0;
		case HOLD:
			if (LWLockAcquire(LOCK, LW_EXCLUSIVE) < 0)
				return 8;
			__atomic_fetch_add(&kept->inside, 1, __ATOMIC_SEQ_CST);
			for (;;)
				pause();
		case EXIT_0:
			return 0;
		case EXIT_9:
			return 9;
		case IGNORE_ALL:
			signal(SIGTERM, SIG_IGN);
			signal(SIGQUIT, SIG_IGN);
			__atomic_fetch_add(&kept->inside, 1, __ATOMIC_SEQ_CST);
			for (;;)
				pause();
		case LEAVE_CHILDREN:
			kept->grandchild[0] = leave_child(false);
			kept->grandchild[1] = leave_child(true);
			raise(SIGKILL);
	}
	return 7;
}

static int
worker(const HoldfastWorker *self, void *arg)
{
	uint32_t nth;

	cr_assert_eq(arg, &kept);
	if (InitProcess("worker") < 0)
		return 6;
	kept->pid[self->index] = getpid();
	nth = __atomic_fetch_add(&kept->born, 1, __ATOMIC_SEQ_CST);
	if (nth < 64)
	{
		struct timespec now;

		clock_gettime(CLOCK_MONOTONIC, &now);
		kept->born_ns[nth] = (uint64_t) now.tv_sec * 1000000000u + (uint64_t) now.tv_nsec;
	}
	return behave((Behaviour) kept->behaviour[self->index]);
}

/* ---- the test's side ---- */

static void
note_end(const HoldfastWorkerEnd *end, void *arg)
{
	(void) arg;
	last_end = *end;
	ends++;
}

static HoldfastStatus
make_again(void *arg)
{
	HoldfastShmemConfig config = {.max_procs = 16, .user_size = 1 << 16};
	bool found;

	(void) arg;
	if (holdfast_shmem_create(&config) < 0)
		return holdfast_last_error()->status;
	board = ShmemInitStruct("board", sizeof(Board), &found);
	locks = GetNamedLWLockTranche("test");
	return holdfast_shmem_publish() < 0 ? HOLDFAST_SYSTEM_ERROR : InitProcess("test");
}

static HoldfastSupervisorConfig
config_of(uint32_t workers)
{
	return (HoldfastSupervisorConfig){
		.workers = workers,
		.worker = worker,
		.create = make_again,
		.ended = note_end,
		.arg = &kept,
		.quit_ms = 300,
	};
}

static void
prepare(void)
{
	kept = mmap(NULL, sizeof(*kept), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	cr_assert(kept != MAP_FAILED);
	cluster_start();
}

static void
open_with(const HoldfastSupervisorConfig *config)
{
	cr_assert_eq(holdfast_supervisor_open(config, &supervisor), HOLDFAST_OK, "%s",
				 holdfast_last_error()->message);
}

static HoldfastSupervisorState
state(void)
{
	HoldfastSupervisorState out;

	holdfast_supervisor_state(supervisor, &out);
	return out;
}

static uint64_t
now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t) now.tv_sec * 1000 + (uint64_t) now.tv_nsec / 1000000;
}

/* Steps until the condition holds; what others do is looked at now and then. */
#define STEP_UNTIL(condition_)                                                                     \
	do                                                                                             \
	{                                                                                              \
		uint64_t end_ = now_ms() + PATIENCE_MS;                                                    \
		struct pollfd one_ = {.fd = holdfast_supervisor_fd(supervisor), .events = POLLIN};         \
                                                                                                   \
		while (!(condition_))                                                                      \
		{                                                                                          \
			cr_assert(now_ms() < end_, "never: %s", #condition_);                                  \
			(void) poll(&one_, 1, 5);                                                              \
			cr_assert_eq(holdfast_supervisor_step(supervisor), HOLDFAST_OK);                       \
		}                                                                                          \
	} while (0)

static void
stop_and_close(HoldfastStopMode mode)
{
	holdfast_supervisor_stop(supervisor, mode);
	STEP_UNTIL(state().phase == HOLDFAST_SUPERVISOR_DONE);
	cr_assert_eq(state().alive, 0);
	cr_assert(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD, "a child or a zombie is left");
	holdfast_supervisor_close(supervisor);
}

Test(supervisor, starts_all_and_stops_in_order)
{
	HoldfastSupervisorConfig config = config_of(3);

	prepare();
	open_with(&config);
	STEP_UNTIL(kept->born == 3);
	cr_assert_eq(state().alive, 3);
	stop_and_close(HOLDFAST_STOP_FAST);
	cr_assert_eq(kept->terminated, 3);
	cr_assert_eq(ends, 3);
	cluster_stop();
}

Test(supervisor, a_bad_config_is_refused)
{
	HoldfastSupervisorConfig none = config_of(0);
	HoldfastSupervisorConfig many = config_of(HOLDFAST_WORKERS_MAX + 1);
	HoldfastSupervisorConfig idle = config_of(1);

	idle.worker = NULL;
	cr_assert_eq(holdfast_supervisor_open(&none, &supervisor), HOLDFAST_MISUSE);
	cr_assert_eq(holdfast_supervisor_open(&many, &supervisor), HOLDFAST_MISUSE);
	cr_assert_eq(holdfast_supervisor_open(&idle, &supervisor), HOLDFAST_MISUSE);
	cr_assert_null(supervisor);
	holdfast_supervisor_close(NULL);
}

Test(supervisor, a_killed_holder_is_recovered_and_replaced)
{
	HoldfastSupervisorConfig config = config_of(2);
	pid_t victim;

	prepare();
	kept->behaviour[0] = HOLD;
	open_with(&config);
	STEP_UNTIL(kept->born == 2 && kept->inside == 1);
	victim = kept->pid[0];
	kept->behaviour[0] = LIVE;
	kill(victim, SIGKILL);
	STEP_UNTIL(kept->born == 3);
	cr_assert_eq(last_end.pid, victim);
	cr_assert(last_end.crashed && last_end.recovered == HOLDFAST_OK);
	cr_assert_eq(last_end.recovery.locks_recovered, 1);
	cr_assert_eq(state().recoveries, 1);
	cr_assert_eq(state().resets, 0);
	cr_assert_eq(LWLockAcquireTimed(LOCK, LW_EXCLUSIVE, 0), HOLDFAST_OWNER_DEAD);
	LWLockMarkConsistent(LOCK);
	LWLockRelease(LOCK);
	stop_and_close(HOLDFAST_STOP_FAST);
	cluster_stop();
}

Test(supervisor, an_exit_code_above_one_is_a_crash_and_below_is_not)
{
	HoldfastSupervisorConfig config = config_of(1);

	prepare();
	kept->behaviour[0] = EXIT_9;
	open_with(&config);
	STEP_UNTIL(ends >= 1);
	kept->behaviour[0] = EXIT_0;
	cr_assert(last_end.crashed && WEXITSTATUS(last_end.wait_status) == 9);
	STEP_UNTIL(ends >= 2 && WEXITSTATUS(last_end.wait_status) == 0);
	cr_assert(!last_end.crashed);
	kept->behaviour[0] = LIVE;
	STEP_UNTIL(state().alive == 1 && kept->born >= 3);
	stop_and_close(HOLDFAST_STOP_FAST);
	cluster_stop();
}

/* Each pause is at least twice the one before; load only makes them longer. */
Test(supervisor, who_dies_young_is_replaced_later_and_later)
{
	HoldfastSupervisorConfig config = config_of(1);

	prepare();
	config.backoff_ms_min = 20;
	config.backoff_ms_max = 160;
	config.quick_death_ms = 60000; /* everybody dies young, however loaded the machine */
	kept->behaviour[0] = EXIT_9;
	open_with(&config);
	STEP_UNTIL(kept->born >= 6);
	for (unsigned i = 0; i < 5; i++)
	{
		uint64_t gap_ms = (kept->born_ns[i + 1] - kept->born_ns[i]) / 1000000;
		uint64_t least = UINT64_C(20) << i < 160 ? UINT64_C(20) << i : 160;

		cr_assert(gap_ms + 1 >= least, "gap %u is %llu ms", i, (unsigned long long) gap_ms);
	}
	stop_and_close(HOLDFAST_STOP_IMMEDIATE);
	cluster_stop();
}

Test(supervisor, it_gives_up_on_who_cannot_live)
{
	HoldfastSupervisorConfig config = config_of(2);

	prepare();
	config.quick_deaths_max = 3;
	config.quick_death_ms = 60000;
	kept->behaviour[1] = EXIT_9;
	open_with(&config);
	cr_assert_eq(holdfast_supervisor_run(supervisor, 0), HOLDFAST_LIMIT);
	cr_assert_eq(state().failure, HOLDFAST_LIMIT);
	cr_assert_eq(state().phase, HOLDFAST_SUPERVISOR_DONE);
	cr_assert_eq(kept->terminated, 1); /* the other one left in order */
	holdfast_supervisor_close(supervisor);
	cluster_stop();
}

Test(supervisor, reset_ends_all_and_makes_a_new_segment)
{
	HoldfastSupervisorConfig config = config_of(2);
	unsigned long old_segment;
	struct shmid_ds info;

	prepare();
	config.on_crash = HOLDFAST_ON_CRASH_RESET;
	open_with(&config);
	STEP_UNTIL(kept->born == 2);
	old_segment = UsedShmemSegID;
	kill(kept->pid[0], SIGKILL);
	STEP_UNTIL(kept->born == 4);
	cr_assert_eq(state().resets, 1);
	cr_assert_eq(state().crashes, 1, "who was ended by the reset is no crash");
	cr_assert(UsedShmemSegID != old_segment && shmctl((int) old_segment, IPC_STAT, &info) < 0);
	stop_and_close(HOLDFAST_STOP_FAST);
	cluster_stop();
}

Test(supervisor, resets_in_a_row_wait)
{
	HoldfastSupervisorConfig config = config_of(1);
	uint64_t begun;

	prepare();
	config.on_crash = HOLDFAST_ON_CRASH_RESET;
	config.backoff_ms_min = 50;
	config.backoff_ms_max = 60000; /* however loaded: all resets are in a row */
	kept->behaviour[0] = EXIT_9;
	open_with(&config);
	STEP_UNTIL(state().resets == 1);
	begun = now_ms();
	STEP_UNTIL(state().resets == 4);
	cr_assert_geq(now_ms() - begun, 50 + 100); /* after the second and the third */
	stop_and_close(HOLDFAST_STOP_IMMEDIATE);
	cluster_stop();
}

Test(supervisor, without_create_a_reset_is_the_end)
{
	HoldfastSupervisorConfig config = config_of(2);

	prepare();
	config.create = NULL;
	config.on_crash = HOLDFAST_ON_CRASH_RESET;
	kept->behaviour[0] = EXIT_9;
	open_with(&config);
	cr_assert_eq(holdfast_supervisor_run(supervisor, 0), HOLDFAST_RESET_NEEDED);
	cr_assert(state().state_lost);
	holdfast_supervisor_close(supervisor);
	cluster_stop();
}

Test(supervisor, who_does_not_leave_is_killed)
{
	HoldfastSupervisorConfig config = config_of(2);

	prepare();
	kept->behaviour[0] = IGNORE_ALL;
	open_with(&config);
	STEP_UNTIL(kept->born == 2 && kept->inside == 1);
	kill(kept->pid[1], SIGSTOP);
	holdfast_supervisor_stop(supervisor, HOLDFAST_STOP_FAST);
	STEP_UNTIL(state().phase == HOLDFAST_SUPERVISOR_DONE);
	cr_assert_eq(state().crashes, 2);
	holdfast_supervisor_close(supervisor);
	cluster_stop();
}

Test(supervisor, immediate_is_at_once)
{
	HoldfastSupervisorConfig config = config_of(2);

	prepare();
	open_with(&config);
	STEP_UNTIL(kept->born == 2);
	holdfast_supervisor_stop(supervisor, HOLDFAST_STOP_IMMEDIATE);
	holdfast_supervisor_stop(supervisor, HOLDFAST_STOP_FAST); /* too late to be gentle */
	STEP_UNTIL(state().phase == HOLDFAST_SUPERVISOR_DONE);
	cr_assert(state().state_lost && kept->terminated == 0);
	cr_assert(WIFSIGNALED(last_end.wait_status) && WTERMSIG(last_end.wait_status) == SIGQUIT);
	holdfast_supervisor_close(supervisor);
	cluster_stop();
}

Test(supervisor, a_stop_during_a_reset_is_the_end)
{
	HoldfastSupervisorConfig config = config_of(2);

	prepare();
	config.on_crash = HOLDFAST_ON_CRASH_RESET;
	kept->behaviour[1] = IGNORE_ALL;
	open_with(&config);
	STEP_UNTIL(kept->born == 2 && kept->inside == 1);
	kill(kept->pid[0], SIGKILL);
	STEP_UNTIL(state().phase == HOLDFAST_SUPERVISOR_RESETTING);
	holdfast_supervisor_stop(supervisor, HOLDFAST_STOP_FAST);
	cr_assert(state().phase == HOLDFAST_SUPERVISOR_QUITTING && state().state_lost);
	STEP_UNTIL(state().phase == HOLDFAST_SUPERVISOR_DONE);
	cr_assert_eq(state().resets, 0);
	holdfast_supervisor_stop(supervisor, HOLDFAST_STOP_IMMEDIATE); /* it has */
	holdfast_supervisor_close(supervisor);
	cluster_stop();
}

Test(supervisor, a_crash_while_stopping_makes_it_short)
{
	HoldfastSupervisorConfig config = config_of(2);

	prepare();
	config.on_crash = HOLDFAST_ON_CRASH_RESET;
	kept->behaviour[0] = IGNORE_ALL;
	kept->behaviour[1] = IGNORE_ALL;
	config.quit_ms = PATIENCE_MS * 2;
	open_with(&config);
	STEP_UNTIL(kept->born == 2 && kept->inside == 2);
	holdfast_supervisor_stop(supervisor, HOLDFAST_STOP_FAST);
	cr_assert_eq(state().phase, HOLDFAST_SUPERVISOR_STOPPING);
	kill(kept->pid[0], SIGKILL);
	STEP_UNTIL(state().phase == HOLDFAST_SUPERVISOR_QUITTING);
	cr_assert(state().state_lost && state().resets == 0);
	kill(kept->pid[1], SIGKILL);
	STEP_UNTIL(state().phase == HOLDFAST_SUPERVISOR_DONE);
	holdfast_supervisor_close(supervisor);
	cluster_stop();
}

static HoldfastStatus
cannot_make(void *arg)
{
	(void) arg;
	return HOLDFAST_NO_MEMORY;
}

Test(supervisor, a_reset_without_a_new_segment_is_the_end)
{
	HoldfastSupervisorConfig config = config_of(1);

	prepare();
	config.on_crash = HOLDFAST_ON_CRASH_RESET;
	config.create = cannot_make;
	kept->behaviour[0] = EXIT_9;
	open_with(&config);
	cr_assert_eq(holdfast_supervisor_run(supervisor, 0), HOLDFAST_NO_MEMORY);
	cr_assert(state().state_lost && state().phase == HOLDFAST_SUPERVISOR_DONE);
	holdfast_supervisor_close(supervisor);
	cluster_stop();
}

/* From none on, one more each time, until it works: what was opened before is closed again. */
Test(supervisor, without_descriptors_there_is_none)
{
	HoldfastSupervisorConfig config = config_of(1);
	struct rlimit before;
	int lowest, refused = 0;

	prepare();
	cr_assert(getrlimit(RLIMIT_NOFILE, &before) == 0);
	lowest = dup(0);
	close(lowest);
	for (rlim_t limit = (rlim_t) lowest;; limit++)
	{
		struct rlimit few = {.rlim_cur = limit, .rlim_max = before.rlim_max};
		HoldfastStatus status;
		int next;

		cr_assert(setrlimit(RLIMIT_NOFILE, &few) == 0);
		status = holdfast_supervisor_open(&config, &supervisor);
		cr_assert(setrlimit(RLIMIT_NOFILE, &before) == 0);
		if (status == HOLDFAST_OK)
			break;
		cr_assert(status == HOLDFAST_SYSTEM_ERROR && supervisor == NULL);
		cr_assert(holdfast_last_error()->saved_errno == EMFILE);
		next = dup(0);
		close(next);
		cr_assert_eq(next, lowest, "a descriptor is left");
		refused++;
	}
	cr_assert(refused >= 2);
	holdfast_supervisor_close(supervisor);
	cluster_stop();
}

static bool
lives(pid_t pid)
{
	return pid > 0 && !holdfast_process_is_dead(pid, 0);
}

Test(supervisor, a_subreaper_leaves_no_grandchild_and_no_zombie)
{
	HoldfastSupervisorConfig config = config_of(1);

	prepare();
	config.subreaper = true;
	kept->behaviour[0] = LEAVE_CHILDREN;
	open_with(&config);
	STEP_UNTIL(kept->born >= 1);
	kept->behaviour[0] = LIVE;
	STEP_UNTIL(state().orphans >= 2);
	cr_assert(!lives(kept->grandchild[0]) && !lives(kept->grandchild[1]));
	STEP_UNTIL(state().alive == 1 && kept->born >= 2);
	stop_and_close(HOLDFAST_STOP_FAST);
	prctl(PR_SET_CHILD_SUBREAPER, 0);
	cluster_stop();
}

Test(supervisor, other_children_of_the_caller_are_left_to_it)
{
	HoldfastSupervisorConfig config = config_of(1);
	pid_t other;
	int status;

	prepare();
	open_with(&config);
	STEP_UNTIL(kept->born == 1);
	other = fork();
	if (other == 0)
		_exit(5);
	kill(kept->pid[0], SIGKILL);
	STEP_UNTIL(kept->born == 2);
	holdfast_supervisor_stop(supervisor, HOLDFAST_STOP_FAST);
	STEP_UNTIL(state().phase == HOLDFAST_SUPERVISOR_DONE);
	cr_assert_eq(waitpid(other, &status, 0), other);
	cr_assert_eq(WEXITSTATUS(status), 5);
	holdfast_supervisor_close(supervisor);
	cluster_stop();
}

Test(supervisor, a_caller_that_ignores_its_children_loses_no_death)
{
	HoldfastSupervisorConfig config = config_of(1);

	prepare();
	signal(SIGCHLD, SIG_IGN);
	kept->behaviour[0] = HOLD;
	open_with(&config);
	STEP_UNTIL(kept->inside == 1);
	kept->behaviour[0] = LIVE;
	kill(kept->pid[0], SIGKILL);
	STEP_UNTIL(kept->born == 2);
	cr_assert(last_end.crashed && last_end.wait_status == -1);
	cr_assert_eq(last_end.recovery.locks_recovered, 1);
	stop_and_close(HOLDFAST_STOP_FAST);
	cluster_stop();
}

Test(supervisor, a_lost_lockfile_ends_it_at_once)
{
	HoldfastSupervisorConfig config = config_of(2);
	struct pollfd one = {.events = POLLIN};
	char path[96];

	prepare();
	config.recheck_ms = 600000; /* the watch alone must notice */
	open_with(&config);
	STEP_UNTIL(kept->born == 2);
	one.fd = holdfast_supervisor_fd(supervisor);
	STEP_UNTIL(poll(&one, 1, 0) == 0);
	snprintf(path, sizeof(path), "%s/%s", fixture_dir, HOLDFAST_LOCKFILE_NAME);
	cr_assert_eq(unlink(path), 0);
	cr_assert_eq(poll(&one, 1, PATIENCE_MS), 1, "nothing woke the supervisor");
	STEP_UNTIL(state().phase >= HOLDFAST_SUPERVISOR_QUITTING);
	STEP_UNTIL(state().phase == HOLDFAST_SUPERVISOR_DONE);
	cr_assert(state().state_lost);
	holdfast_supervisor_close(supervisor);
	cluster_stop();
}

Test(supervisor, a_removed_segment_is_replaced)
{
	HoldfastSupervisorConfig config = config_of(2);
	unsigned long old_segment;

	prepare();
	config.recheck_ms = 50;
	open_with(&config);
	STEP_UNTIL(kept->born == 2);
	old_segment = UsedShmemSegID;
	cr_assert_eq(shmctl((int) old_segment, IPC_RMID, NULL), 0);
	STEP_UNTIL(kept->born == 4);
	cr_assert(UsedShmemSegID != old_segment);
	cr_assert_eq(state().resets, 1);
	stop_and_close(HOLDFAST_STOP_FAST);
	cluster_stop();
}

Test(supervisor, run_takes_signals_only_when_asked_and_gives_them_back)
{
	HoldfastSupervisorConfig config = config_of(1);
	sigset_t mask;
	pid_t self = getpid(), teller;

	prepare();
	open_with(&config);
	STEP_UNTIL(kept->born == 1);
	sigprocmask(SIG_SETMASK, NULL, &mask);
	cr_assert(!sigismember(&mask, SIGTERM));
	/* Only once SIGTERM is blocked it is safe to send it. */
	teller = fork();
	if (teller == 0)
	{
		char path[64], line[256];
		bool blocked = false;

		snprintf(path, sizeof(path), "/proc/%d/status", (int) self);
		while (!blocked)
		{
			FILE *file = fopen(path, "r");
			unsigned long long bits;

			while (file && fgets(line, sizeof(line), file))
				if (sscanf(line, "SigBlk: %llx", &bits) == 1)
					blocked = bits & (1ull << (SIGTERM - 1));
			if (file)
				fclose(file);
		}
		kill(self, SIGTERM);
		_exit(0);
	}
	cr_assert_eq(holdfast_supervisor_run(supervisor, HOLDFAST_RUN_TAKE_SIGNALS), HOLDFAST_OK);
	waitpid(teller, NULL, 0);
	sigprocmask(SIG_SETMASK, NULL, &mask);
	cr_assert(!sigismember(&mask, SIGTERM));
	cr_assert_eq(kept->terminated, 1);
	holdfast_supervisor_close(supervisor);
	cluster_stop();
}

/* A whole cluster in a child that is killed: the kernel tells its workers. */
static int
supervise_for_ever(int arg)
{
	HoldfastSupervisorConfig config = config_of(2);

	(void) arg;
	if (InitProcess("supervisor") < 0 ||
		holdfast_supervisor_open(&config, &supervisor) != HOLDFAST_OK)
		return 1;
	return holdfast_supervisor_run(supervisor, 0);
}

Test(supervisor, workers_leave_with_a_killed_supervisor)
{
	uint64_t end = now_ms() + PATIENCE_MS;
	pid_t parent;

	prepare();
	parent = child_start_without_slot(supervise_for_ever, 0);
	while (__atomic_load_n(&kept->born, __ATOMIC_SEQ_CST) < 2)
		cr_assert(now_ms() < end);
	child_kill(parent);
	while (lives(kept->pid[0]) || lives(kept->pid[1]))
		cr_assert(now_ms() < end, "a worker stays");
	cr_assert_eq(holdfast_recover(1000000, NULL), HOLDFAST_OK);
	cluster_stop();
}

Test(supervisor, a_child_cannot_step_it)
{
	HoldfastSupervisorConfig config = config_of(1);
	pid_t child;
	int status;

	prepare();
	open_with(&config);
	STEP_UNTIL(kept->born == 1);
	child = fork();
	if (child == 0)
	{
		bool refused = holdfast_supervisor_step(supervisor) == HOLDFAST_MISUSE;

		holdfast_supervisor_close(supervisor);
		_exit(refused ? 0 : 1);
	}
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_assert_eq(status, 0);
	cr_assert(lives(kept->pid[0]));
	stop_and_close(HOLDFAST_STOP_FAST);
	cluster_stop();
}

Test(supervisor, closing_kills_what_is_left)
{
	HoldfastSupervisorConfig config = config_of(2);

	prepare();
	open_with(&config);
	STEP_UNTIL(kept->born == 2);
	holdfast_supervisor_close(supervisor);
	cr_assert(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD);
	cr_assert_eq(holdfast_recover(1000000, NULL), HOLDFAST_OK);
	cluster_stop();
}
