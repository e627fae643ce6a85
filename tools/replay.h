/*
 * replay.h
 *		What `holdfast replay` hands to whoever made a token, by its kind.
 *
 * A campaign whose findings have tokens of a kind supplies one ReplayRunner and enters it in the table in cmd_replay.c.
 */
#ifndef HOLDFAST_TOOLS_REPLAY_H
#define HOLDFAST_TOOLS_REPLAY_H

#include <stdbool.h>
#include <stdint.h>

#include "replay/token.h"
#include "reports.h"

typedef struct ReplayOptions
{
	ReportFiles files;
	const char *plan;
	uint64_t seed, budget_ms;
	uint64_t repeat; /* 0 as 1 */
	bool verbose, quiet, list;
	bool gdb; /* stop at the finding, under a debugger */
} ReplayOptions;

/* Makes it happen again and says what came of it; an exit code, EXIT_FINDINGS when the finding is there. */
typedef int (*ReplayRunner)(const ReplayToken *token, const ReplayOptions *options);

int replay_scenario(const ReplayToken *token, const ReplayOptions *options); /* cmd_run.c */
int replay_fuzz(const ReplayToken *token, const ReplayOptions *options);     /* cmd_fuzz.c */
int replay_storm(const ReplayToken *token, const ReplayOptions *options);    /* cmd_storm.c */
int replay_explore(const ReplayToken *token, const ReplayOptions *options);
int replay_powerloss(const ReplayToken *token, const ReplayOptions *options); /* cmd_powerloss.c */
int replay_step(const ReplayToken *token, const ReplayOptions *options);      /* cmd_step.c */

/* The usage error of a token whose values make no sense; returns EXIT_USAGE. */
int replay_refuse(const ReplayTokenError *error);

#endif
