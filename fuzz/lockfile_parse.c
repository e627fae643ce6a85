/*
 * lockfile_parse.c
 *		Fuzz target: any bytes as a lockfile.
 *
 * Besides not crashing: what was accepted is sane, writing it gives a file, and reading that gives the same again.
 * Invariants are asserted here because an overflow from one field into the next is invisible to a sanitizer.
 */
#include "fuzz.h"

#include <holdfast/lockfile.h>

static bool
is_terminated(const char *text, size_t size)
{
	return memchr(text, '\0', size) != NULL;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char bytes[HOLDFAST_LOCKFILE_SIZE_MAX];
	HoldfastLockfile file, again;
	HoldfastStatus status = holdfast_lockfile_parse((const char *) data, size, &file);
	Size length;

	if (status != HOLDFAST_OK)
	{
		REQUIRE(status == HOLDFAST_DAMAGED);
		REQUIRE(holdfast_last_error()->message[0] != '\0');
		return 0;
	}
	REQUIRE(size > 0 && size <= HOLDFAST_LOCKFILE_SIZE_MAX);
	REQUIRE(file.pid > 0 && file.port >= 0 && file.port <= 65535 && file.start_time_s > INT64_MIN);
	REQUIRE(is_terminated(file.data_dir, sizeof(file.data_dir)));
	REQUIRE(is_terminated(file.socket_dir, sizeof(file.socket_dir)));
	REQUIRE(is_terminated(file.listen_addr, sizeof(file.listen_addr)));
	REQUIRE(is_terminated(file.status, sizeof(file.status)));
	REQUIRE(is_terminated(file.boot_id, sizeof(file.boot_id)));

	length = holdfast_lockfile_format(&file, bytes, sizeof(bytes));
	if (length == 0) /* a carriage return inside a line is read but never written */
	{
		REQUIRE(memchr(data, '\r', size) != NULL);
		return 0;
	}
	REQUIRE(holdfast_lockfile_parse(bytes, length, &again) == HOLDFAST_OK);
	REQUIRE(memcmp(&file, &again, sizeof(file)) == 0);
	return 0;
}
