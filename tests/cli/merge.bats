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

@test "report: what any command left, in every format, with the replay line" {
	need_jansson
	cd "$BATS_TEST_TMPDIR"
	run -1 "$HOLDFAST" run --plan 'sysv/shm/shmget=#100000 errno(ENOSPC)' serve-start --json run.json --sarif own.sarif --html own.html
	"$HOLDFAST" explore --program S,X --json explore.json
	"$HOLDFAST" sweep serve-start --shard 1/150 --second none --seed 1 --json sweep.json >/dev/null || [[ $? -eq 5 ]]
	"$HOLDFAST" doctor --json >doctor.json || true
	run -0 "$HOLDFAST" report run.json --sarif run.sarif --html run.html
	cmp own.sarif run.sarif
	cmp own.html run.html
	jq -e '.version == "2.1.0" and (.runs[0].results | length > 0) and .runs[0].invocations[0].exitCode == 1
		and all(.runs[0].results[]; (.message.text | contains("replay: holdfast replay ")) and .ruleId == "a10-serve-start"
			and .locations[0].physicalLocation.artifactLocation.uri == "scenarios/catalogue/a10_serve_start.c")' run.sarif
	grep -q 'replay: <code>holdfast replay ' run.html
	for file in explore sweep doctor; do
		run -0 "$HOLDFAST" report $file.json --junit $file.xml --tap $file.tap --html $file.html
		xmllint --noout $file.xml
		[[ $(xmllint --xpath 'count(//testcase)' $file.xml) -eq $(jq '.results.cases | length' $file.json) ]]
	done
}

@test "report: no file, no format, a file that is none" {
	run -2 "$HOLDFAST" report --html -
	run -2 "$HOLDFAST" report a.json
	need_jansson
	echo '{"results": {"cases": 1}}' >"$BATS_TEST_TMPDIR/bad"
	run -2 --separate-stderr "$HOLDFAST" report "$BATS_TEST_TMPDIR/bad" --html "$BATS_TEST_TMPDIR/page"
	[[ $stderr == *"bad is not taken: "?* && ! -e $BATS_TEST_TMPDIR/page ]]
}

# Looks at the clock are far apart: all but the longest cases come to their end.
@test "a set of small cases is all of them in its files" {
	cd "$BATS_TEST_TMPDIR"
	run -5 "$HOLDFAST" explore --budget 1ms --json json --junit junit
	[[ $(xmllint --xpath 'count(//testcase)' junit) -eq $(jq '.explored | length' json) ]]
	jq -e '.outcome == "incomplete" and .results.summary.not_run + .results.summary.run == .results.summary.selected
		and (.results.cases | length > 1) and all(.results.cases[]; .status != "fail" and .status != "error")' json
}
