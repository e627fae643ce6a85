/*
 * report.h
 *		What holdfast-step tells `holdfast step` of one subject: this struct, and behind it the same and more as JSON.
 */
#ifndef HOLDFAST_STEP_REPORT_H
#define HOLDFAST_STEP_REPORT_H

#include <stdint.h>

#define STEP_REPORT_VERSION 1

typedef struct StepReport
{
	uint32_t version;
	uint32_t instructions, events, states, kills, failures;
	uint32_t placed; /* instructions whose symbol is known */
	uint32_t lined;  /* ... whose source line is */
	uint64_t step_ns, check_ns, kill_ns;
	uint64_t json_length;
	char engine[16];
	char problem[400];  /* the campaign itself went wrong; "" when not */
	char finding[600];  /* the first, in a line */
	char token[160];    /* of it; "" when there is none */
	char detail[16384]; /* all of them, as far as they fit */
} StepReport;

#endif
