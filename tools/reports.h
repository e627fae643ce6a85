/*
 * reports.h
 *		The files that every command which tests can leave: one table of options, one way to write them.
 *
 * All formats tell the same results.  A command with figures of its own writes them into its JSON, around the results, which
 * are its member "results" there: `merge` and `report` read every such file.
 */
#ifndef HOLDFAST_TOOLS_REPORTS_H
#define HOLDFAST_TOOLS_REPORTS_H

#include <stdbool.h>
#include <stdio.h>

#include "command.h"
#include "results/json_writer.h"
#include "results/results.h"

typedef struct ReportFiles
{
	const char *json, *junit, *tap, *sarif, *html; /* NULL: not wanted; "-": stdout */
} ReportFiles;

/* Rows of a table of Option. */
#define REPORT_OPTIONS(files_)                                                                     \
	{"--json", OPTION_STRING, &(files_).json, "FILE", "all results as JSON; - is stdout"},         \
		REPORT_OPTIONS_BUT_JSON(files_)
#define REPORT_OPTIONS_BUT_JSON(files_)                                                            \
	{"--junit", OPTION_STRING, &(files_).junit, "FILE", "all results as JUnit XML"},               \
		{"--tap", OPTION_STRING, &(files_).tap, "FILE", "all results as TAP"},                     \
		{"--sarif", OPTION_STRING, &(files_).sarif, "FILE", "the findings as SARIF 2.1.0"},        \
	{                                                                                              \
		"--html", OPTION_STRING, &(files_).html, "FILE", "all results as a page"                   \
	}

/* Where people read: stdout, or stderr when stdout carries a file. */
FILE *reports_people(const ReportFiles *files);

bool reports_wanted(const ReportFiles *files);

/* Writes the members of its own into an open object. */
typedef void (*ReportFigures)(JsonWriter *json, void *arg);

/*
 * Sorts the results and writes the files that are wanted.  `command` and `figures` NULL: the JSON is the results alone.
 * False, after saying why, when something is missing in a file, or in the list itself.
 */
bool reports_write(const ReportFiles *files, ResultList *list, const RunInfo *info,
				   const char *command, ReportFigures figures, void *arg);

#endif
