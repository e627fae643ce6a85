/*
 * kill_table.h
 *		Where in the lock code a process can be killed, and in which part it gets there.
 *
 * Every point of lwlock/, proc/ and recover/ that the library registers must have a row; a combination that
 * cannot happen has a reason instead of a way.
 */
#ifndef HOLDFAST_CATALOGUE_KILL_TABLE_H
#define HOLDFAST_CATALOGUE_KILL_TABLE_H

#include <stdbool.h>
#include <stddef.h>

typedef enum KillPart
{
	PART_NONE,
	PART_HOLDER,    /* takes a free lock */
	PART_WAITER,    /* wants a held one */
	PART_RELEASER,  /* lets go of one that others want */
	PART_UPDATER,   /* holds it, and moves a variable that others wait for */
	PART_CLEARER,   /* moves the variable and lets go in one call */
	PART_NEWCOMER,  /* claims a slot */
	PART_LEAVER,    /* gives its slot back */
	PART_NAMER,     /* makes a tranche */
	PART_RECOVERER, /* recovers somebody else */
} KillPart;

#define KILL_COLUMNS 3 /* as holder, waiter, releaser */

typedef struct KillWay
{
	KillPart part; /* PART_NONE: unreachable */
	const char
		*gate; /* a waiter is parked here until the holder has let go; NULL: it never lets go */
	const char *never;      /* why not */
	const char *not_shared; /* why not in shared mode; NULL: it can */
} KillWay;

typedef struct KillRow
{
	const char *point;
	KillWay as[KILL_COLUMNS];
} KillRow;

/* Points whose three columns matter; rows with the same point do not occur. */
extern const KillRow kill_rows[];
extern const size_t kill_row_count;

/* Points that only one part reaches: the other columns are not listed. */
typedef struct KillSingle
{
	const char *point;
	KillPart part;
	bool shared_too;
} KillSingle;

extern const KillSingle kill_singles[];
extern const size_t kill_single_count;

/* "holder", "waiter", ... */
const char *kill_part_name(KillPart part);
const char *kill_column_name(int column);

/* Is it one of the points that must be in the table? */
bool kill_point_belongs(const char *point);
bool kill_point_listed(const char *point);

#endif
