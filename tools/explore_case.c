/*
 * explore_case.c
 *		What is explored, as a token and back.
 */
#include <stdio.h>
#include <string.h>

#include "explore_case.h"

#define FOLLOW_MEMORY (UINT64_C(1) << 30)

bool
explore_set_program(ExploreCase *what, const char *program)
{
	size_t length = strlen(program);

	if (length == 0 || length >= sizeof(what->programs))
		return false;
	what->config.workers = 0;
	(void) memset(what->programs, 0, sizeof(what->programs));
	for (size_t i = 0; i <= length; i++)
	{
		bool ends = program[i] == ',' || program[i] == '.' || program[i] == '\0';

		what->program[i] = program[i] == ',' ? '.' : program[i];
		what->programs[i] = ends ? '\0' : program[i];
	}
	for (size_t i = 0; i < length; i += strlen(&what->programs[i]) + 1)
	{
		if (what->config.workers == EXPLORE_PROCESSES_MAX)
			return false;
		what->config.program[what->config.workers++] = &what->programs[i];
	}
	return what->config.workers > 0;
}

static bool
refuse(ReplayTokenError *error, const char *what)
{
	error->position = 1;
	(void) snprintf(error->message, sizeof(error->message), "%s", what);
	return false;
}

static bool
copy_value(const ReplayToken *token, const char *key, char *out, size_t size)
{
	const char *value = replay_token_get(token, key);

	return snprintf(out, size, "%s", value != NULL ? value : "") < (int) size;
}

bool
explore_read_token(const ReplayToken *token, ExploreCase *what, ReplayTokenError *error)
{
	static const char *const keys[] = {
		"program", "crashes", "recoverer-crashes", "timeouts", "supervisor", "policy", "grain",
		"memory",  "mutant",  "signature",         "schedule", NULL};
	const char *program = replay_token_get(token, "program");
	const char *schedule = replay_token_get(token, "schedule");
	const char *policy = replay_token_get(token, "policy");
	const char *grain = replay_token_get(token, "grain");
	const char *memory = replay_token_get(token, "memory");
	uint64_t crashes, recoverers, timeouts, supervisor;
	size_t position;

	*what = (ExploreCase){.config = {.memory_limit = FOLLOW_MEMORY}};
	if (!replay_token_only(token, keys, error) ||
		!replay_token_number(token, "crashes", 0, 8, &crashes, error) ||
		!replay_token_number(token, "recoverer-crashes", 0, 4, &recoverers, error) ||
		!replay_token_number(token, "timeouts", 0, 64, &timeouts, error) ||
		!replay_token_number(token, "supervisor", 1, 1, &supervisor, error))
		return false;
	if (program == NULL || !explore_set_program(what, program))
		return refuse(error, "program= names the processes, as in S.S.X");
	if (policy != NULL && strcmp(policy, "poison") != 0 && strcmp(policy, "repair") != 0)
		return refuse(error, "policy= is poison or repair");
	if (grain != NULL && strcmp(grain, "fine") != 0)
		return refuse(error, "grain= is fine");
	if (memory != NULL && strcmp(memory, "tso") != 0)
		return refuse(error, "memory= is tso");
	if (!copy_value(token, "mutant", what->mutant, sizeof(what->mutant)) ||
		!copy_value(token, "signature", what->signature, sizeof(what->signature)))
		return refuse(error, "mutant= or signature= is too long");
	if (schedule == NULL || !schedule_parse(schedule, &what->schedule, &position))
		return refuse(error, "schedule= is not a schedule, as in 0*3.K1.2");
	what->config.crashes = (unsigned) crashes;
	what->config.recoverer_crashes = (unsigned) recoverers;
	what->config.timeouts = (unsigned) timeouts;
	what->config.supervisor = supervisor != 0;
	what->config.poison = policy != NULL && strcmp(policy, "poison") == 0;
	what->config.fine = grain != NULL;
	what->config.tso = memory != NULL;
	return true;
}

bool
explore_make_token(const ExploreCase *what, ReplayToken *token)
{
	static char schedule[REPLAY_TOKEN_SIZE];

	return replay_token_begin(token, "explore") &&
		   replay_token_add(token, "program", what->program) &&
		   (what->config.crashes == 0 ||
			replay_token_add_number(token, "crashes", what->config.crashes)) &&
		   (what->config.recoverer_crashes == 0 ||
			replay_token_add_number(token, "recoverer-crashes", what->config.recoverer_crashes)) &&
		   (what->config.timeouts == 0 ||
			replay_token_add_number(token, "timeouts", what->config.timeouts)) &&
		   (what->config.supervisor || replay_token_add_number(token, "supervisor", 0)) &&
		   (!what->config.poison || replay_token_add(token, "policy", "poison")) &&
		   (!what->config.fine || replay_token_add(token, "grain", "fine")) &&
		   (!what->config.tso || replay_token_add(token, "memory", "tso")) &&
		   (what->mutant[0] == '\0' || replay_token_add(token, "mutant", what->mutant)) &&
		   (what->signature[0] == '\0' || replay_token_add(token, "signature", what->signature)) &&
		   schedule_print(&what->schedule, schedule, sizeof(schedule)) &&
		   replay_token_add(token, "schedule", schedule);
}

bool
explore_follow(const Simulator *simulator, ExploreCase *what, ExploreReport *report)
{
	what->config.strategy = EXPLORE_REPLAY;
	what->config.schedule = &what->schedule;
	return simulator->explore(EXPLORE_ABI, &what->config, report) &&
		   report->end != EXPLORE_BAD_CONFIG;
}
