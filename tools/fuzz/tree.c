/*
 * tree.c
 *		The source tree that is fuzzed: its targets, and building them for an engine.
 *
 * One build at a time in a directory: a lock file in it, held while the build runs.
 */
#include "tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"

/* Compilers of each engine, the best first.  That one is there does not mean that it works. */
static const char *const compilers[FUZZ_ENGINES][4] = {
	[FUZZ_LIBFUZZER] = {"clang", "clang-14"},
	[FUZZ_AFL] = {"afl-clang-fast", "afl-clang-lto", "afl-gcc-fast"},
};

const char *
fuzz_engine_name(FuzzEngine engine)
{
	return engine == FUZZ_AFL ? "afl" : "libfuzzer";
}

void
fuzz_text(char *text, size_t size, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void) vsnprintf(text, size, format, args);
	va_end(args);
}

/* ---- targets ---- */

size_t
fuzz_count_files(const char *directory)
{
	DIR *dir = opendir(directory);
	const struct dirent *entry;
	size_t count = 0;

	if (dir == NULL)
		return 0;
	while ((entry = readdir(dir)) != NULL)
		count += entry->d_name[0] != '.';
	(void) closedir(dir);
	return count;
}

size_t
fuzz_count_inputs(const FuzzTree *tree, const char *kind, const char *target)
{
	char path[FUZZ_PATH_SIZE];

	fuzz_text(path, sizeof(path), "%s/fuzz/%s/%s", tree->root, kind, target);
	return fuzz_count_files(path);
}

static bool
read_targets(FuzzTree *tree)
{
	char path[FUZZ_PATH_SIZE];
	char line[512];
	FILE *file;

	fuzz_text(path, sizeof(path), "%s/fuzz/targets", tree->root);
	file = fopen(path, "re");
	if (file == NULL)
	{
		(void) fprintf(stderr,
					   "holdfast: no fuzz targets: %s: %s; --source names the tree of holdfast\n",
					   path, strerror(errno));
		return false;
	}
	while (fgets(line, sizeof(line), file) != NULL && tree->count < FUZZ_TARGETS_MAX)
	{
		FuzzTarget *target = &tree->target[tree->count];

		if (line[0] != '#' && sscanf(line, "%47s %15s %u %159[^\n]", target->name, target->mutator,
									 &target->max_length, target->summary) == 4)
			tree->count++;
	}
	(void) fclose(file);
	return true;
}

const FuzzTarget *
fuzz_tree_find(const FuzzTree *tree, const char *name)
{
	for (size_t i = 0; i < tree->count; i++)
	{
		if (strcmp(tree->target[i].name, name) == 0)
			return &tree->target[i];
	}
	return NULL;
}

bool
fuzz_tree_open(FuzzTree *tree, const char *where, FuzzEngine engine, const char *mutant)
{
	char resolved[PATH_MAX];

	memset(tree, 0, sizeof(*tree));
	if (realpath(where != NULL ? where : HOLDFAST_SOURCE_DIR, resolved) == NULL)
	{
		(void) fprintf(stderr, "holdfast: no source tree: %s: %s; --source names it\n",
					   where != NULL ? where : HOLDFAST_SOURCE_DIR, strerror(errno));
		return false;
	}
	tree->engine = engine;
	tree->mutant = mutant;
	fuzz_text(tree->root, sizeof(tree->root), "%s", resolved);
	if (mutant != NULL)
	{
		fuzz_text(tree->source, sizeof(tree->source), "%.4000s/build/fuzz-mutants/%s/source",
				  tree->root, mutant);
		fuzz_text(tree->build, sizeof(tree->build), "%.4000s/build/fuzz-mutants/%s/fuzz-%s",
				  tree->root, mutant, fuzz_engine_name(engine));
	}
	else
	{
		fuzz_text(tree->source, sizeof(tree->source), "%s", tree->root);
		fuzz_text(tree->build, sizeof(tree->build), "%.4000s/build/fuzz-%s", tree->root,
				  fuzz_engine_name(engine));
	}
	return read_targets(tree);
}

/* ---- building ---- */

static bool
make_directories(const char *path)
{
	char part[FUZZ_PATH_SIZE];

	for (const char *slash = strchr(path + 1, '/');; slash = strchr(slash + 1, '/'))
	{
		fuzz_text(part, sizeof(part), "%.*s",
				  slash != NULL ? (int) (slash - path) : (int) strlen(path), path);
		if (mkdir(part, 0777) < 0 && errno != EEXIST)
		{
			(void) fprintf(stderr, "holdfast: could not make %s: %s\n", part, strerror(errno));
			return false;
		}
		if (slash == NULL)
			return true;
	}
}

/* The end of a log, where the reason stands. */
static void
print_tail(const char *path)
{
	char text[3000];
	FILE *file = fopen(path, "re");
	size_t got;

	if (file == NULL)
		return;
	if (fseek(file, -(long) sizeof(text), SEEK_END) < 0)
		rewind(file);
	got = fread(text, 1, sizeof(text), file);
	(void) fwrite(text, 1, got, stderr);
	(void) fclose(file);
}

