/*
 * startup.h
 *		What is stepped in a data directory, what a death leaves there, and the start of a server that comes after it.
 */
#ifndef HOLDFAST_STEP_STARTUP_H
#define HOLDFAST_STEP_STARTUP_H

#include <stdbool.h>
#include <stdint.h>

struct StepWorld;

/* Prepared, in the victim: the directory is set; besides, the lockfile is taken; a server died here; one runs. */
bool startup_has_directory(struct StepWorld *world);
bool startup_has_lockfile(struct StepWorld *world);
bool startup_has_remains(struct StepWorld *world);
bool startup_runs(struct StepWorld *world);
bool startup_runs_and_holds(struct StepWorld *world);

/* Bodies. */
void startup_lock(struct StepWorld *world);
void startup_create(struct StepWorld *world);
void startup_append(struct StepWorld *world);
void startup_unlink(struct StepWorld *world);
void startup_exit(struct StepWorld *world);

/* All that lies in the directory and all segments of this IPC namespace, in one number. */
uint64_t startup_fingerprint(const char *directory);

/* The same of what does not depend on PIDs, cookies and times: names, links, emptiness, how many segments. */
uint64_t startup_shape(const char *directory);

/*
 * The victim is dead: a server must start there as if nothing had been, do its work, and leave nothing but the guard file.
 * False with the reason in the world's stage.
 */
bool startup_succeeds(struct StepWorld *world);

#endif
