# holdfast run --file: what a suite file selects, and what it cannot be.
load helper

# suite TEXT: writes $suite.
suite()
{
	suite=$BATS_TEST_TMPDIR/suite.yaml
	printf '%s\n' "$@" >"$suite"
}

# refused LINE:COLUMN WORDS [CODE]: $suite is, in one line that begins with its place.
refused()
{
	run "-${3:-2}" --separate-stderr "$HOLDFAST" run --file "$suite"
	[[ $stderr == "$suite:$1: "*"$2"* ]] || { echo "said: $stderr"; return 1; }
	[[ ${#stderr_lines[@]} -eq 1 && -z $output ]]
}

setup_file()
{
	# Without libyaml it says so, and there is nothing else to test.
	local code=0
	"$HOLDFAST" run --list --file /dev/null 2>/dev/null || code=$?
	[[ $code -ne 3 ]] || export WITHOUT_LIBYAML=1
}

need_libyaml()
{
	[[ -z ${WITHOUT_LIBYAML:-} ]] || skip "built without libyaml"
}

@test "a suite: cases, plans and seeds, green, each with a name of its own in the reports" {
	need_libyaml
	suite 'version: 1' 'seed: 7' 'run:' \
		'  - cases: [serve-start/repair:1-workers, "a10*/reset:1-*"]' \
		'  - cases: a10-serve-start/repair:1-workers' \
		'    plan: "sysv/shm/shmget=#1 errno(ENOSPC)"' \
		'  - cases: a10-serve-start/repair:1-workers' \
		'    plan: |' '      sysv/shm/shmget=#1' '        errno(ENOSPC)' \
		'    seed: 0x2a'
	run -0 "$HOLDFAST" run --file "$suite" --list
	diff - <<<"$output" <(printf 'a10-serve-start/%s\n' 'repair:1-workers' \
		'repair:1-workers@2a [sysv/shm/shmget=#1   errno(ENOSPC)]' \
		'repair:1-workers [sysv/shm/shmget=#1 errno(ENOSPC)]' 'reset:1-workers')
	run -0 "$HOLDFAST" run --file "$suite" --json "$BATS_TEST_TMPDIR/json" --junit "$BATS_TEST_TMPDIR/junit"
	[[ $output == *SHMMNI* ]]
	jq -e '.seed == 7 and .summary.pass == 4 and ([.cases[].case] | unique | length == 4) and
		any(.cases[]; .replay | endswith("@2a"))' "$BATS_TEST_TMPDIR/json"
	xmllint --noout "$BATS_TEST_TMPDIR/junit"
	"$HOLDFAST" run --file - --list <"$suite"
}

@test "options go before the file; its numbers are used otherwise" {
	need_libyaml
	suite 'version: 1' 'seed: 7' 'repeat: 2' 'budget: 1h' 'jobs: 1' 'run: [{cases: a10-serve-start/repair:1-workers}]'
	run -0 "$HOLDFAST" run --file "$suite" --quiet
	[[ $output == "2 of 2 cases run"*"seed 7" ]]
	run -0 "$HOLDFAST" run --file "$suite" --quiet --seed 8 --repeat 1
	[[ $output == "1 of 1 cases run"*"seed 8" ]]
}

@test "the suite that comes along is green, its shards are disjoint and complete" {
	need_libyaml
	crash=$BATS_TEST_DIRNAME/../../scenarios/suites/crash.yaml
	run -0 "$HOLDFAST" run --file "$crash"
	for i in 1 2; do
		"$HOLDFAST" run --list --file "$crash" --shard $i/2 >"$BATS_TEST_TMPDIR/$i"
	done
	sort "$BATS_TEST_TMPDIR"/[12] | diff - <("$HOLDFAST" run --list --file "$crash" | sort)
}

@test "a fault that was armed and never fired fails, with one line that reproduces it" {
	need_libyaml
	suite 'version: 1' 'run:' '  - cases: a10-serve-start/repair:1-workers' \
		'    plan: |' '      sysv/shm/shmget=#100000 errno(ENOSPC);' '      seed=7'
	run -1 "$HOLDFAST" run --file "$suite"
	[[ $output == *"never fired"* ]]
	replay=$(sed -n 's/^ *replay: holdfast //p' <<<"$output")
	[[ $replay == *"; seed=7' a10-serve-start/repair:1-workers@"* ]]
	eval "run -1 \"\$HOLDFAST\" $replay"
	[[ $output == *"never fired"* ]]
}

@test "what is wrong is one line with its place, exit 2, and nothing runs" {
	need_libyaml
	suite ''
	refused 2:1 'the file is empty'
	suite 'version: 1' 'run:' '  - case: a10*'
	refused 3:5 'did you mean "cases"'
	suite 'version: 1' 'run:' '  - cases: a10*' '    plan: "sysv/shm/shmgte=kill"'
	refused 4:11 'did you mean "sysv/shm/shmget"'
	suite 'version: 1' 'run:' '  - cases: a10*' '    plan: "sysv/shm/shmget=errno(EBOGUS)"'
	refused 4:11 EBOGUS
	suite 'version: 1' 'run:' '  - cases: c50-orphan' '    plan: "sysv/shm/shmget=#1 errno(ENOSPC)"'
	refused 4:11 'takes no plan'
	suite 'version: 1' 'run:' '  - cases: *x'
	refused 3:12 'in quotes'
	suite 'version: 1' 'run: [{cases: a10*'
	refused 3:1 'flow mapping'
}

@test "what selects nothing: exit 4" {
	need_libyaml
	suite 'version: 1' 'run:' '  - cases: a10*' '  - cases: [a10*, kill-mid-lokc]'
	refused 4:19 'did you mean "kill-mid-lock"' 4
	suite 'version: 1' 'run: [{cases: no-such}]'
	refused 2:15 'no scenario' 4
}

@test "no file, a directory, something beside it: exit 2" {
	need_libyaml
	run -2 --separate-stderr "$HOLDFAST" run --file "$BATS_TEST_TMPDIR/none"
	[[ $stderr == *none*"No such file"* ]]
	run -2 "$HOLDFAST" run --file "$BATS_TEST_TMPDIR"
	suite 'version: 1' 'run: [{cases: serve-start}]'
	run -2 "$HOLDFAST" run --file "$suite" serve-start
	run -2 "$HOLDFAST" run --file "$suite" --filter 'a*'
	run -2 "$HOLDFAST" run --file "$suite" --plan 'seed=1'
}

# repeated HEAD UNIT: a megabyte.
repeated()
{
	printf '%s' "$1"
	yes "$2" | tr -d '\n' | head -c $(((1 << 20) - ${#1}))
}

@test "hostile YAML is refused in little memory and time" {
	need_libyaml
	cases=$'version: 1\nrun:\n  - cases: '
	suite=$BATS_TEST_TMPDIR/hostile
	limit=unlimited
	(ulimit -v 500000 && "$HOLDFAST" version) >/dev/null 2>&1 && limit=500000 # a sanitizer reserves terabytes
	declare -i tried=0
	while read -r what; do
		case $what in
			laughs)
				echo 'a: &a [x, x, x, x, x, x, x, x, x]'
				last=a
				for next in b c d e f g h i; do
					echo "$next: &$next [*$last, *$last, *$last, *$last, *$last, *$last, *$last, *$last, *$last]"
					last=$next
				done
				;;
			itself) printf 'version: 1\nrun: &r\n  - cases: *r\n' ;;
			zero) printf '%sa\0b\n' "$cases" ;;
			not-utf8) printf '%s\xff\xfe\n' "$cases" ;;
			utf16) printf '\xff\xfev\0e\0' ;;
			too-long) repeated '' '#' && echo x ;;
			endless) yes "$cases" | head -c $((64 << 20)) ;;
			nested) for ((i = 0; i < 500; i++)); do printf '%*sa:\n' "$i" ''; done ;;
			in:*) repeated "$cases" "${what#in:}" ;;
			*) repeated '' "$what" ;;
		esac >"$suite"
		(
			ulimit -v "$limit"
			code=0
			timeout 60 "$HOLDFAST" run --file "$suite" >"$suite.said" 2>&1 || code=$?
			[[ $code -eq 2 && $(wc -l <"$suite.said") -eq 1 && $(wc -c <"$suite.said") -lt 500 &&
				$(cat "$suite.said") == "$suite:"+([0-9]):+([0-9]):\ * ]]
		) || {
			echo "$what: $(head -c 300 "$suite.said")"
			return 1
		}
		tried+=1
	done <<-'END'
		laughs
		itself
		zero
		not-utf8
		utf16
		too-long
		endless
		nested
		[
		{
		"
		#
		&a
		!
		%
		k
		?x
		-x
		in:[
		in:{
		in:a,
		in:,
		in:x
		in:"
		in:\x41
	END
	[[ $tried -eq 25 ]]
}

@test "interrupted: exit 130, and the report is whole" {
	need_libyaml
	suite 'version: 1' 'repeat: 1000' 'run: [{cases: a10-serve-start}]'
	"$HOLDFAST" run --file "$suite" --json "$BATS_TEST_TMPDIR/json" --verbose >"$BATS_TEST_TMPDIR/out" 2>&1 3>&- &
	pid=$!
	pids+=("$pid")
	wait_until 20 test -s "$BATS_TEST_TMPDIR/out"
	kill -TERM "$pid"
	code=0
	wait "$pid" || code=$?
	[[ $code -eq 130 ]]
	jq -e '.exit_code == 130 and .summary.not_run > 0' "$BATS_TEST_TMPDIR/json"
}

@test "without libyaml: exit 3, and how to have it" {
	[[ -n ${WITHOUT_LIBYAML:-} ]] || skip "built with libyaml"
	run -3 --separate-stderr "$HOLDFAST" run --file /dev/null
	[[ $stderr == *libyaml-dev* ]]
}
