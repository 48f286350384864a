package main

import (
	goruntime "runtime"
	"sync"
	"time"

	"github.com/kappaflows/flows/runtime"
)

// meter counts messages whose outputs are acknowledged, and tells of what happens on the way.
type meter struct {
	// functions are those that count: the last ones in the work.
	functions map[string]bool
	// messages are all; negative where there is no end.
	messages int
	tell     func(event)
	finish   func()
	ports    map[string]uint16

	mutex       sync.Mutex
	handled     int
	first, last time.Time
	figures     figures
}

// BatchDone implements runtime.Observer.
func (m *meter) BatchDone(function string, _ runtime.TopicPartition, batch runtime.BatchStats) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.last = time.Now()
	if m.first.IsZero() {
		m.first = m.last.Add(-batch.Load - batch.Compute - batch.Commit - batch.Send)
		m.tell(event{What: first, At: m.last})
	}
	if !m.functions[function] {
		return
	}
	m.handled += batch.In
	if m.messages < 0 {
		return
	}
	if m.figures == nil && m.handled >= m.messages/2 {
		m.figures = figures{goroutines: float64(goruntime.NumGoroutine())}
		for name, port := range m.ports {
			m.figures[name] = connections(port)
		}
		m.tell(event{What: half})
	}
	if m.handled >= m.messages {
		m.finish()
	}
}

// Happened implements runtime.Observer.
func (m *meter) Happened(_ string, _ runtime.TopicPartition, what runtime.Event, _ int) {
	if what == runtime.Rebalanced {
		m.tell(event{What: given})
	}
}

// report tells how long it took.
func (m *meter) report() error {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if m.messages < 0 {
		return nil
	}
	if m.handled < m.messages {
		return unfinished(m.handled, m.messages)
	}
	m.tell(event{What: done, Took: m.last.Sub(m.first), Figures: m.figures})
	return nil
}
