/*
 * supervisor.c
 *		The supervisor's phases, its timers, and the lockfile and segment that it watches.
 *
 *		RUNNING -> STOPPING -> DONE                 asked to stop, in order
 *		RUNNING -> RESETTING -> RUNNING             a crash that repair cannot mend
 *		any -> QUITTING -> DONE                     at once: asked to, lockfile lost, a crash while stopping
 *
 * One epoll descriptor holds the pidfds of the workers, a timer, and the watch on the lockfile; whatever made it readable, a
 * step looks at everything.  Whoever is still there kill_ns after it was asked to leave is killed.
 *
 * Crash safety: said at each INJECT_POINT.  Safety: one thread; nothing runs in a signal handler.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <holdfast/ipc.h>
#include <holdfast/lockfile.h>
#include <holdfast/pg_shmem.h>

#include "inject_point.h"
#include "lwlock_internal.h"
#include "report.h"
#include "supervisor_internal.h"

#define ASK_AGAIN_MS 20 /* for a worker without pidfd */
#define SWEEP_MS     10

/* ---- phases ---- */

static void
begin_end(HoldfastSupervisor *supervisor, HoldfastSupervisorPhase phase, int signal_number)
{
	supervisor->state.phase = phase;
	supervisor->kill_ns = after_ms(holdfast_now_ns(), supervisor->config.quit_ms);
	holdfast_supervisor_signal(supervisor, signal_number);
}

static void
quit(HoldfastSupervisor *supervisor)
{
	supervisor->state.state_lost = true;
	if (supervisor->state.phase != HOLDFAST_SUPERVISOR_DONE)
		begin_end(supervisor, HOLDFAST_SUPERVISOR_QUITTING, SIGQUIT);
}

void
holdfast_supervisor_give_up(HoldfastSupervisor *supervisor, HoldfastStatus why)
{
	if (supervisor->state.failure == HOLDFAST_OK)
		supervisor->state.failure = why;
}

void
holdfast_supervisor_reset(HoldfastSupervisor *supervisor, const char *why)
{
	if (supervisor->state.phase == HOLDFAST_SUPERVISOR_STOPPING)
	{
		(void) report(HOLDFAST_LOG, HOLDFAST_OK, 0, NULL, NULL,
					  "%s while stopping; ending the remaining workers", why);
		quit(supervisor);
		return;
	}
	if (supervisor->state.phase != HOLDFAST_SUPERVISOR_RUNNING)
		return;
	if (supervisor->config.create == NULL)
	{
		(void) report(HOLDFAST_LOG, HOLDFAST_OK, 0, NULL, NULL,
					  "%s; nobody can make a new segment: shutting down", why);
		holdfast_supervisor_give_up(supervisor, HOLDFAST_RESET_NEEDED);
		quit(supervisor);
		return;
	}
	(void) report(HOLDFAST_LOG, HOLDFAST_OK, 0, NULL, NULL,
				  "%s; terminating all workers and restarting", why);
	begin_end(supervisor, HOLDFAST_SUPERVISOR_RESETTING, SIGQUIT);
}

void
holdfast_supervisor_stop(HoldfastSupervisor *supervisor, HoldfastStopMode mode)
{
	HoldfastSupervisorPhase phase = supervisor->state.phase;

	if (phase == HOLDFAST_SUPERVISOR_QUITTING || phase == HOLDFAST_SUPERVISOR_DONE)
		return;
	if (mode == HOLDFAST_STOP_IMMEDIATE)
	{
		(void) report(HOLDFAST_LOG, HOLDFAST_OK, 0, NULL, NULL,
					  "received immediate shutdown request");
		quit(supervisor);
	}
	else if (phase == HOLDFAST_SUPERVISOR_RESETTING)
	{
		(void) report(HOLDFAST_LOG, HOLDFAST_OK, 0, NULL, NULL,
					  "received fast shutdown request while restarting");
		supervisor->state.state_lost = true;
		supervisor->state.phase = HOLDFAST_SUPERVISOR_QUITTING; /* SIGQUIT was sent */
	}
	else if (phase == HOLDFAST_SUPERVISOR_RUNNING)
	{
		(void) report(HOLDFAST_LOG, HOLDFAST_OK, 0, NULL, NULL, "received fast shutdown request");
		begin_end(supervisor, HOLDFAST_SUPERVISOR_STOPPING, SIGTERM);
	}
}

