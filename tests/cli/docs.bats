# What the pages say of scenarios, commands and options is there; what there is, is in the pages.
load helper

root=$BATS_TEST_DIRNAME/../..
pages=("$root"/README.md "$root"/docs/*.md "$root"/docs/man/holdfast.1)

@test "every scenario is in the catalogue's table, and no page speaks of one that is not there" {
	"$HOLDFAST" list scenarios --json | jq -r '.scenarios[].id' | sort >"$BATS_TEST_TMPDIR/there"
	[[ $(wc -l <"$BATS_TEST_TMPDIR/there") -ge 25 ]]
	sed -n 's/^| \([acprx][0-9][0-9]-[a-z0-9-]*\) |.*/\1/p' "$root/docs/scenarios.md" | sort | diff - "$BATS_TEST_TMPDIR/there"
	grep -hoE '\b[acprx][0-9]{2}-[a-z][a-z0-9-]*' "${pages[@]}" | sort -u | comm -23 - "$BATS_TEST_TMPDIR/there" >"$BATS_TEST_TMPDIR/gone"
	[[ ! -s $BATS_TEST_TMPDIR/gone ]] || { echo "no such scenario: $(<"$BATS_TEST_TMPDIR/gone")"; return 1; }
}

@test "every command in the pages is one, and takes the options that it is shown with" {
	local tried=0
	while read -r line; do
		read -r _ command _ <<<"$line"
		"$HOLDFAST" help "$command" >"$BATS_TEST_TMPDIR/help" || { echo "no command: $line"; return 1; }
		for option in $(grep -oE ' --[a-z-]+' <<<"${line%% -- *}"); do
			grep -qE -- "^  $option( |\|)" "$BATS_TEST_TMPDIR/help" || { echo "no option $option: $line"; return 1; }
		done
		tried=$((tried + 1))
	done < <(grep -hoE '(\$ |^|`)holdfast [a-z]+( [^`#|]*|`)' "$root"/README.md "$root"/docs/*.md | sed 's/^[$` ]*//; s/`$//' | sort -u)
	[[ $tried -ge 50 ]]
}

@test "links in the pages lead somewhere" {
	local page to tried=0
	for page in "$root"/README.md "$root"/docs/*.md; do
		for to in $(grep -oE '\]\([^)]*\)' "$page" | sed 's/^](//; s/)$//; s/#.*//'); do
			[[ $to == http* ]] && continue
			[[ -e $(dirname "$page")/$to ]] || { echo "$page: $to"; return 1; }
			tried=$((tried + 1))
		done
	done
	[[ $tried -ge 15 ]]
}

@test "every page of docs/ is in the README" {
	for page in "$root"/docs/*.md; do
		grep -qF "(docs/${page##*/}" "$root/README.md" || { echo "not in the README: ${page##*/}"; return 1; }
	done
}
