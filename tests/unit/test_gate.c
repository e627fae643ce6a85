/*
 * test_gate.c
 *		A gate believes no part that does not say so itself.  The parts are shell scripts here.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "child.h"
#include "command.h"
#include "gate/gate.h"

TestSuite(gate, .timeout = 60);

/* ---- the frame's, which a test has not ---- */

int
usage_error(const char *format, ...)
{
	(void) format;
	return EXIT_USAGE;
}

FILE *
open_output(const char *path)
{
	return fopen(path, "we");
}

bool
close_output(FILE *file, const char *path)
{
	(void) path;
	return fclose(file) == 0;
}

/* ---- a gate of one script ---- */

static GateRun run;
static LiveLine line;

/* The script is called as a part is: NAME ... --json FILE; $json is FILE.  `result E CASES` writes a file of exit code E. */
static void
begin(const char *script)
{
	static const char head[] =
		"#!/bin/bash\n"
		"cd \"$(dirname \"$0\")\"\n"
		"for json; do :; done\n"
		"result() {\n"
		"  outcome=good; case $1 in 1) outcome=findings;; 3) outcome=unfit;; 4) outcome=nothing;; "
		"5) outcome=incomplete;; esac\n"
		"  pass=0 fail=0 skip=0 cases=\n"
		"  for status in $2; do\n"
		"    eval \"(($status += 1))\"\n"
		"    cases+=\"${cases:+,}{\\\"scenario\\\": \\\"c10\\\", \\\"case\\\": \\\"one\\\", "
		"\\\"status\\\": \\\"$status\\\", \\\"milliseconds\\\": 1, \\\"message\\\": \\\"it broke "
		"after $RANDOM ms\\\", \\\"replay\\\": \\\"holdfast replay c10/one@$RANDOM\\\"}\"\n"
		"  done\n"
		"  echo \"{\\\"schema_version\\\": 1, \\\"outcome\\\": \\\"$outcome\\\", "
		"\\\"exit_code\\\": "
		"$1, \\\"seed\\\": 1, \\\"plan\\\": null, \\\"summary\\\": {\\\"selected\\\": "
		"$((pass + fail + skip + ${3:-0})), \\\"run\\\": $((pass + fail + skip)), \\\"pass\\\": "
		"$pass, \\\"fail\\\": $fail, \\\"skip\\\": $skip, \\\"error\\\": 0, \\\"flaky\\\": 0, "
		"\\\"not_run\\\": ${3:-0}, \\\"milliseconds\\\": 3}, \\\"cases\\\": [$cases]}\" "
		">\"$json\"\n"
		"}\n";
	FILE *file;

	memset(&run, 0, sizeof(run));
	(void) snprintf(run.directory, sizeof(run.directory), "/tmp/holdfast-test-XXXXXX");
	cr_assert(mkdtemp(run.directory) != NULL);
	(void) snprintf(run.program, sizeof(run.program), "%s/part", run.directory);
	file = fopen(run.program, "w");
	cr_assert(file != NULL && fputs(head, file) >= 0 && fputs(script, file) >= 0 &&
			  fclose(file) == 0 && chmod(run.program, 0755) == 0);
	run.options = (GateOptions){.budget_ms = 60000, .seed = 1};
	run.begin_ms = monotonic_ms();
}

static void
end(void)
{
	char path[200];

	(void) unlink(run.program);
	(void) snprintf(path, sizeof(path), "%s/times", run.directory);
	(void) unlink(path);
	cr_assert(rmdir(run.directory) == 0, "something is left in %s", run.directory);
	results_file_free(&run.whole);
	baseline_free(&run.baseline);
}

/* The verdict on a part that does this: its exit code as the whole has it. */
static int
gate_of(const char *name, const char *script, GateState state)
{
	int which = gate_part(name);
	ResultsFile part;
	int code;

	begin(script);
	run.row[which].state = GATE_NOT_RUN;
	run.row[which].share_ms = 1000;
	children_begin();
	cr_assert(gate_run_part(&run, which, &part, &line));
	gate_mark_known(&run, &part);
	gate_follow_replays(&run, which, &part, &line);
	cr_assert(gate_take_part(&run, which, &part));
	children_end();
	results_conclude(&run.whole);
	code = run.whole.exit_code;
	cr_assert_eq(run.row[which].state, state, "%s: state %d, not %d: %s", script,
				 (int) run.row[which].state, (int) state, run.row[which].note);
	end();
	return code;
}

Test(gate, what_says_so_itself_is_good)
{
	cr_assert_eq(gate_of("run", "result 0 'pass pass skip'\n", GATE_RAN), EXIT_GOOD);
}

