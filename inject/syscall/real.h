/*
 * real.h
 *		In holdfast_preload.so: the functions that ours stand in front of.
 */
#ifndef HOLDFAST_INJECT_REAL_H
#define HOLDFAST_INJECT_REAL_H

#include "prototypes.h"

#define CALL(how_, result_, name_, ...) extern __typeof__(name_) *real_##name_;
#define LONE_POINT(...)
#include "calls.def"
extern __typeof__(vfork) *real_vfork;
extern __typeof__(syscall) *real_syscall;

/* Find the next definitions in the search order; until then the system calls themselves serve. */
void real_resolve(void);

#endif
