package eviction

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/record"

	"github.com/pintle-io/pintle/core/node/internal/machine"
	"github.com/pintle-io/pintle/core/node/internal/podstatus"
)

func TestCheck(t *testing.T) {
	full := &machine.Disk{TotalBytes: 1000, AvailableBytes: 50, TotalInodes: 100, FreeInodes: 50}
	fine := &machine.Disk{TotalBytes: 1000, AvailableBytes: 500, TotalInodes: 100, FreeInodes: 50}
	for name, c := range map[string]struct {
		m    Measured
		want string
	}{
		"fine":    {Measured{MemoryTotal: 1 << 30, MemoryAvailable: 1 << 29, Disk: fine, ImageDisk: fine, ProcessLimit: 1000}, ""},
		"memory":  {Measured{MemoryTotal: 1 << 30, MemoryAvailable: 1 << 20}, "The node was low on resource: memory. Threshold quantity: 100Mi, available: 1Mi."},
		"disk":    {Measured{Disk: full}, "ephemeral-storage. Threshold quantity: 100 of the node's disk, available: 50."},
		"images":  {Measured{Disk: fine, ImageDisk: full}, "150 of the disk of images"},
		"pids":    {Measured{Processes: 950, ProcessLimit: 1000}, "pids"},
		"nothing": {Measured{}, ""},
	} {
		got := Check(c.m, DefaultThresholds())
		if (len(got) == 0) != (c.want == "") || len(got) > 0 && !strings.Contains(got[0].Message, c.want) {
			t.Errorf("%s: %v, want %q", name, got, c.want)
		}
	}
}

func pod(name string, priority int32, memory string) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name)}, Spec: corev1.PodSpec{Priority: &priority, Containers: []corev1.Container{{Name: "c"}}}}
	if memory != "" {
		p.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse(memory)}
	}
	return p
}

func TestEvictsOneAtATime(t *testing.T) {
	pods := []*corev1.Pod{pod("within", 0, "1Gi"), pod("over", 0, "1Mi"), pod("far over", 0, ""), pod("important", 1000, ""), pod("critical", systemCritical, "")}
	usage := map[types.UID]Usage{}
	for _, p := range pods {
		usage[p.UID] = Usage{Memory: 100 << 20}
	}
	available := uint64(1)
	var order []string
	m := New(Options{
		Thresholds: DefaultThresholds(),
		Measure:    func() Measured { return Measured{MemoryTotal: 1 << 30, MemoryAvailable: available} },
		Pods:       func() []*corev1.Pod { return pods },
		Usage:      func(context.Context) map[types.UID]Usage { return usage },
		Overfull:   func(context.Context, *corev1.Pod) string { return "" },
		Fail: func(uid types.UID, f podstatus.Failure, _ time.Duration) bool {
			if f.Reason != "Evicted" {
				t.Errorf("reason %s", f.Reason)
			}
			order = append(order, string(uid))
			for _, p := range pods {
				if p.UID == uid {
					p.Status.Phase = corev1.PodFailed
				}
			}
			return true
		},
		Changed: func() {}, Events: record.NewFakeRecorder(100), Log: slog.New(slog.DiscardHandler),
	})
	for range 6 {
		m.Look(context.Background())
	}
	if got := strings.Join(order, ", "); got != "far over, over, important, within" {
		t.Errorf("evicted %s", got)
	}
	if m.Pressure(Memory) == "" || m.Pressure(Disk) != "" {
		t.Errorf("pressure %q %q", m.Pressure(Memory), m.Pressure(Disk))
	}
}
