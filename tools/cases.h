/*
 * cases.h
 *		What commands that run a campaign of cases in sandboxes have in common: options, their results, their files.
 *
 * The cases are not of the catalogue, but run by the same runner: namespaces, deadline, post-mortem, shards, Ctrl-C.
 */
#ifndef HOLDFAST_TOOLS_CASES_H
#define HOLDFAST_TOOLS_CASES_H

#include "command.h"
#include "results/json_writer.h"
#include "results/results.h"
#include "runner/runner.h"

typedef struct CasesOptions
{
	const char *json, *junit, *tap, *shard;
	uint64_t jobs, budget_ms;
	bool quiet, verbose;
} CasesOptions;

/* Rows of a table of Option. */
#define CASES_OPTIONS(options_)                                                                    \
	{"--jobs|-j", OPTION_NUMBER, &(options_).jobs, "N",                                            \
	 "cases at a time; default: one per processor"},                                               \
		{"--shard", OPTION_STRING, &(options_).shard, "I/N", "the I-th of N equal parts"},         \
		{"--budget", OPTION_TIME, &(options_).budget_ms, "TIME", "start no case after that"},      \
		{"--json", OPTION_STRING, &(options_).json, "FILE", "all results as JSON; - is stdout"},   \
		{"--junit", OPTION_STRING, &(options_).junit, "FILE", "all results as JUnit XML"},         \
		{"--tap", OPTION_STRING, &(options_).tap, "FILE", "all results as TAP"},                   \
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

/* Writes the files that were asked for, JSON by `write_json` (NULL: results_write_json); the exit code of the command. */
int cases_finish(Cases *cases, bool (*write_json)(const Cases *cases, FILE *out, void *arg),
				 void *arg);

/* For `write_json`: head and findings, between which the command's own members stand.  A case is called `what` there. */
void cases_json_begin(const Cases *cases, JsonWriter *json, FILE *out, const char *command);
bool cases_json_finish(const Cases *cases, JsonWriter *json, const char *what);

/* Where a program that belongs to this one lies; false: "holdfast" itself could not be found. */
bool cases_program(const char *name, char *path, size_t size);

#endif
