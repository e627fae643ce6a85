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
#include "results/origin.h"
#include "results/results.h"
#include "results/signature.h"
#include "results/utf8.h"

TestSuite(results, .timeout = 180);

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

/* What SARIF 2.1.0 demands of the properties that we write, and what code scanning demands on top. */
static const char sarif_is_valid[] =
	"jq -e '.version == \"2.1.0\" and (.[\"$schema\"] | startswith(\"https://\")) and (.runs | "
	"length == 1) and (.runs[0] | (.tool.driver.name == \"holdfast\") and "
	"(.tool.driver.rules | type == \"array\" and (map(.id) | length == (unique | length)) and "
	"all(.[]; (.id | type == \"string\") and (.shortDescription.text | length > 0))) and "
	"(.invocations | all(.[]; .executionSuccessful | type == \"boolean\")) and "
	"(.columnKind == \"unicodeCodePoints\") and ([.tool.driver.rules[].id] as $rules | "
	".results | all(.[]; (.ruleId | IN($rules[])) and (.message.text | length > 0) and "
	"(.level | IN(\"error\", \"warning\")) and (.locations | length == 1) and "
	"(.partialFingerprints[\"holdfastSignature/v1\"] | test(\"^[0-9a-f]{16}$\")) and "
	"(.locations[0].physicalLocation as $at | $at == null or (($at.artifactLocation.uri | "
	"test(\"^[A-Za-z0-9_][A-Za-z0-9_./-]*$\")) and ($at.region == null or "
	"$at.region.startLine >= 1))))))' \"$FILE\" >/dev/null";

/* No element and no attribute of a result's making: our own tags, and nothing else, are between < and >. */
static const char html_is_safe[] =
	"! grep -aiE '<(script|tag|img|!\\[CDATA)|javascript:' \"$FILE\" && "
	"test -z \"$(grep -oaE '<[^>]*>' \"$FILE\" | grep -avE "
	"'^</?(!DOCTYPE html|html|head|meta|title|style|body|h[123]|p|span|table|tr|th|td|article|code|"
	"pre|details|summary)( (lang|charset|name|content|http-equiv|class)=\"[^\"]*\")*>$')\" && "
	"python3 -c 'import os,sys\n"
	"from html.parser import HTMLParser\n"
	"class P(HTMLParser):\n"
	"  def __init__(s): super().__init__(); s.open=[]\n"
	"  def handle_starttag(s,t,a): (t==\"meta\") or s.open.append(t)\n"
	"  def handle_endtag(s,t):\n"
	"    if not s.open or s.open.pop()!=t: sys.exit(1)\n"
	"p=P(); p.feed(open(os.environ[\"FILE\"],encoding=\"utf-8\").read()); "
	"sys.exit(len(p.open))'";

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
	judge(results_write_sarif, &list, sarif_is_valid);
	judge(results_write_sarif, &list,
		  "jq -e '[.runs[0].results[].properties.status] == [\"fail\", \"error\"]' \"$FILE\" "
		  ">/dev/null");
	judge(results_write_html, &list, html_is_safe);
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
	size_t length = 1 << 18;
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
	judge(results_write_sarif, &list, sarif_is_valid);
	judge(results_write_html, &list, html_is_safe);
}

/* What a baseline lists is no failure anywhere, and yet is told. */
Test(results, what_is_known_is_told_and_not_counted)
{
	ResultList list = {0};
	ScenarioResult result = {.scenario = "run.c10-kill-mid-lock",
							 .case_name = "case",
							 .status = SCENARIO_SKIP,
							 .known = true,
							 .message = {"known: it broke", 15},
							 .replay = "holdfast replay c10-kill-mid-lock/case@1"};

	results_add(&list, &result);
	judge(results_write_json, &list, "jq -e '.cases[0].known' \"$FILE\" >/dev/null");
	judge(results_write_junit, &list,
		  "test \"$(xmllint --xpath 'count(//skipped)-count(//failure)' \"$FILE\")\" = 1");
	judge(results_write_sarif, &list, sarif_is_valid);
	judge(results_write_sarif, &list,
		  "jq -e '.runs[0].results[0] | .baselineState == \"unchanged\" and "
		  "(.suppressions | length == 1) and (.message.text | contains(\"holdfast replay\"))' "
		  "\"$FILE\" >/dev/null");
	judge(results_write_sarif, &list,
		  "jq -e '.runs[0].results[0].locations[0].physicalLocation | .region.startLine > 1 and "
		  ".artifactLocation.uri == \"scenarios/catalogue/c10_kill_mid_lock.c\"' \"$FILE\" "
		  ">/dev/null");
	judge(results_write_html, &list, "grep -q 'article class=\"known\"' \"$FILE\"");
	results_free(&list);
}

static void
origin_is(const char *scenario, const char *case_name, const char *message, const char *file,
		  bool has_line)
{
	ResultOrigin origin;
	ScenarioResult result = {
		.scenario = scenario, .case_name = case_name, .message = {message, strlen(message)}};

	result_origin(&result, &origin);
	cr_assert_str_eq(origin.file, file);
	cr_assert((origin.line > 0) == has_line);
}

Test(results, a_finding_has_a_place_in_the_source)
{
	origin_is("step", "lwlock-release", "after LWLockRelease+0x5c (lib/src/lwlock.c:40): stuck",
			  "lib/src/lwlock.c", true);
	origin_is("fuzz", "x", "at /home/somebody/holdfast/fuzz/lockfile_parse.c:37",
			  "fuzz/lockfile_parse.c", true);
	origin_is("fuzz", "x", "at ../../lib/src/../../../etc/lib/src/x.c:1", "tools/cmd_fuzz.c",
			  false);
	origin_is("c50-orphan", "sysv/shm/shmget=#1 kill", "", "scenarios/catalogue/c50_orphan.c",
			  true);
	origin_is("run.c50-orphan", "plain", "no place: at all.c:", "scenarios/catalogue/c50_orphan.c",
			  true);
	origin_is("never-heard-of", "plain", "foo.c:12", "", false);
}

Test(results, a_signature_is_the_same_in_another_run)
{
	static const char *const same[] = {
		"PID 123 is left after 1.5 s at 0x7fff12ab, see /tmp/holdfast-run.aXc9Qd/log (\"x\")",
		"PID 9 is left after 12.25 s at 0x1,  see /tmp/holdfast-run.000000/log (\"x\")",
	};
	char signature[2][SIGNATURE_SIZE];

	for (int i = 0; i < 2; i++)
	{
		ScenarioResult result = {.message = {same[i], strlen(same[i])}};

		result_signature(&result, signature[i]);
	}
	cr_assert_str_eq(signature[0], signature[1]);
	cr_assert_str_eq(signature[0], "PID # is left after #.# s at #, see # (\"x\")");
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
