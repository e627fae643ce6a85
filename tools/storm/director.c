/*
 * director.c
 *		Lives of the cluster, one after the other, and the loop that harms them.
 *
 * A supervisor that was killed is followed at once by the next, which must refuse as long as one worker of the old life is
 * there, and must not refuse when nobody is.  As the reaper of all, the director knows: it has no children then.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <holdfast/inspect.h>
#include <holdfast/ipc.h>
#include <holdfast/lwlock.h>
#include <holdfast/proc.h>
#include <holdfast/recovery.h>
#include <holdfast/shmem.h>

#include "cluster/bank.h"
#include "oracle/leftovers.h"
#include "runner/clock.h"
#include "storm.h"

#define START_LIMIT_MS 30000
#define LOCK_LIMIT_US  5000000
#define QUIT_MS        1000
#define LINGER_US      20
#define LOOK_MS        20
#define FOREIGN_SIZE   4096
#define FOREIGN_BYTE   0x5a

/* xorshift64*: decisions are the seed's alone; when they meet the cluster is not. */
uint64_t
storm_random(Storm *storm, uint64_t below)
{
	storm->random ^= storm->random >> 12;
	storm->random ^= storm->random << 25;
	storm->random ^= storm->random >> 27;
	return (storm->random * UINT64_C(0x2545f4914f6cdd1d) >> 11) % below;
}

void
sample_add(Sample *sample, uint64_t from_ns)
{
	uint64_t us = (clock_now_ns() - from_ns) / 1000;

	sample->count++;
	sample->sum_us += us;
	if (us > sample->max_us)
		sample->max_us = us;
}

/* ---- a life ---- */

static __attribute__((noreturn)) void
serve(const Storm *storm, int ready_fd)
{
	ClusterConfig config = {
		.data_dir = storm->data_dir,
		.workers = storm->config.workers,
		.accounts = storm->config.accounts,
		.on_crash = storm->config.on_crash,
		.audit_ms = 50,
		.quit_ms = QUIT_MS,
		.recover_ms = storm->config.recover_ms,
		.linger_us = LINGER_US,
		.ready_fd = ready_fd,
		.out = stdout,
		.history = storm->history,
	};
	char path[4200];
	int log;

	snprintf(path, sizeof(path), "%s/server.log", storm->config.run_dir);
	log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (log < 0 || dup2(log, STDOUT_FILENO) < 0 || dup2(log, STDERR_FILENO) < 0)
		_exit(70);
	(void) prctl(PR_SET_PDEATHSIG, SIGKILL);
	proc_exit(cluster_serve(&config));
}

static void
close_inherited(const Storm *storm)
{
	const Life *lives[] = {&storm->life, &storm->rival};

	for (int i = 0; i < 2; i++)
	{
		if (lives[i]->pidfd >= 0)
			close(lives[i]->pidfd);
		if (lives[i]->ready_fd >= 0)
			close(lives[i]->ready_fd);
	}
	for (int i = 0; i < STOPPED_MAX; i++)
		if (storm->stopped[i].pidfd >= 0)
			close(storm->stopped[i].pidfd);
}

void
life_start(Storm *storm, Life *life)
{
	int ready[2];

	*life = (Life){.pidfd = -1, .ready_fd = -1, .alone = !storm_reap(storm)};
	if (pipe2(ready, O_CLOEXEC | O_NONBLOCK) < 0)
	{
		storm_violation(storm, "could not make a pipe: %s", strerror(errno));
		return;
	}
	life->pid = fork();
	if (life->pid == 0)
	{
		close_inherited(storm);
		close(ready[0]);
		serve(storm, ready[1]);
	}
	close(ready[1]);
	life->ready_fd = ready[0];
	life->started_ns = clock_now_ns();
	if (life->pid > 0)
		life->pidfd = (int) syscall(SYS_pidfd_open, life->pid, 0);
	if (life->pidfd < 0)
	{
		storm_violation(storm, "could not start a supervisor: %s", strerror(errno));
		return;
	}
	life->state = LIFE_STARTING;
	storm->lives++;
}

static void
life_forget(Life *life)
{
	if (life->pidfd >= 0)
		close(life->pidfd);
	if (life->ready_fd >= 0)
		close(life->ready_fd);
	*life = (Life){.pidfd = -1, .ready_fd = -1};
}

static bool
has_ended(const Life *life)
{
	struct pollfd one = {.fd = life->pidfd, .events = POLLIN};

	return poll(&one, 1, 0) > 0;
}

