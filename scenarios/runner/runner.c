/*
 * runner.c
 *		Runs a selection: several sandboxes at a time, a deadline for each, one result per case.
 *
 * Owner: the Run owns its slots, each of which owns at most one sandbox.  Threads: none.
 * Signals: blocked and read through a signalfd, so that an interruption is one more event of the loop; the
 * caller's mask is restored.  Crash safety: whatever kills this process kills all sandboxes.
 * Errors: RunnerOutcome and summary->problem.
 */
#include "runner/runner.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "runner/clock.h"
#include "runner/faults.h"
#include "runner/sandbox.h"
#include "runner/verdict.h"

#define JOBS_MAX 256
/* From the case's own deadline, at which it should end by itself, to its end by force. */
#define DEADLINE_GRACE_MS 1000

typedef struct Slot
{
	Sandbox sandbox;
	const RunnerItem *item; /* NULL: empty */
	size_t item_index;
	uint64_t seed;
	uint64_t started_ns, deadline_ns;
	CaseEnd end;
} Slot;

typedef struct Run
{
	const RunnerConfig *config;
	RunnerSummary *summary;
	Slot *slot;
	unsigned nslots, busy;
	size_t next;            /* counts items times repeats */
	size_t total;           /* of the whole selection, shards included */
	unsigned char *outcome; /* per item: bit 1 passed once, bit 2 failed once */
	char work_dir[64];
	int signal_fd;
	sigset_t saved_mask;
	uint64_t started_ns;
	bool interrupted, internal;
} Run;

static uint64_t
hash_text(uint64_t hash, const char *text)
{
	for (; *text; text++)
		hash = (hash ^ (unsigned char) *text) * UINT64_C(0x100000001b3); /* FNV-1a */
	return hash;
}

static uint64_t
hash_item(const RunnerItem *item)
{
	uint64_t hash = hash_text(UINT64_C(0xcbf29ce484222325), item->scenario->id);

	hash = hash_text(hash_text(hash, "/"), item->which->name);
	return item->plan ? hash_text(hash_text(hash, " "), item->plan) : hash;
}

/* splitmix64's finaliser: every bit of the hash reaches the low ones. */
static uint64_t
mix(uint64_t value)
{
	value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
	return value ^ (value >> 31);
}

bool
runner_in_shard(const RunnerConfig *config, const RunnerItem *item)
{
	return config->shard_count == 0 ||
		   mix(hash_item(item)) % config->shard_count == config->shard_index - 1;
}

/* The same seed and name give the same case, in whatever shard and order it runs. */
static uint64_t
case_seed(const RunnerConfig *config, const RunnerItem *item, size_t repetition)
{
	if (item->has_seed)
		return item->seed;
	return mix(hash_item(item) + config->seed +
			   (uint64_t) repetition * UINT64_C(0x9e3779b97f4a7c15));
}

static void
count_selected(Run *run)
{
	const RunnerConfig *config = run->config;
	size_t repeat = config->repeat ? config->repeat : 1;

	run->total = config->selection->count * repeat;
	for (size_t i = 0; i < config->selection->count; i++)
		if (runner_in_shard(config, &config->selection->item[i]))
			run->summary->selected += repeat;
}

static bool
open_signals(Run *run)
{
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGHUP);
	sigaddset(&mask, SIGCHLD); /* not ours to handle: pidfds tell */
	if (sigprocmask(SIG_BLOCK, &mask, &run->saved_mask) < 0)
		return false;
	sigdelset(&mask, SIGCHLD);
	run->signal_fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	return run->signal_fd >= 0;
}

static bool
run_open(Run *run)
{
	const char *tmp = getenv("TMPDIR");
	unsigned jobs = run->config->jobs;

	if (jobs == 0)
		jobs = (unsigned) sysconf(_SC_NPROCESSORS_ONLN);
	run->nslots = jobs < 1 ? 1 : jobs > JOBS_MAX ? JOBS_MAX : jobs;
	run->signal_fd = -1;
	if (snprintf(run->work_dir, sizeof(run->work_dir), "%.40s/holdfast.XXXXXX",
				 tmp && tmp[0] == '/' && strlen(tmp) <= 40 ? tmp : "/tmp") < 0 ||
		!mkdtemp(run->work_dir))
	{
		run->work_dir[0] = '\0';
		return false;
	}
	run->slot = calloc(run->nslots, sizeof(*run->slot));
	run->outcome = calloc(run->config->selection->count + 1, 1);
	return run->slot && run->outcome && open_signals(run);
}

