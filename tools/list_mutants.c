/*
 * list_mutants.c
 *		`holdfast list mutants`: the deliberate bugs of tests/mutants, and who must catch each.
 *
 * The list is made when this program is built, from the first lines of the patches (tools/CMakeLists.txt); the patches
 * themselves, and tests/mutants/run which builds and hunts them, are in the source.
 */
#include "list_mutants.h"

#include <stdio.h>

#include "command.h"
#include "results/json_writer.h"

typedef struct Mutant
{
	const char *name;
	const char *why;
	const char *caught_by; /* "scenario c10-kill-mid-lock" */
} Mutant;

static const Mutant mutants[] = {
#include "mutants_table.h"
};

#define MUTANTS (sizeof(mutants) / sizeof(mutants[0]))

int
list_mutants(bool as_json)
{
	JsonWriter json;

	if (!as_json)
	{
		for (size_t i = 0; i < MUTANTS; i++)
			(void) printf("%-36s %s\n    caught by: %s\n", mutants[i].name, mutants[i].why,
						  mutants[i].caught_by);
		return EXIT_GOOD;
	}
	json_begin(&json, stdout);
	json_object(&json, NULL);
	json_int(&json, "schema_version", 1);
	json_array(&json, "mutants");
	for (size_t i = 0; i < MUTANTS; i++)
	{
		json_object(&json, NULL);
		json_string(&json, "name", mutants[i].name);
		json_string(&json, "why", mutants[i].why);
		json_string(&json, "caught_by", mutants[i].caught_by);
		json_object_end(&json);
	}
	json_array_end(&json);
	json_object_end(&json);
	return json_finish(&json) ? EXIT_GOOD : EXIT_INTERNAL;
}
