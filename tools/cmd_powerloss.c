/*
 * cmd_powerloss.c
 *		`holdfast powerloss`: every state in which a power cut can leave a data directory, and a start in each.
 *
 * Each history is a case in a sandbox; its report comes back in memory that the case shares with this process.
 */
#include <fnmatch.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "campaign.h"
#include "cases.h"
#include "powerloss/powerloss.h"
#include "replay.h"

#define REAL_DEFAULT 40

static CasesOptions opt;
static struct
{
	const char *peer;
	uint64_t real;
	bool every_byte, list;
} own;

static PowerlossOptions how;
static PowerlossReport *report; /* HISTORY_COUNT of them, shared with the cases */

static const Option *
powerloss_options(void)
{
	static const Option options[] = {
		{"--every-byte", OPTION_FLAG, &own.every_byte, NULL,
		 "cut unsynced writes after every byte, not only at three places"},
		{"--real", OPTION_NUMBER, &own.real, "N",
		 "start real servers in about N states of each world; default: 40"},
		{"--peer", OPTION_STRING, &own.peer, "NAME",
		 "postgresql-model: its protocol beside ours, by its rules"},
		{"--list", OPTION_FLAG, &own.list, NULL, "only name the histories"},
		CASES_OPTIONS(opt),
		{0},
	};

	return options;
}

/* ---- cases ---- */

static ScenarioStatus
run_case(ScenarioContext *ctx, const ScenarioCase *which)
{
	return powerloss_run(ctx, (PowerlossHistory) which->param[0], &how, &report[which->param[0]]);
}

static const Scenario powerloss_scenario = {
	.id = "powerloss",
	.summary = "power lost at every moment of a lockfile's life",
	.run = run_case,
	.deadline_ms = 600000,
};

static const char *
token_of(const ScenarioCase *which)
{
	static char token[200];
	const PowerlossReport *found = &report[which->param[0]];

	/* With errors on the way the number is of one of many histories. */
	if (found->wrong_state == 0 || which->param[0] == HISTORY_ERRORS)
		return NULL;
	(void) snprintf(token, sizeof(token), "powerloss:history=%s,state=%" PRIu64 ",world=%s%s",
					which->name, found->wrong_state,
					powerloss_world_name((PowerlossWorld) found->wrong_world),
					how.every_byte ? ",every-byte=1" : "");
	return token;
}

static uint64_t
judged_per_second(const PowerlossReport *of)
{
	uint64_t asked = 0;

	for (int world = 0; world < WORLD_COUNT; world++)
		asked += of->world[world].asked;
	return of->judge_ns == 0 ? 0 : (uint64_t) ((double) asked * 1e9 / (double) of->judge_ns);
}

static void
print_world(const PowerlossReport *of, int world, FILE *out)
{
	const PowerlossWorldCount *count = &of->world[world];

	if (count->asked + count->real == 0)
		return;
	(void) fprintf(out,
				   "      %-21s %6" PRIu64 " by rule, %4" PRIu64 " refused;  %4" PRIu64
				   " by real servers, %3" PRIu64 " of them two at once;  %" PRIu64 " wrong\n",
				   powerloss_world_name((PowerlossWorld) world), count->asked, count->refused,
				   count->real, count->pairs, count->wrong + count->real_wrong);
}

static void
print_passed(const ScenarioCase *which, const ScenarioResult *result, FILE *out)
{
	const PowerlossReport *of = &report[which->param[0]];

	(void) fprintf(out,
				   "%-5s %-17s %3u operations, %" PRIu64 " combinations, %" PRIu64
				   " states; %.1f s, %" PRIu64 " verdicts/s\n",
				   which->param[0] == HISTORY_POSTGRESQL ? "peer" : "ok", which->name,
				   of->operations, of->count.visited, of->count.distinct,
				   result->milliseconds / 1000, judged_per_second(of));
	for (int world = 0; world < WORLD_COUNT; world++)
		print_world(of, world, out);
	if (of->wrong[0] != '\0')
		(void) fprintf(out,
					   "      over all worlds refused: %" PRIu64 " as empty, %" PRIu64
					   " as damaged, %" PRIu64 " for a PID that is another's\n",
					   of->empty, of->damaged, of->in_use);
}

/* ---- totals and files ---- */

typedef struct Total
{
	uint64_t states, verdicts, real, pairs, wrong;
} Total;

