/*
 * kill_table.c
 *		See kill_table.h.
 */
#include "catalogue/kill_table.h"

#include <string.h>

#define WAY(part_)                                                                                 \
	{                                                                                              \
		.part = (part_)                                                                            \
	}
#define GATED(part_, gate_)                                                                        \
	{                                                                                              \
		.part = (part_), .gate = (gate_)                                                           \
	}
#define NEVER(why_)                                                                                \
	{                                                                                              \
		.never = (why_)                                                                            \
	}
#define EXCLUSIVE(part_)                                                                           \
	{                                                                                              \
		.part = (part_), .not_shared = "only an exclusive holder moves the variable"               \
	}

#define FREE_LOCK    "a lock that is free is taken without queueing"
#define NOT_ACQUIRE  "a release acquires nothing"
#define NOT_RELEASE  "lets go of nothing"
#define NOT_UPDATE   "moves no variable"
#define SLOW_RETURNS "a lock that was waited for is handed out by the slow path, past this point"
#define NOT_WAKER                                                                                  \
	"a waiter wakes others only when it gives up at the very moment the lock comes free"

#define NOT_STOPPED                                                                                \
	"a link is left only behind a stopped queue owner: c28-stopped-mid-lock kills there"

#define PRE_QUEUE "lwlock/acquire/pre-queue"
#define PRE_SLEEP "lwlock/acquire/pre-sleep"

const KillRow kill_rows[] = {
	{"lwlock/acquire/pre-cas", {WAY(PART_HOLDER), WAY(PART_WAITER), NEVER(NOT_ACQUIRE)}},
	{"lwlock/acquire/post-cas",
	 {WAY(PART_HOLDER), GATED(PART_WAITER, PRE_SLEEP), NEVER(NOT_ACQUIRE)}},
	{"lwlock/acquire/held", {WAY(PART_HOLDER), NEVER(SLOW_RETURNS), NEVER(NOT_ACQUIRE)}},
	{PRE_QUEUE, {NEVER(FREE_LOCK), WAY(PART_WAITER), NEVER(NOT_ACQUIRE)}},
	{"lwlock/acquire/queue-locked", {NEVER(FREE_LOCK), WAY(PART_WAITER), NEVER(NOT_ACQUIRE)}},
	{"lwlock/acquire/mid-link", {NEVER(FREE_LOCK), WAY(PART_WAITER), NEVER(NOT_ACQUIRE)}},
	{"lwlock/acquire/linked", {NEVER(FREE_LOCK), WAY(PART_WAITER), NEVER(NOT_ACQUIRE)}},
	{"lwlock/acquire/queued", {NEVER(FREE_LOCK), WAY(PART_WAITER), NEVER(NOT_ACQUIRE)}},
	{PRE_SLEEP, {NEVER(FREE_LOCK), WAY(PART_WAITER), NEVER(NOT_ACQUIRE)}},
	{"lwlock/acquire/held-linked",
	 {NEVER(FREE_LOCK), GATED(PART_WAITER, PRE_QUEUE), NEVER(NOT_ACQUIRE)}},
	{"lwlock/acquire/dequeue-locked",
	 {NEVER(FREE_LOCK), GATED(PART_WAITER, PRE_QUEUE), NEVER(NOT_ACQUIRE)}},
	{"lwlock/acquire/link-left", {NEVER(NOT_STOPPED), NEVER(NOT_STOPPED), NEVER(NOT_STOPPED)}},
	{"lwlock/acquire/woken", {NEVER(FREE_LOCK), GATED(PART_WAITER, PRE_SLEEP), NEVER(NOT_ACQUIRE)}},
	{"lwlock/release/pre-sub", {NEVER(NOT_RELEASE), NEVER(NOT_RELEASE), WAY(PART_RELEASER)}},
	{"lwlock/release/post-sub", {NEVER(NOT_RELEASE), NEVER(NOT_RELEASE), WAY(PART_RELEASER)}},
	{"lwlock/release/pre-wake", {NEVER(NOT_RELEASE), NEVER(NOT_RELEASE), WAY(PART_RELEASER)}},
	{"lwlock/release/pre-clear", {NEVER(NOT_RELEASE), NEVER(NOT_RELEASE), WAY(PART_RELEASER)}},
	{"lwlock/wakeup/locked", {EXCLUSIVE(PART_UPDATER), NEVER(NOT_WAKER), WAY(PART_RELEASER)}},
	{"lwlock/wakeup/mid-unlink",
	 {EXCLUSIVE(PART_UPDATER), GATED(PART_WAITER, PRE_QUEUE), WAY(PART_RELEASER)}},
	{"lwlock/wakeup/popped", {EXCLUSIVE(PART_UPDATER), NEVER(NOT_WAKER), WAY(PART_RELEASER)}},
	{"lwlock/wakeup/pre-post", {EXCLUSIVE(PART_UPDATER), NEVER(NOT_WAKER), WAY(PART_RELEASER)}},
	{"lwlock/update-var/stored",
	 {EXCLUSIVE(PART_UPDATER), NEVER(NOT_UPDATE), EXCLUSIVE(PART_CLEARER)}},
};
const size_t kill_row_count = sizeof(kill_rows) / sizeof(kill_rows[0]);

const KillSingle kill_singles[] = {
	{"lwlock/tranche/pre-ready", PART_NAMER, false},
	{"proc/init/claimed", PART_NEWCOMER, false},
	{"proc/init/live", PART_NEWCOMER, false},
	{"proc/exit/released", PART_LEAVER, false},
	{"recover/slot/judged", PART_RECOVERER, true},
	{"recover/slot/dead", PART_RECOVERER, true},
	{"recover/slot/pre-free", PART_RECOVERER, true},
	{"recover/lock/recovering", PART_RECOVERER, true},
	{"recover/lock/queue-taken", PART_RECOVERER, true},
	{"recover/lock/queue-emptied", PART_RECOVERER, true},
	{"recover/lock/repaired", PART_RECOVERER, false}, /* a dead reader leaves nothing to mend */
	{"recover/lock/recomputed", PART_RECOVERER, true},
	{"recover/lock/mid-wake", PART_RECOVERER, true},
	{"recover/lock/mid-clear", PART_RECOVERER, true},
};
const size_t kill_single_count = sizeof(kill_singles) / sizeof(kill_singles[0]);

const char *
kill_part_name(KillPart part)
{
	static const char *const names[] = {"none",    "holder",   "waiter", "releaser", "updater",
										"clearer", "newcomer", "leaver", "namer",    "recoverer"};

	return (size_t) part < sizeof(names) / sizeof(names[0]) ? names[part] : "?";
}

const char *
kill_column_name(int column)
{
	static const char *const names[KILL_COLUMNS] = {"holder", "waiter", "releaser"};

	return names[column];
}

bool
kill_point_belongs(const char *point)
{
	return strncmp(point, "lwlock/", 7) == 0 || strncmp(point, "proc/", 5) == 0 ||
		   strncmp(point, "recover/", 8) == 0;
}

bool
kill_point_listed(const char *point)
{
	for (size_t i = 0; i < kill_row_count; i++)
		if (strcmp(kill_rows[i].point, point) == 0)
			return true;
	for (size_t i = 0; i < kill_single_count; i++)
		if (strcmp(kill_singles[i].point, point) == 0)
			return true;
	return false;
}
