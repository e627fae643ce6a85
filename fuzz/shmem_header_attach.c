/*
 * shmem_header_attach.c
 *		Fuzz target: a segment that somebody scribbled over, looked at, joined and recovered.
 *
 * The segment is the library's own, whole, and the input changes it: bytes anywhere, or words that look like what belongs
 * there (a journal entry, the life of a slot, a lock's word), the more dangerous lies.  Then what a joiner and an inspector do:
 * believe the header or not, find the tables, decode slots and locks, claim a slot, recover the dead, take and release every
 * lock.  Nothing may be read or written outside the segment, nothing may go on for ever, and what is said of it is in order.
 *
 * Input: a byte of flags, then records of 12 bytes: where, how, offset (2), value (8).
 */
#include "segment.h"

/* Before inspect.c, which is included for its decoder. */
#include "crc32c.h"
#include "inspect.c"
#include "segment_internal.h"

#include <holdfast/ipc.h>

#define SLOTS       3
#define SELF        4242
#define CHANGES_MAX 40
#define LOCKS_TRIED 8
#define DEADLINE_US 20000

enum
{
	CRC_STAYS_WRONG = 1 << 0,
	NO_RECOVERY = 1 << 1,
	TIMED = 1 << 2,
	SHARED = 1 << 3,
};

typedef struct Region
{
	size_t start, size;
} Region;

static char *segment;
static char *whole; /* as it was made */
static size_t segment_size_;
static Region regions[8];

/* ---- the world ---- */

void
fuzz_point(const char *name)
{
	(void) name;
}

pid_t
fuzz_getpid(void)
{
	return SELF;
}

/* Half of all others live. */
bool
fuzz_pid_is_dead(pid_t pid, uint64_t start_time)
{
	(void) start_time;
	return pid <= 0 || (pid & 1) != 0;
}

HoldfastStatus
holdfast_segment_join(PGShmemHeader **header)
{
	(void) header;
	return HOLDFAST_NOT_FOUND;
}

/* What inspect.c would ask of the kernel's side: only its decoder is used here. */
bool
holdfast_block_record_is_valid(const BlockRecord *record)
{
	(void) record;
	return false;
}

int
holdfast_block_open(const BlockRecord *record, pid_t creator, bool writable)
{
	(void) record;
	(void) creator;
	(void) writable;
	return -1;
}

bool
holdfast_header_is_valid(const PGShmemHeader *header, uint64_t size)
{
	(void) header;
	(void) size;
	return false;
}

HoldfastStatus
holdfast_lockfile_read(const char *data_dir, HoldfastLockfile *out)
{
	(void) data_dir;
	(void) out;
	return HOLDFAST_NOT_FOUND;
}

HoldfastStatus
holdfast_segments_visit(HoldfastOrphanVisitor visit, void *arg)
{
	(void) visit;
	(void) arg;
	return HOLDFAST_OK;
}

/* segment_scan.c says the same of a header; it is small, and the rest of it needs a kernel. */
static bool
header_is_believed(void)
{
	PGShmemHeader constant = *(const PGShmemHeader *) segment;
	uint32_t crc = constant.crc;

	constant.freeoffset = constant.indexoffset = 0;
	constant.state = constant.crc = 0;
	return constant.magic == PGShmemMagic && constant.version == HOLDFAST_SEGMENT_VERSION &&
		   constant.totalsize == segment_size_ &&
		   crc == holdfast_crc32c(&constant, sizeof(constant));
}

static void
mend_header(void)
{
	PGShmemHeader *header = (PGShmemHeader *) segment;
	PGShmemHeader constant;

	header->magic = PGShmemMagic;
	header->version = HOLDFAST_SEGMENT_VERSION;
	header->totalsize = segment_size_;
	constant = *header;
	constant.freeoffset = constant.indexoffset = 0;
	constant.state = constant.crc = 0;
	header->crc = holdfast_crc32c(&constant, sizeof(constant));
}

/* ---- the changes ---- */

