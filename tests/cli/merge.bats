# holdfast merge: the parts of a run are its whole.
load helper

run_part()
{
	"$HOLDFAST" run bad-lockfile --seed 5 --json "$BATS_TEST_TMPDIR/$1" "${@:2}" >/dev/null
}

same_but_for_times()
{
	diff <(grep -v milliseconds "$1") <(grep -v milliseconds "$2")
}

need_jansson()
{
	run "$HOLDFAST" merge /dev/null
	[[ $status -ne 3 ]] || skip "built without jansson"
}

@test "shards in any order make the file of the whole run" {
	need_jansson
	cd "$BATS_TEST_TMPDIR"
	run_part all
	run_part one --shard 1/3
	run_part two --shard 2/3
	run_part three --shard 3/3
	run -0 "$HOLDFAST" merge three one two -o parts --junit junit --tap tap
	same_but_for_times all parts
	xmllint --noout junit
	grep -qx "1..$(jq '.cases | length' parts)" tap
}

@test "what passed here and failed there is flaky; what only failed is a finding" {
	need_jansson
	cd "$BATS_TEST_TMPDIR"
	run_part good
	jq '.cases[0].status = "fail" | .summary.fail = 1 | .summary.pass -= 1' good >bad
	run -6 "$HOLDFAST" merge good bad
	jq -e '.outcome == "flaky" and .summary.flaky == 1' <<<"$output"
	run -1 "$HOLDFAST" merge bad
	jq -e '.outcome == "findings"' <<<"$output"
}

@test "a file that is none is refused with its place, and nothing is written" {
	need_jansson
	cd "$BATS_TEST_TMPDIR"
	run_part good
	for change in '.schema_version = 2' '.cases[1].status = "odd"' '.cases[0].seed = 1' '.summary.run = 0' 'del(.summary)' '.seed = -1'; do
		jq "$change" good >bad
		run -2 --separate-stderr "$HOLDFAST" merge good bad -o out
		[[ $stderr == *"bad is not taken: "?* && ! -e out ]]
	done
	head -c 100 good >bad
	run -2 --separate-stderr "$HOLDFAST" merge bad
	[[ $stderr == *"line "*", column "* ]]
	run -2 "$HOLDFAST" merge no-such-file
	run -2 "$HOLDFAST" merge
}
