/*
 * load.c
 *		See load.h.
 */
#include "load.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"

#define FILE_SIZE_MAX ((size_t) 1 << 30)

char *
load_file(const char *path, size_t *length)
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

#ifdef HOLDFAST_HAS_JANSSON

static int
add_file(ResultsFile *whole, const char *path, bool of_one_run)
{
	char problem[RESULTS_PROBLEM_SIZE];
	ResultsFile part;
	size_t length;
	char *text = load_file(path, &length);
	bool good;

	if (text == NULL)
		return EXIT_USAGE;
	good = results_read_json(text, length, &part, problem);
	free(text);
	if (good && of_one_run && whole->outcome[0] != '\0' && whole->seed != part.seed)
		(void) fprintf(stderr,
					   "holdfast: %s has the seed %" PRIu64 ", those before it %" PRIu64 "\n", path,
					   part.seed, whole->seed);
	good = good && results_merge(whole, &part, problem);
	if (good)
		return EXIT_GOOD;
	results_file_free(&part);
	return usage_error("%s is not taken: %s", path, problem);
}

#else

static int
add_file(ResultsFile *whole, const char *path, bool of_one_run)
{
	(void) whole;
	(void) of_one_run;
	(void) fprintf(stderr,
				   "holdfast: %s is not read, for this is built without jansson: apt install "
				   "libjansson-dev, and build again\n",
				   path);
	return EXIT_UNFIT;
}

#endif

int
load_results(ResultsFile *whole, int count, char *const *paths, bool of_one_run)
{
	int code = EXIT_GOOD;

	for (int i = 0; i < count && code == EXIT_GOOD; i++)
		code = add_file(whole, paths[i], of_one_run);
	if (code != EXIT_GOOD)
		results_file_free(whole);
	return code;
}
