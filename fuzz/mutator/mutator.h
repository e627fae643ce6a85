/*
 * mutator.h
 *		Mutations that know the shape of an input.  One strategy per target, for every engine.
 *
 *		lines	text of lines, with the checksum of a lockfile made right again afterwards
 *		words	text of words and punctuation, as in a plan or a file of settings
 *		records	a row of short records, as in the bytecode of lock operations
 *
 * A strategy supplies fuzz_mutate(); engines.c offers it to libFuzzer and AFL++.  The words it may put in are those of
 * the target's dictionary, fuzz/dict/TARGET.dict.
 *
 * Memory: works inside the caller's buffer.  The same seed makes the same mutation.
 */
#ifndef HOLDFAST_FUZZ_MUTATOR_H
#define HOLDFAST_FUZZ_MUTATOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Changes data[0..size) in a buffer of `capacity` bytes; returns the new size, 1..capacity. */
size_t fuzz_mutate(uint8_t *data, size_t size, size_t capacity, uint64_t *random);

/* Of the target's dictionary; NULL-terminated. */
typedef struct FuzzWord
{
	const char *bytes;
	size_t length;
} FuzzWord;
extern const FuzzWord fuzz_words[];
extern const size_t fuzz_word_count;

/* splitmix64 */
static inline uint64_t
fuzz_random(uint64_t *state)
{
	uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

/* 0..n-1; 0 when n is 0. */
static inline size_t
fuzz_below(uint64_t *state, size_t n)
{
	return n == 0 ? 0 : (size_t) (fuzz_random(state) % n);
}

/* Replaces data[at..at+old) by `new` bytes of `with`; as much as fits.  Returns the new size. */
size_t fuzz_splice(uint8_t *data, size_t size, size_t capacity, size_t at, size_t old,
				   const void *with, size_t length);

#endif
