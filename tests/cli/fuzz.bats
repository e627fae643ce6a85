# holdfast fuzz: what there is, a planted bug, its replay.  The engines over every target are tests of their own.
load helper

need_clang()
{
	command -v clang >/dev/null || skip "no clang"
}

@test "the targets, with seeds each" {
	run -0 "$HOLDFAST" fuzz --list
	[[ $output == *lockfile_parse* && $output == *lwlock_ops* ]]
	run -0 --separate-stderr "$HOLDFAST" fuzz --list --json -
	jq -e '.schema_version == 1 and (.targets | length >= 7) and all(.targets[]; .seeds > 0)' <<<"$output"
}

@test "no such target: exit 4 and a suggestion; no such engine, no target at all: exit 2" {
	run -4 --separate-stderr "$HOLDFAST" fuzz lockfile_prase
	[[ $stderr == *'did you mean "lockfile_parse"'* ]]
	run -2 "$HOLDFAST" fuzz lockfile_parse --engine alf
	run -2 "$HOLDFAST" fuzz
	run -2 "$HOLDFAST" fuzz lockfile_parse --jobs 999
}

@test "no such mutant, no source tree, a compiler that does not compile: exit 3" {
	run -3 --separate-stderr "$HOLDFAST" fuzz token_parse --mutant no-such
	[[ $stderr == *no-such* ]]
	run -3 "$HOLDFAST" fuzz token_parse --source "$BATS_TEST_TMPDIR/none"
	mkdir -p "$BATS_TEST_TMPDIR/tree/fuzz" "$BATS_TEST_TMPDIR/bin"
	echo "token_parse words 512 a token" >"$BATS_TEST_TMPDIR/tree/fuzz/targets"
	printf '#!/bin/sh\nexit 1\n' >"$BATS_TEST_TMPDIR/bin/clang"
	cp "$BATS_TEST_TMPDIR/bin/clang" "$BATS_TEST_TMPDIR/bin/clang-14"
	chmod +x "$BATS_TEST_TMPDIR"/bin/*
	PATH=$BATS_TEST_TMPDIR/bin:$PATH run -3 --separate-stderr "$HOLDFAST" fuzz token_parse --source "$BATS_TEST_TMPDIR/tree"
	[[ $stderr == *"no compiler for libfuzzer works here"* ]]
}

@test "a planted bug is found, made small, and replayed from its token" {
	need_clang
	run -1 "$HOLDFAST" fuzz token_parse --mutant 95-keys-come-twice --seed 1 --time 60s --json "$BATS_TEST_TMPDIR/json"
	[[ $output == *"REQUIRE failed"* ]]
	jq -e '.exit_code == 1 and .summary.fail >= 1' "$BATS_TEST_TMPDIR/json"
	token=$(sed -n 's/^ *replay: holdfast replay //p' <<<"$output" | head -n 1)
	[[ $token == fuzz:target=token_parse,input=*,mutant=95-keys-come-twice ]]
	run -1 "$HOLDFAST" replay "$token"
	[[ $output == *"REQUIRE failed"* ]]
}

@test "a token of nothing" {
	run -2 "$HOLDFAST" replay fuzz:target=token_parse,input=no-such-input
	run -2 "$HOLDFAST" replay fuzz:target=token_parse,input=../../targets
	run -4 "$HOLDFAST" replay fuzz:target=no_such,input=a
}
