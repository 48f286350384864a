package simulation

import (
	"math/bits"
	"time"
)

// dice are thrown for one decision after the other. What they show depends on what they were made of alone, so that a
// decision does not depend on which others were made before it elsewhere.
type dice struct{ state uint64 }

func newDice(of ...uint64) *dice {
	d := &dice{}
	for _, n := range of {
		d.state = bits.RotateLeft64(d.throw(), 1) ^ n
	}
	return d
}

// throw is SplitMix64.
func (d *dice) throw() uint64 {
	d.state += 0x9e3779b97f4a7c15
	n := d.state
	n = (n ^ n>>30) * 0xbf58476d1ce4e5b9
	n = (n ^ n>>27) * 0x94d049bb133111eb
	return n ^ n>>31
}

// below throws a number from 0 to n-1.
func (d *dice) below(n int) int { return int(d.throw() % uint64(n)) }

func (d *dice) oneIn(n int) bool { return d.below(n) == 0 }

func (d *dice) of(choices ...int) int { return choices[d.below(len(choices))] }

// wait throws a time of at least one tick and at most most.
func (d *dice) wait(most time.Duration) time.Duration {
	return time.Duration(1+d.below(int(most/tick))) * tick
}
