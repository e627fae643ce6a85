/*
 * every_call.h
 *		Each call of inject/syscall/calls.def, twice: once to be failed, and once for real.
 *
 * Whoever includes it says with THE(name) which function is meant: the C library's, that a preloaded module stands
 * in front of, or the wrapper that the library is linked to.
 */
#ifndef HOLDFAST_TESTS_EVERY_CALL_H
#define HOLDFAST_TESTS_EVERY_CALL_H

#include <errno.h>
#include <linux/futex.h>
#include <stdbool.h>
#include <string.h>

#include "inject/syscall/prototypes.h"

typedef void (*AnyFunction)(void);

typedef struct EveryCall
{
	const char *name;
	bool returns_errno;
	long (*make)(void);
} EveryCall;

/* Compilers refuse to call what they see to be of another type. */
static inline AnyFunction
unseen(AnyFunction function)
{
	__asm__("" : "+r"(function));
	return function;
}

/* ---- to be failed: arguments that do no harm if the call is made after all ---- */

#define CALL(how_, result_, name_, ...)                                                            \
	static long make_##name_(void)                                                                 \
	{                                                                                              \
		return (long) ((result_(*)(long, long, long, long, long, long)) unseen(                    \
			(AnyFunction) THE(name_)))(1000, 0, 0, 0, 0, 0);                                       \
	}
#define LONE_POINT(...)
#include "inject/syscall/calls.def"

static unsigned futex_word;

static inline long
futex_call(int operation, unsigned value)
{
	return THE(syscall)(SYS_futex, &futex_word, operation, value, NULL, &futex_word, 0);
}

static long
make_futex_wait(void)
{
	return futex_call(FUTEX_WAIT, 1);
}

static long
make_futex_wake(void)
{
	return futex_call(FUTEX_WAKE, 1);
}

static long
make_futex_requeue(void)
{
	return futex_call(FUTEX_CMP_REQUEUE, 1);
}

#define RETURNS_MINUS_ONE false
#define RETURNS_NUMBER    true

