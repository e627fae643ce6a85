/*
 * replay_main.c
 *		Runs a fuzz target over files and directories of files: corpus and regressions under gcc, valgrind, sanitizers.
 *
 * Exit code 1 when nothing was run: an empty directory is no proof.
 */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned long count;

static int
replay_file(const char *path)
{
	FILE *file = fopen(path, "rb");
	struct stat info;
	uint8_t *data;
	size_t got;

	if (file == NULL || fstat(fileno(file), &info) < 0)
	{
		(void) fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return 1;
	}
	/* Exactly as large as the input, so that a sanitizer sees the first byte beyond it. */
	data = malloc((size_t) info.st_size + (info.st_size == 0));
	if (data == NULL)
		return 1;
	got = fread(data, 1, (size_t) info.st_size, file);
	(void) fclose(file);
	(void) LLVMFuzzerTestOneInput(data, got);
	free(data);
	count++;
	return 0;
}

static int
replay(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	int failed = 0;

	if (dir == NULL)
		return errno == ENOTDIR ? replay_file(path) : (perror(path), 1);
	while ((entry = readdir(dir)) != NULL)
	{
		char child[4096];

		if (entry->d_name[0] == '.')
			continue;
		(void) snprintf(child, sizeof(child), "%s/%s", path, entry->d_name);
		failed |= replay(child);
	}
	(void) closedir(dir);
	return failed;
}

int
main(int argc, char **argv)
{
	int failed = 0;

	for (int i = 1; i < argc; i++)
		failed |= replay(argv[i]);
	(void) printf("%lu inputs replayed\n", count);
	return failed != 0 || count == 0;
}
