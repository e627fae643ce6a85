/*
 * report.c
 *		Statuses by name, the thread's last error, reporters.
 *
 * The last error is thread-local and owned here.  The reporter is process-wide: set before threads start.
 * A reporter may call back into the library; its failures are then reported in turn, so the error passed to it
 * is a copy.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <holdfast/holdfast.h>
#include <holdfast/ipc.h>

#include "report.h"

static _Thread_local HoldfastError last_error;

static HoldfastReporter current_reporter;
static void *current_reporter_arg;

const char *
holdfast_status_name(HoldfastStatus status)
{
	switch (status)
	{
		case HOLDFAST_OK:
			return "HOLDFAST_OK";
		case HOLDFAST_WAITED:
			return "HOLDFAST_WAITED";
		case HOLDFAST_BUSY:
			return "HOLDFAST_BUSY";
		case HOLDFAST_CHANGED:
			return "HOLDFAST_CHANGED";
		case HOLDFAST_OWNER_DEAD:
			return "HOLDFAST_OWNER_DEAD";
		case HOLDFAST_SYSTEM_ERROR:
			return "HOLDFAST_SYSTEM_ERROR";
		case HOLDFAST_MISUSE:
			return "HOLDFAST_MISUSE";
		case HOLDFAST_IN_USE:
			return "HOLDFAST_IN_USE";
		case HOLDFAST_COLLISION:
			return "HOLDFAST_COLLISION";
		case HOLDFAST_DAMAGED:
			return "HOLDFAST_DAMAGED";
		case HOLDFAST_LIMIT:
			return "HOLDFAST_LIMIT";
		case HOLDFAST_NO_MEMORY:
			return "HOLDFAST_NO_MEMORY";
		case HOLDFAST_NOT_FOUND:
			return "HOLDFAST_NOT_FOUND";
		case HOLDFAST_TIMED_OUT:
			return "HOLDFAST_TIMED_OUT";
		case HOLDFAST_DEADLOCK:
			return "HOLDFAST_DEADLOCK";
		case HOLDFAST_NOT_RECOVERABLE:
			return "HOLDFAST_NOT_RECOVERABLE";
		case HOLDFAST_RESET_NEEDED:
			return "HOLDFAST_RESET_NEEDED";
	}
	return "HOLDFAST_UNKNOWN_STATUS";
}

const HoldfastError *
holdfast_last_error(void)
{
	return &last_error;
}

void
holdfast_set_reporter(HoldfastReporter reporter, void *arg)
{
	current_reporter = reporter;
	current_reporter_arg = arg;
}

const char *
holdfast_format(char *buffer, size_t size, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void) vsnprintf(buffer, size, format, args);
	va_end(args);
	return buffer;
}

static void
copy_text(char *to, size_t size, const char *from)
{
	(void) snprintf(to, size, "%s", from != NULL ? from : "");
}

HoldfastStatus
holdfast_report_at(const char *file, int line, const char *function, HoldfastLevel level,
				   HoldfastStatus status, int saved_errno, const char *detail, const char *hint,
				   const char *format, ...)
{
	int errno_before = errno;
	HoldfastError error = {
		.level = level,
		.status = status,
		.saved_errno = saved_errno,
		.file = file,
		.line = line,
		.function = function,
	};
	va_list args;

	errno = saved_errno; /* for %m */
	va_start(args, format);
	(void) vsnprintf(error.message, sizeof(error.message), format, args);
	va_end(args);
	copy_text(error.detail, sizeof(error.detail), detail);
	copy_text(error.hint, sizeof(error.hint), hint);

	if (level >= HOLDFAST_ERROR)
		last_error = error;
	if (current_reporter != NULL)
		current_reporter(&error, current_reporter_arg);
	errno = errno_before;
	return status;
}

static const char *
level_name(HoldfastLevel level)
{
	static const char *const names[] = {"DEBUG", "LOG", "WARNING", "ERROR", "FATAL"};

	return names[level];
}

void
holdfast_report_to_stderr(const HoldfastError *error, void *arg)
{
	(void) arg;
	/* One fprintf, so that lines of several processes do not mix. */
	(void) fprintf(stderr, "%s:  %s\n%s%s%s%s%s%s", level_name(error->level), error->message,
				   error->detail[0] != '\0' ? "DETAIL:  " : "", error->detail,
				   error->detail[0] != '\0' ? "\n" : "", error->hint[0] != '\0' ? "HINT:  " : "",
				   error->hint, error->hint[0] != '\0' ? "\n" : "");
}

void
holdfast_report_as_postgres(const HoldfastError *error, void *arg)
{
	holdfast_report_to_stderr(error, arg);
	if (error->level == HOLDFAST_FATAL)
		proc_exit(1);
}
