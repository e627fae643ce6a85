/*
 * table.c
 *		The control table: made, mapped, checked, locked; its points and counters.
 *
 * The table is a memfd sealed against shrinking and growing, so that nobody who has the descriptor can turn
 * our mapping into SIGBUS.  Whoever attaches checks what the descriptor is before believing a byte of it:
 * seals, size, owner, magic, version.
 *
 * Owner: the mapping and the descriptor are the process's.
 * Thread safety: create, attach and detach belong to one thread; the rest is lock-free or under `lock`.
 * Signal safety: counters and lookups; not the rest.
 * Crash safety: points are appended by one store of point_count.  The lock carries its holder's identity
 * and is taken over from a dead one, which leaves at worst an unpublished point or plan.
 */
#include "table.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/single_threaded.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "error.h"
#include "fiu_adapter.h"
#include "identity.h"
#include "own_word.h"
#include "registry.h"
#include "self.h"

#define LOCK_TRIES    5000 /* a millisecond each */
#define EXPORT_FD_LOW 200  /* out of the way of programs that count on small descriptors */
#define NEEDED_SEALS  (F_SEAL_SHRINK | F_SEAL_GROW)

InjectTable *inject_table;
static int table_fd = -1;

/* ---- counters ---- */

/* Whether `tag` is of an epoch before that of `now`, in 16-bit arithmetic that wraps. */
static bool
tag_is_older(uint64_t tag, uint64_t now)
{
	return (int16_t) (uint16_t) (now - tag) > 0;
}

/* One more for `epoch`; false when the counter is of a later one. */
static bool
next_count(TableCounter before, uint64_t epoch, TableCounter *after)
{
	uint64_t tag = before >> COUNTER_BITS;

	if (tag == counter_tag(epoch))
		*after = before + 1;
	else if (before == 0 || tag_is_older(tag, counter_tag(epoch)))
		*after = counter_tag(epoch) << COUNTER_BITS | 1;
	else
		return false;
	return true;
}

/* relaxed throughout: a counter publishes nothing but itself; readers wait for the process's end first. */
uint64_t
counter_add(TableCounter *counter, uint64_t epoch)
{
	TableCounter before = __atomic_load_n(counter, __ATOMIC_RELAXED);
	TableCounter after;

	do
	{
		if (!next_count(before, epoch, &after))
			return 0;
	} while (!__atomic_compare_exchange_n(counter, &before, after, true, __ATOMIC_RELAXED,
										  __ATOMIC_RELAXED));
	return after & COUNTER_MASK;
}

uint64_t
counter_add_own(TableCounter *counter, uint64_t epoch)
{
	TableCounter before = __atomic_load_n(counter, __ATOMIC_RELAXED);
	TableCounter after;

	/* A raw clone() may make threads that the C library does not know of: then a count can be lost. */
	if (!__libc_single_threaded)
		return counter_add(counter, epoch);
	do
	{
		if (!next_count(before, epoch, &after))
			return 0;
	} while (!own_word_exchange(counter, &before, after));
	return after & COUNTER_MASK;
}

bool
counter_take(TableCounter *counter, uint64_t epoch, uint64_t limit)
{
	TableCounter before = __atomic_load_n(counter, __ATOMIC_RELAXED);
	TableCounter after;

	do
	{
		uint64_t tag = before >> COUNTER_BITS;
		uint64_t count = tag == counter_tag(epoch) ? before & COUNTER_MASK : 0;

		if (count >= limit || (before != 0 && tag_is_older(counter_tag(epoch), tag)))
			return false;
		after = counter_tag(epoch) << COUNTER_BITS | (count + 1);
	} while (!__atomic_compare_exchange_n(counter, &before, after, true, __ATOMIC_RELAXED,
										  __ATOMIC_RELAXED));
	return true;
}

uint64_t
counter_read(const TableCounter *counter, uint64_t epoch)
{
	TableCounter value = __atomic_load_n(counter, __ATOMIC_RELAXED);

	return value >> COUNTER_BITS == counter_tag(epoch) ? value & COUNTER_MASK : 0;
}

/* ---- the writers' lock ---- */

InjectStatus
table_lock(InjectError *error)
{
	TableIdentity mine = identity_read_self();
	struct timespec pause = {.tv_nsec = 1000000};

	for (int i = 0; i < LOCK_TRIES; i++)
	{
		TableIdentity holder = 0;

		/* acquire: pairs with the release in table_unlock() */
		if (__atomic_compare_exchange_n(&inject_table->lock, &holder, mine, false, __ATOMIC_ACQUIRE,
										__ATOMIC_RELAXED))
			return INJECT_OK;
		if (!identity_alive(holder) &&
			__atomic_compare_exchange_n(&inject_table->lock, &holder, mine, false, __ATOMIC_ACQUIRE,
										__ATOMIC_RELAXED))
			return INJECT_OK;
		nanosleep(&pause, NULL);
	}
	return inject_fail(error, INJECT_TIMED_OUT,
					   "the control table is locked by process %d, which lives and does not let go",
					   (int) identity_pid(__atomic_load_n(&inject_table->lock, __ATOMIC_RELAXED)));
}

