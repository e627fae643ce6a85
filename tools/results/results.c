/*
 * results.c
 *		Keeps results, and writes them as JSON and TAP.  The other formats have files of their own.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "json_writer.h"
#include "results.h"
#include "utf8.h"

/* ---- keeping ---- */

static bool
copy_text(ScenarioText *to, const ScenarioText *from)
{
	char *copy = NULL;

	if (from->bytes != NULL)
	{
		copy = malloc(from->length + 1);
		if (copy == NULL)
			return false;
		memcpy(copy, from->bytes, from->length);
		copy[from->length] = '\0';
	}
	*to = (ScenarioText){.bytes = copy, .length = copy != NULL ? from->length : 0};
	return true;
}

static void
free_result(ScenarioResult *result)
{
	free((void *) (uintptr_t) result->scenario);
	free((void *) (uintptr_t) result->case_name);
	free((void *) (uintptr_t) result->message.bytes);
	free((void *) (uintptr_t) result->detail.bytes);
	free((void *) (uintptr_t) result->replay);
}

void
results_add(ResultList *list, const ScenarioResult *result)
{
	ScenarioResult copy = {
		.status = result->status, .known = result->known, .milliseconds = result->milliseconds};

	if (list->count == list->capacity)
	{
		size_t capacity = list->capacity * 2 + 64;
		ScenarioResult *item = realloc(list->item, capacity * sizeof(*item));

		if (item == NULL)
		{
			list->out_of_memory = true;
			return;
		}
		list->item = item;
		list->capacity = capacity;
	}
	copy.scenario = strdup(result->scenario);
	copy.case_name = strdup(result->case_name);
	copy.replay = result->replay != NULL ? strdup(result->replay) : NULL;
	if (copy.scenario == NULL || copy.case_name == NULL ||
		(result->replay != NULL && copy.replay == NULL) ||
		!copy_text(&copy.message, &result->message) || !copy_text(&copy.detail, &result->detail))
	{
		free_result(&copy);
		list->out_of_memory = true;
		return;
	}
	list->item[list->count++] = copy;
}

void
results_free(ResultList *list)
{
	for (size_t i = 0; i < list->count; i++)
		free_result(&list->item[i]);
	free(list->item);
	memset(list, 0, sizeof(*list));
}

static int
compare_texts(const ScenarioText *a, const ScenarioText *b)
{
	size_t shorter = a->length < b->length ? a->length : b->length;
	int order = shorter > 0 ? memcmp(a->bytes, b->bytes, shorter) : 0;

	return order != 0 ? order : (a->length > b->length) - (a->length < b->length);
}

/* A total order but for times, so that no order in which they came shows. */
static int
compare_cases(const void *left, const void *right)
{
	const ScenarioResult *a = left;
	const ScenarioResult *b = right;
	int order = strcmp(a->scenario, b->scenario);

	if (order == 0)
		order = strcmp(a->case_name, b->case_name);
	if (order == 0)
		order = (int) a->status - (int) b->status;
	if (order == 0)
		order = strcmp(a->replay != NULL ? a->replay : "", b->replay != NULL ? b->replay : "");
	if (order == 0)
		order = compare_texts(&a->message, &b->message);
	if (order == 0)
		order = compare_texts(&a->detail, &b->detail);
	if (order == 0)
		order = (a->milliseconds > b->milliseconds) - (a->milliseconds < b->milliseconds);
	return order;
}

void
results_sort(ResultList *list)
{
	if (list->count > 1)
		qsort(list->item, list->count, sizeof(*list->item), compare_cases);
}

const char *
scenario_status_name(ScenarioStatus status)
{
	static const char *const names[SCENARIO_STATUS_COUNT] = {"pass", "fail", "skip", "error"};

	return status < SCENARIO_STATUS_COUNT ? names[status] : "unknown";
}

bool
result_is_finding(const ScenarioResult *result)
{
	return result->status == SCENARIO_FAIL || result->status == SCENARIO_ERROR || result->known;
}

bool
result_is_flaky(const ResultList *list, const ScenarioResult *result)
{
	for (size_t i = 0; i < list->count; i++)
	{
		if (list->item[i].status == SCENARIO_PASS &&
			strcmp(list->item[i].scenario, result->scenario) == 0 &&
			strcmp(list->item[i].case_name, result->case_name) == 0)
			return true;
	}
	return false;
}

/* ---- JSON ---- */

