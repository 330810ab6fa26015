package main

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/pintle-io/pintle/sdk/proxy"
)

// TestAChangeWritesFewLines counts what iptables-restore is given when one of
// many services gets an endpoint more: it must not grow with the services.
func TestAChangeWritesFewLines(t *testing.T) {
	onNode(t, func() error {
		ctx := context.Background()
		p, err := configured(node())
		if err != nil {
			return err
		}
		var services []*proxy.Service
		for i := range 200 {
			services = append(services, service(fmt.Sprintf("s%d", i), fmt.Sprintf("10.43.1.%d", i), int32(31000+i), "192.0.2.11", "192.0.2.12"))
		}
		state := all(services...)
		if _, err := p.Sync(ctx, state); err != nil {
			return err
		}
		before := p.tables[0].applied
		state.All, state.Services["d/s7"] = false, service("s7", "10.43.1.7", 31007, "192.0.2.11", "192.0.2.12", "192.0.2.13")
		if _, err := p.Sync(ctx, state); err != nil {
			return err
		}
		after := p.tables[0].applied
		input := difference("nat", before.nat, after.nat) + difference("filter", before.filter, after.filter)
		// Two chains with their rules, and what frames them.
		if lines := strings.Count(input, "\n"); lines > 9 {
			return fmt.Errorf("%d lines for one endpoint of 200 services:\n%s", lines, input)
		}
		return p.Leave(ctx)
	})
}
