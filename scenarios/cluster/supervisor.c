/*
 * supervisor.c
 *		The cluster's loop around the library's supervisor: signals, readiness, audits.
 *
 * Workers, crashes, resets, the lockfile: all that is holdfast_supervisor_step()'s.  Here are the operator's signals, by
 * signalfd, the word that all workers run, and the audits, which some worker makes: between start and the final audit the
 * supervisor takes no lock, so that nothing a worker does, or leaves undone, can stop it.
 */
#include "cluster/supervisor.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <holdfast/lockfile.h>

#include "cluster/history.h"
#include "cluster/worker.h"
#include "runner/clock.h"

/* In the child. */
static int
be_worker(const HoldfastWorker *self, void *arg)
{
	Cluster *cluster = arg;
	WorkerStart start = {
		.config = &cluster->config,
		.bank = &cluster->bank,
		.ordinal = self->index + 1,
		.seed = self->incarnation * UINT64_C(0x9e3779b97f4a7c15),
		.supervisor = self->supervisor,
		.started_fd = cluster->started_fd[1],
	};

	close(cluster->signal_fd);
	close(cluster->started_fd[0]);
	cluster->bank.me = history_born(cluster->config.history, start.ordinal);
	return worker_main(&start);
}

static HoldfastStatus
make_segment(void *arg)
{
	return cluster_make_segment(arg);
}

static void
take_signals(Cluster *cluster)
{
	struct signalfd_siginfo taken;

	while (read(cluster->signal_fd, &taken, sizeof(taken)) == sizeof(taken))
	{
		if (taken.ssi_signo == SIGQUIT)
			holdfast_supervisor_stop(cluster->supervisor, HOLDFAST_STOP_IMMEDIATE);
		else if (taken.ssi_signo == SIGTERM || taken.ssi_signo == SIGINT)
			holdfast_supervisor_stop(cluster->supervisor, HOLDFAST_STOP_FAST);
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

/* Asks for an audit, and looks how those before came out. */
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
	holdfast_supervisor_stop(cluster->supervisor, HOLDFAST_STOP_FAST);
}

static void
timers(Cluster *cluster)
{
	uint64_t now = clock_now_ns();

	if (now >= cluster->audit_ns)
		audit(cluster);
	if (cluster->end_ns && now >= cluster->end_ns)
	{
		cluster->end_ns = 0;
		holdfast_supervisor_stop(cluster->supervisor, HOLDFAST_STOP_FAST);
	}
}

static int
ms_until_timer(const Cluster *cluster)
{
	uint64_t nearest = cluster->audit_ns;

	if (cluster->end_ns && cluster->end_ns < nearest)
		nearest = cluster->end_ns;
	return clock_ms_until(nearest);
}

static bool
loop(Cluster *cluster)
{
	HoldfastSupervisorState state;

	for (;;)
	{
		struct pollfd fds[3] = {
			{.fd = holdfast_supervisor_fd(cluster->supervisor), .events = POLLIN},
			{.fd = cluster->signal_fd, .events = POLLIN},
			{.fd = cluster->started_fd[0], .events = POLLIN},
		};

		if (poll(fds, 3, ms_until_timer(cluster)) < 0 && errno != EINTR)
			cluster_log(cluster, "poll failed: %s", strerror(errno));
		take_signals(cluster);
		if (holdfast_supervisor_step(cluster->supervisor) < 0)
			return false;
		take_started(cluster);
		holdfast_supervisor_state(cluster->supervisor, &state);
		if (state.phase == HOLDFAST_SUPERVISOR_DONE)
			return state.failure == HOLDFAST_OK;
		if (state.phase == HOLDFAST_SUPERVISOR_RUNNING)
			timers(cluster);
		else
			cluster->audit_ns = clock_deadline_ns(cluster->config.audit_ms);
	}
}

bool
cluster_supervise(Cluster *cluster)
{
	HoldfastSupervisorConfig config = {
		.workers = cluster->config.workers,
		.worker = be_worker,
		.create = make_segment,
		.arg = cluster,
		.on_crash = cluster->config.on_crash == CLUSTER_RESET ? HOLDFAST_ON_CRASH_RESET
															  : HOLDFAST_ON_CRASH_REPAIR,
		.recover_ms = cluster->config.recover_ms,
		.quit_ms = cluster->config.quit_ms,
		.recheck_ms = cluster->config.recheck_ms,
		.signals_blocked = true,
	};

	cluster->audit_ns = clock_deadline_ns(cluster->config.audit_ms);
	if (cluster->config.run_ms)
		cluster->end_ns = clock_deadline_ns(cluster->config.run_ms);
	return holdfast_supervisor_open(&config, &cluster->supervisor) == HOLDFAST_OK && loop(cluster);
}
