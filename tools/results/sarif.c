/*
 * sarif.c
 *		SARIF 2.1.0, as code scanning takes it: a result per finding, at the place in the source that it belongs to.
 *
 * A rule is a scenario or a campaign.  What a baseline lists is there too, as suppressed and unchanged; what is well is not.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <holdfast/holdfast.h>

#include "json_writer.h"
#include "origin.h"
#include "results.h"
#include "signature.h"

#define SCHEMA "https://json.schemastore.org/sarif-2.1.0.json"

/* ---- rules ---- */

static bool
is_first_of_its_rule(const ResultList *list, size_t which)
{
	for (size_t i = 0; i < which; i++)
	{
		if (result_is_finding(&list->item[i]) &&
			strcmp(list->item[i].scenario, list->item[which].scenario) == 0)
			return false;
	}
	return true;
}

static void
write_rules(JsonWriter *json, const ResultList *list)
{
	json_array(json, "rules");
	for (size_t i = 0; i < list->count; i++)
	{
		char text[200];

		if (!result_is_finding(&list->item[i]) || !is_first_of_its_rule(list, i))
			continue;
		(void) snprintf(text, sizeof(text), "Robustness: %.150s", list->item[i].scenario);
		json_object(json, NULL);
		json_string(json, "id", list->item[i].scenario);
		json_object(json, "shortDescription");
		json_string(json, "text", text);
		json_object_end(json);
		json_object_end(json);
	}
	json_array_end(json);
}

/* ---- results ---- */

/* What people read: case, what was said of it, how to see it again. */
static void
write_message(JsonWriter *json, const ScenarioResult *result)
{
	char *text = NULL;
	size_t length = 0;
	FILE *out = open_memstream(&text, &length);

	if (out == NULL)
	{
		json->broken = true;
		return;
	}
	(void) fprintf(out, "%s: ", result->case_name);
	if (result->message.length > 0)
		(void) fwrite(result->message.bytes, 1, result->message.length, out);
	if (result->replay != NULL)
		(void) fprintf(out, "\nreplay: %s", result->replay);
	if (fclose(out) != 0)
		json->broken = true;
	json_object(json, "message");
	if (text != NULL)
		json_bytes(json, "text", text, length);
	json_object_end(json);
	free(text);
}

static void
write_locations(JsonWriter *json, const ScenarioResult *result)
{
	ResultOrigin origin;

	result_origin(result, &origin);
	json_array(json, "locations");
	json_object(json, NULL);
	if (origin.file[0] != '\0')
	{
		json_object(json, "physicalLocation");
		json_object(json, "artifactLocation");
		json_string(json, "uri", origin.file);
		json_string(json, "uriBaseId", "%SRCROOT%");
		json_object_end(json);
		if (origin.line > 0)
		{
			json_object(json, "region");
			json_uint(json, "startLine", origin.line);
			json_object_end(json);
		}
		json_object_end(json);
	}
	json_array(json, "logicalLocations");
	json_object(json, NULL);
	json_string(json, "fullyQualifiedName", result->case_name);
	json_object_end(json);
	json_array_end(json);
	json_object_end(json);
	json_array_end(json);
}

/* The format wants these on every result of a run, or on none. */
static void
write_baseline(JsonWriter *json, const ResultList *list, const ScenarioResult *result)
{
	bool any = false;

	for (size_t i = 0; i < list->count && !any; i++)
		any = list->item[i].known;
	if (!any)
		return;
	json_string(json, "baselineState", result->known ? "unchanged" : "new");
	json_array(json, "suppressions");
	if (result->known)
	{
		json_object(json, NULL);
		json_string(json, "kind", "external");
		json_string(json, "justification", "listed in the baseline");
		json_object_end(json);
	}
	json_array_end(json);
}

static void
write_result(JsonWriter *json, const ResultList *list, const ScenarioResult *result)
{
	bool flaky = result_is_flaky(list, result);
	char fingerprint[24];

	(void) snprintf(fingerprint, sizeof(fingerprint), "%016" PRIx64, result_fingerprint(result));
	json_object(json, NULL);
	json_string(json, "ruleId", result->scenario);
	json_string(json, "level", flaky ? "warning" : "error");
	write_message(json, result);
	write_locations(json, result);
	json_object(json, "partialFingerprints");
	json_string(json, "holdfastSignature/v1", fingerprint);
	json_object_end(json);
	write_baseline(json, list, result);
	json_object(json, "properties");
	json_string(json, "status", scenario_status_name(result->status));
	json_bool(json, "flaky", flaky);
	if (result->detail.length > 0)
		json_bytes(json, "detail", result->detail.bytes, result->detail.length);
	if (result->replay != NULL)
		json_string(json, "replay", result->replay);
	json_object_end(json);
	json_object_end(json);
}

static void
write_run(JsonWriter *json, const ResultList *list, const RunInfo *info)
{
	json_object(json, NULL);
	json_object(json, "tool");
	json_object(json, "driver");
	json_string(json, "name", "holdfast");
	json_string(json, "version", HOLDFAST_VERSION);
	write_rules(json, list);
	json_object_end(json);
	json_object_end(json);
	json_array(json, "invocations");
	json_object(json, NULL);
	/* Did the tool do its work?  Findings are work done. */
	json_bool(json, "executionSuccessful",
			  info->exit_code == 0 || info->exit_code == 1 || info->exit_code == 6);
	json_int(json, "exitCode", info->exit_code);
	json_string(json, "exitCodeDescription", info->outcome);
	json_object_end(json);
	json_array_end(json);
	json_array(json, "results");
	for (size_t i = 0; i < list->count; i++)
	{
		if (result_is_finding(&list->item[i]))
			write_result(json, list, &list->item[i]);
	}
	json_array_end(json);
	json_string(json, "columnKind", "unicodeCodePoints");
	json_object_end(json);
}

bool
results_write_sarif(const ResultList *list, const RunInfo *info, FILE *out)
{
	JsonWriter json;

	json_begin(&json, out);
	json_object(&json, NULL);
	json_string(&json, "$schema", SCHEMA);
	json_string(&json, "version", "2.1.0");
	json_array(&json, "runs");
	write_run(&json, list, info);
	json_array_end(&json);
	json_object_end(&json);
	return json_finish(&json);
}
