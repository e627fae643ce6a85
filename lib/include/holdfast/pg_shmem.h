/*
 * pg_shmem.h
 *		System V shared memory segments that know which data directory they belong to.
 *
 * A segment starts with a PGShmemHeader.  Whoever finds a segment decides by that header, and by how many
 * processes are attached, which of five verdicts (IpcMemoryState) it is.  Bytes of a segment are input:
 * they are checked against the kernel's own size of the segment before they are believed.
 *
 * Owner of the segment: the process that created it (the supervisor), whose on_shmem_exit callbacks detach
 * and delete it.  Children inherit the attachment by fork and must not run those callbacks.
 * Thread safety: one thread creates, attaches and detaches.  Signal safety: none.
 * Crash safety: a creator that dies at any step leaves a segment that the next start recycles: before
 * shmget the intended key and the incarnation's cookie are on disk in the lockfile, after it the header
 * carries the cookie, and `state` says whether the contents were ever published.
 *
 * From PostgreSQL's sysv_shmem.c: names, verdicts, messages and hints.  Different: keys are hashed and
 * never zero; orphans are looked for by id, by key and by scanning all segments; header has a checksum.
 */
#ifndef HOLDFAST_PG_SHMEM_H
#define HOLDFAST_PG_SHMEM_H

#include <sys/types.h>

#include <holdfast/holdfast.h>

