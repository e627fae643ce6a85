/*
 * supervisor_internal.h
 *		What supervisor.c (phases and time) and supervisor_workers.c (birth and death) share.
 */
#ifndef HOLDFAST_SUPERVISOR_INTERNAL_H
#define HOLDFAST_SUPERVISOR_INTERNAL_H

#include <holdfast/supervisor.h>

#define NS_PER_MS UINT64_C(1000000)

typedef struct WorkerSlot
{
	pid_t pid; /* 0: none */
	int pidfd; /* -1: none, or the kernel has none: then it is asked again and again */
	uint64_t started_ns;
	uint64_t respawn_ns; /* not before that */
	uint32_t quick_deaths;
} WorkerSlot;

struct HoldfastSupervisor
{
	HoldfastSupervisorConfig config; /* defaults filled in */
	HoldfastSupervisorState state;
	pid_t self;
	int epoll_fd, timer_fd;
	int watch_fd;        /* of the lockfile; -1: it is only looked at now and then */
	uint64_t kill_ns;    /* SIGKILL for those who are still there then */
	uint64_t recheck_ns; /* next look at lockfile and segment */
	uint64_t reset_done_ns;
	uint32_t quick_resets;
	uint64_t sweep_ns; /* next look for grandchildren; 0: none are expected */
	unsigned quiet_sweeps;
	WorkerSlot worker[];
};

/* supervisor_workers.c */
void holdfast_supervisor_spawn_due(HoldfastSupervisor *supervisor);
void holdfast_supervisor_signal(const HoldfastSupervisor *supervisor, int signal_number);
/* Reaps workers that ended, and does for each what its end asks for. */
void holdfast_supervisor_reap(HoldfastSupervisor *supervisor);
/* Grandchildren of ours that lost their parent: killed, reaped.  True while there may be more. */
bool holdfast_supervisor_sweep(HoldfastSupervisor *supervisor);
void holdfast_supervisor_forget_fds(HoldfastSupervisor *supervisor);

/* supervisor.c */
void holdfast_supervisor_give_up(HoldfastSupervisor *supervisor, HoldfastStatus why);

static inline uint64_t
after_ms(uint64_t now_ns, uint64_t ms)
{
	return now_ns + ms * NS_PER_MS;
}

/* min << n, at most max. */
static inline uint64_t
backoff_ms(const HoldfastSupervisor *supervisor, uint32_t failures)
{
	uint64_t ms = (uint64_t) supervisor->config.backoff_ms_min << (failures < 20 ? failures : 20);

	return ms < supervisor->config.backoff_ms_max ? ms : supervisor->config.backoff_ms_max;
}

#endif
