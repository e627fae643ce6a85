/*
 * observation.h
 *		Where the processes of one case came by: every fault point, per role and life, and how often.
 *
 * How a sweep learns what there is to break.  The memory is the runner's, shared with the sandbox, and written by the
 * case's first process when the case has passed; a case that ends otherwise leaves it empty.
 */
#ifndef HOLDFAST_RUNNER_OBSERVATION_H
#define HOLDFAST_RUNNER_OBSERVATION_H

#include <stdbool.h>
#include <stdint.h>

#include "inject/inject.h"

#define OBSERVED_MAX 4096

typedef struct Observed
{
	char point[INJECT_NAME_SIZE];
	char role[INJECT_ROLE_SIZE]; /* "": a process that had no role yet */
	unsigned life; /* 1: the first process of that role and ordinal; 2: its successor ... */
	uint64_t hits; /* of all processes of that role in that life */
} Observed;

typedef struct CaseObservation
{
	uint32_t count;
	bool overflow; /* there was more */
	Observed item[OBSERVED_MAX];
} CaseObservation;

/* Anonymous shared memory, zeroed; NULL when there is none. */
CaseObservation *observation_make(void);
void observation_free(CaseObservation *observation);

/* In the case: begin to count, and write down what was counted. */
void observation_begin(void);
void observation_take(CaseObservation *observation);

#endif
