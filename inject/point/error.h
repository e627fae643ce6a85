/*
 * error.h
 *		Filling in an InjectError.
 */
#ifndef HOLDFAST_INJECT_ERROR_H
#define HOLDFAST_INJECT_ERROR_H

#include "inject/inject.h"

/*
 * Both return `status`.  `error` may be NULL.  errno is kept in saved_errno by inject_fail_errno() alone.
 * Bytes that do not print become '?', so that a message is one line whatever the plan held.
 */
InjectStatus inject_fail(InjectError *error, InjectStatus status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
InjectStatus inject_fail_errno(InjectError *error, const char *what);

/* INJECT_BAD_PLAN at a place, with a suggestion (NULL: none). */
InjectStatus inject_fail_at(InjectError *error, InjectPlace place, const char *suggestion,
							const char *format, ...) __attribute__((format(printf, 4, 5)));

#endif
