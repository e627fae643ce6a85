/*
 * role.h
 *		Tells the injection layer who a process is, where there is one: the storm runs the cluster on the production library.
 */
#ifndef HOLDFAST_CLUSTER_ROLE_H
#define HOLDFAST_CLUSTER_ROLE_H

#ifdef HOLDFAST_INJECT

#include "inject/inject.h"

static inline void
cluster_set_role(const char *role, unsigned ordinal)
{
	inject_set_role(role, (int) ordinal);
}

#else

static inline void
cluster_set_role(const char *role, unsigned ordinal)
{
	(void) role;
	(void) ordinal;
}

#endif
#endif
