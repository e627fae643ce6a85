/*
 * cluster.h
 *		The reference cluster: a supervisor and its workers move money between accounts in shared memory.
 *
 * It is the smallest server that uses everything of the library the way PostgreSQL uses its original: lockfile,
 * segment, named structures, slots, locks in two modes, waiting for a variable, recovery or restart after
 * a death, orderly and immediate shutdown.  Its audit must always balance; that is what makes it worth crashing.
 *
 * Owners: the calling process becomes the supervisor and owns lockfile and segment; workers own their slots.
 * Threads: one per process.  Signals to the supervisor: SIGTERM and SIGINT stop in order, SIGQUIT at once.
 * Crash safety: any process may die at any instruction.  A dead worker is replaced after its locks were
 * recovered, or the cluster is restarted as PostgreSQL does; workers of a dead supervisor leave at once.
 * Errors: cluster_serve() returns an exit code and has said why on stderr; it never calls exit itself.
 */
#ifndef HOLDFAST_CLUSTER_H
#define HOLDFAST_CLUSTER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include <holdfast/holdfast.h>
#include <holdfast/pg_shmem.h>

typedef enum ClusterOnCrash
{
	CLUSTER_REPAIR, /* recover the dead worker's locks, replace it; reset only if that cannot be done */
	CLUSTER_RESET, /* PostgreSQL's way: end all workers, new segment, start again */
} ClusterOnCrash;

#define CLUSTER_WORKERS_DEFAULT    4
#define CLUSTER_WORKERS_MAX        256
#define CLUSTER_ACCOUNTS_DEFAULT   16
#define CLUSTER_ACCOUNTS_MAX       128 /* an audit holds all their locks at once */
#define CLUSTER_AUDIT_MS_DEFAULT   1000
#define CLUSTER_QUIT_MS_DEFAULT    5000 /* PostgreSQL's SIGKILL_CHILDREN_AFTER_SECS */
#define CLUSTER_RECOVER_MS_DEFAULT 1000

/* Zero in any number means its default. */
typedef struct ClusterConfig
{
	const char *data_dir;
	unsigned workers;
	unsigned accounts;
	ClusterOnCrash on_crash;
	unsigned audit_ms;   /* between two audits by the supervisor */
	unsigned quit_ms;    /* from SIGQUIT to SIGKILL when resetting or stopping */
	unsigned recover_ms; /* how long a recovery may wait for a stopped process before a reset */
	unsigned recheck_ms; /* between two looks at the lockfile, besides the kernel's word; 0: 1 s */
	unsigned run_ms;     /* stop in order after that; 0: when told to */
	unsigned ordinal;    /* proc=supervisor.N in a fault plan; 0: 1 */
	unsigned pace_us;    /* a worker's pause between transfers; 0: none */
	unsigned
		linger_us; /* in the middle of every eighth transfer and audit, its locks held; 0: none */
	HoldfastMemory memory;
	int ready_fd; /* "ready PID\n" is written here, and the descriptor closed, once workers run; -1 */
	bool quiet;   /* errors only on stderr */
	FILE *out;    /* the final audit goes here; NULL: nowhere */
	struct History *history; /* of workers and accounts of these numbers; NULL: none is kept */
} ClusterConfig;

/* Exit codes, those of the command line. */
#define CLUSTER_STOPPED    0
#define CLUSTER_UNBALANCED 1 /* an audit failed: money appeared or vanished */
#define CLUSTER_REFUSED    3 /* could not start here: directory in use, no segment, bad lockfile ... */
#define CLUSTER_IMMEDIATE  5 /* shut down without order: SIGQUIT, or the lockfile was taken away */

/*
 * Runs the cluster until it is told to stop.  The segment is gone when it returns; the lockfile goes by the
 * caller's proc_exit(code), which must be its next step.  A fault plan is armed by the caller beforehand.
 */
int cluster_serve(const ClusterConfig *config);

typedef enum ClusterStopMode
{
	CLUSTER_STOP_FAST,      /* SIGTERM */
	CLUSTER_STOP_IMMEDIATE, /* SIGQUIT */
} ClusterStopMode;

/*
 * Tells the supervisor of data_dir to stop and waits until it is gone.  Fails with HOLDFAST_NOT_FOUND (no
 * lockfile, or its process is dead: *pid says which), HOLDFAST_TIMED_OUT, HOLDFAST_DAMAGED, HOLDFAST_SYSTEM_ERROR
 * (no right to signal it).  The process is named by pidfd and start time: a reused PID is never signalled.
 */
HOLDFAST_MUST_CHECK HoldfastStatus cluster_stop(const char *data_dir, ClusterStopMode mode,
												unsigned deadline_ms, pid_t *pid);

/* Parses "repair" and "reset". */
bool cluster_on_crash_parse(const char *text, ClusterOnCrash *out);

/* Parses "sysv" and "mmap"; "off", "on" and "try". */
bool cluster_memory_type_parse(const char *text, HoldfastMemoryType *out);
bool cluster_huge_pages_parse(const char *text, HoldfastHugePages *out);

#endif
