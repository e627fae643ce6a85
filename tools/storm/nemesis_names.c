/*
 * nemesis_names.c
 *		The kinds of harm by name, for the storm and for the command line that checks what a user says.
 */
#include <string.h>

#include "storm/storm.h"

const char *const nemesis_names[NEMESES] = {
	"kill", "supervisor", "stop", "slow", "ipcrm", "lockfile-remove", "lockfile-replace", "clock",
};

bool
nemesis_parse(const char *text, unsigned *mask, const char **word, size_t *length)
{
	*mask = 0;
	for (const char *at = text;; at = *word + *length + 1)
	{
		int kind = 0;

		*word = at;
		*length = strcspn(at, ",+");
		while (kind < NEMESES && (strlen(nemesis_names[kind]) != *length ||
								  strncmp(nemesis_names[kind], at, *length) != 0))
			kind++;
		if (kind < NEMESES)
			*mask |= 1u << kind;
		else if (*length == 3 && strncmp(at, "all", 3) == 0)
			*mask |= (1u << NEMESES) - 1;
		else
			return false;
		if (at[*length] == '\0')
			return true;
	}
}
