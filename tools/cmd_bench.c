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

/* For help and completion: holdfast-bench reads them. */
static const Option *
bench_options(void)
{
	static const Option options[] = {
		{"--filter", OPTION_STRING, NULL, "GLOB", "only these benchmarks, as in 'contention*'"},
		{"--peers", OPTION_FLAG, NULL, NULL, "a peer that is missing is an error"},
		{"--no-postgresql", OPTION_FLAG, NULL, NULL, "without the LWLock of a real PostgreSQL"},
		{"--rounds", OPTION_NUMBER, NULL, "N", "of which the medians are taken, at most 99"},
		{"--kills", OPTION_NUMBER, NULL, "N", "from which recovery is timed"},
		{"--json", OPTION_FLAG, NULL, NULL, "as JSON"},
		{"--svg", OPTION_STRING, NULL, "FILE", "a picture of contention and recovery"},
		{0},
	};

	return options;
}

const Command command_bench = {
	.name = "bench",
	.usage = "[OPTION...]",
	.summary = "the locks beside their peers, recovery time, start-up time",
	.run = run_bench,
	.options = bench_options,
	.examples = "  holdfast bench\n"
				"  holdfast bench --filter 'contention*' --json\n",
};
