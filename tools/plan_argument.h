/*
 * plan_argument.h
 *		A plan as it is given on the command line: the text itself, or @FILE.
 */
#ifndef HOLDFAST_TOOLS_PLAN_ARGUMENT_H
#define HOLDFAST_TOOLS_PLAN_ARGUMENT_H

/* Arms it in the mapped table.  EXIT_GOOD, or EXIT_USAGE after one line on stderr; then nothing was armed. */
int plan_argument_arm(const char *argument);

#endif
