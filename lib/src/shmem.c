/*
 * shmem.c
 *		Lays out a segment, hands out its memory, finds structures in it by name.
 *
 * Create:	1 the segment itself (sysv_shmem.c)          state INIT: nobody else believes it
 *			2 ShmemIndex, tranches, locks, slots         the same
 *			3 the caller's structures                    the same
 *			4 holdfast_shmem_publish(): state READY      release; pairs [SH1] with the acquire in a joiner
 * A death in 1-3 leaves a segment that the next start recycles.
 *
 * Join believes nothing: every table must lie inside the segment, carry its magic, and be as large as it says.
 *
 * Owner: holdfast_shmem is this process's own view, made by create or join, dropped by the detach callback.
 */
#include <string.h>

#include <holdfast/ipc.h>
#include <holdfast/shmem.h>

#include "inject_point.h"
#include "lwlock_internal.h"
#include "lwlock_tranche.h"
#include "report.h"
#include "segment_internal.h"

#define PROCS_DEFAULT 64
#define USER_SIZE_MAX ((Size) 1 << 46) /* offsets fit a journal entry with room to spare */

ShmemAccess holdfast_shmem;

/* ---- the allocator ---- */

static PGShmemHeader *
header(void)
{
	return (PGShmemHeader *) holdfast_shmem.base;
}

/* NULL when it does not fit; says nothing. */
static void *
allocate(Size size)
{
	PGShmemHeader *hdr = header();
	uint64_t from = __atomic_load_n(&hdr->freeoffset, __ATOMIC_RELAXED);
	uint64_t start;

	do
	{
		start = SHMEM_ALIGN(from);
		if (start < from || start > holdfast_shmem.size || size > holdfast_shmem.size - start)
			return NULL;
		/* relaxed: the memory is zero since the segment was made, and its use is published by other means */
	} while (!__atomic_compare_exchange_n(&hdr->freeoffset, &from, start + size, false,
										  __ATOMIC_RELAXED, __ATOMIC_RELAXED));
	INJECT_POINT("shmem/alloc/taken", INJECT_ANYWHERE,
				 "the bytes are taken and nobody knows them: lost until the segment goes");
	return shmem_address(start);
}

void *
ShmemAlloc(Size size)
{
	void *memory;

	if (holdfast_shmem.base == NULL)
	{
		(void) report(HOLDFAST_ERROR, HOLDFAST_MISUSE, 0, NULL, NULL,
					  "cannot allocate shared memory: not attached to a segment");
		return NULL;
	}
	memory = allocate(size);
	if (memory == NULL)
		(void) report(HOLDFAST_ERROR, HOLDFAST_LIMIT, 0, NULL, "Raise user_size.",
					  "out of shared memory (%zu bytes requested)", size);
	return memory;
}

bool
ShmemAddrIsValid(const void *addr)
{
	return holdfast_shmem.base != NULL && (const char *) addr >= holdfast_shmem.base &&
		   (const char *) addr < holdfast_shmem.base + holdfast_shmem.size;
}

/* ---- the index ---- */

static ShmemIndexEntry *
find_entry(const char *name)
{
	for (uint32_t i = 0; i < SHMEM_INDEX_SIZE; i++)
	{
		ShmemIndexEntry *entry = &holdfast_shmem.index->entry[i];

		/* Acquire pairs [SI1] with the release in add_entry(). */
		if (__atomic_load_n(&entry->ready, __ATOMIC_ACQUIRE) &&
			strncmp(entry->name, name, SHMEM_INDEX_KEYSIZE) == 0)
			return entry;
	}
	return NULL;
}

/* The memory of an entry, if the entry is to be believed. */
static void *
entry_address(const ShmemIndexEntry *entry, Size size)
{
	if (entry->size != size || entry->offset < sizeof(PGShmemHeader) ||
		entry->offset > holdfast_shmem.size || size > holdfast_shmem.size - entry->offset ||
		entry->offset != SHMEM_ALIGN(entry->offset))
		return NULL;
	return shmem_address(entry->offset);
}

