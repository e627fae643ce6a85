/*
 * leftovers.h
 *		The post-mortem: what a case left in its namespaces and its work directory.
 *
 * Runs in the namespace's init, after the case's own process is gone: /proc, the IPC tables and the tmpfs are
 * then the case's alone.  Reads, never removes: the namespaces go as a whole.
 */
#ifndef HOLDFAST_ORACLE_LEFTOVERS_H
#define HOLDFAST_ORACLE_LEFTOVERS_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Returns which kinds (ScenarioLeftover, or-ed) are there beyond `declared`, and describes them in text.
 * Processes: every child of the caller that does not end within grace_ms; the caller must be their reaper.
 */
unsigned leftovers_find(const char *work_dir, unsigned declared, unsigned grace_ms, char *text,
						size_t size);

/* Segments and semaphore sets in the caller's IPC namespace; -1 when that cannot be read. */
int leftovers_count_segments(void);
int leftovers_count_semaphores(void);

#endif
