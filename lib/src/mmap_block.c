/*
 * mmap_block.c
 *		shared_memory_type = mmap: a block of memory without a name, found by inheritance, or through a process that has it.
 *
 * PostgreSQL maps anonymous memory, which only children can have.  Ours is a memory file (memfd): the same kind of pages,
 * without a name as well and gone with the last process, but whoever may look at a process of the server can open it
 * through /proc/PID/fd, so that others can join and inspect.  Its size is sealed: nobody can cut it under those who
 * have it mapped.  The small System V segment beside it, the interlock, says which one it is (BlockRecord).
 *
 * A memory file is not charged when it is made but page by page, and a page that is refused then ends the process.  So the
 * kernel is asked first whether it would give that much, and where it counts strictly (vm.overcommit_memory = 2) the
 * pages are taken at once.
 *
 * Owner: `block` is this process's own mapping, of the creator and what it forks, or of a joiner.
 * Thread safety: one thread.  Signal safety: none.  Crash safety: the kernel takes the block with its last process.
 * Source: after PostgreSQL's sysv_shmem.c in what huge_pages means, in messages and hints.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crc32c.h"
#include "inject_point.h"
#include "mmap_block.h"
#include "report.h"

#define HUGE_PAGE_FALLBACK ((Size) 2 << 20)
#define SEALS              (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

static struct
{
	void *address; /* NULL: none */
	Size size;
	int fd;
} block = {.fd = -1};

/* ---- pages ---- */

Size
holdfast_huge_page_default(const char *path)
{
	FILE *meminfo = fopen(path, "re");
	char line[128];
	unsigned long kilobytes = 0;

	while (meminfo != NULL && kilobytes == 0 && fgets(line, sizeof(line), meminfo) != NULL)
		(void) sscanf(line, "Hugepagesize: %lu kB", &kilobytes);
	if (meminfo != NULL)
		(void) fclose(meminfo);
	return kilobytes != 0 ? (Size) kilobytes * 1024 : HUGE_PAGE_FALLBACK;
}

static int
log2_of(Size power)
{
	return __builtin_ctzll(power);
}

/* ---- making one ---- */

static void
drop(int fd)
{
	int saved_errno = errno;

	(void) close(fd);
	errno = saved_errno;
}

/* Sized, sealed and mapped; -1 with errno. */
static int
make_file(Size size, unsigned flags, bool take_pages, void **address)
{
	int fd = memfd_create("holdfast", MFD_CLOEXEC | MFD_ALLOW_SEALING | flags);

	if (fd < 0)
		return -1;
	if (ftruncate(fd, (off_t) size) < 0 || (take_pages && fallocate(fd, 0, 0, (off_t) size) < 0))
	{
		drop(fd);
		return -1;
	}
	(void) fcntl(fd, F_ADD_SEALS, SEALS); /* some kernels cannot seal huge pages */
	*address = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (*address == MAP_FAILED)
	{
		drop(fd);
		return -1;
	}
	return fd;
}

/* All of them are reserved when they are mapped: none is missing later. */
static int
make_huge(Size size, const HoldfastMemory *memory, BlockRecord *record, void **address)
{
	Size page = memory->huge_page_size != 0 ? memory->huge_page_size
											: holdfast_huge_page_default("/proc/meminfo");
	unsigned flags = MFD_HUGETLB;

	if (memory->huge_page_size != 0)
		flags |= (unsigned) log2_of(page) << MAP_HUGE_SHIFT; /* the same for memory files */
	record->page_size = page;
	record->size = (size + page - 1) & ~(page - 1);
	return make_file(record->size, flags, false, address);
}

static bool
kernel_counts_strictly(void)
{
	FILE *file = fopen("/proc/sys/vm/overcommit_memory", "re");
	int mode = 0;

	if (file == NULL)
		return false;
	if (fscanf(file, "%d", &mode) != 1)
		mode = 0;
	(void) fclose(file);
	return mode == 2;
}

static bool
kernel_would_give(Size size)
{
	void *probe = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return probe != MAP_FAILED && munmap(probe, size) == 0;
}

static int
make_normal(Size size, BlockRecord *record, void **address)
{
	record->page_size = (uint64_t) sysconf(_SC_PAGESIZE);
	record->size = size;
	if (!kernel_would_give(size))
		return -1;
	return make_file(size, 0, kernel_counts_strictly(), address);
}

static HoldfastStatus
no_memory(const HoldfastMemory *memory, Size size)
{
	int error = errno;
	char hint[512];

	if (error != ENOMEM)
		hint[0] = '\0';
	else
		(void) holdfast_format(
			hint, sizeof(hint),
			"This error usually means that the request for a shared memory segment exceeded the "
			"available memory, swap space%s.  To make it smaller (currently %zu bytes), ask for "
			"fewer process slots, locks or user bytes.",
			memory->huge_pages == HOLDFAST_HUGE_PAGES_ON
				? ", or huge pages (vm.nr_hugepages; or set huge_pages to try or off)"
				: "",
			size);
	return report(HOLDFAST_FATAL, HOLDFAST_SYSTEM_ERROR, error, NULL, hint[0] != '\0' ? hint : NULL,
				  "could not map anonymous shared memory: %m");
}

