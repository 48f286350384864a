package oracle

import (
	"context"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Programs are the examples that can be judged, by name. Each has a report for every topic and table that it writes.
var Programs = map[string]func(Oracle, context.Context) (map[string]Report, error){
	"wordcount": Oracle.WordCount,
	"enrich":    Oracle.Enrich,
	"table":     Oracle.Table,
	"shop":      Oracle.Shop,
}

// partitionsOfKeys is what the report of a Placing is called.
const partitionsOfKeys = "partitions of keys"

// WordCount judges the words of lines, the counts of words, and the dead letters: lines that are no text must become one
// each, and nothing else.
func (o Oracle) WordCount(ctx context.Context) (map[string]Report, error) {
	var (
		places  Placing
		letters Letters
	)
	words, err := o.words(ctx, "lines", "words", &places, &letters)
	if err != nil {
		return nil, err
	}
	counts, err := o.counts(ctx, "words", "counts", "word_count", &places)
	if err != nil {
		return nil, err
	}
	err = o.letters(ctx, &letters, &places, "split", "count")
	return map[string]Report{"words": words, "counts": counts, "dead letters": letters.Report(), partitionsOfKeys: places.Report()}, err
}

func isText(r *kgo.Record) bool { return utf8.Valid(r.Key) && utf8.Valid(r.Value) }

// Counts judges the running counts of the keys of a topic, and the table of them.
func (o Oracle) Counts(ctx context.Context, input, output, table string) (Report, error) {
	return o.counts(ctx, input, output, table, &Placing{})
}

func (o Oracle) counts(ctx context.Context, input, output, table string, places *Placing) (Report, error) {
	var judge Counting
	if err := o.Each(ctx, input, func(r *kgo.Record) { judge.Input(string(r.Key)) }); err != nil {
		return Report{}, err
	}
	err := o.written(ctx, output, places, func(r *kgo.Record) { judge.Output(string(r.Key), string(r.Value)) })
	if err != nil {
		return Report{}, err
	}
	query := "select key, convert_from(state, 'UTF8') from " + pgx.Identifier{table}.Sanitize()
	err = o.rows(ctx, query, judge.Row)
	return judge.Report(), err
}

// words judges the words of a topic that were taken out of the lines of another, each with itself for a key, and tells letters
// of the lines that have none to give.
func (o Oracle) words(ctx context.Context, input, output string, places *Placing, letters *Letters) (Report, error) {
	var judge Copying
	err := o.Each(ctx, input, func(r *kgo.Record) {
		if !isText(r) {
			letters.Input("split", r)
			return
		}
		for word := range strings.FieldsSeq(string(r.Value)) {
			judge.Input(word + "=" + word)
		}
	})
	if err != nil {
		return Report{}, err
	}
	err = o.written(ctx, output, places, func(r *kgo.Record) { judge.Output(string(r.Key) + "=" + string(r.Value)) })
	return judge.Report(), err
}

// Enrich judges a join: every order must be in one of the two topics that orders go to, once. Their keys are unique.
func (o Oracle) Enrich(ctx context.Context) (map[string]Report, error) {
	var judge Copying
	if err := o.Each(ctx, "orders", func(r *kgo.Record) { judge.Input(string(r.Key)) }); err != nil {
		return nil, err
	}
	for _, topic := range []string{"shipments", "strangers"} {
		if err := o.Each(ctx, topic, func(r *kgo.Record) { judge.Output(string(r.Key)) }); err != nil {
			return nil, err
		}
	}
	return map[string]Report{"shipments": judge.Report()}, nil
}

// Table judges two tables, and dead letters: prices below zero must become one each, and nothing else.
func (o Oracle) Table(ctx context.Context) (map[string]Report, error) {
	var (
		products, prices Latest
		letters          Letters
		places           Placing
	)
	err := o.Each(ctx, "prices", func(r *kgo.Record) {
		name, cents := string(r.Key), string(r.Value)
		switch {
		case r.Value == nil:
			products.Delete(name)
		case strings.HasPrefix(cents, "-"):
			letters.Input("keep", r)
		default:
			products.Set(name, cents)
			prices.Set(name+"@"+strconv.FormatInt(r.Timestamp.UnixMilli(), 10), cents)
		}
	})
	if err != nil {
		return nil, err
	}
	if err := o.rows(ctx, "select name, cents::text from products", products.Row); err != nil {
		return nil, err
	}
	query := "select name || '@' || (extract(epoch from since) * 1000)::bigint, cents::text from prices"
	if err := o.rows(ctx, query, prices.Row); err != nil {
		return nil, err
	}
	err = o.letters(ctx, &letters, &places, "keep")
	return map[string]Report{
		"products": products.Report(), "prices": prices.Report(), "keep.dead-letter": letters.Report(), partitionsOfKeys: places.Report(),
	}, err
}
