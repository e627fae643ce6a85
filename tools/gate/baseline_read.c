/*
 * baseline_read.c
 *		Reads a baseline by a strict schema, with jansson: a key that is misspelt would cover nothing, or for ever.
 */
#ifdef HOLDFAST_HAS_JANSSON
#include <jansson.h>
#endif
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "baseline.h"
#include "command.h"
#include "load.h"

#ifdef HOLDFAST_HAS_JANSSON

/* Day by day as text: they compare as they follow each other. */
static bool
is_day(const char *text)
{
	static const char form[] = "dddd-dd-dd";

	if (strlen(text) != sizeof(form) - 1)
		return false;
	for (size_t i = 0; form[i] != '\0'; i++)
	{
		if (form[i] == 'd' ? text[i] < '0' || text[i] > '9' : text[i] != form[i])
			return false;
	}
	return true;
}

static bool
is_past(const char *day)
{
	time_t now = time(NULL);
	struct tm date;
	char today[16] = "";

	if (gmtime_r(&now, &date) != NULL)
		(void) strftime(today, sizeof(today), "%Y-%m-%d", &date);
	return strcmp(day, today) < 0;
}

static int
take_entry(const char *path, json_t *object, size_t index, Known *known)
{
	const struct
	{
		const char *key;
		char **text;
		size_t size;
		bool must;
	} fields[] = {
		{"kind", &known->kind, 64, true},
		{"subject", &known->subject, SUBJECT_SIZE, true},
		{"signature", &known->signature, SIGNATURE_SIZE, true},
		{"owner", &known->owner, 256, false},
		{"note", &known->note, 4096, false},
		{"expires", &known->expires, 64, false},
	};
	size_t taken = 0;

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
	{
		json_t *value = json_object_get(object, fields[i].key);

		if (value == NULL && !fields[i].must)
			continue;
		if (!json_is_string(value) || json_string_length(value) >= fields[i].size ||
			strlen(json_string_value(value)) != json_string_length(value))
			return usage_error("%s: known[%zu].%s is no text that fits", path, index,
							   fields[i].key);
		*fields[i].text = strdup(json_string_value(value));
		if (*fields[i].text == NULL)
			return EXIT_INTERNAL;
		taken++;
	}
	if (json_object_size(object) != taken)
		return usage_error("%s: known[%zu] has a key that is none of kind, subject, signature, "
						   "owner, note, expires",
						   path, index);
	if (known->expires != NULL && !is_day(known->expires))
		return usage_error("%s: known[%zu].expires is no day as in 2027-01-31", path, index);
	known->expired = known->expires != NULL && is_past(known->expires);
	return EXIT_GOOD;
}

static int
take_entries(const char *path, json_t *root, Baseline *baseline)
{
	json_t *known = json_object_get(root, "known");
	json_t *version = json_object_get(root, "schema_version");
	json_t *object;
	size_t index;

	if (!json_is_array(known) || json_object_size(root) != 2 || json_integer_value(version) != 1 ||
		json_array_size(known) > KNOWN_MAX)
		return usage_error("%s is no baseline: it has schema_version 1 and a list \"known\", and "
						   "nothing else",
						   path);
	baseline->item = calloc(json_array_size(known) + 1, sizeof(*baseline->item));
	if (baseline->item == NULL)
		return EXIT_INTERNAL;
	json_array_foreach(known, index, object)
	{
		int code = take_entry(path, object, index, &baseline->item[index]);

		baseline->count = index + 1;
		if (code != EXIT_GOOD)
			return code;
	}
	return EXIT_GOOD;
}

int
baseline_read(const char *path, Baseline *baseline)
{
	json_error_t error;
	size_t length;
	char *text = load_file(path, &length);
	json_t *root;
	int code;

	*baseline = (Baseline){0};
	if (text == NULL)
		return EXIT_USAGE;
	root = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error);
	free(text);
	if (root == NULL)
		return usage_error("%s:%d:%d: %.150s", path, error.line, error.column, error.text);
	code = take_entries(path, root, baseline);
	json_decref(root);
	if (code != EXIT_GOOD)
		baseline_free(baseline);
	return code;
}

#else

int
baseline_read(const char *path, Baseline *baseline)
{
	*baseline = (Baseline){0};
	(void) fprintf(stderr, "holdfast: %s is not read, for this is built without jansson\n", path);
	return EXIT_UNFIT;
}

#endif
