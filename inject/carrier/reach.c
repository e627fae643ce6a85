/*
 * reach.c
 *		Whether a program can be reached by preload: said before it runs, not guessed from what never fired.
 *
 * A file without an interpreter has no dynamic linker that would load us; one that gains rights has one that will not.
 *
 * Owner: nothing stays open.  Thread safe.
 */
#include <elf.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "carrier.h"

/* As execvp() finds it; false when it does not. */
static bool
find(const char *program, char *path, size_t size)
{
	const char *at = getenv("PATH");

	if (strchr(program, '/') != NULL)
		return (size_t) snprintf(path, size, "%s", program) < size && access(path, X_OK) == 0;
	for (; at != NULL && *at != '\0'; at += strcspn(at, ":"), at += *at == ':')
	{
		(void) snprintf(path, size, "%.*s/%s", (int) strcspn(at, ":"), at, program);
		if (access(path, X_OK) == 0)
			return true;
	}
	return false;
}

/* An ELF file of this word size whose program headers name no interpreter.  Whatever cannot be read is not said to be. */
static bool
is_static(int fd)
{
	Elf64_Ehdr head;
	Elf64_Phdr segment;

	if (pread(fd, &head, sizeof(head), 0) != (ssize_t) sizeof(head) ||
		memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 || head.e_ident[EI_CLASS] != ELFCLASS64 ||
		head.e_phentsize != sizeof(segment))
		return false;
	for (unsigned i = 0; i < head.e_phnum; i++)
	{
		if (pread(fd, &segment, sizeof(segment), (off_t) (head.e_phoff + i * sizeof(segment))) !=
			(ssize_t) sizeof(segment))
			return false;
		if (segment.p_type == PT_INTERP)
			return false;
	}
	return true;
}

const char *
carrier_preload_obstacle(const char *program)
{
	char path[PATH_MAX];
	struct stat info;
	const char *reason = NULL;
	int fd;

	if (!find(program, path, sizeof(path)) || stat(path, &info) != 0)
		return NULL;
	if (((info.st_mode & S_ISUID) != 0 && info.st_uid != geteuid()) ||
		((info.st_mode & S_ISGID) != 0 && info.st_gid != getegid()))
		return "it gains rights when it is executed";
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	if (is_static(fd))
		reason = "it is a static program";
	(void) close(fd);
	return reason;
}
