/*
 * own_word.h
 *		Compare and exchange of a word that one process alone writes, while it has one thread.
 *
 * What has to be told apart then is a signal handler between two instructions of the same thread, not another
 * processor: one instruction without the bus lock is enough, at a quarter of its price.  Readers in other
 * processes see a whole word, old or new.
 *
 * The only machine-dependent file of the room; elsewhere the ordinary atomic does it.
 */
#ifndef HOLDFAST_INJECT_OWN_WORD_H
#define HOLDFAST_INJECT_OWN_WORD_H

#include <stdbool.h>
#include <stdint.h>

static inline bool
own_word_exchange(uint64_t *word, uint64_t *expected, uint64_t desired)
{
#if defined(__x86_64__)
	bool done;

	__asm__ volatile("cmpxchgq %3, %1"
					 : "=@ccz"(done), "+m"(*word), "+a"(*expected)
					 : "r"(desired)
					 : "memory");
	return done;
#else
	return __atomic_compare_exchange_n(word, expected, desired, true, __ATOMIC_RELAXED,
									   __ATOMIC_RELAXED);
#endif
}

#endif
