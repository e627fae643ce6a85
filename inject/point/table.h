/*
 * table.h
 *		The control table: what all processes of a run share, byte for byte.
 *
 * A sealed memfd of fixed size.  No pointers; everything is an index, a word or a string of fixed length.
 *
 *		+------------------+
 *		| head             |  magic, version, size; writers' lock; active plan; observe
 *		| armed[points]    |  the byte each point tests; 64-byte aligned
 *		| points[]         |  append only: name, context, place
 *		| plans[2]         |  compiled; one is active, the other is being written
 *		| waiters[]        |  who is parked where
 *		| procs[]          |  who is, and what each process counted
 *		+------------------+
 *
 * Who may write what:
 *   - armed, points' names, plans, active, observe: the holder of `lock` (table.c).
 *   - a proc slot and its counters: the process whose identity is in it; anyone may take it from a dead one
 *     by CAS.
 *   - counters of steps and of watched points: anyone, by counter_add().
 *   - a waiter entry: likewise; a reaper only sets the identity of a dead one back to 0.
 *
 * Counters carry the epoch of the plan they count for in their upper 16 bits.  A process that is slow
 * enough to count for a plan that was replaced meanwhile does not spoil the new one's numbers, and arming
 * needs to clear nothing.
 *
 * Arrivals and fires are counted by each process in its own slot, where nobody else writes: no line of the
 * cache travels, and what a process that was killed has counted stays.  Who takes a dead process's slot goes
 * on from its numbers and notes them as `before`: so the sum over all slots is exact, whoever dies when,
 * and the difference is the new owner's.
 *
 * The plan: `active` holds epoch, buffer and the armed flag in one word.  A reader loads it (acquire, pairs
 * with the release in plan_publish()), copies a step, and loads it again: a buffer is overwritten only
 * after another one became active, so an unchanged word means an unchanged step.
 */
#ifndef HOLDFAST_INJECT_TABLE_H
#define HOLDFAST_INJECT_TABLE_H

#include "inject/inject.h"

#define TABLE_MAGIC   UINT64_C(0x48464a4543543031) /* "HFJECT01" */
#define TABLE_VERSION 2
#define TABLE_WAITERS 256
#define TABLE_NAMES   32  /* distinct call(), held=, in= names in one plan */
#define TABLE_FILE    64  /* the end of a source file's name */
#define TABLE_MODULE  128 /* the end of a program's or library's path */

/* Who finds no slot of its own counts here, as many at a time as there are. */
#define COMMON_SLOT INJECT_MAX_PROCS

#define NO_POINT 0xffffu

/* pid:22 | start time:21 | namespace:21; 0 is nobody.  identity.c makes and judges them. */
typedef uint64_t TableIdentity;

/* epoch in the upper 16 bits, count below. */
typedef uint64_t TableCounter;

typedef struct TablePoint
{
	char name[INJECT_NAME_SIZE];
	char file[TABLE_FILE];
	int32_t line;
	uint32_t context;
	TableCounter watched_hits; /* over all processes, while an after() waits for the point */
} TablePoint;

typedef struct TableAction
{
	uint16_t kind;
	uint16_t name; /* tag or name index */
	uint32_t reserved;
	int64_t a;
	int64_t b;
} TableAction;

/* Whole words, so that it can be copied by relaxed loads. */
typedef struct TableStep
{
	uint64_t limit;
	uint64_t nth;
	uint64_t nth_end;
	uint64_t every;
	uint64_t after_hits;
	int64_t arg_low;
	int64_t arg_high;
	uint32_t chance;
	int32_t ordinal;
	uint16_t after; /* point index or NO_POINT */
	uint16_t held;  /* name index or NO_POINT */
	uint16_t in;    /* name index or NO_POINT */
	uint8_t scope;
	uint8_t has_arg;
	uint8_t action_count;
	uint8_t throws; /* one of the actions */
	uint8_t reserved[6];
	char role[INJECT_ROLE_SIZE];
	/* what is above is looked at at each arrival, what follows when the step fires */
	TableAction actions[INJECT_MAX_ACTIONS];
} TableStep;

typedef struct TableItem
{
	char point[INJECT_NAME_SIZE];
	char text[256];
	uint16_t first_step;
	uint16_t step_count;
	uint32_t can_fire;
} TableItem;

typedef struct TableTag
{
	char name[INJECT_TAG_SIZE];
	/*
	 * Low half: the round, the futex that waiters sleep on; a change lets them go.  High half: how many have
	 * joined the barrier's round.  One word, so that a round takes exactly as many as it should.
	 */
	uint64_t round;
	uint32_t arrived; /* futex: testers sleep on it */
	uint32_t reserved;
} TableTag;

typedef struct TablePlan
{
	uint64_t seed;
	int64_t deadline_ns;
	uint32_t item_count;
	uint32_t step_count;
	uint32_t tag_count;
	uint32_t name_count;
	uint64_t point_items[INJECT_MAX_POINTS]; /* a bit for each item that names the point */
	uint8_t watched[INJECT_MAX_POINTS];      /* an after() waits for the point */
	TableItem items[INJECT_MAX_ITEMS];
	TableStep steps[INJECT_MAX_STEPS];
	TableCounter step_hits[INJECT_MAX_STEPS];
	TableCounter step_fires[INJECT_MAX_STEPS];
	TableTag tags[INJECT_MAX_TAGS];
	char names[TABLE_NAMES][INJECT_NAME_SIZE];
	char text[INJECT_PLAN_SIZE];
} TablePlan;