static void
run_close(Run *run)
{
	if (run->signal_fd >= 0)
	{
		struct signalfd_siginfo taken;

		/* One that came after the last look must not hit the caller as if it were new. */
		while (read(run->signal_fd, &taken, sizeof(taken)) == sizeof(taken))
			run->interrupted = true;
		close(run->signal_fd);
		sigprocmask(SIG_SETMASK, &run->saved_mask, NULL);
	}
	if (run->work_dir[0])
		rmdir(run->work_dir);
	free(run->slot);
	free(run->outcome);
}

static void
publish(Run *run, const Verdict *verdict, size_t item_index)
{
	RunnerSummary *summary = run->summary;
	ScenarioStatus status = verdict->result.status;

	summary->run++;
	summary->by_status[status]++;
	if (status == SCENARIO_PASS)
		run->outcome[item_index] |= 1;
	else if (status != SCENARIO_SKIP)
		run->outcome[item_index] |= 2;
	if (run->config->listener)
		run->config->listener(&verdict->result, run->config->listener_arg);
}

static void
finish_case(Run *run, Slot *slot)
{
	Verdict verdict;

	slot->end.milliseconds = (double) (clock_now_ns() - slot->started_ns) / (double) NS_PER_MS;
	verdict_of(slot->item, &slot->sandbox, &slot->end, &verdict);
	publish(run, &verdict, slot->item_index);
	verdict_free(&verdict);
	sandbox_close(&slot->sandbox);
	slot->item = NULL;
	run->busy--;
}

static const char *
plan_of(const RunnerConfig *config, const RunnerItem *item)
{
	return item->plan ? item->plan : config->plan;
}

static void
start_case(Run *run, Slot *slot, size_t item_index, size_t repetition)
{
	const RunnerConfig *config = run->config;
	const RunnerItem *item = &config->selection->item[item_index];
	char problem[sizeof(run->summary->problem)];

	slot->seed = case_seed(config, item, repetition);
	slot->end = (CaseEnd){.seed = slot->seed, .plan = plan_of(config, item)};

	SandboxSpec spec = {
		.scenario = item->scenario,
		.which = item->which,
		.work_dir = run->work_dir,
		.user_plan = slot->end.plan ? slot->end.plan : "",
		.observation = item->observation,
		.seed = slot->seed,
		.verbose = config->verbose,
	};

	if (!sandbox_start(&spec, &slot->sandbox, problem, sizeof(problem)))
	{
		snprintf(run->summary->problem, sizeof(run->summary->problem), "%s", problem);
		run->internal = true;
		return;
	}
	slot->item = item;
	slot->item_index = item_index;
	slot->started_ns = clock_now_ns();
	slot->deadline_ns = clock_deadline_ns(item->scenario->deadline_ms + DEADLINE_GRACE_MS);
	run->busy++;
}

static bool
budget_left(const Run *run)
{
	return run->config->budget_ms == 0 ||
		   clock_now_ns() - run->started_ns < run->config->budget_ms * NS_PER_MS;
}

static void
start_cases(Run *run)
{
	const RunnerSelection *selection = run->config->selection;

	for (unsigned s = 0; s < run->nslots; s++)
	{
		if (run->slot[s].item)
			continue;
		while (run->next < run->total &&
			   !runner_in_shard(run->config, &selection->item[run->next % selection->count]))
			run->next++;
		if (run->next >= run->total || run->interrupted || run->internal || !budget_left(run))
			return;
		start_case(run, &run->slot[s], run->next % selection->count, run->next / selection->count);
		run->next++;
	}
}

static void
show_progress(Run *run)
{
	const char *running = "";

	if (!run->config->progress)
		return;
	for (unsigned s = 0; s < run->nslots; s++)
		if (run->slot[s].item)
			running = run->slot[s].item->scenario->id;
	run->config->progress(run->summary->run, run->summary->selected, running,
						  run->config->progress_arg);
}

/* A case that is past its deadline is looked at, then killed; its death is the next event. */
static void
enforce_deadline(Slot *slot)
{
	if (!slot->item || slot->end.timed_out || clock_now_ns() < slot->deadline_ns)
		return;
	slot->end.timed_out = true;
	sandbox_describe(&slot->sandbox, slot->end.stuck, sizeof(slot->end.stuck));
	sandbox_kill(&slot->sandbox);
}

