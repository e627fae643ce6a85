/*
 * report.h
 *		How library code says what went wrong.
 *
 *		return report(HOLDFAST_FATAL, HOLDFAST_SYSTEM_ERROR, errno,
 *					  "detail or NULL", "hint or NULL", "could not open file \"%s\": %m", path);
 *
 * Fills the thread's last error (levels ERROR and FATAL), calls the reporter, returns the status.  %m is
 * strerror(saved_errno).  errno is preserved.
 */
#ifndef HOLDFAST_REPORT_H
#define HOLDFAST_REPORT_H

#include <holdfast/holdfast.h>

#define report(level_, status_, errno_, detail_, hint_, ...)                                       \
	holdfast_report_at(__FILE__, __LINE__, __func__, (level_), (status_), (errno_), (detail_),     \
					   (hint_), __VA_ARGS__)

HoldfastStatus holdfast_report_at(const char *file, int line, const char *function,
								  HoldfastLevel level, HoldfastStatus status, int saved_errno,
								  const char *detail, const char *hint, const char *format, ...)
	HOLDFAST_PRINTF(9, 10);

/* For details and hints with values in them: formats into `buffer` and returns it. */
const char *holdfast_format(char *buffer, size_t size, const char *format, ...)
	HOLDFAST_PRINTF(3, 4);

#endif
