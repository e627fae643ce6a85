/*
 * finding.h
 *		An input that breaks a target: what it breaks, its smallest form, and where it is kept.
 */
#ifndef HOLDFAST_TOOLS_FUZZ_FINDING_H
#define HOLDFAST_TOOLS_FUZZ_FINDING_H

#include "tree.h"

typedef struct FuzzFinding
{
	char what
		[256]; /* "REQUIRE failed: ... at fuzz/x.c:12", the sanitizer's summary; "" when it broke nothing */
	char path[FUZZ_PATH_SIZE]; /* where it is kept */
	char name[80];             /* the last part of that */
	size_t found_size, size;   /* as it was found, and as it is kept */
} FuzzFinding;

/* Where findings of the tree are kept: fuzz/regress/TARGET, or for a planted bug beside its build. */
void fuzz_kept_directory(const FuzzTree *tree, const char *target, char path[FUZZ_PATH_SIZE]);

/* Runs the target over `path`, a file or a directory.  False: it was not run.  what: "" when nothing broke. */
bool fuzz_probe(const FuzzTree *tree, const char *target, const char *path, char *what,
				size_t size);

/* The first file under the project's seeds, corpus and regressions that breaks the target; false when none does. */
bool fuzz_find_kept(const FuzzTree *tree, const char *target, FuzzFinding *finding);

/* Makes the input smaller while it breaks the same, and keeps it. */
bool fuzz_keep(const FuzzTree *tree, const char *target, const char *path, FuzzFinding *finding);

#endif
