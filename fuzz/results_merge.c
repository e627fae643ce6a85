/*
 * results_merge.c
 *		Fuzz target: any bytes as a result file, read and merged with itself.
 *
 * A refusal says why.  What is taken, and concluded, is written; that is read again, and writes the same bytes: nothing is
 * lost and the order is one.  Twice the same file has twice the cases, and no case more that fails or is flaky.
 */
#include "fuzz.h"

#include "results/merge.h"

static char *
written(const ResultsFile *file, size_t *length)
{
	RunInfo info = results_info(file);
	char *text = NULL;
	FILE *stream = open_memstream(&text, length);

	REQUIRE(stream != NULL);
	REQUIRE(results_write_json(&file->list, &info, stream));
	REQUIRE(fclose(stream) == 0);
	return text;
}

/* The other writers take whatever was read. */
static void
write_others(const ResultsFile *file)
{
	RunInfo info = results_info(file);
	char *text = NULL;
	size_t length;
	FILE *stream = open_memstream(&text, &length);

	REQUIRE(stream != NULL);
	REQUIRE(results_write_junit(&file->list, &info, stream));
	REQUIRE(results_write_tap(&file->list, &info, stream));
	REQUIRE(fclose(stream) == 0);
	free(text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char problem[RESULTS_PROBLEM_SIZE];
	ResultsFile once, again, twice = {0};
	size_t length, length_again, count;
	char *text, *text_again;

	if (!results_read_json((const char *) data, size, &once, problem))
	{
		REQUIRE(problem[0] != '\0' && memchr(problem, '\0', sizeof(problem)) != NULL);
		REQUIRE(once.list.item == NULL && once.plan == NULL);
		return 0;
	}
	count = once.list.count;
	REQUIRE(once.summary.run == count);
	results_conclude(&once);
	text = written(&once, &length);
	write_others(&once);
	REQUIRE(results_read_json(text, length, &again, problem));
	results_conclude(&again);
	text_again = written(&again, &length_again);
	REQUIRE(length == length_again && memcmp(text, text_again, length) == 0);

	REQUIRE(results_merge(&twice, &once, problem));
	REQUIRE(results_merge(&twice, &again, problem));
	results_conclude(&twice);
	REQUIRE(twice.list.count == 2 * count && twice.summary.run == 2 * count);
	results_file_free(&twice);
	free(text);
	free(text_again);
	return 0;
}
