/*
 * baton.h
 *		The same stops in real processes: each waits there until it is given the baton.
 */
#ifndef HOLDFAST_SCHED_BATON_H
#define HOLDFAST_SCHED_BATON_H

#include "explore.h"
#include "model.h"

/* In the processes. */
void sim_baton_stop(SimStop stop, const void *address);
void sim_baton_sleep(const uint32_t *word, uint32_t expected);
void sim_baton_wake(const uint32_t *word, int count);

/* Starts real processes, leads them through the schedule, kills where it says so, and says what came of it. */
void sim_run_real(const ExploreConfig *config, ExploreReport *report);

#endif
