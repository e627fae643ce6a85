/*
 * lwlock_tranche.c
 *		Families of locks: their names, their policies, and where the main array keeps them.
 *
 * Names and policies lie in the segment, so that every process and every inspector sees them; callbacks are
 * addresses and therefore each process's own.  An id is handed out by one fetch-and-add; a death before its name is
 * whole leaves an id that reads "unknown" and is never used.
 *
 * Owner: the table belongs to the segment; the requests, before there is a segment, to the creating process.
 * Thread safety: request and register from one thread; the rest is safe.
 */
#include <stdio.h>
#include <string.h>

#include "inject_point.h"
#include "lwlock_internal.h"
#include "lwlock_tranche.h"
#include "report.h"

typedef struct TrancheRequest
{
	char name[LWLOCK_TRANCHE_NAMELEN];
	uint32_t count;
} TrancheRequest;

static TrancheRequest requests[LWLOCK_TRANCHES_MAX];
static uint32_t nrequests;

/* This process's callbacks. */
static struct
{
	LWLockRepair repair;
	void *arg;
} callbacks[LWLOCK_TRANCHES_MAX];

LWLockPadded *LWLockArray = NULL;

static bool
name_is_good(const char *name)
{
	return name != NULL && name[0] != '\0' && strlen(name) < LWLOCK_TRANCHE_NAMELEN;
}

static HoldfastStatus
refuse_name(void)
{
	return report(HOLDFAST_ERROR, HOLDFAST_MISUSE, 0, NULL, NULL,
				  "a tranche name has 1 to %d bytes", LWLOCK_TRANCHE_NAMELEN - 1);
}

HoldfastStatus
RequestNamedLWLockTranche(const char *tranche, int count)
{
	if (!name_is_good(tranche))
		return refuse_name();
	if (holdfast_shmem.base != NULL)
		return report(HOLDFAST_FATAL, HOLDFAST_MISUSE, 0, NULL, NULL,
					  "cannot request LWLocks after the segment was created");
	if (count <= 0 || count > 1000000)
		return report(HOLDFAST_ERROR, HOLDFAST_MISUSE, 0, NULL, NULL, "cannot request %d LWLocks",
					  count);
	if (nrequests >= LWLOCK_TRANCHES_MAX - LWTRANCHE_FIRST_USER)
		return report(HOLDFAST_ERROR, HOLDFAST_LIMIT, 0, NULL, NULL, "too many LWLock tranches");
	(void) snprintf(requests[nrequests].name, LWLOCK_TRANCHE_NAMELEN, "%s", tranche);
	requests[nrequests].count = (uint32_t) count;
	nrequests++;
	return HOLDFAST_OK;
}

uint32_t
holdfast_lwlocks_requested(void)
{
	uint32_t total = 1; /* ShmemIndexLock */

	for (uint32_t i = 0; i < nrequests; i++)
		total += requests[i].count;
	return total;
}

static void
name_tranche(LWLockTranche *tranche, const char *name, uint32_t first, uint32_t count)
{
	memcpy(tranche->name, name, strlen(name) + 1); /* checked: it fits */
	tranche->policy = LWLOCK_POISON;
	tranche->first = first;
	tranche->count = count;
	INJECT_POINT("lwlock/tranche/pre-ready", INJECT_ANYWHERE,
				 "an id whose name is not whole: it reads \"unknown\" and is never used");
	/* Release pairs [LT1] with the acquire in tranche_at(). */
	__atomic_store_n(&tranche->ready, 1, __ATOMIC_RELEASE);
}

void
holdfast_lwlocks_create(LWLockTrancheTable *table, LWLockPadded *locks, uint32_t nlocks)
{
	uint32_t next = 1;

	table->magic = LWLOCK_TABLE_MAGIC;
	table->nlocks = nlocks;
	name_tranche(&table->tranche[LWTRANCHE_SHMEM_INDEX], "ShmemIndex", 0, 1);
	LWLockInitialize(&locks[0].lock, LWTRANCHE_SHMEM_INDEX);
	for (uint32_t i = 0; i < nrequests; i++)
	{
		uint32_t id = LWTRANCHE_FIRST_USER + i;

		name_tranche(&table->tranche[id], requests[i].name, next, requests[i].count);
		for (uint32_t j = 0; j < requests[i].count; j++)
			LWLockInitialize(&locks[next++].lock, (int) id);
	}
	for (; next < nlocks; next++)
		LWLockInitialize(&locks[next].lock, LWLOCK_TRANCHES_MAX - 1);
	table->ntranches = LWTRANCHE_FIRST_USER + nrequests;
}

