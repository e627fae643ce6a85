/*
 * error.c
 *		Filling in an InjectError, and saying it in one line.
 *
 * Thread safety: touches only the caller's struct.  Not for signal handlers (vsnprintf).
 */
#include "error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void
keep_printable(char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char) *text < 0x20 || (unsigned char) *text >= 0x7f)
			*text = '?';
}

static void fill(InjectError *error, InjectStatus status, const char *format, va_list args)
	__attribute__((format(printf, 3, 0)));

static void
fill(InjectError *error, InjectStatus status, const char *format, va_list args)
{
	memset(error, 0, sizeof(*error));
	error->status = status;
	vsnprintf(error->message, sizeof(error->message), format, args);
	keep_printable(error->message);
}

InjectStatus
inject_fail(InjectError *error, InjectStatus status, const char *format, ...)
{
	va_list args;

	if (error == NULL)
		return status;
	va_start(args, format);
	fill(error, status, format, args);
	va_end(args);
	return status;
}

InjectStatus
inject_fail_errno(InjectError *error, const char *what)
{
	int saved_errno = errno;

	inject_fail(error, INJECT_SYSTEM_ERROR, "%s: %s", what, strerror(saved_errno));
	if (error != NULL)
		error->saved_errno = saved_errno;
	errno = saved_errno;
	return INJECT_SYSTEM_ERROR;
}

InjectStatus
inject_fail_at(InjectError *error, InjectPlace place, const char *suggestion, const char *format,
			   ...)
{
	va_list args;

	if (error == NULL)
		return INJECT_BAD_PLAN;
	va_start(args, format);
	fill(error, INJECT_BAD_PLAN, format, args);
	va_end(args);
	error->line = place.line;
	error->column = place.column;
	if (suggestion != NULL)
		snprintf(error->suggestion, sizeof(error->suggestion), "%s", suggestion);
	return INJECT_BAD_PLAN;
}

void
inject_error_text(const InjectError *error, char *text, size_t size)
{
	int length = 0;

	if (size == 0)
		return;
	text[0] = '\0';
	if (error->line > 0)
		length = snprintf(text, size, "%d:%d: ", error->line, error->column);
	if (length < 0 || (size_t) length >= size)
		return;
	if (error->suggestion[0] != '\0')
		snprintf(text + length, size - (size_t) length, "%s; did you mean \"%s\"?", error->message,
				 error->suggestion);
	else
		snprintf(text + length, size - (size_t) length, "%s", error->message);
}
