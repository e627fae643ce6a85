/*
 * finding.c
 *		An input that breaks a target: what it breaks, its smallest form, and where it is kept.
 *
 * Two inputs break the same when the target says the same of them: the failed REQUIRE, or the sanitizer's summary without
 * addresses.  Made smaller by leaving out ever smaller stretches, each try a run of the target on its own.
 */
#include "finding.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"

#define PROBE_MS    20000
#define SMALLER_MS  20000 /* spent on making it smaller */
#define INPUT_LIMIT ((size_t) 1 << 20)

typedef struct Bytes
{
	uint8_t *bytes;
	size_t size;
} Bytes;

void
fuzz_kept_directory(const FuzzTree *tree, const char *target, char path[FUZZ_PATH_SIZE])
{
	if (tree->mutant == NULL)
		fuzz_text(path, FUZZ_PATH_SIZE, "%.4200s/fuzz/regress/%s", tree->root, target);
	else
		fuzz_text(path, FUZZ_PATH_SIZE, "%.4000s/build/fuzz-mutants/%s/found/%s", tree->root,
				  tree->mutant, target);
}

/* ---- what it says ---- */

/* Addresses differ from run to run. */
static void
keep_line(const char *line, char *what, size_t size)
{
	size_t length = 0;

	for (; *line != '\0' && *line != '\n' && length + 1 < size; line++)
	{
		if (strncmp(line, " 0x", 3) == 0)
		{
			line += 2 + strspn(line + 3, "0123456789abcdef");
			continue;
		}
		what[length++] = *line >= ' ' && *line < 0x7f ? *line : '?';
	}
	what[length] = '\0';
}

static void
read_what(const char *log, char *what, size_t size)
{
	static const char *const marks[] = {"REQUIRE failed:", "runtime error:", "SUMMARY:"};
	FILE *file = fopen(log, "re");
	char line[2048];
	size_t best = sizeof(marks) / sizeof(marks[0]);

	what[0] = '\0';
	while (file != NULL && fgets(line, sizeof(line), file) != NULL)
	{
		for (size_t i = 0; i < best; i++)
		{
			if (strstr(line, marks[i]) == NULL)
				continue;
			keep_line(i == 0 ? strstr(line, marks[i]) : line, what, size);
			best = i;
		}
	}
	if (file != NULL)
		(void) fclose(file);
}

bool
fuzz_probe(const FuzzTree *tree, const char *target, const char *path, char *what, size_t size)
{
	char program[FUZZ_PATH_SIZE], log[FUZZ_PATH_SIZE];
	const char *argv[] = {program, path, NULL};
	const char *settings[] = {"UBSAN_OPTIONS=print_stacktrace=1", NULL};
	uint64_t begin = monotonic_ms();
	int status = 0;

	what[0] = '\0';
	fuzz_text(program, sizeof(program), "%.4200s/bin/fuzz_%s_replay", tree->build, target);
	fuzz_text(log, sizeof(log), "%.4200s/probe-%s-%d.log", tree->build, target, (int) getpid());
	if (!child_run(argv, settings, log, PROBE_MS, &status) || children_interrupted())
	{
		(void) unlink(log);
		return false;
	}
	if (status != 0)
	{
		read_what(log, what, size);
		if (what[0] == '\0' && monotonic_ms() - begin >= PROBE_MS)
			fuzz_text(what, size, "does not end within %d s", PROBE_MS / 1000);
		else if (what[0] == '\0' && WIFSIGNALED(status))
			fuzz_text(what, size, "ended by signal %d", WTERMSIG(status));
		else if (what[0] == '\0')
			fuzz_text(what, size, "ended with exit code %d", WEXITSTATUS(status));
	}
	(void) unlink(log);
	return true;
}

/* ---- bytes ---- */

static bool
read_bytes(const char *path, Bytes *bytes)
{
	FILE *file = fopen(path, "re");

	bytes->bytes = malloc(INPUT_LIMIT);
	bytes->size = 0;
	if (file != NULL && bytes->bytes != NULL)
		bytes->size = fread(bytes->bytes, 1, INPUT_LIMIT, file);
	else
		(void) fprintf(stderr, "holdfast: %s: %s\n", path, strerror(errno));
	if (file == NULL || bytes->bytes == NULL)
	{
		free(bytes->bytes);
		bytes->bytes = NULL;
	}
	if (file != NULL)
		(void) fclose(file);
	return bytes->bytes != NULL;
}

static bool
write_bytes(const char *path, const uint8_t *bytes, size_t size)
{
	FILE *file = fopen(path, "we");
	bool written = file != NULL && fwrite(bytes, 1, size, file) == size;

	if (file != NULL && fclose(file) != 0)
		written = false;
	if (!written)
		(void) fprintf(stderr, "holdfast: could not write %s: %s\n", path, strerror(errno));
	return written;
}

/* FNV-1a: names an input by its contents. */
static uint32_t
hash_of(const Bytes *bytes)
{
	uint32_t hash = 2166136261u;

	for (size_t i = 0; i < bytes->size; i++)
		hash = (hash ^ bytes->bytes[i]) * 16777619u;
	return hash;
}

/* ---- smaller ---- */

