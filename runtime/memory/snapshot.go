package memory

import "maps"

// Snapshot remembers what the store holds now; the function that it returns brings that back, as a restored backup does.
func (s *Store) Snapshot() (restore func()) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	tables, checkpoints := cloneTables(s.tables), maps.Clone(s.checkpoints)
	return func() {
		s.mutex.Lock()
		defer s.mutex.Unlock()
		s.tables, s.checkpoints = cloneTables(tables), maps.Clone(checkpoints)
	}
}

func cloneTables(tables map[string]*stateTable) map[string]*stateTable {
	clone := make(map[string]*stateTable, len(tables))
	for name, t := range tables {
		clone[name] = &stateTable{StateTable: t.StateTable, rows: maps.Clone(t.rows)}
	}
	return clone
}
