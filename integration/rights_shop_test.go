package integration

import (
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kappaflows/flows/internal/services"
)

// described is what an app says of itself.
type described struct {
	Functions []struct {
		Name, Kind      string
		Inputs, Outputs []string
	}
	Tables []struct{ Name string }
}

// describe asks the program what it has.
func (s *secure) describe() (app described) {
	s.t.Helper()
	require.NoError(s.t, json.Unmarshal([]byte(s.run(s.environment(), "graph", "--format", "json")), &app))
	return app
}

// entriesFor are the access control entries that the page on security says functions need.
func entriesFor(app described) (needed, preparing []entry) {
	var topics []string
	add := func(operation, kind, name string) {
		if e := (entry{"User:" + scramUser, operation, kind, name}); !slices.Contains(needed, e) {
			needed = append(needed, e)
		}
		if kind == "topic" && !slices.Contains(topics, name) {
			topics = append(topics, name)
		}
	}
	for _, f := range app.Functions {
		for _, name := range f.Outputs {
			add("Write", "topic", name)
		}
		if f.Kind == "router" {
			continue
		}
		add("Read", "group", f.Name)
		for _, name := range f.Inputs {
			add("Read", "topic", name)
		}
		add("Write", "topic", f.Name+".dead-letter")
	}
	for _, name := range topics {
		for _, operation := range []string{"Create", "Describe", "DescribeConfigs"} {
			preparing = append(preparing, entry{"User:" + migrateUser, operation, "topic", name})
		}
	}
	return needed, preparing
}

// grantsFor are the rights on tables that the page says functions need.
func grantsFor(app described) (statements []string) {
	statements = []string{"grant select on flows_migration to " + scramUser, "grant select, insert, update on flows_checkpoint to " + scramUser}
	grant := func(table string) {
		statements = append(statements, "grant select, insert, update, delete on "+table+" to "+scramUser)
	}
	grant("flows_idempotency_key")
	for _, table := range app.Tables {
		grant(table.Name)
	}
	return statements
}

// TestLeastPrivilegeOfAllKinds runs the shop, which has a function of every kind, with the rights that follow from the rules
// of the page on security.
func TestLeastPrivilegeOfAllKinds(t *testing.T) {
	s, r := newSecure(t, "shop", authorizing...), documentedRights(t)
	s.addUser(migrateUser)
	s.asAdministrator(r.roles...)
	for _, role := range []string{scramUser, migrateUser} {
		s.asAdministrator("alter role " + role + " password '" + s.postgres + "'")
	}
	app := s.describe()
	needed, preparing := entriesFor(app)
	s.allow(preparing...)
	env := s.environment("KAFKA_SASL_USERNAME="+migrateUser, "POSTGRES_URL="+s.url(migrateUser, s.postgres))
	s.run(env, "topics", "create", "--partitions", "2")
	s.run(env, "migrate")
	s.asAdministrator("set search_path = wordcount; " + strings.Join(grantsFor(app), "; "))
	s.oracle.database += "&search_path=wordcount"
	s.allow(needed...)

	address := services.FreeAddress(t)
	p := s.start(s.environment("HTTP_ADDR="+address), "run")
	awaitReady(t, p, address, http.StatusOK)
	shop := &shopRun{oracle: s.oracle, client: s.oracle.client(t), processes: []*process{p}}
	load := newShopLoad(rand.New(rand.NewPCG(13, 13)), 2_000)
	done, posted := load.produce(t, shop.client, 0), load.post(t, []string{address})
	require.NoError(t, <-done)
	select {
	case err := <-posted:
		require.NoError(t, err)
	case <-p.done:
		require.Fail(t, "the program ended", p.log.tail())
	}
	load.await(t, shop)
	p.terminate(t)
	reports, err := s.oracle.judge().Shop(t.Context())
	require.NoError(t, err)
	for of, report := range reports {
		require.True(t, report.Clean(), "%s: %v", of, report)
		require.NotZero(t, report.Inputs, of)
	}
}
