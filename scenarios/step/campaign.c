/*
 * campaign.c
 *		See campaign.h.
 *
 * Each story runs in a process forked for it, in which the library is as new; it is killed or exits, and the next one
 * finds an empty directory and no segment.
 */
#include "step/campaign.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <holdfast/ipc.h>

#include "runner/clock.h"
#include "step/check.h"
#include "step/startup.h"

#define FINDINGS_MAX      3      /* then it is clear, and each may cost its whole deadline */
#define STORY_DEADLINE_MS 150000 /* for all of it: every wait inside has one of its own */

StepCampaign *
campaign_make(void)
{
	void *campaign = mmap(NULL, sizeof(StepCampaign), PROT_READ | PROT_WRITE,
						  MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return campaign == MAP_FAILED ? NULL : campaign;
}

void
campaign_free(StepCampaign *campaign)
{
	if (campaign != NULL)
		(void) munmap(campaign, sizeof(*campaign));
}

StepEngine
campaign_engine(const StepSubject *subject)
{
	return subject->setting == PLACE_LOCKS && step_engine_exists(STEP_TF) ? STEP_TF : STEP_PTRACE;
}

/* ---- a story ---- */

typedef struct Story
{
	StepCampaign *campaign;
	const StepSubject *subject;
	const StepOptions *options;
	StepTrace *trace;
	const StepTrace *record; /* of the run that found the states */
	StepState *state;        /* to be killed in; NULL: the record is made */
	StepWorld world;
} Story;

static bool
prepare(void *arg)
{
	Story *story = arg;

	if (!story->subject->no_slot && !world_enter(&story->world, "victim"))
		return false;
	return story->subject->prepare == NULL || story->subject->prepare(&story->world);
}

static void
remember_shape(const Story *story)
{
	StepCampaign *campaign = story->campaign;

	if (campaign->shapes < STEP_SHAPES_MAX)
		campaign->shape[campaign->shapes++] = startup_shape(story->options->directory);
}

static bool
scene(void *arg)
{
	Story *story = arg;
	StepCampaign *campaign = story->campaign;

	if (!world_scene(&story->world))
		return false;
	if (story->state == NULL && story->subject->setting == PLACE_DIRECTORY)
		remember_shape(story);
	if (story->state == NULL && story->world.base != NULL && story->world.size <= STEP_IMAGE_MAX)
	{
		campaign->image_size = story->world.size;
		memcpy(campaign->image, story->world.base, story->world.size);
	}
	return true;
}

static void
body(void *arg)
{
	Story *story = arg;

	story->subject->body(&story->world);
}

static bool
on_sleep(void *arg)
{
	Story *story = arg;

	return world_wake(&story->world);
}

static uint64_t
outside(void *arg)
{
	const Story *story = arg;

	remember_shape(story);
	return startup_fingerprint(story->options->directory);
}

/* By its address, and how often it ran before: nothing that lies before it is stepped again. */
static void
aim(const Story *story, StepPlan *plan)
{
	const StepInstruction *instruction = story->record->instruction;
	uint32_t last = story->state->instruction;

	plan->engine = STEP_PTRACE;
	if (last == 0)
		return;
	plan->kill_address = instruction[last - 1].address;
	for (uint32_t i = 0; i < last; i++)
		plan->kill_times += instruction[i].address == plan->kill_address;
}

/*
 * By the last system call before it: how often it looks whether a dead process is gone, or its segment, is not the same each
 * time, but what it does to files and segments is.
 */
static void
aim_at_syscall(const Story *story, StepPlan *plan)
{
	const StepInstruction *instruction = story->record->instruction;
	uint32_t last = story->state->instruction;

	while (last > 0 && instruction[last - 1].syscall == STEP_NO_SYSCALL)
		last--;
	if (last == 0)
		return;
	plan->kill_syscall = instruction[last - 1].syscall;
	for (uint32_t i = 0; i < last; i++)
		plan->kill_syscalls += instruction[i].syscall == plan->kill_syscall;
}

static StepPlan
plan_of(Story *story)
{
	const StepSubject *subject = story->subject;
	bool locks = subject->setting == PLACE_LOCKS;
	StepPlan plan = {
		.engine = story->options->engine,
		.prepare = prepare,
		.scene = scene,
		.body = body,
		.on_sleep = locks ? on_sleep : NULL,
		.outside = locks || story->state != NULL ? NULL : outside,
		.arg = story,
		.region = {story->world.base, story->world.size},
		.record_from_sleep = subject->part == PART_FROM_SLEEP,
		.kill_after = STEP_KILL_NEVER,
		.deadline_ms = 120000,
	};

	if (story->state != NULL)
	{
		plan.kill_after = story->state->event;
		plan.hold = story->options->hold;
		plan.quick = locks ? step_has_breakpoints() : story->campaign->string_changes == 0;
		if (locks && plan.quick)
			aim(story, &plan);
		if (!locks)
			aim_at_syscall(story, &plan);
		plan.kill_changes = story->state->changes;
	}
	return plan;
}

/* ---- states ---- */

/* Two independent halves: a state that is taken for another is not looked at. */
static void
hash_image(const unsigned char *image, size_t size, uint64_t outside_print, uint64_t hash[2])
{
	uint64_t a = UINT64_C(0x9e3779b97f4a7c15) ^ outside_print,
			 b = UINT64_C(0xc2b2ae3d27d4eb4f) + outside_print;

	for (size_t at = 0; at + 8 <= size; at += 8)
	{
		uint64_t word;

		memcpy(&word, image + at, 8);
		a = (a ^ word) * UINT64_C(0xff51afd7ed558ccd);
		a ^= a >> 32;
		b = (b + word) * UINT64_C(0xc4ceb9fe1a85ec53);
		b ^= b >> 29;
	}
	hash[0] = a;
	hash[1] = b;
}

/* The state's index; a new one is made when there is none like it. */
static uint32_t
find_state(StepCampaign *campaign, const uint64_t hash[2], const StepState *new_state)
{
	uint32_t i;

	for (i = 0; i < campaign->nstates; i++)
		if (campaign->state[i].hash[0] == hash[0] && campaign->state[i].hash[1] == hash[1])
			return i;
	if (i >= STEP_STATES_MAX)
	{
		(void) snprintf(campaign->problem, STEP_WHY_SIZE, "more than %d distinct states",
						STEP_STATES_MAX);
		return 0;
	}
	campaign->state[i] = *new_state;
	campaign->state[i].hash[0] = hash[0];
	campaign->state[i].hash[1] = hash[1];
	campaign->nstates++;
	return i;
}

static void
judge_clone(Story *story, uint32_t event, StepState *state, const unsigned char *image)
{
	uint64_t start = clock_now_ns();

	if (story->options->only_state && event != story->options->event)
		return;
	if (state->verdict != VERDICT_NONE || story->campaign->failures >= FINDINGS_MAX)
		return;
	state->verdict = VERDICT_RECOVERED;
	if (story->subject->setting == PLACE_LOCKS &&
		!check_image(&story->world, image, state->why, sizeof(state->why)))
	{
		state->verdict = VERDICT_FAILED;
		story->campaign->failures++;
	}
	story->campaign->check_ns += clock_now_ns() - start;
}

static void
apply_writes(const StepTrace *trace, unsigned char *image, uint32_t *from, uint32_t to)
{
	for (; *from < to; (*from)++)
		if (trace->write[*from].offset + 8 <= STEP_IMAGE_MAX)
			memcpy(image + trace->write[*from].offset, &trace->write[*from].value, 8);
}

/* Goes through the record, with the image as it was after each event. */
static bool
find_states(Story *story)
{
	StepCampaign *campaign = story->campaign;
	const StepTrace *trace = story->trace;
	unsigned char *image = malloc(STEP_IMAGE_MAX);
	size_t size = campaign->image_size;
	StepState next = {0};
	uint64_t print = 0;
	uint64_t hash[2];
	uint32_t written = 0;

	if (image == NULL)
		return false;
	memcpy(image, campaign->image, STEP_IMAGE_MAX);
	if (story->subject->setting == PLACE_DIRECTORY)
		size = STEP_IMAGE_MAX / 8; /* a small server's segment, all of it */
	hash_image(image, size, print, hash);
	campaign->state_of_event[0] = find_state(campaign, hash, &next);
	judge_clone(story, 0, &campaign->state[0], image);
	for (uint32_t i = 0; i < trace->instructions && campaign->problem[0] == '\0'; i++)
	{
		const StepInstruction *instruction = &trace->instruction[i];
		uint32_t index;

		if (!instruction->is_event)
			continue;
		apply_writes(trace, image, &written, instruction->first_write + instruction->writes);
		if (instruction->outside != 0)
			print = instruction->outside;
		next.event = instruction->event;
		next.instruction = i + 1;
		next.changes = instruction->syscall == STEP_NO_SYSCALL ? next.changes + 1 : 0;
		next.syscalls += instruction->syscall != STEP_NO_SYSCALL;
		hash_image(image, size, print, hash);
		index = find_state(campaign, hash, &next);
		if (instruction->event < sizeof(campaign->state_of_event) / sizeof(uint32_t))
			campaign->state_of_event[instruction->event] = index;
		judge_clone(story, instruction->event, &campaign->state[index], image);
	}
	free(image);
	return campaign->problem[0] == '\0';
}

/* ---- the two kinds of story ---- */

/* Exit codes of a story's process. */
enum
{
	STORY_GOOD = 0,
	STORY_BAD = 1,
};

static int
problem(Story *story, const char *what)
{
	const char *why = story->world.stage->why;

	(void) snprintf(story->campaign->problem, STEP_WHY_SIZE, "%.60s: %.300s", what,
					why[0] != '\0' ? why : strerror(errno));
	return STORY_BAD;
}

static int
leave(Story *story, int code)
{
	world_kill_peers(&story->world);
	if (story->subject->setting == PLACE_LOCKS)
		proc_exit(code);
	return code;
}

static int
make_record(Story *story)
{
	StepPlan plan = plan_of(story);
	StepOutcome outcome = step_run(&plan, story->trace);

	if (outcome != STEP_FINISHED || story->world.stage->why[0] != '\0' ||
		story->trace->overflow != 0)
		return leave(story,
					 problem(story, story->trace->overflow != 0 ? "too many instructions"
																: step_outcome_name(outcome)));
	if (story->trace->instructions == 0)
		return leave(story, problem(story, "no instruction was stepped"));
	if (!find_states(story))
		return leave(story, STORY_BAD);
	story->campaign->recorded = 1;
	/* A directory is cleaned by the server that comes next, as it would be. */
	if (story->subject->setting == PLACE_DIRECTORY && !startup_succeeds(&story->world))
		return problem(story, "after the record");
	return leave(story, STORY_GOOD);
}

/* The segment, before anybody touches it again, must be what the record says. */
static bool
is_that_state(Story *story)
{
	StepCampaign *campaign = story->campaign;
	const StepTrace *record = story->record;
	unsigned char *image;
	char why[200];
	SegmentView recorded;
	uint32_t written = 0;
	bool same;

	if (story->subject->setting != PLACE_LOCKS)
		return story->state->syscalls >= campaign->shapes ||
			   startup_shape(story->options->directory) ==
				   campaign->shape[story->state->syscalls] ||
			   world_complain(&story->world, "the directory is not as it was recorded");
	image = malloc(STEP_IMAGE_MAX);
	if (image == NULL)
		return false;
	memcpy(image, campaign->image, STEP_IMAGE_MAX);
	if (story->state->instruction > 0)
	{
		const StepInstruction *last = &record->instruction[story->state->instruction - 1];

		apply_writes(record, image, &written, last->first_write + last->writes);
	}
	same = segment_view(image, campaign->image_size, &recorded) &&
		   segment_is_same(&recorded, &story->world.view, why, sizeof(why));
	free(image);
	return same || world_complain(&story->world, "not the state that was recorded: %s", why);
}

static void
hold_there(const Story *story)
{
	pid_t victim = step_held_pid();

	story->options->held(victim, story->options->held_arg);
	(void) kill(victim, SIGKILL);
	while (waitpid(victim, NULL, 0) < 0 && errno == EINTR)
		continue;
}

static int
kill_there(Story *story)
{
	StepWorld *world = &story->world;
	StepPlan plan = plan_of(story);
	StepOutcome outcome = step_run(&plan, story->trace);
	StepState *state = story->state;
	bool good;

	if (outcome != STEP_KILLED &&
		!(outcome == STEP_FINISHED && story->subject->setting == PLACE_DIRECTORY))
		return leave(story, problem(story, step_outcome_name(outcome)));
	if (story->options->hold)
		hold_there(story);
	good = is_that_state(story);
	good = (story->subject->setting == PLACE_LOCKS ? world_end(world) : startup_succeeds(world)) &&
		   good;
	if (!good)
		(void) snprintf(state->why, sizeof(state->why), "%s", world->stage->why);
	state->verdict = good && state->verdict != VERDICT_FAILED ? VERDICT_KILLED : VERDICT_FAILED;
	story->campaign->kills++;
	return leave(story, good ? STORY_GOOD : STORY_BAD);
}

/* ---- processes ---- */

static int
run_story(Story *story, int (*kind)(Story *))
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0)
	{
		(void) prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (!world_make(&story->world, story->subject, story->options->directory))
			_exit(problem(story, "making the world"));
		_exit(kind(story));
	}
	if (pid > 0 && !world_wait(pid, STORY_DEADLINE_MS, &status) && story->state != NULL)
	{
		story->state->verdict = VERDICT_FAILED;
		(void) snprintf(story->state->why, STEP_WHY_SIZE, "the supervisor waits for ever");
		return STORY_BAD;
	}
	if (pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) <= STORY_BAD)
		return WEXITSTATUS(status);
	(void) snprintf(story->campaign->problem, STEP_WHY_SIZE, "a story ended with status %d",
					status);
	return STORY_BAD;
}

