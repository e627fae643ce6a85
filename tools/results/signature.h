/*
 * signature.h
 *		What two runs of one finding have in common: which case, and what was said, without what differs by chance.
 *
 * Numbers, addresses and names of temporary files are taken out of the message, so that it survives another PID, another
 * time and another seed.
 */
#ifndef HOLDFAST_TOOLS_SIGNATURE_H
#define HOLDFAST_TOOLS_SIGNATURE_H

#include <stdint.h>

#include "runner/result.h"

#define SIGNATURE_SIZE 240

/* The message, as it is compared; plain ASCII, in one line. */
void result_signature(const ScenarioResult *result, char signature[SIGNATURE_SIZE]);

/* A hash of scenario, case and signature. */
uint64_t result_fingerprint(const ScenarioResult *result);
uint64_t signature_fingerprint(const char *scenario, const char *case_name, const char *signature);

#endif
