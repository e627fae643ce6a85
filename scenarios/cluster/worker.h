/*
 * worker.h
 *		A worker process of the reference cluster.
 */
#ifndef HOLDFAST_CLUSTER_WORKER_H
#define HOLDFAST_CLUSTER_WORKER_H

#include "cluster/bank.h"
#include "cluster/cluster.h"

typedef struct WorkerStart
{
	const ClusterConfig *config;
	BankAccess *bank; /* its own copy: it is a child */
	unsigned ordinal; /* 1-based, as in proc=worker.1 */
	uint64_t seed;
	pid_t supervisor;
	int started_fd; /* one byte goes there when it has its slot */
} WorkerStart;

#define WORKER_EXIT_STOPPED 0
#define WORKER_EXIT_ORPHAN  3 /* the supervisor is gone */
#define WORKER_EXIT_FAILED  4 /* a lock said what it must not; it is on stderr */
#define WORKER_EXIT_QUIT    2 /* SIGQUIT, as PostgreSQL's quickdie */

/* In a fresh child of the supervisor, all signals blocked.  Returns what to end with. */
int worker_main(const WorkerStart *start);

#endif
