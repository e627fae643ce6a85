/*
 * schedule.h
 *		A schedule of simulated processes as text that fits in a token.
 *
 *		0*14.K1.2*3.T0		fourteen steps of process 0, death of 1, three steps of 2, 0's sleep times out
 */
#ifndef HOLDFAST_REPLAY_SCHEDULE_H
#define HOLDFAST_REPLAY_SCHEDULE_H

#include <stdbool.h>
#include <stddef.h>

#include "inject/sched/explore.h"

/* False when it is not a schedule; *position is then the first wrong character, from 0. */
bool schedule_parse(const char *text, ExploreSchedule *schedule, size_t *position);

/* False when it does not fit.  An empty schedule is "-". */
bool schedule_print(const ExploreSchedule *schedule, char *out, size_t size);

#endif
