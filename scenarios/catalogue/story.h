/*
 * story.h
 *		Scenarios whose cases are each a function: listing them and running one.
 */
#ifndef HOLDFAST_CATALOGUE_STORY_H
#define HOLDFAST_CATALOGUE_STORY_H

#include "catalogue/collision.h"

typedef struct Story
{
	const char *name;
	ScenarioStatus (*run)(ScenarioContext *ctx, HoldfastMemoryType memory);
	bool twice; /* once more as NAME:mmap, with a server whose memory is a block */
} Story;

/* `stories` ends with name NULL. */
void stories_list(ScenarioCaseList *list, const Story *stories);

/* Runs that one, and demands that neither segment nor lockfile is left. */
ScenarioStatus stories_run(ScenarioContext *ctx, const ScenarioCase *which, const Story *stories);

/* Both for a scenario's table: its list_cases() and run_case(). */
#define STORIES_AS_CASES(stories_)                                                                 \
	static void list_cases(ScenarioCaseList *list)                                                 \
	{                                                                                              \
		stories_list(list, stories_);                                                              \
	}                                                                                              \
	static ScenarioStatus run_case(ScenarioContext *ctx, const ScenarioCase *which)                \
	{                                                                                              \
		return stories_run(ctx, which, stories_);                                                  \
	}

/* A served_config() with that memory. */
Served served_with(const ScenarioContext *ctx, HoldfastMemoryType memory);

/* The orphan's last worker is killed and gone. */
ScenarioStatus end_orphan(ScenarioContext *ctx, pid_t worker);

/* Another start is refused because a segment of this directory has users. */
ScenarioStatus segment_forbids_start(ScenarioContext *ctx);

#endif
