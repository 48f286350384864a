package oracle

// Following judges outputs that must be given ones in a given order: of each key these values. All that is expected is
// told before the first output. Of values that are the same each output is taken for the first that did not come yet.
type Following struct {
	keys            map[string]*followed
	inputs, outputs int
}

// followed is what is known of one key.
type followed struct {
	// at are the places of each value that did not come yet, and highest is the place of the last one that came.
	at                map[string][]int
	expected, highest int
	faults            Faults
}

func (f *Following) key(key string) *followed {
	if f.keys == nil {
		f.keys = map[string]*followed{}
	}
	k := f.keys[key]
	if k == nil {
		k = &followed{at: map[string][]int{}, highest: -1}
		f.keys[key] = k
	}
	return k
}

// Expect tells of an output that must come after those that were told before.
func (f *Following) Expect(key, value string) {
	k := f.key(key)
	k.at[value] = append(k.at[value], k.expected)
	k.expected++
	f.inputs++
}

// Output tells of an output, in the order of its partition.
func (f *Following) Output(key, value string) {
	f.outputs++
	k := f.key(key)
	places, expected := k.at[value]
	switch {
	case !expected:
		k.faults.Wrong++
		return
	case len(places) == 0:
		k.faults.Doubled++
		return
	case places[0] < k.highest:
		k.faults.Reordered++
	}
	k.at[value] = places[1:]
	k.highest = max(k.highest, places[0])
}

// Report says what is wrong, once everything is told.
func (f *Following) Report() Report {
	r := newReport(f.inputs, f.outputs)
	for key, k := range f.keys {
		faults := k.faults
		for _, places := range k.at {
			faults.Lost += len(places)
		}
		r.add(key, faults)
	}
	return r
}
