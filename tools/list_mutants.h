/*
 * list_mutants.h
 *		See list_mutants.c.
 */
#ifndef HOLDFAST_TOOLS_LIST_MUTANTS_H
#define HOLDFAST_TOOLS_LIST_MUTANTS_H

#include <stdbool.h>

/* Prints all of them; returns an exit code. */
int list_mutants(bool as_json);

#endif
