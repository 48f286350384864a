package stateful

import (
	"fmt"
	"strings"
)

// maxIdentifier is the longest name that Postgres keeps; it cuts longer ones.
const maxIdentifier = 63

// tableOf is the table of a function that names none.
func tableOf(name string) string {
	return strings.NewReplacer("-", "_", ".", "_").Replace(strings.ToLower(name))
}

// checkTable says what is wrong with the name of a table, or "".
func checkTable(name string) string {
	schema, table, qualified := strings.Cut(name, ".")
	if !qualified {
		schema, table = "", name
	}
	for _, part := range []string{schema, table} {
		switch {
		case part == "" && (qualified || name == ""):
			return fmt.Sprintf("%q: a part of the name is empty", name)
		case len(part) > maxIdentifier:
			return fmt.Sprintf("%q: %d characters; a database keeps %d", name, len(part), maxIdentifier)
		case strings.ContainsFunc(part, func(r rune) bool { return !identifierRune(r) }):
			return fmt.Sprintf("%q: only a-z, 0-9 and '_' are allowed, and one '.' behind a schema", name)
		case part != "" && part[0] >= '0' && part[0] <= '9':
			return fmt.Sprintf("%q: a name cannot begin with a digit", name)
		}
	}
	for _, reserved := range []string{"flows_", "pg_", "sqlite_"} {
		if strings.HasPrefix(table, reserved) || strings.HasPrefix(schema, reserved) {
			return fmt.Sprintf("%q: names that begin with %s are not the program's", name, reserved)
		}
	}
	return ""
}

func identifierRune(r rune) bool { return r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '_' }
