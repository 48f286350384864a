package chart

import (
	"fmt"
	"math"
	"strconv"

	"gonum.org/v1/plot"
)

// Axis says what is measured along it.
type Axis struct {
	// Label names it, with the unit.
	Label string
	Scale Scale
}

// Scale is how an axis is divided.
type Scale uint8

const (
	// Linear begins at zero unless something is below it.
	Linear Scale = iota
	// Log is logarithmic; what it shows must be positive.
	Log
	// Tail is for percentiles from 0 to below 100: each step to the next nine is as long.
	Tail
)

func (a Axis) set(axis *plot.Axis) {
	axis.Label.Text = a.Label
	switch a.Scale {
	case Log:
		axis.Scale, axis.Tick.Marker = plot.LogScale{}, plot.TickerFunc(powers)
	case Tail:
		axis.Scale, axis.Tick.Marker = plot.LogScale{}, tailTicks()
	case Linear:
		axis.Tick.Marker = plot.TickerFunc(steps)
	}
}

// place is where a value is on the axis.
func (a Axis) place(v float64) (float64, error) {
	switch {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return 0, fmt.Errorf("%v has no place on %q", v, a.Label)
	case a.Scale == Log && v <= 0:
		return 0, fmt.Errorf("%v has no place on the logarithmic %q", v, a.Label)
	case a.Scale == Tail && (v < 0 || v >= 100):
		return 0, fmt.Errorf("%v is no percentile below 100 on %q", v, a.Label)
	case a.Scale == Tail:
		return tail(v), nil
	}
	return v, nil
}

// fit gives an axis its ends, with a share of it free at the upper one. A linear axis begins at zero, so that heights compare
// as they look.
func (a Axis) fit(axis *plot.Axis, free float64) {
	if axis.Min > axis.Max { // There is nothing on it.
		axis.Min, axis.Max = 1, 2
	}
	if a.Scale == Linear {
		axis.Min = min(axis.Min, 0)
		axis.Max += (axis.Max - axis.Min) * free
	} else {
		axis.Max *= math.Pow(axis.Max/axis.Min, free)
	}
	if axis.Max <= axis.Min {
		axis.Max = axis.Min + 1
	}
}

// steps are ticks at round distances.
func steps(low, high float64) (all []plot.Tick) {
	const most = 8
	step := math.Pow(10, math.Floor(math.Log10((high-low)/most)))
	for _, times := range []float64{1, 2, 5, 10} {
		if (high-low)/(step*times) <= most {
			step *= times
			break
		}
	}
	for n := math.Ceil(low / step); n*step <= high; n++ {
		all = append(all, plot.Tick{Value: n * step, Label: number(n * step)})
	}
	return all
}

// powers are ticks at the powers of ten, and at 2 and 5 times as much where there is room.
func powers(low, high float64) (all []plot.Tick) {
	const crowded = 3 // powers of ten
	for power := math.Floor(math.Log10(low)); power <= math.Log10(high); power++ {
		for times := 1.0; times < 10; times++ {
			tick := plot.Tick{Value: times * math.Pow(10, power)}
			if times == 1 || (times == 2 || times == 5) && math.Log10(high/low) <= crowded {
				tick.Label = number(tick.Value)
			}
			if tick.Value >= low && tick.Value <= high {
				all = append(all, tick)
			}
		}
	}
	return all
}

// number writes a figure short: 1.5M, 200k, 0.25.
func number(v float64) string {
	for _, unit := range []struct {
		size float64
		name string
	}{{1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if math.Abs(v) >= unit.size {
			return strconv.FormatFloat(v/unit.size, 'g', 4, 64) + unit.name
		}
	}
	return strconv.FormatFloat(v, 'g', 4, 64)
}

// tail is where a percentile is on a Tail axis: what is left above it, as one in so many.
func tail(percentile float64) float64 { return 1 / (1 - percentile/100) }

func tailTicks() plot.ConstantTicks {
	var all plot.ConstantTicks
	for _, percentile := range []float64{0, 50, 90, 99, 99.9, 99.99, 99.999} {
		all = append(all, plot.Tick{Value: tail(percentile), Label: strconv.FormatFloat(percentile, 'g', -1, 64) + "%"})
	}
	return all
}
