/*
 * lwlock_tranche.h
 *		What shmem.c needs of lwlock_tranche.c to lay out a new segment.
 */
#ifndef HOLDFAST_LWLOCK_TRANCHE_H
#define HOLDFAST_LWLOCK_TRANCHE_H

#include "shmem_layout.h"

/* Locks asked for so far, ShmemIndexLock included. */
uint32_t holdfast_lwlocks_requested(void);

/* Fills a zeroed table and array: requested tranches first, then locks that nobody named. */
void holdfast_lwlocks_create(LWLockTrancheTable *table, LWLockPadded *locks, uint32_t nlocks);

#endif
