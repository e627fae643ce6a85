/*
 * baseline.h
 *		The findings that are known: a file that a project keeps, in which each is named by what it is, not by when it was seen.
 *
 *		{"schema_version": 1, "known": [
 *		  {"kind": "run", "subject": "c10-kill-mid-lock/...", "signature": "...", "owner": "...", "note": "...", "expires": "2027-01-31"}]}
 *
 * An entry covers the findings of its kind and subject whose signature (results/signature.h) is the same, until the end of
 * the day on which it expires; owner, note and expires need not be there.
 *
 * Owner: a Baseline owns its texts.
 */
#ifndef HOLDFAST_TOOLS_GATE_BASELINE_H
#define HOLDFAST_TOOLS_GATE_BASELINE_H

#include <stdbool.h>
#include <stddef.h>

#include "results/results.h"
#include "results/signature.h"

#define KNOWN_MAX ((size_t) 1 << 16)

typedef struct Known
{
	char *kind, *subject, *signature;
	char *owner, *note, *expires; /* NULL: none */
	bool expired;
	bool seen; /* a finding of this run is covered by it */
	bool gone; /* the case was looked at, and this is not there any more */
} Known;

typedef struct Baseline
{
	Known *item;
	size_t count;
} Baseline;

/* Result.scenario is "KIND.SCENARIO", or "KIND" alone: a finding as an entry of a baseline names it. */
#define SUBJECT_SIZE 4096
typedef struct FindingName
{
	char kind[64], subject[SUBJECT_SIZE], signature[SIGNATURE_SIZE];
} FindingName;
void finding_name(const ScenarioResult *result, FindingName *name);

/* EXIT_GOOD, or an exit code after saying what is wrong with the file, and then *baseline is empty. */
int baseline_read(const char *path, Baseline *baseline);
void baseline_free(Baseline *baseline);

/* The entry that covers it, and is marked as seen; NULL: it is new. */
Known *baseline_find(Baseline *baseline, const ScenarioResult *result);

/*
 * Writes the findings of `list`, with owner and note of those that `old` knew, and of `old` what this run did not
 * look at.  False after saying why.
 */
bool baseline_write(const char *path, const Baseline *old, const ResultList *list);

#endif
