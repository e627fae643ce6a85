# What every file of CLI tests loads: the program, a directory, processes that end with the test.
#
# HOLDFAST is the program.  Servers are started by start_server, which
# waits for their word; teardown kills what is left, by PID, and demands that no segment is there then.
# The tests run in an IPC namespace of their own (tests/support/own-ipc).
bats_require_minimum_version 1.5.0

setup()
{
	[[ -x $HOLDFAST ]]
	data=$BATS_TEST_TMPDIR/data
	mkdir -p "$data"
	pids=()
	mkfifo "$BATS_TEST_TMPDIR/never"
	exec {never}<>"$BATS_TEST_TMPDIR/never"
}

teardown()
{
	local pid
	for pid in "${pids[@]}"; do
		kill -CONT "$pid" 2>/dev/null || true
		kill -KILL "$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
	done
	[[ $(wc -l </proc/sysvipc/shm) -eq 1 ]] || {
		echo "a segment is left:"
		cat /proc/sysvipc/shm
		"$HOLDFAST" orphans --reap
		return 1
	}
}

# start_server [OPTION...]: returns when the cluster says it runs.  Its PID is in $server.
start_server()
{
	local line
	coproc SERVER { exec "$HOLDFAST" serve -D "$data" "$@" 2>&1 3>&-; }
	server=$SERVER_PID
	pids+=("$server")
	while read -r -t 20 line <&"${SERVER[0]}"; do
		echo "# $line"
		[[ $line == *ready* ]] && return 0
	done
	echo "the server never said it was ready"
	return 1
}

# wait_until SECONDS COMMAND...: asks again until the command succeeds.
wait_until()
{
	local end=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		((SECONDS < end)) || { echo "still not, after its deadline: $*"; return 1; }
		read -r -t 0.02 <&"$never" || true # waits; nobody writes there
	done
}

state()
{
	"$HOLDFAST" inspect "$data" --json | jq -r .segment.state
}
