package runtime

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kappaflows/flows/topic"
)

// failed deals with the message that comes next and that the function failed on: it waits until it is to be tried
// again, or hands on a batch without it, or gives up. The batch is empty and holds the message afterwards where it is
// not to be tried again; it stays empty where the partition is to be given back.
func (p *pipeline) failed(reading, work context.Context, b *batch, message *topic.Raw, reason error) (again bool, err error) {
	if work.Err() != nil {
		// The function was interrupted, which is not the message's fault.
		return false, work.Err()
	}
	p.logPanic(message, reason)
	p.attempts++
	policy := p.options.Errors
	action := policy.Permanent
	switch {
	case broken(reason):
		action = Stop
	case IsPermanent(reason), errors.Is(reason, ErrRecordTooLarge):
	case p.attempts < policy.Attempts:
		return p.waitToRetry(reading, message, reason), nil
	default:
		action = policy.Spent
	}
	if action == Stop {
		return false, p.failure(message, reason)
	}
	if err := p.processor.discardOne(b, message, action, p.attempts, reason, p.identity); err != nil {
		return false, p.failure(message, err)
	}
	if err := p.hand(work, b); err != nil {
		return false, err
	}
	p.attempts = 0
	p.status.resume()
	return false, nil
}

// waitToRetry waits before the next attempt, and says whether there is to be one.
func (p *pipeline) waitToRetry(reading context.Context, message *topic.Raw, reason error) bool {
	err := p.failure(message, reason)
	wait := vary(p.options.Errors.wait(p.attempts), p.random)
	p.status.retrying(err.Error())
	p.logger.Warn("the function failed; trying again", "err", err, "attempt", p.attempts, "of", p.options.Errors.Attempts, "wait", wait)
	p.happened(MessageRetried, 1)
	return Sleep(reading, p.clock, wait)
}

// wait is how long to wait after so many attempts, give or take.
func (p ErrorPolicy) wait(attempts int) time.Duration {
	const most = 30
	wait := p.FirstWait << min(attempts-1, most)
	if wait <= 0 || wait > p.LongestWait {
		wait = p.LongestWait
	}
	return wait
}

// tellDiscards counts and logs the messages of a committed batch that the function was not applied to.
func (p *pipeline) tellDiscards(b *batch) {
	d := &b.discards
	if d.reason == nil {
		return
	}
	if d.deadLetters > 0 {
		p.happened(MessageDeadLettered, d.deadLetters)
		p.logger.Warn("messages went to the dead-letter topic", "messages", d.deadLetters, "first_offset", d.offset, "err", d.reason)
	}
	if d.skips > 0 {
		p.happened(MessageSkipped, d.skips)
		p.logger.Warn("messages were skipped", "messages", d.skips, "first_offset", d.offset, "err", d.reason)
	}
}

func (p *pipeline) logPanic(message *topic.Raw, err error) {
	if panicked, ok := errors.AsType[*PanicError](err); ok {
		p.logger.Error("the function panicked", "offset", message.Offset, "panic", fmt.Sprint(panicked.Value), "stack", string(panicked.Stack))
	}
}

// failure is the error of a message that the function cannot be applied to.
func (p *pipeline) failure(message *topic.Raw, err error) error {
	return &MessageError{
		Function: p.function.Name,
		Position: Position{TopicPartition: p.held.TopicPartition, Offset: message.Offset},
		Key:      message.Key,
		Err:      err,
	}
}
