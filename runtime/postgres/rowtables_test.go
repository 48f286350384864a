package postgres_test

import (
	"context"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/uptrace/bun"

	"github.com/kappaflows/flows/internal/services"
	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/runtime/postgres"
)

type parent struct {
	bun.BaseModel `bun:"table:parents"`
	ID            int64 `bun:",pk"`
	Name          string
}

type child struct {
	bun.BaseModel `bun:"table:shop.Children"`
	ID            int64 `bun:",pk"`
	ParentID      int64
	Mood          string
	Note          string
}

// children have constraints of many kinds. Their parents, made first, may be deleted only without children.
const children = `create schema shop;
	create type mood as enum ('sad', 'ok');
	create table parents (id bigint primary key, name varchar(5));
	create table shop."Children" (id int primary key, parent_id bigint not null references parents %s, mood mood not null,
		note text unique check (note <> 'never'), more text default 'by itself');
	create function refuse() returns trigger language plpgsql as $$ begin raise exception 'no % here', 'visitors'; end $$;`

type rowTest struct {
	*testing.T
	url   string
	store *postgres.Store
	at    runtime.Checkpoint
}

var (
	parentTable = &runtime.RowTable{Model: reflect.TypeFor[parent]()}
	childTable  = &runtime.RowTable{Model: reflect.TypeFor[child]()}
)

func newRowTest(t *testing.T, onDelete string) *rowTest {
	r := &rowTest{T: t, url: services.Postgres(t)}
	r.store = open(t, postgres.Config{URL: r.url, MaxConnections: 1})
	r.execute(strings.Replace(children, "%s", onDelete, 1))
	require.NoError(t, r.store.Migrate(t.Context(), nil))
	require.NoError(t, r.store.CreateTables(t.Context(), []*runtime.RowTable{parentTable, childTable}))
	var err error
	r.at, err = r.store.Claim(t.Context(), words)
	require.NoError(t, err)
	return r
}

func (r *rowTest) execute(statement string) {
	r.Helper()
	_, err := r.store.DB().DB.ExecContext(r.Context(), statement)
	require.NoError(r, err)
}

func (r *rowTest) commit(changes ...runtime.Change) error {
	commit := batch(r.at)
	commit.Changes = changes
	err := r.store.Commit(r.Context(), commit)
	if err == nil {
		r.at.Next = commit.Next
	}
	return err
}

// rows returns the ids of the rows that are there, those of the parents first.
func (r *rowTest) rows() (ids []int64) {
	require.NoError(r, r.store.DB().NewRaw(`select id from (select 1 as t, id from parents union all select 2, id from shop."Children") x
		order by t, id`).Scan(r.Context(), &ids))
	return ids
}

func upsert(row any) runtime.Change { return changeOf(runtime.Upsert, row) }
func insert(row any) runtime.Change { return changeOf(runtime.Insert, row) }
func remove(row any) runtime.Change { return changeOf(runtime.Delete, row) }

func changeOf(kind runtime.ChangeKind, row any) runtime.Change {
	table := parentTable
	if _, ok := row.(*child); ok {
		table = childTable
	}
	return runtime.Change{Table: table, Kind: kind, Row: row}
}

