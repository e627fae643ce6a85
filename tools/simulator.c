/*
 * simulator.c
 *		Finds, or builds from a mutant, the simulator of the lock code, and loads it.
 *
 * The simulator as built lies beside this program, or where it was installed.  A mutant's is built in a temporary
 * directory: the lock sources are copied, patched, compiled as inject/sched/CMakeLists.txt does, and linked with the same
 * engine.  That needs the source tree (HOLDFAST_SOURCE_DIR, or found above this program or the current directory), patch
 * and a compiler (CC).
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "command.h"
#include "simulator.h"

/* $S source tree, $B where the build's lib directory is, $W work, $M mutant. */
static const char build_script[] =
	"set -e\n"
	"mkdir \"$W/lib\"\n"
	"cp -r \"$S/lib/src\" \"$W/lib/src\"\n"
	"cd \"$W\"\n"
	"patch -p1 -s -f --no-backup-if-mismatch <\"$S/tests/mutants/$M.patch\" >patch.log 2>&1 ||\n"
	"	{ cat patch.log >&2; exit 3; }\n"
	"jobs=\n"
	"for name in lwlock lwlock_checks lwlock_queue lwlock_wait lwlock_tranche proc recover; do\n"
	"	${CC:-cc} -std=gnu11 -D_GNU_SOURCE= -O1 -fno-inline -g -fPIC -U_FORTIFY_SOURCE "
	"-fno-stack-protector -fvisibility=hidden \\\n"
	"		-fno-strict-aliasing -fno-common -w -fsanitize=thread -include "
	"\"$S/inject/sched/seam.h\" \\\n"
	"		-I\"$S/lib/include\" -I\"$B/include\" -Ilib/src -I\"$S\" -c lib/src/$name.c -o $name.o "
	"&\n"
	"	jobs=\"$jobs $!\"\n"
	"done\n"
	"for job in $jobs; do wait $job; done\n"
	"${CC:-cc} -shared -o sim.so *.o -Wl,--whole-archive \"$B/libholdfast_sched.a\" "
	"-Wl,--no-whole-archive -lm\n";

/* ---- places ---- */

/* "/a/b" becomes "/a". */
static void
cut_last(char *path)
{
	char *slash = strrchr(path, '/');

	if (slash != NULL)
		*slash = '\0';
}

static bool
own_directory(char *path, size_t size)
{
	ssize_t length = readlink("/proc/self/exe", path, size - 1);

	if (length <= 0)
		return false;
	path[length] = '\0';
	cut_last(path);
	return true;
}

static bool
find_module(char *path, size_t size)
{
	static const char *const places[] = {"../lib/holdfast_sim.so",
										 "../lib/holdfast/holdfast_sim.so"};
	char directory[PATH_MAX];

	if (!own_directory(directory, sizeof(directory)))
		return false;
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
	{
		if (snprintf(path, size, "%s/%s", directory, places[i]) < (int) size &&
			access(path, R_OK) == 0)
			return true;
	}
	return false;
}

static bool
is_source_tree(const char *directory)
{
	char path[PATH_MAX];

	return snprintf(path, sizeof(path), "%s/tests/mutants", directory) < (int) sizeof(path) &&
		   access(path, R_OK) == 0 &&
		   snprintf(path, sizeof(path), "%s/inject/sched/seam.h", directory) < (int) sizeof(path) &&
		   access(path, R_OK) == 0;
}

/* `directory` or one above it. */
static bool
is_inside_source_tree(char *directory)
{
	while (strlen(directory) > 1)
	{
		if (is_source_tree(directory))
			return true;
		cut_last(directory);
	}
	return false;
}

static bool
find_source_tree(char *path, size_t size)
{
	const char *given = getenv("HOLDFAST_SOURCE_DIR");

	if (given != NULL && given[0] != '\0')
		return snprintf(path, size, "%s", given) < (int) size && is_source_tree(path);
	if (own_directory(path, size) && is_inside_source_tree(path))
		return true;
	return getcwd(path, size) != NULL && is_inside_source_tree(path);
}

static bool
is_plain_name(const char *name)
{
	return name[0] != '\0' && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen(name);
}

/* ---- mutants ---- */

static int
ends_in_patch(const struct dirent *entry)
{
	size_t length = strlen(entry->d_name);

	return length > 6 && strcmp(entry->d_name + length - 6, ".patch") == 0;
}

/* Does the patch change a source that the simulator is made of? */
static bool
changes_lock_code(const char *source, const char *file)
{
	static const char *const changed[] = {"lib/src/lwlock", "lib/src/recover.c", "lib/src/proc.c"};
	char line[1024], path[PATH_MAX];
	FILE *patch;
	bool found = false;

	if (snprintf(path, sizeof(path), "%s/tests/mutants/%s", source, file) >= (int) sizeof(path))
		return false;
	patch = fopen(path, "re");
	while (patch != NULL && !found && fgets(line, sizeof(line), patch) != NULL)
	{
		for (size_t i = 0; i < sizeof(changed) / sizeof(changed[0]); i++)
			found = found || (strncmp(line, "+++ b/", 6) == 0 &&
							  strncmp(line + 6, changed[i], strlen(changed[i])) == 0);
	}
	if (patch != NULL)
		(void) fclose(patch);
	return found;
}