static bool
describe(BlockRecord *record, int fd)
{
	struct stat info;

	if (fstat(fd, &info) < 0)
		return false;
	record->magic = BLOCK_RECORD_MAGIC;
	record->fd = fd;
	record->device = info.st_dev;
	record->inode = info.st_ino;
	record->crc = holdfast_block_record_crc(record);
	return true;
}

HoldfastStatus
holdfast_block_create(Size size, const HoldfastMemory *memory, BlockRecord *record, void **address)
{
	int fd = -1;

	memset(record, 0, sizeof(*record));
	*address = NULL;
	if (memory->huge_pages != HOLDFAST_HUGE_PAGES_OFF)
		fd = make_huge(size, memory, record, address);
	if (fd < 0 && memory->huge_pages == HOLDFAST_HUGE_PAGES_TRY)
		(void) report(HOLDFAST_DEBUG, HOLDFAST_OK, errno, NULL, NULL,
					  "could not map %llu bytes in huge pages, using normal ones: %m",
					  (unsigned long long) record->size);
	if (fd < 0 && memory->huge_pages != HOLDFAST_HUGE_PAGES_ON)
		fd = make_normal(size, record, address);
	if (fd < 0)
		return no_memory(memory, record->size);
	block.address = *address;
	block.size = record->size;
	block.fd = fd;
	if (!describe(record, fd))
	{
		HoldfastStatus status = no_memory(memory, size);

		holdfast_block_release();
		return status;
	}
	INJECT_POINT("sysv/block/made", INJECT_ANYWHERE,
				 "memory without a name: the kernel takes it back with the corpse");
	return HOLDFAST_OK;
}

void
holdfast_block_release(void)
{
	if (block.address != NULL && munmap(block.address, block.size) < 0)
		(void) report(HOLDFAST_LOG, HOLDFAST_SYSTEM_ERROR, errno, NULL, NULL,
					  "munmap(%p, %zu) failed: %m", block.address, block.size);
	if (block.fd >= 0)
		(void) close(block.fd);
	block.address = NULL;
	block.fd = -1;
}

/* ---- finding one ---- */

uint32_t
holdfast_block_record_crc(const BlockRecord *record)
{
	return holdfast_crc32c(record, offsetof(BlockRecord, crc));
}

bool
holdfast_block_record_is_valid(const BlockRecord *record)
{
	return record->magic == BLOCK_RECORD_MAGIC &&
		   record->crc == holdfast_block_record_crc(record) && record->fd >= 0 &&
		   record->size >= sizeof(PGShmemHeader);
}

static bool
is_the_block(const struct stat *info, const BlockRecord *record)
{
	return info->st_dev == record->device && info->st_ino == record->inode &&
		   S_ISREG(info->st_mode) && (uint64_t) info->st_size == record->size;
}

/* Looked at before it is opened: under a number that was reused lies who knows what. */
static int
open_through(pid_t pid, const BlockRecord *record, bool writable)
{
	char path[64];
	struct stat info;
	int fd;

	(void) snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int) pid, (int) record->fd);
	if (stat(path, &info) < 0 || !is_the_block(&info, record))
		return -1;
	fd = open(path, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC);
	if (fd >= 0 && (fstat(fd, &info) < 0 || !is_the_block(&info, record)))
	{
		drop(fd);
		return -1;
	}
	return fd;
}

/* The creator is dead, or out of sight: its children have the descriptor under the same number. */
static int
open_through_anybody(const BlockRecord *record, bool writable)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	int fd = -1;

	while (proc != NULL && fd < 0 && (entry = readdir(proc)) != NULL)
	{
		if (isdigit((unsigned char) entry->d_name[0]))
			fd = open_through((pid_t) strtol(entry->d_name, NULL, 10), record, writable);
	}
	if (proc != NULL)
		(void) closedir(proc);
	return fd;
}

int
holdfast_block_open(const BlockRecord *record, pid_t creator, bool writable)
{
	int fd = creator > 0 ? open_through(creator, record, writable) : -1;

	if (fd < 0)
		fd = open_through_anybody(record, writable);
	if (fd < 0)
		errno = ENOENT;
	return fd;
}

void *
holdfast_block_join(const BlockRecord *record, pid_t creator)
{
	int fd = holdfast_block_open(record, creator, true);
	void *address;

	if (fd < 0)
		return NULL;
	address = mmap(NULL, record->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (address == MAP_FAILED)
	{
		drop(fd);
		return NULL;
	}
	block.address = address;
	block.size = record->size;
	block.fd = fd;
	return address;
}