static uint64_t
dangerous_word(uint8_t how, uint64_t value)
{
	uint64_t locks = shmem_offset(LWLockArray);
	uint64_t number = value & 7;

	switch (how >> 4 & 3)
	{
		case 1: /* a journal entry, mostly of a lock, or of what is no lock */
			return ENTRY_MAKE((value & 0x80) ? (value >> 16) % (segment_size_ + 256)
											 : locks + number * sizeof(LWLockPadded),
							  value >> 8 & 3, value >> 4 & 7);
		case 2: /* a life */
			return PROC_WORD(value >> 32, SELF - 4 + number, value >> 4 & 7);
		case 3: /* a lock's word */
			return number | (value >> 3 & 7) << LW_QOWNER_SHIFT |
				   (value >> 6 & 7) << LW_XOWNER_SHIFT | (value >> 9 & 0x3f) << 24;
		default:
			return value;
	}
}

static void
change(FuzzBytes *bytes)
{
	const Region *region = &regions[fuzz_take_u8(bytes) % 8];
	uint8_t how = fuzz_take_u8(bytes);
	size_t width = (size_t) 1 << (how & 3);
	uint16_t offset;
	uint64_t value;
	size_t at;

	fuzz_take(bytes, &offset, sizeof(offset));
	value = fuzz_take_u64(bytes);
	if (how & 0x30)
	{
		width = 8;
		value = dangerous_word(how, value);
	}
	at = region->start + (offset * width) % region->size;
	at -= at % width;
	if (at + width <= segment_size_)
		memcpy(segment + at, &value, width);
}

/* ---- what must be so ---- */

static void
require_inside(const ShmemAccess *access, const void *table, size_t size)
{
	const char *at = table;

	REQUIRE(at >= access->base + sizeof(PGShmemHeader));
	REQUIRE((size_t) (at - access->base) <= access->size);
	REQUIRE(size <= access->size - (size_t) (at - access->base));
	REQUIRE((uintptr_t) at % CACHE_LINE_SIZE == 0);
}

static void
require_tables(const ShmemAccess *access, const LWLockPadded *locks)
{
	REQUIRE(access->nprocs >= 1 && access->nprocs <= HOLDFAST_PROCS_MAX && access->nlocks >= 1);
	require_inside(access, access->index, sizeof(*access->index));
	require_inside(access, access->tranches, sizeof(*access->tranches));
	require_inside(access, access->proc_global, sizeof(*access->proc_global));
	require_inside(access, access->procs, access->nprocs * sizeof(PGPROC));
	require_inside(access, locks, access->nlocks * sizeof(LWLockPadded));
}

static void
require_inspection(const HoldfastInspection *in)
{
	REQUIRE(in->nprocs <= HOLDFAST_PROCS_MAX);
	REQUIRE(memchr(in->state_message, '\0', sizeof(in->state_message)) != NULL);
	REQUIRE(in->state != HOLDFAST_INSPECT_DAMAGED || in->state_message[0] != '\0');
	for (uint32_t i = 0; i < in->nprocs; i++)
	{
		const HoldfastProcView *proc = &in->procs[i];

		REQUIRE(memchr(proc->role, '\0', sizeof(proc->role)) != NULL);
		REQUIRE(proc->waiting_lock >= -1 && proc->waiting_lock < (int) in->nlocks);
	}
	for (uint32_t i = 0; i < in->nlocks; i++)
	{
		const HoldfastLockView *lock = &in->locks[i];

		REQUIRE(lock->offset + sizeof(LWLock) <= segment_size_);
		REQUIRE(memchr(lock->tranche, '\0', sizeof(lock->tranche)) != NULL);
		for (uint32_t j = 0; j < lock->nholds; j++)
			REQUIRE(lock->holds[j].kind != NULL && lock->holds[j].slot >= 0);
	}
}

static void
inspect_it(void)
{
	HoldfastInspection *in = calloc(1, sizeof(*in));
	Decoder decoder = {.inspection = in, .access = {.size = segment_size_}};

	REQUIRE(in != NULL);
	decoder.access.base = copy_memory(segment, segment_size_);
	REQUIRE(decoder.access.base != NULL);
	memcpy(&in->header, decoder.access.base, sizeof(in->header));
	REQUIRE(decode_tables(&decoder) == HOLDFAST_OK);
	require_inspection(in);
	free(decoder.access.base);
	holdfast_inspect_free(in);
}

/* ---- a member of that cluster ---- */

