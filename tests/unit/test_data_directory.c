/*
 * test_data_directory.c
 *		Which directory a process serves: what is accepted, what is refused and in which words.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <holdfast/holdfast.h>

#include "data_directory.h"

TestSuite(data_directory, .timeout = 60);

static char base[PATH_MAX];

static void
make_base(void)
{
	char name[] = "/tmp/holdfast-test-XXXXXX";

	cr_assert(mkdtemp(name) != NULL);
	cr_assert(realpath(name, base) != NULL);
}

static const char *
in_base(const char *name)
{
	static char path[2 * PATH_MAX];

	(void) snprintf(path, sizeof(path), "%s/%s", base, name);
	return path;
}

Test(data_directory, none_is_set_at_first)
{
	uint64_t device, inode;

	cr_assert(strcmp(holdfast_data_directory(), "") == 0);
	cr_assert(!holdfast_data_directory_id(&device, &inode));
	cr_assert(errno == ENOENT);
}

Test(data_directory, it_is_resolved_and_identified)
{
	uint64_t device, inode;
	struct stat info;

	make_base();
	cr_assert(mkdir(in_base("data"), 0700) == 0);
	cr_assert(symlink("data", in_base("link")) == 0);
	cr_assert(holdfast_set_data_directory(in_base("link/../link/.")) == HOLDFAST_OK);
	cr_assert(strcmp(holdfast_data_directory(), in_base("data")) == 0);
	cr_assert(stat(in_base("data"), &info) == 0);
	cr_assert(holdfast_data_directory_id(&device, &inode));
	cr_assert(device == info.st_dev && inode == info.st_ino);

	cr_assert(rmdir(in_base("data")) == 0);
	cr_assert(!holdfast_data_directory_id(&device, &inode));
	cr_assert(unlink(in_base("link")) == 0);
	cr_assert(rmdir(base) == 0);
}

Test(data_directory, what_is_no_directory_is_refused)
{
	FILE *file;

	make_base();
	cr_assert(holdfast_set_data_directory(in_base("missing")) == HOLDFAST_SYSTEM_ERROR);
	cr_assert(holdfast_last_error()->saved_errno == ENOENT);
	cr_assert(strcmp(holdfast_last_error()->hint, "Create the directory first.") == 0);

	file = fopen(in_base("file"), "w");
	cr_assert(file != NULL && fclose(file) == 0);
	cr_assert(holdfast_set_data_directory(in_base("file")) == HOLDFAST_SYSTEM_ERROR);
	cr_assert(holdfast_last_error()->saved_errno == ENOTDIR);
	cr_assert(holdfast_set_data_directory(in_base("file/below")) == HOLDFAST_SYSTEM_ERROR);
	cr_assert(holdfast_last_error()->saved_errno == ENOTDIR);
	cr_assert(holdfast_set_data_directory(NULL) == HOLDFAST_SYSTEM_ERROR);
	cr_assert(holdfast_last_error()->saved_errno == EFAULT);
	cr_assert(strcmp(holdfast_data_directory(), "") == 0);
	cr_assert(unlink(in_base("file")) == 0);
	cr_assert(rmdir(base) == 0);
}

/* The lockfile has one line for it. */
Test(data_directory, a_path_that_the_lockfile_cannot_hold_is_refused)
{
	make_base();
	cr_assert(mkdir(in_base("new\nline"), 0700) == 0);
	cr_assert(holdfast_set_data_directory(in_base("new\nline")) == HOLDFAST_SYSTEM_ERROR);
	cr_assert(holdfast_last_error()->saved_errno == ENAMETOOLONG);
	cr_assert(rmdir(in_base("new\nline")) == 0);
	cr_assert(rmdir(base) == 0);
}

Test(data_directory, a_path_that_is_too_long_is_refused)
{
	char name[201];
	int depth = 0;
	int start = open(".", O_PATH | O_DIRECTORY);

	memset(name, 'd', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	make_base();
	cr_assert(chdir(base) == 0);
	/* As deep as a relative path can still name it. */
	for (; depth < 8; depth++)
		cr_assert(mkdir(name, 0700) == 0 && chdir(name) == 0);
	cr_assert(holdfast_set_data_directory(".") == HOLDFAST_SYSTEM_ERROR);
	cr_assert(holdfast_last_error()->saved_errno == ENAMETOOLONG);
	for (; depth > 0; depth--)
		cr_assert(chdir("..") == 0 && rmdir(name) == 0);
	cr_assert(fchdir(start) == 0 && close(start) == 0);
	cr_assert(rmdir(base) == 0);
}
