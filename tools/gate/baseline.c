/*
 * baseline.c
 *		See baseline.h.
 */
#include "baseline.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "command.h"
#include "load.h"
#include "results/json_writer.h"
#include "results/origin.h"

void
finding_name(const ScenarioResult *result, FindingName *name)
{
	size_t kind = strcspn(result->scenario, ".");

	(void) snprintf(name->kind, sizeof(name->kind), "%.*s", (int) (kind < 63 ? kind : 63),
					result->scenario);
	if (result->scenario[kind] == '\0')
		(void) snprintf(name->subject, sizeof(name->subject), "%s", result->case_name);
	else
		(void) snprintf(name->subject, sizeof(name->subject), "%s/%s",
						result_scenario_id(result->scenario), result->case_name);
	result_signature(result, name->signature);
}

static bool
is_entry(const Known *known, const FindingName *name)
{
	return strcmp(known->kind, name->kind) == 0 && strcmp(known->subject, name->subject) == 0 &&
		   strcmp(known->signature, name->signature) == 0;
}

Known *
baseline_find(Baseline *baseline, const ScenarioResult *result)
{
	static FindingName name;

	finding_name(result, &name);
	for (size_t i = 0; i < baseline->count; i++)
	{
		if (!is_entry(&baseline->item[i], &name))
			continue;
		baseline->item[i].seen = true;
		return baseline->item[i].expired ? NULL : &baseline->item[i];
	}
	return NULL;
}

void
baseline_free(Baseline *baseline)
{
	for (size_t i = 0; i < baseline->count; i++)
	{
		Known *known = &baseline->item[i];

		free(known->kind);
		free(known->subject);
		free(known->signature);
		free(known->owner);
		free(known->note);
		free(known->expires);
	}
	free(baseline->item);
	*baseline = (Baseline){0};
}

/* ---- writing ---- */

static void
write_entry(JsonWriter *json, const FindingName *name, const Known *old)
{
	json_object(json, NULL);
	json_string(json, "kind", name->kind);
	json_string(json, "subject", name->subject);
	json_string(json, "signature", name->signature);
	if (old != NULL && old->owner != NULL)
		json_string(json, "owner", old->owner);
	if (old != NULL && old->note != NULL)
		json_string(json, "note", old->note);
	if (old != NULL && old->expires != NULL)
		json_string(json, "expires", old->expires);
	json_object_end(json);
}

static const Known *
entry_of(const Baseline *baseline, const FindingName *name)
{
	for (size_t i = 0; i < baseline->count; i++)
	{
		if (is_entry(&baseline->item[i], name))
			return &baseline->item[i];
	}
	return NULL;
}

static bool
was_written(const ResultList *list, size_t which, const FindingName *name)
{
	static FindingName earlier;

	for (size_t i = 0; i < which; i++)
	{
		if (!result_is_finding(&list->item[i]) ||
			strcmp(list->item[i].case_name, list->item[which].case_name) != 0)
			continue;
		finding_name(&list->item[i], &earlier);
		if (strcmp(earlier.kind, name->kind) == 0 && strcmp(earlier.subject, name->subject) == 0 &&
			strcmp(earlier.signature, name->signature) == 0)
			return true;
	}
	return false;
}

bool
baseline_write(const char *path, const Baseline *old, const ResultList *list)
{
	static FindingName name;
	FILE *out = open_output(path);
	JsonWriter json;
	bool written;

	if (out == NULL)
		return false;
	json_begin(&json, out);
	json_object(&json, NULL);
	json_uint(&json, "schema_version", 1);
	json_array(&json, "known");
	for (size_t i = 0; i < list->count; i++)
	{
		if (!result_is_finding(&list->item[i]))
			continue;
		finding_name(&list->item[i], &name);
		if (!was_written(list, i, &name))
			write_entry(&json, &name, entry_of(old, &name));
	}
	for (size_t i = 0; i < old->count; i++)
	{
		if (old->item[i].seen || old->item[i].gone)
			continue;
		(void) snprintf(name.kind, sizeof(name.kind), "%s", old->item[i].kind);
		(void) snprintf(name.subject, sizeof(name.subject), "%s", old->item[i].subject);
		(void) snprintf(name.signature, sizeof(name.signature), "%s", old->item[i].signature);
		write_entry(&json, &name, &old->item[i]);
	}
	json_array_end(&json);
	json_object_end(&json);
	written = json_finish(&json);
	return close_output(out, path) && written;
}
