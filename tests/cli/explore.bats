# holdfast explore, replay and shrink of its findings.  Mutants are built on the spot: a compiler is needed, as for all.
load helper

# The token of the finding in $output.
token()
{
	sed -n 's/^ *replay: holdfast replay //p' <<<"$output" | head -n 1
}

@test "small cases: every interleaving, every death, nothing found" {
	run -0 "$HOLDFAST" explore --program S,X --crashes 1
	[[ $output == *complete:*states*transitions*' s, '* ]]
	run -0 "$HOLDFAST" explore --program X,E --crashes 1
	run -0 "$HOLDFAST" explore --program W,U --crashes 1
	run -0 "$HOLDFAST" explore --program X,T --timeouts 1
	run -0 "$HOLDFAST" explore --program X,X --crashes 1 --policy poison
	run -0 "$HOLDFAST" explore --program X,X --crashes 1 --no-supervisor --timeouts 5
}

@test "two processes, two deaths, and two of who recovers" {
	run -0 "$HOLDFAST" explore --processes 2 --crashes 2 --recoverer-crashes 2 --exhaustive
	[[ $output == *complete:* ]]
}

@test "every stop inside the queue's list, too" {
	run -0 "$HOLDFAST" explore --program X,X --crashes 1 --fine
}

@test "figures as JSON" {
	run -0 --separate-stderr "$HOLDFAST" explore --program S,X --json -
	jq -e '.schema_version == 1 and .complete and .states > 100 and (.findings | length) == 0' <<<"$output"
}

@test "random and priority schedules find nothing either" {
	run -0 "$HOLDFAST" explore --program S,S,X --crashes 1 --random --schedules 3000 --seed 1
	run -0 "$HOLDFAST" explore --program S,X,X --crashes 1 --pct 3,4,5 --schedules 3000 --seed 1
	[[ $output == *'missed with probability'* ]]
}

@test "three processes and a death, within a preemption" {
	run -0 "$HOLDFAST" explore --processes 3 --crashes 1 --preemptions 1
	[[ $output == *'within 1 preemptions, complete:'* ]]
	run -2 "$HOLDFAST" explore --preemptions x
	run -2 "$HOLDFAST" explore --preemptions 1 --random
}

@test "store buffers: nothing found, and what only they can show" {
	run -0 "$HOLDFAST" explore --program S,X --crashes 1 --memory tso
	[[ $output == *', store buffers'*complete:* ]]
	run -0 "$HOLDFAST" explore --program X,T --timeouts 1 --memory tso
	run -0 "$HOLDFAST" explore --program S,X,X --crashes 1 --memory tso --pct 3 --schedules 2000 --seed 1
	run -2 "$HOLDFAST" explore --memory arm
	run -0 "$HOLDFAST" explore --program X,X --mutant 210-asleep-by-a-plain-store
	run -1 "$HOLDFAST" explore --program X,X --mutant 210-asleep-by-a-plain-store --memory tso --random --seed 1 --no-bundle
	[[ $output == *'FOUND lost-wakeup'*memory=tso* ]]
	run -1 "$HOLDFAST" replay "$(token)" --repeat 20 --quiet
	[[ $output == *'20 with the same signature: lost-wakeup'* ]]
	run -1 "$HOLDFAST" explore --program X,X --mutant 210-asleep-by-a-plain-store --memory tso --no-bundle
	[[ $output == *'FOUND lost-wakeup'* ]]
}

@test "a newcomer does not overtake whom the lock is to be handed to" {
	run -0 "$HOLDFAST" explore --program X,XX --timeouts 1
	run -1 "$HOLDFAST" explore --program X,XX --timeouts 1 --mutant 211-newcomers-pass-handoff --no-bundle
	[[ $output == *'FOUND overtaken'* ]]
	run -1 "$HOLDFAST" replay "$(token)" --repeat 20 --quiet
	[[ $output == *'20 with the same signature: overtaken'* ]]
}

