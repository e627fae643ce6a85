/*
 * errno_table.h
 *		What can be done to a call: the errnos its manual page documents, and the actions that make sense.
 */
#ifndef HOLDFAST_INJECT_ERRNO_TABLE_H
#define HOLDFAST_INJECT_ERRNO_TABLE_H

typedef struct InjectCallSpec
{
	const char *point;
	const int
		*errnos; /* 0-terminated, the likeliest first; NULL: the call is over, it cannot fail */
	unsigned actions; /* INJECT_CAN_... beyond those of every point */
	const char *arg;  /* what arg= means; "" when nothing */
} InjectCallSpec;

/* NULL: not a point of a call. */
const InjectCallSpec *inject_call_spec(const char *point);

/* The n-th, for walks; NULL past the end. */
const InjectCallSpec *inject_call_spec_at(int index);

#endif
