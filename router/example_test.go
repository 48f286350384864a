package router_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/kappaflows/flows/format"
	"github.com/kappaflows/flows/router"
	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/runtime/ingress"
	"github.com/kappaflows/flows/runtime/memory"
	"github.com/kappaflows/flows/runtime/problem"
	"github.com/kappaflows/flows/topic"
)

func Example() {
	type Payment struct {
		Order string `json:"order"`
		Cents int64  `json:"cents"`
	}
	payments := topic.New("payments", format.String(), format.JSON[Payment]())
	pay := func(_ context.Context, _ *http.Request, p Payment) (topic.Record, error) {
		if p.Cents <= 0 {
			return topic.Record{}, &router.Problem{Status: http.StatusUnprocessableEntity, Detail: "nothing is paid", Field: "cents"}
		}
		return payments.Record(p.Order, p), nil
	}
	post := serve(router.Config[Payment, string, Payment]{Name: "pay", Route: "POST /payments", Output: payments, Function: pay})

	fmt.Println(post(`{"order": "7", "cents": 250}`, "8e03978e"))
	fmt.Println(post(`{"order": "7", "cents": 250}`, "8e03978e")) // made again: appended once
	fmt.Println(post(`{"order": "7", "cents": 0}`, "2f9d1c44"))
	fmt.Println(post(`{"order": "7", "cents": "much"}`, "77b0e1aa"))
	// Output:
	// 202 { "topic": "payments", "partition": 0, "offset": 0 }
	// 202 { "topic": "payments", "partition": 0, "offset": 0 }
	// 422 { "detail": "nothing is paid", "field": "cents", "status": 422, "title": "Unprocessable Entity", "type": "about:blank" }
	// 400 { "detail": "field \"cents\": string where an integer (int64) is expected, at byte 30", "field": "cents", "status": 400, "title": "Bad body", "type": "about:blank" }
}

// serve is what an app does, in memory: flows.Main serves the route of a config beside the app's own addresses.
func serve(c interface {
	Compile() (*runtime.Function, error)
},
) (post func(body, key string) string) {
	f, err := c.Compile()
	if err != nil {
		panic(err)
	}
	log := memory.NewLog()
	if err := log.Create(context.Background(), []runtime.NewTopic{{Name: f.Outputs[0].Name}}); err != nil {
		panic(err)
	}
	served, err := ingress.New(ingress.Config{Functions: []*runtime.Function{f}, Log: log, Store: memory.NewStore()})
	if err != nil {
		panic(err)
	}
	return func(body, key string) string {
		request := httptest.NewRequest(f.Route.Method, f.Route.Pattern, strings.NewReader(body))
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Idempotency-Key", key)
		answer := httptest.NewRecorder()
		if err := served.Handlers()[0].Serve(answer, request); err != nil {
			if err := problem.Of(err).Write(answer); err != nil {
				panic(err)
			}
		}
		return fmt.Sprint(answer.Code, " ", strings.Join(strings.Fields(answer.Body.String()), " "))
	}
}
