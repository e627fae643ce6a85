/*
 * caller.c
 *		In whose code a point or a call stands, and in=FUNC.
 *
 * An INJECT_POINT() knows the function that it is written in; both it and a call know the address to which
 * they return, which names the function that the compiler put them into.  No stack is walked: in= means the
 * function itself, not one that called it.
 *
 * What an address means is read from /proc/self/maps and the file's own symbols, once for each address and
 * name, and remembered for as long as the plan is armed; after that in= costs a look into an array.  Programs
 * that load code later are served as well.
 *
 * Thread safety: a remembered answer is one word.  Signal safety: system calls only; about 600 bytes of stack.
 * A child of fork() inherits what is remembered: the same code lies at the same addresses.
 */
#include "caller.h"

#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "hit.h"
#include "symbol.h"

#define REMEMBERED 256 /* answers; a power of two */

/* address:47 | epoch:11 | name:5 | matches:1 */
static uint64_t remembered[REMEMBERED];

_Static_assert(TABLE_NAMES <= 32, "a name has 5 bits in a remembered answer");

/* ---- /proc/self/maps ---- */

/* The file, byte for byte, through a small buffer. */
typedef struct MapsReader
{
	long fd;
	size_t used;
	size_t filled;
	char buffer[256];
} MapsReader;

static int
next_byte(MapsReader *reader)
{
	if (reader->used == reader->filled)
	{
		long length = syscall(SYS_read, reader->fd, reader->buffer, sizeof(reader->buffer));

		if (length <= 0)
			return -1;
		reader->used = 0;
		reader->filled = (size_t) length;
	}
	return (unsigned char) reader->buffer[reader->used++];
}

/* A hexadecimal number and the byte after it. */
static uint64_t
read_hex(MapsReader *reader, int *after)
{
	uint64_t value = 0;

	for (;;)
	{
		int c = next_byte(reader);

		if (c >= '0' && c <= '9')
			value = value << 4 | (uint64_t) (c - '0');
		else if (c >= 'a' && c <= 'f')
			value = value << 4 | (uint64_t) (c - 'a' + 10);
		else
		{
			*after = c;
			return value;
		}
	}
}

/* The rest of a line, its end if it is long; the first blanks are left out. */
static void
read_path(MapsReader *reader, char *path, size_t size)
{
	size_t length = 0;
	int c = next_byte(reader);

	while (c == ' ')
		c = next_byte(reader);
	for (; c >= 0 && c != '\n'; c = next_byte(reader))
	{
		if (length + 1 == size)
			memmove(path, path + 1, --length);
		path[length++] = (char) c;
	}
	path[length] = '\0';
}

static void
skip_fields(MapsReader *reader, int count)
{
	while (count > 0)
	{
		int c = next_byte(reader);

		if (c < 0)
			return;
		count -= c == ' ';
	}
}

/* "start-end perms offset dev inode path" */
static bool
find_mapping(MapsReader *reader, uint64_t address, uint64_t *offset, char *path, size_t size)
{
	for (;;)
	{
		int after;
		uint64_t start = read_hex(reader, &after);
		uint64_t end = after < 0 ? 0 : read_hex(reader, &after);
		uint64_t at;

		if (after < 0)
			return false;
		skip_fields(reader, 1);
		at = read_hex(reader, &after);
		skip_fields(reader, 2);
		read_path(reader, path, size);
		if (address < start || address >= end)
			continue;
		*offset = address - start + at;
		return path[0] == '/';
	}
}

uint64_t
caller_module(const void *address, char *path, size_t size)
{
	MapsReader reader = {.fd = -1};
	uint64_t wanted = (uint64_t) (uintptr_t) address;
	uint64_t offset;
	bool found;

	memset(path, 0, size);
	if (address == NULL)
		return 0;
	reader.fd = syscall(SYS_openat, AT_FDCWD, "/proc/self/maps", O_RDONLY | O_CLOEXEC, 0);
	if (reader.fd < 0)
		return wanted;
	/* a return address may be the first byte after the function */
	found = find_mapping(&reader, wanted - 1, &offset, path, size);
	(void) syscall(SYS_close, reader.fd);
	if (found)
		return offset;
	memset(path, 0, size);
	return wanted;
}

/* ---- in= ---- */

static bool
address_is_in(const void *address, const char *name)
{
	char path[256];
	char symbol[INJECT_NAME_SIZE];
	uint64_t offset = caller_module(address, path, sizeof(path));

	return path[0] == '/' && symbol_at(path, offset, symbol, sizeof(symbol)) &&
		   strcmp(symbol, name) == 0;
}

bool
inject_in_function(const InjectArrival *arrival, unsigned name_index, const char *name)
{
	uint64_t address = (uint64_t) (uintptr_t) arrival->caller;
	uint64_t key = address << 17 | (arrival->epoch & 0x7ff) << 6 | (uint64_t) name_index << 1;
	uint64_t *answer = &remembered[(address ^ address >> 8 ^ name_index * 37) % REMEMBERED];
	uint64_t known = __atomic_load_n(answer, __ATOMIC_RELAXED);
	bool matches;

	if (arrival->site->function != NULL && strcmp(arrival->site->function, name) == 0)
		return true;
	if (address == 0)
		return false;
	if ((known | 1) == (key | 1))
		return (known & 1) != 0;
	matches = address_is_in(arrival->caller, name);
	__atomic_store_n(answer, key | matches, __ATOMIC_RELAXED);
	return matches;
}
