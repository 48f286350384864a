package oracle

import "time"

// sale is a sale of the shop as its topic has it: all that is known of an order so far.
type sale struct {
	Order   *ShopOrder `json:"order"`
	Placed  time.Time  `json:"placed"`
	Cents   int64      `json:"cents"`
	Carrier string     `json:"carrier"`
}

func (s sale) status() string {
	paid, shipped := s.Cents >= s.Order.Total(), s.Carrier != ""
	return map[[2]bool]string{{}: "placed", {true, false}: "paid", {false, true}: "shipped", {true, true}: "complete"}[[2]bool{paid, shipped}]
}

// known is how many of a payment and a shipment the sale has.
func (s sale) known() (n int) {
	if s.Cents != 0 {
		n++
	}
	if s.Carrier != "" {
		n++
	}
	return n
}

// joined judges the sales of a join: an order, its payment and its shipment come in any order, and from the order on each
// of them makes one output, which has all that came before.
type joined struct {
	orders          map[string]*joinedOrder
	inputs, outputs int
}

// joinedOrder is what came in for one order, and what came out.
type joinedOrder struct {
	orders, payments, shipments int
	// final is what must be known in the end.
	final sale
	told  []sale
}

func (j *joined) order(id string) *joinedOrder {
	if j.orders == nil {
		j.orders = map[string]*joinedOrder{}
	}
	o := j.orders[id]
	if o == nil {
		o = &joinedOrder{}
		j.orders[id] = o
	}
	return o
}

// placed tells of an order, paid of its payment and shipped of its shipment. All are told before the first output.
func (j *joined) placed(order ShopOrder, at time.Time) {
	j.inputs++
	o := j.order(order.ID)
	o.orders++
	o.final.Order, o.final.Placed = &order, at
}

func (j *joined) paid(id string, cents int64) {
	j.inputs++
	o := j.order(id)
	o.payments++
	o.final.Cents += cents
}

func (j *joined) shipped(id, carrier string) {
	j.inputs++
	o := j.order(id)
	o.shipments++
	o.final.Carrier = carrier
}

func (j *joined) output(id string, s sale) {
	o := j.order(id)
	o.told = append(o.told, s)
	j.outputs++
}

func (j *joined) report() Report {
	r := newReport(j.inputs, j.outputs)
	for id, o := range j.orders {
		r.add(id, o.faults())
	}
	return r
}

func (o *joinedOrder) faults() (f Faults) {
	switch {
	case o.orders == 0:
		// Nobody has ordered, or the order was refused.
		return Faults{Wrong: len(o.told)}
	case len(o.told) == 0:
		return Faults{Lost: 1}
	case o.orders > 1 || o.payments > 1 || o.shipments > 1:
		// A message came in twice. When which came can't be told; what is known in the end can.
		if !o.told[len(o.told)-1].equal(o.final) {
			f.Wrong++
		}
		return f
	}
	before := o.told[0].known() - 1
	for _, s := range o.told {
		switch now := s.known(); {
		case !o.leadsTo(s):
			f.Wrong++
		case now == before+1:
			before = now
		case now == before:
			f.Doubled++
		case now < before:
			f.Reordered++
		default:
			f.Lost += now - before - 1
			before = now
		}
	}
	f.Lost += o.payments + o.shipments - before
	return f
}

// leadsTo says whether a sale can be a step on the way to the final one.
func (o *joinedOrder) leadsTo(s sale) bool {
	if s.Cents == 0 {
		s.Cents = o.final.Cents
	}
	if s.Carrier == "" {
		s.Carrier = o.final.Carrier
	}
	return s.equal(o.final)
}

func (s sale) equal(other sale) bool {
	return s.Order != nil && s.Order.equal(*other.Order) && s.Placed.Equal(other.Placed) && s.Cents == other.Cents && s.Carrier == other.Carrier
}
