/*
 * holes.h
 *		Where PostgreSQL's segments, lockfile and lightweight locks let something through: the list that the catalogue closes.
 */
#ifndef HOLDFAST_CATALOGUE_HOLES_H
#define HOLDFAST_CATALOGUE_HOLES_H

#include "runner/scenario.h"

typedef struct Hole
{
	const char *id;   /* "d2" */
	const char *what; /* happens */
} Hole;

extern const Hole hole_table[]; /* ends with id NULL */

#endif
