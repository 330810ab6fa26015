// Command endpoints is the controller that says which pods stand behind a
// Service: it keeps Endpoints and EndpointSlices.
//
// A Service with a selector gets an Endpoints object of its own name and
// EndpointSlices of at most 100 endpoints each. For one without a selector,
// whose Endpoints somebody else writes, those are mirrored to EndpointSlices,
// so that proxies need to read slices alone. Labels, names, conditions and
// limits are those of Kubernetes' controllers. Nothing is written where nothing
// changed, and a slice that need not change is not touched.
package main
