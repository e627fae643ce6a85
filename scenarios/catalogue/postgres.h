/*
 * postgres.h
 *		A real PostgreSQL as an actor of a case.
 *
 * Found where PostgreSQL 15's package puts it; run by an unprivileged user, small, without TCP, in the case's own tmpfs.
 * Owner: the case's first process.  Everything ends with the case's namespaces.
 */
#ifndef HOLDFAST_CATALOGUE_POSTGRES_H
#define HOLDFAST_CATALOGUE_POSTGRES_H

#include "catalogue/collision.h"

#define POSTGRES_UID 65534

/* What the kernel does to a starting server, by a seccomp filter. */
typedef enum PostgresTrouble
{
	POSTGRES_FINE,
	POSTGRES_DIES_AT_SHMAT, /* killed at its first shmat(): between shmget and the record */
	POSTGRES_NO_SPACE_AT_LINE, /* ENOSPC for every pwrite() of less than a block: lines of the lockfile */
} PostgresTrouble;

typedef struct Postgres
{
	Actor postmaster; /* in a container: its keeper */
	PostgresTrouble trouble;
	int namespaces; /* CLONE_NEW...: it is PID 1 there */
	int said_fd;
	unsigned number; /* of this server in the case: its socket directory */
	bool ready;
} Postgres;

/* Skips the case where there is none, or no second user; otherwise makes the data directory (initdb). */
ScenarioStatus postgres_prepare(ScenarioContext *ctx);

/* Starts it and waits until it says that it is ready, or has ended: ->ready tells which. */
ScenarioStatus postgres_start(ScenarioContext *ctx, Postgres *postgres);
ScenarioStatus postgres_up(ScenarioContext *ctx, Postgres *postgres);      /* must become ready */
ScenarioStatus postgres_refuses(ScenarioContext *ctx, const char *saying); /* must not */

/* SIGINT: fast shutdown. */
ScenarioStatus postgres_down(ScenarioContext *ctx, Postgres *postgres);

/* Stops one of its children, kills the postmaster, leaves its lockfile. */
ScenarioStatus postgres_orphan(ScenarioContext *ctx, Postgres *postgres, pid_t *child);

/* Line 7 of postmaster.pid: false when there is none. */
bool postgres_segment(ScenarioContext *ctx, unsigned long *key, IpcMemoryId *shmid);

#endif