#ifdef __cplusplus
extern "C"
{
#endif

typedef int32_t IpcMemoryKey; /* key_t */
typedef int IpcMemoryId;	  /* what shmget returns */

/* A random number that names one life of one data directory's server. */
typedef struct HoldfastCookie
{
	uint64_t word[2];
} HoldfastCookie;

typedef enum HoldfastSegmentState
{
	HOLDFAST_SEGMENT_INIT = 1,	/* being filled by its creator */
	HOLDFAST_SEGMENT_READY = 2, /* contents are whole; stored with release, read with acquire */
} HoldfastSegmentState;

typedef enum HoldfastSegmentKind
{
	HOLDFAST_SEGMENT_WHOLE = 0,		/* what it heads is the server's memory */
	HOLDFAST_SEGMENT_INTERLOCK = 1, /* the memory is a block elsewhere; this says who has it, and where */
} HoldfastSegmentKind;

typedef struct PGShmemHeader /* standard header for all segments */
{
	int32_t magic; /* magic # to identify PostgreSQL-like segments */
#define PGShmemMagic 679834894
	pid_t creatorPID;	  /* PID of creating process, in its own PID namespace */
	uint64_t totalsize;	  /* total size of segment, bytes */
	uint64_t freeoffset;  /* offset to first free space; advanced by compare-and-swap */
	uint64_t indexoffset; /* offset to ShmemIndex table; 0 until there is one */
	uint64_t device;	  /* device data directory is on */
	uint64_t inode;		  /* inode number of data directory */

	/* From here on ours. */
	uint32_t version; /* HOLDFAST_SEGMENT_VERSION */
	uint32_t state;	  /* HoldfastSegmentState, atomic */
	HoldfastCookie cookie;
	uint64_t creator_start_time; /* field 22 of /proc/PID/stat: tells a reused PID */
	uint32_t crc;				 /* CRC-32C of the fields that never change (not freeoffset, indexoffset, state) */
	uint32_t kind;				 /* HoldfastSegmentKind */
} PGShmemHeader;

#define HOLDFAST_SEGMENT_VERSION 1

/* PostgreSQL's shared_memory_type, huge_pages and huge_page_size. */
typedef enum HoldfastMemoryType
{
	HOLDFAST_MEMORY_SYSV = 0, /* all of it is one System V segment */
	HOLDFAST_MEMORY_MMAP = 1, /* a block of memory without a name, and a small System V segment as interlock */
} HoldfastMemoryType;

typedef enum HoldfastHugePages
{
	HOLDFAST_HUGE_PAGES_OFF = 0,
	HOLDFAST_HUGE_PAGES_ON = 1,	 /* or fail; only with mmap */
	HOLDFAST_HUGE_PAGES_TRY = 2, /* else normal pages */
} HoldfastHugePages;

typedef struct HoldfastMemory
{
	HoldfastMemoryType type;
	HoldfastHugePages huge_pages;
	Size huge_page_size; /* bytes, a power of two; 0: the kernel's default */
} HoldfastMemory;

/* PostgreSQL's verdicts on a segment that somebody found. */
typedef enum IpcMemoryState
{
	SHMSTATE_ANALYSIS_FAILURE, /* could not tell: treat as alive */
	SHMSTATE_ATTACHED,		   /* pertinent to our data directory, has attached processes */
	SHMSTATE_ENOENT,		   /* no segment of that id */
	SHMSTATE_FOREIGN,		   /* exists, but not pertinent to our data directory */
	SHMSTATE_UNATTACHED,	   /* pertinent to our data directory, no attached process */
} IpcMemoryState;

/*
 * Creates a segment of exactly `size` bytes under `memKey`, attaches it at *address, registers IpcMemoryDelete
 * and IpcMemoryDetach with on_shmem_exit, and records key and id in the lockfile.  The header is the caller's to
 * write.  Requires CreateDataDirLockFile(), and, for a death inside to be mended, holdfast_lockfile_record_intent().
 * Errors: HOLDFAST_COLLISION (EEXIST, EACCES, EIDRM: *address is NULL, reported as LOG); everything else is
 * unrecoverable and reported FATAL as PostgreSQL words it, with its hints for EINVAL, ENOMEM and ENOSPC:
 * HOLDFAST_SYSTEM_ERROR; HOLDFAST_IN_USE (the lockfile is no longer ours).  On failure nothing is left: no segment,
 * no callback of ours; those of others are not run.
 * Death inside: see the header comment.
 */
HOLDFAST_API HOLDFAST_MUST_CHECK HoldfastStatus InternalIpcMemoryCreate(IpcMemoryKey memKey,
																		Size size, void **address,
																		IpcMemoryId *shmid);

/*
 * on_shmem_exit callbacks, hence the funny argument list.  Failures are reported as LOG.  Delete leaves a segment alone
 * that this process did not create: ours was removed by hand, and its id given to another program.
 */
HOLDFAST_API void IpcMemoryDelete(int status, Datum shmId);
HOLDFAST_API void IpcMemoryDetach(int status, Datum shmaddr);

/*
 * Creates this data directory's segment, after making sure that no process of an earlier incarnation is
 * attached to one, and recycling those that are left.  Requires holdfast_set_data_directory() and
 * CreateDataDirLockFile().  *header points at the attached segment, state INIT.
 * Errors: HOLDFAST_IN_USE ("pre-existing shared memory block ... is still in use"), HOLDFAST_SYSTEM_ERROR,
 * HOLDFAST_MISUSE.
 */
HOLDFAST_API HOLDFAST_MUST_CHECK HoldfastStatus PGSharedMemoryCreate(Size size,
																	 PGShmemHeader **header);

/*
 * The same with the memory that `memory` asks for; NULL: System V.  With mmap *header points at the block; what finds and
 * judges segments finds and judges the interlock, to which everybody who has the block is attached.  Huge pages round
 * `size` up, which header->totalsize then says.
 * Errors also: HOLDFAST_MISUSE (huge pages on with System V, a page size that is no power of two);
 * HOLDFAST_SYSTEM_ERROR, FATAL, ENOMEM: there are no such pages; the hint says what to do.
 */
HOLDFAST_API HOLDFAST_MUST_CHECK HoldfastStatus holdfast_segment_create(Size size,
																		const HoldfastMemory *memory,
																		PGShmemHeader **header);

/*
 * Looks at segment shmId.  When its verdict is ATTACHED or UNATTACHED, *addr is where it was attached, to be read
 * only (the caller detaches with shmdt); otherwise NULL.  attachAt may be NULL.  Pertinent is what names our data
 * directory, as in PostgreSQL: a header that is damaged otherwise does not make its users harmless.
 */
HOLDFAST_API HOLDFAST_MUST_CHECK IpcMemoryState PGSharedMemoryAttach(IpcMemoryId shmId,
																	 void *attachAt,
																	 PGShmemHeader **addr);

/* Detaches this process, child or creator; the segment stays.  Detaching twice is success. */
HOLDFAST_API HOLDFAST_MUST_CHECK HoldfastStatus PGSharedMemoryDetach(void);

/*
 * Is the segment this process is attached to still one that others can find by its key?  False once somebody removed it
 * (ipcrm): the kernel keeps it until the last process detaches, so this server is whole and none can start beside
 * it, but it is a sign of somebody at work who should know.  That is reported as a WARNING, once.  One system call: to be
 * called every second or so; there is no event to wait for.  True too when it could not be asked, or there is none.
 */
HOLDFAST_API HOLDFAST_MUST_CHECK bool holdfast_segment_recheck(void);

/*
 * PostgreSQL's question at the stale-lockfile check: may processes of that incarnation be alive?  True also
 * when it could not be found out.  key is for messages only, as in PostgreSQL.  Before it says true it looks again for
 * 100 ms: the kernel may still be taking down a process that was killed just now.
 */
HOLDFAST_API bool PGSharedMemoryIsInUse(unsigned long key, unsigned long id);

/*
 * Another process joins the running cluster of its data directory (after exec, or a separate program):
 * reads the lockfile, shares the guard, attaches that segment, believes it only if READY and the cookies agree.
 * Until it detaches or ends, no other server starts.  An mmap block is opened through /proc/PID/fd of a process of the
 * server, which takes the right to look at it (the same user, the same or an inner PID namespace, no ptrace restriction
 * on non-dumpable programs).
 * Errors: HOLDFAST_NOT_FOUND (no lockfile, no segment, no way to its block), HOLDFAST_DAMAGED, HOLDFAST_SYSTEM_ERROR.
 */
HOLDFAST_API HOLDFAST_MUST_CHECK HoldfastStatus holdfast_segment_join(PGShmemHeader **header);

/* The segment (with mmap: the interlock) this process is attached to by the calls above; 0 and NULL when none. */
HOLDFAST_API extern unsigned long UsedShmemSegID;
HOLDFAST_API extern void *UsedShmemSegAddr;

/* One segment that belongs, or belonged, to some holdfast data directory. */
typedef struct HoldfastOrphan
{
	IpcMemoryId shmid;
	IpcMemoryKey key; /* 0 when already marked for removal */
	uint64_t size;
	uint64_t nattch;
	pid_t creator_pid;
	bool removed;			/* SHM_DEST: gone when the last process detaches */
	bool incarnation_alive; /* some process still attached, or its creator lives */
	HoldfastCookie cookie;
	uint64_t device, inode; /* of its data directory */
} HoldfastOrphan;

/*
 * Calls visit() for each segment on this system that carries our header (any data directory).  Stops when
 * visit() returns false.  Segments that cannot be read are skipped, as are everybody else's.
 */
typedef bool (*HoldfastOrphanVisitor)(const HoldfastOrphan *orphan, void *arg);
HOLDFAST_API HOLDFAST_MUST_CHECK HoldfastStatus holdfast_segments_visit(HoldfastOrphanVisitor visit,
																		void *arg);

/*
 * Removes one segment if, looked at again now, it carries that cookie, nobody is attached and its creator
 * is dead.  Errors: HOLDFAST_IN_USE, HOLDFAST_NOT_FOUND, HOLDFAST_SYSTEM_ERROR.
 */
HOLDFAST_API HOLDFAST_MUST_CHECK HoldfastStatus holdfast_segment_reap(IpcMemoryId shmid,
																	  const HoldfastCookie *cookie);

#ifdef __cplusplus
}
#endif
#endif
