/*
 * lwlock_checks.h
 *		What is checked or counted on each acquisition, when the segment asks for it.
 */
#ifndef HOLDFAST_LWLOCK_CHECKS_H
#define HOLDFAST_LWLOCK_CHECKS_H

#include "lwlock_internal.h"

/* Takes notice of the segment's checks: from now on the caller's acquisitions take the fast path, or do not. */
void holdfast_lwlock_notice_checks(void);

/* HOLDFAST_DEADLOCK when waiting for `lock` could be for ever, by what the caller holds. */
HoldfastStatus holdfast_lwlock_check_order(const LWLock *lock);

void holdfast_lwlock_count_acquired(const LWLock *lock, LWLockMode mode);

#endif
