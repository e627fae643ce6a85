# holdfast powerloss: states, verdicts, a model of PostgreSQL beside ours, tokens with bundles.
load helper

@test "no verdict is wrong, whatever the power leaves" {
	run -0 "$HOLDFAST" powerloss --real 8 --json "$BATS_TEST_TMPDIR/json"
	jq -e '.schema_version == 1 and .wrong == 0 and .findings == []' "$BATS_TEST_TMPDIR/json"
	jq -e '[.histories[].history] == ["first-start", "after-a-crash", "errors"]' "$BATS_TEST_TMPDIR/json"
	jq -e 'all(.histories[]; .states > 100 and .promises_lost == 0)' "$BATS_TEST_TMPDIR/json"
	jq -e '.real > 50 and .two_at_once > 5' "$BATS_TEST_TMPDIR/json"
	jq -e '.histories[2].recorded > 50' "$BATS_TEST_TMPDIR/json"
	jq -e '.histories[0].operation | index("fsync the directory")' "$BATS_TEST_TMPDIR/json"
}

@test "the model of PostgreSQL's protocol refuses where nobody lives, ours never" {
	run -0 --separate-stderr "$HOLDFAST" powerloss first-start --real 0 --every-byte --peer postgresql-model --json -
	jq -e '.wrong == 0 and .every_byte' <<<"$output"
	jq -e '.histories[] | select(.peer) | .states > 80 and .worlds[0].wrong > 0 and .worlds[1].wrong > .worlds[0].wrong' <<<"$output"
}

@test "a token plays one state again and leaves a bundle" {
	run -0 --separate-stderr "$HOLDFAST" replay powerloss:history=first-start,state=20,world=new-boot+reused-pid
	bundle=${stderr##*bundle: }
	[[ -f $bundle/STORY ]]
	grep -q 'power lost here\|a death here' "$bundle/STORY"
	rm -r "$bundle"
	run -2 "$HOLDFAST" replay powerloss:history=first-start,state=20
	run -2 "$HOLDFAST" replay powerloss:history=first-start,state=20,world=mars
	run -4 "$HOLDFAST" replay powerloss:history=first,state=20,world=live
}

@test "what is not there is said so" {
	run -4 --separate-stderr "$HOLDFAST" powerloss first-strat
	[[ $stderr == *'did you mean "first-start"'* ]]
	run -2 "$HOLDFAST" powerloss --peer sqlite
}
