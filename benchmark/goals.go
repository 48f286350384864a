package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// entry is one figure of a part.
type entry struct {
	contender string
	at        int
	figure    string
}

// goal is what is aimed at in a part: a figure, or its ratio to another, that is at least or at most so much.
type goal struct {
	// text says what has to be how large; what it is to be is added.
	text string
	of   entry
	// to is what of is divided by; nothing where the figure itself is aimed at.
	to    entry
	bound float64
	most  bool
	unit  string
}

// atLeast is a goal of a ratio of a part's main figure, which is messages/s.
func atLeast(bound float64, of, to string) goal {
	return goal{text: of + " to " + to, of: entry{of, 0, rate}, to: entry{to, 0, rate}, bound: bound, unit: "times"}
}

// verdict is what came of a goal.
type verdict struct {
	goal
	measured float64
	// known is false where a figure is missing.
	known, met bool
}

func (g goal) judge(o outcome) verdict {
	v := verdict{goal: g}
	of, ok := o.figure(g.of.contender, g.of.at, g.of.figure)
	if !ok {
		return v
	}
	v.measured = of.median
	if g.to.contender != "" {
		to, ok := o.figure(g.to.contender, g.to.at, g.to.figure)
		if !ok {
			return v
		}
		v.measured /= to.median
	}
	v.known = true
	v.met = v.measured >= g.bound
	if g.most {
		v.met = v.measured <= g.bound
	}
	return v
}

// aim is what the goal is, such as "at least 2.5 times".
func (g goal) aim() string {
	bound := short(g.bound)
	if g.bound < 100 {
		bound = strconv.FormatFloat(g.bound, 'f', -1, 64)
	}
	if g.most {
		return "at most " + bound + " " + g.unit
	}
	return "at least " + bound + " " + g.unit
}

func (v verdict) result() string {
	if !v.known {
		return "not measured"
	}
	return short(v.measured)
}

func (v verdict) answer() string {
	switch {
	case !v.known:
		return ""
	case v.met:
		return "yes"
	default:
		return "**no**"
	}
}

// String is one line for a terminal.
func (v verdict) String() string {
	return fmt.Sprintf("%s: %s, aimed at %s, met: %s", v.text, v.result(), v.aim(), strings.Trim(v.answer(), "*"))
}

// short writes a figure with about three digits that count.
func short(v float64) string {
	switch a := math.Abs(v); {
	case a >= 100 || v == math.Trunc(v):
		return grouped(v)
	case a >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case a >= 0.1:
		return strconv.FormatFloat(v, 'f', 2, 64)
	default:
		return strconv.FormatFloat(v, 'f', 3, 64)
	}
}

// grouped writes a whole number with commas between thousands.
func grouped(v float64) string {
	digits := strconv.FormatFloat(math.Abs(v), 'f', 0, 64)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	if v < 0 {
		return "-" + digits
	}
	return digits
}
