/*
 * remote.h
 *		Arrivals of other processes: who they are in the control table, decided here for them.
 */
#ifndef HOLDFAST_INJECT_REMOTE_H
#define HOLDFAST_INJECT_REMOTE_H

#include "inject/point/hit.h"
#include "inject/point/registry.h"

typedef struct Remote
{
	InjectSelf self;
	pid_t pid;
	int pidfd; /* -1: there was none to be had */
	char program[16];
	TableStep step; /* room for what fires */
} Remote;

/* The process of a thread that lives; NULL when it cannot be read, or the table is full. */
Remote *remote_of(pid_t tid);

/* By number alone, for what is told afterwards; without a name. */
Remote *remote_of_ended(pid_t pid);

/* It executes that now. */
void remote_name(Remote *remote, const char *program);

/* Count and decide an arrival of it: what fires is in arrival->step. */
void remote_judge(Remote *remote, const RegistryPoint *point, bool has_arg, int64_t arg,
				  InjectArrival *arrival);

/* Close and forget all. */
void remote_forget(void);

#endif
