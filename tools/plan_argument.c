/*
 * plan_argument.c
 *		A plan as it is given on the command line: the text itself, or @FILE.
 *
 * A file may hold anything and be of any length: no more of it is read than shows that it is too long.
 */
#include "plan_argument.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "inject/inject.h"

#define READ_MAX ((size_t) 16 << 20)

static int
arm(const char *name, const void *text, size_t length)
{
	InjectError error;
	char why[400];

	if (inject_arm_bytes(text, length, &error) == INJECT_OK)
		return EXIT_GOOD;
	inject_error_text(&error, why, sizeof(why));
	return usage_error("%s: %s", name, why);
}

/* EXIT_GOOD, and *length bytes, which are the caller's; else said why. */
static int
read_file(const char *path, char **text, size_t *length)
{
	FILE *file = fopen(path, "re");
	int code = EXIT_GOOD;

	*text = file != NULL ? malloc(READ_MAX + 1) : NULL;
	if (*text != NULL)
		*length = fread(*text, 1, READ_MAX, file);
	if (*text == NULL || ferror(file))
	{
		code = usage_error("could not read the plan \"%s\": %s", path, strerror(errno));
		free(*text);
		*text = NULL;
	}
	if (file != NULL)
		(void) fclose(file);
	return code;
}

static int
arm_file(const char *path)
{
	char *text;
	size_t length;
	int code = read_file(path, &text, &length);

	if (code == EXIT_GOOD)
		code = arm(path, text, length);
	free(text);
	return code;
}

int
plan_argument_text(const char *argument, const char **text)
{
	static char *kept;
	size_t length;
	int code;

	*text = argument;
	if (argument == NULL || argument[0] != '@')
		return EXIT_GOOD;
	code = read_file(argument + 1, &kept, &length);
	if (code != EXIT_GOOD)
		return code;
	if (length >= INJECT_PLAN_SIZE)
		return usage_error("%s: a plan has at most %d bytes", argument + 1, INJECT_PLAN_SIZE - 1);
	if (memchr(kept, '\0', length) != NULL)
		return usage_error("%s: a NUL byte", argument + 1);
	for (; length > 0 && strchr(" \t\r\n", kept[length - 1]) != NULL; length--)
		;
	kept[length] = '\0';
	*text = kept;
	return EXIT_GOOD;
}

int
plan_argument_arm(const char *argument)
{
	if (argument[0] == '@')
		return arm_file(argument + 1);
	return arm("plan", argument, strlen(argument));
}
