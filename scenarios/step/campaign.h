/*
 * campaign.h
 *		One subject, from the first step to the last kill.
 *
 *		1 the victim is stepped through the operation; each event makes a state
 *		2 each distinct state of a segment is cloned, the victim declared dead, the clone recovered and judged
 *		3 each distinct state is made again, by a real SIGKILL of a real victim at that instruction; real survivors go on,
 *		  or a real server starts, and at the end nothing may be left
 *
 * Owner: a StepCampaign is shared by the processes of all its stories, and belongs to who made it.
 */
#ifndef HOLDFAST_STEP_CAMPAIGN_H
#define HOLDFAST_STEP_CAMPAIGN_H

#include "inject/step/step.h"
#include "step/world.h"

#define STEP_STATES_MAX 8192
#define STEP_SHAPES_MAX 8192
#define STEP_IMAGE_MAX  (512 * 1024)

typedef enum StepVerdict
{
	VERDICT_NONE,
	VERDICT_RECOVERED, /* the clone; or no clone was asked, and nobody looked yet */
	VERDICT_KILLED,    /* and so after a real kill */
	VERDICT_FAILED,
} StepVerdict;

/* What a death leaves; many instructions may have the same. */
typedef struct StepState
{
	uint64_t hash[2];
	uint32_t event;       /* the first that leads here; 0: before the first instruction */
	uint32_t instruction; /* of that event; from 1.  0: before the first */
	uint32_t syscalls;    /* so many of the events up to it are system calls ... */
	uint32_t changes;     /* ... and it is this many changes after the last */
	StepVerdict verdict;
	char why[STEP_WHY_SIZE];
} StepState;

typedef struct StepCampaign
{
	uint32_t nstates;
	uint32_t failures;
	uint32_t kills;
	uint32_t recorded;       /* the record was made and is whole */
	uint32_t string_changes; /* a string instruction changed bytes: nothing may be skipped */
	uint64_t check_ns, kill_ns;
	uint64_t image_size;
	char problem[STEP_WHY_SIZE]; /* the campaign itself went wrong */
	uint32_t shapes;
	uint64_t
		shape[STEP_SHAPES_MAX]; /* of the directory: before the first system call, and after each */
	uint32_t state_of_event[STEP_STATES_MAX * 16]; /* index in state */
	StepState state[STEP_STATES_MAX];
	unsigned char image[STEP_IMAGE_MAX]; /* the segment when the stepping began */
} StepCampaign;

typedef struct StepOptions
{
	const char *directory; /* the stories' data directory: empty, and empty between them */
	StepEngine engine;
	bool only_state; /* one kill, of `event` */
	uint32_t event;
	bool hold; /* stop there instead, and call held() */
	void (*held)(pid_t victim, void *arg);
	void *held_arg;
	bool no_kills;
} StepOptions;

StepCampaign *campaign_make(void);
void campaign_free(StepCampaign *campaign);

/* False when it could not be done: campaign->problem.  Findings are in the states. */
bool campaign_run(StepCampaign *campaign, const StepSubject *subject, const StepOptions *options,
				  StepTrace *trace);

/* TF only for what lies in one segment, where the machine has it. */
StepEngine campaign_engine(const StepSubject *subject);

#endif
