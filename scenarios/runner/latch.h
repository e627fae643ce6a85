/*
 * latch.h
 *		A number that processes count up and others wait for, by futex, in memory that they share.
 *
 * Counting releases, waiting acquires: what was written before the count is seen after the wait.
 */
#ifndef HOLDFAST_RUNNER_LATCH_H
#define HOLDFAST_RUNNER_LATCH_H

#include <stdbool.h>
#include <stdint.h>

typedef struct Latch
{
	uint32_t count;
} Latch;

void latch_add(Latch *latch);
uint32_t latch_read(const Latch *latch);
/* False when it did not come to `count` in time. */
bool latch_wait(Latch *latch, uint32_t count, uint64_t deadline_ns);

#endif
