/*
 * load.h
 *		Result files, as --json leaves them, read from where the user names them.
 *
 * Errors: an exit code, after saying why; then nothing is kept.
 */
#ifndef HOLDFAST_TOOLS_LOAD_H
#define HOLDFAST_TOOLS_LOAD_H

#include <stdbool.h>
#include <stddef.h>

#include "results/merge.h"

/* The whole of a file; NULL after saying why.  The caller's to free. */
char *load_file(const char *path, size_t *length);

/*
 * All of them together, not yet concluded; `of_one_run`: says so when they have different seeds.  EXIT_GOOD; EXIT_USAGE: a file cannot be read or is not taken; EXIT_UNFIT: this
 * program was built without jansson, and reads none.
 */
int load_results(ResultsFile *whole, int count, char *const *paths, bool of_one_run);

#endif
