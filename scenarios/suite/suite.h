/*
 * suite.h
 *		A suite file: which cases to run, with which faults and seeds, kept as a file.
 *
 *		version: 1
 *		seed: 42
 *		run:
 *		  - cases: c10-kill-mid-lock/lwlock/acquire/post-cas:*
 *		  - cases: [serve-start, "*-serve-stop"]
 *		    plan: "sysv/shm/shmget=#1 errno(ENOSPC)"
 *
 * YAML, read strictly: what is not in the schema is refused with its line and column and with what would be legal.  The
 * bytes are input from anywhere; what a pattern selects, and what a plan says, is not known here.
 *
 * Owner: a Suite owns one block of text, which its strings point into; all else is of fixed size.  Pure: no file, no
 * global, any thread.  Errors: false and a SuiteError; then there is nothing to free.
 */
#ifndef HOLDFAST_SUITE_SUITE_H
#define HOLDFAST_SUITE_SUITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SUITE_VERSION      1
#define SUITE_SIZE_MAX     ((size_t) 1 << 20)
#define SUITE_ENTRIES_MAX  256
#define SUITE_PATTERNS_MAX 1024
#define SUITE_PATTERN_SIZE 256  /* bytes of one pattern, NUL included */
#define SUITE_PLAN_SIZE    4096 /* of one plan: it has to fit into a replay line */
#define SUITE_JOBS_MAX     256
#define SUITE_REPEAT_MAX   1000000
#define SUITE_BUDGET_MAX   UINT64_C(999999999999) /* milliseconds */

/* A string and where it stands; both from 1, in lines and characters. */
typedef struct SuiteText
{
	const char
		*bytes; /* NUL-terminated, printable; a plan may have line ends and tabs.  NULL: not said */
	uint32_t line, column;
} SuiteText;

typedef struct SuiteEntry
{
	size_t first_pattern, pattern_count;
	SuiteText plan;
	bool has_seed;
	uint64_t seed; /* of each of its cases, as a token has it */
} SuiteEntry;

/* Numbers that are not said are 0. */
typedef struct Suite
{
	uint64_t seed, jobs, repeat, budget_ms;
	SuiteEntry entry[SUITE_ENTRIES_MAX];
	size_t entry_count;
	SuiteText pattern[SUITE_PATTERNS_MAX];
	size_t pattern_count;
	char *text;
} Suite;

typedef struct SuiteError
{
	uint32_t line, column; /* never 0, never behind the end */
	char message[240];     /* one printable line */
	bool out_of_memory;
} SuiteError;

bool suite_parse(const void *bytes, size_t length, Suite *suite, SuiteError *error);
void suite_free(Suite *suite);

/*
 * The canonical text, which parses to the same suite.  As snprintf: returns the length without NUL, cuts at size.  It may
 * be longer than what was parsed.
 */
size_t suite_print(const Suite *suite, char *out, size_t size);

#endif