/* Under ShmemIndexLock, or while nobody else can be there. */
static void *
add_entry(const char *name, Size size)
{
	ShmemIndexEntry *entry = holdfast_shmem.index->entry;
	ShmemIndexEntry *end = entry + SHMEM_INDEX_SIZE;
	void *memory;

	while (entry < end && __atomic_load_n(&entry->ready, __ATOMIC_RELAXED))
		entry++;
	if (entry == end)
	{
		(void) report(HOLDFAST_ERROR, HOLDFAST_LIMIT, 0, NULL, NULL,
					  "could not create ShmemIndex entry for data structure \"%s\"", name);
		return NULL;
	}
	memory = allocate(size);
	if (memory == NULL)
	{
		(void) report(HOLDFAST_ERROR, HOLDFAST_LIMIT, 0, NULL, "Raise user_size.",
					  "not enough shared memory for data structure \"%s\" (%zu bytes requested)",
					  name, size);
		return NULL;
	}
	memset(memory, 0, size);
	memset(entry->name, 0, sizeof(entry->name));
	memcpy(entry->name, name, strlen(name));
	entry->offset = shmem_offset(memory);
	entry->size = size;
	INJECT_POINT(
		"shmem/index/pre-ready", INJECT_ANYWHERE,
		"an index entry is filled but not READY: the next caller takes it; the bytes are lost");
	/* Release pairs [SI1]: a READY entry says the truth. */
	__atomic_store_n(&entry->ready, 1, __ATOMIC_RELEASE);
	return memory;
}

static void *
find_or_add(const char *name, Size size, bool *foundPtr)
{
	const ShmemIndexEntry *entry = find_entry(name);
	void *memory;

	*foundPtr = entry != NULL;
	if (entry == NULL)
		return add_entry(name, size);
	memory = entry_address(entry, size);
	if (memory == NULL)
		(void) report(
			HOLDFAST_ERROR, HOLDFAST_MISUSE, 0, NULL, NULL,
			"ShmemIndex entry size is wrong for data structure \"%s\": expected %zu, actual %llu",
			name, size, (unsigned long long) entry->size);
	return memory;
}

/*
 * Before the segment is published its creator is alone in it and may not even have a slot.  After a death of the last
 * user of the index, the index needs no repair: entries become visible whole or not at all.
 */
static HoldfastStatus
lock_index(bool *locked)
{
	HoldfastStatus status;

	*locked = false;
	if (__atomic_load_n(&header()->state, __ATOMIC_ACQUIRE) == HOLDFAST_SEGMENT_INIT)
		return HOLDFAST_OK;
	status = LWLockAcquire(SHMEM_INDEX_LOCK, LW_EXCLUSIVE);
	if (status < 0)
		return status;
	*locked = true;
	return status == HOLDFAST_OWNER_DEAD ? LWLockMarkConsistent(SHMEM_INDEX_LOCK) : HOLDFAST_OK;
}

void *
ShmemInitStruct(const char *name, Size size, bool *foundPtr)
{
	void *memory = NULL;
	bool locked;

	*foundPtr = false;
	if (holdfast_shmem.base == NULL || name == NULL || name[0] == '\0' ||
		strlen(name) >= SHMEM_INDEX_KEYSIZE)
	{
		(void) report(HOLDFAST_ERROR, HOLDFAST_MISUSE, 0, NULL, NULL,
					  holdfast_shmem.base == NULL
						  ? "cannot look up a shared structure: not attached to a segment"
						  : "the name of a shared structure has 1 to %d bytes",
					  SHMEM_INDEX_KEYSIZE - 1);
		return NULL;
	}
	if (lock_index(&locked) == HOLDFAST_OK)
		memory = find_or_add(name, size, foundPtr);
	if (locked)
		(void) LWLockRelease(SHMEM_INDEX_LOCK);
	return memory;
}

/* ---- create ---- */

static Size
segment_size(uint32_t nprocs, uint32_t nlocks, Size user_size)
{
	Size size = SHMEM_ALIGN(sizeof(PGShmemHeader));

	size += SHMEM_ALIGN(sizeof(ShmemIndexTable));
	size += SHMEM_ALIGN(sizeof(LWLockTrancheTable));
	size += SHMEM_ALIGN((Size) nlocks * sizeof(LWLockPadded));
	size += SHMEM_ALIGN(sizeof(ProcGlobalData));
	size += SHMEM_ALIGN((Size) nprocs * sizeof(PGPROC));
	/* Each of the user's structures may be padded to the next boundary. */
	return size + user_size + (Size) SHMEM_INDEX_SIZE * 128;
}

