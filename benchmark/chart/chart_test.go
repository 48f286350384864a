package chart

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
)

// everything has what any figure of the benchmark has.
func everything() Figure {
	line := Line{Name: "a", X: []float64{1, 10, 100}, Y: []float64{1, 20, 300}, Low: []float64{1, 10, 200}, High: []float64{2, 30, 400}, Marked: true}
	other := line
	other.Name = "b <&>"
	return Figure{Title: "Everything", Panels: []Panel{
		{X: Axis{"keys", Log}, Y: Axis{"milliseconds", Log}, Lines: []Line{line, other}},
		{X: Axis{"percentile", Tail}, Y: Axis{Label: "µs"}, Lines: []Line{{X: []float64{0, 50, 99.9}, Y: []float64{1, 2, 3}}}},
		{Y: Axis{Label: "messages/s"}, Bars: Bars{Groups: []string{"one", "two", "three"}, Series: []Line{line, other}}},
		{X: Axis{Label: "one point"}, Y: Axis{Label: "nothing"}, Lines: []Line{{X: []float64{0}, Y: []float64{0}}}},
		{X: Axis{"nowhere", Log}, Y: Axis{"nothing", Log}, Lines: []Line{{Name: "empty"}, {Name: "too"}}},
	}}
}

func svg(t *testing.T, f Figure) string {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, f.WriteSVG(&out))
	return out.String()
}

func TestTheSameFigureIsTheSameFile(t *testing.T) {
	first := svg(t, everything())
	require.Equal(t, first, svg(t, everything()))
	require.NotContains(t, first, "NaN")
	require.NotContains(t, first, "Inf")
	for _, text := range []string{"Everything", "b &lt;&amp;&gt;", "99.9%", "µs", "three"} {
		require.Contains(t, first, text)
	}
	require.Less(t, len(first), 60<<10)
}

func TestWhatHasNoPlaceIsAnError(t *testing.T) {
	for problem, panel := range map[string]Panel{
		"no place on the logarithmic": {X: Axis{Scale: Log}, Lines: []Line{{X: []float64{0}, Y: []float64{1}}}},
		"no percentile below 100":     {X: Axis{Scale: Tail}, Lines: []Line{{X: []float64{100}, Y: []float64{1}}}},
		"NaN has no place":            {Lines: []Line{{X: []float64{1}, Y: []float64{math.NaN()}}}},
		"2 places and 1 values":       {Lines: []Line{{X: []float64{1, 2}, Y: []float64{1}}}},
		"1 bars for 2 groups":         {Bars: Bars{Groups: []string{"a", "b"}, Series: []Line{{Y: []float64{1}}}}},
		"1 values, 2 lowest":          {Lines: []Line{{X: []float64{1}, Y: []float64{1}, Low: []float64{1, 1}}}},
	} {
		require.ErrorContains(t, Figure{Panels: []Panel{panel}}.WriteSVG(&bytes.Buffer{}), problem)
	}
	require.Error(t, Figure{}.WriteSVG(&bytes.Buffer{}))
}

func TestLongLinesKeepTheirPeaks(t *testing.T) {
	points := make(plotter.XYs, 100_000)
	for i := range points {
		points[i] = plotter.XY{X: float64(i), Y: 10}
	}
	points[70_001].Y, points[30_003].Y = 1000, -5
	thinned := thin(points)
	require.LessOrEqual(t, len(thinned), 4*(columns+1))
	for _, peak := range []int{0, 30_003, 70_001, len(points) - 1} {
		require.Contains(t, thinned, points[peak])
	}
	for i := range thinned[1:] {
		require.Less(t, thinned[i].X, thinned[i+1].X)
	}
	// Nothing to tell columns by.
	same := make(plotter.XYs, 10_000)
	require.NotEmpty(t, thin(same))
}

func TestSeries(t *testing.T) {
	figure, err := Series("Soak", strings.NewReader("# a comment\nelapsed (s), messages/s ,memory (MiB)\n0,10,\n1,20,64\n2,,65\n"))
	require.NoError(t, err)
	require.Len(t, figure.Panels, 2)
	require.Equal(t, Line{X: []float64{0, 1}, Y: []float64{10, 20}}, figure.Panels[0].Lines[0])
	require.Equal(t, Line{X: []float64{1, 2}, Y: []float64{64, 65}}, figure.Panels[1].Lines[0])
	drawn := svg(t, figure)
	for _, text := range []string{"Soak", "elapsed (s)", "messages/s", "memory (MiB)"} {
		require.Contains(t, drawn, text)
	}
	for text, problem := range map[string]string{
		"":             "names of columns",
		"a":            "1 column",
		"a,b\n1,2\nx,": `line 3: strconv.ParseFloat: parsing "x"`,
		"a,b\n1,y":     `parsing "y"`,
		"a,b\n1,2,3":   "wrong number of fields",
	} {
		_, err := Series("", strings.NewReader(text))
		require.ErrorContains(t, err, problem)
	}
}

func TestNumbersAreShort(t *testing.T) {
	for want, v := range map[string]float64{"0": 0, "0.25": 0.25, "-3": -3, "999": 999, "1k": 1000, "1.5M": 1.5e6, "2G": 2e9} {
		require.Equal(t, want, number(v))
	}
	require.Equal(t, "[0 50 100 150 200]", labels(steps, 0, 200))
	require.Equal(t, "[1 2 5 10 20 50 100]", labels(powers, 1, 100))
	require.Equal(t, "[100 1k 10k 100k 1M]", labels(powers, 90, 1e6))
}

func labels(of plot.TickerFunc, low, high float64) string {
	var all []string
	for _, tick := range of(low, high) {
		if tick.Label != "" {
			all = append(all, tick.Label)
		}
	}
	return fmt.Sprint(all)
}