typedef struct TableWaiter
{
	TableIdentity identity; /* 0: free; taken by CAS */
	/* Equal to identity once the rest is filled in (release; pairs with the acquire in waiter_read()). */
	TableIdentity published;
	uint64_t epoch;
	uint32_t round;  /* of the tag, when this waiter came */
	uint32_t joined; /* counted in the barrier's round, and to be taken out if it dies */
	int32_t tid;
	int32_t ordinal;
	uint16_t tag;
	uint16_t point;
	char role[INJECT_ROLE_SIZE];
} TableWaiter;

typedef struct TableProc
{
	TableIdentity identity; /* 0: never used; taken by CAS */
	uint32_t serial; /* 0 while it is being cleared; release, pairs with acquire in readers */
	int32_t ordinal;
	char role[INJECT_ROLE_SIZE];
	uint64_t
		lineage; /* self.c: what tells processes without a role apart, in every repetition alike */
	char program[16]; /* what it executes, as the kernel shows it */
	/* Where the last fire was; written before last_fire. */
	char last_file[TABLE_FILE];
	char last_module[TABLE_MODULE];
	uint64_t last_offset; /* of the caller, in last_module's file */
	int32_t last_line;
	int32_t reserved;
	/* The last fire in one word: point:9 | action:5 | epoch:16 | hit:34, so that no corpse tears it. */
	uint64_t last_fire;
	TableCounter item_hits[INJECT_MAX_ITEMS];
	TableCounter item_fires[INJECT_MAX_ITEMS];
	TableCounter hits[INJECT_MAX_POINTS];
	TableCounter fires[INJECT_MAX_POINTS];
	TableCounter hits_before[INJECT_MAX_POINTS]; /* by those who had the slot before */
	TableCounter fires_before[INJECT_MAX_POINTS];
} TableProc;

typedef struct InjectTable
{
	uint64_t magic;
	uint32_t version;
	uint32_t reserved;
	uint64_t size;
	TableIdentity lock; /* 0: free */
	uint64_t active;    /* epoch << 2 | buffer << 1 | armed */
	uint32_t observe;
	uint32_t point_count; /* release: publishes points[count-1] */
	uint32_t proc_count;  /* slots ever used, for walks */
	uint32_t next_serial;
	uint64_t procs_recycled;
	uint64_t waits_expired;
	_Alignas(64) unsigned char armed[INJECT_MAX_POINTS];
	_Alignas(64) TablePoint points[INJECT_MAX_POINTS];
	TablePlan plans[2];
	TableWaiter waiters[TABLE_WAITERS];
	TableProc procs[INJECT_MAX_PROCS + 1]; /* and COMMON_SLOT */
} InjectTable;

_Static_assert(sizeof(TableStep) % 8 == 0, "steps are copied by words");
_Static_assert(INJECT_MAX_ITEMS <= 64, "an item is a bit of point_items");
_Static_assert(INJECT_MAX_POINTS <= 512, "a point's index has 9 bits in last_fire");
_Static_assert(INJECT_ACTION_KINDS <= 32, "an action has 5 bits in last_fire");

/* The mapped table, or NULL.  Set before points of this process are armed, cleared after. */
extern InjectTable *inject_table;

/* ---- the active word ---- */

static inline uint64_t
active_load(void)
{
	/* acquire: pairs with the release in plan_publish() and plan_disarm() (arm.c) */
	return __atomic_load_n(&inject_table->active, __ATOMIC_ACQUIRE);
}

static inline bool
active_is_armed(uint64_t active)
{
	return (active & 1) != 0;
}

static inline uint64_t
active_epoch(uint64_t active)
{
	return active >> 2;
}

static inline TablePlan *
active_plan(uint64_t active)
{
	return &inject_table->plans[(active >> 1) & 1];
}

/* ---- counters ---- */

#define COUNTER_BITS 48
#define COUNTER_MASK ((UINT64_C(1) << COUNTER_BITS) - 1)

static inline uint64_t
counter_tag(uint64_t epoch)
{
	return epoch & 0xffff;
}

/* Add one for `epoch` and return the new count; 0 when the counter belongs to a later epoch already. */
uint64_t counter_add(TableCounter *counter, uint64_t epoch);

/* The same where only the calling process writes; other processes may read. */
uint64_t counter_add_own(TableCounter *counter, uint64_t epoch);

/* Add one unless the count has reached `limit`; whether it was added. */
bool counter_take(TableCounter *counter, uint64_t epoch, uint64_t limit);

/* The count for `epoch`; 0 when the counter was last used in another. */
uint64_t counter_read(const TableCounter *counter, uint64_t epoch);

/* ---- the writers' lock ---- */

/* Waits at most a few seconds; steals from a dead holder. */
InjectStatus table_lock(InjectError *error);
void table_unlock(void);

/* Put armed[] in accord with the active plan and `observe`.  Lock held. */
void table_refresh_armed(void);

/* Index of a point in the table; NO_POINT when it has none of that name.  No lock needed. */
unsigned table_find_point(const char *name);

/* Whether `name` is what `pattern` says: equal, or with the same start when the pattern ends in a star. */
bool point_name_matches(const char *pattern, const char *name);

/* The last size - 1 bytes of a text, NUL-padded. */
void copy_end(char *to, size_t size, const char *from);

#endif
