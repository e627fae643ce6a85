/*
 * table.h
 *		The states that have been seen: 96 bits of hash each, and how each was first reached.
 *
 * Grows by doubling, up to a limit.  Numbers of states never change.
 */
#ifndef HOLDFAST_SCHED_TABLE_H
#define HOLDFAST_SCHED_TABLE_H

#include "model.h"

#define STATE_GOOD     1 /* the end is reachable from it without a fault */
#define STATE_FINISHED 2 /* all its successors have been looked at */

typedef struct StateSlot
{
	uint64_t hash_a;
	uint32_t hash_b;
	uint32_t number; /* + 1; 0: empty */
} StateSlot;

typedef struct StateTable
{
	StateSlot *slot;
	/* By number; flags alone are looked at again and again. */
	uint32_t *parent;
	uint8_t *move; /* SimMove << 4 | process, from the parent */
	uint8_t *flags;
	size_t slots, states, capacity;
	uint64_t limit; /* bytes */
} StateTable;

bool table_open(StateTable *table, uint64_t limit);
void table_close(StateTable *table);
uint64_t table_bytes(const StateTable *table);

/* The state's number in *number; *is_new when it was not there.  False: no room. */
bool table_find(StateTable *table, SimHash hash, uint32_t *number, bool *is_new);

#endif
