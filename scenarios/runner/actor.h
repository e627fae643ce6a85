/*
 * actor.h
 *		The processes of a case: starting them with a role, waiting for them, telling them apart.
 *
 * Owner: the case's first process starts actors and reaps them.  What actors of a dead actor become is init's
 * business; a pidfd tells when they are gone.
 * No sleeping: everything here waits for an event, until the case's deadline.
 */
#ifndef HOLDFAST_RUNNER_ACTOR_H
#define HOLDFAST_RUNNER_ACTOR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "runner/latch.h"
#include "runner/scenario.h"

typedef struct Actor
{
	pid_t pid;
	int pidfd;
	int wait_status; /* once reaped */
	bool reaped;
	char name[32]; /* "worker.1" */
} Actor;

/* What an actor does; its return value is its exit code.  It starts with default signals and no slot. */
typedef int (*ActorBody)(ScenarioContext *ctx, void *arg);

/* Forks; `role` and `ordinal` are what a plan's proc= filter sees. */
ScenarioStatus actor_start(ScenarioContext *ctx, Actor *actor, const char *role, int ordinal,
						   ActorBody body, void *arg);

/* Until it has ended, and reaps it. */
ScenarioStatus actor_wait(ScenarioContext *ctx, Actor *actor);

/* Until it has ended; SCENARIO_FAIL unless it ended that way. */
ScenarioStatus actor_expect_exit(ScenarioContext *ctx, Actor *actor, int code);
ScenarioStatus actor_expect_signal(ScenarioContext *ctx, Actor *actor, int signal_number);

/* Still running? */
bool actor_alive(const Actor *actor);

/* Sends a signal by pidfd. */
ScenarioStatus actor_signal(ScenarioContext *ctx, const Actor *actor, int signal_number);

/* SIGKILL, and waits for the end: from then on the kernel no longer counts its attachments. */
ScenarioStatus actor_kill(ScenarioContext *ctx, Actor *actor);

/* SIGSTOP, and waits until the kernel says that it is stopped. */
ScenarioStatus actor_stop(ScenarioContext *ctx, Actor *actor);

/* Waits for the end of a process that is not our child. */
ScenarioStatus wait_for_pid_gone(ScenarioContext *ctx, pid_t pid);

/* Waits until the kernel says that a process, not necessarily our child, is stopped. */
ScenarioStatus wait_for_pid_stopped(ScenarioContext *ctx, pid_t pid);

/* Memory that all actors share, zeroed; lives as long as the case. */
void *shared_memory(ScenarioContext *ctx, size_t size);

#endif
