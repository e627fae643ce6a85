/*
 * token_parse.c
 *		Fuzz target: any text as a replay token.
 *
 * A refusal says where.  What is accepted prints as it was typed, is made again of its parts, and holds only characters
 * that no shell touches.
 */
#include "fuzz.h"

#include "replay/token.h"

static ReplayToken token, again; /* large */

static bool
is_harmless(const char *text)
{
	return text[strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
							 "._/+*:@~-,=")] == '\0';
}

static void
make_again(void)
{
	REQUIRE(replay_token_begin(&again, replay_token_kind(&token)));
	for (uint16_t i = 0; i < token.count; i++)
	{
		const char *key = &token.text[token.key[i]];
		const char *value = &token.text[token.value[i]];

		REQUIRE(replay_token_get(&token, key) == value);
		REQUIRE(replay_token_add(&again, key, value));
		REQUIRE(!replay_token_add(&again, key, value));
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char text[REPLAY_TOKEN_SIZE], printed[REPLAY_TOKEN_SIZE];
	ReplayTokenError error = {0};
	uint64_t number;
	size_t length;

	if (size >= sizeof(text))
		return 0;
	if (size > 0)
		memcpy(text, data, size);
	text[size] = '\0';
	length = strlen(text);
	if (!replay_token_parse(text, &token, &error))
	{
		REQUIRE(error.position >= 1 && error.position <= length + 1);
		REQUIRE(error.message[0] != '\0');
		REQUIRE(memchr(error.message, '\0', sizeof(error.message)) != NULL);
		return 0;
	}
	REQUIRE(replay_token_print(&token, printed, sizeof(printed)) == length);
	REQUIRE(strcmp(text, printed) == 0);
	if (token.is_scenario)
	{
		REQUIRE(strcmp(replay_token_kind(&token), "scenario") == 0);
		return 0;
	}
	REQUIRE(is_harmless(text));
	make_again();
	REQUIRE(replay_token_print(&again, printed, sizeof(printed)) == length);
	REQUIRE(strcmp(text, printed) == 0);
	if (replay_token_number(&token, "seed", 7, 1000000, &number, &error))
		REQUIRE(number <= 1000000 && (replay_token_get(&token, "seed") != NULL || number == 7));
	else
		REQUIRE(error.position >= 1 && error.position <= length + 1);
	return 0;
}
