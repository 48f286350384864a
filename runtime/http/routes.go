package http

import (
	"fmt"
	"mime"
	"net/http"
	"strings"

	"github.com/uptrace/bunrouter"

	"github.com/kappaflows/flows/runtime/problem"
)

func (s *Server) routes() *bunrouter.Router {
	router := bunrouter.New(
		bunrouter.Use(s.logged, recovered, problems),
		bunrouter.WithNotFoundHandler(func(http.ResponseWriter, bunrouter.Request) error {
			return statusError(http.StatusNotFound, "there is nothing here; / lists what there is")
		}),
		bunrouter.WithMethodNotAllowedHandler(s.methodNotAllowed),
	)
	get := func(path string, handler bunrouter.HandlerFunc) {
		router.GET(path, handler)
		router.HEAD(path, handler)
	}
	get("/", s.index)
	get("/live", live)
	get("/ready", s.ready)
	get("/topology", s.topology)
	if s.config.Metrics != nil {
		get("/metrics", func(w http.ResponseWriter, request bunrouter.Request) error {
			s.config.Metrics.ServeHTTP(w, request.Request)
			return nil
		})
	}
	if s.config.OpenAPI != nil {
		get("/openapi.json", func(w http.ResponseWriter, _ bunrouter.Request) error {
			return problem.WriteJSON(w, http.StatusOK, "application/json", s.config.OpenAPI)
		})
	}
	s.mount(router)
	return router
}

func (s *Server) index(w http.ResponseWriter, _ bunrouter.Request) error {
	var text strings.Builder
	text.WriteString(strings.TrimSpace(s.config.Name + `

/live      200 while the process runs
/ready     200 when every function does its work and all it needs can be reached
/metrics   metrics for Prometheus
/topology  functions, topics and tables as JSON; ?format=mermaid for a drawing
`))
	for _, route := range s.config.Routes {
		text.WriteString("\n" + route.Method + " " + route.Pattern)
	}
	if s.config.OpenAPI != nil {
		text.WriteString("\n/openapi.json  these requests, as OpenAPI")
	}
	text.WriteString("\n")
	return write(w, "text/plain; charset=utf-8", []byte(text.String()))
}

func live(w http.ResponseWriter, _ bunrouter.Request) error {
	return problem.WriteJSON(w, http.StatusOK, "application/json", map[string]bool{"live": true})
}

func (s *Server) ready(w http.ResponseWriter, request bunrouter.Request) error {
	w.Header().Set("Cache-Control", "no-store")
	reasons := s.readiness.check(request.Context())
	if len(reasons) == 0 {
		return problem.WriteJSON(w, http.StatusOK, "application/json", map[string]bool{"ready": true})
	}
	return &Problem{
		Status: http.StatusServiceUnavailable,
		Title:  "Not ready",
		Detail: describe(reasons),
		More:   map[string]any{"reasons": reasons},
	}
}

const mermaidType = "text/vnd.mermaid"

func (s *Server) topology(w http.ResponseWriter, request bunrouter.Request) error {
	w.Header().Set("Vary", "Accept")
	format := request.URL.Query().Get("format")
	if format == "" && accepts(request.Header.Get("Accept"), mermaidType) {
		format = "mermaid"
	}
	switch format {
	case "", "json":
		return problem.WriteJSON(w, http.StatusOK, "application/json", s.config.Topology)
	case "mermaid":
		return write(w, mermaidType+"; charset=utf-8", []byte(s.config.Mermaid))
	default:
		return statusError(http.StatusBadRequest, fmt.Sprintf("format %q is not known; json and mermaid are", format))
	}
}

// accepts says whether an Accept header names a media type.
func accepts(header, mediaType string) bool {
	for part := range strings.SplitSeq(header, ",") {
		if name, _, err := mime.ParseMediaType(part); err == nil && name == mediaType {
			return true
		}
	}
	return false
}

func write(w http.ResponseWriter, contentType string, body []byte) error {
	w.Header().Set("Content-Type", contentType)
	_, _ = w.Write(body) // a client that has left gets no other answer
	return nil
}
