/*
 * engines.c
 *		Offers fuzz_mutate() to libFuzzer (linked in) and to AFL++ (a library it loads).
 *
 * Every other mutation is the engine's own: what it has learnt from comparisons is in those.
 */
#include <stdlib.h>
#include <string.h>

#include "mutator.h"

size_t
fuzz_splice(uint8_t *data, size_t size, size_t capacity, size_t at, size_t old, const void *with,
			size_t length)
{
	size_t behind = size - at - old;

	if (length > capacity - at)
		length = capacity - at;
	if (behind > capacity - at - length)
		behind = capacity - at - length;
	memmove(data + at + length, data + at + old, behind);
	if (length > 0)
		memcpy(data + at, with, length);
	return at + length + behind;
}

#ifndef FUZZ_AFL

/* Missing where the engine is not libFuzzer. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size) __attribute__((weak));
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

__attribute__((visibility("default"))) size_t
LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
	uint64_t random = seed;

	if (LLVMFuzzerMutate != NULL && (size == 0 || (fuzz_random(&random) & 1)))
		return LLVMFuzzerMutate(data, size, max_size);
	return fuzz_mutate(data, size, max_size, &random);
}

#else

/* afl-fuzz looks these names up. */
typedef struct AflMutator
{
	uint64_t random;
	uint8_t *bytes;
	size_t capacity;
} AflMutator;

void *afl_custom_init(void *afl, unsigned seed);
size_t afl_custom_fuzz(AflMutator *mutator, uint8_t *data, size_t size, uint8_t **out,
					   const uint8_t *other, size_t other_size, size_t max_size);
void afl_custom_deinit(AflMutator *mutator);

__attribute__((visibility("default"))) void *
afl_custom_init(void *afl, unsigned seed)
{
	AflMutator *mutator = calloc(1, sizeof(*mutator));

	(void) afl;
	if (mutator != NULL)
		mutator->random = seed;
	return mutator;
}

__attribute__((visibility("default"))) size_t
afl_custom_fuzz(AflMutator *mutator, uint8_t *data, size_t size, uint8_t **out,
				const uint8_t *other, size_t other_size, size_t max_size)
{
	(void) other;
	(void) other_size;
	if (mutator->capacity < max_size)
	{
		uint8_t *bytes = realloc(mutator->bytes, max_size);

		if (bytes == NULL)
			return 0; /* no mutation this time */
		mutator->bytes = bytes;
		mutator->capacity = max_size;
	}
	if (size > max_size)
		size = max_size;
	memcpy(mutator->bytes, data, size);
	*out = mutator->bytes;
	return fuzz_mutate(mutator->bytes, size, max_size, &mutator->random);
}

__attribute__((visibility("default"))) void
afl_custom_deinit(AflMutator *mutator)
{
	free(mutator->bytes);
	free(mutator);
}

#endif
