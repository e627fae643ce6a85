/*
 * cases.h
 *		What commands that run a campaign of cases in sandboxes have in common: options, their results, their files.
 *
 * The cases are not of the catalogue, but run by the same runner: namespaces, deadline, post-mortem, shards, Ctrl-C.
 */
#ifndef HOLDFAST_TOOLS_CASES_H
#define HOLDFAST_TOOLS_CASES_H

#include "command.h"
#include "reports.h"
#include "runner/runner.h"

typedef struct CasesOptions
{
	ReportFiles files;
	const char *shard;
	uint64_t jobs, budget_ms;
	bool quiet, verbose;
} CasesOptions;

/* Rows of a table of Option. */
#define CASES_OPTIONS(options_)                                                                    \
	{"--jobs|-j", OPTION_NUMBER, &(options_).jobs, "N",                                            \
	 "cases at a time; default: one per processor"},                                               \
		{"--shard", OPTION_STRING, &(options_).shard, "I/N", "the I-th of N equal parts"},         \
		{"--budget", OPTION_TIME, &(options_).budget_ms, "TIME", "start no case after that"},      \
		REPORT_OPTIONS((options_).files),                                                          \
		{"--verbose|-v", OPTION_FLAG, &(options_).verbose, NULL,                                   \
		 "the story of each case as it happens"},                                                  \
	{                                                                                              \
		"--quiet|-q", OPTION_FLAG, &(options_).quiet, NULL, "only failures and the last line"      \
	}

typedef struct Cases
{
	const Scenario *scenario;
	const CasesOptions *options;
	ScenarioCaseList list; /* the caller adds them */

	/* The token that replays a failed case; NULL or "": none is known.  May be NULL. */
	const char *(*token)(const ScenarioCase *which);
	/* A line for a case that has ended, on `out`; only for those that passed, and not when quiet.  May be NULL. */
	void (*passed)(const ScenarioCase *which, const ScenarioResult *result, FILE *out);

	/* Made by cases_execute(). */
	FILE *out; /* where people read: stdout, or stderr when stdout carries a file */
	ResultList results;
	RunnerSummary summary;
	RunnerOutcome outcome;
	int exit_code;
} Cases;

/* Runs the cases.  EXIT_GOOD: it ran, cases->exit_code says how it ended; else a usage error, said. */
int cases_execute(Cases *cases);

/* Writes the files that were asked for, with the command's own figures; the exit code of the command. */
int cases_finish(Cases *cases, const char *command, ReportFigures figures, void *arg);

/* The last of the figures: "findings", where a case is called `what`. */
void cases_json_findings(const Cases *cases, JsonWriter *json, const char *what);

/* Where a program that belongs to this one lies; false: "holdfast" itself could not be found. */
bool cases_program(const char *name, char *path, size_t size);

#endif
