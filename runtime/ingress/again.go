package ingress

import (
	"context"
	"errors"
	"fmt"

	"github.com/kappaflows/flows/runtime"
)

// again answers a request that is remembered. A record that may not be in the log is sent again just as it was: the
// broker drops what it has.
func (r *route) again(ctx context.Context, request runtime.KeyedRequest) (runtime.Position, error) {
	if request.Offset != runtime.Pending {
		return runtime.Position{TopicPartition: request.TopicPartition, Offset: request.Offset}, nil
	}
	output, err := runtime.DecodeOutput(request.Record)
	if err != nil {
		return runtime.Position{}, fmt.Errorf("idempotency key of function %s: %w", request.Function, err)
	}
	var offset int64
	var found bool
	err = retry(ctx, r.ingress.config.Clock, func() (err error) {
		offset, found, err = r.look(ctx, request, false)
		return err
	})
	if err == nil && !found {
		offset, err = r.send(ctx, request, output)
	}
	switch {
	case errors.Is(err, runtime.ErrOutOfOrder) || errors.Is(err, runtime.ErrStaleIdentity):
		return r.lost(ctx, request, output)
	case err != nil:
		return runtime.Position{}, err
	}
	r.finish(ctx, request, offset)
	return runtime.Position{TopicPartition: request.TopicPartition, Offset: offset}, nil
}

// look looks for a record in the log. Unless thorough, it does so only where the broker has forgotten the identity
// (producer.id.expiration.ms) and would take a record that it has for a new one.
func (r *route) look(ctx context.Context, request runtime.KeyedRequest, thorough bool) (offset int64, found bool, _ error) {
	log := r.ingress.config.Log
	if !thorough {
		forgotten, err := runtime.Forgotten(ctx, log, request.TopicPartition, request.Identity.ProducerID)
		if err != nil || !forgotten {
			return 0, false, err
		}
	}
	from := runtime.Position{TopicPartition: request.TopicPartition, Offset: request.From}
	offset, start, err := runtime.Search(ctx, log, from, request.Identity, request.Sequence)
	switch {
	case err != nil:
		return 0, false, err
	case offset >= 0:
		return offset, true, nil
	case start > request.From:
		return 0, false, fmt.Errorf("whether a record is in topic %s partition %d can't be told: it was cut at offset %d",
			request.Topic, request.Partition, start)
	default:
		return 0, false, nil
	}
}

// lost handles a record that the broker does not take under what is remembered. Either it has it and much more of that
// identity since, so that the request was finished by somebody else or can be found in the log; or the log lost what it
// had of the identity, and the record is sent as another's.
func (r *route) lost(ctx context.Context, request runtime.KeyedRequest, output runtime.Output) (runtime.Position, error) {
	offset, found, err := r.look(ctx, request, true)
	if err != nil {
		return runtime.Position{}, err
	}
	if found {
		r.finish(ctx, request, offset)
		return runtime.Position{TopicPartition: request.TopicPartition, Offset: offset}, nil
	}
	there, known, err := r.recall(ctx, request.RequestKey)
	switch {
	case err != nil:
		return runtime.Position{}, err
	case !known:
		return runtime.Position{}, fmt.Errorf("the idempotency key expired meanwhile: %w", runtime.ErrUnavailable)
	case there.Offset != runtime.Pending:
		return runtime.Position{TopicPartition: there.TopicPartition, Offset: there.Offset}, nil
	case there.Identity != request.Identity:
		return runtime.Position{}, fmt.Errorf("the request is being made elsewhere: %w", runtime.ErrUnavailable)
	}
	return r.renew(ctx, there, output)
}

// renew sends a record as another identity's than it was remembered with.
func (r *route) renew(ctx context.Context, request runtime.KeyedRequest, output runtime.Output) (runtime.Position, error) {
	r.ingress.config.Logger.Error("the log lost what it had of a producer identity; sending a record as another's",
		"function", r.function.Name, "topic", request.Topic, "partition", request.Partition)
	was := request.Identity
	taken, err := r.assign(ctx, &request)
	if err != nil {
		return runtime.Position{}, err
	}
	renewed, err := r.ingress.store.Renew(ctx, request, was)
	switch {
	case err != nil:
		r.ingress.lanes.drop()
		return runtime.Position{}, err
	case !renewed:
		r.ingress.lanes.give(taken)
		return runtime.Position{}, fmt.Errorf("the request is being made elsewhere: %w", runtime.ErrUnavailable)
	}
	offset, err := r.send(ctx, request, output)
	if err != nil {
		r.ingress.lanes.drop()
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
