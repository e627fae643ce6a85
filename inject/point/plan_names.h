/*
 * plan_names.h
 *		The words of the plan language: actions, errnos, signals, argument names; both ways.
 *
 * Constant tables; safe anywhere.
 */
#ifndef HOLDFAST_INJECT_PLAN_NAMES_H
#define HOLDFAST_INJECT_PLAN_NAMES_H

#include "inject/inject.h"

/* What stands between an action's parentheses. */
typedef enum PlanArguments
{
	PLAN_NO_ARGUMENT,
	PLAN_ERRNO_ARGUMENT,
	PLAN_SIGNED_ARGUMENT,
	PLAN_COUNT_ARGUMENT, /* 0 .. INT64_MAX */
	PLAN_DURATION_ARGUMENT,
	PLAN_JUMP_ARGUMENT, /* a duration that may be negative, and long */
	PLAN_NAME_ARGUMENT,
	PLAN_NAME_AND_COUNT_ARGUMENT,
	PLAN_SIGNAL_ARGUMENT,
	PLAN_STATUS_ARGUMENT, /* 0 .. 255 */
	PLAN_MASK_ARGUMENT,   /* offset, mask */
} PlanArguments;

PlanArguments plan_action_arguments(InjectActionKind kind);

/* False when there is none of that name; `suggestion` then gets the nearest or NULL. */
bool plan_action_kind(const char *name, InjectActionKind *kind, const char **suggestion);
bool plan_errno_value(const char *name, int64_t *value, const char **suggestion);
bool plan_signal_value(const char *name, int64_t *value, const char **suggestion);

/* IPC_RMID and its like, for arg=. */
bool plan_argument_value(const char *name, int64_t *value, const char **suggestion);

#endif