static void
try_lock(LWLock *lock, uint8_t flags)
{
	LWLockMode mode = (flags & SHARED) ? LW_SHARED : LW_EXCLUSIVE;
	HoldfastStatus status =
		(flags & TIMED) ? LWLockAcquireTimed(lock, mode, 0) : LWLockConditionalAcquire(lock, mode);

	(void) GetLWLockIdentifier(lock->tranche);
	if (status < 0 || status == HOLDFAST_BUSY)
	{
		REQUIRE(status == HOLDFAST_BUSY || status == HOLDFAST_TIMED_OUT ||
				status == HOLDFAST_NOT_RECOVERABLE || status == HOLDFAST_RESET_NEEDED ||
				status == HOLDFAST_DEADLOCK || status == HOLDFAST_DAMAGED ||
				status == HOLDFAST_LIMIT);
		return;
	}
	REQUIRE(LWLockHeldByMeInMode(lock, mode));
	if (status == HOLDFAST_OWNER_DEAD && mode == LW_EXCLUSIVE)
		(void) LWLockMarkConsistent(lock);
	(void) LWLockRelease(lock);
}

static void
live_in_it(uint8_t flags)
{
	HoldfastRecovery result;
	void *memory;
	HoldfastStatus status = InitProcess("member");

	REQUIRE(status == HOLDFAST_OK || status == HOLDFAST_LIMIT);
	if (status != HOLDFAST_OK)
		return;
	if ((flags & NO_RECOVERY) == 0)
	{
		status = holdfast_recover(DEADLINE_US, &result);
		REQUIRE(status == HOLDFAST_OK || status == HOLDFAST_TIMED_OUT ||
				status == HOLDFAST_RESET_NEEDED || status == HOLDFAST_DAMAGED);
		REQUIRE(result.stopped_slot >= -1 && result.stopped_slot < (int) holdfast_shmem.nprocs);
	}
	for (uint32_t i = 0; i < holdfast_shmem.nlocks && i < LOCKS_TRIED; i++)
		try_lock(&LWLockArray[i].lock, flags);
	memory = ShmemAlloc(64);
	REQUIRE(memory == NULL || ShmemAddrIsValid((char *) memory + 63));
	(void) holdfast_slot_of_pid(SELF + 1);
	ProcKill(0, 0);
}

static void
make_world(void)
{
	const ShmemAccess *access = &holdfast_shmem;

	segment = fuzz_segment_create(SLOTS, &segment_size_);
	mend_header();
	whole = malloc(segment_size_);
	REQUIRE(whole != NULL);
	memcpy(whole, segment, segment_size_);
	regions[0] = (Region){0, sizeof(PGShmemHeader)};
	regions[1] = (Region){shmem_offset(access->index), 8 + 8 * sizeof(ShmemIndexEntry)};
	regions[2] = (Region){shmem_offset(access->tranches), 16 + 6 * sizeof(LWLockTranche)};
	regions[3] = (Region){shmem_offset(LWLockArray), access->nlocks * sizeof(LWLockPadded)};
	regions[4] = (Region){shmem_offset(access->proc_global), sizeof(ProcGlobalData)};
	regions[5] = (Region){shmem_offset(access->procs), SLOTS * sizeof(PGPROC)};
	regions[6] =
		(Region){shmem_offset(access->procs), 256}; /* one slot, and the top of its journal */
	regions[7] = (Region){0, segment_size_};
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	FuzzBytes bytes = {.next = data, .end = data + size};
	uint8_t flags = fuzz_take_u8(&bytes);
	ShmemAccess before, access = {0};
	LWLockPadded *locks = NULL;

	if (segment == NULL)
		make_world();
	memcpy(segment, whole, segment_size_);
	before = holdfast_shmem;
	for (int i = 0; i < CHANGES_MAX && fuzz_left(&bytes) > 0; i++)
		change(&bytes);
	if ((flags & CRC_STAYS_WRONG) == 0)
		mend_header();
	if (!header_is_believed())
		return 0;
	inspect_it();
	REQUIRE(memcmp(&before, &holdfast_shmem, sizeof(before)) == 0);
	access.base = segment;
	access.size = segment_size_;
	if (holdfast_shmem_find_tables(&access, &locks))
	{
		LWLockPadded *array = LWLockArray;

		require_tables(&access, locks);
		holdfast_shmem = access;
		LWLockArray = locks;
		live_in_it(flags);
		holdfast_shmem = before;
		LWLockArray = array;
	}
	REQUIRE(memcmp(&before, &holdfast_shmem, sizeof(before)) == 0);
	return 0;
}
