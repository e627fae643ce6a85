/*
 * suite_file.h
 *		A suite file (scenarios/suite/suite.h) as it is given on the command line: read, and made a selection.
 *
 * Everything that is wrong with it is said before anything runs: "FILE:LINE:COLUMN: what", and what is legal.
 */
#ifndef HOLDFAST_TOOLS_SUITE_FILE_H
#define HOLDFAST_TOOLS_SUITE_FILE_H

#include "runner/runner.h"
#include "suite/suite.h"

/* "-" is stdin.  EXIT_GOOD, and then suite_free() is the caller's; else said why: EXIT_USAGE, EXIT_UNFIT (no libyaml). */
int suite_file_read(const char *path, Suite *suite);

/*
 * What it selects, which points into *suite, whose plans become one line each.  EXIT_GOOD; EXIT_USAGE for a bad plan, EXIT_NOTHING for a bad
 * pattern.
 */
int suite_file_select(const char *path, Suite *suite, RunnerSelection **selection);

void suite_file_free(Suite *suite);

#endif
