package flows

import (
	"runtime/debug"
	"slices"

	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/runtime/http"
	"github.com/kappaflows/flows/runtime/ingress"
	"github.com/kappaflows/flows/runtime/openapi"
)

// takenPaths are the paths of the app's own addresses.
var takenPaths = []string{"/live", "/ready", "/metrics", "/topology", "/openapi.json"}

// sharedRoutes finds routes that match the same requests as others, or as the app's own addresses.
func sharedRoutes(functions []*runtime.Function) (problems []string) {
	owners := map[string]*runtime.Function{}
	for _, f := range functions {
		if f.Route == nil {
			continue
		}
		if slices.Contains(takenPaths, f.Route.Pattern) {
			problems = append(problems, problem(f, "Route", "%s is an address of every app's own", f.Route.Pattern))
		}
		if owner, taken := owners[f.Route.Shape()]; taken {
			problems = append(problems, problem(f, "Route", "%q matches the requests of function %q", f.Route, owner.Name))
			continue
		}
		owners[f.Route.Shape()] = f
	}
	return problems
}

func routed(functions []*runtime.Function) bool {
	return slices.ContainsFunc(functions, func(f *runtime.Function) bool { return f.Route != nil })
}

// openRoutes makes what takes the requests of routers.
func (i *Instance) openRoutes() (err error) {
	if routed(i.functions) && i.listener == nil {
		return usagef("HTTP is off, and a router takes HTTP requests: set HTTP_ADDR, or run other functions")
	}
	i.ingress, err = ingress.New(ingress.Config{
		Functions: i.functions, Log: i.drivers.log, Store: i.drivers.store, Logger: i.settings.Logger, Observe: i.metrics.RequestDone,
	})
	return err
}

// mounted adds the routes and their description to what the app serves.
func (i *Instance) mounted(config http.Config) http.Config {
	for _, h := range i.ingress.Handlers() {
		config.Routes = append(config.Routes, http.Route{Method: h.Method, Pattern: h.Pattern, Serve: h.Serve})
	}
	if len(config.Routes) > 0 {
		config.OpenAPI = openapi.Document(openapi.Info{Title: programName(), Version: programVersion()}, i.functions)
	}
	return config
}

func programVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(unknown version)"
}
