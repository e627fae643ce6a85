/*
 * programs.c
 *		`holdfast doctor`: which programs and libraries are here, and whether they work.
 *
 * That a compiler is installed says little (a plugin may be of another compiler's build): each compiles a program.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "doctor/checks.h"

/* The first of these programs that PATH, or an absolute name, leads to. */
static const char *
find_program(const char *const *names, char *found, size_t size)
{
	const char *path = getenv("PATH");

	for (; *names != NULL; names++)
	{
		if (**names == '/')
		{
			if (access(*names, X_OK) == 0)
				return *names;
			continue;
		}
		for (const char *at = path; at != NULL && *at != '\0';)
		{
			size_t length = strcspn(at, ":");

			(void) snprintf(found, size, "%.*s/%s", (int) length, at, *names);
			if (access(found, X_OK) == 0)
				return found;
			at += length + (at[length] == ':');
		}
	}
	return NULL;
}

/* ---- programs ---- */

static Verdict
look_program(char *text, size_t size, const char *const *names, const char *what)
{
	char found[4096];
	const char *path = find_program(names, found, sizeof(found));

	if (path == NULL)
		return say(DOCTOR_WARN, text, size, "not found: %s", what);
	return say(DOCTOR_OK, text, size, "%s", path);
}

Verdict
look_postgres(char *text, size_t size)
{
	static const char *const names[] = {"/usr/lib/postgresql/15/bin/postgres", "postgres", NULL};

	return look_program(text, size, names, "apt install postgresql-15, to run faults against it");
}

Verdict
look_valgrind(char *text, size_t size)
{
	static const char *const names[] = {"valgrind", NULL};

	return look_program(text, size, names, "apt install valgrind");
}

/* The file that is loaded carries the version in its name; there is no other way to ask. */
Verdict
look_libfiu(char *text, size_t size)
{
	Dl_info info;
	void *function = dlsym(RTLD_DEFAULT, "fiu_fail");
	char *path;
	Verdict verdict;

	if (function == NULL || dladdr(function, &info) == 0)
		return say(DOCTOR_FIX, text, size, "not loaded: apt install libfiu-dev, and build again");
	path = realpath(info.dli_fname, NULL);
	verdict = say(DOCTOR_OK, text, size, "%s", path != NULL ? path : info.dli_fname);
	free(path);
	return verdict;
}

Verdict
look_fiu_run(char *text, size_t size)
{
	static const char *const names[] = {"fiu-run", NULL};

	return look_program(text, size, names, "apt install fiu-utils, to arm points with fiu-run");
}

/* Whether that command compiles a program; it is given the source's and the result's name. */
static bool
compiles(const char *compiler)
{
	char command[512];

	(void) snprintf(command, sizeof(command),
					"d=$(mktemp -d) && echo 'int LLVMFuzzerTestOneInput(const char *p, long n);"
					"int LLVMFuzzerTestOneInput(const char *p, long n) { return p[0] == n; }'"
					">$d/a.c && echo 'int main(void) { return 0; }' >$d/main.c && cd $d && "
					"{ AFL_QUIET=1 %s; } >/dev/null 2>&1; s=$?; rm -rf \"$d\"; exit $s",
					compiler);
	return system(command) == 0;
}

Verdict
look_afl(char *text, size_t size)
{
	if (!compiles("afl-clang-fast -o a main.c"))
		return say(DOCTOR_WARN, text, size,
				   "afl-clang-fast does not compile a program here: apt install afl++");
	return say(DOCTOR_OK, text, size, "afl-clang-fast compiles");
}

/* Debian's is built for another build of gcc, and says "incompatible versions, expected 12.2.0, is 12.2.0". */
Verdict
look_afl_gcc(char *text, size_t size)
{
	static const char *const names[] = {"afl-gcc-fast", NULL};
	char found[4096];

	if (find_program(names, found, sizeof(found)) == NULL)
		return say(DOCTOR_OK, text, size, "not here, and not needed: afl-clang-fast is used");
	if (!compiles("afl-gcc-fast -o a main.c"))
		return say(
			DOCTOR_WARN, text, size,
			"does not compile: its plugin is not of this gcc's build; afl-clang-fast is used");
	return say(DOCTOR_OK, text, size, "compiles");
}

Verdict
look_libfuzzer(char *text, size_t size)
{
	if (compiles("clang -fsanitize=fuzzer,address -o a a.c"))
		return say(DOCTOR_OK, text, size, "clang -fsanitize=fuzzer,address links");
	return say(DOCTOR_WARN, text, size,
			   "clang -fsanitize=fuzzer does not link here: apt install clang llvm");
}

Verdict
look_gdb(char *text, size_t size)
{
	static const char *const names[] = {"gdb", NULL};

	return look_program(text, size, names, "apt install gdb, to look at cores");
}
