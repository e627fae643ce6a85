/*
 * token.c
 *		Reads, makes and prints replay tokens.
 *
 * Pure functions on the caller's memory: thread safe, async-signal-safe but for snprintf in errors.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "token.h"

const char *const replay_token_kinds[] = {"sweep", "step", "explore", "powerloss",
										  "storm", "fuzz", NULL};

static bool refuse(ReplayTokenError *error, size_t position, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static bool
refuse(ReplayTokenError *error, size_t position, const char *format, ...)
{
	va_list args;

	if (error == NULL)
		return false;
	error->position = position;
	va_start(args, format);
	(void) vsnprintf(error->message, sizeof(error->message), format, args);
	va_end(args);
	return false;
}

static bool
is_key_char(char c)
{
	return (c >= 'a' && c <= 'z') || c == '-';
}

static bool
is_value_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		   (c != '\0' && strchr("._/+*:@~-", c) != NULL);
}

static size_t
span(const char *text, bool (*belongs)(char))
{
	size_t length = 0;

	while (belongs(text[length]))
		length++;
	return length;
}

static bool
is_kind(const char *kind, size_t length)
{
	for (size_t i = 0; replay_token_kinds[i] != NULL; i++)
	{
		if (strlen(replay_token_kinds[i]) == length &&
			memcmp(replay_token_kinds[i], kind, length) == 0)
			return true;
	}
	return false;
}

/* Appends text and a NUL; the place of it, or 0 when there is no room (0 is the kind's place). */
static uint16_t
keep(ReplayToken *token, const char *text, size_t length)
{
	uint16_t place = token->used;

	if (length >= sizeof(token->text) - token->used)
		return 0;
	memcpy(&token->text[place], text, length);
	token->text[place + length] = '\0';
	token->used = (uint16_t) (place + length + 1);
	return place;
}

static bool
add_pair(ReplayToken *token, const char *key, size_t key_length, const char *value,
		 size_t value_length)
{
	uint16_t before = token->used;
	uint16_t key_place, value_place;

	if (token->count >= REPLAY_TOKEN_PAIRS)
		return false;
	key_place = keep(token, key, key_length);
	value_place = key_place != 0 ? keep(token, value, value_length) : 0;
	if (value_place == 0)
	{
		token->used = before;
		return false;
	}
	token->key[token->count] = key_place;
	token->value[token->count] = value_place;
	token->count++;
	return true;
}

const char *
replay_token_kind(const ReplayToken *token)
{
	return token->is_scenario ? "scenario" : token->text;
}

const char *
replay_token_get(const ReplayToken *token, const char *key)
{
	for (uint16_t i = 0; i < token->count; i++)
	{
		if (strcmp(&token->text[token->key[i]], key) == 0)
			return &token->text[token->value[i]];
	}
	return NULL;
}

/* Where a value stands in the printed token, 1-based. */
static size_t
position_of(const ReplayToken *token, const char *value)
{
	/* Every NUL in between is one separator, so places in text are places in the token. */
	return (size_t) (value - token->text) + 1;
}

bool
replay_token_number(const ReplayToken *token, const char *key, uint64_t absent, uint64_t most,
					uint64_t *value, ReplayTokenError *error)
{
	const char *text = replay_token_get(token, key);
	uint64_t number = 0;

	*value = absent;
	if (text == NULL)
		return true;
	for (const char *digit = text; *digit != '\0'; digit++)
	{
		uint64_t add = (uint64_t) (*digit - '0');

		if (*digit < '0' || *digit > '9')
			return refuse(error, position_of(token, digit), "%s wants a number", key);
		if (add > most || number > (most - add) / 10)
			return refuse(error, position_of(token, text), "%s is at most %" PRIu64, key, most);
		number = number * 10 + add;
	}
	*value = number;
	return true;
}

bool
replay_token_only(const ReplayToken *token, const char *const *keys, ReplayTokenError *error)
{
	for (uint16_t i = 0; i < token->count; i++)
	{
		const char *key = &token->text[token->key[i]];
		size_t k = 0;

		while (keys[k] != NULL && strcmp(keys[k], key) != 0)
			k++;
		if (keys[k] == NULL)
			return refuse(error, position_of(token, key), "%s tokens have no key \"%s\"",
						  replay_token_kind(token), key);
	}
	return true;
}

/* ---- reading ---- */