/* Reaps orphans; supervisors are reaped by name.  True: somebody besides them may still be there. */
bool
storm_reap(Storm *storm)
{
	for (;;)
	{
		siginfo_t info = {.si_pid = 0};

		if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0)
			return errno != ECHILD;
		if (info.si_pid == 0 || info.si_pid == storm->life.pid || info.si_pid == storm->rival.pid)
			return true;
		(void) waitpid(info.si_pid, NULL, WNOHANG);
	}
}

static void
serves(Storm *storm, Life *life)
{
	life->state = LIFE_READY;
	if (storm->outage_ns)
		sample_add(&storm->outage, storm->outage_ns);
	storm->outage_ns = 0;
}

/* It says that it serves: nobody else may. */
static void
on_ready(Storm *storm, Life *life)
{
	char line[64];

	if (read(life->ready_fd, line, sizeof(line)) <= 0)
		return; /* end of file: it has ended, or is about to, and its pidfd says more */
	close(life->ready_fd);
	life->ready_fd = -1;
	if (life == &storm->rival)
	{
		if (!has_ended(&storm->life))
			storm_violation(storm, "two servers at once: a rival became ready while the supervisor "
								   "whose lockfile was removed lives");
		return;
	}
	serves(storm, life);
}

static bool
refused(const Life *life, int status)
{
	return life->state == LIFE_STARTING && WIFEXITED(status) &&
		   WEXITSTATUS(status) == CLUSTER_REFUSED;
}

/* How it ended, against how it may. */
static void
judge_end(Storm *storm, const Life *life, int status)
{
	if (life->killed)
		return;
	if (refused(life, status))
	{
		storm->refusals++;
		if (life->alone)
			storm_violation(storm,
							"a start was refused though nobody of an earlier life was there");
		return;
	}
	if (life->state == LIFE_LEAVING && WIFEXITED(status) &&
		WEXITSTATUS(status) == CLUSTER_IMMEDIATE)
	{
		sample_add(&storm->lockfile_noticed, life->leave_ns);
		return;
	}
	if (WIFSIGNALED(status))
		storm_violation(storm, "a supervisor was ended by signal %d", WTERMSIG(status));
	else
		storm_violation(storm, "a supervisor ended with exit code %d%s", WEXITSTATUS(status),
						WEXITSTATUS(status) == CLUSTER_UNBALANCED ? ": an audit failed" : "");
}

/* The next one is started at once, whoever is still there. */
static void
on_end(Storm *storm)
{
	int status = 0;
	bool was_refused;

	while (waitpid(storm->life.pid, &status, 0) < 0 && errno == EINTR)
		continue;
	was_refused = refused(&storm->life, status) && !storm->life.killed;
	judge_end(storm, &storm->life, status);
	life_forget(&storm->life);
	if (!storm->outage_ns)
		storm->outage_ns = clock_now_ns();
	if (storm->rival.state != LIFE_NONE)
	{
		storm->life = storm->rival;
		storm->rival = (Life){.pidfd = -1, .ready_fd = -1};
		if (storm->life.ready_fd < 0) /* it has said so already */
			serves(storm, &storm->life);
		return;
	}
	if (was_refused)
		poll(NULL, 0, 2); /* not as fast as the machine can fork */
	else
		nemesis_between_lives(storm);
	life_start(storm, &storm->life);
}

static void
on_rival_end(Storm *storm)
{
	int status = 0;

	while (waitpid(storm->rival.pid, &status, 0) < 0 && errno == EINTR)
		continue;
	judge_end(storm, &storm->rival, status);
	life_forget(&storm->rival);
	if (storm->life.state == LIFE_LEAVING && !has_ended(&storm->life))
	{
		poll(NULL, 0, 2);
		life_start(storm, &storm->rival);
		storm->rival.alone = false;
	}
}

/* ---- the loop ---- */

static void
check_outage(Storm *storm)
{
	if (storm->outage_ns && clock_now_ns() - storm->outage_ns > START_LIMIT_MS * NS_PER_MS)
		storm_violation(storm, "nobody has served for %d s", START_LIMIT_MS / 1000);
}