int
simulator_list_mutants(void)
{
	char source[PATH_MAX], directory[PATH_MAX + 16];
	struct dirent **entries;
	int count, listed = 0;

	if (!find_source_tree(source, sizeof(source)))
	{
		(void) fprintf(stderr,
					   "holdfast: no source tree here; HOLDFAST_SOURCE_DIR says where it is\n");
		return EXIT_UNFIT;
	}
	(void) snprintf(directory, sizeof(directory), "%s/tests/mutants", source);
	count = scandir(directory, &entries, ends_in_patch, alphasort);
	for (int i = 0; i < count; i++)
	{
		if (changes_lock_code(source, entries[i]->d_name))
		{
			(void) printf("%.*s\n", (int) strlen(entries[i]->d_name) - 6, entries[i]->d_name);
			listed++;
		}
		free(entries[i]);
	}
	if (count >= 0)
		free(entries);
	return listed > 0 ? EXIT_GOOD : EXIT_NOTHING;
}

static int
run_script(const char *source, const char *build, const char *work, const char *mutant)
{
	pid_t pid = fork();
	int status = 0;

	if (pid == 0)
	{
		(void) setenv("S", source, 1);
		(void) setenv("B", build, 1);
		(void) setenv("W", work, 1);
		(void) setenv("M", mutant, 1);
		(void) dup2(STDERR_FILENO, STDOUT_FILENO);
		(void) execl("/bin/sh", "sh", "-c", build_script, (char *) NULL);
		_exit(127);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return pid > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : 127;
}

static void
remove_work(const char *work)
{
	pid_t pid = work[0] != '\0' ? fork() : -1;

	if (pid == 0)
	{
		(void) execlp("rm", "rm", "-rf", "--", work, (char *) NULL);
		_exit(127);
	}
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

static int
build_mutant(Simulator *simulator, const char *mutant)
{
	char source[PATH_MAX], build[PATH_MAX], patch[PATH_MAX + 300];
	const char *temporary = getenv("TMPDIR");
	int code;

	if (!is_plain_name(mutant) || strlen(mutant) > 200)
		return usage_error("\"%s\" is not the name of a mutant", mutant);
	if (!find_source_tree(source, sizeof(source)))
	{
		(void) fprintf(
			stderr,
			"holdfast: a mutant needs the source tree; HOLDFAST_SOURCE_DIR says where it is\n");
		return EXIT_UNFIT;
	}
	(void) snprintf(patch, sizeof(patch), "%s/tests/mutants/%s.patch", source, mutant);
	if (access(patch, R_OK) != 0)
		return usage_error("there is no mutant \"%s\"; explore --list names them", mutant);
	(void) snprintf(build, sizeof(build), "%s", simulator->path);
	cut_last(build);
	(void) snprintf(simulator->work, sizeof(simulator->work), "%s/holdfast-sim.XXXXXX",
					temporary != NULL && temporary[0] == '/' ? temporary : "/tmp");
	if (mkdtemp(simulator->work) == NULL)
	{
		(void) fprintf(stderr, "holdfast: no temporary directory: %s\n", strerror(errno));
		simulator->work[0] = '\0';
		return EXIT_UNFIT;
	}
	code = run_script(source, build, simulator->work, mutant);
	if (code != 0)
	{
		(void) fprintf(stderr, "holdfast: the mutant \"%s\" %s\n", mutant,
					   code == 3 ? "does not apply to these sources" : "does not build");
		return EXIT_UNFIT;
	}
	(void) snprintf(simulator->path, sizeof(simulator->path), "%.4000s/sim.so", simulator->work);
	return EXIT_GOOD;
}

int
simulator_open(Simulator *simulator, const char *mutant)
{
	int code = EXIT_GOOD;

	*simulator = (Simulator){.module = NULL};
	if (!find_module(simulator->path, sizeof(simulator->path)))
	{
		(void) fprintf(stderr, "holdfast: holdfast_sim.so is not beside this program\n");
		return EXIT_UNFIT;
	}
	if (mutant != NULL)
		code = build_mutant(simulator, mutant);
	if (code == EXIT_GOOD)
	{
		simulator->module = dlopen(simulator->path, RTLD_NOW | RTLD_LOCAL);
		if (simulator->module != NULL)
			*(void **) &simulator->explore = dlsym(simulator->module, EXPLORE_ENTRY);
		if (simulator->explore == NULL)
		{
			(void) fprintf(stderr, "holdfast: %s\n", dlerror());
			code = EXIT_UNFIT;
		}
	}
	if (code != EXIT_GOOD)
		simulator_close(simulator);
	return code;
}

void
simulator_close(Simulator *simulator)
{
	if (simulator->module != NULL)
		(void) dlclose(simulator->module);
	remove_work(simulator->work);
	*simulator = (Simulator){.module = NULL};
}