/* Resets that follow each other at once would only burn the machine: the workers wait. */
static void
forget_workers(HoldfastSupervisor *supervisor)
{
	uint64_t now = holdfast_now_ns();
	uint64_t respawn_ns = 0;

	if (supervisor->reset_done_ns != 0 &&
		now - supervisor->reset_done_ns < supervisor->config.backoff_ms_max * NS_PER_MS)
		respawn_ns = after_ms(now, backoff_ms(supervisor, supervisor->quick_resets++));
	else
		supervisor->quick_resets = 0;
	supervisor->reset_done_ns = now;
	for (uint32_t i = 0; i < supervisor->config.workers; i++)
		supervisor->worker[i] = (WorkerSlot){.pidfd = -1, .respawn_ns = respawn_ns};
}

/* Everybody of the old segment is gone: a new one. */
static void
finish_reset(HoldfastSupervisor *supervisor)
{
	HoldfastStatus status;

	INJECT_POINT("supervisor/reset/alone", INJECT_ANYWHERE,
				 "all workers are gone, the segment is not: the next start recycles it");
	shmem_exit(1);
	INJECT_POINT("supervisor/reset/no-segment", INJECT_ANYWHERE,
				 "no segment, a lockfile that names the old one: the next start finds it stale");
	supervisor->state.resets++;
	status = supervisor->config.create(supervisor->config.arg);
	if (status < 0)
	{
		holdfast_supervisor_give_up(supervisor, status);
		supervisor->state.state_lost = true;
		supervisor->state.phase = HOLDFAST_SUPERVISOR_DONE;
		return;
	}
	forget_workers(supervisor);
	supervisor->state.phase = HOLDFAST_SUPERVISOR_RUNNING;
	(void) report(HOLDFAST_LOG, HOLDFAST_OK, 0, NULL, NULL,
				  "all workers terminated; reinitialized");
}

static void
advance(HoldfastSupervisor *supervisor)
{
	HoldfastSupervisorPhase phase = supervisor->state.phase;

	if (phase == HOLDFAST_SUPERVISOR_RUNNING || phase == HOLDFAST_SUPERVISOR_DONE ||
		supervisor->state.alive > 0 || supervisor->sweep_ns != 0)
		return;
	if (phase == HOLDFAST_SUPERVISOR_RESETTING)
		finish_reset(supervisor);
	else
		supervisor->state.phase = HOLDFAST_SUPERVISOR_DONE;
}

/* ---- lockfile and segment ---- */

static bool
lockfile_was_touched(const HoldfastSupervisor *supervisor)
{
	struct pollfd watch = {.fd = supervisor->watch_fd, .events = POLLIN};

	return poll(&watch, 1, 0) > 0;
}

static void
recheck(HoldfastSupervisor *supervisor)
{
	bool lockfile_is_ours = RecheckDataDirLockFile(); /* in any phase: it makes the watch quiet */
	HoldfastSupervisorPhase phase = supervisor->state.phase;

	supervisor->recheck_ns = after_ms(holdfast_now_ns(), supervisor->config.recheck_ms);
	if (!lockfile_is_ours && phase != HOLDFAST_SUPERVISOR_QUITTING &&
		phase != HOLDFAST_SUPERVISOR_DONE)
	{
		(void) report(HOLDFAST_WARNING, HOLDFAST_OK, 0, NULL, NULL,
					  "performing immediate shutdown because data directory lock file is invalid");
		quit(supervisor);
	}
	else if (phase == HOLDFAST_SUPERVISOR_RUNNING && !holdfast_segment_recheck())
		holdfast_supervisor_reset(supervisor, "somebody removed the shared memory segment");
}

/* ---- time ---- */

static void
timers(HoldfastSupervisor *supervisor)
{
	uint64_t now = holdfast_now_ns();

	if (now >= supervisor->recheck_ns || lockfile_was_touched(supervisor))
		recheck(supervisor);
	if (supervisor->sweep_ns != 0 && now >= supervisor->sweep_ns)
		supervisor->sweep_ns = holdfast_supervisor_sweep(supervisor) ? after_ms(now, SWEEP_MS) : 0;
	if (supervisor->state.phase != HOLDFAST_SUPERVISOR_RUNNING &&
		supervisor->state.phase != HOLDFAST_SUPERVISOR_DONE && now >= supervisor->kill_ns)
	{
		holdfast_supervisor_signal(supervisor, SIGKILL);
		supervisor->kill_ns = after_ms(now, supervisor->config.quit_ms);
	}
}