/* Runs a step of the build; its output goes to a log, of which the end is shown when it fails. */
static bool
step(const FuzzTree *tree, const char *what, const char *const *argv)
{
	char log[FUZZ_PATH_SIZE];
	int status = 0;

	fuzz_text(log, sizeof(log), "%.4200s/build.log", tree->build);
	if (!child_run(argv, NULL, log, 0, &status) || children_interrupted())
		return false;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return true;
	print_tail(log);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		(void) fprintf(stderr, "holdfast: %s is not installed\n", argv[0]);
	(void) fprintf(stderr, "holdfast: could not %s (%s)\n", what, log);
	return false;
}

/* The tree once more, with the bug.  Times are kept, so that only what the patch touches is built again. */
static bool
make_mutant(const FuzzTree *tree)
{
	char patch[FUZZ_PATH_SIZE];
	const char *copy[] = {"sh",
						  "-c",
						  "rm -rf \"$2\" && mkdir -p \"$2\" && cd \"$1\" && "
						  "cp -a CMakeLists.txt cmake lib inject scenarios tools fuzz \"$2\"",
						  "sh",
						  tree->root,
						  tree->source,
						  NULL};
	const char *apply[] = {"patch", "-p1", "-s", "-d", tree->source, "-i", patch, NULL};

	fuzz_text(patch, sizeof(patch), "%.4000s/tests/mutants/%s.patch", tree->root, tree->mutant);
	if (access(patch, R_OK) < 0)
	{
		(void) fprintf(stderr, "holdfast: there is no mutant \"%s\" (%s)\n", tree->mutant, patch);
		return false;
	}
	return step(tree, "copy the tree", copy) && step(tree, "plant the bug", apply);
}

/* A compiler of the engine that compiles: a plugin may have been made for another version of its compiler. */
static const char *
working_compiler(const FuzzTree *tree)
{
	char log[FUZZ_PATH_SIZE];

	fuzz_text(log, sizeof(log), "%.4200s/compiler.log", tree->build);
	for (const char *const *compiler = compilers[tree->engine]; *compiler != NULL; compiler++)
	{
		const char *argv[] = {
			"sh",
			"-c",
			"echo 'int LLVMFuzzerTestOneInput(const unsigned char *d, unsigned long n);"
			"int LLVMFuzzerTestOneInput(const unsigned char *d, unsigned long n) { (void) d; "
			"(void) n; return 0; }' "
			">\"$2.c\" && AFL_QUIET=1 \"$1\" -fsanitize=fuzzer,address -o \"$2.out\" \"$2.c\"; "
			"code=$?; "
			"rm -f \"$2.c\" \"$2.out\"; exit $code",
			"sh",
			*compiler,
			log,
			NULL};
		int status = 0;

		if (!child_run(argv, NULL, log, 60000, &status) || children_interrupted())
			return NULL;
		if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
			return *compiler;
	}
	print_tail(log);
	(void) fprintf(
		stderr, "holdfast: no compiler for %s works here: %s\n", fuzz_engine_name(tree->engine),
		tree->engine == FUZZ_AFL ? "apt install afl++" : "apt install clang libclang-rt-14-dev");
	return NULL;
}

static bool
configure(const FuzzTree *tree)
{
	char cache[FUZZ_PATH_SIZE], choice[FUZZ_PATH_SIZE];
	const char *compiler;
	const char *argv[] = {"cmake",
						  "-G",
						  "Ninja",
						  "-S",
						  tree->source,
						  "-B",
						  tree->build,
						  choice,
						  "-DHOLDFAST_FUZZ_ONLY=ON",
						  "-DHOLDFAST_SANITIZE=address,undefined",
						  "-DCMAKE_BUILD_TYPE=RelWithDebInfo",
						  "-DCMAKE_C_FLAGS_RELWITHDEBINFO=-O2 -g",
						  NULL};

	fuzz_text(cache, sizeof(cache), "%.4200s/build.ninja", tree->build);
	if (access(cache, F_OK) == 0)
		return true; /* the build looks itself whether it must be configured again */
	compiler = working_compiler(tree);
	if (compiler == NULL)
		return false;
	fuzz_text(choice, sizeof(choice), "-DCMAKE_C_COMPILER=%s", compiler);
	return step(tree, "configure the fuzz targets", argv);
}

static bool
build_locked(const FuzzTree *tree, const char *target)
{
	char fuzzer[80], replay[80];
	const char *argv[] = {"cmake", "--build", tree->build, "--target", fuzzer, replay, NULL};

	fuzz_text(fuzzer, sizeof(fuzzer), "fuzz_%s", target);
	fuzz_text(replay, sizeof(replay), "fuzz_%s_replay", target);
	if (tree->mutant != NULL && !make_mutant(tree))
		return false;
	return configure(tree) && step(tree, "build the fuzz target", argv);
}

bool
fuzz_tree_build(const FuzzTree *tree, const char *target)
{
	char path[FUZZ_PATH_SIZE];
	bool built;
	int lock;

	if (!make_directories(tree->build))
		return false;
	fuzz_text(path, sizeof(path), "%.4200s/.lock", tree->build);
	lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
	if (lock < 0 || flock(lock, LOCK_EX) < 0)
	{
		(void) fprintf(stderr, "holdfast: could not lock %s: %s\n", path, strerror(errno));
		return false;
	}
	built = build_locked(tree, target);
	(void) close(lock);
	return built;
}
