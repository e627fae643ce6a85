/*
 * clocks.c
 *		Reading clocks and sleeping by them.
 *
 * jump(D) moves what a clock says: jump(-1h) with no trigger is a clock that is an hour slow, one behind
 * after(point) is a clock that is set back there.  The kernel's own clock stays as it is.  A sleep that
 * errno(EINTR) ends at once says that all of it is left.
 *
 * Thread, signal safety: that of the call; no malloc, no locks.
 */
#include "call.h"

#define SECOND INT64_C(1000000000)

/* Saturates: what a clock says never wraps. */
static void
jump(const InjectArrival *arrival, struct timespec *time)
{
	int64_t seconds = arrival->a / SECOND;
	int64_t rest = time->tv_nsec + arrival->a % SECOND;

	if (arrival->verdict != VERDICT_JUMP)
		return;
	if (rest < 0 || rest >= SECOND)
	{
		int carry = rest < 0 ? -1 : 1;

		rest -= carry * SECOND;
		seconds += carry;
	}
	time->tv_sec += seconds;
	time->tv_nsec = rest;
}

int
WRAPPER(clock_gettime)(clockid_t clock, struct timespec *time)
{
	InjectArrival before = call_pass(&BEFORE(clock_gettime), true, clock);
	long result;

	if (call_is_replaced(&before, 0, &result))
		return (int) result;
	result = REAL(clock_gettime)(clock, time);
	if (result == 0)
	{
		jump(&before, time);
		(void) call_pass(&AFTER(clock_gettime), true, clock);
	}
	return (int) result;
}

int
WRAPPER(gettimeofday)(struct timeval *time, void *zone)
{
	InjectArrival before = call_pass(&BEFORE(gettimeofday), false, 0);
	long result;

	if (call_is_replaced(&before, 0, &result))
		return (int) result;
	result = REAL(gettimeofday)(time, zone);
	if (result == 0 && before.verdict == VERDICT_JUMP)
	{
		struct timespec fine = {time->tv_sec, time->tv_usec * 1000};

		jump(&before, &fine);
		*time = (struct timeval){fine.tv_sec, fine.tv_nsec / 1000};
	}
	if (result == 0)
		(void) call_pass(&AFTER(gettimeofday), false, 0);
	return (int) result;
}

time_t
WRAPPER(time)(time_t *at)
{
	InjectArrival before = call_pass(&BEFORE(time), false, 0);
	struct timespec now = {0, 0};
	long result;

	if (call_is_replaced(&before, 0, &result))
		return (time_t) result;
	now.tv_sec = REAL(time)(NULL);
	jump(&before, &now);
	(void) call_pass(&AFTER(time), false, 0);
	if (at != NULL)
		*at = now.tv_sec;
	return now.tv_sec;
}

static void
all_is_left(const InjectArrival *arrival, const struct timespec *time, struct timespec *rest)
{
	if (arrival->verdict == VERDICT_ERRNO && arrival->a == EINTR && rest != NULL)
		*rest = *time;
}

int
WRAPPER(nanosleep)(const struct timespec *time, struct timespec *rest)
{
	InjectArrival before = call_pass(&BEFORE(nanosleep), false, 0);
	long result;

	all_is_left(&before, time, rest);
	if (call_is_replaced(&before, 0, &result))
		return (int) result;
	result = REAL(nanosleep)(time, rest);
	if (result == 0)
		(void) call_pass(&AFTER(nanosleep), false, 0);
	return (int) result;
}

int
WRAPPER(clock_nanosleep)(clockid_t clock, int flags, const struct timespec *time,
						 struct timespec *rest)
{
	InjectArrival before = call_pass(&BEFORE(clock_nanosleep), true, clock);
	int result;

	if ((flags & TIMER_ABSTIME) == 0)
		all_is_left(&before, time, rest);
	if (call_is_numbered(&before, &result))
		return result;
	result = REAL(clock_nanosleep)(clock, flags, time, rest);
	if (result == 0)
		(void) call_pass(&AFTER(clock_nanosleep), true, clock);
	return result;
}
