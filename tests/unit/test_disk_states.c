/*
 * test_disk_states.c
 *		What a power cut may leave: the states of small histories, counted by hand, and a recorded one.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "inject/disk/states.h"

typedef struct Seen
{
	char text[64][128];
	int count;
} Seen;

/* "name=contents name=contents", those without loss marked. */
static bool
keep(const DiskState *state, void *arg)
{
	Seen *seen = arg;
	char *text = seen->text[seen->count];
	size_t used = 0;

	cr_assert_lt(seen->count, 64);
	text[0] = '\0';
	for (int i = 0; i < state->files; i++)
	{
		char bytes[16] = "";

		cr_assert_lt(state->file[i].length, sizeof(bytes));
		memcpy(bytes, state->file[i].bytes, state->file[i].length);
		for (size_t j = 0; j < state->file[i].length; j++)
			if (bytes[j] == '\0')
				bytes[j] = '0';
		used += (size_t) snprintf(text + used, 128 - used, "%s%s=%s", used > 0 ? " " : "",
								  state->file[i].name, bytes);
	}
	if (!state->running)
		seen->count++;
	return true;
}

static bool
was_seen(const Seen *seen, const char *text)
{
	for (int i = 0; i < seen->count; i++)
		if (strcmp(seen->text[i], text) == 0)
			return true;
	return false;
}

static void
visit(DiskHistory *history, bool every_byte, Seen *seen)
{
	DiskOptions options = {.every_byte = every_byte};
	DiskCount count;

	cr_assert(disk_states_visit(history, &options, keep, seen, &count));
	disk_history_free(history);
}

Test(disk_states, a_write_is_whole_only_after_its_fsync)
{
	static DiskHistory history;
	static Seen seen;
	int file = disk_history_create(&history, "f");

	(void) disk_history_add(&history, DISK_SYNC_DIR, -1, NULL, NULL);
	history.base = history.count;
	(void) disk_history_write(&history, file, 0, "abcd", 4);
	(void) disk_history_add(&history, DISK_SYNC, file, NULL, NULL);
	visit(&history, true, &seen);
	/* nothing, whole, zeros, garbage, and three prefixes */
	cr_assert_eq(seen.count, 7, "%d states", seen.count);
	cr_assert(was_seen(&seen, "f=") && was_seen(&seen, "f=abcd") && was_seen(&seen, "f=0000"));
	cr_assert(was_seen(&seen, "f=a") && was_seen(&seen, "f=ab") && was_seen(&seen, "f=abc"));
}

Test(disk_states, after_the_fsync_there_is_one_state)
{
	static DiskHistory history;
	static Seen seen;
	int file = disk_history_create(&history, "f");

	(void) disk_history_write(&history, file, 0, "abcd", 4);
	(void) disk_history_add(&history, DISK_SYNC, file, NULL, NULL);
	(void) disk_history_add(&history, DISK_SYNC_DIR, -1, NULL, NULL);
	history.base = history.count;
	visit(&history, true, &seen);
	cr_assert_eq(seen.count, 1, "%d states", seen.count);
	cr_assert(was_seen(&seen, "f=abcd"));
}

Test(disk_states, names_are_free_until_the_directory_is_synced)
{
	static DiskHistory history;
	static Seen seen;
	int old = disk_history_create(&history, "f");
	int new;

	(void) disk_history_write(&history, old, 0, "old", 3);
	(void) disk_history_add(&history, DISK_SYNC, old, NULL, NULL);
	(void) disk_history_add(&history, DISK_SYNC_DIR, -1, NULL, NULL);
	history.base = history.count;
	new = disk_history_create(&history, "t");
	(void) disk_history_write(&history, new, 0, "new", 3);
	(void) disk_history_add(&history, DISK_SYNC, new, NULL, NULL);
	(void) disk_history_add(&history, DISK_RENAME, new, "t", "f");
	visit(&history, false, &seen);
	cr_assert(was_seen(&seen, "f=old") && was_seen(&seen, "f=old t=new") &&
			  was_seen(&seen, "f=new"));
	cr_assert(was_seen(&seen, "f=old t="), "the new file's name without its bytes");
	cr_assert(!was_seen(&seen, "f=") && !was_seen(&seen, ""),
			  "the name never names less than a file");
}

Test(disk_states, a_rename_before_the_fsync_can_leave_an_empty_file)
{
	static DiskHistory history;
	static Seen seen;
	int old = disk_history_create(&history, "f");
	int new;

	(void) disk_history_add(&history, DISK_SYNC_DIR, -1, NULL, NULL);
	history.base = history.count;
	new = disk_history_create(&history, "t");
	(void) disk_history_write(&history, new, 0, "new", 3);
	(void) disk_history_add(&history, DISK_RENAME, new, "t", "f");
	(void) old;
	visit(&history, false, &seen);
	cr_assert(was_seen(&seen, "f=") && was_seen(&seen, "f=000") && was_seen(&seen, "f=n"));
}

/* ---- the recorder ---- */

static void
do_files(void *arg)
{
	const char *directory = arg;
	char a[128], b[128];
	int fd;

	(void) snprintf(a, sizeof(a), "%s/a", directory);
	(void) snprintf(b, sizeof(b), "%s/b", directory);
	fd = open(a, O_WRONLY | O_CREAT | O_EXCL, 0600);
	if (write(fd, "xyz", 3) != 3 || fsync(fd) != 0 || close(fd) != 0 || rename(a, b) != 0)
		_exit(1);
	fd = open(directory, O_RDONLY | O_DIRECTORY);
	if (fsync(fd) != 0 || close(fd) != 0)
		_exit(1);
	disk_promise();
	if (unlink(b) != 0 || unlink(a) == 0)
		_exit(1);
}

Test(disk_states, what_a_process_does_is_recorded)
{
	static const char *const wanted[] = {
		"create a",      "write 3 bytes to file 0", "fsync file 0",
		"rename a to b", "fsync the directory",     "(the call returns)",
		"unlink b"};
	static DiskHistory history;
	char directory[] = "/tmp/disk-states.XXXXXX";
	char text[160];
	int status = 0;

	cr_assert_not_null(mkdtemp(directory));
	cr_assert(disk_record(directory, do_files, directory, &history, &status));
	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %d", status);
	cr_assert_eq(history.count, sizeof(wanted) / sizeof(wanted[0]), "%zu operations",
				 history.count);
	for (size_t i = 0; i < history.count; i++)
	{
		disk_op_describe(&history.op[i], text, sizeof(text));
		cr_assert_str_eq(text, wanted[i]);
	}
	cr_assert_eq(history.op[1].length, 3);
	cr_assert_arr_eq(history.op[1].bytes, "xyz", 3);
	disk_history_free(&history);
	cr_assert_eq(rmdir(directory), 0);
}
