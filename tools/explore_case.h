/*
 * explore_case.h
 *		What is explored, as options and as a token; shared by explore, replay and shrink.
 */
#ifndef HOLDFAST_TOOLS_EXPLORE_CASE_H
#define HOLDFAST_TOOLS_EXPLORE_CASE_H

#include "replay/schedule.h"
#include "replay/token.h"
#include "simulator.h"

typedef struct ExploreCase
{
	ExploreConfig config;
	char programs[64]; /* "S\0S\0X", to which config points */
	char program[64];  /* "S.S.X" */
	char mutant[208];  /* "" for none */
	char signature[32];
	ExploreSchedule schedule;
} ExploreCase;

/* "S,S,X" or "S.S.X". */
bool explore_set_program(ExploreCase *what, const char *program);

/* An "explore" token: everything about the case and the schedule. */
bool explore_read_token(const ReplayToken *token, ExploreCase *what, ReplayTokenError *error);
bool explore_make_token(const ExploreCase *what, ReplayToken *token);

/* Follows what->schedule in the simulator. */
bool explore_follow(const Simulator *simulator, ExploreCase *what, ExploreReport *report);

#endif
