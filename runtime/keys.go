package runtime

import (
	"context"
	"time"
)

// KeyStore is what a Store also implements that can remember requests by the idempotency keys that their clients gave
// them, so that a request made again appends nothing again. Its errors are a Store's.
//
// A request is remembered before its record is sent, with the identity and the sequence that the record is sent with:
// whoever sends it again does so under the same ones, and the log appends it once.
type KeyStore interface {
	// Recall returns what is remembered under a key; found is false where nothing is, or no longer.
	Recall(ctx context.Context, key RequestKey) (request KeyedRequest, found bool, err error)
	// Remember keeps a request for so long, unless there is one with its key: it returns the one that is there then, and
	// whether that is the caller's. After ErrUnavailable it may have been kept.
	Remember(ctx context.Context, request KeyedRequest, keep time.Duration) (there KeyedRequest, first bool, err error)
	// Renew replaces what a request is sent as: Identity, TopicPartition, Sequence and From. It does nothing, and says
	// so, where the request is not Pending under the identity that it was.
	Renew(ctx context.Context, request KeyedRequest, was Identity) (renewed bool, err error)
	// Finish notes that the record of a request is in the log, and where. The record itself is forgotten.
	Finish(ctx context.Context, key RequestKey, offset int64) error
	// Forget deletes requests that were kept for long enough, at most limit, and returns how many.
	Forget(ctx context.Context, limit int) (int, error)
}

// RequestKey is an idempotency key of one function.
type RequestKey struct{ Function, Key string }

// KeyedRequest is a request as it is remembered.
type KeyedRequest struct {
	RequestKey
	// Fingerprint tells the request from others that have the same key by mistake.
	Fingerprint []byte
	// Identity, TopicPartition and Sequence are what the record is sent with.
	Identity Identity
	TopicPartition
	Sequence int32
	// From is an offset of the partition that is not above the record's.
	From int64
	// Record is the record, encoded; nil once it is finished.
	Record []byte
	// Offset is where the record is; Pending until that is known.
	Offset int64
}

// Offsets of a KeyedRequest that are none.
const (
	// Pending says that the record may not be in the log.
	Pending = -1
	// Somewhere says that the record is in the log, and that nobody knows at which offset.
	Somewhere = -2
)

// AppendOutput appends the encoding of a record, for a KeyedRequest.
func AppendOutput(dst []byte, output *Output) []byte {
	return appendSection(append(dst, recordsVersion), &RecordBatch{Records: Encode(*output)})
}

// DecodeOutput reads what AppendOutput wrote. The record aliases data.
func DecodeOutput(data []byte) (Output, error) {
	d := decoder{data: data}
	d.version(recordsVersion)
	section := d.section()
	if err := d.finish(); err != nil {
		return Output{}, err
	}
	outputs, err := section.Records.Outputs()
	if err != nil {
		return Output{}, err
	}
	if len(outputs) != 1 {
		return Output{}, errCorrupt
	}
	return outputs[0], nil
}
