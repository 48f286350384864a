package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/uptrace/bun"

	"github.com/kappaflows/flows/format"
	"github.com/kappaflows/flows/materialise"
	"github.com/kappaflows/flows/topic"
)

// sale is a row of five columns.
type sale struct {
	bun.BaseModel `bun:"table:sales"`

	ID       int64     `bun:"id,pk"`
	Product  string    `bun:"product"`
	Quantity int32     `bun:"quantity"`
	Price    float64   `bun:"price"`
	Sold     time.Time `bun:"sold"`
}

var sales = materialise.TableOf[sale]()

// saleOf is the row of a message: of its place in the input, or of its key, which comes again.
func saleOf(m topic.Message[[]byte, []byte], partitions int, again bool) sale {
	id := m.Offset*int64(partitions) + int64(m.Partition)
	if again {
		id, _ = strconv.ParseInt(string(m.Key[len("key-"):]), 10, 64)
	}
	return sale{ID: id, Product: string(m.Key), Quantity: int32(m.Offset % 100), Price: float64(m.Offset) / 100, Sold: m.Timestamp}
}

// runRows is the work of materialise: a row a message, each a new one or one of as many as there are keys.
func runRows(again bool) func(context.Context, *place, int) (result, error) {
	return func(ctx context.Context, p *place, run int) (result, error) {
		return p.flow(ctx, run, materialise.Config[[]byte, []byte]{
			Name: p.name("rows-"+strconv.FormatBool(again), run), Input: topic.New(p.input, format.Bytes(), format.Bytes()),
			Tables: materialise.Tables{sales},
			Function: func(_ context.Context, m topic.Message[[]byte, []byte]) (materialise.Changes, error) {
				return sales.Upsert(saleOf(m, p.settings.partitions, again)), nil
			},
		})
	}
}

// runCopy copies as many rows of the same columns by one psql, from a file, into a table with the same key.
func runCopy(ctx context.Context, p *place, run int) (r result, err error) {
	url, err := p.database(ctx, int(time.Now().UnixNano()%1e6)*10+run)
	if err != nil {
		return r, err
	}
	file, err := p.salesFile()
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, os.Remove(file)) }()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return r, err
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, `create table sales (id bigint primary key, product varchar, quantity integer, price double precision, sold timestamptz)`); err != nil {
		return r, err
	}
	start := time.Now()
	command := exec.CommandContext(ctx, "psql", url, "-q", "-c", `\copy sales from `+file+` csv`)
	if output, err := command.CombinedOutput(); err != nil {
		return r, fmt.Errorf("%w: %s", err, output)
	}
	return result{messages: p.settings.messages, took: time.Since(start), cpu: command.ProcessState.UserTime()}, nil
}

func (p *place) salesFile() (string, error) {
	file, err := os.CreateTemp("", "sales*.csv")
	if err != nil {
		return "", err
	}
	out, next, now := bufio.NewWriter(file), keys(p.settings), time.Now().Format(time.RFC3339Nano)
	for i := range p.settings.messages {
		if _, err := fmt.Fprintf(out, "%d,%s,%d,%g,%s\n", i, next(), i%100, float64(i)/100, now); err != nil {
			return "", err
		}
	}
	return file.Name(), errors.Join(out.Flush(), file.Close())
}
