package pods

import (
	"log/slog"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/record"
	"k8s.io/utils/clock"

	"github.com/pintle-io/pintle/core/node/internal/images"
	"github.com/pintle-io/pintle/core/node/internal/objects"
	"github.com/pintle-io/pintle/core/node/internal/plugins"
	"github.com/pintle-io/pintle/core/node/internal/podspec"
	"github.com/pintle-io/pintle/core/node/internal/runtimeview"
	"github.com/pintle-io/pintle/core/node/internal/volumes"
)

// StatusWriter brings statuses to the API.
type StatusWriter interface {
	Set(pod *corev1.Pod, status corev1.PodStatus)
	Finish(pod *corev1.Pod, status corev1.PodStatus)
	Forget(uid podUID)
}

// Options of a Manager. All are required unless they say otherwise.
type Options struct {
	Plugins plugins.Lookup
	View    *runtimeview.View
	Volumes *volumes.Manager
	Objects *objects.Cache
	Images  *images.Manager
	Status  StatusWriter
	Events  record.EventRecorder
	Clock   clock.Clock
	Log     *slog.Logger

	// Node is this node as the API has it; nil until it is known.
	Node func() *corev1.Node
	// Services of all namespaces, for the environment of containers; nil until
	// they are known.
	Services func() ([]*corev1.Service, bool)
	// HostIPs of the node, the primary one first.
	HostIPs []string
	// Hostname of the node.
	Hostname string
	DNS      podspec.ClusterDNS
	// LogDir holds a directory a pod; its volumes' manager has the rest.
	LogDir string
	// SeccompDir holds profiles of type Localhost.
	SeccompDir string
	// CgroupRoot is the parent of the pods' cgroups, such as "/pintle".
	CgroupRoot string
	// RuntimeName prefixes container IDs in statuses: "containerd".
	RuntimeName func() string
}

const (
	// startSlots bounds the containers that are being created and started.
	startSlots = 16
	// crashBackoff doubles from its initial to its maximal value and is
	// forgotten after a container ran for twice the maximum.
	crashBackoff    = 10 * time.Second
	maxCrashBackoff = 5 * time.Minute
	// orphanGrace is what containers of a pod get that the API does not know.
	orphanGrace = time.Second
	// minGrace: a container gets a moment even when it is to end at once.
	minGrace     = time.Second
	defaultGrace = 30 * time.Second
	callTimeout  = 2 * time.Minute
	// stopSlack is what stopping may take beyond the grace period.
	stopSlack = 30 * time.Second
	minRetry  = 500 * time.Millisecond
	maxRetry  = 30 * time.Second
)
