package integration

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// rights are those that the page on security documents.
type rights struct {
	// roles are the statements that a superuser runs, grants those of who made the tables.
	roles, grants []string
	// needed and optional are the functions' access control entries, preparing those of who makes topics, and commands what
	// commands for people need besides.
	needed, optional, preparing, commands []entry
}

// entry is one access control entry of the cluster.
type entry struct{ user, operation, kind, name string }

func (e entry) String() string {
	return fmt.Sprintf("%s on %s %s for %s", e.operation, e.kind, e.name, e.user)
}

var codeBlock = regexp.MustCompile("(?s)```(sql|sh)\n(.*?)```")

// documentedRights reads the page on security.
func documentedRights(t *testing.T) rights {
	t.Helper()
	page, err := os.ReadFile("../docs/security.md")
	require.NoError(t, err)
	var sql [][]string
	var entries [][]entry
	for _, block := range codeBlock.FindAllStringSubmatch(string(page), -1) {
		if block[1] == "sql" {
			sql = append(sql, strings.Split(strings.TrimSpace(block[2]), "\n"))
			continue
		}
		var found []entry
		for line := range strings.Lines(block[2]) {
			found = append(found, entriesOf(t, strings.Fields(line))...)
		}
		entries = append(entries, found)
	}
	require.Len(t, sql, 2)
	require.Len(t, entries, 4)
	return rights{
		roles: sql[0], grants: sql[1], needed: entries[0], optional: entries[1], preparing: entries[2], commands: entries[3],
	}
}

// entriesOf understands a command line of kafka-acls.sh.
func entriesOf(t *testing.T, words []string) (entries []entry) {
	t.Helper()
	require.Equal(t, []string{"kafka-acls.sh", "--add"}, words[:2])
	of, operations := entry{}, []string{}
	for flag := range slices.Chunk(words[2:], 2) {
		value := strings.Trim(flag[1], "'")
		switch flag[0] {
		case "--allow-principal":
			of.user = value
		case "--operation":
			operations = append(operations, value)
		case "--topic", "--group":
			of.kind, of.name = strings.TrimPrefix(flag[0], "--"), value
		default:
			require.Fail(t, "unknown flag", flag[0])
		}
	}
	for _, operation := range operations {
		of.operation = operation
		entries = append(entries, of)
	}
	return entries
}

// allow adds entries, disallow takes one away.
func (s *secure) allow(entries ...entry) {
	s.t.Helper()
	admin := kadm.NewClient(s.oracle.client(s.t))
	for _, e := range entries {
		answers, err := admin.CreateACLs(s.t.Context(), e.builder(s.t))
		require.NoError(s.t, err)
		require.Len(s.t, answers, 1)
		require.NoError(s.t, answers[0].Err, "%v", e)
	}
}

func (s *secure) disallow(e entry) {
	s.t.Helper()
	admin := kadm.NewClient(s.oracle.client(s.t))
	answers, err := admin.DeleteACLs(s.t.Context(), e.builder(s.t))
	require.NoError(s.t, err)
	require.Len(s.t, answers, 1)
	require.Len(s.t, answers[0].Deleted, 1, "%v", e)
}

func (e entry) builder(t *testing.T) *kadm.ACLBuilder {
	t.Helper()
	operation, err := kmsg.ParseACLOperation(e.operation)
	require.NoError(t, err)
	b := kadm.NewACLs().Allow(e.user).AllowHosts("*").Operations(operation).ResourcePatternType(kadm.ACLPatternLiteral)
	if e.kind == "group" {
		return b.Groups(e.name)
	}
	return b.Topics(e.name)
}

// authorizing are the properties of a broker that lets nobody do anything, but those who come without encryption: the test.
var authorizing = []string{
	"authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer", "super.users=User:ANONYMOUS",
}

