/*
 * cmd_merge.c
 *		`holdfast merge`: the result files of the parts of a run made one, as if it had been run whole.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "campaign.h"
#include "command.h"
#include "results/merge.h"

static struct
{
	const char *output, *junit, *tap;
} opt;

static const Option *
merge_options(void)
{
	static const Option options[] = {
		{"--output|-o", OPTION_STRING, &opt.output, "FILE", "where it goes; default: stdout"},
		{"--junit", OPTION_STRING, &opt.junit, "FILE", "the same as JUnit XML"},
		{"--tap", OPTION_STRING, &opt.tap, "FILE", "the same as TAP"},
		{0},
	};

	return options;
}

#ifdef HOLDFAST_HAS_JANSSON

#define FILE_SIZE_MAX ((size_t) 1 << 30)

/* The whole of a file; NULL after saying why. */
static char *
read_file(const char *path, size_t *length)
{
	FILE *file = fopen(path, "re");
	char *text = NULL;
	size_t capacity = 0;

	*length = 0;
	while (file != NULL && *length < FILE_SIZE_MAX)
	{
		char *larger = realloc(text, capacity = capacity * 2 + 65536);
		size_t got;

		if (larger == NULL)
			break;
		text = larger;
		got = fread(text + *length, 1, capacity - *length, file);
		*length += got;
		if (got == 0)
			break;
	}
	if (file != NULL && !ferror(file) && feof(file))
	{
		(void) fclose(file);
		return text;
	}
	(void) fprintf(stderr, "holdfast: could not read %s: %s\n", path,
				   file == NULL || ferror(file) ? strerror(errno) : "it is too large");
	if (file != NULL)
		(void) fclose(file);
	free(text);
	return NULL;
}

static int
add_file(ResultsFile *whole, const char *path)
{
	char problem[RESULTS_PROBLEM_SIZE];
	ResultsFile part;
	size_t length;
	char *text = read_file(path, &length);
	bool good;

	if (text == NULL)
		return EXIT_USAGE;
	good = results_read_json(text, length, &part, problem);
	free(text);
	if (good && whole->outcome[0] != '\0' && whole->seed != part.seed)
		(void) fprintf(stderr,
					   "holdfast: %s has the seed %" PRIu64 ", those before it %" PRIu64 "\n", path,
					   part.seed, whole->seed);
	good = good && results_merge(whole, &part, problem);
	if (good)
		return EXIT_GOOD;
	results_file_free(&part);
	return usage_error("%s is not taken: %s", path, problem);
}

static int
merge_files(int count, char **paths)
{
	ResultsFile whole = {0};
	RunInfo info;
	bool written;
	int code = EXIT_GOOD;

	for (int i = 0; i < count && code == EXIT_GOOD; i++)
		code = add_file(&whole, paths[i]);
	if (code == EXIT_GOOD)
	{
		results_conclude(&whole);
		info = results_info(&whole);
		code = info.exit_code;
		written = campaign_write_file(opt.output != NULL ? opt.output : "-", results_write_json,
									  &whole.list, &info);
		written =
			campaign_write_file(opt.junit, results_write_junit, &whole.list, &info) && written;
		written = campaign_write_file(opt.tap, results_write_tap, &whole.list, &info) && written;
		if (!written)
			code = EXIT_INTERNAL;
	}
	results_file_free(&whole);
	return code;
}

#else

static int
merge_files(int count, char **paths)
{
	(void) count;
	(void) paths;
	(void) fprintf(
		stderr, "holdfast: built without jansson: apt install libjansson-dev, and build again\n");
	return EXIT_UNFIT;
}

#endif

static int
run_merge(int argc, char **argv)
{
	int count;
	int status = command_options(&command_merge, argc, argv, &count, NULL);

	if (status != EXIT_GOOD)
		return status;
	if (count == 0)
		return usage_error("merge wants the files that --json wrote");
	return merge_files(count, argv);
}

const Command command_merge = {
	.name = "merge",
	.usage = "FILE... [-o FILE] [OPTION...]",
	.summary = "make one result file of those of a run's parts",
	.run = run_merge,
	.options = merge_options,
	.examples = "  holdfast run --shard 1/2 --seed 7 --json a.json; holdfast run --shard 2/2 "
				"--seed 7 --json b.json\n"
				"  holdfast merge a.json b.json -o whole.json\n",
};
