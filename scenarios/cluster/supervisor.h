/*
 * supervisor.h
 *		What the parts of the cluster's supervisor share: start-up and end (cluster.c), the loop (supervisor.c).
 */
#ifndef HOLDFAST_CLUSTER_SUPERVISOR_H
#define HOLDFAST_CLUSTER_SUPERVISOR_H

#include <signal.h>

#include <holdfast/supervisor.h>

#include "cluster/bank.h"
#include "cluster/cluster.h"

typedef struct Cluster
{
	ClusterConfig config; /* defaults filled in */
	BankAccess bank;
	HoldfastSupervisor *supervisor;
	int signal_fd;
	int started_fd[2];
	unsigned started;
	uint64_t audit_ns; /* next audit */
	uint64_t end_ns;   /* 0: none */
	bool unbalanced;
	sigset_t saved_mask;
} Cluster;

/* cluster.c: segment, structures, own slot.  Reports why not.  Called again after each reset. */
HoldfastStatus cluster_make_segment(Cluster *cluster);

/* "LOG:  ..." on stderr, unless the cluster is quiet. */
void cluster_log(const Cluster *cluster, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* supervisor.c: runs until it is done, and no worker is left.  False: it could not, or gave up; it has said why. */
bool cluster_supervise(Cluster *cluster);

#endif
