/*
 * faults.h
 *		Arming faults in a case, and making sure that they happened.
 *
 * Each case has a control table of its own, made before run() and inherited by every process it forks.  A plan
 * that was armed and did not fire proves nothing, so it fails the case: when the next one is armed, when it is
 * disarmed, and at the end.
 */
#ifndef HOLDFAST_RUNNER_FAULTS_H
#define HOLDFAST_RUNNER_FAULTS_H

#include "inject/inject.h"
#include "runner/scenario.h"

/* For the sandbox. */
ScenarioStatus faults_open(ScenarioContext *ctx);
ScenarioStatus faults_check_fired(ScenarioContext *ctx);
void faults_log(ScenarioContext *ctx);

/* Arms a plan; SCENARIO_ERROR when it is not legal or the one before never fired. */
ScenarioStatus faults_arm(ScenarioContext *ctx, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* The user's plan, if there is one. */
ScenarioStatus faults_arm_user_plan(ScenarioContext *ctx);

/* As faults_check_fired(), and nothing fires from now on. */
ScenarioStatus faults_disarm(ScenarioContext *ctx);

/*
 * For a loop "at the n-th arrival, until nobody arrives that often": arms without asking whether the one before fired,
 * and in the end says so.
 */
ScenarioStatus faults_arm_nth(ScenarioContext *ctx, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void faults_end_loop(void);

/* Times that the armed plan's items acted so far. */
uint64_t faults_fired(void);

/* Waits until `count` processes are paused at tag; SCENARIO_FAIL at the case's deadline. */
ScenarioStatus faults_wait_reached(ScenarioContext *ctx, const char *tag, int count);

/* True when the text is a plan that can be armed here; otherwise says why, with line and column. */
bool faults_plan_is_good(const char *text, char *problem, size_t size);

#endif
