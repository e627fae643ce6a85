# The frame of the command line: help, did-you-mean, exit codes.
load helper

@test "without a command: an overview on stderr, exit 2" {
	run -2 --separate-stderr "$HOLDFAST"
	[[ -z $output && $stderr == *"usage: holdfast COMMAND"* ]]
}

@test "--help: the same on stdout, exit 0, every command in it" {
	run -0 --separate-stderr "$HOLDFAST" --help
	[[ -z $stderr ]]
	for command in doctor list run replay exec serve stop inspect orphans bench help version; do
		[[ $output == *"  $command "* ]]
	done
}

@test "help COMMAND and COMMAND --help say the same" {
	for command in $("$HOLDFAST" help | sed -n '/^commands:/,/^$/s/^  \([a-z]*\) .*/\1/p'); do
		run -0 "$HOLDFAST" help "$command"
		[[ $output == "usage: holdfast $command"* ]]
		[[ $output == "$("$HOLDFAST" "$command" --help)" ]]
	done
}

@test "unknown command: one line, a suggestion, exit 2" {
	run -2 --separate-stderr "$HOLDFAST" inspekt
	[[ -z $output && ${#stderr_lines[@]} -eq 1 ]]
	[[ $stderr == *'"inspekt"; did you mean "inspect"?' ]]
}

@test "a word like no command: no wild guess" {
	run -2 --separate-stderr "$HOLDFAST" xylophone
	[[ $stderr != *"did you mean"* ]]
}

@test "unknown option: a suggestion, exit 2" {
	run -2 --separate-stderr "$HOLDFAST" run --jnuit x
	[[ $stderr == *'--jnuit; did you mean "--junit"?' ]]
}

@test "an option without its value, a flag with one, a number that is none: exit 2" {
	run -2 "$HOLDFAST" run --seed
	run -2 "$HOLDFAST" run --verbose=3
	run -2 "$HOLDFAST" run --jobs many
	run -2 "$HOLDFAST" run --seed 99999999999999999999999
	run -2 "$HOLDFAST" serve -D "$data" --duration 3parsecs
}

@test "version is that of the header" {
	run -0 "$HOLDFAST" version
	header=$(sed -n 's/^#define HOLDFAST_VERSION *"\(.*\)"/\1/p' \
		"$BATS_TEST_DIRNAME/../../lib/include/holdfast/holdfast.h")
	[[ -n $header && $output == "holdfast $header" ]]
}

@test "bash completion completes commands and options" {
	run -0 "$HOLDFAST" completion bash
	eval "$output"
	COMP_WORDS=(holdfast insp)
	COMP_CWORD=1
	_holdfast
	[[ ${COMPREPLY[*]} == inspect ]]
	COMP_WORDS=(holdfast run --jun)
	COMP_CWORD=2
	_holdfast
	[[ ${COMPREPLY[*]} == --junit ]]
	run -2 "$HOLDFAST" completion tcsh
}

@test "a reader that closes early does not make a mess" {
	run bash -c '"$HOLDFAST" list points | head -n 1'
	[[ $status -eq 0 && ${#lines[@]} -eq 1 ]]
}

@test "a full disk is said, and is no success" {
	run --separate-stderr bash -c '"$HOLDFAST" list points >/dev/full'
	[[ $status -ne 0 ]]
}

@test "the man page: each command has a part, with the options that it takes and no other" {
	page=$BATS_TEST_DIRNAME/../../docs/man/holdfast.1
	"$HOLDFAST" help | sed -n '/^commands:/,/^$/s/^  \([a-z]*\) .*/\1/p' >"$BATS_TEST_TMPDIR/commands"
	while read -r command; do
		"$HOLDFAST" help "$command" | sed -nE 's/^  --([a-z-]+).*/\1/p'
	done <"$BATS_TEST_TMPDIR/commands" >"$BATS_TEST_TMPDIR/listed"
	{ cat "$BATS_TEST_TMPDIR/listed"; echo help; } | sort -u >"$BATS_TEST_TMPDIR/any"
	[[ $(wc -l <"$BATS_TEST_TMPDIR/any") -ge 60 ]]
	while read -r command; do
		# From its .It to the next command's; lists inside have their own .It Fl.
		part=$(awk -v name="$command" '/^\.Sh/ { on = 0 } /^\.It Ic [a-z]/ { on = ($0 ~ "Ic " name "( |$)") } on' "$page")
		[[ -n $part ]] || { echo "not in the page: $command"; return 1; }
		grep -oE '(Fl|,) -[a-z-]+' <<<"$part" | sed 's/.* -//' | sort -u >"$BATS_TEST_TMPDIR/in-page"
		"$HOLDFAST" help "$command" | sed -nE 's/^  --([a-z-]+).*/\1/p' | sort -u >"$BATS_TEST_TMPDIR/in-help"
		missing=$(comm -13 "$BATS_TEST_TMPDIR/in-page" "$BATS_TEST_TMPDIR/in-help")
		[[ -z $missing ]] || { echo "not in the page: $command" $missing; return 1; }
		# A part may speak of another command's options.
		gone=$(comm -23 "$BATS_TEST_TMPDIR/in-page" "$BATS_TEST_TMPDIR/any")
		[[ -z $gone ]] || { echo "no option of any command: $command" $gone; return 1; }
	done <"$BATS_TEST_TMPDIR/commands"
}

@test "the man page: nothing that mandoc or groff would complain of; no command that is not there" {
	page=$BATS_TEST_DIRNAME/../../docs/man/holdfast.1
	command -v man >/dev/null || skip "no man"
	[[ -z $(LC_ALL=C.UTF-8 MANWIDTH=100 man --warnings -l "$page" 2>&1 >/dev/null) ]]
	for command in $(sed -n 's/^\.It Ic \([a-z]*\).*/\1/p' "$page"); do
		"$HOLDFAST" help "$command" >/dev/null || { echo "no command: $command"; return 1; }
	done
}
