/*
 * inspect.c
 *		What an operator sees of a data directory from outside.
 *
 *		1 read the lockfile            damaged or missing is a finding
 *		2 find the segment             by the recorded id, else by scanning for this directory's device and inode
 *		3 copy it, attached read-only  from here on nobody can change what we look at; of an interlock: the block it names
 *		4 decode slots and locks       every number is checked; what cannot be is DAMAGED
 *
 * Owner: the HoldfastInspection and all it points at is one tree of mallocs, the caller's.  Thread safety: two threads
 * must not inspect at once, because decoding borrows this process's view of its own segment.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <unistd.h>

#include <holdfast/inspect.h>
#include <holdfast/recovery.h>

#include "lwlock_internal.h"
#include "mmap_block.h"
#include "report.h"
#include "segment_internal.h"

typedef struct Decoder
{
	HoldfastInspection *inspection;
	ShmemAccess access; /* of the copy */
	LWLockPadded *array;
	uint32_t locks_capacity;
} Decoder;

/* ---- lockfile and segment ---- */

static void
look_at_lockfile(const char *data_dir, HoldfastInspection *in)
{
	in->lockfile_status = holdfast_lockfile_read(data_dir, &in->lockfile);
	if (in->lockfile_status < 0)
	{
		memcpy(in->lockfile_message, holdfast_last_error()->message, sizeof(in->lockfile_message));
		return;
	}
	in->lockfile_pid_dead = holdfast_process_is_dead(
		in->lockfile.pid, in->lockfile.is_ours ? in->lockfile.pid_start_time : 0);
}

typedef struct SegmentSearch
{
	uint64_t device, inode;
	IpcMemoryId wanted; /* -1: any of this directory */
	HoldfastOrphan found;
	bool matched;
} SegmentSearch;

static bool
match_segment(const HoldfastOrphan *orphan, void *arg)
{
	SegmentSearch *search = arg;
	bool ours = orphan->device == search->device && orphan->inode == search->inode;

	if (!ours || (search->wanted >= 0 && orphan->shmid != search->wanted))
		return true;
	search->found = *orphan;
	search->matched = true;
	return false;
}

/* 1 found, 0 none of this directory's, -1 scan failed. */
static int
search_segment(const struct stat *dir, IpcMemoryId wanted, HoldfastOrphan *found)
{
	SegmentSearch search = {.device = dir->st_dev, .inode = dir->st_ino, .wanted = wanted};

	if (holdfast_segments_visit(match_segment, &search) < 0)
		return -1;
	if (search.matched)
		*found = search.found;
	return search.matched ? 1 : 0;
}

static HoldfastStatus
look_at_segment(const struct stat *dir, HoldfastInspection *in)
{
	struct shmid_ds info;
	int found = 0;
	bool recorded = in->lockfile_status == HOLDFAST_OK && in->lockfile.has_segment;

	if (recorded)
		found = search_segment(dir, (IpcMemoryId) in->lockfile.shmem_id, &in->segment);
	if (found == 0)
		found = search_segment(dir, -1, &in->segment);
	if (found < 0)
		return HOLDFAST_SYSTEM_ERROR;
	if (found > 0)
	{
		in->state = in->lockfile_status == HOLDFAST_OK && !in->lockfile_pid_dead
						? HOLDFAST_INSPECT_IN_USE
						: HOLDFAST_INSPECT_ORPHAN;
		return HOLDFAST_OK;
	}
	if (recorded && shmctl((int) in->lockfile.shmem_id, IPC_STAT, &info) == 0)
	{
		in->state = HOLDFAST_INSPECT_FOREIGN;
		in->segment.shmid = (IpcMemoryId) in->lockfile.shmem_id;
		in->segment.key = info.shm_perm.__key;
		in->segment.size = info.shm_segsz;
		in->segment.nattch = info.shm_nattch;
		(void) holdfast_format(in->state_message, sizeof(in->state_message),
							   "segment %lu of the lockfile belongs to somebody else",
							   in->lockfile.shmem_id);
	}
	return HOLDFAST_OK;
}