void
table_unlock(void)
{
	/* release: publishes what the holder wrote; pairs with the acquire in table_lock() */
	__atomic_store_n(&inject_table->lock, 0, __ATOMIC_RELEASE);
}

/* ---- points ---- */

bool
point_name_matches(const char *pattern, const char *name)
{
	size_t length = strlen(pattern);

	if (length > 0 && pattern[length - 1] == '*')
		return strncmp(pattern, name, length - 1) == 0;
	return strcmp(pattern, name) == 0;
}

unsigned
table_find_point(const char *name)
{
	/* acquire: pairs with the release in append_point() */
	uint32_t count = __atomic_load_n(&inject_table->point_count, __ATOMIC_ACQUIRE);

	for (uint32_t i = 0; i < count && i < INJECT_MAX_POINTS; i++)
		if (strncmp(inject_table->points[i].name, name, INJECT_NAME_SIZE) == 0)
			return i;
	return NO_POINT;
}

/* The items of the active plan that name a point which is new to the table. */
static void
adopt_into_plan(unsigned index)
{
	TablePlan *plan = active_plan(active_load());
	const char *name = inject_table->points[index].name;
	uint64_t items = 0;

	for (uint32_t i = 0; i < plan->item_count; i++)
		if (point_name_matches(plan->items[i].point, name))
			items |= UINT64_C(1) << i;
	__atomic_store_n(&plan->point_items[index], items, __ATOMIC_RELAXED);
}

void
copy_end(char *to, size_t size, const char *from)
{
	size_t length = strlen(from);

	if (length >= size)
		from += length - (size - 1);
	memset(to, 0, size);
	memcpy(to, from, length < size ? length : size - 1);
}

static bool
append_point(RegistryPoint *point)
{
	uint32_t count = inject_table->point_count;
	TablePoint *entry = &inject_table->points[count];

	if (count >= INJECT_MAX_POINTS)
		return false;
	memset(entry, 0, sizeof(*entry));
	memcpy(entry->name, point->first->name, strlen(point->first->name));
	copy_end(entry->file, sizeof(entry->file), point->first->file);
	entry->line = point->first->line;
	entry->context = (uint32_t) point->context;
	/* release: publishes the entry; pairs with the acquire in table_find_point() */
	__atomic_store_n(&inject_table->point_count, count + 1, __ATOMIC_RELEASE);
	point->index = count;
	adopt_into_plan(count);
	return true;
}

/* Give every point of this program an index. */
static InjectStatus
register_points(InjectError *error)
{
	InjectStatus status;
	bool fits = !registry_overflowed();

	status = table_lock(error);
	if (status != INJECT_OK)
		return status;
	for (int i = 0; i < registry_count() && fits; i++)
	{
		RegistryPoint *point = registry_at(i);

		point->index = table_find_point(point->first->name);
		if (point->index == NO_POINT)
			fits = append_point(point);
	}
	table_refresh_armed();
	table_unlock();
	if (!fits)
		return inject_fail(error, INJECT_LIMIT, "more than %d points", INJECT_MAX_POINTS);
	return INJECT_OK;
}

void
table_refresh_armed(void)
{
	uint64_t active = active_load();
	const TablePlan *plan = active_plan(active);
	bool observe = __atomic_load_n(&inject_table->observe, __ATOMIC_RELAXED) != 0;

	for (uint32_t i = 0; i < inject_table->point_count; i++)
	{
		bool named =
			active_is_armed(active) && (plan->point_items[i] != 0 || plan->watched[i] != 0);

		/* relaxed: who sees the byte looks at `active` (acquire) before it believes there is a plan */
		__atomic_store_n(&inject_table->armed[i], observe || named ? 1 : 0, __ATOMIC_RELAXED);
	}
}

void
inject_observe(bool on)
{
	if (inject_table == NULL || table_lock(NULL) != INJECT_OK)
		return;
	__atomic_store_n(&inject_table->observe, on ? 1 : 0, __ATOMIC_RELAXED);
	table_refresh_armed();
	table_unlock();
}

/* ---- the mapping ---- */

