/*
 * variadic.c
 *		Calls whose last argument may not be there, and close(), which closes even when it fails.
 *
 * Thread, signal safety: that of the call; no malloc, no locks.
 */
#include <stdarg.h>

#include "call.h"

#define FINISH(name_, arg_)                                                                        \
	if (result >= 0)                                                                               \
		(void) call_pass(&AFTER(name_), true, (arg_));                                             \
	return (int) result

/* The mode is there only when a file may be created. */
static mode_t
mode_argument(int flags, va_list args)
{
	if ((flags & O_CREAT) == 0 && (flags & O_TMPFILE) != O_TMPFILE)
		return 0;
	return va_arg(args, mode_t);
}

#define OPEN_WRAPPER(name_, parameters_, real_)                                                    \
	int WRAPPER(name_) parameters_                                                                 \
	{                                                                                              \
		InjectArrival before = call_pass(&BEFORE(name_), true, flags);                             \
		va_list args;                                                                              \
		mode_t mode;                                                                               \
		long result;                                                                               \
                                                                                                   \
		if (call_is_replaced(&before, 0, &result))                                                 \
			return (int) result;                                                                   \
		va_start(args, flags);                                                                     \
		mode = mode_argument(flags, args);                                                         \
		va_end(args);                                                                              \
		result = REAL(name_) real_;                                                                \
		FINISH(name_, flags);                                                                      \
	}

OPEN_WRAPPER(open, (const char *path, int flags, ...), (path, flags, mode))
OPEN_WRAPPER(openat, (int directory, const char *path, int flags, ...),
			 (directory, path, flags, mode))

/* A number or a pointer, or nothing: passed on as it came, as the C library itself does. */
#define COMMAND_WRAPPER(name_, parameters_, real_)                                                 \
	int WRAPPER(name_) parameters_                                                                 \
	{                                                                                              \
		InjectArrival before = call_pass(&BEFORE(name_), true, command);                           \
		va_list args;                                                                              \
		void *value;                                                                               \
		long result;                                                                               \
                                                                                                   \
		if (call_is_replaced(&before, 0, &result))                                                 \
			return (int) result;                                                                   \
		va_start(args, command);                                                                   \
		value = va_arg(args, void *);                                                              \
		va_end(args);                                                                              \
		result = REAL(name_) real_;                                                                \
		FINISH(name_, command);                                                                    \
	}

COMMAND_WRAPPER(fcntl, (int fd, int command, ...), (fd, command, value))
COMMAND_WRAPPER(semctl, (int semid, int index, int command, ...), (semid, index, command, value))

/* Linux frees the descriptor whatever close() returns, but for EBADF: so does a failure that is injected. */
int
WRAPPER(close)(int fd)
{
	InjectArrival before = call_pass(&BEFORE(close), false, 0);
	long result;

	if (before.verdict == VERDICT_ERRNO && before.a != EBADF)
		(void) REAL(close)(fd);
	if (call_is_replaced(&before, 0, &result))
		return (int) result;
	result = REAL(close)(fd);
	if (result == 0)
		(void) call_pass(&AFTER(close), false, 0);
	return (int) result;
}

OTHER_NAME(open64, open)
OTHER_NAME(openat64, openat)
OTHER_NAME(fcntl64, fcntl)
