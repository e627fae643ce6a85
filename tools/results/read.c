/*
 * read.c
 *		Reads a result file by a strict schema, with jansson.
 *
 * A key that the schema does not know is an error, not something to pass over: a file of a later version would be read
 * wrongly, and a misspelt one silently.
 */
#include <jansson.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "merge.h"

#define TEXT_MAX      ((size_t) 1 << 24)
#define NAME_MAX_SIZE 4096

typedef struct Reader
{
	ResultsFile *file;
	char *problem;
} Reader;

static bool refuse(const Reader *reader, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static bool
refuse(const Reader *reader, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void) vsnprintf(reader->problem, RESULTS_PROBLEM_SIZE, format, args);
	va_end(args);
	return false;
}

/* ---- values ---- */

static bool
is_known(const char *key, const char *const *keys)
{
	for (; *keys != NULL; keys++)
	{
		if (strcmp(key, *keys) == 0)
			return true;
	}
	return false;
}

/* An object with no other keys than these. */
static bool
is_object(const Reader *reader, json_t *value, const char *where, const char *const *keys)
{
	const char *key;
	json_t *ignored;

	if (!json_is_object(value))
		return refuse(reader, "%s is no object", where);
	json_object_foreach(value, key, ignored)
	{
		if (!is_known(key, keys))
			return refuse(reader, "%s has an unknown key \"%.60s\"", where, key);
	}
	return true;
}

static bool
take_count(const Reader *reader, json_t *object, const char *where, const char *key, uint64_t most,
		   uint64_t *count)
{
	json_t *value = json_object_get(object, key);
	json_int_t number = json_integer_value(value);

	*count = 0;
	if (!json_is_integer(value) || number < 0 || (uint64_t) number > most)
		return refuse(reader, "%s.%s is no number from 0 to %llu", where, key,
					  (unsigned long long) most);
	*count = (uint64_t) number;
	return true;
}

static bool
take_size(const Reader *reader, json_t *object, const char *where, const char *key, size_t *size)
{
	uint64_t count;

	if (!take_count(reader, object, where, key, UINT32_MAX, &count))
		return false;
	*size = (size_t) count;
	return true;
}

/* NaN and infinity are no JSON; what is negative or absurd is refused. */
static bool
take_milliseconds(const Reader *reader, json_t *object, const char *where, double *ms)
{
	json_t *value = json_object_get(object, "milliseconds");

	*ms = json_number_value(value);
	if (!json_is_number(value) || !(*ms >= 0 && *ms < 1e13))
		return refuse(reader, "%s.milliseconds is no time", where);
	return true;
}

/* A string without NUL; NULL when it is absent and need not be there. */
static bool
take_name(const Reader *reader, json_t *object, const char *where, const char *key, bool must,
		  const char **name)
{
	json_t *value = json_object_get(object, key);

	*name = NULL;
	if (value == NULL || json_is_null(value))
		return must ? refuse(reader, "%s has no %s", where, key) : true;
	if (!json_is_string(value) || json_string_length(value) >= NAME_MAX_SIZE ||
		strlen(json_string_value(value)) != json_string_length(value))
		return refuse(reader, "%s.%s is no name", where, key);
	*name = json_string_value(value);
	return must && **name == '\0' ? refuse(reader, "%s.%s is empty", where, key) : true;
}

static bool
take_text(const Reader *reader, json_t *object, const char *where, const char *key,
		  ScenarioText *text)
{
	json_t *value = json_object_get(object, key);

	*text = (ScenarioText){NULL, 0};
	if (value == NULL)
		return true;
	if (!json_is_string(value) || json_string_length(value) > TEXT_MAX)
		return refuse(reader, "%s.%s is no text", where, key);
	*text = (ScenarioText){json_string_value(value), json_string_length(value)};
	return true;
}

/* ---- the schema ---- */

static bool
take_status(const Reader *reader, json_t *object, const char *where, ScenarioStatus *status)
{
	const char *name;

	if (!take_name(reader, object, where, "status", true, &name))
		return false;
	for (int i = 0; i < SCENARIO_STATUS_COUNT; i++)
	{
		*status = (ScenarioStatus) i;
		if (strcmp(name, scenario_status_name(*status)) == 0)
			return true;
	}
	return refuse(reader, "%s.status is none: \"%.40s\"", where, name);
}

/* Only what is skipped is known, or it would be counted. */
static bool
take_known(const Reader *reader, json_t *object, const char *where, ScenarioResult *result)
{
	json_t *value = json_object_get(object, "known");

	if (value == NULL)
		return true;
	if (!json_is_true(value) || result->status != SCENARIO_SKIP)
		return refuse(reader, "%s.known is not true, or of a case that is not skipped", where);
	result->known = true;
	return true;
}

