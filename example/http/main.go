// Command http takes votes over HTTP into a topic, once each: a router.
//
//	curl -X PUT http://127.0.0.1:8080/polls/lunch/votes/ann -H 'Content-Type: application/json' -d '{"choice":"soup"}'
package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"github.com/kappaflows/flows"
	"github.com/kappaflows/flows/format"
	"github.com/kappaflows/flows/router"
	"github.com/kappaflows/flows/topic"
)

// Vote is what somebody chooses in a poll.
type Vote struct {
	Choice string `json:"choice"`
}

// The key of a vote is the poll and the voter, so that the last vote of each counts.
var votes = topic.New("votes", format.String(), format.JSON[Vote]())

var choices = []string{"soup", "salad", "stew"}

func vote(_ context.Context, request *http.Request, vote Vote) (topic.Record, error) {
	if !slices.Contains(choices, vote.Choice) {
		return topic.Record{}, &router.Problem{
			Status: http.StatusUnprocessableEntity, Field: "choice", Detail: fmt.Sprintf("%q is none of %q", vote.Choice, choices),
		}
	}
	return votes.Record(request.PathValue("poll")+"/"+request.PathValue("voter"), vote), nil
}

func voting() router.Config[Vote, string, Vote] {
	return router.Config[Vote, string, Vote]{Name: "vote", Route: "PUT /polls/{poll}/votes/{voter}", Output: votes, Function: vote}
}

func main() { flows.Main(voting()) }
