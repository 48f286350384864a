// Command table keeps tables of the products on sale and of what they have cost, from a topic of prices. A tombstone takes
// a product out of the shop.
package main

import (
	"context"
	"errors"
	"time"

	"github.com/uptrace/bun"

	"github.com/kappaflows/flows"
	"github.com/kappaflows/flows/format"
	"github.com/kappaflows/flows/materialise"
	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/topic"
)

// Product is one product on sale.
type Product struct {
	bun.BaseModel `bun:"table:products"`
	Name          string `bun:"name,pk"`
	Cents         int64  `bun:"cents,notnull"`
}

// Price is what a product cost from a time on.
type Price struct {
	bun.BaseModel `bun:"table:prices"`
	Name          string    `bun:"name,pk"`
	Since         time.Time `bun:"since,pk"`
	Cents         int64     `bun:"cents,notnull"`
}

var (
	prices      = topic.New("prices", format.String(), format.Int64())
	productRows = materialise.TableOf[Product]()
	priceRows   = materialise.TableOf[Price]()
)

func keep(_ context.Context, price topic.Message[string, int64]) (materialise.Changes, error) {
	if price.Tombstone {
		return productRows.Delete(Product{Name: price.Key}), nil
	}
	if price.Value < 0 {
		return nil, runtime.Permanent(errors.New("a price is not negative"))
	}
	changes := productRows.Upsert(Product{Name: price.Key, Cents: price.Value})
	return append(changes, priceRows.Upsert(Price{Name: price.Key, Since: price.Timestamp, Cents: price.Value})...), nil
}

func keeping() materialise.Config[string, int64] {
	return materialise.Config[string, int64]{
		Name: "keep", Input: prices, Tables: materialise.Tables{productRows, priceRows}, Function: keep,
	}
}

func main() { flows.Main(keeping()) }