static HoldfastStatus
fill_segment(uint32_t nprocs, uint32_t nlocks)
{
	bool found;

	holdfast_shmem.index = allocate(sizeof(ShmemIndexTable));
	if (holdfast_shmem.index == NULL)
		return HOLDFAST_LIMIT;
	holdfast_shmem.index->magic = SHMEM_INDEX_MAGIC;
	holdfast_shmem.index->capacity = SHMEM_INDEX_SIZE;
	header()->indexoffset = shmem_offset(holdfast_shmem.index);
	INJECT_POINT("shmem/create/index-made", INJECT_ANYWHERE,
				 "state INIT, creator dead: the next start recycles the segment");

	holdfast_shmem.tranches =
		ShmemInitStruct(SHMEM_NAME_TRANCHES, sizeof(LWLockTrancheTable), &found);
	LWLockArray = ShmemInitStruct(SHMEM_NAME_LOCKS, (Size) nlocks * sizeof(LWLockPadded), &found);
	holdfast_shmem.proc_global =
		ShmemInitStruct(SHMEM_NAME_PROCGLOBAL, sizeof(ProcGlobalData), &found);
	holdfast_shmem.procs =
		ShmemInitStruct(SHMEM_NAME_PROCS, (Size) nprocs * sizeof(PGPROC), &found);
	if (holdfast_shmem.tranches == NULL || LWLockArray == NULL ||
		holdfast_shmem.proc_global == NULL || holdfast_shmem.procs == NULL)
		return HOLDFAST_LIMIT;

	holdfast_lwlocks_create(holdfast_shmem.tranches, LWLockArray, nlocks);
	holdfast_shmem.proc_global->magic = PROC_GLOBAL_MAGIC;
	holdfast_shmem.proc_global->nprocs = nprocs;
	holdfast_shmem.nprocs = nprocs;
	holdfast_shmem.nlocks = nlocks;
	INJECT_POINT("shmem/create/filled", INJECT_ANYWHERE,
				 "state INIT, creator dead: the next start recycles the segment");
	return HOLDFAST_OK;
}

void
holdfast_shmem_drop_access(int code, Datum arg)
{
	(void) code;
	(void) arg;
	memset(&holdfast_shmem, 0, sizeof(holdfast_shmem));
	LWLockArray = NULL;
}

HoldfastStatus
holdfast_shmem_create(const HoldfastShmemConfig *config)
{
	uint32_t nprocs = config->max_procs != 0 ? config->max_procs : PROCS_DEFAULT;
	uint32_t requested = holdfast_lwlocks_requested();
	uint32_t nlocks = config->max_locks > requested ? config->max_locks : requested;
	PGShmemHeader *hdr;
	HoldfastStatus status;

	if (nprocs > HOLDFAST_PROCS_MAX || nlocks > 16 * 1024 * 1024 ||
		config->user_size > USER_SIZE_MAX || holdfast_shmem.base != NULL)
		return report(HOLDFAST_ERROR, HOLDFAST_MISUSE, 0, NULL, NULL,
					  holdfast_shmem.base != NULL
						  ? "already attached to a segment"
						  : "segment too large: at most %d process slots, 2^24 locks, 2^46 bytes",
					  HOLDFAST_PROCS_MAX);
	status = holdfast_segment_create(segment_size(nprocs, nlocks, config->user_size),
									 &config->memory, &hdr);
	if (status < 0)
		return status;
	holdfast_shmem.base = (char *) hdr;
	holdfast_shmem.size = hdr->totalsize;
	/* Runs before the segment is detached: callbacks run last-in first-out. */
	status = on_shmem_exit(holdfast_shmem_drop_access, 0);
	if (status == HOLDFAST_OK)
		status = fill_segment(nprocs, nlocks);
	if (status < 0)
		shmem_exit(1);
	return status;
}

HoldfastStatus
holdfast_shmem_publish(void)
{
	if (holdfast_shmem.base == NULL)
		return report(HOLDFAST_ERROR, HOLDFAST_MISUSE, 0, NULL, NULL,
					  "cannot publish: not attached to a segment");
	INJECT_POINT("shmem/create/pre-ready", INJECT_ANYWHERE,
				 "state INIT, creator dead: the next start recycles the segment");
	/* Release pairs [SH1] with the acquire of a joiner: READY contents are whole. */
	__atomic_store_n(&header()->state, HOLDFAST_SEGMENT_READY, __ATOMIC_RELEASE);
	holdfast_segment_publish_interlock(header());
	INJECT_POINT("shmem/create/ready", INJECT_ANYWHERE,
				 "a READY segment that nobody serves: the next start recycles it");
	return HOLDFAST_OK;
}