Test(gate, good_without_results_that_fit_is_broken)
{
	static const char *const scripts[] = {
		"exit 0\n",
		"echo >\"$json\"\n",
		": >\"$json\"\n",
		"echo '{' >\"$json\"\n",
		"echo '{\"schema_version\": 1, \"cases\": []}' >\"$json\"\n",
		"result 0 ''\n",
		"result 0 'pass fail'\n",
		"result 1 'fail'; exit 0\n",
		"result 0 'pass' 3\n",
		"result 0 'pass'; exit 1\n",
		"result 1 'pass'; exit 1\n",
		"result 0 'pass'; exit 77\n",
		"exit 1\n",
		"exit 70\n",
		"exit 130\n",
		"mkdir \"$json\"; rmdir \"$json\"; ln -s /nowhere \"$json\"\n",
	};

	for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++)
		cr_assert_eq(gate_of("run", scripts[i], GATE_BROKEN), EXIT_FINDINGS, "%s", scripts[i]);
}

Test(gate, who_is_killed_is_broken_whatever_it_left)
{
	cr_assert_eq(gate_of("step", "kill -9 $$\n", GATE_BROKEN), EXIT_FINDINGS);
	cr_assert_eq(gate_of("step", "result 0 'pass'; kill -9 $$\n", GATE_BROKEN), EXIT_FINDINGS);
	cr_assert_eq(gate_of("step", "result 0 'pass'; kill -TERM $$\n", GATE_BROKEN), EXIT_FINDINGS);
}

Test(gate, what_did_not_come_to_its_end_is_not_good)
{
	cr_assert_eq(gate_of("run", "result 5 'pass' 7; exit 5\n", GATE_CUT), EXIT_INCOMPLETE);
	cr_assert_eq(gate_of("sweep", "result 5 'pass' 7; exit 5\n", GATE_CUT), EXIT_GOOD);
	cr_assert_eq(gate_of("run", "result 3 ''; exit 3\n", GATE_UNFIT), EXIT_UNFIT);
	cr_assert_eq(gate_of("run", "exit 3\n", GATE_UNFIT), EXIT_UNFIT);
	cr_assert_eq(gate_of("run", "result 0 'skip skip'\n", GATE_UNFIT), EXIT_UNFIT);
	cr_assert_eq(gate_of("run", "result 4 ''; exit 4\n", GATE_NOTHING), EXIT_NOTHING);
	cr_assert_eq(gate_of("run", "exit 4\n", GATE_NOTHING), EXIT_NOTHING);
	(void) gate_of("run", "exit 2\n", GATE_USAGE);
}

/* The first time it breaks; `times` counts the replays. */
#define FAILS_ONCE                                                                                 \
	"if [[ $1 == replay ]]; then echo >>times; exit $((code)); fi\n"                               \
	"result 1 'fail'; exit 1\n"

Test(gate, a_finding_that_does_not_come_back_is_flaky_and_one_that_does_stands)
{
	cr_assert_eq(gate_of("run", "code=0\n" FAILS_ONCE, GATE_RAN), EXIT_FLAKY);
	cr_assert_eq(gate_of("run", "code=1\n" FAILS_ONCE, GATE_RAN), EXIT_FINDINGS);
	/* Neither good nor bad: an unfit machine, a schedule that diverged, a crash of the replay. */
	cr_assert_eq(gate_of("run", "code=3\n" FAILS_ONCE, GATE_RAN), EXIT_FINDINGS);
	cr_assert_eq(gate_of("run", "code=5\n" FAILS_ONCE, GATE_RAN), EXIT_FINDINGS);
	/* Good, and then bad. */
	cr_assert_eq(gate_of("run", "code='$(wc -l <times)-1'\n" FAILS_ONCE, GATE_RAN), EXIT_FINDINGS);
}

Test(gate, what_is_known_does_not_fail_until_it_expires)
{
	static char kind[] = "run", subject[] = "c10/one", signature[] = "it broke after # ms";
	ResultsFile part;
	char path[200];

	for (int expired = 0; expired < 2; expired++)
	{
		begin("result 1 'fail pass'; exit 1\n");
		(void) snprintf(path, sizeof(path), "%s/times", run.directory);
		run.baseline.item = calloc(1, sizeof(Known));
		run.baseline.count = 1;
		run.baseline.item[0] = (Known){.kind = strdup(kind),
									   .subject = strdup(subject),
									   .signature = strdup(signature),
									   .expired = expired};
		children_begin();
		cr_assert(gate_run_part(&run, gate_part("run"), &part, &line));
		gate_mark_known(&run, &part);
		cr_assert(gate_take_part(&run, gate_part("run"), &part));
		children_end();
		cr_assert(baseline_write(path, &run.baseline, &run.whole.list));
		results_conclude(&run.whole);
		/* It passed once, too. */
		cr_assert_eq(run.whole.exit_code, expired ? EXIT_FLAKY : EXIT_GOOD);
		cr_assert(run.baseline.item[0].seen);
		gate_mark_gone(&run);
		cr_assert(!run.baseline.item[0].gone);
		end();
	}
}

