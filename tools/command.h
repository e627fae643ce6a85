/*
 * command.h
 *		The table of commands, from which dispatch, help, completion and did-you-mean are made.
 *
 * A command is a name, what it takes, and a handler that returns an exit code.  Options are read by
 * command_options(): long options only, `--name value` or `--name=value`, anywhere among the operands,
 * `--` ends them.  Every command understands --help.
 */
#ifndef HOLDFAST_TOOLS_COMMAND_H
#define HOLDFAST_TOOLS_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "exit_codes.h"

typedef enum OptionKind
{
	OPTION_FLAG,   /* bool */
	OPTION_STRING, /* const char * */
	OPTION_NUMBER, /* uint64_t, decimal */
	OPTION_TIME,   /* uint64_t milliseconds: 250ms 10s 5m 1h, plain numbers are seconds */
} OptionKind;

typedef struct Option
{
	const char *name; /* "--json"; a one-letter twin may follow: "--data-dir|-D" */
	OptionKind kind;
	void *value;          /* bool *, const char **, uint64_t * */
	const char *argument; /* "FILE"; NULL for flags */
	const char *help;
} Option;

typedef struct Command
{
	const char *name;
	const char *usage;                 /* operands and the like: "[SCENARIO...]" */
	const char *summary;               /* one line */
	int (*run)(int argc, char **argv); /* argv[0] is the command's name */
	const Option *(*options)(void);    /* ends with name NULL; for help and completion */
	const char *examples;
} Command;

extern const Command *const command_table[]; /* NULL-terminated */
const Command *command_find(const char *name);

/*
 * Reads options; operands move to argv[0..*operands).  `rest`, when not NULL, receives what follows `--`.
 * Returns EXIT_GOOD, EXIT_USAGE (said why), or -1 when --help was asked for and answered.
 */
int command_options(const Command *command, int argc, char **argv, int *operands, char ***rest);

void command_help(const Command *command, FILE *out);

/* One line on stderr, "holdfast: ..."; returns EXIT_USAGE. */
int usage_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* "; did you mean "x"?" for the nearest of the NULL-terminated candidates, or "". */
const char *did_you_mean(const char *word, const char *const *candidates);

/* Opens FILE for writing, "-" is stdout.  NULL after saying why. */
FILE *open_output(const char *path);
/* Closes it unless it is stdout; false, after saying why, when something could not be written. */
bool close_output(FILE *file, const char *path);

extern const Command command_bench, command_doctor, command_list, command_run, command_fuzz,
	command_merge, command_report, command_powerloss, command_replay, command_step, command_sweep,
	command_exec, command_inject, command_serve, command_stop, command_inspect, command_orphans,
	command_help_, command_storm, command_version, command_completion;
extern const Command command_explore, command_gate, command_shrink;

#endif
