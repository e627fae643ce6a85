/*
 * engine.h
 *		One run of a fuzzing engine over one target, and what it came to.
 *
 * The gate is what the engines wrote, not only how they ended: afl-fuzz ends with 0 though it saved crashes.
 */
#ifndef HOLDFAST_TOOLS_FUZZ_ENGINE_H
#define HOLDFAST_TOOLS_FUZZ_ENGINE_H

#include <stdint.h>

#include "campaign.h"
#include "tree.h"

#define FUZZ_JOBS_MAX     16
#define FUZZ_FINDINGS_MAX 8

typedef struct FuzzFigures
{
	uint64_t executions;
	double seconds;
	uint64_t covered, coverable; /* edges */
	uint64_t new_paths;          /* inputs kept that nobody had before */
	unsigned findings;           /* paths below; more are not listed */
	char finding[FUZZ_FINDINGS_MAX][FUZZ_PATH_SIZE];
	char log[FUZZ_PATH_SIZE]; /* of the first job */
} FuzzFigures;

typedef struct FuzzOrder
{
	const FuzzTree *tree;
	const FuzzTarget *target;
	uint64_t seconds;
	unsigned jobs;
	uint64_t seed; /* 0: the engine's choice */
	LiveLine line;
} FuzzOrder;

/* Directories that this run uses: TREE->build/work/TARGET. */
void fuzz_work_directory(const FuzzOrder *order, char path[FUZZ_PATH_SIZE]);

/* False, after saying why, when the engine did not work.  An interrupt ends it early, with the figures so far. */
bool fuzz_engine_run(FuzzOrder *order, FuzzFigures *figures);

#endif
