package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/kappaflows/flows/benchmark/chart"
)

// draw makes the figures for which there are results.
func (r *report) draw() error {
	r.drawn = map[string]bool{}
	all := map[string]chart.Figure{"throughput": r.throughput(), "latency": r.latency()}
	for _, p := range parts {
		if o := r.results[p.id]; o != nil && p.sweep != nil && p.columns[0] == rate {
			all[p.id] = swept(p, *o)
		}
	}
	for name, figure := range all {
		if len(figure.Panels) == 0 {
			continue
		}
		var svg bytes.Buffer
		if err := figure.WriteSVG(&svg); err != nil {
			return fmt.Errorf("figure %s: %w", name, err)
		}
		if err := os.WriteFile(filepath.Join(r.folder, name+".svg"), svg.Bytes(), 0o644); err != nil {
			return err
		}
		r.drawn[name] = true
	}
	return nil
}

// throughput draws counting by how messages spread over keys: a group of bars each.
func (r *report) throughput() chart.Figure {
	var bars chart.Bars
	series := make([]chart.Line, len(countContenders))
	for _, p := range parts {
		o := r.results[p.id]
		if o == nil || !strings.HasPrefix(p.id, countPrefix) {
			continue
		}
		bars.Groups = append(bars.Groups, strings.TrimPrefix(p.title, "Count, "))
		for i, c := range countContenders {
			f, _ := o.figure(c.name, 0, rate)
			series[i].Name = c.name
			add(&series[i], 0, f)
		}
	}
	if len(bars.Groups) == 0 {
		return chart.Figure{}
	}
	bars.Series = series
	return chart.Figure{
		Title:  "Count: messages a second, medians with the lowest and the highest",
		Panels: []chart.Panel{{Y: chart.Axis{Label: rate}, Bars: bars}},
	}
}

func add(line *chart.Line, x float64, f spread) {
	line.X, line.Y = append(line.X, x), append(line.Y, f.median)
	line.Low, line.High = append(line.Low, f.lowest), append(line.High, f.highest)
}

// swept draws what contenders give along the part's sweep.
func swept(p part, o outcome) chart.Figure {
	panel := chart.Panel{X: chart.Axis{Label: p.sweep.name, Scale: chart.Log}, Y: chart.Axis{Label: p.columns[0]}}
	for _, c := range p.contenders {
		line := chart.Line{Name: c.name, Marked: true}
		for _, at := range p.places(o.Settings) {
			if f, ok := o.figure(c.name, at, p.columns[0]); ok {
				add(&line, float64(at), f)
			}
		}
		panel.Lines = append(panel.Lines, line)
	}
	return chart.Figure{Title: p.title, Panels: []chart.Panel{panel}}
}

// latency draws the percentiles of each contender, a panel for each rate.
func (r *report) latency() (figure chart.Figure) {
	figure.Title = "Latency of count by percentile"
	for _, p := range parts {
		o := r.results[p.id]
		if o == nil || p.columns[0] != latencyColumns[0] {
			continue
		}
		for _, at := range p.places(o.Settings) {
			sent := at
			if p.sweep == nil {
				sent = o.Settings.Rate
			}
			figure.Panels = append(figure.Panels, chart.Panel{
				X:     chart.Axis{Label: "percentile", Scale: chart.Tail},
				Y:     chart.Axis{Label: fmt.Sprintf("ms at %s messages/s", grouped(float64(sent))), Scale: chart.Log},
				Lines: curves(p, *o, at),
			})
		}
	}
	return figure
}

// curves are the percentiles of each contender.
func curves(p part, o outcome, at int) (lines []chart.Line) {
	for _, c := range p.contenders {
		line := chart.Line{Name: c.name}
		for _, percentile := range percentiles {
			if f, ok := o.figure(c.name, at, percentile.name); ok {
				line.X, line.Y = append(line.X, percentile.at), append(line.Y, max(f.median, 0.001))
			}
		}
		lines = append(lines, line)
	}
	return lines
}
