package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"

	"github.com/IBM/sarama"

	"github.com/kappaflows/flows/runtime"
)

// decisions are the answers of brokers that the engine decides upon.
var decisions = map[sarama.KError]error{
	sarama.ErrUnknownTopicOrPartition:    runtime.ErrUnknownTopic,
	sarama.ErrOffsetOutOfRange:           runtime.ErrOutOfRange,
	sarama.ErrOutOfOrderSequenceNumber:   runtime.ErrOutOfOrder,
	sarama.ErrUnknownProducerID:          runtime.ErrOutOfOrder,
	sarama.ErrInvalidProducerEpoch:       runtime.ErrStaleIdentity,
	sarama.ErrProducerFenced:             runtime.ErrStaleIdentity,
	sarama.ErrMessageSizeTooLarge:        runtime.ErrTooLarge,
	sarama.ErrMessageSetSizeTooLarge:     runtime.ErrTooLarge,
	sarama.ErrTopicAuthorizationFailed:   runtime.ErrDenied,
	sarama.ErrGroupAuthorizationFailed:   runtime.ErrDenied,
	sarama.ErrClusterAuthorizationFailed: runtime.ErrDenied,
	sarama.ErrSASLAuthenticationFailed:   runtime.ErrDenied,
}

// passing are the answers of brokers that may be other ones soon.
var passing = map[sarama.KError]bool{
	sarama.ErrUnknown:                         true,
	sarama.ErrInvalidMessage:                  true, // a checksum that does not match: the bytes were damaged on the way
	sarama.ErrLeaderNotAvailable:              true,
	sarama.ErrNotLeaderForPartition:           true,
	sarama.ErrRequestTimedOut:                 true,
	sarama.ErrBrokerNotAvailable:              true,
	sarama.ErrReplicaNotAvailable:             true,
	sarama.ErrStaleControllerEpochCode:        true,
	sarama.ErrNetworkException:                true,
	sarama.ErrOffsetsLoadInProgress:           true,
	sarama.ErrConsumerCoordinatorNotAvailable: true,
	sarama.ErrNotCoordinatorForConsumer:       true,
	sarama.ErrNotEnoughReplicas:               true,
	sarama.ErrNotEnoughReplicasAfterAppend:    true,
	sarama.ErrIllegalGeneration:               true,
	sarama.ErrUnknownMemberId:                 true,
	sarama.ErrRebalanceInProgress:             true,
	sarama.ErrMemberIdRequired:                true,
	sarama.ErrNotController:                   true,
	sarama.ErrConcurrentTransactions:          true,
	sarama.ErrKafkaStorageError:               true,
	sarama.ErrReassignmentInProgress:          true,
	sarama.ErrFetchSessionIDNotFound:          true,
	sarama.ErrInvalidFetchSessionEpoch:        true,
	sarama.ErrFencedLeaderEpoch:               true,
	sarama.ErrUnknownLeaderEpoch:              true,
	sarama.ErrStaleBrokerEpoch:                true,
	sarama.ErrOffsetNotAvailable:              true,
	sarama.ErrPreferredLeaderNotAvailable:     true,
	sarama.ErrUnstableOffsetCommit:            true,
	sarama.ErrThrottlingQuotaExceeded:         true,
}

// classify wraps an error of sarama in what it means to the engine, once.
func classify(what string, err error) error {
	if err == nil {
		return nil
	}
	if meaning := meaning(err); meaning != nil {
		return fmt.Errorf("%s: %w: %w", what, meaning, plain(err))
	}
	return fmt.Errorf("%s: %w", what, plain(err))
}

// meaning returns the port's error for one of sarama, nil where the error is final and says all itself.
func meaning(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	// Before the others: the errors of all brokers tried are in one, and this one is no matter of trying again.
	if errors.Is(err, sarama.ErrSASLAuthenticationFailed) {
		return runtime.ErrDenied
	}
	if misconfigured(err) || errors.Is(err, sarama.ErrClosedClient) || errors.Is(err, errClosed) {
		return nil
	}
	if code, ok := errors.AsType[sarama.KError](err); ok {
		if passing[code] {
			return runtime.ErrUnavailable
		}
		return decisions[code]
	}
	return runtime.ErrUnavailable
}

// misconfigured says whether an error stays until somebody changes the configuration of one side.
func misconfigured(err error) bool {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return true
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return true
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return true
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return true
	}
	if alerted(err) {
		return true
	}
	if _, ok := errors.AsType[sarama.ConfigurationError](err); ok {
		return true
	}
	_, ok := errors.AsType[sarama.PacketEncodingError](err)
	return ok || errors.Is(err, sarama.ErrUnsupportedSASLMechanism)
}

// alerted says whether the other side refused encryption with a TLS alert, which has no type of its own.
func alerted(err error) bool {
	alert, ok := errors.AsType[*net.OpError](err)
	return ok && alert.Op == "remote error"
}

// plain returns the error that tells most, on one line: of those of many brokers the first.
func plain(err error) error {
	if many, ok := errors.AsType[interface {
		error
		Unwrap() []error
	}](err); ok {
		if all := many.Unwrap(); len(all) > 0 {
			return plain(all[0])
		}
	}
	return err
}
