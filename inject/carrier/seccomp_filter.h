/*
 * seccomp_filter.h
 *		A program of the kernel's that stops the calls of a list and asks us.
 */
#ifndef HOLDFAST_INJECT_SECCOMP_FILTER_H
#define HOLDFAST_INJECT_SECCOMP_FILTER_H

#define SECCOMP_NUMBERS_MAX 200

/*
 * Put the filter on the calling process and all that it will start.  The listener's descriptor, or -1 and errno
 * (EBUSY: somebody listens already).  Takes the right to gain privileges only where there is no other way.
 */
int seccomp_filter_install(const long *numbers, int count);

#endif
