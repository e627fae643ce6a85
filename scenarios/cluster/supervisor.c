/*
 * supervisor.c
 *		The supervisor's loop: workers come and go, some violently; money is counted meanwhile.
 *
 * A worker that ended by proc_exit(0 or 1) has tidied up.  Any other end is a crash, as in PostgreSQL:
 *		repair	holdfast_recover_pid(), then a new worker; the others never stop
 *		reset	SIGQUIT to all, SIGKILL after quit_ms, shmem_exit(), new segment, new workers
 * A repair that needs a reset, or takes too long because some worker is stopped, becomes one.
 *
 * Between start and the final audit the supervisor takes no lock, as PostgreSQL's postmaster: nothing that a worker does, or
 * leaves undone, can stop it.  holdfast_recover_pid() has a deadline.
 *
 * Signals come through a signalfd, time through poll(): nothing here runs in a handler.
 * Crash safety: a supervisor that dies leaves workers, which see it within a second, and lockfile and segment,
 * which the next start judges.
 */
#include "cluster/supervisor.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <holdfast/ipc.h>
#include <holdfast/lockfile.h>
#include <holdfast/recovery.h>

#include "cluster/worker.h"
#include "inject_point.h"
#include "runner/clock.h"

#define RECHECK_MS     1000
#define QUICK_DEATH_MS 100 /* a worker that lives shorter is started again only after a while */
#define RESPAWN_MS_MAX 1000

/* ---- workers ---- */

static unsigned
count_workers(const Cluster *cluster)
{
	unsigned alive = 0;

	for (unsigned i = 0; i < cluster->config.workers; i++)
		alive += cluster->worker[i].pid != 0;
	return alive;
}

static void
signal_workers(const Cluster *cluster, int signal_number)
{
	for (unsigned i = 0; i < cluster->config.workers; i++)
		if (cluster->worker[i].pid != 0) /* ours and not reaped: the PID is not another's */
			kill(cluster->worker[i].pid, signal_number);
}

static void
spawn(Cluster *cluster, unsigned index)
{
	WorkerSlot *slot = &cluster->worker[index];
	WorkerStart start = {
		.config = &cluster->config,
		.bank = &cluster->bank,
		.ordinal = index + 1,
		.seed = (cluster->spawned + 1) * UINT64_C(0x9e3779b97f4a7c15),
		.supervisor = getpid(),
		.started_fd = cluster->started_fd[1],
	};

	fflush(NULL); /* what is buffered must not come out twice */
	slot->pid = fork();
	if (slot->pid == 0)
	{
		close(cluster->signal_fd);
		close(cluster->started_fd[0]);
		worker_main(&start);
	}
	slot->started_ns = clock_now_ns();
	if (slot->pid < 0)
	{
		cluster_log(cluster, "could not fork a worker: %s", strerror(errno));
		slot->pid = 0;
		slot->respawn_ns = clock_deadline_ns(RESPAWN_MS_MAX);
		return;
	}
	cluster->spawned++;
}

static void
spawn_due(Cluster *cluster)
{
	uint64_t now = clock_now_ns();

	for (unsigned i = 0; cluster->phase == CLUSTER_RUNNING && i < cluster->config.workers; i++)
		if (cluster->worker[i].pid == 0 && cluster->worker[i].respawn_ns <= now)
			spawn(cluster, i);
}

/* A worker that cannot live is not started in a tight loop. */
static void
plan_respawn(WorkerSlot *slot)
{
	uint64_t lived_ms = (clock_now_ns() - slot->started_ns) / NS_PER_MS;
	unsigned shift = slot->quick_deaths < 7 ? slot->quick_deaths : 7;
	uint64_t delay = UINT64_C(10) << shift;

	slot->pid = 0;
	if (lived_ms >= QUICK_DEATH_MS)
	{
		slot->quick_deaths = 0;
		slot->respawn_ns = 0;
		return;
	}
	slot->quick_deaths++;
	slot->respawn_ns = clock_deadline_ns(delay < RESPAWN_MS_MAX ? delay : RESPAWN_MS_MAX);
}

/* ---- phases ---- */

static void
begin_end(Cluster *cluster, ClusterPhase phase, int signal_number)
{
	cluster->phase = phase;
	cluster->kill_ns = clock_deadline_ns(cluster->config.quit_ms);
	signal_workers(cluster, signal_number);
}

static void
begin_reset(Cluster *cluster, const char *why)
{
	if (cluster->phase == CLUSTER_STOPPING)
	{
		cluster_log(cluster, "%s while stopping; ending the remaining workers", why);
		cluster->state_lost = true;
		begin_end(cluster, CLUSTER_QUITTING, SIGQUIT);
		return;
	}
	if (cluster->phase != CLUSTER_RUNNING)
		return;
	cluster_log(cluster, "%s; terminating all workers and restarting", why);
	begin_end(cluster, CLUSTER_RESETTING, SIGQUIT);
}

