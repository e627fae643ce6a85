/*
 * states.c
 *		See states.h.
 *
 * For each crash index: which directory operations are not durable yet (a bit each: done or not); under each choice, which
 * files have a name; for each of those, every way in which its unsynced writes may have come out.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "inject/disk/states.h"

#define FILE_SIZE_MAX 16384
#define PENDING_MAX   16
#define VARIANTS_MAX  (FILE_SIZE_MAX + 8)
#define FILES_MAX     64

typedef enum Fate
{
	FATE_NOTHING,
	FATE_ZEROS,
	FATE_GARBAGE,
	FATE_FULL,
	FATE_PREFIX, /* and above: a prefix of that less FATE_PREFIX, plus 1 bytes */
} Fate;

typedef struct Walk
{
	const DiskHistory *history;
	const DiskOptions *options;
	bool (*visit)(const DiskState *state, void *arg);
	void *arg;
	DiskCount *count;
	size_t crash;
	DiskState state;
	char *content[DISK_STATE_FILES_MAX]; /* FILE_SIZE_MAX bytes each */
	uint64_t *seen;                      /* hash set of pairs */
	size_t seen_capacity, seen_count;
	bool stopped, failed;
} Walk;

/* ---- seen before? ---- */

static void
hash_bytes(uint64_t hash[2], const void *bytes, size_t length)
{
	const unsigned char *byte = bytes;

	for (size_t i = 0; i < length; i++)
	{
		hash[0] = (hash[0] ^ byte[i]) * UINT64_C(0x100000001b3);
		hash[1] = (hash[1] + byte[i]) * UINT64_C(0x9e3779b97f4a7c15);
		hash[1] ^= hash[1] >> 31;
	}
}

static void
hash_state(const DiskState *state, uint64_t hash[2])
{
	hash[0] = UINT64_C(0xcbf29ce484222325) + state->running;
	hash[1] = UINT64_C(0x84222325cbf29ce4) + state->running;
	for (int i = 0; i < state->files; i++)
	{
		hash_bytes(hash, state->file[i].name, strlen(state->file[i].name) + 1);
		hash_bytes(hash, &state->file[i].length, sizeof(size_t));
		hash_bytes(hash, state->file[i].bytes, state->file[i].length);
	}
	hash[0] |= 1; /* 0 is an empty place */
}

static bool
grow(Walk *walk)
{
	size_t capacity = walk->seen_capacity == 0 ? 4096 : walk->seen_capacity * 2;
	uint64_t *table = calloc(capacity * 2, sizeof(uint64_t));

	if (table == NULL)
		return false;
	for (size_t i = 0; i < walk->seen_capacity; i++)
	{
		size_t at = walk->seen[i * 2] % capacity;

		if (walk->seen[i * 2] == 0)
			continue;
		while (table[at * 2] != 0)
			at = (at + 1) % capacity;
		table[at * 2] = walk->seen[i * 2];
		table[at * 2 + 1] = walk->seen[i * 2 + 1];
	}
	free(walk->seen);
	walk->seen = table;
	walk->seen_capacity = capacity;
	return true;
}

/* False when it was there before. */
static bool
is_new(Walk *walk, const uint64_t hash[2])
{
	size_t at;

	if (walk->seen_count * 2 >= walk->seen_capacity && !grow(walk))
	{
		walk->failed = true;
		return false;
	}
	for (at = hash[0] % walk->seen_capacity; walk->seen[at * 2] != 0;
		 at = (at + 1) % walk->seen_capacity)
		if (walk->seen[at * 2] == hash[0] && walk->seen[at * 2 + 1] == hash[1])
			return false;
	walk->seen[at * 2] = hash[0];
	walk->seen[at * 2 + 1] = hash[1];
	walk->seen_count++;
	return true;
}

static void
offer(Walk *walk)
{
	uint64_t hash[2];

	walk->count->visited++;
	hash_state(&walk->state, hash);
	if (!is_new(walk, hash))
		return;
	walk->count->distinct++;
	walk->state.number = walk->count->distinct;
	walk->state.crash_index = walk->crash;
	if (!walk->visit(&walk->state, walk->arg))
		walk->stopped = true;
}

/* ---- contents ---- */

static bool
is_durable(const Walk *walk, size_t op)
{
	const DiskHistory *history = walk->history;
	bool names = history->op[op].kind != DISK_WRITE && history->op[op].kind != DISK_TRUNCATE;

	for (size_t i = op + 1; i < walk->crash; i++)
	{
		if (names ? history->op[i].kind == DISK_SYNC_DIR
				  : history->op[i].kind == DISK_SYNC && history->op[i].file == history->op[op].file)
			return true;
	}
	return op < history->base;
}

