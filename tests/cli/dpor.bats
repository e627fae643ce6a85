# holdfast explore --dpor: one schedule of each class, checked against the search that looks at every state.
load helper

figures() # OPTION... -> complete, ends
{
	run -0 --separate-stderr "$HOLDFAST" explore "$@" --json -
	jq -c '[.complete, .ends]' <<<"$output"
}

# Both are complete, and reach the same number of different ends.
agree() # OPTION...
{
	local dpor every
	dpor=$(figures "$@" --dpor)
	every=$(figures "$@" --fine)
	echo "$*: $dpor, every state: $every"
	[[ $dpor == '[true,'* && $dpor == "$every" ]]
}

token()
{
	sed -n 's/^ *replay: holdfast replay //p' <<<"$output" | head -n 1
}

@test "it reaches the ends that the search over states reaches" {
	agree --program S,X
	agree --program s,s,x
	agree --program W,U
	agree --program X,T --timeouts 1
	agree --program O,X --timeouts 1
}

@test "deaths too, those of who recovers among them" {
	agree --program s,x --crashes 1
	agree --program x,x --crashes 2
	agree --program s,x --crashes 1 --recoverer-crashes 1
	agree --program x,x --crashes 1 --policy poison
	agree --program s,x --crashes 1 --timeouts 1
}

@test "it says how many executions, and how many were given up" {
	run -0 "$HOLDFAST" explore --program x,x --crashes 2 --dpor
	[[ $output =~ complete:\ ([0-9]+)\ executions,\ ([0-9]+)\ more\ blocked\ by\ sleep\ sets ]]
	[[ ${BASH_REMATCH[1]} -gt 100 && ${BASH_REMATCH[2]} -gt 0 ]]
	run -0 --separate-stderr "$HOLDFAST" explore --program x,x --crashes 2 --dpor --json -
	jq -e '.strategy == "dpor" and .schedules > 100 and .blocked > 0' <<<"$output"
}

@test "what is cut short says so: exit 5" {
	run -5 "$HOLDFAST" explore --program S,X --crashes 1 --dpor --schedules 100
	[[ $output == *'incomplete (out of schedules)'* ]]
	run -5 "$HOLDFAST" explore --program S,S,X --crashes 1 --dpor --budget 1s
	[[ $output == *'incomplete (out of time)'* ]]
}

@test "what it does not know is a usage error" {
	run -2 "$HOLDFAST" explore --program S,X --dpor --memory tso
	run -2 "$HOLDFAST" explore --program S,X --dpor --no-supervisor
	run -2 "$HOLDFAST" explore --program S,X --dpor --random
}

@test "mutants are found as the search over states finds them, and replayed" {
	local mutant
	for mutant in 15-no-second-try 17-waking-never-cleared '18-timeout-stays-queued --program X,T --timeouts 1' \
		'21-recover-keeps-queue --crashes 1' '27-slot-not-freed --crashes 1'; do
		# shellcheck disable=SC2086 # options
		run -1 "$HOLDFAST" explore --processes 2 --mutant $mutant --fine --no-bundle --quiet
		every=$(grep -o 'FOUND [a-z-]*' <<<"$output")
		# shellcheck disable=SC2086
		run -1 "$HOLDFAST" explore --processes 2 --mutant $mutant --dpor --no-bundle --quiet
		[[ $(grep -o 'FOUND [a-z-]*' <<<"$output") == "$every" ]]
		run -1 "$HOLDFAST" replay "$(token)" --repeat 5 --quiet
		[[ $output == *"5 with the same signature: ${every#FOUND }"* ]]
	done
}