static const EveryCall every_call[] = {
#define CALL(how_, result_, name_, parameters_, arguments_, room_, failure_, ...)                  \
	{#name_, RETURNS_##failure_, make_##name_},
#define LONE_POINT(...)
#include "inject/syscall/calls.def"
	{"futex_wait", false, make_futex_wait},
	{"futex_wake", false, make_futex_wake},
	{"futex_requeue", false, make_futex_requeue},
};

static inline const EveryCall *
every_call_find(const char *name)
{
	for (size_t i = 0; i < sizeof(every_call) / sizeof(every_call[0]); i++)
		if (strcmp(every_call[i].name, name) == 0)
			return &every_call[i];
	return NULL;
}

/* ---- for real: each is made and must do what it is for; the line of the first that did not, or 0 ---- */

#define WELL(condition_)                                                                           \
	do                                                                                             \
	{                                                                                              \
		if (!(condition_))                                                                         \
			return __LINE__;                                                                       \
	} while (0)

static inline int
story_of_sysv(void)
{
	struct sembuf up = {0, 1, 0};
	struct sembuf down = {0, -1, 0};
	struct timespec soon = {5, 0};
	struct shmid_ds status;
	struct msqid_ds queue;
	struct
	{
		long type;
		char text[8];
	} message = {1, "message"};
	int shmid = THE(shmget)(IPC_PRIVATE, 4096, IPC_CREAT | 0600);
	int semid = THE(semget)(IPC_PRIVATE, 2, IPC_CREAT | 0600);
	int msqid = THE(msgget)(IPC_PRIVATE, IPC_CREAT | 0600);
	char *attached = THE(shmat)(shmid, NULL, 0);

	WELL(shmid >= 0 && semid >= 0 && msqid >= 0 && attached != (void *) -1);
	attached[4095] = 1;
	WELL(THE(shmctl)(shmid, IPC_STAT, &status) == 0 && status.shm_nattch == 1);
	WELL(THE(shmdt)(attached) == 0 && THE(shmctl)(shmid, IPC_RMID, NULL) == 0);
	WELL(THE(semctl)(semid, 0, SETVAL, 4) == 0 && THE(semctl)(semid, 0, GETVAL) == 4);
	WELL(THE(semop)(semid, &up, 1) == 0 && THE(semctl)(semid, 0, GETVAL) == 5);
	WELL(THE(semtimedop)(semid, &down, 1, &soon) == 0 && THE(semctl)(semid, 0, GETVAL) == 4);
	WELL(THE(semctl)(semid, 0, IPC_RMID) == 0);
	WELL(THE(msgsnd)(msqid, &message, 8, 0) == 0);
	message.text[0] = '\0';
	WELL(THE(msgrcv)(msqid, &message, 8, 0, 0) == 8 && strcmp(message.text, "message") == 0);
	WELL(THE(msgctl)(msqid, IPC_STAT, &queue) == 0 && queue.msg_qnum == 0);
	WELL(THE(msgctl)(msqid, IPC_RMID, NULL) == 0);
	return 0;
}

static inline int
story_of_semaphores(void)
{
	struct timespec past = {1, 0};
	sem_t semaphore;

	WELL(THE(sem_init)(&semaphore, 1, 2) == 0 && THE(sem_wait)(&semaphore) == 0);
	WELL(THE(sem_timedwait)(&semaphore, &past) == 0 && THE(sem_post)(&semaphore) == 0);
	WELL(THE(sem_trywait)(&semaphore) == 0);
	WELL(THE(sem_timedwait)(&semaphore, &past) == -1 && errno == ETIMEDOUT);
	return sem_destroy(&semaphore) == 0 ? 0 : __LINE__;
}

static inline int
story_of_shared_files(void)
{
	char name[64];
	int fd = THE(memfd_create)("story", MFD_CLOEXEC);
	void *mapped;

	WELL(fd >= 0 && THE(fallocate)(fd, 0, 0, 4096) == 0 &&
		 THE(posix_fallocate)(fd, 4096, 4096) == 0);
	mapped = mmap(NULL, 8192, PROT_READ, MAP_SHARED, fd, 0);
	WELL(mapped != MAP_FAILED && THE(mprotect)(mapped, 8192, PROT_READ | PROT_WRITE) == 0);
	memset(mapped, 1, 8192);
	WELL(THE(msync)(mapped, 8192, MS_SYNC) == 0 && munmap(mapped, 8192) == 0 && close(fd) == 0);
	(void) snprintf(name, sizeof(name), "/holdfast-story-%d", (int) getpid());
	fd = THE(shm_open)(name, O_RDWR | O_CREAT | O_EXCL, 0600);
	WELL(fd >= 0 && close(fd) == 0);
	return THE(shm_unlink)(name) == 0 ? 0 : __LINE__;
}

static inline int
story_of_data(int fd)
{
	char data[8] = "abcdefg";
	char low[4] = "";
	char high[4] = "";
	struct iovec pieces[2] = {{data, 3}, {data + 3, 4}};
	struct iovec halves[2] = {{low, 3}, {high, 3}};

	WELL(THE(write)(fd, data, 7) == 7 && THE(pwrite)(fd, "AB", 2, 0) == 2);
	WELL(THE(writev)(fd, pieces, 2) == 7 && THE(pwritev)(fd, pieces, 2, 14) == 7);
	WELL(lseek(fd, 0, SEEK_SET) == 0 && THE(read)(fd, data, 7) == 7 &&
		 memcmp(data, "ABcdefg", 7) == 0);
	WELL(THE(readv)(fd, halves, 2) == 6 && memcmp(low, "abc", 3) == 0 &&
		 memcmp(high, "def", 3) == 0);
	WELL(THE(preadv)(fd, halves, 2, 15) == 6 && memcmp(low, "bcd", 3) == 0);
	WELL(THE(pread)(fd, data, 7, 14) == 7 && memcmp(data, "abcdefg", 7) == 0);
	WELL(THE(ftruncate)(fd, 10) == 0 && lseek(fd, 0, SEEK_END) == 10);
	return THE(fsync)(fd) == 0 && THE(fdatasync)(fd) == 0 ? 0 : __LINE__;
}

/* In a directory of its own, which is the current one. */
static inline int
story_of_files(void)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	int fd = THE(open)("one", O_RDWR | O_CREAT | O_EXCL, 0600);
	int line;

	WELL(fd >= 0);
	line = story_of_data(fd);
	WELL(line == 0 || (errno = line) == 0);
	WELL(THE(flock)(fd, LOCK_EX | LOCK_NB) == 0 && THE(fcntl)(fd, F_OFD_SETLK, &lock) == 0);
	WELL(THE(fcntl)(fd, F_GETFD) == 0);
	WELL(THE(link)("one", "two") == 0 && THE(linkat)(AT_FDCWD, "one", AT_FDCWD, "three", 0) == 0);
	WELL(THE(rename)("two", "four") == 0);
	WELL(THE(renameat)(AT_FDCWD, "three", AT_FDCWD, "five") == 0);
	WELL(THE(unlink)("four") == 0 && THE(unlinkat)(AT_FDCWD, "five", 0) == 0);
	WELL(THE(close)(fd) == 0 && access("two", F_OK) != 0);
	fd = THE(openat)(AT_FDCWD, "one", O_RDONLY | O_CLOEXEC);
	WELL(fd >= 0 && THE(close)(fd) == 0);
	return THE(unlink)("one") == 0 ? 0 : __LINE__;
}