/* Of ours: a peer is only compared. */
static Total
total_of(const Cases *cases)
{
	Total total = {0};

	for (size_t i = 0; i < cases->list.count; i++)
	{
		const PowerlossReport *of = &report[cases->list.item[i].param[0]];

		if (cases->list.item[i].param[0] == HISTORY_POSTGRESQL)
			continue;
		total.states += of->count.distinct;
		total.wrong += of->lost;
		for (int world = 0; world < WORLD_COUNT; world++)
		{
			total.verdicts += of->world[world].asked;
			total.real += of->world[world].real;
			total.pairs += of->world[world].pairs;
			total.wrong += of->world[world].wrong + of->world[world].real_wrong;
		}
	}
	return total;
}

static void
write_json_worlds(JsonWriter *json, const PowerlossReport *of)
{
	json_array(json, "worlds");
	for (int world = 0; world < WORLD_COUNT; world++)
	{
		const PowerlossWorldCount *count = &of->world[world];

		json_object(json, NULL);
		json_string(json, "world", powerloss_world_name((PowerlossWorld) world));
		json_string(json, "due", world == WORLD_LIVE ? "refused" : "starts");
		json_uint(json, "verdicts", count->asked);
		json_uint(json, "refused", count->refused);
		json_uint(json, "real", count->real);
		json_uint(json, "two_at_once", count->pairs);
		json_uint(json, "wrong", count->wrong + count->real_wrong);
		json_object_end(json);
	}
	json_array_end(json);
}

static void
write_json_history(JsonWriter *json, const ScenarioCase *which)
{
	const PowerlossReport *of = &report[which->param[0]];

	json_object(json, NULL);
	json_string(json, "history", which->name);
	json_bool(json, "peer", which->param[0] == HISTORY_POSTGRESQL);
	json_uint(json, "recorded", of->histories);
	json_uint(json, "operations", of->operations);
	json_uint(json, "combinations", of->count.visited);
	json_uint(json, "states", of->count.distinct);
	json_uint(json, "verdicts_per_second", judged_per_second(of));
	json_uint(json, "refused_empty", of->empty);
	json_uint(json, "refused_damaged", of->damaged);
	json_uint(json, "refused_pid", of->in_use);
	json_uint(json, "promises_lost", of->lost);
	if (of->wrong[0] != '\0')
		json_string(json, "first_wrong", of->wrong);
	json_array(json, "operation");
	for (int i = 0; i < DISK_OPS_MAX && of->operation[i][0] != '\0'; i++)
		json_string(json, NULL, of->operation[i]);
	json_array_end(json);
	write_json_worlds(json, of);
	json_object_end(json);
}

typedef struct Told
{
	const Cases *cases;
	Total total;
} Told;

/* ReportFigures */
static void
write_figures(JsonWriter *json, void *arg)
{
	const Told *told = arg;
	const Cases *cases = told->cases;
	const Total *total = &told->total;

	json_bool(json, "every_byte", how.every_byte);
	json_uint(json, "states", total->states);
	json_uint(json, "verdicts", total->verdicts);
	json_uint(json, "real", total->real);
	json_uint(json, "two_at_once", total->pairs);
	json_uint(json, "wrong", total->wrong);
	json_array(json, "histories");
	for (size_t i = 0; i < cases->list.count; i++)
		write_json_history(json, &cases->list.item[i]);
	json_array_end(json);
	cases_json_findings(cases, json, "history");
}

/* ---- running ---- */

static int
choose(Cases *cases, int count, char **patterns)
{
	const char *names[HISTORY_COUNT + 1] = {NULL};

	for (int i = 0; i < HISTORY_COUNT; i++)
		names[i] = powerloss_history_name((PowerlossHistory) i);
	for (int i = 0; i < HISTORY_COUNT; i++)
	{
		bool chosen = count == 0 && i != HISTORY_POSTGRESQL;
		ScenarioCase *added;

		for (int j = 0; j < count; j++)
			chosen = chosen || fnmatch(patterns[j], names[i], 0) == 0;
		chosen = chosen || (own.peer != NULL && strcmp(own.peer, names[i]) == 0);
		if (!chosen)
			continue;
		added = scenario_case_add(&cases->list, "%s", names[i]);
		if (added == NULL)
			return EXIT_INTERNAL;
		added->param[0] = i;
	}
	if (cases->list.count > 0)
		return EXIT_GOOD;
	(void) fprintf(stderr, "holdfast: there is no history \"%s\"%s\n", patterns[0],
				   did_you_mean(patterns[0], names));
	return EXIT_NOTHING;
}

