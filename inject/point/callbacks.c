/*
 * callbacks.c
 *		What a program lends to plans: functions for call(NAME) and held=NAME, a place for throw.
 *
 * Function pointers mean something in one program only, so they live in the process, copied by fork; the
 * table holds names.
 *
 * Thread safety: registration may race with hits: an entry is published by the count, last.
 * Registrations themselves belong to one thread.
 */
#include <string.h>

#include "error.h"
#include "hit.h"

#define CALLBACKS 32

typedef struct Callback
{
	char name[INJECT_TAG_SIZE];
	InjectCallback function;
	void *arg;
} Callback;

static Callback callbacks[CALLBACKS];
static int callback_count;
static InjectHeldProbe held_probe;
static bool somebody_catches; /* in this process, or the one that it was forked from */
static _Thread_local sigjmp_buf *catch_here;

static const Callback *
find_callback(const char *name)
{
	/* acquire: pairs with the release in inject_register_call() */
	int count = __atomic_load_n(&callback_count, __ATOMIC_ACQUIRE);

	for (int i = 0; i < count; i++)
		if (strncmp(callbacks[i].name, name, INJECT_TAG_SIZE) == 0)
			return &callbacks[i];
	return NULL;
}

InjectStatus
inject_register_call(const char *name, InjectCallback callback, void *arg)
{
	Callback *entry = &callbacks[callback_count];

	if (name == NULL || callback == NULL || find_callback(name) != NULL ||
		strnlen(name, INJECT_TAG_SIZE) == INJECT_TAG_SIZE)
		return INJECT_MISUSE;
	if (callback_count == CALLBACKS)
		return INJECT_LIMIT;
	strcpy(entry->name, name);
	entry->function = callback;
	entry->arg = arg;
	/* release: publishes the entry; pairs with the acquire in find_callback() */
	__atomic_store_n(&callback_count, callback_count + 1, __ATOMIC_RELEASE);
	return INJECT_OK;
}

bool
inject_callback_known(const char *name)
{
	return find_callback(name) != NULL;
}

void
inject_run_callback(const char *name, const char *point)
{
	const Callback *callback = find_callback(name);

	if (callback != NULL)
		callback->function(point, callback->arg);
}

void
inject_set_held_probe(InjectHeldProbe probe)
{
	/* release, acquire below: whatever the probe reads was set up before it was handed in */
	__atomic_store_n(&held_probe, probe, __ATOMIC_RELEASE);
}

void
inject_set_catch(sigjmp_buf *where)
{
	catch_here = where;
	__atomic_store_n(&somebody_catches, true, __ATOMIC_RELAXED);
}

bool
inject_throw_known(void)
{
	return __atomic_load_n(&somebody_catches, __ATOMIC_RELAXED);
}

bool
inject_can_throw(void)
{
	return catch_here != NULL;
}

void
inject_throw(void)
{
	if (catch_here != NULL)
		siglongjmp(*catch_here, 1);
}

bool
inject_held_known(void)
{
	return __atomic_load_n(&held_probe, __ATOMIC_ACQUIRE) != NULL || inject_held_by_library != NULL;
}

const char *
inject_held_problem(const char *lock)
{
	if (__atomic_load_n(&held_probe, __ATOMIC_ACQUIRE) != NULL ||
		inject_held_by_library_problem == NULL)
		return NULL;
	return inject_held_by_library_problem(lock);
}

bool
inject_held(const char *lock)
{
	InjectHeldProbe probe = __atomic_load_n(&held_probe, __ATOMIC_ACQUIRE);

	if (probe != NULL)
		return probe(lock);
	return inject_held_by_library != NULL && inject_held_by_library(lock);
}
