package oracle

// Latest judges a table that holds what is known last: of every key the row must hold the value of its last message, and
// a key whose last message takes it away must have no row. All messages are told before the first row.
type Latest struct {
	values       map[string]string
	inputs, rows int
	faults       map[string]Faults
}

// Set tells of a message that gives a key a value.
func (l *Latest) Set(key, value string) {
	if l.values == nil {
		l.values = map[string]string{}
	}
	l.values[key] = value
	l.inputs++
}

// Delete tells of a message that takes a key away.
func (l *Latest) Delete(key string) {
	delete(l.values, key)
	l.inputs++
}

// Row tells of a row of the table.
func (l *Latest) Row(key, value string) {
	l.rows++
	if want, ok := l.values[key]; ok && want == value {
		delete(l.values, key)
		return
	}
	if l.faults == nil {
		l.faults = map[string]Faults{}
	}
	l.faults[key] = l.faults[key].plus(Faults{Wrong: 1})
	delete(l.values, key)
}

// Report says what is wrong, once everything is told. Its outputs are the rows.
func (l *Latest) Report() Report {
	r := newReport(l.inputs, l.rows)
	for key, f := range l.faults {
		r.add(key, f)
	}
	for key := range l.values {
		r.add(key, Faults{Lost: 1})
	}
	return r
}