Test(gate, a_baseline_is_read_as_it_was_written_and_nothing_else_is_one)
{
	static const char *const bad[] = {
		"",
		"[]",
		"{\"schema_version\": 2, \"known\": []}",
		"{\"schema_version\": 1, \"known\": [], \"more\": 1}",
		"{\"schema_version\": 1, \"known\": [{\"kind\": \"run\", \"subject\": \"x\"}]}",
		"{\"schema_version\": 1, \"known\": [{\"kind\": \"run\", \"subject\": \"x\", "
		"\"signature\": \"y\", \"expire\": \"2020-01-01\"}]}",
		"{\"schema_version\": 1, \"known\": [{\"kind\": \"run\", \"subject\": \"x\", "
		"\"signature\": \"y\", \"expires\": \"tomorrow\"}]}",
		"{\"schema_version\": 1, \"known\": [{\"kind\": \"run\", \"subject\": \"x\", "
		"\"signature\": 7}]}",
	};
	static const char good[] =
		"{\"schema_version\": 1, \"known\": [{\"kind\": \"run\", \"subject\": \"x\", "
		"\"signature\": \"y\", \"owner\": \"o\", \"note\": \"n\", \"expires\": \"2020-01-01\"}]}";
	char path[] = "/tmp/holdfast-test-XXXXXX";
	int fd = mkstemp(path);
	ResultList none = {0};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
	{
		cr_assert(ftruncate(fd, 0) == 0 &&
				  pwrite(fd, bad[i], strlen(bad[i]), 0) == (ssize_t) strlen(bad[i]));
		cr_assert_eq(baseline_read(path, &run.baseline), EXIT_USAGE, "%s", bad[i]);
		cr_assert(run.baseline.item == NULL);
	}
	cr_assert(pwrite(fd, good, strlen(good), 0) == (ssize_t) strlen(good) &&
			  ftruncate(fd, (off_t) strlen(good)) == 0);
	for (int times = 0; times < 2; times++)
	{
		cr_assert_eq(baseline_read(path, &run.baseline), EXIT_GOOD);
		cr_assert(run.baseline.count == 1 && run.baseline.item[0].expired);
		cr_assert_str_eq(run.baseline.item[0].owner, "o");
		cr_assert_str_eq(run.baseline.item[0].note, "n");
		/* What was not looked at stays. */
		cr_assert(baseline_write(path, &run.baseline, &none));
		baseline_free(&run.baseline);
	}
	cr_assert(close(fd) == 0 && unlink(path) == 0);
}

Test(gate, the_time_is_shared_and_what_is_cheap_and_complete_comes_first)
{
	uint64_t sum = 0;

	run.options.budget_ms = 600000;
	run.begin_ms = monotonic_ms();
	cr_assert_eq(gate_choose(&run, 0, NULL), EXIT_GOOD);
	for (int i = 0; i < GATE_PARTS; i++)
	{
		uint64_t share = gate_share(&run, i);

		cr_assert(share > 0 && share <= 600000);
		run.row[i].state = GATE_RAN;
		/* Were each to take all of its share, there is something left for the next. */
		run.begin_ms -= share;
		sum += share;
	}
	cr_assert(sum <= 600000);
}

Test(gate, a_shard_has_each_undivided_part_once)
{
	int times[GATE_PARTS] = {0};

	for (unsigned shard = 1; shard <= 3; shard++)
	{
		memset(&run, 0, sizeof(run));
		run.options.shard_index = shard;
		run.options.shard_count = 3;
		cr_assert_eq(gate_choose(&run, 0, NULL), EXIT_GOOD);
		for (int i = 0; i < GATE_PARTS; i++)
			times[i] += run.row[i].state == GATE_NOT_RUN;
	}
	for (int i = 0; i < GATE_PARTS; i++)
		cr_assert_eq(times[i], gate_parts[i].has_shard ? 3 : 1, "%s", gate_parts[i].name);
}
