/*
 * shmem_layout.h
 *		Everything that lies in the segment, drawn once.
 *
 *		offset 0            PGShmemHeader
 *		header.indexoffset  ShmemIndex: names -> offsets
 *			"LWLock Tranches"  LWLockTrancheTable: names and policies
 *			"LWLock Array"     LWLockPadded[]
 *			"Proc Header"      ProcGlobal
 *			"Proc Array"       PGPROC[]
 *			the user's structures
 *		header.freeoffset   free
 *
 * Offsets and slot numbers only, never a pointer: processes map the segment where they like.  Numbers that name
 * a slot are slot + 1, so that zeroed memory names nobody.
 */
#ifndef HOLDFAST_SHMEM_LAYOUT_H
#define HOLDFAST_SHMEM_LAYOUT_H

#include <stddef.h>

#include <holdfast/lwlock.h>
#include <holdfast/pg_shmem.h>
#include <holdfast/proc.h>
#include <holdfast/shmem.h>

#define CACHE_LINE_SIZE       64
#define SHMEM_ALIGN(size_)    (((size_) + 127) & ~(Size) 127)
#define SHMEM_INDEX_MAGIC     0x48465831u /* "HFX1" */
#define PROC_GLOBAL_MAGIC     0x48465031u /* "HFP1" */
#define LWLOCK_TABLE_MAGIC    0x48464c31u /* "HFL1" */
#define SHMEM_NAME_TRANCHES   "LWLock Tranches"
#define SHMEM_NAME_LOCKS      "LWLock Array"
#define SHMEM_NAME_PROCGLOBAL "Proc Header"
#define SHMEM_NAME_PROCS      "Proc Array"

/* ---- ShmemIndex ---- */

typedef struct ShmemIndexEntry
{
	char name[SHMEM_INDEX_KEYSIZE];
	uint64_t offset;
	uint64_t size;
	uint32_t ready; /* release: all above is true.  Pairs [SI1] with the acquire in find_entry() */
	uint32_t reserved;
} ShmemIndexEntry;

typedef struct ShmemIndexTable
{
	uint32_t magic;
	uint32_t capacity;
	ShmemIndexEntry entry[SHMEM_INDEX_SIZE];
} ShmemIndexTable;

/* ---- locks ---- */

typedef struct LWLockTranche
{
	char name[LWLOCK_TRANCHE_NAMELEN];
	uint32_t policy; /* LWLockPolicy */
	uint32_t first;  /* index in LWLockArray of its locks there */
	uint32_t count;  /* 0: none there */
	uint32_t ready;  /* release: the name is whole.  Pairs [LT1] with the acquire in tranche_at() */
} LWLockTranche;

typedef struct LWLockTrancheTable
{
	uint32_t magic;
	uint32_t nlocks;    /* in LWLockArray */
	uint32_t ntranches; /* atomic: ids handed out, ready or not */
	uint32_t reserved;
	LWLockTranche tranche[LWLOCK_TRANCHES_MAX];
} LWLockTrancheTable;

/* Tranches that every segment has; their locks come first in LWLockArray. */
#define LWTRANCHE_SHMEM_INDEX 0
#define LWTRANCHE_FIRST_USER  1
#define SHMEM_INDEX_LOCK      (&LWLockArray[0].lock)

/* ---- the journal of a slot ---- */

/*
 * What a slot has to do with a lock, in one 64-bit word, so that it changes in one store:
 *		offset of the lock << 16 | mode << 8 | kind.  0: nothing.
 */
typedef uint64_t LWLockEntry;

typedef enum LWLockEntryKind
{
	ENTRY_NONE = 0,
	ENTRY_PENDING,   /* shared: our count may or may not be in the word */
	ENTRY_HELD,      /* shared: it is.  Exclusive: the word's owner field tells */
	ENTRY_RELEASING, /* shared: it may or may not be in the word any more */
	ENTRY_WAKING,    /* let go; waiters may not have been woken yet */
	ENTRY_QUEUED,    /* waiting, or about to, or just woken */
} LWLockEntryKind;

#define ENTRY_MAKE(offset_, mode_, kind_)                                                          \
	(((uint64_t) (offset_) << 16) | ((uint64_t) (mode_) << 8) | (uint64_t) (kind_))
#define JOURNAL_LINK         MAX_SIMUL_LWLOCKS /* one place: a slot is linked in one queue at most */
#define JOURNAL_SIZE         (MAX_SIMUL_LWLOCKS + 1)
#define ENTRY_OFFSET(entry_) ((entry_) >> 16)
#define ENTRY_MODE(entry_)   ((LWLockMode) (((entry_) >> 8) & 0xff))
#define ENTRY_KIND(entry_)   ((LWLockEntryKind) ((entry_) &0xff))

/* ---- slots ---- */

/*
 * The life of a slot, in one word with who lives there, so that a claim names its claimer atomically:
 *		generation << 40 | pid << 8 | state
 * FREE -> CLAIMED by the claimer's compare-and-swap; CLAIMED -> LIVE by it, once start_time is known; LIVE -> FREE
 * by it; CLAIMED or LIVE -> DEAD by the recovery owner, who knows from the kernel; DEAD -> FREE by the recovery owner
 * once the journal is empty.  The generation counts claims: a word names one life of the slot.
 */
typedef enum ProcSlotState
{
	PROC_FREE = 0,
	PROC_CLAIMED,
	PROC_LIVE,
	PROC_DEAD,
} ProcSlotState;

#define PROC_STATE(word_)      ((ProcSlotState) ((word_) &0xff))
#define PROC_PID(word_)        ((pid_t) (((word_) >> 8) & 0xffffffffu))
#define PROC_GENERATION(word_) ((word_) >> 40)
#define PROC_WORD(generation_, pid_, state_)                                                       \
	(((uint64_t) (generation_) << 40) | ((uint64_t) (uint32_t) (pid_) << 8) | (uint64_t) (state_))

