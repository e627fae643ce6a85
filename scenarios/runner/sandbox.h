/*
 * sandbox.h
 *		One case in namespaces of its own: IPC, PID, mount, and user where the runner is not root.
 *
 * The first process in there is an init: it mounts the case's tmpfs and /proc, starts the case as its child,
 * reaps everybody, and when the case's process is gone does the post-mortem.  When init goes, the kernel kills
 * whatever is left and the IPC objects with it: nothing can outlive a case.
 *
 * Owner: the runner owns the Sandbox and closes it; report and output survive every process of the case.
 * Signals: init dies with the runner (PDEATHSIG), whatever kills that.
 */
#ifndef HOLDFAST_RUNNER_SANDBOX_H
#define HOLDFAST_RUNNER_SANDBOX_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "runner/observation.h"
#include "runner/report.h"
#include "runner/scenario.h"

typedef struct SandboxSpec
{
	const Scenario *scenario;
	const ScenarioCase *which;
	const char *work_dir; /* an existing directory; the case's own tmpfs covers it */
	const char *user_plan;
	CaseObservation *observation; /* NULL: not wanted */
	uint64_t seed;
	bool verbose;
} SandboxSpec;

typedef struct Sandbox
{
	pid_t pid;     /* of init, seen from here */
	int pidfd;     /* polls readable when it is gone */
	int output_fd; /* what the case wrote to stdout and stderr */
	CaseReport *report;
} Sandbox;

/* False with a reason in problem; nothing is left then. */
bool sandbox_start(const SandboxSpec *spec, Sandbox *sandbox, char *problem, size_t size);

/* Kills everything in it.  Returns at once; the pidfd tells when it is done. */
void sandbox_kill(const Sandbox *sandbox);

/* Reaps init and frees all; its processes must be gone or killed. */
void sandbox_close(Sandbox *sandbox);

/* What each process in it is doing just now, for a case that does not end: "[pid name state wchan]". */
void sandbox_describe(const Sandbox *sandbox, char *text, size_t size);

/* Whether sandboxes can be made here at all. */
bool sandbox_probe(const char *work_dir, char *problem, size_t size);

#endif
