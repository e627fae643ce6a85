/*
 * holes.c
 *		See holes.h.  Which scenarios show a hole closed, they say themselves (Scenario.holes).
 */
#include "catalogue/holes.h"

#include <stddef.h>

const Hole hole_table[] = {
	{"a", "a worker is killed holding a lock"},
	{"b", "the supervisor is killed, workers live; a new start"},
	{"b2", "supervisor and lock holder are killed together"},
	{"c", "all are killed; a new start"},
	{"d", "a stranger has the key, and goes later"},
	{"d2", "orphan at a higher key, first key free again, lockfile removed"},
	{"e", "the recorded segment id is a stranger's by now"},
	{"e2", "the segment is removed (ipcrm) while it is attached"},
	{"f", "the lockfile is empty or garbage"},
	{"f2", "line 7 of the lockfile is missing, and there is an orphan"},
	{"g", "the lockfile of a running server is removed"},
	{"g2", "the lockfile of a running server is replaced by another server's"},
	{"h", "the recorded PID was reused"},
	{"i", "killed between shmget and the record or header"},
	{"j", "the disk is full while the lockfile is written"},
	{"k", "two containers, one kind of namespace apart"},
	{"k2", "two containers, PID and IPC namespaces apart, both PID 1"},
	{"k3", "logout with RemoveIPC"},
	{"l",
	 "death while queued, with the list locked, woken but not back; a holder stopped for minutes"},
	{NULL, NULL},
};
