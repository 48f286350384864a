package router

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kappaflows/flows/runtime"
)

// methods are those that a route can have: the ones that may change something.
var methods = []string{"POST", "PUT", "PATCH", "DELETE"}

// parseRoute reads "POST /orders/{customer}". It returns a route whatever is wrong with the text.
func parseRoute(text string) (*runtime.Route, []runtime.Problem) {
	route := &runtime.Route{}
	var found bool
	route.Method, route.Pattern, found = strings.Cut(text, " ")
	message := ""
	switch {
	case !found:
		message = fmt.Sprintf("%q is no method and path, such as \"POST /orders\"", text)
	case !slices.Contains(methods, route.Method):
		message = fmt.Sprintf("method %q; it takes %s", route.Method, strings.Join(methods, ", "))
	default:
		message = patternProblem(route.Pattern)
	}
	if message == "" {
		return route, nil
	}
	return route, []runtime.Problem{{Field: "Route", Message: message}}
}

// patternProblem says what is wrong with a path, nothing where it is right.
func patternProblem(pattern string) string {
	rest, rooted := strings.CutPrefix(pattern, "/")
	if !rooted || rest == "" {
		return fmt.Sprintf("path %q; it starts with a slash and has a name", pattern)
	}
	segments := strings.Split(rest, "/")
	var names []string
	for i, segment := range segments {
		last := i == len(segments)-1
		name, isWildcard := wildcard(segment, last)
		switch {
		case segment == "" && !last:
			return fmt.Sprintf("path %q has two slashes in a row", pattern)
		case segment == "." || segment == "..":
			return fmt.Sprintf("path %q: %q is no name", pattern, segment)
		case isWildcard && !isName(name):
			return fmt.Sprintf("path %q: a wildcard is {name}, or {name...} at the end", pattern)
		case isWildcard && slices.Contains(names, name):
			return fmt.Sprintf("path %q has two wildcards %q", pattern, name)
		case isWildcard:
			names = append(names, name)
		case strings.ContainsFunc(segment, func(r rune) bool { return !plain(r) }):
			return fmt.Sprintf("path %q: %q; letters, digits, '-', '.', '_' and '~' are allowed", pattern, segment)
		}
	}
	return ""
}

// wildcard returns the name in {name} or, at the end of a path, {name...}.
func wildcard(segment string, last bool) (name string, is bool) {
	if !strings.HasPrefix(segment, "{") || !strings.HasSuffix(segment, "}") {
		return "", false
	}
	name = segment[1 : len(segment)-1]
	if last {
		name = strings.TrimSuffix(name, "...")
	}
	return name, true
}

func isName(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool { return !letter(r) && r != '_' && (r < '0' || r > '9') }) &&
		(name[0] < '0' || name[0] > '9')
}

func letter(r rune) bool { return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' }

// plain says whether a path has the character as it is (RFC 3986, unreserved).
func plain(r rune) bool { return letter(r) || r >= '0' && r <= '9' || strings.ContainsRune("-._~", r) }