/* A private copy of that memory; NULL with errno. */
static char *
copy_memory(const void *address, Size size)
{
	/* Slots are aligned to cache lines in the segment, and must be in the copy. */
	Size rounded = (size + CACHE_LINE_SIZE - 1) & ~(Size) (CACHE_LINE_SIZE - 1);
	char *copy = aligned_alloc(CACHE_LINE_SIZE, rounded);

	if (copy != NULL)
		memcpy(copy, address, size);
	return copy;
}

static char *
copy_segment(IpcMemoryId shmid, Size size)
{
	void *address = shmat(shmid, NULL, SHM_RDONLY);
	char *copy;

	if (address == (void *) -1)
		return NULL;
	copy = copy_memory(address, size);
	(void) shmdt(address);
	return copy;
}

static char *
copy_block(const BlockRecord *record, IpcMemoryId shmid)
{
	struct shmid_ds info = {0};
	void *address;
	char *copy = NULL;
	int saved_errno;
	/* The creator's number in our own PID namespace. */
	int fd =
		holdfast_block_open(record, shmctl(shmid, IPC_STAT, &info) == 0 ? info.shm_cpid : 0, false);

	if (fd < 0)
		return NULL;
	address = mmap(NULL, record->size, PROT_READ, MAP_SHARED, fd, 0);
	if (address != MAP_FAILED)
	{
		copy = copy_memory(address, record->size);
		(void) munmap(address, record->size);
	}
	saved_errno = errno;
	(void) close(fd);
	errno = saved_errno;
	return copy;
}

/* ---- slots ---- */

static const char *
kind_name(LWLockEntryKind kind)
{
	static const char *const names[] = {"none", "pending", "held", "releasing", "waking", "queued"};

	return kind <= ENTRY_QUEUED ? names[kind] : "damaged";
}

static void
decode_proc(const PGPROC *proc, int slot, HoldfastProcView *view)
{
	view->slot = slot;
	view->pid = PROC_PID(proc->life);
	view->start_time = proc->start_time;
	memcpy(view->role, proc->role, sizeof(view->role));
	view->role[sizeof(view->role) - 1] = '\0';
	view->dead = PROC_STATE(proc->life) == PROC_DEAD ||
				 holdfast_process_is_dead(view->pid, proc->start_time);
	view->waiting_lock = -1;
	view->wait_mode = (LWLockMode) proc->wait_mode;
	for (uint32_t i = 0; i < MAX_SIMUL_LWLOCKS; i++)
	{
		if (proc->entry[i] != 0 && ENTRY_KIND(proc->entry[i]) == ENTRY_HELD)
			view->nheld++;
	}
}

static HoldfastStatus
decode_procs(Decoder *decoder)
{
	HoldfastInspection *in = decoder->inspection;

	in->procs = calloc(decoder->access.nprocs, sizeof(*in->procs));
	if (in->procs == NULL)
		return HOLDFAST_NO_MEMORY;
	for (uint32_t slot = 0; slot < decoder->access.nprocs; slot++)
	{
		const PGPROC *proc = &decoder->access.procs[slot];

		if (PROC_STATE(proc->life) == PROC_FREE)
			continue;
		decode_proc(proc, (int) slot, &in->procs[in->nprocs]);
		if (decoder->access.proc_global->recovery_owner == slot + 1)
			(void) holdfast_format(in->procs[in->nprocs].wait_event,
								   sizeof(in->procs[in->nprocs].wait_event), "Recovery");
		in->nprocs++;
	}
	return HOLDFAST_OK;
}

/* ---- locks ---- */

static void
tranche_name(const Decoder *decoder, uint32_t id, char *name)
{
	const LWLockTranche *tranche;

	(void) holdfast_format(name, LWLOCK_TRANCHE_NAMELEN, "unknown");
	if (id >= LWLOCK_TRANCHES_MAX)
		return;
	tranche = &decoder->access.tranches->tranche[id];
	if (tranche->ready && memchr(tranche->name, '\0', sizeof(tranche->name)) != NULL)
		memcpy(name, tranche->name, sizeof(tranche->name));
}