static void
look_for_string_changes(StepCampaign *campaign, const StepTrace *trace)
{
	for (uint32_t i = 1; i < trace->instructions; i++)
		if (trace->instruction[i].writes > 0 &&
			trace->instruction[i].address == trace->instruction[i - 1].address)
			campaign->string_changes = 1;
}

static bool
kill_in_state(Story *story, StepState *state)
{
	uint64_t start = clock_now_ns();
	bool failed_before = state->verdict == VERDICT_FAILED;

	story->state = state;
	if (run_story(story, kill_there) != STORY_GOOD && story->campaign->problem[0] != '\0')
		return false;
	if (!failed_before && state->verdict == VERDICT_FAILED)
		story->campaign->failures++;
	story->campaign->kill_ns += clock_now_ns() - start;
	return true;
}

bool
campaign_run(StepCampaign *campaign, const StepSubject *subject, const StepOptions *options,
			 StepTrace *trace)
{
	StepTrace *scratch = step_trace_make();
	Story story = {.campaign = campaign, .subject = subject, .options = options, .trace = trace};
	bool done =
		scratch != NULL && run_story(&story, make_record) == STORY_GOOD && campaign->recorded;

	uint32_t confirmed = 0;

	look_for_string_changes(campaign, trace);
	story.trace = scratch;
	story.record = trace;
	for (uint32_t i = 0; done && !options->no_kills && i < campaign->nstates; i++)
	{
		if (options->only_state && i != campaign->state_of_event[options->event])
			continue;
		/* After a finding only that state, to see it with real processes. */
		if (campaign->failures > 0 && campaign->state[i].verdict != VERDICT_FAILED)
			continue;
		if (campaign->failures > 0 && confirmed++ > 0)
			break;
		done = kill_in_state(&story, &campaign->state[i]);
	}
	step_trace_free(scratch);
	return done;
}
