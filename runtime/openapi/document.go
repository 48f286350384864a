// Package openapi describes the routes of an app for its clients: as a document of OpenAPI 3.1.
//
// The schemas of bodies come from their Go types by the rules that they are decoded by. The same routes give the same
// document, byte for byte. The package serves nothing.
package openapi

import (
	"reflect"
	"strings"

	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/runtime/problem"
)

// Info is what the document says of the app.
type Info struct{ Title, Version string }

// object is a JSON object. Maps are marshalled in order of their keys.
type object = map[string]any

// Document describes the routes of functions; those without a Route are passed over. It marshals to JSON.
func Document(info Info, functions []*runtime.Function) map[string]any {
	s := newSchemas()
	paths, secured := object{}, false
	for _, f := range functions {
		if f.Route == nil {
			continue
		}
		path, _ := paths[pathOf(f.Route.Pattern)].(object)
		if path == nil {
			path = object{}
			paths[pathOf(f.Route.Pattern)] = path
		}
		path[strings.ToLower(f.Route.Method)] = operation(f, s)
		secured = secured || f.Route.Authenticate != nil
	}
	s.defined["Problem"], s.defined["Accepted"] = problemSchema(), acceptedSchema()
	components := object{"schemas": s.defined}
	if secured {
		components["securitySchemes"] = object{"bearer": object{"type": "http", "scheme": "bearer"}}
	}
	return object{
		"openapi":    "3.1.0",
		"info":       object{"title": info.Title, "version": info.Version},
		"paths":      paths,
		"components": components,
	}
}

// pathOf is a pattern as OpenAPI has it.
func pathOf(pattern string) string { return strings.ReplaceAll(pattern, "...}", "}") }

func operation(f *runtime.Function, s *schemas) object {
	route := f.Route
	o := object{
		"operationId": f.Name,
		"summary":     "Append a record to topic " + f.Outputs[0].Name,
		"parameters":  parameters(f),
		"responses":   responses(f),
	}
	if route.Authenticate != nil {
		o["security"] = []any{object{"bearer": []any{}}}
	}
	if route.Body == nil {
		return o
	}
	content := object{}
	for _, mediaType := range route.ContentTypes {
		content[mediaType] = object{}
		if mediaType == "application/json" {
			content[mediaType] = object{"schema": s.of(route.Body, route.Strict)}
		}
	}
	o["requestBody"] = object{"required": true, "content": content}
	return o
}

func parameters(f *runtime.Function) []any {
	all := []any{}
	for segment := range strings.SplitSeq(f.Route.Pattern, "/") {
		if name, is := strings.CutPrefix(segment, "{"); is {
			name = strings.TrimSuffix(strings.TrimSuffix(name, "}"), "...")
			all = append(all, object{"name": name, "in": "path", "required": true, "schema": object{"type": "string"}})
		}
	}
	if f.Options.Delivery == runtime.AtLeastOnce {
		return all
	}
	return append(all, object{
		"name": "Idempotency-Key", "in": "header", "required": f.Route.RequireKey,
		"description": "A key of the client's own, such as a UUID. A request that is made again with its key is appended once.",
		"schema":      object{"type": "string", "minLength": 1, "maxLength": 255},
	})
}

func responses(f *runtime.Function) object {
	all := object{"202": object{
		"description": "The record is in the topic.",
		"content":     object{"application/json": object{"schema": reference("Accepted")}},
	}}
	refuse := func(status, description string, headers ...string) {
		answer := object{
			"description": description,
			"content":     object{problem.ContentType: object{"schema": reference("Problem")}},
		}
		if len(headers) > 0 {
			named := object{}
			for _, name := range headers {
				named[name] = object{"schema": object{"type": "string"}}
			}
			answer["headers"] = named
		}
		all[status] = answer
	}
	refuse("400", "The request can't be understood.")
	if f.Route.Authenticate != nil {
		refuse("401", "The request is not authenticated.", "WWW-Authenticate")
		refuse("403", "The request is not allowed.")
	}
	refuse("408", "The body did not come in time.")
	refuse("413", "The body, or the record made of it, is too large.")
	refuse("415", "The content type or encoding is not taken.")
	if f.Options.Delivery == runtime.ExactlyOnce {
		refuse("422", "The Idempotency-Key was used for another request.")
	}
	refuse("500", "The request failed.")
	refuse("503", "Something that is needed is away; make the request again, with the same Idempotency-Key.", "Retry-After")
	return all
}

func reference(name string) object { return object{"$ref": "#/components/schemas/" + name} }

func problemSchema() object {
	return object{
		"type": "object", "description": "Problem details (RFC 9457).",
		"required": []any{"type", "title", "status"},
		"properties": object{
			"type":   object{"type": "string"},
			"title":  object{"type": "string"},
			"status": object{"type": "integer"},
			"detail": object{"type": "string"},
			"field":  object{"type": "string", "description": "The field of the body that is wrong."},
		},
	}
}

func acceptedSchema() object {
	return object{
		"type": "object", "required": []any{"topic", "partition"},
		"properties": object{
			"topic":     object{"type": "string"},
			"partition": object{"type": "integer", "format": "int32"},
			"offset":    object{"type": "integer", "format": "int64"},
		},
	}
}

// schemas are the schemas of named types, each once.
type schemas struct {
	defined object
	names   map[typeKey]string
}

// typeKey tells schemas apart: a strict one refuses fields that it does not have.
type typeKey struct {
	of     any // a reflect.Type or a protobuf full name
	strict bool
}

func newSchemas() *schemas {
	return &schemas{
		defined: object{"Problem": nil, "Accepted": nil},
		names:   map[typeKey]string{},
	}
}

// of returns the schema of a body.
func (s *schemas) of(body reflect.Type, strict bool) object {
	if message := descriptorOf(body); message != nil {
		return s.message(message)
	}
	return s.goType(body, strict)
}

// named returns a reference to the schema of a type with a name, made at the first call. Types that share a name get
// letters behind it from the second one on.
func (s *schemas) named(key typeKey, name string, build func() object) object {
	if known, ok := s.names[key]; ok {
		return reference(known)
	}
	name = strings.Map(componentRune, name)
	unique := name
	for n := 'B'; ; n++ {
		if _, taken := s.defined[unique]; !taken {
			break
		}
		unique = name + string(n)
	}
	s.names[key] = unique
	s.defined[unique] = nil // taken, while its fields are looked at
	s.defined[unique] = build()
	return reference(unique)
}

// componentRune keeps what the name of a component may have.
func componentRune(r rune) rune {
	switch {
	case r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-", r):
		return r
	default:
		return '_'
	}
}
