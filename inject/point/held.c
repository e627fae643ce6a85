/*
 * held.c
 *		held=LOCK, answered by the library: what the calling thread has to do with a lock of the segment.
 *
 *		held=Bank				any lock of the tranche, in any mode
 *		held=Bank:3				the fourth lock of it
 *		held=Bank/exclusive		as its owner; /shared: as one of those who share it
 *		held=Bank/waiting		not held: the thread stands in its queue, or is about to, or was just woken
 *
 * Read from the thread's own slot, whose journal names each lock that it has to do with.  Only in programs
 * that link the library; the preload module has no locks.
 *
 * Thread, signal safety: the thread's own journal, loads only.
 */
#include <stdlib.h>
#include <string.h>

#include <holdfast/lwlock.h>
#include <holdfast/proc.h>

#include "hit.h"
#include "shmem_layout.h"

typedef struct Wanted
{
	const char *tranche;
	size_t tranche_length;
	long index;           /* -1: any */
	const char *relation; /* "": held in any mode */
} Wanted;

static Wanted
read_wanted(const char *text)
{
	Wanted wanted = {.tranche = text, .index = -1, .relation = ""};
	const char *slash = strchr(text, '/');
	const char *colon = strchr(text, ':');

	wanted.tranche_length = strcspn(text, ":/");
	if (colon != NULL)
		wanted.index = strtol(colon + 1, NULL, 10);
	if (slash != NULL)
		wanted.relation = slash + 1;
	return wanted;
}

static bool
is_wanted_lock(const LWLock *lock, const Wanted *wanted)
{
	const LWLockTrancheTable *table = holdfast_shmem.tranches;
	const LWLockTranche *tranche;
	const LWLockPadded *padded = (const LWLockPadded *) (const void *) lock;

	if (table == NULL || lock->tranche >= LWLOCK_TRANCHES_MAX)
		return false;
	tranche = &table->tranche[lock->tranche];
	if (strlen(tranche->name) != wanted->tranche_length ||
		strncmp(tranche->name, wanted->tranche, wanted->tranche_length) != 0)
		return false;
	return wanted->index < 0 || padded - LWLockArray == (long) tranche->first + wanted->index;
}

static bool
is_wanted_relation(const LWLock *lock, LWLockEntry entry, const char *relation)
{
	if (strcmp(relation, "waiting") == 0)
		return ENTRY_KIND(entry) == ENTRY_QUEUED && !LWLockHeldByMe(lock);
	if (strcmp(relation, "exclusive") == 0)
		return LWLockHeldByMeInMode(lock, LW_EXCLUSIVE);
	if (strcmp(relation, "shared") == 0)
		return LWLockHeldByMeInMode(lock, LW_SHARED);
	return LWLockHeldByMe(lock);
}

/* The segment may not be there yet: then its tranches are not known. */
static bool
tranche_exists(const Wanted *wanted)
{
	const LWLockTrancheTable *table = holdfast_shmem.tranches;

	for (uint32_t i = 0; table != NULL && i < LWLOCK_TRANCHES_MAX; i++)
		if (strlen(table->tranche[i].name) == wanted->tranche_length &&
			strncmp(table->tranche[i].name, wanted->tranche, wanted->tranche_length) == 0)
			return true;
	return table == NULL;
}

const char *
inject_held_by_library_problem(const char *text)
{
	static const char *const relations[] = {"", "exclusive", "shared", "waiting"};
	Wanted wanted = read_wanted(text);
	const char *colon = strchr(text, ':');

	if (colon != NULL && (colon[1] < '0' || colon[1] > '9'))
		return "a number of the lock in its tranche stands after ':'";
	if (!tranche_exists(&wanted))
		return "the segment has no tranche of that name";
	for (size_t i = 0; i < sizeof(relations) / sizeof(relations[0]); i++)
		if (strcmp(wanted.relation, relations[i]) == 0)
			return NULL;
	return "exclusive, shared or waiting stands after '/'";
}

bool
inject_held_by_library(const char *text)
{
	Wanted wanted = read_wanted(text);

	if (MyProc == NULL || holdfast_shmem.base == NULL)
		return false;
	for (int i = 0; i < MAX_SIMUL_LWLOCKS + 1; i++)
	{
		LWLockEntry entry = __atomic_load_n(&MyProc->entry[i], __ATOMIC_RELAXED);
		const LWLock *lock;

		if (ENTRY_KIND(entry) == ENTRY_NONE || ENTRY_OFFSET(entry) >= holdfast_shmem.size)
			continue;
		lock = shmem_address(ENTRY_OFFSET(entry));
		if (is_wanted_lock(lock, &wanted) && is_wanted_relation(lock, entry, wanted.relation))
			return true;
	}
	return false;
}