// newRights starts services with the two users of the page, where the tables and topics have been made by the one.
func newRights(t *testing.T) (*secure, rights) {
	t.Helper()
	s, r := newSecure(t, "wordcount", authorizing...), documentedRights(t)
	s.addUser(migrateUser)
	s.asAdministrator(r.roles...)
	for _, role := range []string{scramUser, migrateUser} {
		s.asAdministrator(fmt.Sprintf("alter role %s password '%s'", role, s.postgres))
	}
	s.allow(r.preparing...)
	preparing := s.environment("KAFKA_SASL_USERNAME="+migrateUser, "POSTGRES_URL="+s.url(migrateUser, s.postgres))
	s.run(preparing, "topics", "create", "--partitions", "2")
	s.run(preparing, "migrate")
	s.asAdministrator("set search_path = wordcount; " + strings.Join(r.grants, " "))
	s.oracle.database += "&search_path=wordcount"
	return s, r
}

// TestLeastPrivilege runs the example with exactly the rights that the page on security documents.
func TestLeastPrivilege(t *testing.T) {
	s, r := newRights(t)
	client := s.oracle.client(t)
	s.allow(r.needed...)
	words := produceLines(t, client, 500)
	s.finishes(client, words)
	s.allow(r.optional...)
	words += produceLines(t, client, 500)
	s.finishes(client, words)
}

// TestMissingRights leaves out one right after the other: the program ends with one line that says what is not permitted.
func TestMissingRights(t *testing.T) {
	s, r := newRights(t)
	client := s.oracle.client(t)
	s.allow(r.needed...)
	words := 0
	for _, e := range r.needed {
		t.Run(e.String(), func(t *testing.T) {
			at := *s
			at.t = t
			at.disallow(e)
			defer at.allow(e)
			words += produceLines(t, client, 5)
			at.refused(at.environment(), []string{"kafka", e.name, "permission denied"}, "run")
		})
	}
	// From now on there are words that are known, to be updated, beside new ones.
	s.finishes(client, words)
	for _, g := range granted(t, r) {
		t.Run(g.String(), func(t *testing.T) {
			at := *s
			at.t = t
			at.asAdministrator("set search_path = wordcount; revoke " + g.right + " on " + g.on + " from " + scramUser)
			defer at.asAdministrator("set search_path = wordcount; grant " + g.right + " on " + g.on + " to " + scramUser)
			words += produceLines(t, client, 5)
			line := []string{"postgres", "permission denied", g.name()}
			if g.right == "usage" {
				// The server names no schema that is not to be seen.
				line[2] = "search_path"
			}
			at.refused(at.environment(), line, "run")
		})
	}
	// With all rights again it goes on, and nothing that was refused has been lost or done twice.
	s.finishes(client, words)
}

// finishes runs the program until all words are counted, and holds them against the oracle.
func (s *secure) finishes(client *kgo.Client, words int) {
	s.t.Helper()
	p := s.start(s.environment(), "run")
	awaitRecords(s.t, s.oracle, client, p, int64(words))
	p.terminate(s.t)
	require.Equal(s.t, faults{}, s.oracle.counts(s.t, "words", "counts", "word_count"))
}

// grant is one right on one thing of the database.
type grant struct{ right, on string }

func (g grant) String() string { return g.right + " on " + g.on }

// name is what the right is on, without what kind of thing it is.
func (g grant) name() string { return g.on[strings.LastIndex(g.on, " ")+1:] }

var grantStatement = regexp.MustCompile(`^grant (.*) on (.*) to wordcount;$`)

// granted returns the documented rights one by one. That to delete states is not among them: the example deletes none.
func granted(t *testing.T, r rights) (all []grant) {
	t.Helper()
	for _, statement := range slices.Concat(r.roles, r.grants) {
		if found := grantStatement.FindStringSubmatch(statement); found != nil {
			for right := range strings.SplitSeq(found[1], ", ") {
				if right != "delete" {
					all = append(all, grant{right: right, on: found[2]})
				}
			}
		}
	}
	require.NotEmpty(t, all)
	return all
}
