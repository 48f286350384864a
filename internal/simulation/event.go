package simulation

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/kappaflows/flows/runtime"
)

// happen does one thing to the world.
func (w *world) happen(ctx context.Context, random *rand.Rand) {
	what := random.IntN(20)
	w.logger.Debug("event", "what", what)
	switch what {
	default:
		for range random.IntN(6) {
			w.put(random)
		}
	case 0, 1, 2:
		if w.alive() < w.plan.processes {
			w.launch(ctx)
		}
	case 3:
		w.stopOne(random)
	case 4:
		w.killOne(random)
	case 5:
		w.log.Restart()
	case 6:
		w.claim(ctx, random)
	case 7:
		w.evict(functions[random.IntN(len(functions))], time.Duration(random.Int64N(int64(20*time.Second))))
	case 8:
		w.forget(ctx, random)
	case 9:
		w.store.SetDown(true)
		time.AfterFunc(time.Duration(random.Int64N(int64(10*time.Second))), func() { w.store.SetDown(false) })
	case 10:
		if random.IntN(3) == 0 {
			w.night()
		}
	case 11:
		w.retain()
	}
}

func (w *world) alive() int {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	return len(w.live)
}

func (w *world) one(random *rand.Rand) *process {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if len(w.live) == 0 {
		return nil
	}
	return w.live[random.IntN(len(w.live))]
}

func (w *world) stopOne(random *rand.Rand) {
	if p := w.one(random); p != nil {
		p.cancel()
	}
}

func (w *world) killOne(random *rand.Rand) {
	if p := w.one(random); p != nil {
		p.crash()
	}
}

// claim is that of a process that is never heard of again.
func (w *world) claim(ctx context.Context, random *rand.Rand) {
	key := runtime.CheckpointKey{Function: functions[0], TopicPartition: runtime.TopicPartition{Topic: input, Partition: random.Int32N(w.plan.inputs)}}
	if random.IntN(2) == 0 {
		key = runtime.CheckpointKey{Function: functions[1], TopicPartition: runtime.TopicPartition{Topic: middle, Partition: random.Int32N(w.plan.middles)}}
	}
	// A store that is down does not take it, which is as well.
	_, _ = w.store.Claim(ctx, key)
}

// night is when all processes are gone for so long that the broker forgets all producers.
func (w *world) night() {
	w.mutex.Lock()
	live := w.live
	w.live = nil
	w.mutex.Unlock()
	for _, p := range live {
		p.crash()
	}
	w.running.Wait()
	time.Sleep(25 * time.Hour)
	w.log.Expire()
}

// retain deletes input that is processed, as retention does.
func (w *world) retain() {
	for key, next := range w.positions() {
		if key.Topic == input && next > 0 {
			if err := w.log.Truncate(input, key.Partition, next-1); err != nil {
				w.fail(err)
			}
		}
	}
}
