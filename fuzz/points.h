/*
 * points.h
 *		Included before every library source of the targets that let actors die in the middle of it.
 *
 * Each INJECT_POINT() of the library becomes a place where the acting process may end, at a count that the input gives;
 * naps take time only on the clock that the harness keeps, and who is asking is whom it lets act.
 */
#ifndef HOLDFAST_FUZZ_POINTS_H
#define HOLDFAST_FUZZ_POINTS_H

#define HOLDFAST_INJECT_POINT_H /* instead of lib/src/inject_point.h */

#include <sched.h>
#include <time.h>
#include <unistd.h>

typedef enum HoldfastInjectContext
{
	INJECT_ANYWHERE = 0,
	INJECT_NO_MALLOC = 1 << 0,
	INJECT_NO_SLEEP = 1 << 1,
} HoldfastInjectContext;

void fuzz_point(const char *name);
int fuzz_nap(void);
pid_t fuzz_getpid(void);
int fuzz_clock(struct timespec *now);

#define INJECT_POINT(name_, context_, corpse_) fuzz_point(name_)
#define nanosleep(step_, rest_)                ((void) (step_), (void) (rest_), fuzz_nap())
#define sched_yield()                          fuzz_nap()
#define getpid()                               fuzz_getpid()
#define clock_gettime(clock_, now_)            fuzz_clock(now_)

#endif