static HoldfastStatus
add_lock(Decoder *decoder, uint64_t offset, int index)
{
	HoldfastInspection *in = decoder->inspection;
	const LWLock *lock = (const LWLock *) (decoder->access.base + offset);
	HoldfastLockView *view;

	if (in->nlocks == decoder->locks_capacity)
	{
		uint32_t capacity = decoder->locks_capacity * 2 + 16;
		HoldfastLockView *locks = realloc(in->locks, capacity * sizeof(*locks));

		if (locks == NULL)
			return HOLDFAST_NO_MEMORY;
		in->locks = locks;
		decoder->locks_capacity = capacity;
	}
	view = &in->locks[in->nlocks++];
	memset(view, 0, sizeof(*view));
	view->offset = offset;
	view->index = index;
	tranche_name(decoder, lock->tranche, view->tranche);
	view->state = lock->state;
	view->owner_slot = (int) lw_xowner(lock->state) - 1;
	view->shared_count = lw_shared_count(lock->state);
	view->has_waiters = (lock->state & LW_HAS_WAITERS) != 0;
	view->recovering = (lock->state & LW_RECOVERING) != 0;
	view->poisoned = (lock->state & LW_POISONED) != 0;
	view->not_recoverable = (lock->state & LW_NOT_RECOVERABLE) != 0;
	view->recoveries = lock->recoveries;
	if (!lw_is_legal(lock->state, decoder->access.nprocs) && in->state != HOLDFAST_INSPECT_DAMAGED)
	{
		in->state = HOLDFAST_INSPECT_DAMAGED;
		(void) holdfast_format(
			in->state_message, sizeof(in->state_message),
			"the word of the lock at offset %llu is %016llx, which no run can produce",
			(unsigned long long) offset, (unsigned long long) lock->state);
	}
	return HOLDFAST_OK;
}

static int
find_lock(const HoldfastInspection *in, uint64_t offset)
{
	for (uint32_t i = 0; i < in->nlocks; i++)
	{
		if (in->locks[i].offset == offset)
			return (int) i;
	}
	return -1;
}

static HoldfastStatus
add_hold(HoldfastLockView *lock, int slot, LWLockEntry entry)
{
	HoldfastHoldView *holds = realloc(lock->holds, (lock->nholds + 1) * sizeof(*holds));

	if (holds == NULL)
		return HOLDFAST_NO_MEMORY;
	lock->holds = holds;
	holds[lock->nholds++] = (HoldfastHoldView){
		.slot = slot, .mode = ENTRY_MODE(entry), .kind = kind_name(ENTRY_KIND(entry))};
	return HOLDFAST_OK;
}

static HoldfastStatus
decode_journal(Decoder *decoder, HoldfastProcView *view)
{
	HoldfastInspection *in = decoder->inspection;
	const PGPROC *proc = &decoder->access.procs[view->slot];
	HoldfastStatus status = HOLDFAST_OK;

	for (uint32_t i = 0; i < JOURNAL_SIZE && status == HOLDFAST_OK; i++)
	{
		LWLockEntry entry = proc->entry[i];
		uint64_t offset = ENTRY_OFFSET(entry);
		int which;

		if (entry == 0)
			continue;
		if (offset % _Alignof(LWLock) != 0 || offset < sizeof(PGShmemHeader) ||
			offset > decoder->access.size - sizeof(LWLock))
		{
			in->state = HOLDFAST_INSPECT_DAMAGED;
			(void) holdfast_format(in->state_message, sizeof(in->state_message),
								   "the journal of slot %d names no lock", view->slot);
			continue;
		}
		which = find_lock(in, offset);
		if (which < 0)
		{
			status = add_lock(decoder, offset, -1);
			which = (int) in->nlocks - 1;
		}
		if (status == HOLDFAST_OK)
			status = add_hold(&in->locks[which], view->slot, entry);
		if (status == HOLDFAST_OK && i != JOURNAL_LINK && ENTRY_KIND(entry) == ENTRY_QUEUED)
			(void) holdfast_format(view->wait_event, sizeof(view->wait_event), "LWLock:%s",
								   in->locks[which].tranche);
		if (proc->wait_lock == offset)
			view->waiting_lock = which;
	}
	return status;
}