static size_t
apply_write(const DiskOp *op, unsigned fate, char *content, size_t length)
{
	size_t end = op->offset + op->length;
	size_t whole = fate >= FATE_PREFIX ? fate - FATE_PREFIX + 1 : op->length;

	if (fate == FATE_NOTHING || end > FILE_SIZE_MAX)
		return length;
	if (op->offset > length)
		memset(content + length, 0, op->offset - length);
	switch (fate)
	{
		case FATE_ZEROS:
			memset(content + op->offset, 0, op->length);
			break;
		case FATE_GARBAGE:
			for (size_t i = 0; i < op->length; i++)
				content[op->offset + i] = (char) (0x5a + 31 * i);
			break;
		default:
			memcpy(content + op->offset, op->bytes, whole);
			break;
	}
	end = op->offset + whole;
	return end > length ? end : length;
}

/* The fates to try for a write of that length. */
static size_t
fates_of(const Walk *walk, size_t length, unsigned *fate)
{
	size_t count = 0;

	for (unsigned f = FATE_NOTHING; f <= FATE_FULL; f++)
		fate[count++] = f;
	for (size_t cut = 1; cut < length && cut < FILE_SIZE_MAX; cut++)
		if (walk->options->every_byte || cut == 1 || cut == length / 2 || cut == length - 1)
			fate[count++] = FATE_PREFIX + (unsigned) cut - 1;
	return count;
}

static void describe(Walk *walk, const char *name, unsigned fate);
static void vary_file(Walk *walk, int index, size_t op, size_t length);

/* The next file of the state, or the state is whole. */
static void
vary_next_file(Walk *walk, int index)
{
	if (walk->stopped || walk->failed)
		return;
	if (index >= walk->state.files)
		offer(walk);
	else
		vary_file(walk, index, 0, 0);
}

/* Operations on the content of one file, from `op` on; those that are not durable in every way. */
static void
vary_file(Walk *walk, int index, size_t op, size_t length)
{
	const DiskHistory *history = walk->history;
	DiskFile *file = &walk->state.file[index];
	static unsigned fates[PENDING_MAX][VARIANTS_MAX];
	static int depth;
	char *content = walk->content[index];

	/* The same file under two names: looked at once. */
	for (int i = 0; i < index && op == 0; i++)
	{
		if (walk->state.file[i].file != file->file)
			continue;
		file->bytes = walk->state.file[i].bytes;
		file->length = walk->state.file[i].length;
		vary_next_file(walk, index + 1);
		return;
	}
	for (; op < walk->crash; op++)
	{
		const DiskOp *next = &history->op[op];

		if (next->file != file->file || (next->kind != DISK_WRITE && next->kind != DISK_TRUNCATE))
			continue;
		if (!is_durable(walk, op) && !walk->state.running)
			break;
		length = next->kind == DISK_TRUNCATE ? 0 : apply_write(next, FATE_FULL, content, length);
	}
	if (op >= walk->crash)
	{
		file->bytes = content;
		file->length = length;
		vary_next_file(walk, index + 1);
		return;
	}
	if (history->op[op].kind == DISK_TRUNCATE)
	{
		vary_file(walk, index, op + 1, length);
		vary_file(walk, index, op + 1, 0);
		return;
	}
	if (depth >= PENDING_MAX)
	{
		walk->failed = true;
		return;
	}

	unsigned *mine = fates[depth++];
	size_t count = fates_of(walk, history->op[op].length, mine);
	char *saved = malloc(FILE_SIZE_MAX);
	size_t how = strlen(walk->state.how);

	walk->failed = walk->failed || saved == NULL;
	if (saved != NULL)
		memcpy(saved, content, FILE_SIZE_MAX);
	for (size_t i = 0; i < count && !walk->stopped && !walk->failed; i++)
	{
		describe(walk, file->name, mine[i]);
		vary_file(walk, index, op + 1, apply_write(&history->op[op], mine[i], content, length));
		memcpy(content, saved, FILE_SIZE_MAX);
		walk->state.how[how] = '\0';
	}
	free(saved);
	depth--;
}

static void
describe(Walk *walk, const char *name, unsigned fate)
{
	static const char *const names[] = {"nothing", "zeros", "garbage", "whole"};
	size_t used = strlen(walk->state.how);
	char *end = walk->state.how + used;

	if (fate < FATE_PREFIX)
		(void) snprintf(end, sizeof(walk->state.how) - used, "%s%s: %s", used > 0 ? "; " : "", name,
						names[fate]);
	else
		(void) snprintf(end, sizeof(walk->state.how) - used, "%s%s: first %u bytes",
						used > 0 ? "; " : "", name, fate - FATE_PREFIX + 1);
}

/* ---- names ---- */

typedef struct Names
{
	DiskFile entry[DISK_STATE_FILES_MAX];
	int count;
} Names;

static int
find_name(const Names *names, const char *name)
{
	for (int i = 0; i < names->count; i++)
		if (strcmp(names->entry[i].name, name) == 0)
			return i;
	return -1;
}

static void
remove_name(Names *names, int at)
{
	if (at >= 0)
		names->entry[at] = names->entry[--names->count];
}

static bool
set_name(Names *names, const char *name, int file)
{
	int at = find_name(names, name);

	if (at < 0 && names->count >= DISK_STATE_FILES_MAX)
		return false;
	if (at < 0)
		at = names->count++;
	(void) snprintf(names->entry[at].name, DISK_NAME_SIZE, "%s", name);
	names->entry[at].file = file;
	return true;
}

