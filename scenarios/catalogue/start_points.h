/*
 * start_points.h
 *		The points a supervisor passes when it starts and when it ends.
 */
#ifndef HOLDFAST_CATALOGUE_START_POINTS_H
#define HOLDFAST_CATALOGUE_START_POINTS_H

#include "runner/served.h"

/* Rooms of the library in which a supervisor's death leaves something: "sysv/", "lockfile/" ... */
bool start_point_belongs(const char *point);

/* Steps of a start that finds something left over, besides the above. */
bool restart_point_belongs(const char *point);

/*
 * One case for each registered point that belongs, named like it; and a second one, "POINT:mmap", of a server whose
 * shared_memory_type is mmap.  Points that only such a server passes have one case, and it is one.
 */
void start_points_list(ScenarioCaseList *list);
void start_points_list_mmap(ScenarioCaseList *list);

/* Of such a case: its point (until the next call), and the memory of its server. */
const char *start_point_of(const ScenarioCase *which);
HoldfastMemoryType start_memory_of(const ScenarioCase *which);

/*
 * One life of a server under whatever is armed: start, a moment of work, orderly stop.  Ends when its supervisor has
 * ended, whichever way; *killed tells whether by SIGKILL.
 */
ScenarioStatus short_life(ScenarioContext *ctx, HoldfastMemoryType memory, bool *killed);

/* Until no worker of a dead supervisor is left, and nothing that it had open. */
ScenarioStatus workers_gone(ScenarioContext *ctx);

#endif