/* ---- tranches ---- */

static void
decode_counts(const Decoder *decoder, uint32_t id, HoldfastTrancheView *view)
{
	for (uint32_t slot = 0; slot < decoder->access.nprocs; slot++)
	{
		const LWLockCounts *counts = &decoder->access.procs[slot].counts[id];

		view->shared += counts->shared;
		view->exclusive += counts->exclusive;
		view->blocked += counts->blocked;
		view->spin_delayed += counts->spin_delayed;
		view->dequeued_self += counts->dequeued_self;
		view->unwoken += counts->unwoken;
	}
	for (uint32_t i = 0; i < decoder->access.nlocks; i++)
	{
		const LWLock *lock = &decoder->array[i].lock;

		view->nlocks += lock->tranche == id;
		view->recoveries += lock->tranche == id ? lock->recoveries : 0;
	}
}

static HoldfastStatus
decode_tranches(Decoder *decoder)
{
	HoldfastInspection *in = decoder->inspection;

	in->checks = decoder->access.proc_global->checks;
	in->tranches = calloc(LWLOCK_TRANCHES_MAX, sizeof(*in->tranches));
	if (in->tranches == NULL)
		return HOLDFAST_NO_MEMORY;
	for (uint32_t id = 0; id < LWLOCK_TRANCHES_MAX; id++)
	{
		HoldfastTrancheView *view = &in->tranches[in->ntranches];

		if (!decoder->access.tranches->tranche[id].ready)
			continue;
		tranche_name(decoder, id, view->name);
		decode_counts(decoder, id, view);
		in->ntranches++;
	}
	return HOLDFAST_OK;
}

static HoldfastStatus
decode_locks(Decoder *decoder)
{
	HoldfastInspection *in = decoder->inspection;
	HoldfastStatus status = HOLDFAST_OK;

	for (uint32_t i = 0; i < decoder->access.nlocks && status == HOLDFAST_OK; i++)
		status = add_lock(decoder, (uint64_t) ((char *) &decoder->array[i] - decoder->access.base),
						  (int) i);
	for (uint32_t i = 0; i < in->nprocs && status == HOLDFAST_OK; i++)
		status = decode_journal(decoder, &in->procs[i]);
	return status;
}

static HoldfastStatus
decode_tables(Decoder *decoder)
{
	HoldfastInspection *in = decoder->inspection;
	HoldfastStatus status;

	if (in->header.state == HOLDFAST_SEGMENT_INIT)
	{
		(void) holdfast_format(in->state_message, sizeof(in->state_message),
							   "its creator has not finished, or died before it had");
		return HOLDFAST_OK;
	}
	if (!holdfast_shmem_find_tables(&decoder->access, &decoder->array))
	{
		in->state = HOLDFAST_INSPECT_DAMAGED;
		(void) holdfast_format(in->state_message, sizeof(in->state_message),
							   "the tables in the segment are damaged");
		return HOLDFAST_OK;
	}
	status = decode_procs(decoder);
	if (status == HOLDFAST_OK)
		status = decode_tranches(decoder);
	return status == HOLDFAST_OK ? decode_locks(decoder) : status;
}

