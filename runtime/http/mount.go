package http

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/uptrace/bunrouter"
)

// Route is an address of the app's own functions.
type Route struct {
	// Method and Pattern are what requests match; the pattern is net/http's, without hosts: /orders/{customer}, where a
	// last {path...} takes the rest. Two routes must not match the same requests, nor those of the server itself.
	Method, Pattern string
	// Serve answers a request, or returns the error that it is answered with: a *Problem, or one that the client is not told.
	Serve func(w http.ResponseWriter, request *http.Request) error
}

// mount adds the app's routes.
func (s *Server) mount(router *bunrouter.Router) {
	s.allowed = map[string][]string{}
	for _, route := range s.config.Routes {
		path, names := translate(route.Pattern)
		if len(s.allowed[path]) == 0 {
			s.allowed[path] = []string{http.MethodOptions}
			router.OPTIONS(path, s.options)
		}
		s.allowed[path] = append(s.allowed[path], route.Method)
		router.Handle(route.Method, path, func(w http.ResponseWriter, request bunrouter.Request) error {
			setPathValues(request, names)
			return route.Serve(w, request.Request)
		})
	}
	for _, methods := range s.allowed {
		slices.Sort(methods)
	}
}

// translate writes net/http's pattern as bunrouter's. Its wildcards are named by their place, so that routes that name
// them differently are of one path.
func translate(pattern string) (path string, names []string) {
	segments := strings.Split(pattern, "/")
	for i, segment := range segments {
		name, is := strings.CutPrefix(segment, "{")
		if !is {
			continue
		}
		name = strings.TrimSuffix(name, "}")
		kind := ":"
		if bare, rest := strings.CutSuffix(name, "..."); rest {
			name, kind = bare, "*"
		}
		segments[i] = kind + wildcardName(len(names))
		names = append(names, name)
	}
	return strings.Join(segments, "/"), names
}

func wildcardName(n int) string { return "w" + strings.Repeat("w", n) }

// setPathValues makes the request's wildcards its path values, as net/http's own router does.
func setPathValues(request bunrouter.Request, names []string) {
	for i, name := range names {
		value := request.Param(wildcardName(i))
		if request.URL.RawPath != "" {
			if plain, err := url.PathUnescape(value); err == nil {
				value = plain
			}
		}
		request.SetPathValue(name, value)
	}
}

// methods are those that are allowed where a request is.
func (s *Server) methods(request bunrouter.Request) string {
	if allowed := s.allowed[request.Route()]; len(allowed) > 0 {
		return strings.Join(allowed, ", ")
	}
	return "GET, HEAD"
}

func (s *Server) options(w http.ResponseWriter, request bunrouter.Request) error {
	w.Header().Set("Allow", s.methods(request))
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Server) methodNotAllowed(w http.ResponseWriter, request bunrouter.Request) error {
	allowed := s.methods(request)
	w.Header().Set("Allow", allowed)
	return statusError(http.StatusMethodNotAllowed, request.Method+" is not allowed here; allowed: "+allowed)
}
