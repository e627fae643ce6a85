/*
 * ipc_internal.h
 *		What the library takes back from its own exit lists.
 */
#ifndef HOLDFAST_IPC_INTERNAL_H
#define HOLDFAST_IPC_INTERNAL_H

#include <holdfast/ipc.h>

/* Forgets this process's newest such entry, wherever it stands in the list; harmless when there is none. */
void holdfast_cancel_on_shmem_exit(pg_on_exit_callback function, Datum arg);

#endif
