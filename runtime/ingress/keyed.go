package ingress

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/runtime/problem"
)

// keyed appends the record of a request once, however often the request is made with its key.
func (r *route) keyed(
	ctx context.Context, w http.ResponseWriter, key runtime.RequestKey, fingerprint []byte, record func() (runtime.Output, error),
) (accepted, error) {
	request, known, err := r.recall(ctx, key)
	if err != nil {
		return accepted{}, err
	}
	if !known {
		output, err := record()
		if err != nil {
			return accepted{}, err
		}
		var first bool
		var at runtime.Position
		request = runtime.KeyedRequest{RequestKey: key, Fingerprint: fingerprint, Offset: runtime.Pending}
		if request, first, at, err = r.first(ctx, request, output); first || err != nil {
			return appended(at), err
		}
	}
	if !bytes.Equal(request.Fingerprint, fingerprint) {
		return accepted{}, problem.New(http.StatusUnprocessableEntity, "the Idempotency-Key was used for another request")
	}
	w.Header().Set("Idempotency-Replayed", "true")
	at, err := r.again(ctx, request)
	return appended(at), err
}

func (r *route) recall(ctx context.Context, key runtime.RequestKey) (request runtime.KeyedRequest, known bool, err error) {
	err = retry(ctx, r.ingress.config.Clock, func() (err error) {
		request, known, err = r.ingress.store.Recall(ctx, key)
		return err
	})
	return request, known, err
}

// first remembers a request and sends its record; where another request with its key was faster, it returns that one and
// sends nothing.
func (r *route) first(
	ctx context.Context, request runtime.KeyedRequest, output runtime.Output,
) (there runtime.KeyedRequest, first bool, at runtime.Position, err error) {
	request.TopicPartition, err = r.topics.place(ctx, &output)
	if err != nil {
		return request, false, at, err
	}
	request.Record = runtime.AppendOutput(nil, &output)
	taken, err := r.assign(ctx, &request)
	if err != nil {
		return request, false, at, err
	}
	there, first, err = r.ingress.store.Remember(ctx, request, r.spec.KeepKeys)
	switch {
	case err != nil:
		// It may be remembered, so that the sequence may be taken.
		r.ingress.lanes.drop()
		return request, false, at, err
	case !first:
		r.ingress.lanes.give(taken)
		return there, false, at, nil
	}
	at, err = r.through(ctx, taken, request, output)
	return request, true, at, err
}

// assign takes a lane for a request and says what it is to be sent with.
func (r *route) assign(ctx context.Context, request *runtime.KeyedRequest) (taken *lane, err error) {
	clock, log, lanes := r.ingress.config.Clock, r.ingress.config.Log, r.ingress.lanes
	err = retry(ctx, clock, func() (err error) {
		taken, err = lanes.take(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	var d door
	err = retry(ctx, clock, func() (err error) {
		d, err = taken.door(ctx, log, request.TopicPartition)
		return err
	})
	if err != nil {
		lanes.give(taken)
		return nil, err
	}
	request.Identity, request.Sequence, request.From = taken.identity, d.next, d.from
	return taken, nil
}

// through sends the record of a request that is remembered with what the lane has, and takes the lane back.
func (r *route) through(ctx context.Context, taken *lane, request runtime.KeyedRequest, output runtime.Output) (runtime.Position, error) {
	offset, err := r.send(ctx, request, output)
	if err != nil {
		r.ingress.lanes.drop()
		if errors.Is(err, runtime.ErrOutOfOrder) || errors.Is(err, runtime.ErrStaleIdentity) {
			return r.lost(ctx, request, output)
		}
		return runtime.Position{}, err
	}
	taken.sent(request.TopicPartition, request.Sequence, offset)
	if r.finish(ctx, request, offset) {
		r.ingress.lanes.give(taken)
	} else {
		r.ingress.lanes.drop()
	}
	return runtime.Position{TopicPartition: request.TopicPartition, Offset: offset}, nil
}

// send sends the record under the identity and the sequence that are remembered, until there is an answer.
func (r *route) send(ctx context.Context, request runtime.KeyedRequest, output runtime.Output) (offset int64, err error) {
	batch := runtime.RecordBatch{
		TopicPartition: request.TopicPartition, Sequence: request.Sequence, Records: runtime.Encode(output),
	}
	err = retry(ctx, r.ingress.config.Clock, func() error {
		acks, err := r.ingress.config.Log.Send(ctx, request.Identity, []runtime.RecordBatch{batch})
		if err == nil {
			offset, err = acks[0].Offset, acks[0].Err
		}
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("cannot append to %s/%d: %w", request.Topic, request.Partition, err)
	}
	if offset < 0 {
		offset = runtime.Somewhere
	}
	return offset, nil
}

// finish notes where the record of a request is, and says whether that worked. If it did not, the record is looked for
// when the request is made again.
func (r *route) finish(ctx context.Context, request runtime.KeyedRequest, offset int64) bool {
	err := r.ingress.store.Finish(ctx, request.RequestKey, offset)
	if err != nil {
		r.ingress.config.Logger.Warn("an idempotency key stays pending", "function", r.function.Name, "error", err)
	}
	return err == nil
}
