// Package proto holds the definitions of the messages that flows itself writes to topics. Their Go code, checked in, is
// in the packages below; go generate makes it anew after checking the definitions.
package proto

//go:generate go tool -modfile=../tools/go.mod buf lint
//go:generate go tool -modfile=../tools/go.mod buf generate
