/*
 * search.h
 *		The strategies, and following one schedule.
 */
#ifndef HOLDFAST_SCHED_SEARCH_H
#define HOLDFAST_SCHED_SEARCH_H

#include "model.h"

double sim_now(void); /* seconds, monotonic */

/* exhaustive.c: all schedules, all crashes, as far as the budgets go. */
void sim_search(const ExploreConfig *config, ExploreReport *report);
/* From where the simulation stands: can the end be reached without another fault?  False when that is not so. */
bool sim_can_end(uint64_t memory_limit);

/* walk.c: one schedule after the other, chosen at random, or by priorities (PCT), or with few preemptions. */
void sim_walk(const ExploreConfig *config, ExploreReport *report);

/* dpor.c: one schedule of each class of schedules that differ only in the order of what does not meet. */
void sim_dpor(const ExploreConfig *config, ExploreReport *report);

/* walk.c: a coroutine that does nothing, as often as fits half a second. */
void sim_measure_switches(ExploreReport *report);

/* follow.c */
typedef enum SimFollowed
{
	FOLLOWED_TO_THE_END,
	FOLLOWED_TO_A_FINDING,
	FOLLOWED_NOT, /* a move was impossible */
} SimFollowed;

/*
 * From the start, move by move.  *kept receives the moves that mattered: looking at what has not changed yet and going
 * back is left out.
 */
SimFollowed sim_follow(const ExploreMove *move, size_t count, ExploreSchedule *kept,
					   uint32_t *followed);

/* Follows report->schedule's raw form, puts the short form there and the story of the finding into the report. */
void sim_report_finding(ExploreReport *report, const ExploreMove *raw, size_t count,
						SimViolation violation);
void sim_tell(ExploreReport *report);

#endif
