# holdfast exec: faults for programs that know nothing of us.  ipcmk is the foreign program here.
load helper

setup_file()
{
	command -v ipcmk >/dev/null
}

remove_segment()
{
	ipcrm -m "$(sed -n 's/.*id: //p' <<<"$1")"
}

@test "an errno makes the program fail in its own words; the report names point, hit and pid" {
	run -1 --separate-stderr "$HOLDFAST" exec --plan 'sysv/shm/shmget=#1 errno(ENOSPC)' -- ipcmk -M 4096
	[[ $stderr == *"No space left on device"* ]]
	[[ $stderr == *"reached 1, fired 1"* && $stderr == *"errno at sysv/shm/shmget, hit 1"* ]]
	[[ -z $output ]]
}

@test "armed, never fired: exit 1 although the program was well" {
	run -1 --separate-stderr "$HOLDFAST" exec --plan 'sysv/shm/shmat=#1 errno(ENOMEM)' -- true
	[[ $stderr == *"armed, never fired: sysv/shm/shmat"* ]]
}

@test "without harm the program's exit code, stdin and stdout are its own" {
	run -7 --separate-stderr "$HOLDFAST" exec --quiet --plan 'sysv/shm/shmget=off' -- \
		sh -c 'read -r word; echo "got $word"; exit 7' <<<hello
	[[ $output == "got hello" ]]
}

@test "killed by the fault: 128 + signal, and the report says where" {
	run -137 --separate-stderr "$HOLDFAST" exec --plan 'sysv/shm/shmget=kill' -- ipcmk -M 4096
	[[ $stderr == *"killed by SIGKILL"* && $stderr == *"kill at sysv/shm/shmget"* ]]
}

@test "children of the program are reached, too" {
	run --separate-stderr "$HOLDFAST" exec --plan 'sysv/shm/shmget=#2 errno(ENOSPC)' -- \
		sh -c 'ipcmk -M 4096; ipcmk -M 4096; true'
	[[ $status -eq 0 && $stderr == *"reached 2, fired 1"* ]]
	remove_segment "$output"
}

@test "LD_PRELOAD is extended, not overwritten" {
	run -0 --separate-stderr env LD_PRELOAD=libc.so.6 "$HOLDFAST" exec --plan 'sysv/shm/shmget=off' -- \
		sh -c 'echo "$LD_PRELOAD"'
	[[ $output == *holdfast_preload.so:libc.so.6 ]]
}

@test "json report: what fired, in which process, how it ended" {
	run --separate-stderr "$HOLDFAST" exec --json "$BATS_TEST_TMPDIR/report" --plan 'sysv/shm/shmget=kill' -- ipcmk -M 4096
	jq -e '.schema_version == 1 and .signal == 9 and .never_fired == 0
		and .items[0].fires == 1 and (.procs[] | select(.fires == 1)
			| .last_point == "sysv/shm/shmget" and .last_action == "kill" and .live == false)' "$BATS_TEST_TMPDIR/report"
}

@test "a bad plan: line, column, suggestion; the program is not run" {
	run -2 --separate-stderr "$HOLDFAST" exec --plan 'sysv/shm/shmgte=kill' -- touch "$BATS_TEST_TMPDIR/ran"
	[[ $stderr == *"1:1:"*'did you mean "sysv/shm/shmget"?' ]]
	[[ ! -e $BATS_TEST_TMPDIR/ran ]]
}

@test "an errno that the call does not document is refused" {
	run -2 --separate-stderr "$HOLDFAST" exec --plan 'sysv/shm/shmget=errno(EPIPE)' -- true
	[[ $stderr == *"1:"*EPIPE* ]]
}

@test "no program, no plan, no such program" {
	run -2 "$HOLDFAST" exec --plan 'sysv/shm/shmget=off'
	run -2 "$HOLDFAST" exec -- true
	run -127 --separate-stderr "$HOLDFAST" exec --plan 'sysv/shm/shmget=off' -- /no/such/program
	[[ $stderr == *"/no/such/program"*"No such file"* ]]
}

@test "a clock jumps: date says another century" {
	run -0 --separate-stderr "$HOLDFAST" exec --quiet --plan 'clock/clock_gettime=jump(-876000h)[arg=CLOCK_REALTIME]' -- date +%Y
	((output < $(date +%Y) - 98))
	run -0 --separate-stderr "$HOLDFAST" exec --quiet --plan 'clock/clock_gettime=jump(876000h)[arg=CLOCK_REALTIME]' -- date +%Y
	((output > $(date +%Y) + 98))
}

@test "a call by its number alone is reached, too" {
	command -v python3 >/dev/null || skip "no python3"
	run -0 --separate-stderr "$HOLDFAST" exec --plan 'sysv/shm/shmget=#1 errno(ENOSPC)' -- \
		python3 -c 'import ctypes; c = ctypes.CDLL(None, use_errno=True); print(c.syscall(29, 0, 4096, 0o1600), ctypes.get_errno())'
	[[ $(uname -m) != x86_64 || $output == "-1 28" ]]
}

@test "a plan from a file: a megabyte, NUL bytes, numbers without end are refused with their place; a good one is met" {
	plan=$BATS_TEST_TMPDIR/plan
	head -c 1048576 /dev/zero | tr '\0' a >"$plan"
	run -2 --separate-stderr "$HOLDFAST" exec --plan "@$plan" -- touch "$BATS_TEST_TMPDIR/ran"
	[[ $stderr == *"$plan: 1:1: a plan is at most 65535 bytes long, this one 1048576" ]]
	printf 'sysv/shm/shmget=off;\n\0' >"$plan"
	run -2 --separate-stderr "$HOLDFAST" exec --plan "@$plan" -- touch "$BATS_TEST_TMPDIR/ran"
	[[ $stderr == *"2:1: a plan holds no NUL byte" ]]
	echo 'sysv/shm/shmget=#99999999999999999999 kill' >"$plan"
	run -2 --separate-stderr "$HOLDFAST" exec --plan "@$plan" -- touch "$BATS_TEST_TMPDIR/ran"
	[[ $stderr == *"1:18: "*"larger than 64 bits" ]]
	echo 'lwlock/acquire/post-cas=sleep(1ms)' >"$plan"
	run -2 --separate-stderr "$HOLDFAST" exec --plan "@$plan" -- touch "$BATS_TEST_TMPDIR/ran"
	[[ $stderr == *"1:25: sleep is not possible"* ]]
	run -2 --separate-stderr "$HOLDFAST" exec --plan "@/no/such/plan" -- touch "$BATS_TEST_TMPDIR/ran"
	[[ $stderr == *"/no/such/plan"*"No such file"* ]]
	[[ ! -e $BATS_TEST_TMPDIR/ran ]]
	printf 'sysv/shm/shmget=\n  #1 errno(ENOSPC) # ...\n' | sed 's/ # .*//' >"$plan"
	run -1 --separate-stderr "$HOLDFAST" exec --plan "@$plan" -- ipcmk -M 4096
	[[ $stderr == *"No space left on device"* ]]
}
