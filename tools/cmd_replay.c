/*
 * cmd_replay.c
 *		`holdfast replay TOKEN`: hands the token to who understands its kind.
 */
#include <string.h>

#include "command.h"
#include "replay.h"

static const struct
{
	const char *kind;
	ReplayRunner run;
	bool gdb; /* understands --gdb */
} kinds[] = {
	{.kind = "scenario", .run = replay_scenario},
	{.kind = "fuzz", .run = replay_fuzz, .gdb = true},
	{.kind = "storm", .run = replay_storm},
	{.kind = "explore", .run = replay_explore, .gdb = true},
	{.kind = "powerloss", .run = replay_powerloss},
	{.kind = "step", .run = replay_step, .gdb = true},
};

static ReplayOptions opt;

static const Option *
replay_options(void)
{
	static const Option options[] = {
		{"--repeat", OPTION_NUMBER, &opt.repeat, "N", "replay it N times"},
		{"--gdb", OPTION_FLAG, &opt.gdb, NULL, "stop at the finding under gdb"},
		{"--plan", OPTION_STRING, &opt.plan, "PLAN",
		 "scenarios: faults of your own, or @FILE, where one takes a plan"},
		{"--seed", OPTION_NUMBER, &opt.seed, "N", "scenarios: when the token has no seed"},
		{"--budget", OPTION_TIME, &opt.budget_ms, "TIME", "start nothing after that"},
		REPORT_OPTIONS(opt.files),
		{"--list", OPTION_FLAG, &opt.list, NULL, "only say what would be replayed"},
		{"--verbose|-v", OPTION_FLAG, &opt.verbose, NULL, "the story as it happens"},
		{"--quiet|-q", OPTION_FLAG, &opt.quiet, NULL, "only failures and the last line"},
		{0},
	};

	return options;
}

int
replay_refuse(const ReplayTokenError *error)
{
	return usage_error("not a token: %s, at character %zu", error->message, error->position);
}

static int
run_replay(int argc, char **argv)
{
	static ReplayToken token;
	ReplayTokenError error;
	int count;
	int status = command_options(&command_replay, argc, argv, &count, NULL);

	if (status != EXIT_GOOD)
		return status;
	if (count != 1)
		return usage_error("replay wants one token, as a failure prints it after \"replay:\"");
	if (!replay_token_parse(argv[0], &token, &error))
		return replay_refuse(&error);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
	{
		if (strcmp(kinds[i].kind, replay_token_kind(&token)) != 0)
			continue;
		if (opt.gdb && !kinds[i].gdb)
			return usage_error("%s tokens are not replayed under gdb", kinds[i].kind);
		return kinds[i].run(&token, &opt);
	}
	return usage_error("this build does not replay %s tokens", replay_token_kind(&token));
}

const Command command_replay = {
	.name = "replay",
	.usage = "TOKEN [OPTION...]",
	.summary = "make one finding happen again, from the token that it printed",
	.run = run_replay,
	.options = replay_options,
	.examples =
		"  holdfast replay c10-kill-mid-lock/lwlock/acquire/post-cas:exclusive:holder@7f3a -v\n",
};
