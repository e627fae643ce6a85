/*
 * sandbox_init.h
 *		What sandbox.c hands to the process it makes.
 */
#ifndef HOLDFAST_RUNNER_SANDBOX_INIT_H
#define HOLDFAST_RUNNER_SANDBOX_INIT_H

#include <stdbool.h>
#include <sys/types.h>

#include "runner/report.h"
#include "runner/sandbox.h"

typedef struct SandboxInit
{
	const SandboxSpec *spec;
	CaseReport *report;
	int output_fd;
	int go_fd;        /* one byte comes when the user map is written; end of file: do not start */
	int go_write_fd;  /* the runner's end, to be closed here */
	int runner_pidfd; /* readable once the runner is dead */
	pid_t runner_pid;
	bool rootless;
} SandboxInit;

/* PID 1 of the case.  Never returns. */
__attribute__((noreturn)) void sandbox_init_main(const SandboxInit *init);

#endif
