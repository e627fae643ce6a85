/*
 * guard_note.c
 *		What the guard file says: the key that a start was about to use for a segment.
 *
 * A segment whose creator died before its header was whole is known by the key that was announced for it, and by nothing
 * else.  Line 14 of the lockfile tells it, until somebody removes the lockfile by hand, as PostgreSQL's hints have taught
 * people to.  The guard file stays.  So the key is noted in both, before shmget, and taken back here once the header is
 * whole: from then on the segment speaks for itself, and a stranger who gets that key later is not mistaken for it.
 *
 *		"announced 1844674407 boot 01234567-89ab-cdef-0123-456789abcdef ipc 4026531839 crc 89abcdef\n"
 *
 * One line of one length, written in place by one call: a death leaves the old or the new.  It need not survive a power cut,
 * which takes all segments with it; what it leaves is told by checksum and boot ID.
 *
 * Owner: whoever holds the guard alone or owns the lockfile.  Nothing is kept here.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "crc32c.h"
#include "lockfile_disk.h"

#define NOTE_SIZE 128

static size_t
format_note(const GuardNote *note, char text[NOTE_SIZE])
{
	int length =
		snprintf(text, NOTE_SIZE, "announced %10" PRIu32 " boot %36s ipc %20" PRIu64 " crc ",
				 (uint32_t) note->key, note->boot_id, note->ipc_namespace);
	uint32_t crc = holdfast_crc32c(text, (size_t) length);

	return (size_t) length +
		   (size_t) snprintf(text + length, NOTE_SIZE - (size_t) length, "%08" PRIx32 "\n", crc);
}

bool
holdfast_guard_write_note(int fd, const GuardNote *note)
{
	char text[NOTE_SIZE];
	size_t length = format_note(note, text);
	ssize_t wrote;

	do
		wrote = pwrite(fd, text, length, 0);
	while (wrote < 0 && errno == EINTR);
	if (wrote >= 0 && (size_t) wrote < length)
		errno = ENOSPC;
	return wrote == (ssize_t) length;
}

bool
holdfast_guard_read_note(int fd, GuardNote *note)
{
	char found[NOTE_SIZE], again[NOTE_SIZE];
	uint32_t key;
	ssize_t got = pread(fd, found, sizeof(found) - 1, 0);

	if (got <= 0)
		return false;
	found[got] = '\0';
	memset(note, 0, sizeof(*note));
	if (sscanf(found, "announced %" SCNu32 " boot %36s ipc %" SCNu64 " crc ", &key, note->boot_id,
			   &note->ipc_namespace) != 3 ||
		key == 0 || key > INT32_MAX)
		return false;
	note->key = (IpcMemoryKey) key;
	/* What reads as the same note must have been written as it: blanks, signs, checksum. */
	return format_note(note, again) == (size_t) got && memcmp(found, again, (size_t) got) == 0;
}
