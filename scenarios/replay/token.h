/*
 * token.h
 *		Replay tokens: one line of text that names a finding well enough to make it happen again.
 *
 *		SCENARIO/CASE@SEED				one case of a scenario; kind "scenario", read by runner/select.c
 *		KIND:key=value,key=value...		everything else; KIND is one of replay_token_kinds
 *
 * Keys are [a-z-]+, values [A-Za-z0-9._/+*:@~-]+: nothing that a shell would touch.  A key comes once.  The text is input
 * from anywhere: what is not exactly a token is refused with the place where it stops being one.
 *
 * A ReplayToken holds all of its text, so that it can be copied; no memory is allocated.
 */
#ifndef HOLDFAST_REPLAY_TOKEN_H
#define HOLDFAST_REPLAY_TOKEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REPLAY_TOKEN_SIZE  8192 /* with its NUL */
#define REPLAY_TOKEN_PAIRS 24

typedef struct ReplayToken
{
	char text
		[REPLAY_TOKEN_SIZE]; /* NUL after the kind, each key and each value; "scenario": the whole token */
	uint16_t key[REPLAY_TOKEN_PAIRS];
	uint16_t value[REPLAY_TOKEN_PAIRS]; /* both: places in text */
	uint16_t count;
	uint16_t used; /* bytes of text */
	bool is_scenario;
} ReplayToken;

typedef struct ReplayTokenError
{
	size_t position; /* 1: the first character */
	char message[160];
} ReplayTokenError;

/* Kinds other than "scenario", NULL-terminated. */
extern const char *const replay_token_kinds[];

bool replay_token_parse(const char *text, ReplayToken *token, ReplayTokenError *error);

/* "scenario", or one of replay_token_kinds. */
const char *replay_token_kind(const ReplayToken *token);

/* The value of a key, or NULL. */
const char *replay_token_get(const ReplayToken *token, const char *key);

/* The same as a decimal number; `absent` when there is no such key.  False: it is there, and not a number up to `most`. */
bool replay_token_number(const ReplayToken *token, const char *key, uint64_t absent, uint64_t most,
						 uint64_t *value, ReplayTokenError *error);

/* Refuses keys that are not among the NULL-terminated `keys`. */
bool replay_token_only(const ReplayToken *token, const char *const *keys, ReplayTokenError *error);

/* Making one.  False, and the token is as before: not a kind, a bad or repeated key, a bad value, no room. */
bool replay_token_begin(ReplayToken *token, const char *kind);
bool replay_token_add(ReplayToken *token, const char *key, const char *value);
bool replay_token_add_number(ReplayToken *token, const char *key, uint64_t value);

/* As snprintf: returns the length without NUL, cuts at size.  What was parsed prints as it was. */
size_t replay_token_print(const ReplayToken *token, char *out, size_t size);

#endif