/* An operation whose own premises did not come to disk does nothing. */
static bool
apply_names(Names *names, const DiskOp *op)
{
	int at = find_name(names, op->name);

	switch (op->kind)
	{
		case DISK_CREATE:
			return set_name(names, op->name, op->file);
		case DISK_LINK:
		case DISK_RENAME:
			/* The entry names a file: it does not matter whether its old name had come to disk. */
			if (op->file < 0)
				return true;
			if (op->kind == DISK_RENAME && at >= 0 && names->entry[at].file == op->file)
				remove_name(names, at);
			return set_name(names, op->other, op->file);
		case DISK_UNLINK:
			if (at >= 0 && names->entry[at].file == op->file)
				remove_name(names, at);
			return true;
		default:
			return true;
	}
}

static bool
is_about_names(const DiskOp *op)
{
	return op->kind == DISK_CREATE || op->kind == DISK_LINK || op->kind == DISK_RENAME ||
		   op->kind == DISK_UNLINK;
}

static int
compare_files(const void *a, const void *b)
{
	return strcmp(((const DiskFile *) a)->name, ((const DiskFile *) b)->name);
}

static void
with_names(Walk *walk, uint32_t done, bool running)
{
	Names names = {.count = 0};
	uint32_t bit = 0;
	char lost[64] = "";

	for (size_t i = 0; i < walk->crash; i++)
	{
		const DiskOp *op = &walk->history->op[i];

		if (!is_about_names(op))
			continue;
		if (!running && !is_durable(walk, i) && (done & (UINT32_C(1) << bit++)) == 0)
		{
			size_t used = strlen(lost);

			(void) snprintf(lost + used, sizeof(lost) - used, " %zu", i + 1);
			continue;
		}
		if (!apply_names(&names, op))
		{
			walk->failed = true;
			return;
		}
	}
	qsort(names.entry, (size_t) names.count, sizeof(DiskFile), compare_files);
	memcpy(walk->state.file, names.entry, sizeof(names.entry));
	walk->state.files = names.count;
	walk->state.running = running;
	walk->state.how[0] = '\0';
	if (lost[0] != '\0')
		(void) snprintf(walk->state.how, sizeof(walk->state.how), "lost names:%s", lost);
	vary_next_file(walk, 0);
}

static void
crash_here(Walk *walk)
{
	uint32_t pending = 0;

	for (size_t i = 0; i < walk->crash; i++)
		pending += is_about_names(&walk->history->op[i]) && !is_durable(walk, i);
	if (pending > PENDING_MAX)
	{
		walk->failed = true;
		return;
	}
	for (uint32_t done = 0; done < UINT32_C(1) << pending && !walk->stopped && !walk->failed;
		 done++)
		with_names(walk, done, false);
	if (!walk->stopped && !walk->failed)
		with_names(walk, 0, true);
}

bool
disk_states_visit(const DiskHistory *history, const DiskOptions *options,
				  bool (*visit)(const DiskState *state, void *arg), void *arg, DiskCount *count)
{
	Walk walk = {
		.history = history, .options = options, .visit = visit, .arg = arg, .count = count};

	*count = (DiskCount){0};
	for (int i = 0; i < DISK_STATE_FILES_MAX; i++)
	{
		walk.content[i] = calloc(1, FILE_SIZE_MAX);
		walk.failed = walk.failed || walk.content[i] == NULL;
	}
	for (walk.crash = history->base; walk.crash <= history->count && !walk.stopped && !walk.failed;
		 walk.crash++)
		crash_here(&walk);
	for (int i = 0; i < DISK_STATE_FILES_MAX; i++)
		free(walk.content[i]);
	free(walk.seen);
	return !walk.failed;
}

/* ---- use ---- */

const DiskFile *
disk_state_find(const DiskState *state, const char *name)
{
	for (int i = 0; i < state->files; i++)
		if (strcmp(state->file[i].name, name) == 0)
			return &state->file[i];
	return NULL;
}

static void
empty_directory(int directory, const char *path)
{
	DIR *stream = opendir(path);

	for (const struct dirent *entry; stream != NULL && (entry = readdir(stream)) != NULL;)
		(void) unlinkat(directory, entry->d_name, 0);
	if (stream != NULL)
		(void) closedir(stream);
}

static bool
put_file(const DiskState *state, int index, int directory)
{
	const DiskFile *file = &state->file[index];
	bool good;
	int fd;

	for (int i = 0; i < index; i++)
		if (state->file[i].file == file->file)
			return linkat(directory, state->file[i].name, directory, file->name, 0) == 0;
	fd = openat(directory, file->name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return false;
	good = write(fd, file->bytes, file->length) == (ssize_t) file->length;
	return close(fd) == 0 && good;
}

bool
disk_state_put(const DiskState *state, const char *path)
{
	int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool good = directory >= 0;

	if (directory < 0)
		return false;
	empty_directory(directory, path);
	for (int i = 0; good && i < state->files; i++)
		good = put_file(state, i, directory);
	(void) close(directory);
	return good;
}