typedef struct Shrinking
{
	const FuzzTree *tree;
	const char *target;
	const char *what;
	char file[FUZZ_PATH_SIZE];
	uint64_t end_ms;
} Shrinking;

static bool
breaks_the_same(const Shrinking *shrinking, const uint8_t *bytes, size_t size)
{
	char what[256];

	return write_bytes(shrinking->file, bytes, size) &&
		   fuzz_probe(shrinking->tree, shrinking->target, shrinking->file, what, sizeof(what)) &&
		   strcmp(what, shrinking->what) == 0;
}

/* Leaves out each stretch of `length` that can be left out; true when one could. */
static bool
leave_out(const Shrinking *shrinking, Bytes *bytes, size_t length)
{
	uint8_t *shorter = malloc(bytes->size + 1);
	bool any = false;

	for (size_t at = 0; shorter != NULL && at < bytes->size && monotonic_ms() < shrinking->end_ms;)
	{
		size_t gone = length < bytes->size - at ? length : bytes->size - at;

		memcpy(shorter, bytes->bytes, at);
		memcpy(shorter + at, bytes->bytes + at + gone, bytes->size - at - gone);
		if (breaks_the_same(shrinking, shorter, bytes->size - gone))
		{
			bytes->size -= gone;
			memcpy(bytes->bytes, shorter, bytes->size);
			any = true;
		}
		else
			at += gone;
	}
	free(shorter);
	return any;
}

static void
make_smaller(const Shrinking *shrinking, Bytes *bytes)
{
	bool any = true;

	while (any && monotonic_ms() < shrinking->end_ms && !children_interrupted())
	{
		any = false;
		for (size_t length = bytes->size / 2 + 1; length > 0; length /= 2)
			any = leave_out(shrinking, bytes, length) || any;
	}
}

/* ---- keeping ---- */

static bool
keep(const FuzzTree *tree, const char *target, const Bytes *bytes, FuzzFinding *finding)
{
	char directory[FUZZ_PATH_SIZE], log[FUZZ_PATH_SIZE];
	const char *argv[] = {"mkdir", "-p", directory, NULL};
	int status = 0;

	fuzz_kept_directory(tree, target, directory);
	fuzz_text(log, sizeof(log), "%.4200s/keep.log", tree->build);
	if (!child_run(argv, NULL, log, 0, &status))
		return false;
	fuzz_text(finding->name, sizeof(finding->name), "found-%08" PRIx32, hash_of(bytes));
	fuzz_text(finding->path, sizeof(finding->path), "%.4400s/%s", directory, finding->name);
	finding->size = bytes->size;
	return write_bytes(finding->path, bytes->bytes, bytes->size);
}

bool
fuzz_keep(const FuzzTree *tree, const char *target, const char *path, FuzzFinding *finding)
{
	Shrinking shrinking = {.tree = tree, .target = target, .what = finding->what};
	Bytes bytes;
	bool kept;

	if (!fuzz_probe(tree, target, path, finding->what, sizeof(finding->what)) ||
		!read_bytes(path, &bytes))
		return false;
	finding->found_size = bytes.size;
	shrinking.end_ms = monotonic_ms() + SMALLER_MS;
	fuzz_text(shrinking.file, sizeof(shrinking.file), "%.4200s/smaller-%s-%d", tree->build, target,
			  (int) getpid());
	if (finding->what[0] != '\0')
		make_smaller(&shrinking, &bytes);
	else
		fuzz_text(finding->what, sizeof(finding->what),
				  "broke the engine's run, but not a run alone");
	(void) unlink(shrinking.file);
	kept = keep(tree, target, &bytes, finding);
	free(bytes.bytes);
	return kept;
}

static bool
find_in(const FuzzTree *tree, const char *target, const char *directory, FuzzFinding *finding)
{
	DIR *dir = opendir(directory);
	const struct dirent *entry;
	bool found = false;

	if (dir == NULL)
		return false;
	while (!found && (entry = readdir(dir)) != NULL && !children_interrupted())
	{
		if (entry->d_name[0] == '.')
			continue;
		fuzz_text(finding->path, sizeof(finding->path), "%.4400s/%s", directory, entry->d_name);
		fuzz_text(finding->name, sizeof(finding->name), "%s", entry->d_name);
		found = fuzz_probe(tree, target, finding->path, finding->what, sizeof(finding->what)) &&
				finding->what[0] != '\0';
	}
	(void) closedir(dir);
	return found;
}

bool
fuzz_find_kept(const FuzzTree *tree, const char *target, FuzzFinding *finding)
{
	static const char *const kinds[] = {"regress", "seeds", "corpus"};
	char directory[FUZZ_PATH_SIZE];

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
	{
		char what[256];
		struct stat info;

		fuzz_text(directory, sizeof(directory), "%.4200s/fuzz/%s/%s", tree->root, kinds[i], target);
		if (stat(directory, &info) < 0 || fuzz_count_files(directory) == 0 ||
			!fuzz_probe(tree, target, directory, what, sizeof(what)) || what[0] == '\0')
			continue;
		if (find_in(tree, target, directory, finding))
		{
			if (stat(finding->path, &info) == 0)
				finding->found_size = finding->size = (size_t) info.st_size;
			return true;
		}
	}
	return false;
}
