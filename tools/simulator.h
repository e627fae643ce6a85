/*
 * simulator.h
 *		Finds, or builds from a mutant, the simulator of the lock code, and loads it.
 */
#ifndef HOLDFAST_TOOLS_SIMULATOR_H
#define HOLDFAST_TOOLS_SIMULATOR_H

#include <limits.h>
#include <stdbool.h>

#include "inject/sched/explore.h"

typedef struct Simulator
{
	void *module;
	ExploreFunction explore;
	char path[PATH_MAX];
	char work[PATH_MAX]; /* where a mutant was built, removed by simulator_close(); "" for none */
} Simulator;

/* `mutant`: a file of tests/mutants, without .patch; NULL: the library as it is.  An exit code, said why on stderr. */
int simulator_open(Simulator *simulator, const char *mutant);
void simulator_close(Simulator *simulator);

/* Names of the patches that change the lock code, one per line on stdout. */
int simulator_list_mutants(void);

#endif
