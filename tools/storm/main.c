/*
 * main.c
 *		holdfast-storm: started by `holdfast storm`, which checks what a user says and makes the place.
 *
 *		holdfast-storm --work DIR --run DIR --duration-ms N --workers N --accounts N --kill-rate N --seed N --nemesis LIST
 *			--on-crash repair|reset [--recover-ms N] [--bundle DIR] [--holdfast PROGRAM]
 *
 * Linked with the production library.  Exit code: 0 good, 1 a violation, 2 usage, 3 cannot be done here, 70 no report.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exit_codes.h"
#include "storm.h"

typedef enum StormOption
{
	OPT_WORK = 1,
	OPT_RUN,
	OPT_DURATION,
	OPT_WORKERS,
	OPT_ACCOUNTS,
	OPT_RATE,
	OPT_SEED,
	OPT_NEMESIS,
	OPT_ON_CRASH,
	OPT_RECOVER,
	OPT_BUNDLE,
	OPT_HOLDFAST,
} StormOption;

static const struct option names[] = {
	{"work", required_argument, NULL, OPT_WORK},
	{"run", required_argument, NULL, OPT_RUN},
	{"duration-ms", required_argument, NULL, OPT_DURATION},
	{"workers", required_argument, NULL, OPT_WORKERS},
	{"accounts", required_argument, NULL, OPT_ACCOUNTS},
	{"kill-rate", required_argument, NULL, OPT_RATE},
	{"seed", required_argument, NULL, OPT_SEED},
	{"nemesis", required_argument, NULL, OPT_NEMESIS},
	{"on-crash", required_argument, NULL, OPT_ON_CRASH},
	{"recover-ms", required_argument, NULL, OPT_RECOVER},
	{"bundle", required_argument, NULL, OPT_BUNDLE},
	{"holdfast", required_argument, NULL, OPT_HOLDFAST},
	{0},
};

static bool
take(StormConfig *config, int option, const char *value)
{
	const char *word;
	size_t length;

	switch (option)
	{
		case OPT_WORK:
			config->work_dir = value;
			return true;
		case OPT_RUN:
			config->run_dir = value;
			return true;
		case OPT_DURATION:
			config->duration_ms = strtoull(value, NULL, 10);
			return true;
		case OPT_WORKERS:
			config->workers = (unsigned) strtoul(value, NULL, 10);
			return true;
		case OPT_ACCOUNTS:
			config->accounts = (unsigned) strtoul(value, NULL, 10);
			return true;
		case OPT_RATE:
			config->kill_rate = strtod(value, NULL);
			return true;
		case OPT_SEED:
			config->seed = strtoull(value, NULL, 10);
			return true;
		case OPT_NEMESIS:
			return nemesis_parse(value, &config->nemeses, &word, &length);
		case OPT_ON_CRASH:
			return cluster_on_crash_parse(value, &config->on_crash);
		case OPT_RECOVER:
			config->recover_ms = (unsigned) strtoul(value, NULL, 10);
			return true;
		case OPT_BUNDLE:
			config->bundle = value;
			return true;
		case OPT_HOLDFAST:
			config->holdfast = value;
			return true;
		default:
			return false;
	}
}

static bool
read_options(StormConfig *config, int argc, char **argv)
{
	int option;

	while ((option = getopt_long(argc, argv, "", names, NULL)) != -1)
		if (!take(config, option, optarg))
			return false;
	return optind == argc && config->work_dir && config->run_dir && config->duration_ms > 0 &&
		   config->workers >= 1 && config->workers <= CLUSTER_WORKERS_MAX &&
		   config->accounts >= 2 && config->accounts <= CLUSTER_ACCOUNTS_MAX &&
		   config->kill_rate > 0 && config->recover_ms > 0 && config->nemeses != 0;
}

int
main(int argc, char **argv)
{
	static Storm storm = {.config = {.recover_ms = 300}};

	if (!read_options(&storm.config, argc, argv))
	{
		fprintf(stderr, "holdfast-storm: it is `holdfast storm` that starts this\n");
		return EXIT_USAGE;
	}
	if (!storm_run(&storm))
		return EXIT_UNFIT;
	if (!report_write(&storm))
	{
		fprintf(stderr, "holdfast-storm: could not write the report\n");
		return EXIT_INTERNAL;
	}
	return storm.history->violations ? EXIT_FINDINGS : EXIT_GOOD;
}
