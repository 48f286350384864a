package memory_test

import (
	"testing"

	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/runtime/logtest"
	"github.com/kappaflows/flows/runtime/memory"
)

func TestLog(t *testing.T) {
	logtest.Run(t, logtest.Driver{Open: func(*testing.T) runtime.Log { return memory.NewLog() }})
}