/* Map, make known to this process, register.  Takes over `fd`. */
static InjectStatus
adopt_mapping(int fd, InjectError *error)
{
	void *mapping = mmap(NULL, sizeof(InjectTable), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	InjectStatus status;

	if (mapping == MAP_FAILED)
	{
		status = inject_fail_errno(error, "cannot map the control table");
		close(fd);
		return status;
	}
	table_fd = fd;
	inject_table = mapping;
	status = self_start(error);
	if (status == INJECT_OK)
		status = register_points(error);
	if (status != INJECT_OK)
	{
		inject_table_detach();
		return status;
	}
	(void) self_get();
	registry_bind(inject_table->armed);
	return INJECT_OK;
}

/* Out of the way of the program's own descriptors, where the limit allows. */
static int
move_up(int fd)
{
	int high = fcntl(fd, F_DUPFD_CLOEXEC, EXPORT_FD_LOW);

	return high >= 0 ? high : fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

/* The first bytes of a new table, then the seals. */
static InjectStatus
fill_new_table(int fd, InjectError *error)
{
	InjectTable *head;

	if (ftruncate(fd, sizeof(InjectTable)) != 0)
		return inject_fail_errno(error, "cannot size the control table");
	head = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (head == MAP_FAILED)
		return inject_fail_errno(error, "cannot map the control table");
	head->magic = TABLE_MAGIC;
	head->version = TABLE_VERSION;
	head->size = sizeof(InjectTable);
	munmap(head, 4096);
	if (fcntl(fd, F_ADD_SEALS, NEEDED_SEALS | F_SEAL_SEAL) != 0)
		return inject_fail_errno(error, "cannot seal the control table");
	return INJECT_OK;
}

InjectStatus
inject_table_create(InjectError *error)
{
	InjectStatus status;
	int fd;
	int high;

	if (inject_table != NULL)
		return inject_fail(error, INJECT_MISUSE, "a control table is mapped already");
	fd = memfd_create("holdfast-inject", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return inject_fail_errno(error, "cannot create the control table");
	status = fill_new_table(fd, error);
	high = status == INJECT_OK ? move_up(fd) : -1;
	if (status == INJECT_OK && high < 0)
		status = inject_fail_errno(error, "cannot duplicate the control table's descriptor");
	close(fd);
	return status == INJECT_OK ? adopt_mapping(high, error) : status;
}

/* What the descriptor must be before it is mapped. */
static InjectStatus
check_descriptor(int fd, InjectError *error)
{
	struct stat status;
	int seals;

	if (fstat(fd, &status) != 0)
		return inject_fail_errno(error, "no control table behind that descriptor");
	seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0 || (seals & NEEDED_SEALS) != NEEDED_SEALS)
		return inject_fail(
			error, INJECT_BAD_TABLE,
			"descriptor %d is not a control table: it is not sealed against resizing", fd);
	if (status.st_uid != geteuid() && status.st_uid != 0)
		return inject_fail(error, INJECT_BAD_TABLE,
						   "the control table belongs to user %u, this process is user %u",
						   (unsigned) status.st_uid, (unsigned) geteuid());
	if (status.st_size != (off_t) sizeof(InjectTable))
		return inject_fail(error, INJECT_BAD_TABLE,
						   "the control table has %lld bytes, this version's has %zu",
						   (long long) status.st_size, sizeof(InjectTable));
	return INJECT_OK;
}

/* What the first bytes must be, read before the whole is mapped. */
static InjectStatus
check_head(int fd, InjectError *error)
{
	struct
	{
		uint64_t magic;
		uint32_t version;
		uint32_t reserved;
		uint64_t size;
	} head;

	/* not pread(): this may run inside a program whose pread() is ours */
	if (syscall(SYS_pread64, fd, &head, sizeof(head), (off_t) 0) != (long) sizeof(head))
		return inject_fail_errno(error, "cannot read the control table");
	if (head.magic != TABLE_MAGIC)
		return inject_fail(error, INJECT_BAD_TABLE,
						   "descriptor %d is not a control table: no magic", fd);
	if (head.version != TABLE_VERSION || head.size != sizeof(InjectTable))
		return inject_fail(error, INJECT_BAD_TABLE,
						   "the control table is of version %u, this program's of %d", head.version,
						   TABLE_VERSION);
	return INJECT_OK;
}

InjectStatus
inject_table_attach(int fd, InjectError *error)
{
	InjectStatus status;
	int own;

	if (inject_table != NULL)
		return inject_fail(error, INJECT_MISUSE, "a control table is mapped already");
	status = check_descriptor(fd, error);
	if (status == INJECT_OK)
		status = check_head(fd, error);
	if (status != INJECT_OK)
		return status;
	own = move_up(fd);
	if (own < 0)
		return inject_fail_errno(error, "cannot duplicate the control table's descriptor");
	return adopt_mapping(own, error);
}

void
inject_table_detach(void)
{
	InjectTable *mapping = inject_table;

	if (mapping == NULL)
		return;
	registry_bind(NULL);
	fiu_adapter_stop();
	self_stop();
	for (int i = 0; i < registry_count(); i++)
		registry_at(i)->index = NO_POINT;
	inject_table = NULL;
	munmap(mapping, sizeof(*mapping));
	close(table_fd);
	table_fd = -1;
}

bool
inject_table_mapped(void)
{
	return inject_table != NULL;
}

int
inject_table_fd(void)
{
	return table_fd;
}

InjectStatus
inject_table_export(InjectError *error)
{
	char number[16];

	if (inject_table == NULL)
		return inject_fail(error, INJECT_NO_TABLE, "no control table is mapped");
	if (fcntl(table_fd, F_SETFD, 0) != 0)
		return inject_fail_errno(error, "cannot let the control table's descriptor survive exec");
	snprintf(number, sizeof(number), "%d", table_fd);
	if (setenv(INJECT_FD_ENV, number, 1) != 0)
		return inject_fail_errno(error, "cannot set " INJECT_FD_ENV);
	return INJECT_OK;
}