/* Everybody of the old segment is gone: a new one. */
static void
finish_reset(Cluster *cluster)
{
	INJECT_POINT("cluster/reset/alone", INJECT_ANYWHERE,
				 "all workers are gone, the segment is not: the next start recycles it");
	shmem_exit(1);
	INJECT_POINT("cluster/reset/no-segment", INJECT_ANYWHERE,
				 "no segment, a lockfile that names the old one: the next start finds it stale");
	cluster->resets++;
	if (cluster_make_segment(cluster) < 0)
	{
		cluster->failed = true;
		cluster->phase = CLUSTER_DONE;
		return;
	}
	for (unsigned i = 0; i < cluster->config.workers; i++)
		cluster->worker[i] = (WorkerSlot){0};
	cluster->phase = CLUSTER_RUNNING;
	cluster_log(cluster, "all workers terminated; reinitialized");
}

static void
advance(Cluster *cluster)
{
	if (cluster->phase == CLUSTER_RUNNING || cluster->phase == CLUSTER_DONE ||
		count_workers(cluster) > 0)
		return;
	if (cluster->phase == CLUSTER_RESETTING)
		finish_reset(cluster);
	else
		cluster->phase = CLUSTER_DONE;
}

/* ---- deaths ---- */

static void
recover_worker(Cluster *cluster, pid_t pid)
{
	HoldfastRecovery result;
	HoldfastStatus status =
		holdfast_recover_pid(pid, (uint64_t) cluster->config.recover_ms * 1000, &result);

	if (status < 0)
	{
		begin_reset(cluster, status == HOLDFAST_TIMED_OUT
								 ? "a worker is stopped inside a lock and recovery cannot go on"
								 : "a lock cannot be repaired");
		return;
	}
	cluster->recoveries++;
	cluster_log(cluster, "recovered: %u locks, of these %u repaired and %u poisoned",
				result.locks_recovered, result.locks_repaired, result.locks_poisoned);
}

