/*
 * plan_lex.h
 *		The characters of a plan: a cursor that knows its line and column.
 *
 * Every reader returns false (or the status) with the cursor's error filled in, once: the first error wins
 * and the parser unwinds.
 */
#ifndef HOLDFAST_INJECT_PLAN_LEX_H
#define HOLDFAST_INJECT_PLAN_LEX_H

#include "inject/inject.h"

typedef struct PlanCursor
{
	const char *next;
	const char *end;
	InjectPlace place;
	InjectError *error; /* may be NULL */
	bool failed;
} PlanCursor;

void plan_cursor_start(PlanCursor *cursor, const void *text, size_t length, InjectError *error);

/* Note an error at `place`, unless one was noted before; always false. */
bool plan_error(PlanCursor *cursor, InjectPlace place, const char *suggestion, const char *format,
				...) __attribute__((format(printf, 4, 5)));

void plan_skip_space(PlanCursor *cursor);
bool plan_at_end(PlanCursor *cursor);       /* after white space */
bool plan_peek(PlanCursor *cursor, char c); /* after white space; '>' means "->" */
bool plan_accept(PlanCursor *cursor, char c);
bool plan_expect(PlanCursor *cursor, char c, const char *where);
bool plan_accept_arrow(PlanCursor *cursor);
bool plan_accept_dots(PlanCursor *cursor);
bool plan_peek_digit(PlanCursor *cursor);

/* A word of letters, digits, '_' and the characters of `extra`; `what` names it in errors. */
bool plan_word(PlanCursor *cursor, const char *extra, const char *what, char *word, size_t size);

/* A point's name: lower case, digits, '_', '-', '/', optionally one '*' at the end. */
bool plan_point_name(PlanCursor *cursor, bool star_allowed, char *name);

bool plan_unsigned(PlanCursor *cursor, const char *what, uint64_t low, uint64_t high,
				   uint64_t *value);
bool plan_signed(PlanCursor *cursor, const char *what, int64_t *value);

/* "10ms": ns us ms s m; at most an hour. */
bool plan_duration(PlanCursor *cursor, int64_t *nanoseconds);

/* The same with a sign, up to a hundred years: how far a clock jumps. */
bool plan_jump(PlanCursor *cursor, int64_t *nanoseconds);

/* Digits after the point of a percentage, at most seven; the integer part was read before. */
bool plan_fraction(PlanCursor *cursor, uint64_t percent, uint32_t *parts_per_1e9);

#endif
