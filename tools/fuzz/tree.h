/*
 * tree.h
 *		The source tree that is fuzzed: its targets, and building them for an engine.
 *
 *		SOURCE/fuzz/targets						what there is
 *		SOURCE/build/fuzz-ENGINE/				built for an engine, kept from run to run
 *		SOURCE/build/fuzz-mutants/NAME/			a copy with a planted bug: source/, and fuzz-ENGINE/
 *
 * Errors: functions that fail say why on stderr.
 */
#ifndef HOLDFAST_TOOLS_FUZZ_TREE_H
#define HOLDFAST_TOOLS_FUZZ_TREE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#define FUZZ_PATH_SIZE   (PATH_MAX + 512)
#define FUZZ_TARGETS_MAX 32

typedef struct FuzzTarget
{
	char name[48];
	char mutator[16];
	unsigned max_length;
	char summary[160];
} FuzzTarget;

typedef enum FuzzEngine
{
	FUZZ_LIBFUZZER,
	FUZZ_AFL,
	FUZZ_ENGINES
} FuzzEngine;

typedef struct FuzzTree
{
	char root[FUZZ_PATH_SIZE];   /* the source that the user has */
	char source[FUZZ_PATH_SIZE]; /* what is built: root, or a mutated copy */
	char build[FUZZ_PATH_SIZE];
	const char *mutant; /* NULL: none */
	FuzzEngine engine;
	FuzzTarget target[FUZZ_TARGETS_MAX];
	size_t count;
} FuzzTree;

const char *fuzz_engine_name(FuzzEngine engine);

/* As snprintf into `size` bytes, without the compiler's opinion on paths that are too long. */
void fuzz_text(char *text, size_t size, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Files in a directory of the tree, 0 when there is none: fuzz/KIND/TARGET of `root`. */
size_t fuzz_count_inputs(const FuzzTree *tree, const char *kind, const char *target);
size_t fuzz_count_files(const char *directory);

/* Finds the tree (`where` NULL: where this program was built) and reads its targets. */
bool fuzz_tree_open(FuzzTree *tree, const char *where, FuzzEngine engine, const char *mutant);

/* NULL when there is none of that name. */
const FuzzTarget *fuzz_tree_find(const FuzzTree *tree, const char *name);

/* Builds the target for the engine, and its replay; first the copy with the planted bug, if there is to be one. */
bool fuzz_tree_build(const FuzzTree *tree, const char *target);

#endif
