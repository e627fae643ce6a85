/*
 * results.h
 *		The results of a run, kept until it is over, and written as JSON, JUnit, TAP, SARIF and HTML.
 *
 * Owner: a ResultList owns copies of everything.  Writers take any bytes and give valid files.
 */
#ifndef HOLDFAST_TOOLS_RESULTS_H
#define HOLDFAST_TOOLS_RESULTS_H

#include <stdbool.h>
#include <stdio.h>

#include "runner/result.h"
#include "runner/runner.h"

#define RESULTS_SCHEMA_VERSION 1

typedef struct ResultList
{
	ScenarioResult *item;
	size_t count, capacity;
	bool out_of_memory;
} ResultList;

void results_add(ResultList *list, const ScenarioResult *result);
void results_free(ResultList *list);

/* By scenario and name: cases end in any order, files of two runs are to be compared. */
void results_sort(ResultList *list);

typedef struct RunInfo
{
	uint64_t seed;
	const char *plan; /* NULL: none */
	const char *outcome;
	int exit_code;
	const RunnerSummary *summary;
} RunInfo;

const char *scenario_status_name(ScenarioStatus status); /* "pass" */

/* Told as something that is wrong: a failure, an error, or a failure that is known. */
bool result_is_finding(const ScenarioResult *result);

/* A finding of a case that, in the same list, passed, too. */
bool result_is_flaky(const ResultList *list, const ScenarioResult *result);

bool results_write_json(const ResultList *list, const RunInfo *info, FILE *out);
bool results_write_junit(const ResultList *list, const RunInfo *info, FILE *out);
bool results_write_tap(const ResultList *list, const RunInfo *info, FILE *out);
bool results_write_sarif(const ResultList *list, const RunInfo *info, FILE *out);
bool results_write_html(const ResultList *list, const RunInfo *info, FILE *out);

/* The members of a result file, into an object that is open.  (jansson has names of json_writer.h: not included here.) */
struct JsonWriter;
void results_json_members(struct JsonWriter *json, const ResultList *list, const RunInfo *info);

#endif
