package memory

import (
	"maps"
	"reflect"
)

// Snapshot remembers what the store holds now; the function that it returns brings that back, as a restored backup does.
func (s *Store) Snapshot() (restore func()) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	tables, checkpoints, rows := cloneTables(s.tables), maps.Clone(s.checkpoints), cloneRows(s.rowTables)
	return func() {
		s.mutex.Lock()
		defer s.mutex.Unlock()
		s.tables, s.checkpoints, s.rowTables = cloneTables(tables), maps.Clone(checkpoints), cloneRows(rows)
	}
}

func cloneTables(tables map[string]*stateTable) map[string]*stateTable {
	clone := make(map[string]*stateTable, len(tables))
	for name, t := range tables {
		clone[name] = &stateTable{StateTable: t.StateTable, rows: maps.Clone(t.rows)}
	}
	return clone
}

func cloneRows(tables map[reflect.Type]*rowTable) map[reflect.Type]*rowTable {
	clone := make(map[reflect.Type]*rowTable, len(tables))
	for model, t := range tables {
		clone[model] = &rowTable{primary: t.primary, rows: maps.Clone(t.rows)}
	}
	return clone
}