/* Looks from the interlock to its block.  False: there is nothing to decode, and the inspection says why. */
static bool
follow_interlock(Decoder *decoder)
{
	HoldfastInspection *in = decoder->inspection;
	BlockRecord record = {0};
	bool whole = decoder->access.size >= sizeof(InterlockSegment);

	if (whole)
		record = ((const InterlockSegment *) (void *) decoder->access.base)->block;
	free(decoder->access.base);
	decoder->access.base = NULL;
	if (!whole || !holdfast_block_record_is_valid(&record))
	{
		in->state = HOLDFAST_INSPECT_DAMAGED;
		(void) holdfast_format(in->state_message, sizeof(in->state_message),
							   "what the interlock says of the memory is damaged");
		return false;
	}
	in->memory_size = record.size;
	in->page_size = record.page_size;
	decoder->access.size = record.size;
	decoder->access.base = copy_block(&record, in->segment.shmid);
	if (decoder->access.base == NULL)
	{
		in->memory_unreachable = true;
		(void) holdfast_format(in->state_message, sizeof(in->state_message),
							   errno == ENOENT
								   ? "its memory is open in no process that we may look at"
								   : "its memory could not be read");
		return false;
	}
	memcpy(&in->header, decoder->access.base, sizeof(in->header));
	if (holdfast_header_is_valid(&in->header, record.size))
		return true;
	in->state = HOLDFAST_INSPECT_DAMAGED;
	(void) holdfast_format(in->state_message, sizeof(in->state_message),
						   "the header of its memory is damaged");
	return false;
}

static HoldfastStatus
decode_segment(HoldfastInspection *in)
{
	Decoder decoder = {.inspection = in, .access = {.size = in->segment.size}};
	HoldfastStatus status = HOLDFAST_OK;

	decoder.access.base = copy_segment(in->segment.shmid, in->segment.size);
	if (decoder.access.base == NULL)
	{
		if (errno == EINVAL || errno == EIDRM) /* gone since we saw it */
		{
			in->state = HOLDFAST_INSPECT_NONE;
			return HOLDFAST_OK;
		}
		return report(HOLDFAST_ERROR, HOLDFAST_SYSTEM_ERROR, errno, NULL, NULL,
					  "could not copy shared memory segment %d: %m", in->segment.shmid);
	}
	memcpy(&in->header, decoder.access.base, sizeof(in->header));
	in->memory_type =
		in->header.kind == HOLDFAST_SEGMENT_INTERLOCK ? HOLDFAST_MEMORY_MMAP : HOLDFAST_MEMORY_SYSV;
	in->memory_size = in->segment.size;
	in->page_size = (uint64_t) sysconf(_SC_PAGESIZE);
	if (in->memory_type == HOLDFAST_MEMORY_SYSV || follow_interlock(&decoder))
		status = decode_tables(&decoder);
	free(decoder.access.base);
	return status;
}

/* ---- the whole ---- */

HoldfastStatus
holdfast_inspect(const char *data_dir, HoldfastInspection **out)
{
	struct stat dir;
	HoldfastInspection *in;
	HoldfastStatus status;

	*out = NULL;
	if (stat(data_dir, &dir) < 0 || !S_ISDIR(dir.st_mode))
		return report(HOLDFAST_ERROR, HOLDFAST_SYSTEM_ERROR, errno != 0 ? errno : ENOTDIR, NULL,
					  NULL, "could not read data directory \"%s\": %m", data_dir);
	in = calloc(1, sizeof(*in));
	if (in == NULL)
		return report(HOLDFAST_ERROR, HOLDFAST_NO_MEMORY, ENOMEM, NULL, NULL, "out of memory");

	look_at_lockfile(data_dir, in);
	status = look_at_segment(&dir, in);
	if (status == HOLDFAST_OK &&
		(in->state == HOLDFAST_INSPECT_IN_USE || in->state == HOLDFAST_INSPECT_ORPHAN))
		status = decode_segment(in);
	if (status < 0)
	{
		holdfast_inspect_free(in);
		return status == HOLDFAST_NO_MEMORY
				   ? report(HOLDFAST_ERROR, status, ENOMEM, NULL, NULL, "out of memory")
				   : status;
	}
	*out = in;
	return HOLDFAST_OK;
}

void
holdfast_inspect_free(HoldfastInspection *inspection)
{
	if (inspection == NULL)
		return;
	for (uint32_t i = 0; i < inspection->nlocks; i++)
		free(inspection->locks[i].holds);
	free(inspection->locks);
	free(inspection->tranches);
	free(inspection->procs);
	free(inspection);
}