func TestRefusedRowsSayWhy(t *testing.T) {
	r := newRowTest(t, "deferrable")
	require.NoError(t, r.commit(upsert(&parent{ID: 1}), upsert(&child{ID: 1, ParentID: 1, Mood: "ok", Note: "taken"})))
	for _, test := range []struct {
		row  any
		want string
	}{
		{&parent{ID: 2, Name: "secret"}, "value too long for type character varying(5)"},
		{&parent{ID: 2, Name: "\x00"}, `invalid byte sequence for encoding "UTF8": 0x00`},
		{&child{ID: 2, ParentID: 1, Mood: `secret "mood"`}, "invalid input value for enum mood: ..."},
		{&child{ID: 1 << 40, ParentID: 1, Mood: "ok"}, "integer out of range"},
		{&child{ID: 2, ParentID: 1, Mood: "ok", Note: "taken"}, `duplicate key value violates unique constraint "Children_note_key"`},
		{&child{ID: 2, ParentID: 1, Mood: "ok", Note: "never"}, `new row for relation "Children" violates check constraint "Children_note_check"`},
		{&child{ID: 2, ParentID: 1, Mood: "ok", Note: strings.Repeat("secret ", 1<<10)}, ""},
		{&child{ID: 2, ParentID: 77, Mood: "ok"}, `insert or update on table "Children" violates foreign key constraint "Children_parent_id_fkey"`},
	} {
		for _, changes := range [][]runtime.Change{{upsert(test.row)}, {upsert(&parent{ID: 3}), insert(test.row), upsert(&parent{ID: 4})}} {
			err := r.commit(changes...)
			if test.want == "" { // compressed well enough for the index
				require.NoError(t, err)
				r.execute(`delete from parents where id > 1; delete from shop."Children" where id > 1`)
				continue
			}
			require.ErrorIs(t, err, runtime.ErrRefused)
			require.ErrorContains(t, err, "postgres: commit count words/0: the database refuses a row of ")
			require.True(t, strings.HasSuffix(err.Error(), ": "+test.want), "%v", err)
			for _, value := range []string{"secret", "77", "taken", "\n"} {
				require.NotContains(t, err.Error(), value)
			}
			require.Equal(t, []int64{1, 1}, r.rows())
		}
	}
	r.execute(`alter table shop."Children" alter constraint "Children_parent_id_fkey" deferrable initially deferred`)
	err := r.commit(upsert(&child{ID: 2, ParentID: 77, Mood: "ok"}))
	require.ErrorIs(t, err, runtime.ErrRefused, "what is found at the end only")
	require.ErrorContains(t, err, "Children_parent_id_fkey")

	r.execute(`drop table parents cascade`)
	err = r.commit(upsert(&parent{ID: 3}))
	require.ErrorContains(t, err, `relation "parents" does not exist`)
	require.NotErrorIs(t, err, runtime.ErrRefused)
	require.NotErrorIs(t, err, runtime.ErrUnavailable)
}

func TestForeignKeys(t *testing.T) {
	r := newRowTest(t, "")
	// Parents are there before their children, and go after them, however the changes are mixed.
	require.NoError(t, r.commit(
		upsert(&parent{ID: 1}), upsert(&child{ID: 1, ParentID: 1, Mood: "ok", Note: "1"}),
		upsert(&parent{ID: 2}), insert(&child{ID: 2, ParentID: 2, Mood: "ok", Note: "2"}),
	))
	require.NoError(t, r.commit(
		remove(&child{ID: 2}), remove(&parent{ID: 2}), upsert(&parent{ID: 3}), insert(&child{ID: 3, ParentID: 3, Mood: "ok", Note: "3"}),
	))
	require.Equal(t, []int64{1, 3, 1, 3}, r.rows())
	// Here the order of the tables does not do.
	require.NoError(t, r.commit(upsert(&child{ID: 1, ParentID: 3, Mood: "ok", Note: "1"}), remove(&parent{ID: 1})))
	require.Equal(t, []int64{3, 1, 3}, r.rows())
	require.ErrorIs(t, r.commit(upsert(&child{ID: 4, ParentID: 4, Mood: "ok", Note: "4"}), upsert(&parent{ID: 5})), runtime.ErrRefused)
	// What is right at the end of a batch is right, though it was not meanwhile.
	require.NoError(t, r.commit(remove(&parent{ID: 3}), remove(&child{ID: 1}), remove(&child{ID: 3})))
	require.NoError(t, r.commit(upsert(&child{ID: 4, ParentID: 4, Mood: "ok"}), remove(&child{ID: 4})))
	require.Empty(t, r.rows())
}

func TestDeletionsThatCascade(t *testing.T) {
	r := newRowTest(t, "on delete cascade")
	require.NoError(t, r.commit(upsert(&parent{ID: 1}), upsert(&child{ID: 1, ParentID: 1, Mood: "ok"})))
	require.NoError(t, r.commit(
		upsert(&child{ID: 1, ParentID: 1, Mood: "sad"}), remove(&parent{ID: 1}), upsert(&parent{ID: 1, Name: "again"}),
	))
	require.Equal(t, []int64{1}, r.rows(), "the child went with its parent")
}

