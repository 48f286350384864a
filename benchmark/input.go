package main

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kgo"
)

// input is what is in a topic that contenders read.
type input struct {
	messages, keys, size, partitions int
	shape                            string
	noise                            bool
	// copy tells topics with the same in them apart.
	copy int
}

func (s settings) input(number int) input {
	return input{s.Messages, s.Keys, s.Size, s.Partitions, s.Shape, s.Noise, number}
}

// input returns a topic with the messages of the settings; it is filled once.
func (p *place) input(ctx context.Context, s settings) (string, error) {
	return p.fill(ctx, s, s.input(0))
}

// fill writes all messages before anything is measured.
func (p *place) fill(ctx context.Context, s settings, of input) (string, error) {
	if name, ok := p.inputs[of]; ok {
		return name, nil
	}
	name, err := p.create(ctx, s, "input")
	if err != nil {
		return "", err
	}
	next, value := keys(of), values(of)
	var failed error
	for range of.messages {
		p.client.Produce(ctx, &kgo.Record{Topic: name, Key: next(), Value: value()}, func(_ *kgo.Record, err error) {
			if err != nil {
				failed = err
			}
		})
	}
	if err := p.client.Flush(ctx); err != nil {
		return "", err
	}
	p.inputs[of] = name
	return name, failed
}

// values returns a source of values: all one, or text that compression makes nothing of.
func values(of input) func() []byte {
	if !of.noise {
		value := valueOf(of.size)
		return func() []byte { return value }
	}
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	random := rand.New(rand.NewPCG(3, 4))
	return func() []byte {
		value := make([]byte, of.size)
		for i := range value {
			value[i] = letters[random.IntN(len(letters))]
		}
		return value
	}
}

// valueOf is what every message has, unless it is to have noise.
func valueOf(size int) []byte {
	value := make([]byte, size)
	for i := range value {
		value[i] = "abcdefghijklmnopqrstuvwxyz"[i%26]
	}
	return value
}

// Shapes of how messages spread over keys.
const (
	uniform = "uniform"
	zipf    = "zipf"
	hot     = "hot"
	fresh   = "new"
)

// keyPrefix begins every key, before its number.
const keyPrefix = "key-"

// keys returns a source of keys of the shape; the same for every measurement.
func keys(of input) func() []byte {
	random := rand.New(rand.NewPCG(1, 2))
	skewed := rand.NewZipf(random, 1.1, 1, uint64(max(1, of.keys-1)))
	made := 0
	return func() []byte {
		var n uint64
		switch of.shape {
		case zipf:
			n = skewed.Uint64()
		case hot:
			n = 0
		case fresh:
			made++
			n = scattered(uint64(made))
		default:
			n = random.Uint64N(uint64(of.keys))
		}
		return strconv.AppendUint([]byte(keyPrefix), n, 10)
	}
}

// scattered makes numbers that come in order come in none, each still once.
func scattered(n uint64) uint64 {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], n*0x9e3779b97f4a7c15)
	slices.Reverse(b[:])
	return binary.LittleEndian.Uint64(b[:])
}
