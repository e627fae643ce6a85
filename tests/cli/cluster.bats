# serve, inspect, stop, orphans: the life and death of a cluster, seen by its operator.
load helper

@test "serve, inspect, stop: a life in order" {
	start_server --workers 2
	[[ $(state) == in-use ]]
	run -0 --separate-stderr "$HOLDFAST" inspect "$data" --json
	jq -e --argjson pid "$server" '.schema_version == 1 and .lockfile.verdict == "alive" and .lockfile.pid == $pid
		and .segment.nattch == 3 and (.procs | length == 3) and (.locks | length > 0)
		and all(.procs[]; .dead == false)' <<<"$output"
	run -0 "$HOLDFAST" stop -D "$data"
	run -0 --separate-stderr "$HOLDFAST" inspect "$data" --json
	jq -e '.segment.state == "none" and .lockfile.verdict == "none"' <<<"$output"
	[[ ! -e $data/postmaster.pid ]]
}

@test "a second server is refused with PostgreSQL's words, and harms nothing" {
	start_server
	run -3 --separate-stderr "$HOLDFAST" serve -D "$data"
	[[ $stderr == *'lock file "postmaster.pid" already exists'*"Is another postmaster (PID $server)"* ]]
	[[ $(state) == in-use ]]
	"$HOLDFAST" stop -D "$data"
}

@test "shared_memory_type mmap: a block beside a small segment, seen from outside, huge pages as PostgreSQL" {
	start_server --workers 2 --shared-memory-type mmap --huge-pages try
	run -0 --separate-stderr "$HOLDFAST" inspect "$data" --json
	jq -e '.segment.nattch == 3 and .segment.size < 4096 and .segment.memory.type == "mmap"
		and .segment.memory.reachable and .segment.memory.size > 4096
		and (.segment.memory.page_size | . == 4096 or . > 65536)
		and (.procs | length == 3) and (.locks | length > 0)' <<<"$output"
	run -3 "$HOLDFAST" serve -D "$data" --shared-memory-type mmap
	"$HOLDFAST" stop -D "$data"
	run -3 --separate-stderr "$HOLDFAST" serve -D "$data" --huge-pages on
	[[ $stderr == *"huge pages not supported with the current shared_memory_type setting"* ]]
	run -3 --separate-stderr "$HOLDFAST" serve -D "$data" --shared-memory-type mmap --huge-pages on --huge-page-kb 68719476736
	[[ $stderr == *"FATAL:  could not map anonymous shared memory"* ]]
	run -2 "$HOLDFAST" serve -D "$data" --shared-memory-type anonymous
	run -2 "$HOLDFAST" serve -D "$data" --huge-pages perhaps
	[[ ! -e $data/postmaster.pid ]]
}

@test "a killed worker is replaced, and the bank balances" {
	start_server --workers 2
	victim=$("$HOLDFAST" inspect "$data" --json | jq '[.procs[] | select(.role == "worker")][0].pid')
	kill -KILL "$victim"
	replaced()
	{
		"$HOLDFAST" inspect "$data" --json |
			jq -e --argjson victim "$victim" '[.procs[] | select(.role == "worker" and .pid != $victim and (.dead | not))] | length == 2'
	}
	wait_until 10 replaced
	"$HOLDFAST" stop -D "$data"
	wait "$server"
}

@test "supervisor dead, worker stopped: an orphan, refused; worker gone: recycled" {
	start_server --workers 2
	"$HOLDFAST" inspect "$data" --json | jq '.procs[] | select(.role == "worker") | .pid' >"$BATS_TEST_TMPDIR/workers"
	stopped=$(head -n 1 "$BATS_TEST_TMPDIR/workers")
	pids+=("$stopped")
	kill -STOP "$stopped"
	kill -KILL "$server"
	wait "$server" || true
	orphaned_by_one()
	{
		"$HOLDFAST" inspect "$data" --json | jq -e '.segment.state == "orphan" and .segment.nattch == 1'
	}
	wait_until 10 orphaned_by_one

	run -3 --separate-stderr "$HOLDFAST" serve -D "$data"
	[[ $stderr == *"pre-existing shared memory block"*"is still in use"* ]]
	[[ $stderr == *"Terminate any old server processes"* ]]
	run -0 "$HOLDFAST" orphans --reap
	orphaned_by_one

	kill -KILL "$stopped"
	detached()
	{
		"$HOLDFAST" inspect "$data" --json | jq -e '.segment.nattch == 0'
	}
	wait_until 10 detached
	run -0 "$HOLDFAST" serve -D "$data" --duration 200ms --quiet
	[[ $(state) == none ]]
}

