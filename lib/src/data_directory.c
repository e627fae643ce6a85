/*
 * data_directory.c
 *		The data directory of this process.
 *
 * Resolved once to an absolute path, so that a later chdir() changes nothing.  Its device and inode, which identify
 * its segments, are asked of the kernel each time: a directory that was replaced under the same name is another one.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <holdfast/holdfast.h>
#include <holdfast/lockfile.h>

#include "data_directory.h"
#include "report.h"

static char data_directory[sizeof(((HoldfastLockfile *) 0)->data_dir)];

HoldfastStatus
holdfast_set_data_directory(const char *path)
{
	char resolved[PATH_MAX];
	struct stat info;

	if (path == NULL || realpath(path, resolved) == NULL || stat(resolved, &info) < 0)
		return report(HOLDFAST_FATAL, HOLDFAST_SYSTEM_ERROR, path == NULL ? EFAULT : errno, NULL,
					  errno == ENOENT ? "Create the directory first." : NULL,
					  "could not access directory \"%s\": %m", path == NULL ? "" : path);
	if (!S_ISDIR(info.st_mode))
		return report(HOLDFAST_FATAL, HOLDFAST_SYSTEM_ERROR, ENOTDIR, NULL, NULL,
					  "specified data directory \"%s\" is not a directory", path);
	if (strlen(resolved) >= sizeof(data_directory) || strchr(resolved, '\n') != NULL)
		return report(HOLDFAST_FATAL, HOLDFAST_SYSTEM_ERROR, ENAMETOOLONG, NULL, NULL,
					  "the path of the data directory is longer than %zu bytes or has a newline",
					  sizeof(data_directory) - 1);
	memcpy(data_directory, resolved, strlen(resolved) + 1);
	return HOLDFAST_OK;
}

const char *
holdfast_data_directory(void)
{
	return data_directory;
}

bool
holdfast_data_directory_id(uint64_t *device, uint64_t *inode)
{
	struct stat info;

	if (data_directory[0] == '\0')
	{
		errno = ENOENT;
		return false;
	}
	if (stat(data_directory, &info) < 0)
		return false;
	*device = info.st_dev;
	*inode = info.st_ino;
	return true;
}
