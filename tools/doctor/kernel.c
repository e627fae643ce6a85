/*
 * kernel.c
 *		`holdfast doctor`: what the kernel allows.
 *
 * Each check really tries the thing, in a child where it could leave traces.
 */
#include <errno.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "doctor/checks.h"
#include "inject/carrier/carrier.h"
#include "inject/identity/identity.h"

static bool
read_line(const char *path, char *line, size_t size)
{
	FILE *file = fopen(path, "re");
	bool got;

	if (file == NULL)
		return false;
	got = fgets(line, (int) size, file) != NULL;
	(void) fclose(file);
	if (got)
		line[strcspn(line, "\n")] = '\0';
	return got;
}

/* ---- shared memory ---- */

Verdict
look_shm(char *text, size_t size)
{
	struct shm_info used;
	struct shminfo limits;
	int shmid = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);
	void *address;

	if (shmid < 0)
		return say(DOCTOR_FIX, text, size, "cannot make a segment: %s%s", strerror(errno),
				   errno == ENOSPC ? "; raise kernel.shmmni, or see `holdfast orphans`" : "");
	address = shmat(shmid, NULL, 0);
	(void) shmctl(shmid, IPC_RMID, NULL);
	if (address == (void *) -1)
		return say(DOCTOR_FIX, text, size, "cannot attach a segment: %s", strerror(errno));
	(void) shmdt(address);
	if (shmctl(0, SHM_INFO, (struct shmid_ds *) (void *) &used) < 0 ||
		shmctl(0, IPC_INFO, (struct shmid_ds *) (void *) &limits) < 0)
		return say(DOCTOR_WARN, text, size, "limits are unknown: %s", strerror(errno));
	return say(DOCTOR_OK, text, size, "%d of SHMMNI=%lu segments used", used.used_ids,
			   limits.shmmni);
}

/* ---- namespaces ---- */

static int
try_plain_namespaces(void)
{
	return unshare(CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWNS) == 0 ? 0 : errno;
}

static int
try_user_namespaces(void)
{
	return unshare(CLONE_NEWUSER | CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWNS) == 0 ? 0 : errno;
}

Verdict
look_namespaces(char *text, size_t size)
{
	int plain = errno_in_child(try_plain_namespaces);
	int user;

	if (plain == 0)
		return say(DOCTOR_OK, text, size, "ipc, pid and mount, as root");
	user = errno_in_child(try_user_namespaces);
	if (user == 0)
		return say(DOCTOR_OK, text, size, "ipc, pid and mount, through a user namespace");
	return say(DOCTOR_FIX, text, size,
			   "none (%s): run as root, or allow user namespaces "
			   "(sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone)",
			   strerror(user));
}

/* ---- processes ---- */

Verdict
look_pidfd(char *text, size_t size)
{
	int fd = (int) syscall(SYS_pidfd_open, getpid(), 0);

	if (fd < 0)
		return say(DOCTOR_FIX, text, size, "pidfd_open: %s; Linux 5.3 or newer is needed",
				   strerror(errno));
	(void) close(fd);
	return say(DOCTOR_OK, text, size, "works");
}

Verdict
look_proc(char *text, size_t size)
{
	if (access("/proc/self/stat", R_OK) != 0)
		return say(DOCTOR_FIX, text, size, "/proc is not mounted");
	return say(DOCTOR_OK, text, size, "mounted");
}

static int
try_ptrace(void)
{
	pid_t pid = fork();
	int status;
	int error = 0;

	if (pid == 0)
	{
		(void) ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		(void) raise(SIGSTOP);
		_exit(0);
	}
	(void) waitpid(pid, &status, WUNTRACED);
	if (ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) < 0)
		error = errno;
	(void) kill(pid, SIGKILL);
	(void) waitpid(pid, &status, 0);
	return error;
}

Verdict
look_ptrace(char *text, size_t size)
{
	int error = errno_in_child(try_ptrace);

	if (error != 0)
		return say(DOCTOR_WARN, text, size, "%s: single-stepping will not work", strerror(error));
	return say(DOCTOR_OK, text, size, "single-stepping works");
}

