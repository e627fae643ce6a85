/*
 * explore_bundle.c
 *		See explore_bundle.h.
 *
 * Errors: false, said by who opens the files.  A death in the middle leaves a directory with fewer files; the next finding
 * of the same token writes them all again.
 */
#include "explore_bundle.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <holdfast/holdfast.h>

#include "command.h"
#include "explore_stacks.h"

static uint32_t
text_id(const char *text)
{
	uint32_t hash = 2166136261u;

	for (; *text != '\0'; text++)
		hash = (hash ^ (unsigned char) *text) * 16777619u;
	return hash;
}

static FILE *
bundle_file(const char *directory, const char *name)
{
	char path[PATH_MAX];

	if (snprintf(path, sizeof(path), "%s/%s", directory, name) >= (int) sizeof(path))
		return NULL;
	return open_output(path);
}

static void
write_environment(FILE *out)
{
	struct utsname system;

	(void) fprintf(out, "holdfast %s\ncompiler %s\n", HOLDFAST_VERSION, __VERSION__);
	if (uname(&system) == 0)
		(void) fprintf(out, "%s %s %s\n", system.sysname, system.release, system.machine);
	(void) fprintf(out, "processors %ld\n", sysconf(_SC_NPROCESSORS_ONLN));
}

bool
explore_leave_bundle(const char *parent, const ExploreCase *what, const ExploreReport *report,
					 const char *token, char *path, size_t size)
{
	static const char *const kinds[] = {"step", "kill", "time-out", "flush"};
	FILE *out;
	bool written = true;

	(void) mkdir(parent, 0777);
	if (snprintf(path, size, "%s/explore-%08" PRIx32, parent, text_id(token)) >= (int) size ||
		(mkdir(path, 0777) != 0 && access(path, W_OK) != 0))
		return false;
	if ((out = bundle_file(path, "token")) != NULL)
		written = fprintf(out, "%s\n", token) > 0 && close_output(out, "token") && written;
	if ((out = bundle_file(path, "finding")) != NULL)
	{
		(void) fprintf(out, "%s: %s\nprogram %s\nmutant %s\n\n%s", report->signature, report->text,
					   what->program, what->mutant[0] != '\0' ? what->mutant : "none",
					   report->story);
		written = close_output(out, "finding") && written;
	}
	if ((out = bundle_file(path, "schedule")) != NULL)
	{
		for (uint32_t i = 0; i < what->schedule.count; i++)
			(void) fprintf(out, "%u %s %u\n", i, kinds[what->schedule.move[i].kind % 4],
						   what->schedule.move[i].process);
		written = close_output(out, "schedule") && written;
	}
	if ((out = bundle_file(path, "stacks")) != NULL)
	{
		explore_print_stacks(out, what, report);
		written = close_output(out, "stacks") && written;
	}
	if ((out = bundle_file(path, "environment")) != NULL)
	{
		write_environment(out);
		written = close_output(out, "environment") && written;
	}
	return written;
}
