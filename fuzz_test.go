package flows_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kappaflows/flows"
	"github.com/kappaflows/flows/runtime/postgres"
)

// FuzzPosition reads positions of the command line. One that is taken is written the same way again.
func FuzzPosition(f *testing.F) {
	for _, text := range []string{"words:0=17", "words:0", "a:b:1=2", ":0=1", "a:-1=0", "a:0=-1", "a:2147483648=0", "a:+1=+2", "a:01=9223372036854775808"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := flows.ParsePosition(text)
		if err != nil {
			require.NotContains(t, err.Error(), "\n")
			return
		}
		require.NotEmpty(t, p.Topic)
		require.GreaterOrEqual(t, p.Offset, int64(0))
		require.GreaterOrEqual(t, p.Partition, int32(0))
		again, err := flows.ParsePosition(fmt.Sprintf("%s:%d=%d", p.Topic, p.Partition, p.Offset))
		require.NoError(t, err)
		require.Equal(t, p, again)
	})
}

// FuzzSeparator reads separators of keys. Text without backslashes means itself.
func FuzzSeparator(f *testing.F) {
	for _, text := range []string{"", `\t`, "\t", `"`, `\`, `\x`, `\u0000`, "\n", `a\"b`, `\'`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := string(flows.Unescape(text))
		if !strings.Contains(text, `\`) {
			require.Equal(t, text, got)
		}
	})
}

// FuzzRedaction puts a database's URL with a password into a line for people, in the ways that it may be spelled there.
func FuzzRedaction(f *testing.F) {
	for _, password := range []string{"simple-secret", "with space", "p@ss:w/rd?#", "100%25", "%zz-not-escaped", "語", "'quoted' \\", "a&b=c+d"} {
		f.Add(password)
	}
	f.Fuzz(func(t *testing.T, password string) {
		if len(password) < 6 || strings.Contains("postgres://app:xxxxx@db:5432/orders password=xxxxx", password) {
			return
		}
		address := url.URL{Scheme: "postgres", User: url.UserPassword("app", password), Host: "db:5432", Path: "/orders"}
		settings := flows.Settings{Postgres: postgres.Config{URL: address.String()}}
		_, escaped, _ := strings.Cut(address.User.String(), ":")
		for _, spelled := range []string{address.String(), "postgres://app:" + escaped + "@db/", "password=" + password, "app:" + password + "@db"} {
			line := settings.Redact("cannot connect: " + spelled)
			require.NotContains(t, line, escaped)
			require.NotContains(t, line, password)
		}
	})
}