func TestTriggersSeeEachChange(t *testing.T) {
	r := newRowTest(t, "")
	r.execute(`create table seen (n serial, name text);
		create function see() returns trigger language plpgsql as $$ begin insert into seen (name) values (new.name); return new; end $$;
		create trigger see after insert or update on parents for each row execute function see()`)
	r.store = open(t, postgres.Config{URL: r.url}) // which looks at the tables again
	require.NoError(t, r.commit(upsert(&parent{ID: 1, Name: "a"}), upsert(&parent{ID: 0, Name: "b"}), upsert(&parent{ID: 1, Name: "c"})))
	var names []string
	require.NoError(t, r.store.DB().NewRaw(`select name from seen order by n`).Scan(t.Context(), &names))
	require.Equal(t, []string{"a", "b", "c"}, names)

	r.execute(`create trigger refuse before insert on shop."Children" for each row execute function refuse()`)
	err := r.commit(upsert(&child{ID: 1, ParentID: 1, Mood: "ok"}))
	require.ErrorIs(t, err, runtime.ErrRefused)
	require.ErrorContains(t, err, "no visitors here")
}

type unlike struct {
	bun.BaseModel `bun:"table:unlike"`
	ID            int64 `bun:",pk"`
	Name          string
}

func TestTablesThatDoNotFit(t *testing.T) {
	store := open(t, postgres.Config{URL: services.Postgres(t)})
	for statement, want := range map[string]string{
		`create table unlike (id bigint, name text)`:                                                      `where id is not unique`,
		`create table unlike (id bigint, name text, unique (id, name))`:                                   `where id is not unique`,
		`create table unlike (id bigint, name text); create unique index on unlike (id) where name <> ''`: `where id is not unique`,
		`create table unlike (id bigint primary key)`:                                                     `which has no column name`,
	} {
		_, err := store.DB().ExecContext(t.Context(), `drop table if exists unlike; `+statement)
		require.NoError(t, err)
		err = store.CreateTables(t.Context(), []*runtime.RowTable{{Model: reflect.TypeFor[unlike]()}})
		require.EqualError(t, err, `postgres: the model postgres_test.unlike does not fit the table "unlike", `+want)
	}
}

func TestRowsWithFewPrivileges(t *testing.T) {
	address := services.Postgres(t)
	owner := open(t, postgres.Config{URL: address})
	table := []*runtime.RowTable{{Model: reflect.TypeFor[unlike]()}}
	require.NoError(t, owner.Migrate(t.Context(), nil))
	role := services.Name(t)[len("TestRowsWithFewPrivileges-"):]
	execute := func(statement string) {
		_, err := owner.DB().ExecContext(context.WithoutCancel(t.Context()), strings.ReplaceAll(statement, "role", `"`+role+`"`))
		require.NoError(t, err)
	}
	_, err := owner.DB().ExecContext(t.Context(), `create role "`+role+`" login password 'secret'`)
	require.NoError(t, err)
	t.Cleanup(func() {
		_, err := owner.DB().ExecContext(context.WithoutCancel(t.Context()), `drop owned by "`+role+`"; drop role "`+role+`"`)
		require.NoError(t, err)
	})
	execute(`grant select on flows_migration to role; grant select, insert, update on flows_checkpoint to role`)
	parsed, err := url.Parse(address)
	require.NoError(t, err)
	parsed.User = url.UserPassword(role, "secret")
	store := open(t, postgres.Config{URL: parsed.String()})
	require.ErrorIs(t, store.CreateTables(t.Context(), table), runtime.ErrDenied)

	require.NoError(t, owner.CreateTables(t.Context(), table))
	require.NoError(t, store.CreateTables(t.Context(), table))
	at, err := store.Claim(t.Context(), words)
	require.NoError(t, err)
	write := batch(at)
	write.Changes = []runtime.Change{{Table: table[0], Row: &unlike{ID: 1}}}
	err = store.Commit(t.Context(), write)
	require.ErrorIs(t, err, runtime.ErrDenied)
	require.ErrorContains(t, err, "permission denied for table unlike")
	execute(`grant select, insert, update, delete on unlike to role`)
	require.NoError(t, store.Commit(t.Context(), write))
}