static void
worker_crashed(Cluster *cluster, pid_t pid, int status)
{
	if (cluster->phase == CLUSTER_RESETTING || cluster->phase == CLUSTER_QUITTING)
		return; /* we ended it ourselves, and its segment goes */
	cluster->crashes++;
	if (WIFSIGNALED(status))
		cluster_log(cluster, "worker (PID %d) was terminated by signal %d: %s", (int) pid,
					WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		cluster_log(cluster, "worker (PID %d) exited with exit code %d", (int) pid,
					WEXITSTATUS(status));
	if (cluster->config.on_crash == CLUSTER_RESET)
		begin_reset(cluster, "a worker crashed");
	else
		recover_worker(cluster, pid);
}

static void
reap(Cluster *cluster)
{
	for (unsigned i = 0; i < cluster->config.workers; i++)
	{
		WorkerSlot *slot = &cluster->worker[i];
		pid_t pid = slot->pid;
		int status;

		if (pid == 0 || waitpid(pid, &status, WNOHANG) != pid)
			continue;
		plan_respawn(slot);
		if (WIFEXITED(status) && WEXITSTATUS(status) <= 1)
			continue; /* by proc_exit(): it released everything */
		worker_crashed(cluster, pid, status);
	}
}

/* ---- events ---- */

static void
take_signals(Cluster *cluster)
{
	struct signalfd_siginfo taken;

	while (read(cluster->signal_fd, &taken, sizeof(taken)) == sizeof(taken))
	{
		if (taken.ssi_signo == SIGQUIT && cluster->phase != CLUSTER_QUITTING)
		{
			cluster_log(cluster, "received immediate shutdown request");
			cluster->state_lost = true;
			begin_end(cluster, CLUSTER_QUITTING, SIGQUIT);
		}
		if ((taken.ssi_signo == SIGTERM || taken.ssi_signo == SIGINT) &&
			cluster->phase == CLUSTER_RUNNING)
		{
			cluster_log(cluster, "received fast shutdown request");
			begin_end(cluster, CLUSTER_STOPPING, SIGTERM);
		}
		else if ((taken.ssi_signo == SIGTERM || taken.ssi_signo == SIGINT) &&
				 cluster->phase == CLUSTER_RESETTING)
		{
			cluster_log(cluster, "received fast shutdown request while restarting");
			cluster->state_lost = true;
			cluster->phase = CLUSTER_QUITTING;
		}
	}
}

static void
say_ready(Cluster *cluster)
{
	char text[32];
	int length = snprintf(text, sizeof(text), "ready %d\n", (int) getpid());

	if (AddToDataDirLockFile(LOCK_FILE_LINE_PM_STATUS, "ready") < 0)
		cluster_log(cluster, "could not note in the lockfile that the cluster is ready");
	cluster_log(cluster, "ready: %u workers, %u accounts", cluster->config.workers,
				cluster->config.accounts);
	if (cluster->config.ready_fd < 0)
		return;
	if (write(cluster->config.ready_fd, text, (size_t) length) != length)
		cluster_log(cluster, "nobody waits for us to be ready");
	close(cluster->config.ready_fd);
	cluster->config.ready_fd = -1;
}

static void
take_started(Cluster *cluster)
{
	char bytes[256];
	ssize_t got;
	bool was_ready = cluster->started >= cluster->config.workers;

	while ((got = read(cluster->started_fd[0], bytes, sizeof(bytes))) > 0)
		if (cluster->started < cluster->config.workers)
			cluster->started += (unsigned) got;
	if (!was_ready && cluster->started >= cluster->config.workers)
		say_ready(cluster);
}

/*
 * Asks for an audit, and looks how those before came out.  The supervisor itself takes no lock while workers live: one that
 * is stopped with a queue in its hands would stop it too, and nobody could end that one.
 */
static void
audit(Cluster *cluster)
{
	cluster->audit_ns = clock_deadline_ns(cluster->config.audit_ms);
	bank_want_audit(&cluster->bank);
	if (bank_unbalanced(&cluster->bank) == 0)
		return;
	fprintf(stderr, "FATAL:  audit failed: the accounts do not sum to %lld\n",
			(long long) bank_expected(&cluster->bank));
	cluster->unbalanced = true;
	begin_end(cluster, CLUSTER_STOPPING, SIGTERM);
}

static void
recheck(Cluster *cluster)
{
	cluster->recheck_ns = clock_deadline_ns(RECHECK_MS);
	if (RecheckDataDirLockFile() || cluster->phase == CLUSTER_QUITTING)
		return;
	fprintf(stderr, "LOG:  performing immediate shutdown because data directory lock file is "
					"invalid\n");
	cluster->state_lost = true;
	begin_end(cluster, CLUSTER_QUITTING, SIGQUIT);
}

static void
timers(Cluster *cluster)
{
	uint64_t now = clock_now_ns();

	if (now >= cluster->recheck_ns)
		recheck(cluster);
	if (cluster->phase == CLUSTER_RUNNING && now >= cluster->audit_ns)
		audit(cluster);
	if (cluster->phase == CLUSTER_RUNNING && cluster->end_ns && now >= cluster->end_ns)
		begin_end(cluster, CLUSTER_STOPPING, SIGTERM);
	if (cluster->phase != CLUSTER_RUNNING && cluster->phase != CLUSTER_DONE &&
		now >= cluster->kill_ns)
	{
		signal_workers(cluster, SIGKILL);
		cluster->kill_ns = clock_deadline_ns(cluster->config.quit_ms);
	}
}

static uint64_t
nearest_timer(const Cluster *cluster)
{
	uint64_t nearest = cluster->recheck_ns;

	if (cluster->phase == CLUSTER_RUNNING && cluster->audit_ns < nearest)
		nearest = cluster->audit_ns;
	if (cluster->phase == CLUSTER_RUNNING && cluster->end_ns && cluster->end_ns < nearest)
		nearest = cluster->end_ns;
	if (cluster->phase != CLUSTER_RUNNING && cluster->kill_ns < nearest)
		nearest = cluster->kill_ns;
	for (unsigned i = 0; cluster->phase == CLUSTER_RUNNING && i < cluster->config.workers; i++)
		if (cluster->worker[i].pid == 0 && cluster->worker[i].respawn_ns < nearest)
			nearest = cluster->worker[i].respawn_ns;
	return nearest;
}

void
cluster_supervise(Cluster *cluster)
{
	cluster->audit_ns = clock_deadline_ns(cluster->config.audit_ms);
	cluster->recheck_ns = clock_deadline_ns(RECHECK_MS);
	if (cluster->config.run_ms)
		cluster->end_ns = clock_deadline_ns(cluster->config.run_ms);
	while (cluster->phase != CLUSTER_DONE)
	{
		struct pollfd fds[2] = {
			{.fd = cluster->signal_fd, .events = POLLIN},
			{.fd = cluster->started_fd[0], .events = POLLIN},
		};

		spawn_due(cluster);
		if (poll(fds, 2, clock_ms_until(nearest_timer(cluster))) < 0 && errno != EINTR)
			cluster_log(cluster, "poll failed: %s", strerror(errno));
		take_signals(cluster);
		take_started(cluster);
		reap(cluster);
		timers(cluster);
		advance(cluster);
	}
}
