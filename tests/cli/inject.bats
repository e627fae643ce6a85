# holdfast inject: the faults of processes that run already.
load helper

# start_foreign PLAN COMMAND: a shell under exec that says its PID and waits for a word before it runs COMMAND.
start_foreign()
{
	mkfifo "$BATS_TEST_TMPDIR/go"
	"$HOLDFAST" exec --plan "$1" -- sh -c 'echo $$ >"$0/pid.new"; mv "$0/pid.new" "$0/pid"; read -r word <"$0/go"; '"$2" \
		"$BATS_TEST_TMPDIR" >"$BATS_TEST_TMPDIR/out" 2>"$BATS_TEST_TMPDIR/err" 3>&- &
	exec_pid=$!
	pids+=("$exec_pid")
	wait_until 20 test -s "$BATS_TEST_TMPDIR/pid"
	foreign=$(<"$BATS_TEST_TMPDIR/pid")
	pids+=("$foreign")
}

go()
{
	echo go >"$BATS_TEST_TMPDIR/go"
}

# ends_with CODE: what exec says at last
ends_with()
{
	local code=0
	wait "$exec_pid" || code=$?
	cat "$BATS_TEST_TMPDIR/err"
	[[ $code -eq $1 ]] || { echo "exit $code, not $1"; return 1; }
}

waits_at()
{
	"$HOLDFAST" inject status --pid "$foreign" --json | jq -e --arg tag "$1" '.waiters | length == 1 and .[0].tag == $tag'
}

@test "a plan armed from outside is met by who runs already, and by its children" {
	start_foreign 'sysv/shm/shmget=off' 'ipcmk -M 4096; exit 5'
	run -0 "$HOLDFAST" inject status --pid "$foreign"
	[[ $output == *"armed: sysv/shm/shmget=off"* ]]
	run -0 "$HOLDFAST" inject arm 'sysv/shm/shmget=#1 errno(ENOSPC)' --pid "$foreign"
	go
	ends_with 5
	cat "$BATS_TEST_TMPDIR/err"
	grep -q "No space left on device" "$BATS_TEST_TMPDIR/err"
	grep -q "errno at sysv/shm/shmget, hit 1" "$BATS_TEST_TMPDIR/err"
}

@test "who waits is seen, and let go by its tag" {
	start_foreign 'sysv/shm/shmget=pause(here)' 'ipcmk -M 4096'
	go
	wait_until 20 waits_at here
	run -2 "$HOLDFAST" inject release there --pid "$foreign"
	[[ $output == *'no tag "there"'* ]]
	run -0 "$HOLDFAST" inject release here --pid "$foreign"
	[[ $output == "1 released" ]]
	ends_with 0
	ipcrm -m "$(sed -n 's/.*id: //p' "$BATS_TEST_TMPDIR/out")"
}

@test "disarm lets everybody go, and nothing fires any more" {
	start_foreign 'sysv/shm/shmget=1*pause(here)->errno(ENOSPC)' 'ipcmk -M 4096; ipcmk -M 4096'
	go
	wait_until 20 waits_at here
	run -0 "$HOLDFAST" inject disarm --pid "$foreign"
	ends_with 0
	sed -n 's/.*id: //p' "$BATS_TEST_TMPDIR/out" | xargs -n 1 ipcrm -m
}

@test "a refused plan has a place and leaves the one before" {
	start_foreign 'sysv/shm/shmget=off' true
	run -2 "$HOLDFAST" inject arm 'sysv/shm/shmgte=kill' --pid "$foreign"
	[[ $output == *"1:1:"*'did you mean "sysv/shm/shmget"?' ]]
	run -0 "$HOLDFAST" inject status --pid "$foreign"
	[[ $output == *"armed: sysv/shm/shmget=off"* ]]
	go
	ends_with 0
}

@test "no such process, no table there, no such deed" {
	run -3 "$HOLDFAST" inject status --pid 999999999
	[[ $output == *"there is none"* ]]
	run -3 "$HOLDFAST" inject status --pid $$
	[[ $output == *"no control table"* ]]
	run -2 "$HOLDFAST" inject disram --pid $$
	[[ $output == *'did you mean "disarm"?' ]]
	run -2 "$HOLDFAST" inject arm --pid $$
	run -2 "$HOLDFAST" inject disarm
}
