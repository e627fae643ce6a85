/*
 * merge.h
 *		Result files, read again, and several of them made one.
 *
 * A file is input from anywhere: it is read by a strict schema (every key known, every value of its type and in its range),
 * and refused with the place of the first thing that is wrong.  Cases come out in order of scenario and name, so that the
 * parts of a run, in whatever order, make the same file as the whole of it.
 *
 * Errors: false, and `problem` says where and what.
 */
#ifndef HOLDFAST_TOOLS_MERGE_H
#define HOLDFAST_TOOLS_MERGE_H

#include "results.h"

#define RESULTS_PROBLEM_SIZE 256
#define RESULTS_CASES_MAX    ((size_t) 1 << 22)

typedef struct ResultsFile
{
	ResultList list;
	RunnerSummary summary;
	char outcome[32];
	int exit_code;
	uint64_t seed;
	char *plan; /* NULL: none */
} ResultsFile;

/* Reads what results_write_json() wrote.  On failure *file is empty. */
bool results_read_json(const char *text, size_t length, ResultsFile *file,
					   char problem[RESULTS_PROBLEM_SIZE]);
void results_file_free(ResultsFile *file);

/* Adds `part` to `whole`, which is a file that was read, or zeroed; `part` is emptied.  Different plans are refused. */
bool results_merge(ResultsFile *whole, ResultsFile *part, char problem[RESULTS_PROBLEM_SIZE]);

/* Brings the cases in order, and sums up anew: outcome, exit code and flaky cases of all of them together. */
void results_conclude(ResultsFile *whole);

/* The file's own words, for the writers. */
RunInfo results_info(const ResultsFile *file);

#endif
