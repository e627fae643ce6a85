/*
 * reports.c
 *		See reports.h.
 */
#include "reports.h"

#include <string.h>

static bool
is_stdout(const char *path)
{
	return path != NULL && strcmp(path, "-") == 0;
}

FILE *
reports_people(const ReportFiles *files)
{
	return is_stdout(files->json) || is_stdout(files->junit) || is_stdout(files->tap) ||
				   is_stdout(files->sarif) || is_stdout(files->html)
			   ? stderr
			   : stdout;
}

bool
reports_wanted(const ReportFiles *files)
{
	return files->json != NULL || files->junit != NULL || files->tap != NULL ||
		   files->sarif != NULL || files->html != NULL;
}

typedef bool (*ResultWriter)(const ResultList *list, const RunInfo *info, FILE *out);

/* A writer's file; no path is success. */
static bool
write_one(const char *path, ResultWriter writer, const ResultList *list, const RunInfo *info)
{
	FILE *file;
	bool written;

	if (path == NULL)
		return true;
	file = open_output(path);
	if (file == NULL)
		return false;
	written = writer(list, info, file);
	return close_output(file, path) && written;
}

static bool
write_figures(const char *path, const ResultList *list, const RunInfo *info, const char *command,
			  ReportFigures figures, void *arg)
{
	FILE *file = open_output(path);
	JsonWriter json;
	bool written;

	if (file == NULL)
		return false;
	json_begin(&json, file);
	json_object(&json, NULL);
	json_uint(&json, "schema_version", RESULTS_SCHEMA_VERSION);
	json_string(&json, "command", command);
	json_string(&json, "outcome", info->outcome);
	json_int(&json, "exit_code", info->exit_code);
	figures(&json, arg);
	json_object(&json, "results");
	results_json_members(&json, list, info);
	json_object_end(&json);
	json_object_end(&json);
	written = json_finish(&json);
	return close_output(file, path) && written;
}

bool
reports_write(const ReportFiles *files, ResultList *list, const RunInfo *info, const char *command,
			  ReportFigures figures, void *arg)
{
	bool written = true;

	results_sort(list);
	if (files->json != NULL && figures != NULL)
		written = write_figures(files->json, list, info, command, figures, arg);
	else
		written = write_one(files->json, results_write_json, list, info);
	written = write_one(files->junit, results_write_junit, list, info) && written;
	written = write_one(files->tap, results_write_tap, list, info) && written;
	written = write_one(files->sarif, results_write_sarif, list, info) && written;
	written = write_one(files->html, results_write_html, list, info) && written;
	if (list->out_of_memory)
		(void) fprintf(stderr, "holdfast: out of memory, results are missing\n");
	return written && !list->out_of_memory;
}
