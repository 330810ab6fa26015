package engine

import (
	"fmt"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/pintle-io/pintle/sdk/runtime"
)

// BenchmarkPods measures from nothing to running and back, for pods of one
// container that start at the same time.
func BenchmarkPods(b *testing.B) {
	for _, pods := range []int{1, 5, 30} {
		b.Run(fmt.Sprint(pods), func(b *testing.B) {
			n := newNode(b)
			for b.Loop() {
				var group errgroup.Group
				var requests []*runtime.CreateSandboxRequest
				for range pods {
					requests = append(requests, n.sandboxRequest())
				}
				for _, req := range requests {
					group.Go(func() error {
						if _, err := n.CreateSandbox(n.ctx, req); err != nil {
							return err
						}
						id := req.GetSandboxId() + "-c"
						if _, err := n.CreateContainer(n.ctx, &runtime.CreateContainerRequest{
							SandboxId: req.GetSandboxId(), ContainerId: id, Name: "main", Image: testImage, Args: []string{"sleep"}, LogPath: n.dir + "/" + id,
						}); err != nil {
							return err
						}
						_, err := n.StartContainer(n.ctx, &runtime.StartContainerRequest{ContainerId: id})
						return err
					})
				}
				if err := group.Wait(); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				for _, req := range requests {
					group.Go(func() error {
						_, err := n.RemoveSandbox(n.ctx, &runtime.RemoveSandboxRequest{SandboxId: req.GetSandboxId()})
						return err
					})
				}
				if err := group.Wait(); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
	}
}
