package discovery

import (
	"slices"
	"strings"

	apidiscovery "k8s.io/api/apidiscovery/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/pintle-io/pintle/core/registry"
)

func typeMeta(kind string) metav1.TypeMeta { return metav1.TypeMeta{APIVersion: "v1", Kind: kind} }

// apiVersions carries an address as /api always has; clients ignore it.
func apiVersions(address string) *metav1.APIVersions {
	return &metav1.APIVersions{
		TypeMeta: metav1.TypeMeta{Kind: "APIVersions"},
		Versions: []string{"v1"},
		ServerAddressByClientCIDRs: []metav1.ServerAddressByClientCIDR{
			{ClientCIDR: "0.0.0.0/0", ServerAddress: address},
		},
	}
}

// namedGroups lists the versions but the core group's.
func namedGroups(versions []schema.GroupVersion) []metav1.APIGroup {
	var groups []metav1.APIGroup
	for _, gv := range versions {
		if gv.Group == corev1.GroupName {
			continue
		}
		v := metav1.GroupVersionForDiscovery{GroupVersion: gv.String(), Version: gv.Version}
		i := slices.IndexFunc(groups, func(g metav1.APIGroup) bool { return g.Name == gv.Group })
		if i < 0 {
			groups = append(groups, metav1.APIGroup{Name: gv.Group, Versions: []metav1.GroupVersionForDiscovery{v}, PreferredVersion: v})
			continue
		}
		groups[i].Versions = append(groups[i].Versions, v)
	}
	return groups
}

func resourceList(kinds []*registry.Kind, gv schema.GroupVersion) *metav1.APIResourceList {
	return &metav1.APIResourceList{
		TypeMeta:     typeMeta("APIResourceList"),
		GroupVersion: gv.String(),
		APIResources: apiResources(kinds, gv),
	}
}

// aggregated is the one document that saves a client a request per version:
// /api serves the core group's, /apis the others'.
func aggregated(kinds []*registry.Kind, versions []schema.GroupVersion, core bool) *apidiscovery.APIGroupDiscoveryList {
	list := &apidiscovery.APIGroupDiscoveryList{
		TypeMeta: metav1.TypeMeta{APIVersion: apidiscovery.SchemeGroupVersion.String(), Kind: "APIGroupDiscoveryList"},
		Items:    []apidiscovery.APIGroupDiscovery{},
	}
	for _, gv := range versions {
		if (gv.Group == corev1.GroupName) != core {
			continue
		}
		version := apidiscovery.APIVersionDiscovery{
			Version:   gv.Version,
			Resources: aggregatedResources(apiResources(kinds, gv), gv),
			Freshness: apidiscovery.DiscoveryFreshnessCurrent,
		}
		i := slices.IndexFunc(list.Items, func(g apidiscovery.APIGroupDiscovery) bool { return g.Name == gv.Group })
		if i < 0 {
			list.Items = append(list.Items, apidiscovery.APIGroupDiscovery{ObjectMeta: metav1.ObjectMeta{Name: gv.Group}})
			i = len(list.Items) - 1
		}
		list.Items[i].Versions = append(list.Items[i].Versions, version)
	}
	return list
}

func aggregatedResources(classic []metav1.APIResource, gv schema.GroupVersion) []apidiscovery.APIResourceDiscovery {
	var list []apidiscovery.APIResourceDiscovery
	for _, r := range classic {
		kind := &metav1.GroupVersionKind{Group: gv.Group, Version: gv.Version, Kind: r.Kind}
		if r.Version != "" {
			kind.Group, kind.Version = r.Group, r.Version
		}
		if parent, sub, ok := strings.Cut(r.Name, "/"); ok {
			i := slices.IndexFunc(list, func(d apidiscovery.APIResourceDiscovery) bool { return d.Resource == parent })
			list[i].Subresources = append(list[i].Subresources, apidiscovery.APISubresourceDiscovery{Subresource: sub, ResponseKind: kind, Verbs: r.Verbs})
			continue
		}
		scope := apidiscovery.ScopeCluster
		if r.Namespaced {
			scope = apidiscovery.ScopeNamespace
		}
		list = append(list, apidiscovery.APIResourceDiscovery{
			Resource: r.Name, ResponseKind: kind, Scope: scope, SingularResource: r.SingularName,
			Verbs: r.Verbs, ShortNames: r.ShortNames, Categories: r.Categories,
		})
	}
	return list
}