static Verdict
look_carrier(char *text, size_t size, const Carrier *carrier, const char *remedy)
{
	InjectError error;

	if (carrier->probe(&error) != INJECT_OK)
		return say(DOCTOR_WARN, text, size, "%s: %s", error.message, remedy);
	return say(DOCTOR_OK, text, size, "works: exec --via %s", carrier->name);
}

Verdict
look_seccomp(char *text, size_t size)
{
	return look_carrier(
		text, size, &carrier_seccomp,
		"static programs are not reached; Linux 5.0 or newer, and a container that allows it");
}

Verdict
look_strace(char *text, size_t size)
{
	return look_carrier(text, size, &carrier_strace, "apt install strace, for exec --via strace");
}

Verdict
look_core_pattern(char *text, size_t size)
{
	char pattern[200];

	if (!read_line("/proc/sys/kernel/core_pattern", pattern, sizeof(pattern)))
		return say(DOCTOR_WARN, text, size, "unknown");
	if (pattern[0] == '|')
		return say(DOCTOR_WARN, text, size,
				   "cores go to a program (%.80s); AFL++ wants "
				   "AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES=1",
				   pattern);
	return say(DOCTOR_OK, text, size, "%.100s", pattern);
}

/* ---- numbers by force ---- */

static Verdict
look_means(char *text, size_t size, IdentityMeans means)
{
	bool through_user_namespace;
	int error = identity_probe(means, &through_user_namespace);

	if (error == 0)
		return say(DOCTOR_OK, text, size, "can be forced%s",
				   through_user_namespace ? ", through a user namespace" : ", as root");
	return say(DOCTOR_WARN, text, size,
			   "%s: cases of x70-recycled are skipped; run as root, allow user namespaces, or a "
			   "kernel with CONFIG_CHECKPOINT_RESTORE and CONFIG_TIME_NS",
			   strerror(error));
}

#define MEANS(name_, means_)                                                                       \
	Verdict look_##name_(char *text, size_t size)                                                  \
	{                                                                                              \
		return look_means(text, size, means_);                                                     \
	}

MEANS(pid_reuse, IDENTITY_PID)
MEANS(last_pid, IDENTITY_LAST_PID)
MEANS(shm_next_id, IDENTITY_SHM_NEXT_ID)
MEANS(sem_next_id, IDENTITY_SEM_NEXT_ID)
MEANS(boot_id, IDENTITY_BOOT_ID)
MEANS(time_namespace, IDENTITY_TIME_NAMESPACE)

/* ---- memory and counters ---- */

Verdict
look_huge_pages(char *text, size_t size)
{
	const size_t length = 2 << 20;
	void *page = mmap(NULL, length, PROT_READ | PROT_WRITE,
					  MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);

	if (page == MAP_FAILED)
		return say(DOCTOR_WARN, text, size,
				   "none (%s): servers use normal pages; sysctl vm.nr_hugepages=64 reserves some",
				   strerror(errno));
	(void) munmap(page, length);
	return say(DOCTOR_OK, text, size, "there are some");
}

/* rr records by them; single-stepping and schedules do not need them. */
Verdict
look_pmu(char *text, size_t size)
{
	struct perf_event_attr counter = {.type = PERF_TYPE_HARDWARE,
									  .size = sizeof(counter),
									  .config = PERF_COUNT_HW_INSTRUCTIONS,
									  .exclude_kernel = 1};
	long fd = syscall(SYS_perf_event_open, &counter, 0, -1, -1, 0);

	if (fd < 0)
		return say(DOCTOR_WARN, text, size,
				   "no hardware counters (%s): rr cannot record here; `holdfast replay` needs none",
				   strerror(errno));
	(void) close((int) fd);
	return say(DOCTOR_OK, text, size, "hardware counters work: rr can record");
}

/* LLVM's sanitizers before 17 map their shadow where the kernel may have put something already. */
Verdict
look_mmap_rnd_bits(char *text, size_t size)
{
	char bits[32];

	if (!read_line("/proc/sys/vm/mmap_rnd_bits", bits, sizeof(bits)))
		return say(DOCTOR_OK, text, size, "unknown, which does not matter here");
	if (atoi(bits) > 28)
		return say(
			DOCTOR_WARN, text, size,
			"%.8s: clang 14's AddressSanitizer may crash at random; sysctl vm.mmap_rnd_bits=28",
			bits);
	return say(DOCTOR_OK, text, size, "%.8s", bits);
}