static LWLockTranche *
tranche_at(int id)
{
	LWLockTrancheTable *table = holdfast_shmem.tranches;

	if (table == NULL || id < 0 || id >= LWLOCK_TRANCHES_MAX)
		return NULL;
	/* Acquire pairs [LT1]: a ready tranche has a whole name. */
	return __atomic_load_n(&table->tranche[id].ready, __ATOMIC_ACQUIRE) ? &table->tranche[id]
																		: NULL;
}

LWLockPadded *
GetNamedLWLockTranche(const char *tranche)
{
	for (int id = LWTRANCHE_FIRST_USER; tranche != NULL && id < LWLOCK_TRANCHES_MAX; id++)
	{
		const LWLockTranche *found = tranche_at(id);

		if (found != NULL && found->count > 0 &&
			strncmp(found->name, tranche, sizeof(found->name)) == 0)
			return &LWLockArray[found->first];
	}
	(void) report(HOLDFAST_ERROR, HOLDFAST_NOT_FOUND, 0, NULL,
				  "Call RequestNamedLWLockTranche() before the segment is created.",
				  "requested tranche \"%s\" is not registered", tranche != NULL ? tranche : "");
	return NULL;
}

int
LWLockNewTrancheId(const char *name)
{
	LWLockTrancheTable *table = holdfast_shmem.tranches;
	uint32_t id;

	if (table == NULL)
		return report(HOLDFAST_ERROR, HOLDFAST_MISUSE, 0, NULL, NULL,
					  "cannot make a tranche: not attached to a segment");
	if (!name_is_good(name))
		return refuse_name();
	/* relaxed: only uniqueness matters; the name is published by its own flag */
	id = __atomic_load_n(&table->ntranches, __ATOMIC_RELAXED);
	do
	{
		if (id >= LWLOCK_TRANCHES_MAX - 1)
			return report(HOLDFAST_ERROR, HOLDFAST_LIMIT, 0, NULL, NULL,
						  "too many LWLock tranches");
	} while (!__atomic_compare_exchange_n(&table->ntranches, &id, id + 1, false, __ATOMIC_RELAXED,
										  __ATOMIC_RELAXED));
	name_tranche(&table->tranche[id], name, 0, 0);
	return (int) id;
}

HoldfastStatus
LWLockRegisterTranche(int tranche_id, LWLockPolicy policy, LWLockRepair repair, void *arg)
{
	LWLockTranche *tranche = tranche_at(tranche_id);

	if (tranche == NULL || policy < LWLOCK_POISON || policy > LWLOCK_RESET ||
		(policy == LWLOCK_REPAIR && repair == NULL))
		return report(HOLDFAST_ERROR, HOLDFAST_MISUSE, 0, NULL, NULL,
					  "cannot register LWLock tranche %d with policy %d", tranche_id, (int) policy);
	callbacks[tranche_id].repair = repair;
	callbacks[tranche_id].arg = arg;
	__atomic_store_n(&tranche->policy, (uint32_t) policy, __ATOMIC_RELEASE);
	return HOLDFAST_OK;
}

LWLockPolicy
holdfast_tranche_policy(int tranche_id, LWLockRepair *repair, void **arg)
{
	const LWLockTranche *tranche = tranche_at(tranche_id);
	uint32_t policy =
		tranche == NULL ? LWLOCK_POISON : __atomic_load_n(&tranche->policy, __ATOMIC_ACQUIRE);

	*repair = NULL;
	*arg = NULL;
	if (policy > LWLOCK_RESET) /* not a value we wrote */
		return LWLOCK_POISON;
	if (policy == LWLOCK_REPAIR)
	{
		*repair = callbacks[tranche_id].repair;
		*arg = callbacks[tranche_id].arg;
	}
	return (LWLockPolicy) policy;
}

const char *
GetLWLockIdentifier(int tranche_id)
{
	const LWLockTranche *tranche = tranche_at(tranche_id);

	/* A name without its NUL was not written by us. */
	if (tranche == NULL || memchr(tranche->name, '\0', sizeof(tranche->name)) == NULL)
		return "unknown";
	return tranche->name;
}

void
LWLockInitialize(LWLock *lock, int tranche_id)
{
	memset(lock, 0, sizeof(*lock));
	lock->tranche = (uint16_t) tranche_id;
}
