/*
 * self.c
 *		What a process knows of itself: its slot in the table, role, lineage, whether libfiu is safe.
 *
 * The facts lie in pages that the kernel empties in a forked child (MADV_WIPEONFORK), however it was
 * forked: a child starts as nobody and claims a slot at its first hit.  fork() handlers add what only they
 * can know, the lineage (the how-manieth child of which parent), which is the same in every repetition
 * of a run, as pids are not, and whether the parent had threads, in which case libfiu may have been copied in
 * the middle of a lock.
 *
 * Owner: the pages are the process's own.  The slot is ours while our identity stands in it.
 * Thread safety: the first thread to come claims; others go without a slot in that instant.
 * Signal safety: all but self_start() and self_stop().
 * Crash safety: a process that dies between claiming and clearing leaves serial 0; the next claimer
 * finds a dead identity and starts over.
 */
#include "self.h"

#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/single_threaded.h>

#include "error.h"
#include "identity.h"

InjectSelf *inject_self_pages;
static bool handlers_installed;
static uint64_t lineage;    /* copied by fork, then changed in the child */
static bool lineage_known;  /* false in a program that was just executed */
static uint64_t fork_count; /* children of this process so far */
static bool forked_from_threads;
static bool named_by_program;
static _Thread_local InjectThread this_thread;

static uint64_t
mix(uint64_t value)
{
	/* splitmix64's finaliser */
	value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
	return value ^ (value >> 31);
}

static void
before_fork(void)
{
	__atomic_add_fetch(&fork_count, 1, __ATOMIC_RELAXED);
	forked_from_threads = !__libc_single_threaded;
}

static void
after_fork_in_child(void)
{
	if (inject_self_pages == NULL)
		return;
	/* Wiped already where the kernel can; the same again where it cannot. */
	if (inject_self_pages->state != SELF_NEW)
		memset(inject_self_pages, 0, sizeof(*inject_self_pages));
	lineage = mix(lineage + mix(fork_count));
	fork_count = 0;
	inject_self_pages->fork_known = 1;
	inject_self_pages->libfiu_safe = !forked_from_threads;
}

