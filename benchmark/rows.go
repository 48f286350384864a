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
		id, _ = strconv.ParseInt(string(m.Key[len(keyPrefix):]), 10, 64)
	}
	return sale{ID: id, Product: string(m.Key), Quantity: int32(m.Offset % 100), Price: float64(m.Offset) / 100, Sold: m.Timestamp}
}

// workRows materialises a row a message, each a new one or one of as many as there are keys.
func workRows(ctx context.Context, t task, tell func(event)) error {
	return runFlows(ctx, t, tell, materialise.Config[[]byte, []byte]{
		Name: t.Name, Input: topic.New(t.Inputs[0], format.Bytes(), format.Bytes()),
		Tables: materialise.Tables{sales},
		Function: func(_ context.Context, m topic.Message[[]byte, []byte]) (materialise.Changes, error) {
			row := saleOf(m, t.Settings.Partitions, t.Again)
			if t.Insert {
				return sales.Insert(row), nil
			}
			return sales.Upsert(row), nil
		},
		Options: t.options(),
	})
}

// runCopy copies as many rows of the same columns by one psql, from a file, into a table with the same key.
func runCopy(ctx context.Context, p *place, s settings) (figures, error) {
	url, drop, err := p.database(ctx)
	if err != nil {
		return nil, err
	}
	file, err := p.salesFile(s)
	if err != nil {
		return nil, err
	}
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, `create table sales (id bigint primary key, product varchar, quantity integer, price double precision, sold timestamptz)`); err != nil {
		return nil, err
	}
	start := time.Now()
	command := exec.CommandContext(ctx, "psql", url, "-q", "-c", `\copy sales from `+file+` csv`)
	if output, err := command.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, output)
	}
	return figuresOf(s.Messages, time.Since(start), command.ProcessState), drop()
}

// salesFile returns a file with as many rows as there are messages.
func (p *place) salesFile(s settings) (string, error) {
	if path, ok := p.files[s.Messages]; ok {
		return path, nil
	}
	file, err := os.CreateTemp("", "sales*.csv")
	if err != nil {
		return "", err
	}
	p.files[s.Messages] = file.Name()
	out, next, now := bufio.NewWriter(file), keys(s.input(0)), time.Now().Format(time.RFC3339Nano)
	for i := range s.Messages {
		if _, err := fmt.Fprintf(out, "%d,%s,%d,%g,%s\n", i, next(), i%100, float64(i)/100, now); err != nil {
			return "", errors.Join(err, file.Close())
		}
	}
	return file.Name(), errors.Join(out.Flush(), file.Close())
}
