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

static int
arm_file(const char *path)
{
	FILE *file = fopen(path, "re");
	char *text = file != NULL ? malloc(READ_MAX) : NULL;
	size_t length;
	int code;

	if (text == NULL)
	{
		code = usage_error("could not read the plan \"%s\": %s", path, strerror(errno));
		if (file != NULL)
			(void) fclose(file);
		return code;
	}
	length = fread(text, 1, READ_MAX, file);
	if (ferror(file))
		code = usage_error("could not read the plan \"%s\": %s", path, strerror(errno));
	else
		code = arm(path, text, length);
	(void) fclose(file);
	free(text);
	return code;
}

int
plan_argument_arm(const char *argument)
{
	if (argument[0] == '@')
		return arm_file(argument + 1);
	return arm("plan", argument, strlen(argument));
}
