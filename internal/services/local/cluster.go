package local

import (
	"context"
	"errors"
	"maps"

	"golang.org/x/sync/errgroup"
)

// Cluster is a controller and several brokers, each a process. Topics have a copy on each broker unless they say
// otherwise, and what is acknowledged is on two at least.
type Cluster struct {
	Controller *Service
	Brokers    []*Service
}

// internal is the listener by which brokers speak with each other, past whatever clients are told to come through.
const internal = "INTERNAL"

// StartCluster starts as many brokers as there are configurations, and a controller.
func StartCluster(ctx context.Context, configs []Config) (*Cluster, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	n := node{cluster: clusterID(), controller: loopback(port), copies: len(configs), kept: min(2, len(configs)), heap: "384m"}
	c := &Cluster{Brokers: make([]*Service, len(configs))}
	if err := c.prepare(ctx, configs, n); err != nil {
		return nil, errors.Join(err, c.Remove())
	}
	if err := c.Controller.Start(ctx); err != nil {
		return nil, errors.Join(err, c.Remove())
	}
	starts, ctx := errgroup.WithContext(ctx)
	for _, broker := range c.Brokers {
		starts.Go(func() error { return broker.Start(ctx) })
	}
	if err := starts.Wait(); err != nil {
		return nil, errors.Join(err, c.Remove())
	}
	return c, nil
}

// prepare makes all nodes at once: most of the time goes into the start of a program for each.
func (c *Cluster) prepare(ctx context.Context, configs []Config, n node) error {
	nodes, ctx := errgroup.WithContext(ctx)
	nodes.Go(func() (err error) {
		controller := n
		controller.id, controller.roles, controller.heap = 100, "controller", "256m"
		c.Controller, err = newNode(ctx, Config{}, controller)
		return err
	})
	for i, config := range configs {
		nodes.Go(func() (err error) {
			broker := n
			broker.id, broker.roles = i+1, "broker"
			listeners := map[string]string{internal: "PLAINTEXT"}
			maps.Copy(listeners, config.Listeners)
			config.Listeners = listeners
			config.Settings = append([]string{"inter.broker.listener.name=" + internal}, config.Settings...)
			c.Brokers[i], err = newNode(ctx, config, broker)
			return err
		})
	}
	return nodes.Wait()
}

// Remove ends all processes and deletes their folders.
func (c *Cluster) Remove() (err error) {
	for _, service := range append([]*Service{c.Controller}, c.Brokers...) {
		if service != nil {
			err = errors.Join(err, service.Remove())
		}
	}
	return err
}
