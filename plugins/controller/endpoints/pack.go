package main

import (
	"maps"
	"slices"

	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/pintle-io/pintle/sdk/controller"
)

// maxEndpoints is the size of a slice.
const maxEndpoints = 100

// packer puts endpoints into slices so that few slices change: what is in a
// slice stays there, new endpoints go where there is room, in slices that
// change anyway first, and an empty slice goes.
type packer struct {
	decision *controller.Decision
	manager  string
	// base has the metadata of a new slice.
	base discoveryv1.EndpointSlice
	// addressTypes that get a slice even where there is no endpoint.
	addressTypes []discoveryv1.AddressType
}

// page is one slice as it is to be.
type page struct {
	current *discoveryv1.EndpointSlice // nil for a new one
	want    *discoveryv1.EndpointSlice
}

func (p *page) changed() bool {
	return p.current == nil || !equality.Semantic.DeepEqual(p.current.Endpoints, p.want.Endpoints)
}

func (p *packer) pack(groups []*group, all []*discoveryv1.EndpointSlice) {
	existing := map[string][]*discoveryv1.EndpointSlice{}
	for _, slice := range all {
		if slice.Labels[discoveryv1.LabelManagedBy] != p.manager {
			continue
		}
		key := (&group{addressType: slice.AddressType, ports: portsOf(slice)}).key()
		existing[key] = append(existing[key], slice)
	}
	var pages []*page
	filled := map[discoveryv1.AddressType]bool{}
	for _, g := range groups {
		pages = append(pages, p.fill(g, existing[g.key()])...)
		delete(existing, g.key())
		filled[g.addressType] = true
	}
	var surplus []*discoveryv1.EndpointSlice
	for _, key := range slices.Sorted(maps.Keys(existing)) {
		surplus = append(surplus, existing[key]...)
	}
	for _, addressType := range p.addressTypes {
		if filled[addressType] {
			continue
		}
		// A Service that has no endpoints shows that by an empty slice.
		empty := &group{addressType: addressType}
		i := slices.IndexFunc(surplus, func(s *discoveryv1.EndpointSlice) bool { return s.AddressType == addressType })
		if i < 0 {
			pages = append(pages, &page{want: p.newSlice(empty)})
			continue
		}
		pages = append(pages, &page{current: surplus[i], want: p.adapt(surplus[i], empty)})
		surplus = slices.Delete(surplus, i, i+1)
	}
	p.write(pages, surplus)
}

// fill spreads a group over the slices that it has and new ones. Slices that
// are left empty are returned too; write removes them.
func (p *packer) fill(g *group, have []*discoveryv1.EndpointSlice) []*page {
	missing := map[string]*discoveryv1.Endpoint{}
	var order []string
	for i := range g.endpoints {
		key := endpointKey(&g.endpoints[i])
		missing[key] = &g.endpoints[i]
		order = append(order, key)
	}
	var pages []*page
	for _, slice := range have {
		want := p.adapt(slice, g)
		for i := range slice.Endpoints {
			key := endpointKey(&slice.Endpoints[i])
			if e := missing[key]; e != nil && len(want.Endpoints) < maxEndpoints {
				want.Endpoints = append(want.Endpoints, *e)
				delete(missing, key)
			}
		}
		pages = append(pages, &page{current: slice, want: want})
	}
	var rest []discoveryv1.Endpoint
	for _, key := range order {
		if e := missing[key]; e != nil {
			rest = append(rest, *e)
			delete(missing, key)
		}
	}
	for _, changed := range []bool{true, false} {
		for _, page := range pages {
			if page.changed() != changed || len(page.want.Endpoints) == 0 {
				continue
			}
			n := min(len(rest), maxEndpoints-len(page.want.Endpoints))
			page.want.Endpoints = append(page.want.Endpoints, rest[:n]...)
			rest = rest[n:]
		}
	}
	for _, page := range pages {
		if len(page.want.Endpoints) == 0 {
			n := min(len(rest), maxEndpoints)
			page.want.Endpoints = append(page.want.Endpoints, rest[:n]...)
			rest = rest[n:]
		}
	}
	for len(rest) > 0 {
		want := p.newSlice(g)
		n := min(len(rest), maxEndpoints)
		want.Endpoints = rest[:n:n]
		rest = rest[n:]
		pages = append(pages, &page{want: want})
	}
	return slices.DeleteFunc(pages, func(page *page) bool {
		if len(page.want.Endpoints) > 0 {
			return false
		}
		p.remove(page.current)
		return true
	})
}

// endpointKey tells endpoints of one group apart.
func endpointKey(e *discoveryv1.Endpoint) string {
	key := ""
	if len(e.Addresses) > 0 {
		key = e.Addresses[0]
	}
	if e.TargetRef != nil {
		key += " " + string(e.TargetRef.UID)
	}
	return key
}

func (p *packer) newSlice(g *group) *discoveryv1.EndpointSlice {
	slice := p.base.DeepCopy()
	slice.AddressType = g.addressType
	slice.Ports = slicePorts(g.ports)
	return slice
}

// adapt returns a slice with the metadata and ports that it ought to have, and
// no endpoints.
func (p *packer) adapt(slice *discoveryv1.EndpointSlice, g *group) *discoveryv1.EndpointSlice {
	want := slice.DeepCopy()
	want.Labels = maps.Clone(p.base.Labels)
	if p.base.Annotations != nil {
		want.Annotations = maps.Clone(p.base.Annotations)
	}
	want.OwnerReferences = p.base.OwnerReferences
	want.Ports = slicePorts(g.ports)
	want.Endpoints = nil
	return want
}

// write adds first and takes away last, so that no endpoint is missing in
// between.
func (p *packer) write(pages []*page, surplus []*discoveryv1.EndpointSlice) {
	for _, page := range pages {
		if page.current == nil {
			failed(p.decision.Create(page.want))
		}
	}
	for _, page := range pages {
		if page.current != nil && !same(page.current, page.want) {
			failed(p.decision.Update(page.want))
		}
	}
	for _, slice := range surplus {
		p.remove(slice)
	}
}

func (p *packer) remove(slice *discoveryv1.EndpointSlice) {
	if slice != nil {
		failed(p.decision.Delete(slice))
	}
}

func same(a, b *discoveryv1.EndpointSlice) bool {
	return equality.Semantic.DeepEqual(a.Endpoints, b.Endpoints) &&
		equality.Semantic.DeepEqual(a.Ports, b.Ports) &&
		equality.Semantic.DeepEqual(a.Labels, b.Labels) &&
		equality.Semantic.DeepEqual(a.Annotations, b.Annotations) &&
		equality.Semantic.DeepEqual(a.OwnerReferences, b.OwnerReferences)
}
