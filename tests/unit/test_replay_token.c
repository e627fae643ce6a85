/*
 * test_replay_token.c
 *		Tokens are read strictly, print as they were read, and say where they stop being tokens.
 */
#include <criterion/criterion.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "replay/token.h"

TestSuite(replay_token, .timeout = 60);

static ReplayToken token;
static ReplayTokenError error;

static void
prints_as(const char *text)
{
	char out[REPLAY_TOKEN_SIZE];

	cr_assert_eq(replay_token_print(&token, out, sizeof(out)), strlen(text));
	cr_assert_str_eq(out, text);
}

Test(replay_token, kinds_and_values)
{
	const char *text =
		"explore:program=S~S~X,processes=3,mutant=10-release-wakes-nobody,schedule=0*12.K1.2*3";
	uint64_t number;

	cr_assert(replay_token_parse(text, &token, &error), "%s", error.message);
	cr_assert_str_eq(replay_token_kind(&token), "explore");
	cr_assert_str_eq(replay_token_get(&token, "schedule"), "0*12.K1.2*3");
	cr_assert_null(replay_token_get(&token, "sched"));
	cr_assert(replay_token_number(&token, "processes", 2, 16, &number, &error) && number == 3);
	cr_assert(replay_token_number(&token, "crashes", 7, 16, &number, &error) && number == 7);
	prints_as(text);
}

Test(replay_token, scenario_tokens_are_left_alone)
{
	const char *text = "c10-kill-mid-lock/lwlock/acquire/post-cas:exclusive:holder@7f3a";

	cr_assert(replay_token_parse(text, &token, &error));
	cr_assert_str_eq(replay_token_kind(&token), "scenario");
	prints_as(text);
}

Test(replay_token, refusals_name_their_place)
{
	static const struct
	{
		const char *text;
		size_t position;
	} bad[] = {
		{"", 1},
		{"explode:a=b", 1},
		{"explore:", 9},
		{"explore:a", 10},
		{"explore:=b", 9},
		{"explore:a=", 11},
		{"explore:a=b,", 13},
		{"explore:a=b c", 12},
		{"explore:a=b,a=c", 13},
		{"explore:a=b;c=d", 12},
		{"explore:A=b", 9},
		{"explore:a=\xff", 11},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
	{
		cr_expect_not(replay_token_parse(bad[i].text, &token, &error), "%s", bad[i].text);
		cr_expect_eq(error.position, bad[i].position, "%s: %zu, %s", bad[i].text, error.position,
					 error.message);
	}
}

Test(replay_token, numbers_are_strict_and_bounded)
{
	static const char *const keys[] = {"n", NULL};
	uint64_t number;

	cr_assert(replay_token_parse("step:n=18446744073709551615", &token, &error));
	cr_assert(replay_token_number(&token, "n", 0, UINT64_MAX, &number, &error));
	cr_assert_eq(number, UINT64_MAX);
	cr_assert_not(replay_token_number(&token, "n", 0, 5, &number, &error));
	cr_assert(replay_token_parse("step:n=18446744073709551616", &token, &error));
	cr_assert_not(replay_token_number(&token, "n", 0, UINT64_MAX, &number, &error));
	cr_assert(replay_token_parse("step:n=1x", &token, &error));
	cr_assert_not(replay_token_number(&token, "n", 0, UINT64_MAX, &number, &error));
	cr_assert_eq(error.position, 9);
	cr_assert(replay_token_only(&token, keys, &error));
	cr_assert(replay_token_parse("step:m=1,n=2", &token, &error));
	cr_assert_not(replay_token_only(&token, keys, &error));
	cr_assert_eq(error.position, 6);
}

Test(replay_token, made_tokens_are_read_back)
{
	char out[REPLAY_TOKEN_SIZE], cut[12];

	cr_assert(replay_token_begin(&token, "storm"));
	cr_assert(replay_token_add_number(&token, "seed", 42));
	cr_assert(replay_token_add(&token, "nemesis", "kill+stop"));
	cr_assert_not(replay_token_add(&token, "nemesis", "twice"));
	cr_assert_not(replay_token_add(&token, "k", "a,b"));
	cr_assert_not(replay_token_add(&token, "K", "a"));
	cr_assert_not(replay_token_add(&token, "k", ""));
	prints_as("storm:seed=42,nemesis=kill+stop");
	(void) replay_token_print(&token, out, sizeof(out));
	cr_assert(replay_token_parse(out, &token, &error));
	cr_assert_eq(replay_token_print(&token, cut, sizeof(cut)), strlen(out));
	cr_assert_str_eq(cut, "storm:seed=");
	cr_assert_not(replay_token_begin(&token, "scenario"));
}

Test(replay_token, no_room_is_said)
{
	static char text[2 * REPLAY_TOKEN_SIZE];
	char key[3] = "aa";

	memset(text, 'x', sizeof(text) - 1);
	cr_assert_not(replay_token_parse(text, &token, &error));
	cr_assert(replay_token_begin(&token, "step"));
	cr_assert_not(replay_token_add(&token, "k", text));
	for (int i = 0; i < REPLAY_TOKEN_PAIRS; i++, key[0] = (char) ('a' + i))
		cr_assert(replay_token_add(&token, key, "v"));
	cr_assert_not(replay_token_add(&token, "zz", "v"));
	memcpy(text, "step:", 5);
	text[5] = 'k';
	text[6] = '=';
	text[REPLAY_TOKEN_SIZE - 1] = '\0';
	cr_assert(replay_token_parse(text, &token, &error), "%s", error.message);
	prints_as(text);
}

/* Any bytes: a verdict, and what is accepted prints as it was. */
Test(replay_token, random_bytes)
{
	static const char alphabet[] = "explorestep:=,,==::-/@~*.AZ09 \xff";
	char text[64];

	srand(1);
	for (int round = 0; round < 200000; round++)
	{
		int length = rand() % 40;
		int start = rand() % 2 ? snprintf(text, sizeof(text), "step:") : 0;

		for (int i = 0; i < length; i++)
			text[start + i] = alphabet[rand() % (int) (sizeof(alphabet) - 1)];
		text[start + length] = '\0';
		if (replay_token_parse(text, &token, &error))
			prints_as(text);
		else
			cr_assert(error.position >= 1 && error.position <= strlen(text) + 1, "%s: %zu", text,
					  error.position);
	}
}