static void
sooner(uint64_t *nearest, uint64_t candidate)
{
	if (candidate < *nearest)
		*nearest = candidate;
}

static uint64_t
nearest_timer(const HoldfastSupervisor *supervisor)
{
	uint64_t nearest = supervisor->recheck_ns;
	uint64_t ask_again = after_ms(holdfast_now_ns(), ASK_AGAIN_MS);
	bool running = supervisor->state.phase == HOLDFAST_SUPERVISOR_RUNNING;

	if (!running)
		sooner(&nearest, supervisor->kill_ns);
	if (supervisor->sweep_ns != 0)
		sooner(&nearest, supervisor->sweep_ns);
	for (uint32_t i = 0; i < supervisor->config.workers; i++)
	{
		const WorkerSlot *slot = &supervisor->worker[i];

		if (slot->pid == 0 && running)
			sooner(&nearest, slot->respawn_ns);
		if (slot->pid != 0 && slot->pidfd < 0)
			sooner(&nearest, ask_again);
	}
	return nearest;
}

/* 0 would switch the timer off. */
static void
arm_timer(const HoldfastSupervisor *supervisor, uint64_t when_ns)
{
	struct itimerspec spec = {.it_value = {.tv_sec = (time_t) (when_ns / 1000000000),
										   .tv_nsec = (long) (when_ns % 1000000000) + 1}};

	if (spec.it_value.tv_nsec > 999999999)
		spec.it_value.tv_nsec = 999999999;
	(void) timerfd_settime(supervisor->timer_fd, TFD_TIMER_ABSTIME, &spec, NULL);
}

HoldfastStatus
holdfast_supervisor_step(HoldfastSupervisor *supervisor)
{
	uint64_t expirations;
	ssize_t drained;

	if (supervisor->self != getpid())
		return report(HOLDFAST_ERROR, HOLDFAST_MISUSE, 0, NULL, NULL,
					  "a supervisor is its own process's, not a child's");
	/* Drains it.  Should that fail, nothing is lost: the clock says what is due, and the timer is set anew below. */
	drained = read(supervisor->timer_fd, &expirations, sizeof(expirations));
	(void) drained;
	holdfast_supervisor_reap(supervisor);
	timers(supervisor);
	advance(supervisor);
	holdfast_supervisor_spawn_due(supervisor);
	arm_timer(supervisor, supervisor->state.phase == HOLDFAST_SUPERVISOR_DONE
							  ? 0 /* readable for ever: whoever polls once more is not kept */
							  : nearest_timer(supervisor));
	return HOLDFAST_OK;
}

/* ---- opening and closing ---- */

static void
or_default(uint32_t *value, uint32_t otherwise)
{
	if (*value == 0)
		*value = otherwise;
}

static void
fill_config(HoldfastSupervisor *supervisor, const HoldfastSupervisorConfig *config)
{
	supervisor->config = *config;
	or_default(&supervisor->config.recover_ms, 1000);
	or_default(&supervisor->config.quit_ms, 5000); /* PostgreSQL's SIGKILL_CHILDREN_AFTER_SECS */
	or_default(&supervisor->config.recheck_ms, 1000);
	or_default(&supervisor->config.backoff_ms_min, 10);
	or_default(&supervisor->config.backoff_ms_max, 1000);
	or_default(&supervisor->config.quick_death_ms, 100);
	if (supervisor->config.death_signal == 0)
		supervisor->config.death_signal = SIGQUIT;
	supervisor->self = getpid();
	supervisor->epoll_fd = supervisor->timer_fd = supervisor->watch_fd = -1;
	for (uint32_t i = 0; i < config->workers; i++)
		supervisor->worker[i].pidfd = -1;
}

