/*
 * fuzz.h
 *		What every fuzz target has: its entry, and a way to say that an invariant does not hold.
 *
 * Invariants are asserted inside the target, because a sanitizer does not see one field run over into the next.  A
 * failed one prints "REQUIRE failed: CONDITION at FILE:LINE", which is what tells one finding from another, and aborts.
 */
#ifndef HOLDFAST_FUZZ_H
#define HOLDFAST_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(condition_)                                                                        \
	((condition_) ? (void) 0 : fuzz_require_failed(#condition_, __FILE__, __LINE__))

static inline _Noreturn void
fuzz_require_failed(const char *condition, const char *file, int line)
{
	(void) fprintf(stderr, "REQUIRE failed: %s at %s:%d\n", condition, file, line);
	abort();
}

/* Of a check that runs after each step: what it does is no news about the code under test. */
#ifdef __clang__
#define FUZZ_UNSEEN __attribute__((no_sanitize("coverage")))
#else
#define FUZZ_UNSEEN
#endif

/* ---- taking an input apart; past its end everything is zero ---- */

typedef struct FuzzBytes
{
	const uint8_t *next, *end;
} FuzzBytes;

static inline size_t
fuzz_left(const FuzzBytes *bytes)
{
	return (size_t) (bytes->end - bytes->next);
}

static inline void
fuzz_take(FuzzBytes *bytes, void *to, size_t size)
{
	size_t got = fuzz_left(bytes) < size ? fuzz_left(bytes) : size;

	memset(to, 0, size);
	if (got > 0)
		memcpy(to, bytes->next, got);
	bytes->next += got;
}

static inline uint8_t
fuzz_take_u8(FuzzBytes *bytes)
{
	return bytes->next < bytes->end ? *bytes->next++ : 0;
}

static inline uint64_t
fuzz_take_u64(FuzzBytes *bytes)
{
	uint64_t value;

	fuzz_take(bytes, &value, sizeof(value));
	return value;
}

#endif
