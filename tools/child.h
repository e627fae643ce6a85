/*
 * child.h
 *		Programs that a command starts: output to a file, ended with us, and a Ctrl-C that reaches both.
 *
 * Signals: children_begin() blocks SIGCHLD, SIGINT, SIGTERM and SIGHUP; children_end() gives the mask back.  Between the
 * two, child_wait() learns of the last three, after which nothing is started any more.
 */
#ifndef HOLDFAST_TOOLS_CHILD_H
#define HOLDFAST_TOOLS_CHILD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

uint64_t monotonic_ms(void);

void children_begin(void);
void children_end(void);
bool children_interrupted(void);

/*
 * Starts argv[0], searched in PATH.  `settings` are NULL-terminated "NAME=value" for its environment, may be NULL.
 * stdin is empty; stdout and stderr go to `output`, which is replaced; the file is the caller's to remove.
 * -1 with errno.
 */
pid_t child_start(const char *const *argv, const char *const *settings, const char *output);

/*
 * Waits until one of the `count` children has ended, whose place is returned and *status filled in, or `ms` have passed, or
 * a signal came: -1.  Places whose PID is 0 are skipped; the PID that was reaped becomes 0.
 */
int child_wait(pid_t *children, int count, int ms, int *status);

/* Starts it and waits.  At the deadline (0: none), or at a signal, it is killed.  *status as wait(2); false: not started. */
bool child_run(const char *const *argv, const char *const *settings, const char *output,
			   uint64_t deadline_ms, int *status);

#endif
