/*
 * served.h
 *		A reference cluster as an actor of a case: started, asked, ended, started again.
 *
 * Owner: the case's first process.  What the server said on stderr and stdout is kept for the oracle, and goes to
 * the case's log when something fails.
 */
#ifndef HOLDFAST_RUNNER_SERVED_H
#define HOLDFAST_RUNNER_SERVED_H

#include <holdfast/inspect.h>

#include "cluster/cluster.h"
#include "runner/actor.h"

typedef struct Served
{
	Actor supervisor;
	ClusterConfig config;
	uid_t uid;      /* run as that user; 0: as we are */
	int namespaces; /* CLONE_NEW...: of its own, like a container; its supervisor is then PID 1 there */
	int ready_fd; /* a line comes when it is ready, end of file when it will not be */
	int said_fd;  /* its stderr and stdout */
	bool ready;
} Served;

/* Small and fast: three workers, four accounts.  data_dir is the case's. */
ClusterConfig served_config(const ScenarioContext *ctx);

/* Starts it; neither ready nor refused yet. */
ScenarioStatus served_start(ScenarioContext *ctx, Served *served);

/* Until it is ready, or has ended: served->ready tells which. */
ScenarioStatus served_wait(ScenarioContext *ctx, Served *served);

/* Starts it and requires that it becomes ready. */
ScenarioStatus served_up(ScenarioContext *ctx, Served *served);

/* SIGTERM; requires exit code 0 and a balanced audit. */
ScenarioStatus served_down(ScenarioContext *ctx, Served *served);

/* It must end by itself with CLUSTER_REFUSED, having said each of the texts (NULL: nothing to look for). */
ScenarioStatus served_refused(ScenarioContext *ctx, Served *served, const char *message,
							  const char *hint);

/* A fault-free life from start to orderly end, after which neither segment nor lockfile is left. */
ScenarioStatus served_clean_life(ScenarioContext *ctx);

/* What it has said so far contains `text`?  And waits until it does. */
bool served_said(const Served *served, const char *text);
ScenarioStatus served_wait_said(ScenarioContext *ctx, Served *served, const char *text);
void served_log(ScenarioContext *ctx, const Served *served);

/* Gives back its descriptors, once its supervisor was reaped. */
void served_close(Served *served);

/* PIDs of the slots with that role; returns how many. */
ScenarioStatus served_pids(ScenarioContext *ctx, const char *role, pid_t *pids, unsigned max,
						   unsigned *count);

/* What the data directory looks like from outside. */
ScenarioStatus expect_inspect(ScenarioContext *ctx, HoldfastInspectState state,
							  uint64_t nattch_at_least);

/* No segment, no lockfile. */
ScenarioStatus expect_nothing_left(ScenarioContext *ctx);

/* Waits until `condition` holds, looking at it again and again; for what gives no event. */
ScenarioStatus wait_until(ScenarioContext *ctx, bool (*condition)(void *arg), void *arg,
						  const char *what);

#endif