static inline int
story_of_memory_and_events(void)
{
	void *mapped =
		THE(mmap)(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int counter = THE(eventfd)(3, EFD_CLOEXEC);
	struct pollfd ready = {.fd = counter, .events = POLLIN};
	struct epoll_event event = {.events = EPOLLIN};
	int set = epoll_create1(EPOLL_CLOEXEC);
	struct timespec now = {0, 0};

	WELL(mapped != MAP_FAILED && counter >= 0 && set >= 0);
	memset(mapped, 1, 8192);
	WELL(THE(munmap)(mapped, 8192) == 0);
	WELL(THE(poll)(&ready, 1, 0) == 1 && THE(ppoll)(&ready, 1, &now, NULL) == 1);
	WELL(epoll_ctl(set, EPOLL_CTL_ADD, counter, &event) == 0);
	WELL(THE(epoll_wait)(set, &event, 1, 0) == 1);
	WELL(close(set) == 0 && close(counter) == 0);
	WELL(futex_call(FUTEX_WAIT, 1) == -1 && errno == EAGAIN && futex_call(FUTEX_WAKE, 1) == 0);
	return futex_call(FUTEX_REQUEUE, 0) == 0 ? 0 : __LINE__;
}

static inline int
story_of_time(void)
{
	struct timespec little = {0, 1000};
	struct timespec now;
	struct timeval old;

	WELL(THE(clock_gettime)(CLOCK_REALTIME, &now) == 0 && THE(gettimeofday)(&old, NULL) == 0);
	WELL(old.tv_sec - now.tv_sec <= 60 && THE(time)(NULL) - now.tv_sec <= 60);
	WELL(THE(nanosleep)(&little, NULL) == 0);
	return THE(clock_nanosleep)(CLOCK_MONOTONIC, 0, &little, NULL) == 0 ? 0 : __LINE__;
}

static inline int
story_child(void *argument)
{
	(void) argument;
	return 7;
}

static inline int
story_of_processes(void)
{
	static char stack[65536] __attribute__((aligned(16)));
	static char path[] = "/bin/true";
	char *arguments[] = {path, NULL};
	char *environment[] = {NULL};
	siginfo_t info;
	int status;
	int pidfd;
	pid_t pid = THE(fork)();

	if (pid == 0)
		for (;;)
			(void) pause();
	WELL(pid > 0);
	pidfd = THE(pidfd_open)(pid, 0);
	WELL(pidfd >= 0 && THE(kill)(pid, 0) == 0);
	WELL(THE(pidfd_send_signal)(pidfd, SIGKILL, NULL, 0) == 0);
	WELL(THE(waitid)(P_PID, (id_t) pid, &info, WEXITED | WNOWAIT) == 0 &&
		 info.si_status == SIGKILL);
	WELL(THE(waitpid)(pid, &status, 0) == pid && WIFSIGNALED(status) && close(pidfd) == 0);
	pid = THE(clone)(story_child, stack + sizeof(stack), SIGCHLD, NULL, NULL, NULL, NULL);
	WELL(pid > 0 && THE(wait4)(pid, &status, 0, NULL) == pid && WEXITSTATUS(status) == 7);
	WELL(THE(posix_spawn)(&pid, path, NULL, NULL, arguments, environment) == 0);
	WELL(waitpid(pid, &status, 0) == pid && status == 0);
	WELL(THE(posix_spawnp)(&pid, path, NULL, NULL, arguments, environment) == 0);
	return waitpid(pid, &status, 0) == pid && status == 0 ? 0 : __LINE__;
}

static inline int
every_call_for_real(void)
{
	int (*const stories[])(void) = {
		story_of_sysv,     story_of_semaphores,        story_of_shared_files,
		story_of_files,    story_of_memory_and_events, story_of_time,
		story_of_processes};

	for (size_t i = 0; i < sizeof(stories) / sizeof(stories[0]); i++)
	{
		int line = stories[i]();

		if (line != 0)
			return line;
	}
	return 0;
}

#endif