@test "orphans: lists the dead, --reap removes them and only them" {
	other=$BATS_TEST_TMPDIR/other
	mkdir "$other"
	start_server --workers 1
	living=$("$HOLDFAST" inspect "$data" --json | jq .segment.shmid)
	run -137 bash -c '"$HOLDFAST" serve -D "$1" --quiet --plan "sysv/create/header=#1 kill" 3>&-' - "$other"
	dead=$("$HOLDFAST" inspect "$other" --json | jq .segment.shmid)
	[[ $dead =~ ^[0-9]+$ ]]
	run -0 --separate-stderr "$HOLDFAST" orphans --json
	jq -e --argjson dead "$dead" --argjson living "$living" \
		'[.segments[].shmid] | (index($dead) != null) and (index($living) == null)' <<<"$output"
	run -0 "$HOLDFAST" orphans --reap
	run -0 --separate-stderr "$HOLDFAST" orphans --json
	jq -e --argjson dead "$dead" '[.segments[].shmid] | index($dead) == null' <<<"$output"
	[[ $(state) == in-use ]]
	"$HOLDFAST" stop -D "$data"
}

@test "stop: nothing to stop is said, exit 3" {
	run -3 --separate-stderr "$HOLDFAST" stop -D "$data"
	[[ $stderr == *"no server runs in"* ]]
}

@test "stop never signals a stranger that has the PID of a dead server" {
	start_server --workers 1
	cp "$data/postmaster.pid" "$BATS_TEST_TMPDIR/old"
	"$HOLDFAST" stop -D "$data"
	# The file of the dead, with the PID of a living stranger and everything else as it was.
	sed "1s/.*/$$/" "$BATS_TEST_TMPDIR/old" >"$data/postmaster.pid"
	run --separate-stderr "$HOLDFAST" stop -D "$data" --timeout 1s
	[[ $status -ne 0 ]]
	rm "$data/postmaster.pid"
}

@test "bad data directories: missing, a file, not ours to write" {
	run -3 --separate-stderr "$HOLDFAST" serve -D "$data/none"
	[[ $stderr == *"No such file or directory"* ]]
	touch "$data/file"
	run -3 --separate-stderr "$HOLDFAST" serve -D "$data/file"
	[[ $stderr == *"is not a directory"* ]]
	run -3 "$HOLDFAST" inspect "$data/none"
	run -2 "$HOLDFAST" serve
	run -2 "$HOLDFAST" inspect
}

@test "bad lockfiles: empty, garbage, binary, huge: refused, kept, and damaged to inspect" {
	make()
	{
		case $1 in
			empty) : ;;
			garbage) echo "not a pid" ;;
			binary) head -c 300 /dev/zero ;;
			huge) yes 1234 | head -c 1000000 ;;
		esac
	}
	for kind in empty garbage binary huge; do
		make $kind >"$data/postmaster.pid"
		cp "$data/postmaster.pid" "$BATS_TEST_TMPDIR/before"
		run -3 --separate-stderr "$HOLDFAST" serve -D "$data"
		[[ $stderr == *FATAL*HINT* ]]
		cmp "$data/postmaster.pid" "$BATS_TEST_TMPDIR/before"
		run -0 --separate-stderr "$HOLDFAST" inspect "$data" --json
		jq -e '.lockfile.verdict == "damaged"' <<<"$output"
		rm "$data/postmaster.pid"
	done
}

@test "the lockfile is PostgreSQL's: eight lines that pg_ctl reads" {
	start_server --workers 1
	[[ $(sed -n 1p "$data/postmaster.pid") == "$server" ]]
	[[ $(sed -n 2p "$data/postmaster.pid") == "$(realpath "$data")" ]]
	[[ $(sed -n 7p "$data/postmaster.pid" | awk '{ print $2 }') == "$("$HOLDFAST" inspect "$data" --json | jq .segment.shmid)" ]]
	[[ $(sed -n 8p "$data/postmaster.pid") == ready* ]]
	"$HOLDFAST" stop -D "$data"
}

@test "inspect: counts of each tranche, wait events, and again and again" {
	start_server --workers 2
	run -0 --separate-stderr "$HOLDFAST" inspect "$data" --json
	jq -e '[.tranches[] | select(.tranche == "ShmemIndex")] | length == 1' <<<"$output"
	jq -e '.tranches | all(has("blocked") and has("spin_delayed") and has("unwoken") and has("recoveries"))' <<<"$output"
	jq -e '.lock_checks == 0 and (.procs | all(has("wait_event")))' <<<"$output"
	run -0 --separate-stderr "$HOLDFAST" inspect "$data" --watch --interval 50ms --count 3
	[[ ${#lines[@]} -eq 3 && ${lines[0]} == in-use*"per second:"* ]]
	run -0 --separate-stderr "$HOLDFAST" inspect "$data" --watch --interval 50ms --count 2 --json
	[[ $(jq -s 'map(select(.state == "in-use" and .per_second.blocked >= 0)) | length' <<<"$output") -eq 2 ]]
	run -2 "$HOLDFAST" inspect "$data" --watch --interval 0
	# Ctrl-C: no word, the right code.
	"$HOLDFAST" inspect "$data" --watch --interval 50ms >"$BATS_TEST_TMPDIR/watched" 2>&1 3>&- &
	watcher=$!
	pids+=("$watcher")
	until [[ $(wc -l <"$BATS_TEST_TMPDIR/watched") -ge 2 ]]; do sleep 0.02; done
	kill -TERM "$watcher"
	code=0
	wait "$watcher" || code=$?
	[[ $code -eq 130 ]]
	! grep -v "per second" "$BATS_TEST_TMPDIR/watched"
	"$HOLDFAST" stop -D "$data"
}
