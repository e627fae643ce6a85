/*
 * results_merge.c
 *		Fuzz target: any bytes as a result file, read and merged with itself.
 *
 * A refusal says why.  What is taken, and concluded, is written; that is read again, and writes the same bytes: nothing is
 * lost and the order is one.  Twice the same file has twice the cases, and no case more that fails or is flaky.
 */
#include <jansson.h>

#include "fuzz.h"

#include "results/merge.h"
#include "results/origin.h"

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

/* Neither points nor scenarios are linked here. */
bool
origin_of_point(const char *name, ResultOrigin *origin)
{
	(void) name;
	(void) origin;
	return false;
}

bool
origin_of_scenario(const char *id, ResultOrigin *origin)
{
	(void) id;
	(void) origin;
	return false;
}

/* Another's parser takes it, and every result has what the format demands. */
static void
require_sarif(const char *text, size_t length)
{
	json_t *root = json_loadb(text, length, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, NULL);
	json_t *results = json_object_get(json_array_get(json_object_get(root, "runs"), 0), "results");
	json_t *result;
	size_t index;

	REQUIRE(json_is_array(results));
	json_array_foreach(results, index, result)
	{
		REQUIRE(json_is_string(json_object_get(result, "ruleId")));
		REQUIRE(json_is_string(json_object_get(json_object_get(result, "message"), "text")));
		REQUIRE(json_array_size(json_object_get(result, "locations")) == 1);
	}
	json_decref(root);
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
	REQUIRE(results_write_html(&file->list, &info, stream));
	REQUIRE(fclose(stream) == 0);
	free(text);
	stream = open_memstream(&text, &length);
	REQUIRE(stream != NULL);
	REQUIRE(results_write_sarif(&file->list, &info, stream));
	REQUIRE(fclose(stream) == 0);
	require_sarif(text, length);
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
