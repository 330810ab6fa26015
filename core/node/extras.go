package node

import (
	"context"
	"sync"
)

// extras are the parts that serve others: the endpoint, garbage collection and
// eviction.
func (a *Agent) extras(ctx context.Context, wg *sync.WaitGroup, p *parts, errc chan<- error) error {
	return nil
}