static bool
open_fds(HoldfastSupervisor *supervisor)
{
	struct epoll_event event = {.events = EPOLLIN};

	supervisor->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	supervisor->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	/* Without one recheck_ms is all there is. */
	supervisor->watch_fd = holdfast_lockfile_watch_fd();
	if (supervisor->watch_fd >= 0)
		(void) epoll_ctl(supervisor->epoll_fd, EPOLL_CTL_ADD, supervisor->watch_fd, &event);
	return supervisor->epoll_fd >= 0 && supervisor->timer_fd >= 0 &&
		   epoll_ctl(supervisor->epoll_fd, EPOLL_CTL_ADD, supervisor->timer_fd, &event) == 0 &&
		   (!supervisor->config.subreaper || prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
}

HoldfastStatus
holdfast_supervisor_open(const HoldfastSupervisorConfig *config, HoldfastSupervisor **out)
{
	HoldfastSupervisor *supervisor;

	*out = NULL;
	if (config->workers < 1 || config->workers > HOLDFAST_WORKERS_MAX || config->worker == NULL)
		return report(HOLDFAST_ERROR, HOLDFAST_MISUSE, 0, NULL, NULL,
					  "a supervisor has 1 to %d workers, and something for them to do",
					  HOLDFAST_WORKERS_MAX);
	supervisor = calloc(1, sizeof(*supervisor) + config->workers * sizeof(WorkerSlot));
	if (supervisor == NULL)
		return report(HOLDFAST_ERROR, HOLDFAST_NO_MEMORY, ENOMEM, NULL, NULL, "out of memory");
	fill_config(supervisor, config);
	if (!open_fds(supervisor))
	{
		int saved_errno = errno;

		holdfast_supervisor_close(supervisor);
		return report(HOLDFAST_ERROR, HOLDFAST_SYSTEM_ERROR, saved_errno, NULL, NULL,
					  "could not prepare a supervisor: %m");
	}
	supervisor->recheck_ns = after_ms(holdfast_now_ns(), supervisor->config.recheck_ms);
	arm_timer(supervisor, 0);
	*out = supervisor;
	return HOLDFAST_OK;
}

int
holdfast_supervisor_fd(const HoldfastSupervisor *supervisor)
{
	return supervisor->epoll_fd;
}

void
holdfast_supervisor_state(const HoldfastSupervisor *supervisor, HoldfastSupervisorState *out)
{
	*out = supervisor->state;
}

void
holdfast_supervisor_close(HoldfastSupervisor *supervisor)
{
	if (supervisor == NULL)
		return;
	for (uint32_t i = 0; supervisor->self == getpid() && i < supervisor->config.workers; i++)
	{
		if (supervisor->worker[i].pid == 0)
			continue;
		(void) kill(supervisor->worker[i].pid, SIGKILL);
		while (waitpid(supervisor->worker[i].pid, NULL, 0) < 0 && errno == EINTR)
			continue;
	}
	holdfast_supervisor_forget_fds(supervisor);
	free(supervisor);
}

/* ---- the simple way ---- */

static void
take_signals(HoldfastSupervisor *supervisor, int signal_fd)
{
	struct signalfd_siginfo taken;

	while (read(signal_fd, &taken, sizeof(taken)) == (ssize_t) sizeof(taken))
		holdfast_supervisor_stop(supervisor, taken.ssi_signo == SIGQUIT ? HOLDFAST_STOP_IMMEDIATE
																		: HOLDFAST_STOP_FAST);
}

static HoldfastStatus
loop(HoldfastSupervisor *supervisor, int signal_fd)
{
	struct pollfd fds[2] = {
		{.fd = supervisor->epoll_fd, .events = POLLIN},
		{.fd = signal_fd, .events = POLLIN}, /* negative: ignored */
	};
	HoldfastStatus status = HOLDFAST_OK;

	while (status == HOLDFAST_OK && supervisor->state.phase != HOLDFAST_SUPERVISOR_DONE)
	{
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return report(HOLDFAST_ERROR, HOLDFAST_SYSTEM_ERROR, errno, NULL, NULL,
						  "poll failed: %m");
		if (signal_fd >= 0)
			take_signals(supervisor, signal_fd);
		status = holdfast_supervisor_step(supervisor);
	}
	return status == HOLDFAST_OK ? supervisor->state.failure : status;
}

HoldfastStatus
holdfast_supervisor_run(HoldfastSupervisor *supervisor, unsigned flags)
{
	sigset_t mask, before;
	HoldfastStatus status;
	int signal_fd;

	if ((flags & HOLDFAST_RUN_TAKE_SIGNALS) == 0)
		return loop(supervisor, -1);
	(void) sigemptyset(&mask);
	(void) sigaddset(&mask, SIGTERM);
	(void) sigaddset(&mask, SIGINT);
	(void) sigaddset(&mask, SIGQUIT);
	signal_fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signal_fd < 0)
		return report(HOLDFAST_ERROR, HOLDFAST_SYSTEM_ERROR, errno, NULL, NULL,
					  "could not watch for signals: %m");
	(void) pthread_sigmask(SIG_BLOCK, &mask, &before);
	status = loop(supervisor, signal_fd);
	(void) pthread_sigmask(SIG_SETMASK, &before, NULL);
	(void) close(signal_fd);
	return status;
}
