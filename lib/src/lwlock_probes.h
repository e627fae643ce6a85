/*
 * lwlock_probes.h
 *		USDT probes, under PostgreSQL's names: lwlock__acquire and so on, provider "holdfast".
 *
 * Arguments: address of the lock, tranche id, mode (LWLockMode).  A probe is one nop and a note in the ELF file; without
 * <sys/sdt.h> (systemtap-sdt-dev) at build time it is nothing.
 */
#ifndef HOLDFAST_LWLOCK_PROBES_H
#define HOLDFAST_LWLOCK_PROBES_H

#ifdef HOLDFAST_USDT
#include <sys/sdt.h>
#define LWLOCK_PROBE(name_, lock_, mode_)                                                          \
	DTRACE_PROBE3(holdfast, name_, (lock_), (lock_)->tranche, (int) (mode_))
#else
#define LWLOCK_PROBE(name_, lock_, mode_)                                                          \
	do                                                                                             \
	{                                                                                              \
	} while (0)
#endif

#endif