/* ---- join ---- */

/* One of our own tables: whatever size it has, at least `minimum`. */
static void *
find_table(const char *name, Size minimum, Size *size)
{
	const ShmemIndexEntry *entry = find_entry(name);

	if (entry == NULL || entry->size < minimum)
		return NULL;
	*size = entry->size;
	return entry_address(entry, entry->size);
}

bool
holdfast_shmem_find_tables(ShmemAccess *access, LWLockPadded **locks)
{
	PGShmemHeader *hdr = (PGShmemHeader *) access->base;
	ShmemAccess saved = holdfast_shmem;
	Size size;
	bool sane = false;

	if (hdr->indexoffset < sizeof(PGShmemHeader) ||
		hdr->indexoffset != SHMEM_ALIGN(hdr->indexoffset) || hdr->indexoffset > access->size ||
		sizeof(ShmemIndexTable) > access->size - hdr->indexoffset)
		return false;
	holdfast_shmem = *access;
	holdfast_shmem.index = shmem_address(hdr->indexoffset);
	if (holdfast_shmem.index->magic != SHMEM_INDEX_MAGIC ||
		holdfast_shmem.index->capacity != SHMEM_INDEX_SIZE)
		goto done;

	holdfast_shmem.tranches = find_table(SHMEM_NAME_TRANCHES, sizeof(LWLockTrancheTable), &size);
	if (holdfast_shmem.tranches == NULL || holdfast_shmem.tranches->magic != LWLOCK_TABLE_MAGIC)
		goto done;
	*locks = find_table(SHMEM_NAME_LOCKS, sizeof(LWLockPadded), &size);
	holdfast_shmem.nlocks = holdfast_shmem.tranches->nlocks;
	if (*locks == NULL || holdfast_shmem.nlocks == 0 ||
		holdfast_shmem.nlocks > size / sizeof(LWLockPadded))
		goto done;
	holdfast_shmem.proc_global = find_table(SHMEM_NAME_PROCGLOBAL, sizeof(ProcGlobalData), &size);
	if (holdfast_shmem.proc_global == NULL ||
		holdfast_shmem.proc_global->magic != PROC_GLOBAL_MAGIC)
		goto done;
	holdfast_shmem.procs = find_table(SHMEM_NAME_PROCS, sizeof(PGPROC), &size);
	holdfast_shmem.nprocs = holdfast_shmem.proc_global->nprocs;
	if (holdfast_shmem.procs == NULL || holdfast_shmem.nprocs == 0 ||
		holdfast_shmem.nprocs > HOLDFAST_PROCS_MAX || holdfast_shmem.nprocs > size / sizeof(PGPROC))
		goto done;
	sane = true;
	*access = holdfast_shmem;
done:
	holdfast_shmem = saved;
	return sane;
}

HoldfastStatus
holdfast_shmem_join(void)
{
	ShmemAccess access = {0};
	LWLockPadded *locks;
	PGShmemHeader *hdr;
	HoldfastStatus status;

	if (holdfast_shmem.base != NULL)
		return report(HOLDFAST_ERROR, HOLDFAST_MISUSE, 0, NULL, NULL,
					  "already attached to a segment");
	status = holdfast_segment_join(&hdr);
	if (status < 0)
		return status;
	access.base = (char *) hdr;
	access.size = hdr->totalsize;
	if (!holdfast_shmem_find_tables(&access, &locks))
		status = report(HOLDFAST_ERROR, HOLDFAST_DAMAGED, 0, NULL, NULL,
						"the tables of shared memory segment %lu are damaged", UsedShmemSegID);
	else
		status = on_shmem_exit(holdfast_shmem_drop_access, 0);
	if (status < 0)
	{
		HoldfastStatus detached = PGSharedMemoryDetach();

		return detached < 0 ? detached : status;
	}
	holdfast_shmem = access;
	LWLockArray = locks;
	return HOLDFAST_OK;
}