/* One key=value at *text; moves *text behind it. */
static bool
parse_pair(const char *start, const char **text, ReplayToken *token, ReplayTokenError *error)
{
	const char *key = *text;
	size_t key_length = span(key, is_key_char);
	const char *value = key + key_length + 1;
	size_t value_length;
	char name[64];

	if (key_length == 0)
		return refuse(error, (size_t) (key - start) + 1, "a key is expected, of a-z and -");
	if (key_length >= sizeof(name))
		return refuse(error, (size_t) (key - start) + 1, "the key is too long");
	if (key[key_length] != '=')
		return refuse(error, (size_t) (key - start) + key_length + 1, "= is expected after a key");
	value_length = span(value, is_value_char);
	if (value_length == 0)
		return refuse(error, (size_t) (value - start) + 1, "a value is expected");
	memcpy(name, key, key_length);
	name[key_length] = '\0';
	if (replay_token_get(token, name) != NULL)
		return refuse(error, (size_t) (key - start) + 1, "%s comes twice", name);
	if (!add_pair(token, key, key_length, value, value_length))
		return refuse(error, (size_t) (key - start) + 1, "too many keys");
	*text = value + value_length;
	return true;
}

static bool
parse_kinded(const char *start, size_t kind_length, ReplayToken *token, ReplayTokenError *error)
{
	const char *text = start + kind_length + 1;

	if (!is_kind(start, kind_length))
		return refuse(error, 1, "\"%.*s\" is not a kind of token",
					  (int) (kind_length < 40 ? kind_length : 40), start);
	(void) keep(token, start, kind_length);
	for (;;)
	{
		if (!parse_pair(start, &text, token, error))
			return false;
		if (*text == '\0')
			return true;
		if (*text != ',')
			return refuse(error, (size_t) (text - start) + 1, "not a character of a value");
		text++;
	}
}

bool
replay_token_parse(const char *text, ReplayToken *token, ReplayTokenError *error)
{
	size_t length = strnlen(text, REPLAY_TOKEN_SIZE);
	size_t word = 0;

	token->count = 0;
	token->used = 0;
	token->is_scenario = false;
	token->text[0] = '\0';
	if (length == 0)
		return refuse(error, 1, "the token is empty");
	if (length >= REPLAY_TOKEN_SIZE)
		return refuse(error, REPLAY_TOKEN_SIZE, "the token is too long");
	while (text[word] >= 'a' && text[word] <= 'z')
		word++;
	if (word > 0 && text[word] == ':')
		return parse_kinded(text, word, token, error);
	token->is_scenario = true;
	(void) keep(token, text, length);
	return true;
}

/* ---- making ---- */

bool
replay_token_begin(ReplayToken *token, const char *kind)
{
	if (!is_kind(kind, strlen(kind)))
		return false;
	token->count = 0;
	token->used = 0;
	token->is_scenario = false;
	(void) keep(token, kind, strlen(kind));
	return true;
}

bool
replay_token_add(ReplayToken *token, const char *key, const char *value)
{
	size_t key_length = span(key, is_key_char);
	size_t value_length = span(value, is_value_char);

	if (key_length == 0 || key[key_length] != '\0' || key_length >= 64 || value_length == 0 ||
		value[value_length] != '\0' || replay_token_get(token, key) != NULL)
		return false;
	return add_pair(token, key, key_length, value, value_length);
}

bool
replay_token_add_number(ReplayToken *token, const char *key, uint64_t value)
{
	char text[24];

	(void) snprintf(text, sizeof(text), "%" PRIu64, value);
	return replay_token_add(token, key, text);
}

size_t
replay_token_print(const ReplayToken *token, char *out, size_t size)
{
	size_t length = token->used > 0 ? token->used - 1u : 0;
	size_t copied = size == 0 ? 0 : length < size ? length : size - 1;

	if (size == 0)
		return length;
	memcpy(out, token->text, copied);
	out[copied] = '\0';
	/* The NULs inside are the separators: the first a colon, then = and , in turn. */
	for (uint16_t i = 0; i < token->count; i++)
	{
		if ((size_t) token->key[i] - 1 < copied)
			out[token->key[i] - 1] = i == 0 ? ':' : ',';
		if ((size_t) token->value[i] - 1 < copied)
			out[token->value[i] - 1] = '=';
	}
	return length;
}
