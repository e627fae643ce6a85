# holdfast sweep: what it takes, what it says, and that its parts make a whole.
load helper

@test "one part of a sweep: every row has an outcome, and what was not reached a reason" {
	run --separate-stderr "$HOLDFAST" sweep serve-start --shard 1/60 --second none --seed 1 --json -
	[[ $status -eq 0 ]]
	jq -e '.schema_version == 1 and .scenario == "a10-serve-start" and (.rows | length) > 300' <<<"$output"
	jq -e '[.rows[] | select(.outcome == "passed")] | length > 2' <<<"$output"
	jq -e 'all(.rows[]; .outcome != "not-reached" or (.reason | length) > 10)' <<<"$output"
	jq -e '[.rows[] | select(.point == "sysv/shm/shmget" and .errno == "ENOSPC")] | length >= 2' <<<"$output"
	jq -e 'any(.recorded[]; .point == "sysv/shm/shmget" and .role == "supervisor")' <<<"$output"
}

@test "every fault is in exactly one part" {
	cd "$BATS_TEST_TMPDIR"
	for part in 1 2 3; do
		"$HOLDFAST" sweep serve-start --shard $part/150 --second none --seed 1 --json part.$part.json >/dev/null
		jq -r '.rows[] | select(.runs > 0) | .plan' part.$part.json >ran.$part
		[[ -s ran.$part ]]
	done
	[[ $(cat ran.* | wc -l) -eq $(sort -u ran.* | wc -l) ]]
}

@test "a second death: in the recovery of the first" {
	run --separate-stderr "$HOLDFAST" sweep serve-start --shard 3/60 --seed 1 --json -
	[[ $status -eq 0 ]]
	jq -e '.summary.second_possible > 0' <<<"$output"
	jq -e 'any(.rows[]; .kind == "second-kill" and (.plan | contains("after(")))' <<<"$output"
	jq -e 'all(.rows[]; .kind != "second-kill" or .outcome != "not-run")' <<<"$output" # nobody else would
}

@test "the matrix, for people" {
	run --separate-stderr "$HOLDFAST" sweep serve-start --shard 1/100 --second none --seed 1
	[[ $status -eq 0 ]]
	[[ ${lines[0]} == point*role*kill*stop*errno-once*errno-on* ]]
	[[ ${lines[-1]} == *"faults:"*"0 failed"* ]]
}

@test "nothing to sweep, two things, nonsense: one line and the right code" {
	run "$HOLDFAST" sweep
	[[ $status -eq 2 && ${#lines[@]} -eq 1 ]]
	run "$HOLDFAST" sweep c10-kill-mid-lock
	[[ $status -eq 2 && $output == *"brings its own faults"* ]]
	run "$HOLDFAST" sweep serv-start
	[[ $status -eq 4 && $output == *"did you mean"* ]]
	run "$HOLDFAST" sweep serve-start --second al
	[[ $status -eq 2 && $output == *'did you mean "all"'* ]]
	run "$HOLDFAST" sweep serve-start --shard 3/2
	[[ $status -eq 2 ]]
}

@test "parts are also taken from the environment of a carrier" {
	cd "$BATS_TEST_TMPDIR"
	TEST_SHARD_INDEX=0 TEST_TOTAL_SHARDS=4 "$HOLDFAST" run --list 'a*' >one
	"$HOLDFAST" run --shard 1/4 --list 'a*' >other
	cmp one other
	CI_NODE_INDEX=2 CI_NODE_TOTAL=4 "$HOLDFAST" run --list 'a*' >one
	"$HOLDFAST" run --shard 2/4 --list 'a*' >other
	cmp one other
	SLURM_ARRAY_TASK_ID=7 SLURM_ARRAY_TASK_MIN=5 SLURM_ARRAY_TASK_COUNT=4 "$HOLDFAST" run --list 'a*' >one
	"$HOLDFAST" run --shard 3/4 --list 'a*' >other
	cmp one other
	TEST_SHARD_INDEX=4 TEST_TOTAL_SHARDS=4 run "$HOLDFAST" run --list 'a*'
	[[ $status -eq 2 && $output == *TEST_SHARD_INDEX* ]]
	CI_NODE_INDEX=1 run "$HOLDFAST" run --list 'a*'
	[[ $status -eq 2 && $output == *CI_NODE_TOTAL* ]]
	CI_NODE_TOTAL=1 "$HOLDFAST" run --list 'a*' >one
	"$HOLDFAST" run --list 'a*' >other
	cmp one other
}
