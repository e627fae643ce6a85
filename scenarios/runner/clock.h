/*
 * clock.h
 *		Deadlines: CLOCK_MONOTONIC in nanoseconds, and what is left until one as poll() wants it.
 */
#ifndef HOLDFAST_RUNNER_CLOCK_H
#define HOLDFAST_RUNNER_CLOCK_H

#include <stdint.h>
#include <time.h>

#define NS_PER_MS UINT64_C(1000000)

static inline uint64_t
clock_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t) now.tv_sec * 1000 * NS_PER_MS + (uint64_t) now.tv_nsec;
}

static inline uint64_t
clock_deadline_ns(uint64_t from_now_ms)
{
	return clock_now_ns() + from_now_ms * NS_PER_MS;
}

/* Rounded up, so that who waits that long has reached the deadline; at least 0, at most a minute. */
static inline int
clock_ms_until(uint64_t deadline_ns)
{
	uint64_t now = clock_now_ns();

	if (deadline_ns <= now)
		return 0;

	uint64_t left = (deadline_ns - now + NS_PER_MS - 1) / NS_PER_MS;

	return left > 60000 ? 60000 : (int) left;
}

#endif
