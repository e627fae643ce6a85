/*
 * registry.h
 *		The points of this program: every INJECT_POINT() and every wrapped call linked into it.
 */
#ifndef HOLDFAST_INJECT_REGISTRY_H
#define HOLDFAST_INJECT_REGISTRY_H

#include "inject/inject.h"
#include "inject/syscall/errno_table.h"

/* One name, with all places that carry it. */
typedef struct RegistryPoint
{
	const HoldfastInjectPoint *first; /* by file and line */
	int sites;
	int context; /* of all sites together */
	unsigned actions;
	const InjectCallSpec *spec; /* NULL: not a call */
	unsigned index;             /* in the table; NO_POINT while none is mapped */
} RegistryPoint;

/* In order of name. */
int registry_count(void);
RegistryPoint *registry_at(int index);
RegistryPoint *registry_find(const char *name);

/*
 * Whether some place of the point is written in that function, or is a call, which may be made anywhere.
 * `nearest`, when not NULL, is given the function that is most like it.
 */
bool registry_is_in(const char *point, const char *function, const char **nearest);

/* More names than a table can hold. */
bool registry_overflowed(void);

/* INJECT_CAN_... of a point by what is known of it. */
unsigned registry_actions(int context, const InjectCallSpec *spec);

/* Let all sites test `armed[index of the point]`; NULL: none is armed for ever. */
void registry_bind(const unsigned char *armed);

#endif