/* Waits for the next event: a case's end, a deadline, a signal. */
static void
wait_for_event(Run *run, struct pollfd *fds)
{
	uint64_t nearest = clock_deadline_ns(60000);

	for (unsigned s = 0; s < run->nslots; s++)
	{
		Slot *slot = &run->slot[s];

		fds[s] = (struct pollfd){.fd = slot->item ? slot->sandbox.pidfd : -1, .events = POLLIN};
		if (slot->item && !slot->end.timed_out && slot->deadline_ns < nearest)
			nearest = slot->deadline_ns;
	}
	fds[run->nslots] = (struct pollfd){.fd = run->signal_fd, .events = POLLIN};
	if (poll(fds, run->nslots + 1, clock_ms_until(nearest)) < 0 && errno != EINTR)
		run->internal = true;
}

static void
interrupt(Run *run)
{
	run->interrupted = true;
	for (unsigned s = 0; s < run->nslots; s++)
		if (run->slot[s].item)
		{
			sandbox_kill(&run->slot[s].sandbox);
			sandbox_close(&run->slot[s].sandbox);
			run->slot[s].item = NULL;
			run->busy--;
		}
}

static void
loop(Run *run)
{
	struct pollfd fds[JOBS_MAX + 1];

	for (;;)
	{
		start_cases(run);
		if (run->busy == 0)
			return;
		show_progress(run);
		wait_for_event(run, fds);
		if (fds[run->nslots].revents)
		{
			interrupt(run);
			return;
		}
		for (unsigned s = 0; s < run->nslots; s++)
			if (run->slot[s].item && fds[s].revents)
				finish_case(run, &run->slot[s]);
			else
				enforce_deadline(&run->slot[s]);
	}
}

static RunnerOutcome
conclude(Run *run)
{
	RunnerSummary *summary = run->summary;
	size_t only_failed = 0;

	for (size_t i = 0; i < run->config->selection->count; i++)
	{
		summary->flaky += run->outcome[i] == 3;
		only_failed += run->outcome[i] == 2;
	}
	summary->not_run = summary->selected - summary->run;
	if (run->interrupted)
		return RUNNER_INTERRUPTED;
	if (run->internal)
		return RUNNER_INTERNAL;
	if (only_failed)
		return RUNNER_FINDINGS;
	if (summary->flaky)
		return RUNNER_FLAKY;
	return summary->not_run ? RUNNER_INCOMPLETE : RUNNER_GOOD;
}

/* A plan that nobody would arm, or that cannot be armed, must not look like a green run. */
static bool
plans_are_good(const RunnerConfig *config, RunnerSummary *summary)
{
	const char *last_good = NULL;

	for (size_t i = 0; i < config->selection->count; i++)
	{
		const RunnerItem *item = &config->selection->item[i];
		const char *plan = plan_of(config, item);

		if (!plan || !plan[0])
			continue;
		if (!(item->scenario->flags & SCENARIO_TAKES_PLAN))
		{
			snprintf(summary->problem, sizeof(summary->problem),
					 "scenario \"%s\" brings its own faults and takes no plan", item->scenario->id);
			return false;
		}
		if (plan != last_good &&
			!faults_plan_is_good(plan, summary->problem, sizeof(summary->problem)))
			return false;
		last_good = plan;
	}
	return true;
}

RunnerOutcome
runner_run(const RunnerConfig *config, RunnerSummary *summary)
{
	Run run = {.config = config, .summary = summary, .started_ns = clock_now_ns()};
	RunnerOutcome outcome;

	memset(summary, 0, sizeof(*summary));
	count_selected(&run);
	if (summary->selected == 0)
		return RUNNER_NOTHING;
	if (!plans_are_good(config, summary))
		return RUNNER_BAD_PLAN;
	if (!run_open(&run))
	{
		snprintf(summary->problem, sizeof(summary->problem), "could not prepare: %s",
				 strerror(errno));
		outcome = RUNNER_INTERNAL;
	}
	else if (!sandbox_probe(run.work_dir, summary->problem, sizeof(summary->problem)))
		outcome = RUNNER_UNFIT;
	else
	{
		loop(&run);
		outcome = conclude(&run);
	}
	summary->milliseconds = (double) (clock_now_ns() - run.started_ns) / (double) NS_PER_MS;
	run_close(&run);
	if (run.interrupted)
		outcome = RUNNER_INTERRUPTED;
	return outcome;
}
