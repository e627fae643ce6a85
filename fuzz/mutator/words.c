/*
 * words.c
 *		Mutations of text that is made of words and punctuation: plans, tokens, settings, JSON.
 *
 * A token is a run of letters, digits, '_' and '-', or one other byte.  Tokens are put out, in, twice, elsewhere, or
 * become a word of the dictionary or a number.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "mutator.h"

static bool
in_word(uint8_t c)
{
	return isalnum(c) || c == '_' || c == '-';
}

/* The token that covers `at`. */
static void
token_around(const uint8_t *data, size_t size, size_t at, size_t *from, size_t *length)
{
	size_t end = at + 1;

	*from = at;
	if (in_word(data[at]))
	{
		while (*from > 0 && in_word(data[*from - 1]))
			(*from)--;
		while (end < size && in_word(data[end]))
			end++;
	}
	*length = end - *from;
}

static size_t
new_token(uint64_t *random, char *text, size_t size)
{
	static const char *const numbers[] = {
		"0",   "1",     "2",          "7",          "99",         "100", "255",
		"256", "65535", "2147483647", "4294967295", "4294967296", "-1",  "18446744073709551615"};
	const FuzzWord *word;

	if (fuzz_word_count == 0 || fuzz_below(random, 4) == 0)
		return (size_t) snprintf(text, size, "%s",
								 numbers[fuzz_below(random, sizeof(numbers) / sizeof(*numbers))]);
	word = &fuzz_words[fuzz_below(random, fuzz_word_count)];
	if (word->length > size)
		return 0;
	memcpy(text, word->bytes, word->length);
	return word->length;
}

static size_t
copy_stretch(uint8_t *data, size_t size, size_t capacity, uint64_t *random)
{
	uint8_t bytes[128];
	size_t from, ignored;
	size_t length;
	size_t to;

	token_around(data, size, fuzz_below(random, size), &from, &ignored);
	length = 1 + fuzz_below(random, sizeof(bytes));
	if (length > size - from)
		length = size - from;
	memcpy(bytes, data + from, length);
	token_around(data, size, fuzz_below(random, size), &to, &ignored);
	return fuzz_splice(data, size, capacity, to, 0, bytes, length);
}

static size_t
mutate_once(uint8_t *data, size_t size, size_t capacity, uint64_t *random)
{
	size_t from, length, text_length;
	char text[64];

	token_around(data, size, fuzz_below(random, size), &from, &length);
	switch (fuzz_below(random, 8))
	{
		case 0:
			return size == length ? size : fuzz_splice(data, size, capacity, from, length, NULL, 0);
		case 1:
		case 2:
			return copy_stretch(data, size, capacity, random);
		case 3:
			data[from] ^= (uint8_t) (1u << fuzz_below(random, 8));
			return size;
		case 4:
		case 5:
			text_length = new_token(random, text, sizeof(text));
			return fuzz_splice(data, size, capacity, from + length, 0, text, text_length);
		default:
			text_length = new_token(random, text, sizeof(text));
			return fuzz_splice(data, size, capacity, from, length, text, text_length);
	}
}

size_t
fuzz_mutate(uint8_t *data, size_t size, size_t capacity, uint64_t *random)
{
	for (size_t rounds = 1 + fuzz_below(random, 4); rounds > 0; rounds--)
	{
		if (size > 0)
			size = mutate_once(data, size, capacity, random);
		if (size == 0)
		{
			data[0] = 'a';
			size = 1;
		}
	}
	return size;
}
