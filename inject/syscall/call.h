/*
 * call.h
 *		What the wrapped calls have in common.
 *
 * One source, two uses.  In holdfast_injected the library's objects are linked with --wrap, so that their
 * calls, and no others, come to __wrap_shmget(), which calls the C library's.  In holdfast_preload.so the
 * same function is called shmget() and calls the next one in the search order (real.h).
 *
 * Each call has a point before it and another after it has succeeded (calls.def).  While neither is armed
 * the cost is two relaxed loads.  Wrappers call no malloc and are as signal-safe as the call itself.
 */
#ifndef HOLDFAST_INJECT_CALL_H
#define HOLDFAST_INJECT_CALL_H

#include <errno.h>

#include "inject/point/hit.h"
#include "prototypes.h"

#ifdef HOLDFAST_PRELOAD
#include "real.h"
#define WRAPPER(name_) name_
#define REAL(name_)    real_##name_
#define DECLARE_WRAPPER(name_)                                                                     \
	extern __typeof__(name_) name_ __attribute__((visibility("default")));
/* Another name under which programs reach the same function; with its attributes, or gcc complains. */
#if __has_attribute(copy)
#define LIKE(name_) , copy(name_)
#else
#define LIKE(name_)
#endif
#define OTHER_NAME(other_, name_)                                                                  \
	extern __typeof__(name_) other_                                                                \
		__attribute__((alias(#name_), visibility("default") LIKE(name_)));
/* A stranger may call open() in a signal handler or between fork and exec. */
#define CALL_CONTEXT INJECT_NO_MALLOC
#else
#define WRAPPER(name_)         __wrap_##name_
#define REAL(name_)            name_
#define DECLARE_WRAPPER(name_) extern __typeof__(name_) __wrap_##name_;
#define OTHER_NAME(other_, name_)
#define CALL_CONTEXT INJECT_ANYWHERE
#endif

/* BEFORE(shmget), AFTER(shmget): the points.  points.c defines them. */
#define BEFORE(name_) inject_call_##name_
#define AFTER(name_)  inject_call_post_##name_

#define CALL(how_, result_, name_, ...)                                                            \
	DECLARE_WRAPPER(name_)                                                                         \
	extern HoldfastInjectPoint BEFORE(name_);                                                      \
	extern HoldfastInjectPoint AFTER(name_);
#define LONE_POINT(id_, ...) extern HoldfastInjectPoint BEFORE(id_);
#include "calls.def"
DECLARE_WRAPPER(syscall)

static inline bool
call_is_armed(const HoldfastInjectPoint *point)
{
	/* relaxed: a stale byte only delays or wastes a look at the plan */
	return __builtin_expect(__atomic_load_n(point->armed, __ATOMIC_RELAXED), 0);
}

/* A point that is passed; whatever the plan does there, the call goes on. */
static inline __attribute__((__always_inline__)) InjectArrival
call_pass(HoldfastInjectPoint *point, bool has_arg, int64_t arg)
{
	/* in the wrapper, which this is a part of: who called it */
	InjectArrival arrival = {
		.site = point, .has_arg = has_arg, .arg = arg, .caller = __builtin_return_address(0)};

	if (call_is_armed(point))
		inject_arrive(&arrival);
	return arrival;
}

/* Whether the verdict replaces the call: then `result` is what it returns, and errno is set. */
static inline bool
call_is_replaced(const InjectArrival *arrival, long skipped_result, long *result)
{
	switch (arrival->verdict)
	{
		case VERDICT_ERRNO:
			errno = (int) arrival->a;
			*result = -1;
			return true;
		case VERDICT_RETURN:
			*result = (long) arrival->a;
			return true;
		case VERDICT_SKIP:
			*result = skipped_result;
			return true;
		default:
			return false;
	}
}

/* The same for calls that return their errno and leave the variable alone. */
static inline bool
call_is_numbered(const InjectArrival *arrival, int *result)
{
	if (arrival->verdict != VERDICT_ERRNO && arrival->verdict != VERDICT_RETURN &&
		arrival->verdict != VERDICT_SKIP)
		return false;
	*result = arrival->verdict == VERDICT_SKIP ? 0 : (int) arrival->a;
	return true;
}

#endif