InjectStatus
self_start(InjectError *error)
{
	void *pages =
		mmap(NULL, sizeof(InjectSelf), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (pages == MAP_FAILED)
		return inject_fail_errno(error, "cannot map memory for the process's own counters");
	/* Kernels before 4.14 cannot; then fork()'s handler alone does it, and a raw clone is not noticed. */
	(void) madvise(pages, sizeof(InjectSelf), MADV_WIPEONFORK);
	if (!handlers_installed && pthread_atfork(before_fork, NULL, after_fork_in_child) != 0)
	{
		munmap(pages, sizeof(InjectSelf));
		return inject_fail(error, INJECT_SYSTEM_ERROR, "cannot install the fork handlers");
	}
	handlers_installed = true;
	inject_self_pages = pages;
	lineage = 0;
	lineage_known = false;
	inject_self_pages->fork_known = 1;
	inject_self_pages->libfiu_safe = 1;
	return INJECT_OK;
}

void
self_stop(void)
{
	InjectSelf *pages = inject_self_pages;

	inject_self_pages = NULL;
	if (pages != NULL)
		munmap(pages, sizeof(*pages));
}

/* A slot that is ours already: this program was executed by one that had it. */
static bool
find_own_slot(TableIdentity identity, uint32_t *slot)
{
	uint32_t count = __atomic_load_n(&inject_table->proc_count, __ATOMIC_RELAXED);

	for (uint32_t i = 0; i < count && i < INJECT_MAX_PROCS; i++)
	{
		TableProc *proc = &inject_table->procs[i];

		if (__atomic_load_n(&proc->identity, __ATOMIC_RELAXED) != identity ||
			/* acquire: pairs with the release at the end of take_slot() */
			__atomic_load_n(&proc->serial, __ATOMIC_ACQUIRE) == 0)
			continue;
		*slot = i;
		return true;
	}
	return false;
}

/* Make a slot that was claimed by CAS ours in content too. */
static void
take_slot(TableProc *proc, uint32_t index)
{
	uint32_t count = __atomic_load_n(&inject_table->proc_count, __ATOMIC_RELAXED);
	uint32_t points = __atomic_load_n(&inject_table->point_count, __ATOMIC_RELAXED);
	uint32_t serial;

	__atomic_store_n(&proc->serial, 0, __ATOMIC_RELEASE);
	memset(proc->role, 0, sizeof(proc->role));
	memset(proc->program, 0, sizeof(proc->program));
	(void) prctl(PR_GET_NAME, proc->program);
	proc->ordinal = 0;
	__atomic_store_n(&proc->last_fire, 0, __ATOMIC_RELAXED);
	/* What those before us counted stays in the sums.  Once more by the next, should we die here. */
	for (uint32_t i = 0; i < points && i < INJECT_MAX_POINTS; i++)
	{
		proc->hits_before[i] = proc->hits[i];
		proc->fires_before[i] = proc->fires[i];
	}
	/* A walk sees as many slots as were ever taken.  relaxed: each slot's serial publishes itself. */
	while (count <= index &&
		   !__atomic_compare_exchange_n(&inject_table->proc_count, &count, index + 1, false,
										__ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
	serial = __atomic_add_fetch(&inject_table->next_serial, 1, __ATOMIC_RELAXED);
	/* release: publishes the cleared slot; pairs with the acquire loads of serial */
	__atomic_store_n(&proc->serial, serial == 0 ? 1 : serial, __ATOMIC_RELEASE);
}

/* Slots never used first; then those of the dead, whose numbers the tester has had the most time to read. */
static bool
claim_slot(TableIdentity identity, uint32_t *slot)
{
	uint32_t start = __atomic_load_n(&inject_table->proc_count, __ATOMIC_RELAXED);

	if (start >= INJECT_MAX_PROCS)
		start = __atomic_load_n(&inject_table->next_serial, __ATOMIC_RELAXED) % INJECT_MAX_PROCS;
	for (uint32_t i = 0; i < INJECT_MAX_PROCS; i++)
	{
		uint32_t index = (start + i) % INJECT_MAX_PROCS;
		TableProc *proc = &inject_table->procs[index];
		TableIdentity before = __atomic_load_n(&proc->identity, __ATOMIC_RELAXED);

		if (before != 0 && identity_alive(before))
			continue;
		if (!__atomic_compare_exchange_n(&proc->identity, &before, identity, false,
										 __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
			continue;
		if (before != 0)
			__atomic_add_fetch(&inject_table->procs_recycled, 1, __ATOMIC_RELAXED);
		take_slot(proc, index);
		*slot = index;
		return true;
	}
	return false;
}

static void
copy_role(char *to, const char *from)
{
	size_t length = strnlen(from, INJECT_ROLE_SIZE - 1);

	memset(to, 0, INJECT_ROLE_SIZE);
	memcpy(to, from, length);
}

/* How many slots have that role: the ordinal of the next one. */
static int
count_role(const char *role)
{
	uint32_t count = __atomic_load_n(&inject_table->proc_count, __ATOMIC_RELAXED);
	int found = 0;

	for (uint32_t i = 0; i < count && i < INJECT_MAX_PROCS; i++)
		if (strncmp(inject_table->procs[i].role, role, INJECT_ROLE_SIZE) == 0)
			found++;
	return found;
}

static void
name_slot(TableProc *slot, const char *program)
{
	char name[INJECT_ROLE_SIZE];

	copy_role(name, program);
	for (char *c = name; *c != '\0'; c++)
		if (!((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9')))
			*c = *c == '-' ? '-' : '_';
	if (strncmp(slot->role, name, sizeof(name)) == 0)
		return;
	slot->ordinal = count_role(name);
	copy_role(slot->role, name);
}

InjectSelf *
self_get(void)
{
	InjectSelf *self = inject_self_pages;
	uint32_t state = SELF_NEW;

	if (self == NULL || inject_table == NULL)
		return NULL;
	/* acquire: pairs with the release below, in the thread that claimed */
	if (__atomic_load_n(&self->state, __ATOMIC_ACQUIRE) != SELF_NEW)
		return self;
	if (!__atomic_compare_exchange_n(&self->state, &state, SELF_CLAIMING, false, __ATOMIC_ACQUIRE,
									 __ATOMIC_RELAXED))
		return self;
	self->identity = identity_read_self();
	if (find_own_slot(self->identity, &self->slot))
	{
		self->serial = inject_table->procs[self->slot].serial;
		lineage = inject_table->procs[self->slot].lineage;
	}
	else if (claim_slot(self->identity, &self->slot))
	{
		self->serial = inject_table->procs[self->slot].serial;
		/* Executed, or cloned behind our back: only the order of arrival tells it from its siblings. */
		if (!lineage_known || !self->fork_known)
			lineage = mix(lineage + self->serial);
		inject_table->procs[self->slot].lineage = lineage;
		if (named_by_program)
			name_slot(&inject_table->procs[self->slot], inject_table->procs[self->slot].program);
	}
	lineage_known = true;
	if (self->serial != 0)
		self->proc = &inject_table->procs[self->slot];
	__atomic_store_n(&self->state, SELF_READY, __ATOMIC_RELEASE);
	return self;
}

TableProc *
self_slot(InjectSelf *self, bool *own)
{
	/* acquire: as in self_get(); while another thread is claiming there is no slot */
	*own = __atomic_load_n(&self->state, __ATOMIC_ACQUIRE) == SELF_READY && self->serial != 0;
	return *own ? self->proc : &inject_table->procs[COMMON_SLOT];
}

/* What could not happen to who we were may happen to who we are. */
static void
forget_silence(InjectSelf *self)
{
	for (int i = 0; i < INJECT_MAX_POINTS; i++)
		__atomic_store_n(&self->silence[i].active, 0, __ATOMIC_RELEASE);
}

InjectThread *
self_thread(InjectSelf *self)
{
	if (this_thread.serial != self->serial)
	{
		memset(&this_thread, 0, sizeof(this_thread));
		this_thread.serial = self->serial;
	}
	return &this_thread;
}

InjectRole
self_role(InjectSelf *self)
{
	InjectThread *thread = self_thread(self);
	TableProc *slot;
	bool own;

	if (thread->has_role)
		return (InjectRole){thread->role, thread->ordinal};
	slot = self_slot(self, &own);
	if (!own)
		return (InjectRole){"", 0};
	return (InjectRole){slot->role, slot->ordinal};
}

InjectRole
self_lineage(InjectSelf *self)
{
	InjectRole role = self_role(self);

	if (role.name[0] != '\0')
		return role;
	return (InjectRole){"", (int) (lineage & INT32_MAX)};
}

void
inject_set_role(const char *role, int ordinal)
{
	InjectSelf *self = self_get();
	bool own = false;
	TableProc *slot = self == NULL ? NULL : self_slot(self, &own);

	if (!own || role == NULL)
		return;
	copy_role(slot->role, role);
	slot->ordinal = ordinal;
	forget_silence(self);
}

void
inject_set_thread_role(const char *role, int ordinal)
{
	InjectSelf *self = self_get();
	InjectThread *thread;

	if (self == NULL)
		return;
	thread = self_thread(self);
	__atomic_store_n(&self->thread_roles, 1, __ATOMIC_RELAXED);
	forget_silence(self);
	thread->has_role = role != NULL;
	if (role != NULL)
		copy_role(thread->role, role);
	thread->ordinal = ordinal;
}

void
self_name_by_program(void)
{
	InjectSelf *self;
	TableProc *slot;
	bool own = false;

	named_by_program = true;
	self = self_get();
	slot = self == NULL ? NULL : self_slot(self, &own);
	if (!own)
		return;
	(void) prctl(PR_GET_NAME, slot->program); /* the slot may be from before exec */
	name_slot(slot, slot->program);
	forget_silence(self);
}

bool
self_adopt(InjectSelf *self, pid_t pid)
{
	TableProc *slot;

	memset(self, 0, sizeof(*self));
	self->identity = identity_read(pid);
	if (!find_own_slot(self->identity, &self->slot) && !claim_slot(self->identity, &self->slot))
		return false;
	slot = &inject_table->procs[self->slot];
	memset(slot->program, 0, sizeof(slot->program)); /* ours */
	self->serial = slot->serial;
	slot->lineage = mix(self->serial);
	self->fork_known = 1;
	self->proc = slot;
	self->state = SELF_READY;
	return true;
}

void
self_name(InjectSelf *self, const char *program)
{
	bool own;
	TableProc *slot = self_slot(self, &own);

	if (!own)
		return;
	memset(slot->program, 0, sizeof(slot->program));
	memcpy(slot->program, program, strnlen(program, sizeof(slot->program) - 1));
	name_slot(slot, program);
	forget_silence(self);
}
