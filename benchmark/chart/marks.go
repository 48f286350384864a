package chart

import (
	"errors"
	"fmt"
	"image/color"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// addLine draws a line, its points and their spread.
func (panel Panel) addLine(p *plot.Plot, l Line, named palette) error {
	points, err := panel.points(l.X, l.Y)
	if err != nil || len(points) == 0 {
		return err
	}
	line, err := plotter.NewLine(thin(points))
	if err != nil {
		return err
	}
	// A single line needs no colour to be told apart by.
	colour := colours[0]
	if len(panel.Lines) > 1 {
		colour = named.of(l.Name)
		p.Legend.Add(l.Name, line)
	}
	line.Color, line.Width = colour, 1.2
	p.Add(line)
	if l.Marked || len(points) == 1 {
		dots, err := plotter.NewScatter(points)
		if err != nil {
			return err
		}
		dots.GlyphStyle = draw.GlyphStyle{Color: colour, Radius: 2.2, Shape: draw.CircleGlyph{}}
		p.Add(dots)
	}
	return panel.addSpread(p, l, points, 0, colour)
}

// points are places on the panel.
func (panel Panel) points(x, y []float64) (plotter.XYs, error) {
	if len(x) != len(y) {
		return nil, fmt.Errorf("%d places and %d values", len(x), len(y))
	}
	points := make(plotter.XYs, len(x))
	for i := range points {
		var left, right error
		points[i].X, left = panel.X.place(x[i])
		points[i].Y, right = panel.Y.place(y[i])
		if err := errors.Join(left, right); err != nil {
			return nil, err
		}
	}
	return points, nil
}

// addSpread draws from the lowest to the highest of each point, if the line has them.
func (panel Panel) addSpread(p *plot.Plot, l Line, points plotter.XYs, offset vg.Length, colour color.Color) error {
	if l.Low == nil {
		return nil
	}
	if len(l.Low) != len(points) || len(l.High) != len(points) {
		return fmt.Errorf("%d values, %d lowest and %d highest", len(points), len(l.Low), len(l.High))
	}
	ends := make(plotter.YErrors, len(points))
	for i := range ends {
		low, lowErr := panel.Y.place(l.Low[i])
		high, highErr := panel.Y.place(l.High[i])
		if err := errors.Join(lowErr, highErr); err != nil {
			return err
		}
		ends[i].Low, ends[i].High = points[i].Y-low, high-points[i].Y
	}
	spread, err := plotter.NewYErrorBars(struct {
		plotter.XYs
		plotter.YErrors
	}{points, ends})
	if err != nil {
		return err
	}
	spread.Color, spread.CapWidth = colour, 5
	p.Add(shifted{spread, offset})
	return nil
}

// shifted draws something a little to the side of its place.
type shifted struct {
	*plotter.YErrorBars
	by vg.Length
}

// Plot implements plot.Plotter.
func (s shifted) Plot(c draw.Canvas, p *plot.Plot) {
	c.Min.X, c.Max.X = c.Min.X+s.by, c.Max.X+s.by
	s.YErrorBars.Plot(c, p)
}

// addBars draws the bars of all groups.
func (panel Panel) addBars(p *plot.Plot, named palette) error {
	bars := panel.Bars
	if len(bars.Series) == 0 {
		return nil
	}
	each := 0.8 * (width - 80) / vg.Length(len(bars.Groups)*len(bars.Series))
	for i, series := range bars.Series {
		if len(series.Y) != len(bars.Groups) {
			return fmt.Errorf("%s: %d bars for %d groups", series.Name, len(series.Y), len(bars.Groups))
		}
		chart, err := plotter.NewBarChart(plotter.Values(series.Y), each*0.9)
		if err != nil {
			return fmt.Errorf("%s: %w", series.Name, err)
		}
		chart.Color, chart.LineStyle.Width = named.of(series.Name), 0
		chart.Offset = each * (vg.Length(i) - vg.Length(len(bars.Series)-1)/2)
		p.Add(chart)
		p.Legend.Add(series.Name, chart)
		places := make([]float64, len(series.Y))
		for g := range places {
			places[g] = float64(g)
		}
		points, err := panel.points(places, series.Y)
		if err != nil {
			return fmt.Errorf("%s: %w", series.Name, err)
		}
		if err := panel.addSpread(p, series, points, chart.Offset, color.Black); err != nil {
			return fmt.Errorf("%s: %w", series.Name, err)
		}
	}
	p.NominalX(bars.Groups...)
	return nil
}

// columns is how many places along a panel are told apart; more than that is not to be seen.
const columns = 700

// thin leaves of a long line what can be seen: of each column of the panel the first, lowest, highest and last point.
func thin(points plotter.XYs) plotter.XYs {
	if len(points) <= 4*columns {
		return points
	}
	low, high := points[0].X, points[len(points)-1].X
	column := func(i int) int { return int((points[i].X - low) / (high - low) * columns) }
	var kept plotter.XYs
	for from := 0; from < len(points); {
		to := from + 1
		for to < len(points) && column(to) == column(from) {
			to++
		}
		kept = append(kept, extremes(points[from:to])...)
		from = to
	}
	return kept
}

// extremes returns the first, the lowest, the highest and the last of some points, in their order.
func extremes(points plotter.XYs) plotter.XYs {
	lowest, highest, minimum, maximum := 0, 0, math.Inf(1), math.Inf(-1)
	for i, point := range points {
		if point.Y < minimum {
			lowest, minimum = i, point.Y
		}
		if point.Y > maximum {
			highest, maximum = i, point.Y
		}
	}
	var kept plotter.XYs
	previous := -1
	for _, i := range []int{0, min(lowest, highest), max(lowest, highest), len(points) - 1} {
		if i != previous {
			kept = append(kept, points[i])
		}
		previous = i
	}
	return kept
}
