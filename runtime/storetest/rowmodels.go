package storetest

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"strings"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/uptrace/bun"
)

// Models that bun has to write.
type (
	// hookedRow is changed by a hook before it is written.
	hookedRow struct {
		ID   string `bun:",pk"`
		Name string
	}
	// valuedRow has a type that writes itself.
	valuedRow struct {
		ID    string `bun:",pk"`
		Level level  `bun:"type:varchar(9)"`
	}
	level int
	// defaultRow has what the database gives.
	defaultRow struct {
		ID     int64  `bun:",pk,autoincrement"`
		Status string `bun:",default:'new'"`
		Count  int    `bun:",notnull,default:7"`
	}
	// markedRow is marked instead of deleted.
	markedRow struct {
		ID      string `bun:",pk"`
		Name    string
		Deleted time.Time `bun:",soft_delete,nullzero"`
	}
)

var _ bun.BeforeAppendModelHook = (*hookedRow)(nil)

func (r *hookedRow) BeforeAppendModel(context.Context, bun.Query) error {
	if r.Name == "bad" {
		return errors.New("this name is bad")
	}
	r.Name = strings.ToUpper(r.Name)
	return nil
}

var (
	_ driver.Valuer = level(0)
	_ sql.Scanner   = (*level)(nil)
)

func (l level) Value() (driver.Value, error) {
	if l < 0 {
		return nil, errors.New("below the ground')")
	}
	return strings.Repeat("I", int(l)), nil
}

func (l *level) Scan(from any) error {
	text, _ := from.(string)
	*l = level(len(text))
	return nil
}

func rowsByBun(s *rowSuite) {
	hooked := hookedRow{"a", "name"}
	changes := upsert(hooked)
	s.commit(changes)
	want(s, hookedRow{"a", "NAME"})
	require.Equal(s, &hooked, changes[0].Row, "the row is the function's")
	require.Contains(s, s.refused(upsert(hookedRow{"b", "good"}, hookedRow{"b", "bad"})), "this name is bad")
	s.commit(remove(hooked), insert(hookedRow{"b", "b"}, hookedRow{"c", "c"}), remove(hookedRow{ID: "b"}))
	want(s, hookedRow{"c", "C"})

	s.commit(upsert(valuedRow{"a", 1}, valuedRow{"b", 2}), insert(valuedRow{"c", 3}), upsert(valuedRow{"a", 4}))
	want(s, valuedRow{"a", 4}, valuedRow{"b", 2}, valuedRow{"c", 3})
	require.Contains(s, s.refused(upsert(valuedRow{"c", 1}, valuedRow{"d", -1})), "below the ground")
	s.refused(upsert(valuedRow{"\x00", 1}))
	s.commit(remove(valuedRow{"a", -1}, valuedRow{"b", 0}))
	want(s, valuedRow{"c", 3})
}

func rowDefaults(s *rowSuite) {
	s.commit(insert(defaultRow{}, defaultRow{}, defaultRow{Status: "old", Count: 1}))
	want(s, defaultRow{1, "new", 7}, defaultRow{2, "new", 7}, defaultRow{3, "old", 1})
	s.commit(upsert(defaultRow{ID: 3}, defaultRow{ID: 2, Status: "set"}), remove(defaultRow{ID: 1}))
	want(s, defaultRow{2, "set", 7}, defaultRow{3, "new", 7})
}

func rowsMarked(s *rowSuite) {
	row := markedRow{ID: "a", Name: "name"}
	s.commit(insert(row), remove(row))
	want[markedRow](s)
	s.refused(insert(row))
	s.commit(upsert(row))
	want(s, row)
}
