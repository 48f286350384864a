package oracle

// Following judges outputs that must be given ones in a given order: of each key these values, each once. All that is
// expected is told before the first output. No value is expected twice of a key.
type Following struct {
	keys            map[string]*followed
	inputs, outputs int
}

// followed is what is known of one key.
type followed struct {
	// at is where each value belongs, seen how often each came, and highest the place of the last one that came.
	at      map[string]int
	seen    []int
	highest int
	faults  Faults
}

func (f *Following) key(key string) *followed {
	if f.keys == nil {
		f.keys = map[string]*followed{}
	}
	k := f.keys[key]
	if k == nil {
		k = &followed{at: map[string]int{}, highest: -1}
		f.keys[key] = k
	}
	return k
}

// Expect tells of an output that must come after those that were told before.
func (f *Following) Expect(key, value string) {
	k := f.key(key)
	k.at[value] = len(k.seen)
	k.seen = append(k.seen, 0)
	f.inputs++
}

// Output tells of an output, in the order of its partition.
func (f *Following) Output(key, value string) {
	f.outputs++
	k := f.key(key)
	at, expected := k.at[value]
	if !expected {
		k.faults.Wrong++
		return
	}
	switch k.seen[at]++; {
	case k.seen[at] > 1:
		k.faults.Doubled++
	case at < k.highest:
		k.faults.Reordered++
	}
	k.highest = max(k.highest, at)
}

// Report says what is wrong, once everything is told.
func (f *Following) Report() Report {
	r := newReport(f.inputs, f.outputs)
	for key, k := range f.keys {
		for _, times := range k.seen {
			if times == 0 {
				k.faults.Lost++
			}
		}
		r.add(key, k.faults)
	}
	return r
}