static void
look(Storm *storm, uint64_t until_ns)
{
	int ms = clock_ms_until(until_ns);
	struct pollfd fds[4] = {
		{.fd = storm->life.pidfd, .events = POLLIN},
		{.fd = storm->life.ready_fd, .events = POLLIN},
		{.fd = storm->rival.pidfd, .events = POLLIN},
		{.fd = storm->rival.ready_fd, .events = POLLIN},
	};

	(void) poll(fds, 4, ms < LOOK_MS ? ms : LOOK_MS);
	if (fds[1].revents & POLLIN)
		on_ready(storm, &storm->life);
	if (fds[3].revents & POLLIN)
		on_ready(storm, &storm->rival);
	if (fds[2].revents)
		on_rival_end(storm);
	if (fds[0].revents)
		on_end(storm);
	(void) storm_reap(storm);
	check_outage(storm);
	nemesis_follow(storm);
}

static bool
goes_on(const Storm *storm)
{
	return __atomic_load_n(&storm->history->violations, __ATOMIC_RELAXED) == 0;
}

static void
harm(Storm *storm)
{
	while (goes_on(storm) && clock_now_ns() < storm->end_ns)
	{
		uint64_t next = nemesis_next_ns(storm);

		look(storm, next < storm->end_ns ? next : storm->end_ns);
		nemesis_continue(storm, false);
		nemesis_strike_due(storm);
	}
}

/* Until somebody serves and nothing is owed any more. */
static void
calm(Storm *storm)
{
	nemesis_continue(storm, true);
	while (goes_on(storm) && (storm->life.state != LIFE_READY || storm->life.killed ||
							  has_ended(&storm->life) || storm->ipcrm_pending))
		look(storm, clock_deadline_ns(LOOK_MS));
}

/* ---- afterwards ---- */

static int
count_locks(const Storm *storm)
{
	HoldfastInspection *seen;
	int locks = 0;

	if (holdfast_inspect(storm->data_dir, &seen) < 0)
		return -1;
	for (uint32_t i = 0; i < seen->nlocks; i++)
		locks += seen->locks[i].index >= 0;
	holdfast_inspect_free(seen);
	return locks;
}

static bool
can_have(LWLock *lock, LWLockMode mode)
{
	HoldfastStatus status = LWLockAcquireTimed(lock, mode, LOCK_LIMIT_US);

	if (status == HOLDFAST_OWNER_DEAD && mode == LW_EXCLUSIVE)
		(void) LWLockMarkConsistent(lock);
	return status >= 0 && LWLockRelease(lock) >= 0;
}

/* In a process of its own, that joins as any program may.  Its exit code is the number of locks it did not get. */
static __attribute__((noreturn)) void
try_locks(const Storm *storm, int locks)
{
	int stuck = 0;

	on_exit_reset();
	if (holdfast_set_data_directory(storm->data_dir) < 0 || holdfast_shmem_join() < 0 ||
		InitProcess("auditor") < 0)
		_exit(255);
	for (int i = 0; i < locks; i++)
		stuck += !can_have(&LWLockArray[i].lock, LW_EXCLUSIVE) ||
				 !can_have(&LWLockArray[i].lock, LW_SHARED);
	ProcKill(0, 0);
	_exit(stuck < 250 ? stuck : 250);
}

static void
check_locks(Storm *storm)
{
	int locks = count_locks(storm), status = 0;
	pid_t pid = locks > 0 ? fork() : -1;

	if (pid == 0)
		try_locks(storm, locks);
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status) ||
		WEXITSTATUS(status) == 255)
	{
		storm_violation(storm, "nobody can join the cluster to try its locks");
		return;
	}
	storm->locks = (uint64_t) locks;
	storm->stuck = (uint64_t) WEXITSTATUS(status);
	if (storm->stuck)
		storm_violation(storm, "%llu of %d locks are stuck", (unsigned long long) storm->stuck,
						locks);
}

static void
read_audit(Storm *storm)
{
	char path[4200], line[1024];
	FILE *log;

	snprintf(path, sizeof(path), "%s/server.log", storm->config.run_dir);
	log = fopen(path, "re");
	while (log && fgets(line, sizeof(line), log))
		if (strncmp(line, "audit: ", 7) == 0)
			snprintf(storm->audit, sizeof(storm->audit), "%.*s", (int) strcspn(line, "\n") - 7,
					 line + 7);
	if (log)
		fclose(log);
}

