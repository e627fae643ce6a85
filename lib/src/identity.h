/*
 * identity.h
 *		What tells this boot, this namespace and this incarnation from every other.
 */
#ifndef HOLDFAST_IDENTITY_H
#define HOLDFAST_IDENTITY_H

#include <holdfast/pg_shmem.h>

/* Each is false with errno when the kernel does not tell. */
bool holdfast_identity_boot_id(char out[40]);
bool holdfast_identity_namespaces(uint64_t *pid_namespace, uint64_t *ipc_namespace);
bool holdfast_identity_cookie(HoldfastCookie *out); /* random, never zero */

#endif
