/*
 * report.h
 *		What a case tells the runner: a page that both share, so that it survives any death.
 *
 * Owner: the runner maps it before the case is made and unmaps it after.  The case's processes write, each
 * field once (message: whoever claims it first) or by atomic claim (log); the namespace's init adds the
 * post-mortem; the runner reads after init is dead.  Nothing in it is believed to be terminated or sane: a
 * dying program may have written anything.
 */
#ifndef HOLDFAST_RUNNER_REPORT_H
#define HOLDFAST_RUNNER_REPORT_H

#include <stdint.h>

#define CASE_MESSAGE_SIZE 1024
#define CASE_LOG_SIZE     (24 * 1024)

typedef struct CaseReport
{
	uint32_t returned;        /* run() came back, with `status` */
	uint32_t status;          /* ScenarioStatus */
	uint32_t leaves;          /* ScenarioLeftover: declared */
	uint32_t message_claimed; /* atomic */
	uint32_t log_claimed; /* atomic: bytes asked for; more than CASE_LOG_SIZE when some were lost */
	uint32_t post_mortem_done;
	uint32_t leftover; /* ScenarioLeftover: found and not declared */
	int32_t wait_status;
	uint32_t sandbox_failed; /* the sandbox could not be made: `message` says why */
	char message[CASE_MESSAGE_SIZE];
	char leftover_text[CASE_MESSAGE_SIZE];
	char log[CASE_LOG_SIZE];
} CaseReport;

/* Formats into report->log, whole lines, newest lost when it is full.  Any process, any time. */
void case_report_log(CaseReport *report, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif
