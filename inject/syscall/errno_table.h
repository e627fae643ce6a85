/*
 * errno_table.h
 *		What can be done to a call: the errnos its manual page documents, the actions that make sense, and how
 *		the kernel is asked for it.
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
	const char *call; /* the C library's name; NULL for a point after a call */
	int argument;     /* which of the kernel's arguments arg= is; -1: none */
	long number;      /* of the system call of the same shape; NO_NUMBER: there is none */
	long also;        /* another that the C library may use for it; NO_NUMBER: none */
} InjectCallSpec;

/* NULL: not a point of a call. */
const InjectCallSpec *inject_call_spec(const char *point);

/* The n-th, for walks; NULL past the end. */
const InjectCallSpec *inject_call_spec_at(int index);

#endif