typedef enum ProcWake
{
	WAKE_NONE = 0,
	WAKE_POSTED, /* somebody woke us */
	WAKE_ASLEEP, /* we are in, or about to enter, the futex: whoever posts must call the kernel */
} ProcWake;

/*
 * What the lives of a slot have done to the locks of one tranche, since the segment was made.  Written by the slot's owner
 * alone, relaxed; read by inspectors.
 */
typedef struct LWLockCounts
{
	uint64_t shared, exclusive; /* acquired; counted only while the segment's checks ask for it */
	uint64_t blocked;           /* went to sleep */
	uint64_t spin_delayed;      /* did not get the queue at once */
	uint64_t dequeued_self;     /* left the queue without having been woken */
	uint64_t unwoken; /* of these, because it found the lock free: who was to wake it did not */
} LWLockCounts;

struct PGPROC
{
	/* Who: written by the claimer, before LIVE is stored. */
	uint64_t life;       /* atomic: PROC_WORD */
	uint64_t start_time; /* atomic: of that pid; 0 until known */
	int32_t tid;
	int32_t reserved;
	char role[HOLDFAST_ROLE_SIZE];

	/* Waiting: own cache line, because a waker writes it. */
	uint32_t wake __attribute__((aligned(CACHE_LINE_SIZE))); /* futex: ProcWake */
	uint32_t
		wait_mode; /* atomic: LWLockMode; set before linking, lowered to UNTIL_FREE by who leaves its link */
	uint64_t wait_lock; /* atomic: offset of the lock in whose queue we are linked; 0: in none */
	uint32_t wait_next; /* slot + 1; both under that lock's queue owner */
	uint32_t wait_prev;

	/*
	 * The journal.  entry[i] is used by the owner in stack order, holes after out-of-order release; JOURNAL_LINK by a
	 * link that an ended wait had to leave in a queue.
	 */
	LWLockEntry entry[JOURNAL_SIZE] __attribute__((aligned(CACHE_LINE_SIZE)));

	LWLockCounts counts[LWLOCK_TRANCHES_MAX] __attribute__((aligned(CACHE_LINE_SIZE)));
};

typedef struct ProcGlobal
{
	uint32_t magic;
	uint32_t nprocs;
	uint32_t recovery_owner; /* atomic: slot + 1 of the one recoverer; stealable from the dead */
	uint32_t
		reset_needed; /* atomic: set when a RESET tranche lost an owner, or recovery cannot go on */
	uint64_t
		unfinished_since_us; /* atomic: first recovery that gave up since one was finished; 0: none */
	uint32_t checks;         /* atomic: LWLockChecks that processes are to make */
	uint32_t reserved;
	uint64_t stopped_limit_us; /* atomic: how long that may be; 0: HOLDFAST_STOPPED_LIMIT_US */
} ProcGlobalData;

/* ---- an interlock segment (mmap_block.c) ---- */

#define BLOCK_RECORD_MAGIC 0x626c6f63

/* Where the memory is: behind the interlock's header, whole before the header's magic is there. */
typedef struct BlockRecord
{
	uint32_t magic;
	int32_t fd;             /* of the creator, and of all it forked */
	uint64_t device, inode; /* of the memory file, for this boot */
	uint64_t size;          /* bytes, whole pages if they are huge */
	uint64_t page_size;
	uint32_t crc; /* of all before it */
	uint32_t reserved;
} BlockRecord;

typedef struct InterlockSegment
{
	PGShmemHeader header;
	BlockRecord block;
} InterlockSegment;

_Static_assert(offsetof(BlockRecord, crc) == 40, "no gap is under the checksum");
_Static_assert(sizeof(LWLock) == 32, "a lock fits a line twice over");
_Static_assert(sizeof(LWLockPadded) == LWLOCK_PADDED_SIZE, "a lock has its lines to itself");
_Static_assert(sizeof(struct PGPROC) <= 16 * 1024, "a slot fits in 16 KiB");
_Static_assert(offsetof(PGShmemHeader, magic) == 0, "the magic is where PostgreSQL looks for it");
_Static_assert(sizeof(PGShmemHeader) <= 128, "the header fits in front of the first allocation");
_Static_assert(ENTRY_QUEUED <= 0xff && LW_WAIT_UNTIL_FREE <= 0xff, "entry fields do not overlap");
_Static_assert(HOLDFAST_PROCS_MAX < 0xffff, "a slot + 1 fits the 16-bit owner fields");

/* ---- what this process knows of the segment it is attached to (shmem.c) ---- */

typedef struct ShmemAccess
{
	char *base; /* NULL: not attached */
	Size size;
	ShmemIndexTable *index;
	LWLockTrancheTable *tranches;
	ProcGlobalData *proc_global;
	PGPROC *procs;
	uint32_t nprocs;
	uint32_t nlocks;
} ShmemAccess;

extern ShmemAccess holdfast_shmem;

/* on_shmem_exit callback, and part of detaching: no pointer of ours leads into the segment any more. */
void holdfast_shmem_drop_access(int code, Datum arg);

/*
 * Fills in *access from a mapped segment whose base and size are set (inspectors map one that is not theirs);
 * false when its tables are not sane.  holdfast_shmem is the same afterwards as before.
 */
bool holdfast_shmem_find_tables(ShmemAccess *access, LWLockPadded **locks);

static inline uint64_t
shmem_offset(const void *address)
{
	return (uint64_t) ((const char *) address - holdfast_shmem.base);
}

static inline void *
shmem_address(uint64_t offset)
{
	return holdfast_shmem.base + offset;
}

#endif
