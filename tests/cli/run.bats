# holdfast run: selection, reports, replay.  The scenarios themselves are tests of their own.
load helper

@test "one scenario: green, and three reports that agree" {
	out=$BATS_TEST_TMPDIR
	run -0 "$HOLDFAST" run serve-start --json "$out/json" --junit "$out/junit" --tap "$out/tap"
	count=$(jq '.cases | length' "$out/json")
	[[ $count -ge 1 ]]
	jq -e '.schema_version == 1 and .exit_code == 0 and .summary.pass == (.cases | length)' "$out/json"
	xmllint --noout "$out/junit"
	[[ $(xmllint --xpath 'count(//testcase)' "$out/junit") -eq $count ]]
	[[ $(grep -c '^ok ' "$out/tap") -eq $count && $(grep -cx "1..$count" "$out/tap") -eq 1 ]]
}

@test "--json - : data alone on stdout" {
	run -0 --separate-stderr "$HOLDFAST" run serve-start --json -
	jq -e .schema_version <<<"$output"
}

@test "no such scenario: exit 4, and a suggestion when one is near" {
	run -4 --separate-stderr "$HOLDFAST" run kill-mid-lokc
	[[ $stderr == *'did you mean'*kill-mid-lock* ]]
	run -4 "$HOLDFAST" run no-such
}

@test "the user's own fault: a clean refusal that names the limit" {
	run -0 "$HOLDFAST" run --plan 'sysv/shm/shmget=#1 errno(ENOSPC)' serve-start --json "$BATS_TEST_TMPDIR/json" --verbose
	[[ $output == *SHMMNI* ]]
}

@test "a bad plan is a usage error with its place" {
	run -2 --separate-stderr "$HOLDFAST" run --plan 'sysv/shm/shmget=#1 errno(EBOGUS)' serve-start
	[[ $stderr == *"1:"*EBOGUS* ]]
}

@test "a plan from a file: of any length, its replay line whole; a megabyte, a NUL byte, no file: exit 2" {
	plan=$BATS_TEST_TMPDIR/plan
	{
		printf 'sysv/shm/shmget=#100000 errno(ENOSPC);\n%6000s\n' ''
		printf 'seed=7\n'
	} >"$plan"
	run -1 "$HOLDFAST" run --plan "@$plan" a10-serve-start/repair:1-workers
	replay=$(sed -n 's/^ *replay: holdfast //p' <<<"$output")
	[[ $replay == "replay --plan 'sysv/"*"seed=7' a10-serve-start/repair:1-workers@"* ]]
	yes | head -c 1000000 >"$plan"
	run -2 "$HOLDFAST" run --plan "@$plan" serve-start
	printf 'seed=7\0' >"$plan"
	run -2 --separate-stderr "$HOLDFAST" run --plan "@$plan" serve-start
	[[ $stderr == *"$plan: a NUL byte" ]]
	run -2 "$HOLDFAST" run --plan "@$plan.none" serve-start
	run -2 "$HOLDFAST" serve -D "$data" --plan "@$plan.none"
}

@test "a plan that never fires is a finding" {
	run -1 "$HOLDFAST" run --plan 'sysv/shm/shmget=#100000 errno(ENOSPC)' serve-start
	[[ $output == *"never fired"* ]]
}

@test "every result says how to replay it, and the replay is that one case" {
	"$HOLDFAST" run serve-start --json "$BATS_TEST_TMPDIR/json" >/dev/null
	token=$(jq -r '.cases[0].replay' "$BATS_TEST_TMPDIR/json" | awk '{ print $NF }')
	run -0 "$HOLDFAST" replay "$token" --json "$BATS_TEST_TMPDIR/again"
	jq -e --slurpfile first "$BATS_TEST_TMPDIR/json" \
		'(.cases | length == 1) and .cases[0].case == $first[0].cases[0].case' "$BATS_TEST_TMPDIR/again"
}

@test "shards are disjoint and complete" {
	for i in 1 2 3; do
		"$HOLDFAST" run --list --shard $i/3 >"$BATS_TEST_TMPDIR/$i"
	done
	"$HOLDFAST" run --list | sort >"$BATS_TEST_TMPDIR/all"
	[[ -z $(sort "$BATS_TEST_TMPDIR"/[123] | uniq -d) ]]
	sort "$BATS_TEST_TMPDIR"/[123] | cmp - "$BATS_TEST_TMPDIR/all"
	run -2 "$HOLDFAST" run --list --shard 4/3
}

@test "a spent budget is incomplete, exit 5" {
	run -5 "$HOLDFAST" run --budget 1ms
}

@test "interrupted: exit 130, and the report is whole" {
	"$HOLDFAST" run --json "$BATS_TEST_TMPDIR/json" --verbose >"$BATS_TEST_TMPDIR/out" 2>&1 3>&- &
	pid=$!
	pids+=("$pid")
	wait_until 20 test -s "$BATS_TEST_TMPDIR/out"
	kill -INT "$pid" || kill -TERM "$pid"
	code=0
	wait "$pid" || code=$?
	[[ $code -eq 130 ]]
	jq -e '.exit_code == 130 and .summary.not_run > 0' "$BATS_TEST_TMPDIR/json"
}

@test "no colours, no live line, when nobody looks" {
	run --separate-stderr "$HOLDFAST" run serve-start
	[[ $output != *$'\033'* && $stderr != *$'\033'* && $stderr != *$'\r'* ]]
}

@test "a report that cannot be written is said before anything runs, or after; never a success" {
	run --separate-stderr "$HOLDFAST" run serve-start --json /no/such/directory/file
	[[ $status -ne 0 && $stderr == *"/no/such/directory/file"* ]]
}

@test "leaves nothing: no process, no segment" {
	run -0 bash -c '
		before=$(ipcs -m | sort)
		"$HOLDFAST" run orphan >/dev/null || exit
		[[ $before == "$(ipcs -m | sort)" ]]'
}
