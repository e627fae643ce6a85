/*
 * lockfile_roundtrip.c
 *		Fuzz target: the fields of a lockfile, taken from the input.
 *
 * What format() writes, parse() reads back the same.  What it refuses to write breaks a rule that is stated here a
 * second time.  A file of ours that is cut short anywhere in its own lines, or has one bit flipped anywhere, is never
 * believed: not as ours, not as PostgreSQL's.
 */
#include "fuzz.h"

#include <holdfast/lockfile.h>

#define BOOT_ID "01234567-89ab-cdef-0123-456789abcdef"

static void
take_text(FuzzBytes *bytes, char *to, size_t size)
{
	size_t length = fuzz_take_u8(bytes);

	/* One in a few is as long as fits, or not terminated at all. */
	if (length >= 0xf0)
	{
		memset(to, 'x', length >= 0xf8 ? size : size - 1);
		return;
	}
	if (length >= size)
		length = size - 1;
	if (length > fuzz_left(bytes))
		length = fuzz_left(bytes);
	if (length > 0)
		memcpy(to, bytes->next, length);
	bytes->next += length;
	/* Behind the first NUL there must be nothing: the file cannot carry it. */
	length = strnlen(to, size);
	memset(to + length, 0, size - length);
}

static void
take_file(FuzzBytes *bytes, HoldfastLockfile *file)
{
	uint8_t flags = fuzz_take_u8(bytes);

	memset(file, 0, sizeof(*file));
	fuzz_take(bytes, &file->pid, sizeof(file->pid));
	fuzz_take(bytes, &file->start_time_s, sizeof(file->start_time_s));
	fuzz_take(bytes, &file->port, (flags & 1) ? sizeof(file->port) : 2);
	file->standalone = (flags & 2) != 0;
	file->has_segment = (flags & 4) != 0;
	file->is_ours = (flags & 8) != 0;
	if (file->has_segment)
	{
		fuzz_take(bytes, &file->shmem_key, (flags & 16) ? 5 : 4);
		fuzz_take(bytes, &file->shmem_id, 4);
	}
	take_text(bytes, file->data_dir, sizeof(file->data_dir));
	take_text(bytes, file->socket_dir, sizeof(file->socket_dir));
	take_text(bytes, file->listen_addr, sizeof(file->listen_addr));
	take_text(bytes, file->status, sizeof(file->status));
	if (!file->is_ours)
		return;
	file->pid_start_time = fuzz_take_u64(bytes);
	file->pid_namespace = fuzz_take_u64(bytes);
	file->ipc_namespace = fuzz_take_u64(bytes);
	fuzz_take(bytes, &file->cookie, sizeof(file->cookie));
	file->has_intent = (flags & 32) != 0;
	if (file->has_intent)
		fuzz_take(bytes, &file->intent_key, sizeof(file->intent_key));
	memcpy(file->boot_id, BOOT_ID, sizeof(BOOT_ID));
	if (flags & 64)
		take_text(bytes, file->boot_id, sizeof(file->boot_id));
}

/* ---- the rules, once more ---- */

static bool
fits_a_line(const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++)
	{
		if (text[i] == '\0')
			return true;
		if (text[i] == '\n' || text[i] == '\r')
			return false;
	}
	return false;
}

static bool
may_be_written(const HoldfastLockfile *file)
{
	if (file->pid < 1 || file->start_time_s == INT64_MIN || file->port < 0 || file->port > 65535)
		return false;
	if (file->has_segment && (file->shmem_key > 0xffffffffu || file->shmem_id > 0x7fffffffu))
		return false;
	if (!fits_a_line(file->data_dir, sizeof(file->data_dir)) ||
		!fits_a_line(file->socket_dir, sizeof(file->socket_dir)) ||
		!fits_a_line(file->listen_addr, sizeof(file->listen_addr)) ||
		!fits_a_line(file->status, sizeof(file->status)))
		return false;
	if (!file->is_ours)
		return true;
	return strnlen(file->boot_id, sizeof(file->boot_id)) == 36 &&
		   strspn(file->boot_id, "-0123456789abcdef") == 36 &&
		   !(file->has_intent && file->intent_key < 1);
}

/* ---- damage ---- */

static void
require_refused(const char *bytes, size_t length)
{
	HoldfastLockfile file;

	REQUIRE(holdfast_lockfile_parse(bytes, length, &file) == HOLDFAST_DAMAGED);
}

static size_t
start_of_line(const char *bytes, size_t length, int line)
{
	size_t at = 0;

	while (--line > 0)
		at = (size_t) ((const char *) memchr(bytes + at, '\n', length - at) - bytes) + 1;
	return at;
}

static void
damage(char *bytes, size_t length, uint64_t where)
{
	size_t first = start_of_line(bytes, length, 9);
	size_t cut = first + 1 + where % (length - first - 1);
	size_t at = (size_t) (where >> 16) % length;
	char bit = (char) (1 << (where >> 13 & 7));

	require_refused(bytes, cut);
	bytes[at] = (char) (bytes[at] ^ bit);
	require_refused(bytes, length);
	bytes[at] = (char) (bytes[at] ^ bit);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	FuzzBytes bytes = {.next = data, .end = data + size};
	uint64_t where = fuzz_take_u64(&bytes);
	char text[HOLDFAST_LOCKFILE_SIZE_MAX];
	HoldfastLockfile file, again;
	size_t length;

	take_file(&bytes, &file);
	length = holdfast_lockfile_format(&file, text, sizeof(text));
	REQUIRE((length > 0) == may_be_written(&file));
	if (length == 0)
		return 0;
	REQUIRE(length <= sizeof(text) && text[length - 1] == '\n');
	REQUIRE(holdfast_lockfile_parse(text, length, &again) == HOLDFAST_OK);
	REQUIRE(memcmp(&file, &again, sizeof(file)) == 0);
	/* Not one byte more than it has. */
	REQUIRE(holdfast_lockfile_format(&file, text, length) == 0);
	REQUIRE(holdfast_lockfile_format(&file, text, (size_t) (where >> 32) % length + 1) == 0);
	REQUIRE(holdfast_lockfile_format(&file, text, length + 1) == length);
	if (file.is_ours)
		damage(text, length, where);
	return 0;
}