static int
run_histories(int count, char **patterns)
{
	Cases cases = {.scenario = &powerloss_scenario,
				   .options = &opt,
				   .token = token_of,
				   .passed = print_passed};
	Told told = {.cases = &cases};
	const Total *total = &told.total;
	int status = choose(&cases, count, patterns);

	if (status != EXIT_GOOD)
		return status;
	report = mmap(NULL, HISTORY_COUNT * sizeof(*report), PROT_READ | PROT_WRITE,
				  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (report == MAP_FAILED)
		return EXIT_INTERNAL;
	status = cases_execute(&cases);
	if (status == EXIT_GOOD)
	{
		told.total = total_of(&cases);
		(void) fprintf(cases.out,
					   "%" PRIu64 " states, %" PRIu64 " verdicts by rule, %" PRIu64
					   " by real servers (%" PRIu64 " two at once), %" PRIu64 " wrong; %.1f s\n",
					   total->states, total->verdicts, total->real, total->pairs, total->wrong,
					   cases.summary.milliseconds / 1000);
		status = cases_finish(&cases, "powerloss", write_figures, &told);
	}
	(void) munmap(report, HISTORY_COUNT * sizeof(*report));
	return status;
}

static int
run_powerloss(int argc, char **argv)
{
	int count;
	int status;

	own.real = REAL_DEFAULT;
	status = command_options(&command_powerloss, argc, argv, &count, NULL);
	if (status != EXIT_GOOD)
		return status;
	if (own.peer != NULL && strcmp(own.peer, "postgresql-model") != 0)
		return usage_error("--peer is postgresql-model, not \"%s\"", own.peer);
	if (own.list)
	{
		for (int i = 0; i < HISTORY_COUNT; i++)
			(void) printf("%s\n", powerloss_history_name((PowerlossHistory) i));
		return EXIT_GOOD;
	}
	how = (PowerlossOptions){.every_byte = own.every_byte, .real_max = own.real};
	return run_histories(count, argv);
}

const Command command_powerloss = {
	.name = "powerloss",
	.usage = "[HISTORY...] [OPTION...]",
	.summary = "start in every state that a power cut can leave",
	.run = run_powerloss,
	.options = powerloss_options,
	.examples = "  holdfast powerloss\n"
				"  holdfast powerloss --every-byte --peer postgresql-model\n",
};

/* ---- replay ---- */

static bool
world_named(const char *name, PowerlossWorld *world)
{
	for (int i = 0; name != NULL && i < WORLD_COUNT; i++)
	{
		*world = (PowerlossWorld) i;
		if (strcmp(powerloss_world_name(*world), name) == 0)
			return true;
	}
	return false;
}

int
replay_powerloss(const ReplayToken *token, const ReplayOptions *options)
{
	static const char *const keys[] = {"history", "state", "world", "every-byte", NULL};
	ReplayTokenError error = {.position = 1};
	const char *history = replay_token_get(token, "history");
	char *patterns[1] = {(char *) (uintptr_t) history};
	char bundle[] = "/tmp/holdfast-powerloss.XXXXXX";
	uint64_t every_byte;
	int status;

	how = (PowerlossOptions){0};
	if (!replay_token_only(token, keys, &error) ||
		!replay_token_number(token, "state", 0, UINT32_MAX, &how.only_state, &error) ||
		!replay_token_number(token, "every-byte", 0, 1, &every_byte, &error))
		return replay_refuse(&error);
	if (history == NULL || how.only_state == 0 ||
		!world_named(replay_token_get(token, "world"), &how.only_world))
		return usage_error("a powerloss token wants history=NAME, state=N and world=NAME");
	how.every_byte = every_byte != 0;
	opt = (CasesOptions){.files = options->files,
						 .budget_ms = options->budget_ms,
						 .verbose = options->verbose,
						 .quiet = options->quiet};
	how.bundle = mkdtemp(bundle);
	status = run_histories(1, patterns);
	if (how.bundle != NULL)
		(void) fprintf(stderr, "bundle: %s\n", how.bundle);
	return status;
}
