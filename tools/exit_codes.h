/*
 * exit_codes.h
 *		What `holdfast` says with its exit code, whatever the command.
 */
#ifndef HOLDFAST_TOOLS_EXIT_CODES_H
#define HOLDFAST_TOOLS_EXIT_CODES_H

typedef enum ExitCode
{
	EXIT_GOOD = 0,
	EXIT_FINDINGS = 1, /* a scenario failed, an armed fault never fired, an audit did not balance */
	EXIT_USAGE = 2,    /* unknown command, option, scenario, plan: nothing was run */
	EXIT_UNFIT = 3,    /* the environment refuses: no rights, no shared memory, directory in use */
	EXIT_NOTHING = 4,  /* the selection is empty */
	EXIT_INCOMPLETE =
		5,          /* the budget was spent, or the shut-down was not orderly; no findings so far */
	EXIT_FLAKY = 6, /* failures, all of them in cases that also passed */
	EXIT_INTERNAL = 70,
	EXIT_INTERRUPTED = 130,
} ExitCode;

#endif