static void
stop_in_order(Storm *storm)
{
	uint64_t deadline = clock_deadline_ns(START_LIMIT_MS);
	int status = 0;

	(void) syscall(SYS_pidfd_send_signal, storm->life.pidfd, SIGTERM, NULL, 0);
	while (!has_ended(&storm->life) && clock_now_ns() < deadline)
		poll(NULL, 0, 5);
	if (!has_ended(&storm->life))
	{
		storm_violation(storm, "the supervisor does not stop");
		return;
	}
	while (waitpid(storm->life.pid, &status, 0) < 0 && errno == EINTR)
		continue;
	life_forget(&storm->life);
	read_audit(storm);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != CLUSTER_STOPPED)
		storm_violation(storm, "the last supervisor ended with wait status %#x; audit: %s", status,
						storm->audit);
	else if (strncmp(storm->audit, "balanced", 8) != 0 || !storm->history->ended)
		storm_violation(storm, "there was no final audit");
}

/* A program that has nothing to do with us has a segment here; it must be as it was. */
static void
make_foreign(Storm *storm)
{
	char *bytes;

	storm->foreign_segment = shmget(IPC_PRIVATE, FOREIGN_SIZE, IPC_CREAT | 0600);
	bytes = storm->foreign_segment >= 0 ? shmat(storm->foreign_segment, NULL, 0) : (void *) -1;
	if (bytes == (void *) -1)
		return;
	memset(bytes, FOREIGN_BYTE, FOREIGN_SIZE);
	(void) shmdt(bytes);
}

static void
check_foreign(Storm *storm)
{
	char *bytes = shmat(storm->foreign_segment, NULL, SHM_RDONLY);
	size_t same = 0;

	if (bytes == (void *) -1)
	{
		storm_violation(storm, "the segment of a stranger is gone");
		return;
	}
	while (same < FOREIGN_SIZE && bytes[same] == FOREIGN_BYTE)
		same++;
	(void) shmdt(bytes);
	(void) shmctl(storm->foreign_segment, IPC_RMID, NULL);
	if (same < FOREIGN_SIZE)
		storm_violation(storm, "the segment of a stranger was written to");
}

static void
check_leaks(Storm *storm)
{
	if (leftovers_find(storm->config.work_dir, 0, 2000, storm->leaks, sizeof(storm->leaks)))
		storm_violation(storm, "left: %s", storm->leaks);
}

/* Whoever is there: after a violation nothing is asked of them any more. */
static void
kill_all(Storm *storm)
{
	nemesis_continue(storm, true);
	if (storm->life.pidfd >= 0)
		(void) syscall(SYS_pidfd_send_signal, storm->life.pidfd, SIGKILL, NULL, 0);
	if (storm->rival.pidfd >= 0)
		(void) syscall(SYS_pidfd_send_signal, storm->rival.pidfd, SIGKILL, NULL, 0);
	for (unsigned i = 0; i < storm->history->nworkers; i++)
	{
		const HistoryWorker *worker = &storm->history->worker[i];

		if (worker->pid > 0 && !holdfast_process_is_dead(worker->pid, worker->start_time))
			(void) kill(worker->pid, SIGKILL);
	}
	while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
		continue;
}

bool
storm_run(Storm *storm)
{
	storm->life = storm->rival = (Life){.pidfd = -1, .ready_fd = -1};
	for (int i = 0; i < STOPPED_MAX; i++)
		storm->stopped[i].pidfd = -1;
	snprintf(storm->data_dir, sizeof(storm->data_dir), "%s/data", storm->config.work_dir);
	snprintf(storm->lockfile, sizeof(storm->lockfile), "%s/%s", storm->data_dir,
			 HOLDFAST_LOCKFILE_NAME);
	storm->random = storm->config.seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
	storm->history = history_create(storm->config.workers, storm->config.accounts);
	if (!storm->history || prctl(PR_SET_CHILD_SUBREAPER, 1) < 0 ||
		(mkdir(storm->data_dir, 0700) < 0 && errno != EEXIST))
	{
		fprintf(stderr, "holdfast-storm: could not prepare: %s\n", strerror(errno));
		return false;
	}
	if (!nemesis_prepare(storm))
		return false;
	make_foreign(storm);
	life_start(storm, &storm->life);
	storm->outage_ns = storm->life.started_ns;
	storm->started_ns = clock_now_ns();
	storm->end_ns = clock_deadline_ns(storm->config.duration_ms);
	harm(storm);
	storm->seconds = (double) (clock_now_ns() - storm->started_ns) / 1e9;
	calm(storm);
	if (goes_on(storm))
		check_locks(storm);
	if (goes_on(storm))
		stop_in_order(storm);
	if (!goes_on(storm))
		evidence_keep(storm);
	kill_all(storm);
	check_foreign(storm);
	if (goes_on(storm))
		check_leaks(storm);
	history_check(storm->history, BANK_INITIAL_BALANCE, &storm->checked);
	return true;
}