@test "what the operations returned is explained by an order of them" {
	run -0 "$HOLDFAST" explore --program SXs,xOU,WNM --crashes 2 --timeouts 1 --random --schedules 20000 --seed 1
	run -0 "$HOLDFAST" explore --program XT,UE,WW --crashes 1 --memory tso --pct 3 --schedules 5000 --seed 1
	run -1 "$HOLDFAST" explore --program W,U --random --seed 1 --mutant 212-wait-for-var-believes-the-wake-up --no-bundle
	[[ $output == *'FOUND not-linearizable'* ]]
	run -1 "$HOLDFAST" replay "$(token)" --repeat 20 --quiet
	[[ $output == *'20 with the same signature: not-linearizable'* ]]
	run -1 "$HOLDFAST" explore --program s,S --mutant 213-busy-beside-a-sharer --no-bundle
	[[ $output == *'FOUND not-linearizable'* ]]
}

@test "what is cut short says so: exit 5" {
	run -5 "$HOLDFAST" explore --program S,S,X --crashes 1 --memory-limit 4
	[[ $output == *incomplete* ]]
}

@test "bad cases are usage errors" {
	run -2 "$HOLDFAST" explore --program Q
	run -2 "$HOLDFAST" explore --program S,S,S,S,S,S
	run -2 "$HOLDFAST" explore --processes 3 --program S,X
	run -2 "$HOLDFAST" explore --pct 3,x
	run -2 "$HOLDFAST" explore --mutant no-such
	run -2 "$HOLDFAST" explore --mutant ../../etc
	run -2 "$HOLDFAST" replay explore:program=S.X
	run -2 "$HOLDFAST" replay explore:program=S.X,schedule=0.1,what=1
}

@test "a mutant is found, replayed on real processes each time, and shrunk" {
	cd "$BATS_TEST_TMPDIR"
	run -1 "$HOLDFAST" explore --mutant 21-recover-keeps-queue
	[[ $output == *'FOUND lost-wakeup'* ]]
	found=$(token)
	[[ -s $(echo .holdfast/explore-*/token) && -s $(echo .holdfast/explore-*/finding) ]]
	[[ $(<"$(echo .holdfast/explore-*/stacks)") == *'process '*'#0 '* ]]
	run -1 "$HOLDFAST" replay "$found" --repeat 20 --quiet
	[[ $output == *'20 of 20 replays'*'20 with the same signature: lost-wakeup'* ]]
	run -0 --separate-stderr "$HOLDFAST" shrink "$found"
	short=$output
	[[ ${#short} -le ${#found} ]]
	run -1 "$HOLDFAST" replay "$short" --repeat 20 --quiet
	[[ $output == *'20 with the same signature'* ]]
}

@test "a finding says which calls everybody stands in" {
	run -1 --separate-stderr "$HOLDFAST" explore --program S,X --mutant 89-sharers-beside-owner --bundle "$BATS_TEST_TMPDIR" --json -
	jq -e '.findings[0].stacks | map(.who) | index("S") and index("X") and index("where the rule was broken")' <<<"$output"
	[[ $(jq -r '.findings[0].symbols' <<<"$output") == libdw ]] || skip "built without libdw: no names"
	jq -e '.findings[0].stacks | all(.frames | length > 0 and all(.line > 0))' <<<"$output"
	jq -e '.findings[0].stacks[] | select(.who == "S").frames | map(.file) | index("lib/src/lwlock.c")' <<<"$output"
	grep -q '#0  enter+0x.*  inject/sched/program.c:[0-9]' "$BATS_TEST_TMPDIR"/explore-*/stacks
}

@test "the sound library does not show a mutant's finding" {
	cd "$BATS_TEST_TMPDIR"
	run -1 "$HOLDFAST" explore --mutant 10-release-wakes-nobody
	sound=$(token | sed 's/mutant=[^,]*,//')
	run "$HOLDFAST" replay "$sound"
	[[ $status -eq 0 || $status -eq 5 ]]
}

@test "a slot that a waiter marks dead in the middle of a recovery keeps what its journal owes" {
	cd "$BATS_TEST_TMPDIR"
	run -1 "$HOLDFAST" explore --mutant 193-late-dead-are-cleared --program X,X,X --crashes 2 --policy poison \
		--pct 3,4,5,6,7 --seed 2
	[[ $output == *'FOUND deadlock'* ]]
	sound=$(token | sed 's/mutant=[^,]*,//')
	run "$HOLDFAST" replay "$sound"
	[[ $status -eq 0 || $status -eq 5 ]]
}

@test "rates beside their floor" {
	run -0 --separate-stderr "$HOLDFAST" explore --bench --json -
	jq -e '.rates | length >= 6 and all(.per_second > 0)' <<<"$output"
}