static bool
take_case(const Reader *reader, json_t *object, size_t index)
{
	static const char *const keys[] = {"scenario", "case",   "status", "known", "milliseconds",
									   "message",  "detail", "replay", "plan",  NULL};
	ScenarioResult result = {0};
	char where[40];

	(void) snprintf(where, sizeof(where), "cases[%zu]", index);
	if (!is_object(reader, object, where, keys) ||
		!take_name(reader, object, where, "scenario", true, &result.scenario) ||
		!take_name(reader, object, where, "case", true, &result.case_name) ||
		!take_status(reader, object, where, &result.status) ||
		!take_known(reader, object, where, &result) ||
		!take_milliseconds(reader, object, where, &result.milliseconds) ||
		!take_text(reader, object, where, "message", &result.message) ||
		!take_text(reader, object, where, "detail", &result.detail) ||
		!take_name(reader, object, where, "replay", false, &result.replay))
		return false;
	results_add(&reader->file->list, &result);
	return reader->file->list.out_of_memory ? refuse(reader, "out of memory") : true;
}

static bool
take_summary(const Reader *reader, json_t *object)
{
	static const char *const keys[] = {"selected", "run",   "pass",    "fail",         "skip",
									   "error",    "flaky", "not_run", "milliseconds", NULL};
	RunnerSummary *summary = &reader->file->summary;

	if (!is_object(reader, object, "summary", keys) ||
		!take_size(reader, object, "summary", "selected", &summary->selected) ||
		!take_size(reader, object, "summary", "run", &summary->run) ||
		!take_size(reader, object, "summary", "flaky", &summary->flaky) ||
		!take_size(reader, object, "summary", "not_run", &summary->not_run) ||
		!take_milliseconds(reader, object, "summary", &summary->milliseconds))
		return false;
	for (int i = 0; i < SCENARIO_STATUS_COUNT; i++)
	{
		if (!take_size(reader, object, "summary", scenario_status_name((ScenarioStatus) i),
					   &summary->by_status[i]))
			return false;
	}
	return true;
}

static bool
take_outcome(const Reader *reader, json_t *object)
{
	static const char *const names[] = {"good",  "findings", "flaky",       "incomplete", "nothing",
										"unfit", "bad plan", "interrupted", "internal",   NULL};
	const char *name;
	uint64_t code;

	if (!take_name(reader, object, "the file", "outcome", true, &name) ||
		!take_count(reader, object, "the file", "exit_code", 255, &code))
		return false;
	if (!is_known(name, names))
		return refuse(reader, "outcome is none: \"%.40s\"", name);
	(void) snprintf(reader->file->outcome, sizeof(reader->file->outcome), "%s", name);
	reader->file->exit_code = (int) code;
	return true;
}

/* The sums are of the cases. */
static bool
sums_agree(const Reader *reader)
{
	const ResultsFile *file = reader->file;
	size_t by_status[SCENARIO_STATUS_COUNT] = {0};

	for (size_t i = 0; i < file->list.count; i++)
		by_status[file->list.item[i].status]++;
	if (memcmp(by_status, file->summary.by_status, sizeof(by_status)) != 0 ||
		file->summary.run != file->list.count)
		return refuse(reader, "the summary does not fit the cases");
	return true;
}

static bool
take_file(const Reader *reader, json_t *root)
{
	static const char *const keys[] = {"schema_version", "outcome", "exit_code", "seed",
									   "plan",           "summary", "cases",     NULL};
	json_t *cases, *object;
	const char *plan;
	uint64_t version;
	size_t index;

	/* What else a command tells stands around its results, and is not ours to read. */
	if (json_object_get(root, "cases") == NULL && json_object_get(root, "results") != NULL)
		root = json_object_get(root, "results");
	if (json_is_object(root) && json_object_get(root, "cases") == NULL)
		return refuse(reader, "it has no cases: no command of holdfast wrote it with --json");
	if (!is_object(reader, root, "the file", keys) ||
		!take_count(reader, root, "the file", "schema_version", UINT32_MAX, &version))
		return false;
	if (version != RESULTS_SCHEMA_VERSION)
		return refuse(reader, "schema_version is %llu, this program reads %d",
					  (unsigned long long) version, RESULTS_SCHEMA_VERSION);
	if (!take_outcome(reader, root) ||
		!take_count(reader, root, "the file", "seed", INT64_MAX, &reader->file->seed) ||
		!take_name(reader, root, "the file", "plan", false, &plan) ||
		!take_summary(reader, json_object_get(root, "summary")))
		return false;
	if (plan != NULL && (reader->file->plan = strdup(plan)) == NULL)
		return refuse(reader, "out of memory");
	cases = json_object_get(root, "cases");
	if (!json_is_array(cases) || json_array_size(cases) > RESULTS_CASES_MAX)
		return refuse(reader, "the file has no cases");
	json_array_foreach(cases, index, object)
	{
		if (!take_case(reader, object, index))
			return false;
	}
	return sums_agree(reader);
}

bool
results_read_json(const char *text, size_t length, ResultsFile *file,
				  char problem[RESULTS_PROBLEM_SIZE])
{
	Reader reader = {.file = file, .problem = problem};
	json_error_t error;
	json_t *root;
	bool good;

	memset(file, 0, sizeof(*file));
	problem[0] = '\0';
	/* Results may hold any bytes, NUL too; a key that comes twice would be two truths. */
	root = json_loadb(text, length, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &error);
	if (root == NULL)
		return refuse(&reader, "line %d, column %d: %.150s", error.line, error.column, error.text);
	good = take_file(&reader, root);
	json_decref(root);
	if (!good)
		results_file_free(file);
	return good;
}
