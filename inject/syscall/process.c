/*
 * process.c
 *		fork: a point before it.
 *
 * Thread, signal safety: that of the call.
 */
#include <unistd.h>

#include "call.h"

DECLARE_WRAPPER(fork)

CALL_POINT(fork_point, "process/fork", CALL_CONTEXT, "there is no child");

pid_t
WRAPPER(fork)(void)
{
	InjectArrival before = call_pass(&fork_point, false, 0);
	long result;

	return call_is_replaced(&before, 0, &result) ? (pid_t) result : REAL(fork)();
}
