/*
 * fiu_adapter.h
 *		libfiu as the way in: its names, wildcards and controls reach our points, and our plans go through it
 *		where that is safe.
 */
#ifndef HOLDFAST_INJECT_FIU_ADAPTER_H
#define HOLDFAST_INJECT_FIU_ADAPTER_H

#include "hit.h"

/*
 * Decide an arrival at a point that a plan names or that passthrough opens.  Goes through libfiu where the
 * point's context and the process's history allow, else straight to the plan.
 */
void fiu_adapter_decide(InjectArrival *arrival);

/* What sites test in passthrough mode: for each point a byte that is set for ever. */
const unsigned char *fiu_adapter_open_bytes(void);

/* Disable in libfiu what we enabled there; passthrough off. */
void fiu_adapter_stop(void);

#endif
