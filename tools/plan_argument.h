/*
 * plan_argument.h
 *		A plan as it is given on the command line: the text itself, or @FILE.
 */
#ifndef HOLDFAST_TOOLS_PLAN_ARGUMENT_H
#define HOLDFAST_TOOLS_PLAN_ARGUMENT_H

/* Arms it in the mapped table.  EXIT_GOOD, or EXIT_USAGE after one line on stderr; then nothing was armed. */
int plan_argument_arm(const char *argument);

/*
 * The text of it, for who hands it on: the argument, or the file's, which lives as long as the program, without the blanks at
 * its end.  EXIT_GOOD, or EXIT_USAGE after one line on stderr.  Whether it is a plan is not known.
 */
int plan_argument_text(const char *argument, const char **text);

#endif
