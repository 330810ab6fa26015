package node

import (
	"context"
	"log/slog"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
)

type podUID = types.UID

// bySlice is the index of endpoint slices by their service.
const bySlice = "service"

// cluster is what the agent watches: its own pods, and the nodes, services and
// endpoint slices of the cluster, all without what the agent does not need.
type cluster struct {
	log *slog.Logger

	pods, nodes, services, slices cache.SharedIndexInformer
	nodeLister                    corelisters.NodeLister
	serviceLister                 corelisters.ServiceLister
	podRegistration               cache.ResourceEventHandlerRegistration

	onPod           func(*corev1.Pod)
	onPodGone       func(*corev1.Pod)
	onPodsKnown     func()
	onNode          func(*corev1.Node)
	onService       func(key string)
	onServicesKnown func()
}

func newCluster(client kubernetes.Interface, name string, log *slog.Logger) *cluster {
	mine := informers.NewSharedInformerFactoryWithOptions(client, 0,
		informers.WithTransform(trim),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) {
			o.FieldSelector = fields.OneTermEqualSelector("spec.nodeName", name).String()
		}))
	all := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithTransform(trim))
	c := &cluster{
		log:      log,
		pods:     mine.Core().V1().Pods().Informer(),
		nodes:    all.Core().V1().Nodes().Informer(),
		services: all.Core().V1().Services().Informer(),
		slices:   all.Discovery().V1().EndpointSlices().Informer(),
	}
	c.nodeLister = all.Core().V1().Nodes().Lister()
	c.serviceLister = all.Core().V1().Services().Lister()
	return c
}

// trim drops what the agent never looks at, so that it is not kept in memory.
// It copies: who watches shares the object.
func trim(obj any) (any, error) {
	switch o := obj.(type) {
	case *corev1.Pod:
		c := *o
		c.ManagedFields = nil
		return &c, nil
	case *corev1.Node:
		c := *o
		c.ManagedFields, c.Status.Images = nil, nil
		return &c, nil
	case *corev1.Service:
		c := *o
		c.ManagedFields = nil
		return &c, nil
	case *discoveryv1.EndpointSlice:
		c := *o
		c.ManagedFields = nil
		return &c, nil
	}
	return obj, nil
}

// run watches until ctx ends.
func (c *cluster) run(ctx context.Context) {
	c.handle(c.pods, func(obj any) {
		if pod, ok := obj.(*corev1.Pod); ok {
			c.onPod(pod)
		}
	}, func(obj any) {
		if pod, ok := obj.(*corev1.Pod); ok {
			c.onPodGone(pod)
		}
	})
	node := func(obj any) {
		if n, ok := obj.(*corev1.Node); ok {
			c.onNode(n)
		}
	}
	c.handle(c.nodes, node, node)
	service := func(obj any) {
		if s, ok := obj.(*corev1.Service); ok {
			c.onService(s.Namespace + "/" + s.Name)
		}
	}
	c.handle(c.services, service, service)
	slice := func(obj any) {
		if s, ok := obj.(*discoveryv1.EndpointSlice); ok {
			if name := s.Labels[discoveryv1.LabelServiceName]; name != "" {
				c.onService(s.Namespace + "/" + name)
			}
		}
	}
	c.handle(c.slices, slice, slice)
	if err := c.slices.AddIndexers(cache.Indexers{bySlice: func(obj any) ([]string, error) {
		s, ok := obj.(*discoveryv1.EndpointSlice)
		if !ok {
			return nil, nil
		}
		return []string{s.Namespace + "/" + s.Labels[discoveryv1.LabelServiceName]}, nil
	}}); err != nil {
		c.log.Error("indexing endpoint slices failed", "error", err)
	}
	done := make(chan struct{})
	informers := []cache.SharedIndexInformer{c.pods, c.nodes, c.services, c.slices}
	for _, i := range informers {
		go func() {
			i.RunWithContext(ctx)
			done <- struct{}{}
		}()
	}
	go func() {
		if cache.WaitForCacheSync(ctx.Done(), c.services.HasSynced, c.slices.HasSynced) {
			c.onServicesKnown()
		}
	}()
	if cache.WaitForCacheSync(ctx.Done(), c.podsHandled) {
		c.onPodsKnown()
	}
	for range informers {
		<-done
	}
}

// podsHandled: the first listing has been handed to onPod.
func (c *cluster) podsHandled() bool {
	return c.podRegistration != nil && c.podRegistration.HasSynced()
}

// handle calls changed for what is added or changed and removed for what is
// gone.
func (c *cluster) handle(i cache.SharedIndexInformer, changed, removed func(any)) {
	reg, err := i.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    changed,
		UpdateFunc: func(_, obj any) { changed(obj) },
		DeleteFunc: func(obj any) {
			if tomb, ok := obj.(cache.DeletedFinalStateUnknown); ok {
				obj = tomb.Obj
			}
			removed(obj)
		},
	})
	if err != nil {
		c.log.Error("watching the API failed", "error", err)
		return
	}
	if i == c.pods {
		c.podRegistration = reg
	}
}

// allServices are the services of all namespaces, once they are known.
func (c *cluster) allServices() ([]*corev1.Service, bool) {
	if !c.services.HasSynced() {
		return nil, false
	}
	list, err := c.serviceLister.List(labels.Everything())
	return list, err == nil
}

// allNodes of the cluster, once they are known.
func (c *cluster) allNodes() ([]*corev1.Node, bool) {
	if !c.nodes.HasSynced() {
		return nil, false
	}
	list, err := c.nodeLister.List(labels.Everything())
	return list, err == nil
}

// Synced, Keys, Service and Slices are the proxy feed's source.
func (c *cluster) Synced() bool { return c.services.HasSynced() && c.slices.HasSynced() }

func (c *cluster) Keys() []string { return c.services.GetStore().ListKeys() }

func (c *cluster) Service(key string) *corev1.Service {
	obj, ok, err := c.services.GetStore().GetByKey(key)
	if err != nil || !ok {
		return nil
	}
	s, _ := obj.(*corev1.Service)
	return s
}

func (c *cluster) Slices(key string) []*discoveryv1.EndpointSlice {
	objs, err := c.slices.GetIndexer().ByIndex(bySlice, key)
	if err != nil {
		return nil
	}
	out := make([]*discoveryv1.EndpointSlice, 0, len(objs))
	for _, obj := range objs {
		if s, ok := obj.(*discoveryv1.EndpointSlice); ok {
			out = append(out, s)
		}
	}
	return out
}
