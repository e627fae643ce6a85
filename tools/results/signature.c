/*
 * signature.c
 *		See signature.h.
 */
#include "signature.h"

#include <stdbool.h>
#include <string.h>

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
is_hex_digit(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool
is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Length of what stands here and differs from run to run; 0: nothing does. */
static size_t
length_of_chance(const char *at, const char *end)
{
	const char *stop = at;

	if (end - at > 5 && memcmp(at, "/tmp/", 5) == 0)
	{
		while (stop < end && !is_space(*stop) && strchr("\"'),:;", *stop) == NULL)
			stop++;
		return (size_t) (stop - at);
	}
	if (end - at > 2 && at[0] == '0' && at[1] == 'x' && is_hex_digit(at[2]))
	{
		for (stop += 2; stop < end && is_hex_digit(*stop);)
			stop++;
		return (size_t) (stop - at);
	}
	while (stop < end && is_digit(*stop))
		stop++;
	return (size_t) (stop - at);
}

void
result_signature(const ScenarioResult *result, char signature[SIGNATURE_SIZE])
{
	const char *at = result->message.bytes;
	const char *end = at != NULL ? at + result->message.length : NULL;
	size_t used = 0;

	while (at < end && used + 1 < SIGNATURE_SIZE)
	{
		size_t chance = length_of_chance(at, end);
		char c = *at;

		if (chance > 0)
			c = '#';
		else if (is_space(c))
			c = ' ';
		else if (c < ' ' || c > '~')
			c = '?';
		at += chance > 0 ? chance : 1;
		/* One blank and many are one. */
		if ((c == '#' || c == ' ') && used > 0 && signature[used - 1] == c)
			continue;
		signature[used++] = c;
	}
	signature[used] = '\0';
}

static uint64_t
hash_text(uint64_t hash, const char *text)
{
	/* FNV-1a, the end of the text with it. */
	do
		hash = (hash ^ (unsigned char) *text) * UINT64_C(1099511628211);
	while (*text++ != '\0');
	return hash;
}

uint64_t
signature_fingerprint(const char *scenario, const char *case_name, const char *signature)
{
	uint64_t hash = hash_text(UINT64_C(14695981039346656037), scenario);

	return hash_text(hash_text(hash, case_name), signature);
}

uint64_t
result_fingerprint(const ScenarioResult *result)
{
	char signature[SIGNATURE_SIZE];

	result_signature(result, signature);
	return signature_fingerprint(result->scenario, result->case_name, signature);
}
