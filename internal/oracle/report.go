package oracle

import (
	"fmt"
	"strings"
)

// Faults are what is wrong, counted. The zero value is what a program that keeps its promises gets.
type Faults struct {
	// Lost are outputs that are missing, Doubled those that are there once more than they should be, Reordered those that
	// come after one that belongs behind them, and Wrong are outputs and rows with another value than they should have,
	// rows that are missing and rows that should not be there.
	Lost, Doubled, Reordered, Wrong int
}

func (f Faults) String() string {
	return fmt.Sprintf("lost %d, doubled %d, reordered %d, wrong %d", f.Lost, f.Doubled, f.Reordered, f.Wrong)
}

func (f Faults) plus(g Faults) Faults {
	return Faults{f.Lost + g.Lost, f.Doubled + g.Doubled, f.Reordered + g.Reordered, f.Wrong + g.Wrong}
}

// Report is a judgement.
type Report struct {
	// Inputs and Outputs say how much was judged.
	Inputs, Outputs int
	Faults          Faults
	// Keys are the faults of each key that has some.
	Keys map[string]Faults
}

func newReport(inputs, outputs int) Report {
	return Report{Inputs: inputs, Outputs: outputs, Keys: map[string]Faults{}}
}

func (r *Report) add(key string, f Faults) {
	if f == (Faults{}) {
		return
	}
	r.Faults = r.Faults.plus(f)
	r.Keys[key] = f
}

// Clean says that nothing is wrong.
func (r Report) Clean() bool { return r.Faults == Faults{} }

// shown is how many keys a report names.
const shown = 20

// String is the sum on one line, and a line for each of the first keys that have faults.
func (r Report) String() string {
	var s strings.Builder
	fmt.Fprintf(&s, "inputs %d, outputs %d: %v", r.Inputs, r.Outputs, r.Faults)
	for i, key := range sorted(r.Keys) {
		if i == shown {
			fmt.Fprintf(&s, "\n  and %d more keys", len(r.Keys)-shown)
			break
		}
		fmt.Fprintf(&s, "\n  %q: %v", key, r.Keys[key])
	}
	return s.String()
}
