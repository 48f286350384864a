package chart

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Series reads comma-separated values as a figure: the first column is the horizontal axis, each further one is a line in a
// panel of its own, and the first row names them all, with their units. An empty field leaves a point out.
func Series(title string, r io.Reader) (Figure, error) {
	rows := csv.NewReader(r)
	rows.Comment, rows.ReuseRecord = '#', true
	header, err := rows.Read()
	if err != nil {
		return Figure{}, fmt.Errorf("names of columns: %w", err)
	}
	if len(header) < 2 {
		return Figure{}, fmt.Errorf("%d column; one to draw along and one to draw are the least", len(header))
	}
	figure := Figure{Title: title, Panels: make([]Panel, len(header)-1)}
	for i := range figure.Panels {
		figure.Panels[i].Y.Label = strings.TrimSpace(header[i+1])
		figure.Panels[i].Lines = make([]Line, 1)
	}
	figure.Panels[len(header)-2].X.Label = strings.TrimSpace(header[0])
	for {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			return figure, nil
		}
		if err != nil {
			return Figure{}, err
		}
		if err := figure.addRow(row); err != nil {
			line, _ := rows.FieldPos(0)
			return Figure{}, fmt.Errorf("line %d: %w", line, err)
		}
	}
}

func (f Figure) addRow(row []string) error {
	x, err := strconv.ParseFloat(strings.TrimSpace(row[0]), 64)
	if err != nil {
		return err
	}
	for i, field := range row[1:] {
		if field = strings.TrimSpace(field); field == "" {
			continue
		}
		y, err := strconv.ParseFloat(field, 64)
		if err != nil {
			return err
		}
		line := &f.Panels[i].Lines[0]
		line.X, line.Y = append(line.X, x), append(line.Y, y)
	}
	return nil
}
