/*
 * test_results.c
 *		Reports of hostile results are valid: judged by jq and xmllint, not by us.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "results/json_writer.h"
#include "results/results.h"
#include "results/utf8.h"

TestSuite(results, .timeout = 60);

static const char hostile[] =
	"a\0b\x01\x1f\x7f \"quoted\" \\ back <tag attr='x'> & ]]> --> <![CDATA[ "
	"\xff\xfe \xc0\x80 \xed\xa0\x80 \xf4\x90\x80\x80 \xe2\x82 "
	"\xe2\x82\xac \xf0\x9f\x92\xa5\r\n\ttab # hash \xc2\x85 \xef\xbf\xbf end";

static void
fill(ResultList *list, const char *bytes, size_t length)
{
	for (int status = 0; status < SCENARIO_STATUS_COUNT; status++)
	{
		ScenarioResult result = {
			.scenario = status % 2 ? "c10 <\"&'>" : "a10-\x01\xff",
			.case_name = "case ]]> \xe2\x82\xac \x02",
			.status = (ScenarioStatus) status,
			.milliseconds = 1234.5678,
			.message = {bytes, length},
			.detail = {bytes, length},
			.replay = status == SCENARIO_FAIL ? "holdfast replay 'x\"<'" : NULL,
		};

		results_add(list, &result);
	}
	cr_assert(!list->out_of_memory && list->count == SCENARIO_STATUS_COUNT);
}

typedef bool (*Writer)(const ResultList *, const RunInfo *, FILE *);

/* Writes to a file and asks `command`, for which $FILE names it. */
static void
judge(Writer writer, const ResultList *list, const char *command)
{
	RunnerSummary summary = {.selected = 9, .run = 4, .by_status = {1, 1, 1, 1}, .not_run = 5};
	RunInfo info = {.seed = UINT64_MAX,
					.plan = "p=\"\x01\xff",
					.outcome = "findings",
					.exit_code = 1,
					.summary = &summary};
	char path[] = "/tmp/holdfast-results-XXXXXX";
	int fd = mkstemp(path);
	FILE *file = fdopen(fd, "w");

	cr_assert(file != NULL && writer(list, &info, file) && fclose(file) == 0);
	cr_assert(setenv("FILE", path, 1) == 0 && system(command) == 0, "%s", command);
	unlink(path);
}

static void
judge_all(const char *bytes, size_t length)
{
	ResultList list = {0};

	fill(&list, bytes, length);
	judge(results_write_json, &list, "jq -e '.cases | length == 4' \"$FILE\" >/dev/null");
	judge(results_write_json, &list,
		  "jq -e '.schema_version == 1 and .summary.not_run == 5 and .cases[1].status == \"fail\"' "
		  "\"$FILE\" >/dev/null");
	judge(results_write_junit, &list, "xmllint --noout \"$FILE\"");
	judge(results_write_junit, &list,
		  "test \"$(xmllint --xpath 'count(//failure)+count(//error)+count(//skipped)' "
		  "\"$FILE\")\" = 3");
	judge(results_write_tap, &list, "test \"$(grep -cE '^(not )?ok [0-9]+ - ' \"$FILE\")\" = 4");
	results_free(&list);
}

Test(results, hostile_bytes)
{
	judge_all(hostile, sizeof(hostile) - 1);
}

Test(results, every_byte_there_is)
{
	char bytes[256 * 3];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char) (i * 7);
	judge_all(bytes, sizeof(bytes));
}

Test(results, nothing_and_very_much)
{
	size_t length = 1 << 20;
	char *much = malloc(length);

	judge_all(NULL, 0);
	memset(much, '<', length);
	judge_all(much, length);
	free(much);
}

Test(results, no_results_are_valid_files_too)
{
	ResultList list = {0};

	judge(results_write_json, &list, "jq -e '.cases == []' \"$FILE\" >/dev/null");
	judge(results_write_junit, &list, "xmllint --noout \"$FILE\"");
	judge(results_write_tap, &list, "grep -q '^1\\.\\.0' \"$FILE\"");
}

Test(results, json_nesting_is_bounded)
{
	JsonWriter json;
	FILE *file = fopen("/dev/null", "w");

	json_begin(&json, file);
	for (int i = 0; i < JSON_DEPTH_MAX + 5; i++)
		json_array(&json, NULL);
	cr_assert(!json_finish(&json));
	json_begin(&json, file);
	json_object(&json, NULL);
	json_string(&json, "null", NULL);
	json_int(&json, "min", INT64_MIN);
	json_object_end(&json);
	cr_assert(json_finish(&json));
	fclose(file);
}

Test(results, utf8_takes_what_is_well_formed_and_nothing_else)
{
	uint32_t code;

	cr_assert(utf8_next("", 0, &code) == 0);
	cr_assert(utf8_next("\0", 1, &code) == 1 && code == 0);
	cr_assert(utf8_next("\xe2\x82\xac", 3, &code) == 3 && code == 0x20ac);
	cr_assert(utf8_next("\xe2\x82\xac", 2, &code) == 0);
	cr_assert(utf8_next("\xf4\x8f\xbf\xbf", 4, &code) == 4 && code == 0x10ffff);
	cr_assert(utf8_next("\xf4\x90\x80\x80", 4, &code) == 0);
	cr_assert(utf8_next("\xed\xa0\x80", 3, &code) == 0);
	cr_assert(utf8_next("\xc0\xaf", 2, &code) == 0);
	cr_assert(utf8_next("\xe0\x80\xaf", 3, &code) == 0);
}
