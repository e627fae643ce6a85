/*
 * cmd_bench.c
 *		`holdfast bench`: starts holdfast-bench, which is linked with the production library, as this program is not.
 */
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "command.h"

static int
run_bench(int argc, char **argv)
{
	static char name[] = "holdfast-bench";
	char self[PATH_MAX - sizeof(name)];
	char path[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);

	(void) argc;
	if (length <= 0)
		return EXIT_INTERNAL;
	self[length] = '\0';
	(void) snprintf(path, sizeof(path), "%s/%s", dirname(self), name);
	argv[0] = name;
	(void) execv(path, argv);
	(void) fprintf(stderr, "holdfast: could not run \"%s\": %s\n", path, strerror(errno));
	return EXIT_UNFIT;
}

const Command command_bench = {
	.name = "bench",
	.usage = "[--filter GLOB] [--peers] [--json] [--svg FILE] [--rounds N] [--kills N]",
	.summary = "the locks beside their peers, recovery time, start-up time",
	.run = run_bench,
};
