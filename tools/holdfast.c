/*
 * holdfast.c
 *		The command line: finds the command, reads its options, and lets it work.
 */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <holdfast/holdfast.h>

#include "command.h"
#include "inject/inject.h"

const Command *const command_table[] = {
	&command_doctor,
	&command_list,
	&command_run,
	&command_gate,
	&command_fuzz,
	&command_merge,
	&command_report,
	&command_explore,
	&command_replay,
	&command_shrink,
	&command_step,
	&command_powerloss,
	&command_sweep,
	&command_storm,
	&command_exec,
	&command_inject,
	&command_serve,
	&command_stop,
	&command_inspect,
	&command_orphans,
	&command_bench,
	&command_help_,
	&command_version,
	&command_completion,
	NULL,
};

const Command *
command_find(const char *name)
{
	for (size_t i = 0; command_table[i] != NULL; i++)
	{
		if (strcmp(command_table[i]->name, name) == 0)
			return command_table[i];
	}
	return NULL;
}

int
usage_error(const char *format, ...)
{
	va_list args;

	fputs("holdfast: ", stderr);
	va_start(args, format);
	(void) vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	return EXIT_USAGE;
}

static bool
is_help(const char *word)
{
	return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

const char *
did_you_mean(const char *word, const char *const *candidates)
{
	static char text[160];
	const char *nearest;
	size_t count = 0;

	while (candidates[count] != NULL)
		count++;
	nearest = inject_suggest(word, candidates, count);

	if (nearest == NULL)
		return "";
	(void) snprintf(text, sizeof(text), "; did you mean \"%s\"?", nearest);
	return text;
}

/* ---- options ---- */

/* Does `word` (without value) name the option?  "--data-dir|-D" is two names. */
static bool
option_is(const Option *option, const char *word, size_t length)
{
	const char *name = option->name;

	for (;;)
	{
		size_t size = strcspn(name, "|");

		if (size == length && strncmp(name, word, length) == 0)
			return true;
		if (name[size] == '\0')
			return false;
		name += size + 1;
	}
}

static bool
read_number(const char *text, uint64_t *value, const char **end)
{
	char *stop;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	*value = strtoull(text, &stop, 10);
	*end = stop;
	return errno == 0;
}

static bool
read_time_ms(const char *text, uint64_t *value)
{
	static const struct
	{
		const char *unit;
		uint64_t ms;
	} units[] = {{"ms", 1}, {"", 1000}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
	const char *unit;

	if (!read_number(text, value, &unit))
		return false;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
	{
		if (strcmp(unit, units[i].unit) == 0 && *value <= UINT64_MAX / units[i].ms)
		{
			*value *= units[i].ms;
			return true;
		}
	}
	return false;
}

static int
store_value(const Option *option, const char *word, const char *value)
{
	const char *end;

	switch (option->kind)
	{
		case OPTION_FLAG:
			*(bool *) option->value = true;
			return EXIT_GOOD;
		case OPTION_STRING:
			*(const char **) option->value = value;
			return EXIT_GOOD;
		case OPTION_NUMBER:
			if (read_number(value, option->value, &end) && *end == '\0')
				return EXIT_GOOD;
			return usage_error("%s wants a number, not \"%s\"", word, value);
		case OPTION_TIME:
			if (read_time_ms(value, option->value))
				return EXIT_GOOD;
			return usage_error("%s wants a time like 500ms, 10s or 5m, not \"%s\"", word, value);
	}
	return EXIT_INTERNAL;
}

static int
unknown_option(const Command *command, const Option *options, const char *word, size_t length)
{
	const char *names[32];
	char given[64];
	size_t count = 0;

	(void) snprintf(given, sizeof(given), "%.*s", (int) (length < 63 ? length : 63), word);
	for (; options[count].name != NULL && count < 30; count++)
		names[count] = options[count].name;
	names[count++] = "--help";
	names[count] = NULL;
	return usage_error("%s has no option %s%s", command->name, given, did_you_mean(given, names));
}

/* `--json` at the end, or before another option, has no file: it is for standard output, as where it is a flag. */
static bool
is_json_to_stdout(const Option *option, char **argv, int argc, int at)
{
	return strcmp(option->name, "--json") == 0 &&
		   (at + 1 >= argc || (argv[at + 1][0] == '-' && argv[at + 1][1] != '\0'));
}

static int
read_option(const Command *command, const Option *options, char **argv, int argc, int *at)
{
	const char *word = argv[*at];
	size_t length = strcspn(word, "=");
	const char *value = word[length] == '=' ? word + length + 1 : NULL;
	const Option *option = options;

	while (option->name != NULL && !option_is(option, word, length))
		option++;
	if (option->name == NULL)
		return unknown_option(command, options, word, length);
	if (option->kind == OPTION_FLAG && value != NULL)
		return usage_error("%.*s takes no value", (int) length, word);
	if (option->kind == OPTION_STRING && value == NULL &&
		is_json_to_stdout(option, argv, argc, *at))
		value = "-";
	if (option->kind != OPTION_FLAG && value == NULL)
	{
		if (*at + 1 >= argc)
			return usage_error("%s wants a value: %s", word, option->argument);
		value = argv[++*at];
	}
	return store_value(option, word, value);
}

int
command_options(const Command *command, int argc, char **argv, int *operands, char ***rest)
{
	static const Option none = {0};
	const Option *options = command->options != NULL ? command->options() : &none;
	int status = EXIT_GOOD;

	*operands = 0;
	if (rest != NULL)
		*rest = NULL;
	for (int i = 1; i < argc && status == EXIT_GOOD; i++)
	{
		if (strcmp(argv[i], "--") == 0)
		{
			if (rest != NULL)
				*rest = &argv[i + 1];
			else
				while (++i < argc)
					argv[(*operands)++] = argv[i];
			break;
		}
		if (is_help(argv[i]))
		{
			command_help(command, stdout);
			return -1;
		}
		if (argv[i][0] == '-' && argv[i][1] != '\0')
			status = read_option(command, options, argv, argc, &i);
		else
			argv[(*operands)++] = argv[i];
	}
	return status;
}

/* ---- help ---- */

void
command_help(const Command *command, FILE *out)
{
	(void) fprintf(out, "usage: holdfast %s %s\n\n%s\n", command->name, command->usage,
				   command->summary);
	if (command->examples != NULL)
		(void) fprintf(out, "\nexamples:\n%s", command->examples);
	if (command->options == NULL)
		return;
	(void) fprintf(out, "\noptions:\n");
	for (const Option *option = command->options(); option->name != NULL; option++)
	{
		char left[64];

		(void) snprintf(left, sizeof(left), "%s%s%s", option->name,
						option->argument != NULL ? " " : "",
						option->argument != NULL ? option->argument : "");
		(void) fprintf(out, "  %-24s %s\n", left, option->help);
	}
}

static void
print_overview(FILE *out)
{
	(void) fprintf(out, "usage: holdfast COMMAND [OPTION...]\n\n"
						"Hardened shared memory and locks, and the faults that prove them.\n\n"
						"  holdfast run                  crash everything, print what came of it\n"
						"  holdfast run kill-mid-lock    one scenario\n"
						"  holdfast serve -D DIR         a cluster to crash by hand\n\n"
						"commands:\n");
	for (size_t i = 0; command_table[i] != NULL; i++)
		(void) fprintf(out, "  %-11s %s\n", command_table[i]->name, command_table[i]->summary);
	(void) fprintf(out,
				   "\nholdfast help COMMAND tells more.\n\n"
				   "exit: 0 good, 1 findings, 2 usage, 3 environment unfit, 4 nothing selected, "
				   "5 incomplete,\n      6 flaky only, 70 internal, 130 interrupted\n");
}

static int
unknown_command(const char *name)
{
	const char *names[32];
	size_t count = 0;

	for (; command_table[count] != NULL && count < 31; count++)
		names[count] = command_table[count]->name;
	names[count] = NULL;
	return usage_error("there is no command \"%s\"%s", name, did_you_mean(name, names));
}

static int
run_help(int argc, char **argv)
{
	const Command *command;

	if (argc < 2)
	{
		print_overview(stdout);
		return EXIT_GOOD;
	}
	command = command_find(argv[1]);
	if (command == NULL)
		return unknown_command(argv[1]);
	command_help(command, stdout);
	return EXIT_GOOD;
}

const Command command_help_ = {.name = "help",
							   .usage = "[COMMAND]",
							   .summary = "what a command does and takes",
							   .run = run_help};

static int
run_version(int argc, char **argv)
{
	(void) argc;
	(void) argv;
	(void) printf("holdfast %s\n", HOLDFAST_VERSION);
	return EXIT_GOOD;
}

const Command command_version = {
	.name = "version", .usage = "", .summary = "the version", .run = run_version};

static int
run_completion(int argc, char **argv)
{
	if (argc < 2 || strcmp(argv[1], "bash") != 0)
		return usage_error("completion wants the name of a shell: bash");
	(void) printf(
		"_holdfast() {\n\tlocal cur=${COMP_WORDS[COMP_CWORD]}\n\tcase ${COMP_WORDS[1]} in\n");
	for (size_t i = 0; command_table[i] != NULL; i++)
	{
		(void) printf("\t%s) COMPREPLY=($(compgen -f -W \"--help", command_table[i]->name);
		if (command_table[i]->options != NULL)
			for (const Option *option = command_table[i]->options(); option->name != NULL; option++)
				(void) printf(" %.*s", (int) strcspn(option->name, "|"), option->name);
		(void) printf("\" -- \"$cur\")) ;;\n");
	}
	(void) printf("\t*) COMPREPLY=($(compgen -W \"");
	for (size_t i = 0; command_table[i] != NULL; i++)
		(void) printf("%s ", command_table[i]->name);
	(void) printf("\" -- \"$cur\")) ;;\n\tesac\n}\ncomplete -F _holdfast holdfast\n");
	return EXIT_GOOD;
}

const Command command_completion = {.name = "completion",
									.usage = "bash",
									.summary = "a completion script for the shell",
									.run = run_completion};

/* ---- output files ---- */

FILE *
open_output(const char *path)
{
	FILE *file = strcmp(path, "-") == 0 ? stdout : fopen(path, "we");

	if (file == NULL)
		(void) fprintf(stderr, "holdfast: could not write \"%s\": %s\n", path, strerror(errno));
	return file;
}

bool
close_output(FILE *file, const char *path)
{
	bool bad = ferror(file) != 0;

	if (fflush(file) != 0)
		bad = true;
	if (file != stdout && fclose(file) != 0)
		bad = true;
	if (bad)
		(void) fprintf(stderr, "holdfast: could not write \"%s\": %s\n", path, strerror(errno));
	return !bad;
}

static int
output_lost(void)
{
	(void) fprintf(stderr, "holdfast: not everything could be written to stdout: %s\n",
				   strerror(errno));
	return EXIT_INTERNAL;
}

int
main(int argc, char **argv)
{
	const Command *command;
	int code;

	(void) signal(SIGPIPE, SIG_DFL);
	(void) setvbuf(stdout, NULL, _IOLBF, 0); /* children must not inherit half a buffer */
	if (argc < 2)
	{
		print_overview(stderr);
		return EXIT_USAGE;
	}
	if (is_help(argv[1]))
		return run_help(1, argv);
	if (strcmp(argv[1], "--version") == 0)
		return run_version(1, argv);
	command = command_find(argv[1]);
	if (command == NULL)
		return unknown_command(argv[1]);
	code = argc == 3 && is_help(argv[2]) ? (command_help(command, stdout), EXIT_GOOD)
										 : command->run(argc - 1, argv + 1);
	/* An earlier write may have failed, too: the stream remembers. */
	if ((fflush(stdout) != 0 || ferror(stdout)) && code <= EXIT_GOOD)
		code = output_lost();
	return code < 0 ? EXIT_GOOD : code;
}