static void
write_json_case(JsonWriter *json, const ScenarioResult *result)
{
	json_object(json, NULL);
	json_string(json, "scenario", result->scenario);
	json_string(json, "case", result->case_name);
	json_string(json, "status", scenario_status_name(result->status));
	if (result->known)
		json_bool(json, "known", true);
	json_milliseconds(json, "milliseconds", result->milliseconds);
	if (result->message.length > 0)
		json_bytes(json, "message", result->message.bytes, result->message.length);
	if (result->detail.length > 0)
		json_bytes(json, "detail", result->detail.bytes, result->detail.length);
	if (result->replay != NULL)
		json_string(json, "replay", result->replay);
	json_object_end(json);
}

void
results_json_members(JsonWriter *json, const ResultList *list, const RunInfo *info)
{
	json_uint(json, "schema_version", RESULTS_SCHEMA_VERSION);
	json_string(json, "outcome", info->outcome);
	json_int(json, "exit_code", info->exit_code);
	json_uint(json, "seed", info->seed);
	json_string(json, "plan", info->plan);
	json_object(json, "summary");
	json_uint(json, "selected", info->summary->selected);
	json_uint(json, "run", info->summary->run);
	for (int i = 0; i < SCENARIO_STATUS_COUNT; i++)
		json_uint(json, scenario_status_name((ScenarioStatus) i), info->summary->by_status[i]);
	json_uint(json, "flaky", info->summary->flaky);
	json_uint(json, "not_run", info->summary->not_run);
	json_milliseconds(json, "milliseconds", info->summary->milliseconds);
	json_object_end(json);
	json_array(json, "cases");
	for (size_t i = 0; i < list->count; i++)
		write_json_case(json, &list->item[i]);
	json_array_end(json);
}

bool
results_write_json(const ResultList *list, const RunInfo *info, FILE *out)
{
	JsonWriter json;

	json_begin(&json, out);
	json_object(&json, NULL);
	results_json_members(&json, list, info);
	json_object_end(&json);
	return json_finish(&json);
}

/* ---- TAP ---- */

/* A description: one line, no '#' (it would start a directive), nothing that is not a character. */
static void
put_tap_text(const char *bytes, size_t length, FILE *out)
{
	for (size_t i = 0; i < length;)
	{
		uint32_t code = 0;
		size_t size = utf8_next(bytes + i, length - i, &code);

		if (size == 0 || code < 0x20 || code == 0x7f)
			(void) fputc('?', out);
		else if (code == '#' || code == '\\')
			(void) fprintf(out, "\\%c", (int) code);
		else
			(void) fwrite(bytes + i, 1, size, out);
		i += size == 0 ? 1 : size;
	}
}

/* Each line of a diagnostic starts with '#'. */
static void
put_tap_diagnostic(const ScenarioText *text, FILE *out)
{
	const char *at = text->bytes;
	const char *end = text->length > 0 ? at + text->length : at; /* bytes may be NULL */

	while (at < end)
	{
		const char *newline = memchr(at, '\n', (size_t) (end - at));
		const char *stop = newline != NULL ? newline : end;

		(void) fputs("# ", out);
		put_tap_text(at, (size_t) (stop - at), out);
		(void) fputc('\n', out);
		at = stop + 1;
	}
}

bool
results_write_tap(const ResultList *list, const RunInfo *info, FILE *out)
{
	(void) fprintf(out, "TAP version 13\n1..%zu\n", list->count);
	for (size_t i = 0; i < list->count; i++)
	{
		const ScenarioResult *result = &list->item[i];
		bool ok = result->status == SCENARIO_PASS || result->status == SCENARIO_SKIP;

		(void) fprintf(out, "%s %zu - ", ok ? "ok" : "not ok", i + 1);
		put_tap_text(result->scenario, strlen(result->scenario), out);
		(void) fputc('/', out);
		put_tap_text(result->case_name, strlen(result->case_name), out);
		if (result->status == SCENARIO_SKIP)
		{
			(void) fputs(" # SKIP ", out);
			put_tap_text(result->message.bytes, result->message.length, out);
		}
		(void) fputc('\n', out);
		if (ok)
			continue;
		put_tap_diagnostic(&result->message, out);
		put_tap_diagnostic(&result->detail, out);
		if (result->replay != NULL)
			(void) fprintf(out, "# replay: %s\n", result->replay);
	}
	if (info->summary->not_run > 0)
		(void) fprintf(out, "# %zu not run\n", info->summary->not_run);
	return ferror(out) == 0;
}
