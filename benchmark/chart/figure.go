// Package chart draws figures of measurements as SVG: lines and bars in panels above each other. The same figure is the same
// file on every machine, on a white ground that is readable on a dark page, too.
package chart

import (
	"bytes"
	"errors"
	"fmt"
	"image/color"
	"io"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// Figure is one file: a title, and panels that share their horizontal axis.
type Figure struct {
	Title  string
	Panels []Panel
}

// Panel is one pair of axes and what is drawn on it: lines or bars.
type Panel struct {
	X, Y  Axis
	Lines []Line
	Bars  Bars
}

// Line is one line. Empty measurements are left out before.
type Line struct {
	Name string
	X, Y []float64
	// Low and High are the lowest and the highest of what a point is the median of; nil where there is one only.
	Low, High []float64
	// Marked draws each point as a dot.
	Marked bool
}

// Bars are groups of bars beside each other.
type Bars struct {
	// Groups are the names below the groups.
	Groups []string
	// Series have one bar in each group: X is not used.
	Series []Line
}

const (
	width       = 9 * vg.Inch
	panelHeight = 2.6 * vg.Inch
	padding     = 8
)

// colours are told from each other by those who do not see all of them, and on paper (Okabe and Ito).
var colours = []color.Color{
	color.RGBA{0x00, 0x72, 0xb2, 0xff}, // blue
	color.RGBA{0xd5, 0x5e, 0x00, 0xff}, // vermilion
	color.RGBA{0x00, 0x9e, 0x73, 0xff}, // green
	color.RGBA{0xcc, 0x79, 0xa7, 0xff}, // purple
	color.RGBA{0xe6, 0x9f, 0x00, 0xff}, // orange
	color.RGBA{0x56, 0xb4, 0xe9, 0xff}, // sky
	color.RGBA{0x00, 0x00, 0x00, 0xff},
}

// palette gives each name one colour in all panels of a figure.
type palette map[string]color.Color

func (p palette) of(name string) color.Color {
	if _, ok := p[name]; !ok {
		p[name] = colours[len(p)%len(colours)]
	}
	return p[name]
}

// WriteSVG draws the figure.
func (f Figure) WriteSVG(w io.Writer) error {
	if len(f.Panels) == 0 {
		return errors.New("a figure without panels")
	}
	named := palette{}
	rows := make([][]*plot.Plot, len(f.Panels))
	for i, panel := range f.Panels {
		p, err := panel.draw(named)
		if err != nil {
			return fmt.Errorf("panel %d, %s: %w", i+1, panel.Y.Label, err)
		}
		rows[i] = []*plot.Plot{p}
	}
	rows[0][0].Title.Text = f.Title
	f.share(rows)
	height := panelHeight * vg.Length(len(rows))
	canvas := vgsvg.NewWith(vgsvg.UseWH(width, height))
	whole := draw.New(canvas)
	whole.SetColor(color.White)
	whole.Fill(whole.Path())
	tiles := draw.Tiles{Rows: len(rows), Cols: 1, PadTop: padding, PadBottom: padding, PadLeft: padding, PadRight: 2 * padding, PadY: padding}
	for i, row := range plot.Align(rows, tiles, whole) {
		rows[i][0].Draw(row[0])
	}
	var svg bytes.Buffer
	if _, err := canvas.WriteTo(&svg); err != nil {
		return err
	}
	_, err := compact.WriteString(w, svg.String())
	return err
}

// compact names fonts that are as wide as the one that the layout was made with, and leaves out what is the default anyway.
var compact = strings.NewReplacer(
	"font-family:Liberation Sans;font-variant:none;font-weight:normal;font-style:normal", "font-family:Liberation Sans,Arial,Helvetica,sans-serif",
	"font-family:Liberation Sans;font-variant:normal;font-weight:normal;font-style:normal", "font-family:Liberation Sans,Arial,Helvetica,sans-serif",
	";stroke-opacity:1", "", "\n\tstyle", " style",
)

// share gives all panels the same ends of the horizontal axis, where they have the same scale along it.
func (f Figure) share(rows [][]*plot.Plot) {
	for i, one := range rows {
		for j, other := range rows {
			if f.Panels[i].alike(f.Panels[j]) {
				low, high := min(one[0].X.Min, other[0].X.Min), max(one[0].X.Max, other[0].X.Max)
				one[0].X.Min, one[0].X.Max, other[0].X.Min, other[0].X.Max = low, high, low, high
			}
		}
	}
}

func (panel Panel) alike(other Panel) bool {
	return panel.X.Scale == other.X.Scale && panel.Bars.Series == nil && other.Bars.Series == nil
}

func (panel Panel) draw(named palette) (*plot.Plot, error) {
	p := plot.New()
	p.BackgroundColor = nil
	sans(p)
	panel.X.set(&p.X)
	panel.Y.set(&p.Y)
	grid := plotter.NewGrid()
	grid.Vertical.Color, grid.Horizontal.Color = color.Gray{0xe0}, color.Gray{0xe0}
	p.Add(grid)
	p.Legend.Top, p.Legend.Left = true, true
	p.Legend.Padding, p.Legend.XOffs = 2, 6
	if err := panel.addBars(p, named); err != nil {
		return nil, err
	}
	for _, line := range panel.Lines {
		if err := panel.addLine(p, line, named); err != nil {
			return nil, fmt.Errorf("%s: %w", line.Name, err)
		}
	}
	panel.Y.fit(&p.Y, panel.free())
	if panel.Bars.Series == nil {
		panel.X.fit(&p.X, 0)
	}
	return p, nil
}

// free is the share of the panel's height that is for the legend.
func (panel Panel) free() float64 {
	const least, each = 0.05, 0.1
	if entries := len(panel.Lines) + len(panel.Bars.Series); entries > 1 {
		return least + each*float64(entries)
	}
	return least
}

func sans(p *plot.Plot) {
	const small, large = 9, 12
	for _, style := range []*draw.TextStyle{&p.X.Label.TextStyle, &p.Y.Label.TextStyle, &p.X.Tick.Label, &p.Y.Tick.Label, &p.Legend.TextStyle, &p.Title.TextStyle} {
		style.Font = font.Font{Typeface: "Liberation", Variant: "Sans", Size: small}
	}
	p.Title.TextStyle.Font.Size = large
	p.Title.Padding = padding
}
