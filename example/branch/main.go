// Command branch sends each reading of a thermometer to the topic that it belongs to: a stateless function with several
// ways out, each with types of its own.
package main

import (
	"fmt"

	"github.com/kappaflows/flows"
	"github.com/kappaflows/flows/format"
	"github.com/kappaflows/flows/stateless"
	"github.com/kappaflows/flows/topic"
)

// The key of every message is the room.
var (
	readings = topic.New("readings", format.String(), format.Float64())
	broken   = topic.New("broken", format.String(), format.Float64())
	alarms   = topic.New("alarms", format.String(), format.String())
	usual    = topic.New("usual", format.String(), format.Float64())
)

const coldest, hottest = -60, 120

func impossible(in topic.Message[string, float64]) bool {
	return in.Tombstone || !(in.Value >= coldest && in.Value <= hottest) // NaN is neither
}

func hot(in topic.Message[string, float64]) bool { return in.Value >= 40 }

func alarm(in topic.Message[string, float64]) (room, text string) {
	return in.Key, fmt.Sprintf("%.1f degrees", in.Value)
}

func sorting() stateless.Function {
	return stateless.Branch("sort", readings,
		stateless.When(impossible, broken),
		stateless.WhenMap(hot, alarms, alarm),
		stateless.Otherwise(usual),
	)
}

func main() { flows.Main(sorting()) }
