/*
 * supervisor.h
 *		What the parts of the supervisor share: start-up and end (cluster.c), the loop (supervisor.c).
 */
#ifndef HOLDFAST_CLUSTER_SUPERVISOR_H
#define HOLDFAST_CLUSTER_SUPERVISOR_H

#include <signal.h>

#include "cluster/bank.h"
#include "cluster/cluster.h"

typedef enum ClusterPhase
{
	CLUSTER_RUNNING,
	CLUSTER_STOPPING,  /* SIGTERM was sent to all; crashes are still recovered */
	CLUSTER_RESETTING, /* SIGQUIT was sent to all; a new segment follows */
	CLUSTER_QUITTING,  /* SIGQUIT was sent to all; nothing follows */
	CLUSTER_DONE,
} ClusterPhase;

typedef struct WorkerSlot
{
	pid_t pid; /* 0: none */
	uint64_t started_ns;
	uint64_t respawn_ns; /* not before that */
	unsigned quick_deaths;
} WorkerSlot;

typedef struct Cluster
{
	ClusterConfig config; /* defaults filled in */
	BankAccess bank;
	WorkerSlot worker[CLUSTER_WORKERS_MAX];
	ClusterPhase phase;
	int signal_fd;
	int started_fd[2];
	unsigned started;
	uint64_t kill_ns;    /* SIGKILL for those who are still there then */
	uint64_t audit_ns;   /* next audit */
	uint64_t recheck_ns; /* next look at the lockfile */
	uint64_t end_ns;     /* 0: none */
	uint64_t spawned, crashes, recoveries, resets;
	bool unbalanced;
	bool state_lost; /* a crash while stopping could not be repaired: no final audit */
	bool failed;     /* a reset could not make a new segment */
	sigset_t saved_mask;
} Cluster;

/* cluster.c: segment, structures, own slot.  Reports why not. */
HoldfastStatus cluster_make_segment(Cluster *cluster);

/* "LOG:  ..." on stderr, unless the cluster is quiet. */
void cluster_log(const Cluster *cluster, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* supervisor.c: runs until phase is CLUSTER_DONE, and no worker is left. */
void cluster_supervise(Cluster *cluster);

#endif
