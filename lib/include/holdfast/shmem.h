/*
 * shmem.h
 *		What lies in the segment and how a structure in it is found by name.
 *
 * holdfast_shmem_create() is the whole start-up of a supervisor: segment, allocator, lock array, index,
 * process slots.  A bump allocator hands out memory that is never freed; ShmemIndex maps names to it.
 * Everything in the segment is named by offset, so that processes may map it anywhere.
 *
 * Crash safety: the allocator is one compare-and-swap; a death after it leaks those bytes until the segment
 * goes.  An index entry becomes visible by one release store, after everything it says is true; a death
 * before that leaves a slot that the next caller takes.
 */
#ifndef HOLDFAST_SHMEM_H
#define HOLDFAST_SHMEM_H

#include <holdfast/holdfast.h>
#include <holdfast/pg_shmem.h>

#ifdef __cplusplus
extern "C"
{
#endif

#define SHMEM_INDEX_KEYSIZE 48 /* name, with its NUL */
#define SHMEM_INDEX_SIZE	128

typedef struct HoldfastShmemConfig
{
	uint32_t max_procs; /* process slots, 1..HOLDFAST_PROCS_MAX; 0 means 64 */
	uint32_t max_locks; /* LWLocks for named tranches; 0 means what was requested */
	Size user_size;		/* bytes for ShmemAlloc and ShmemInitStruct */
	HoldfastMemory memory; /* zero: System V; huge pages give what rounding up adds to the user */
} HoldfastShmemConfig;

#define HOLDFAST_PROCS_MAX 4096

/*
 * Creates and fills the segment of this data directory; header state INIT.  The caller adds its own
 * structures and then calls holdfast_shmem_publish(), after which others may attach.
 * Errors: those of holdfast_segment_create; HOLDFAST_MISUSE (config).
 */
HOLDFAST_API HOLDFAST_MUST_CHECK HoldfastStatus holdfast_shmem_create(const HoldfastShmemConfig *config);
HOLDFAST_API HOLDFAST_MUST_CHECK HoldfastStatus holdfast_shmem_publish(void);

/* Joins a running cluster (holdfast_segment_join) and finds its tables.  HOLDFAST_DAMAGED if they are not sane. */
HOLDFAST_API HOLDFAST_MUST_CHECK HoldfastStatus holdfast_shmem_join(void);

/* Cache-line aligned memory; NULL with HOLDFAST_LIMIT ("out of shared memory"). */
HOLDFAST_API HOLDFAST_MUST_CHECK void *ShmemAlloc(Size size);

/*
 * Finds or makes the structure `name`.  *foundPtr tells which; a new one is zeroed.  NULL on failure:
 * HOLDFAST_MISUSE (name empty or ≥ SHMEM_INDEX_KEYSIZE bytes, size differs from the first caller's, not
 * attached), HOLDFAST_LIMIT (index or segment full), or what LWLockAcquire says.
 */
HOLDFAST_API HOLDFAST_MUST_CHECK void *ShmemInitStruct(const char *name, Size size, bool *foundPtr);

HOLDFAST_API bool ShmemAddrIsValid(const void *addr);

#ifdef __cplusplus
}
#endif
#endif
