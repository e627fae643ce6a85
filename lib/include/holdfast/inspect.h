/*
 * inspect.h
 *		What an operator sees of a data directory from outside: lockfile, segment, slots, locks.
 *
 * Nothing is changed and no slot is taken: the segment is attached read-only, copied, detached.  A damaged
 * lockfile or segment is a finding (HOLDFAST_INSPECT_DAMAGED), not a failure.  The copy is not atomic: a lock
 * that is being changed may be seen in the middle.
 */
#ifndef HOLDFAST_INSPECT_H
#define HOLDFAST_INSPECT_H

#include <holdfast/holdfast.h>
#include <holdfast/lockfile.h>
#include <holdfast/lwlock.h>
#include <holdfast/pg_shmem.h>
#include <holdfast/proc.h>

#ifdef __cplusplus
extern "C"
{
#endif

typedef enum HoldfastInspectState
{
	HOLDFAST_INSPECT_NONE,	  /* no segment */
	HOLDFAST_INSPECT_IN_USE,  /* the lockfile's process lives */
	HOLDFAST_INSPECT_ORPHAN,  /* it is dead, its segment is still there */
	HOLDFAST_INSPECT_FOREIGN, /* the recorded id is somebody else's segment now */
	HOLDFAST_INSPECT_DAMAGED, /* ours by its header, but not believable */
} HoldfastInspectState;

typedef struct HoldfastProcView
{
	int slot;
	pid_t pid;
	uint64_t start_time;
	char role[HOLDFAST_ROLE_SIZE];
	bool dead;			/* the kernel says so */
	int waiting_lock;	/* index in HoldfastInspection.locks; -1 when not waiting */
	LWLockMode wait_mode;
	char wait_event[LWLOCK_TRANCHE_NAMELEN + 8]; /* "LWLock:tranche", "Recovery" or "" */
	uint32_t nheld;		/* entries of its journal in kind HELD */
} HoldfastProcView;

typedef struct HoldfastHoldView
{
	int slot;
	LWLockMode mode;
	const char *kind; /* "held", "pending", "releasing", "waking", "queued": static string */
} HoldfastHoldView;

typedef struct HoldfastLockView
{
	uint64_t offset; /* in the segment */
	int index;		 /* in LWLockArray; -1 when it lies elsewhere */
	char tranche[LWLOCK_TRANCHE_NAMELEN];
	uint64_t state;
	int owner_slot; /* exclusive owner; -1 */
	uint32_t shared_count;
	bool has_waiters, recovering, poisoned, not_recoverable;
	uint32_t recoveries;
	uint32_t nholds; /* slots whose journal names it */
	HoldfastHoldView *holds;
} HoldfastLockView;

/* What all slots have done to the locks of one tranche since the segment was made. */
typedef struct HoldfastTrancheView
{
	char name[LWLOCK_TRANCHE_NAMELEN];
	uint32_t nlocks;			/* in LWLockArray */
	uint64_t shared, exclusive; /* acquired, while LWLOCK_COUNT_ACQUIRES was on */
	uint64_t blocked;			/* went to sleep */
	uint64_t spin_delayed;		/* did not get the queue at once */
	uint64_t dequeued_self;		/* left the queue without having been woken */
	uint64_t unwoken;			/* of these: found the lock free, though nobody had woken it */
	uint64_t recoveries;		/* of its locks in LWLockArray */
} HoldfastTrancheView;

typedef struct HoldfastInspection
{
	HoldfastStatus lockfile_status; /* OK, NOT_FOUND, DAMAGED, SYSTEM_ERROR */
	char lockfile_message[512];		/* why, when not OK */
	HoldfastLockfile lockfile;
	bool lockfile_pid_dead;

	HoldfastInspectState state;
	char state_message[512]; /* why, for FOREIGN, DAMAGED and what could not be read */
	HoldfastOrphan segment;	 /* key, id, size, nattch ... when state is not NONE */
	PGShmemHeader header;	 /* of the segment; with mmap, of the block if it could be read */

	HoldfastMemoryType memory_type; /* mmap: `segment` is the interlock */
	uint64_t memory_size;			/* bytes, of the block or the segment */
	uint64_t page_size;				/* of its pages */
	bool memory_unreachable;		/* no process that we may look at has the block: no slots, no locks; see message */

	uint32_t nprocs; /* slots in use */
	HoldfastProcView *procs;
	unsigned checks; /* LWLockChecks that are on */
	uint32_t ntranches;
	HoldfastTrancheView *tranches;
	uint32_t nlocks; /* all of LWLockArray, and any other lock that a slot names */
	HoldfastLockView *locks;
} HoldfastInspection;

/*
 * *out is the caller's, freed by holdfast_inspect_free().  Errors: HOLDFAST_SYSTEM_ERROR (no such directory,
 * no right to read), HOLDFAST_NO_MEMORY.  A directory with neither lockfile nor segment is success, state NONE.
 */
HOLDFAST_API HOLDFAST_MUST_CHECK HoldfastStatus holdfast_inspect(const char *data_dir,
																 HoldfastInspection **out);
HOLDFAST_API void holdfast_inspect_free(HoldfastInspection *inspection);

#ifdef __cplusplus
}
#endif
#endif
