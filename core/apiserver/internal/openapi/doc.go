// Package openapi describes the served kinds in OpenAPI v2 and v3, well enough
// that kubectl validates, applies and explains them.
//
// Schemas come from the Go types by reflection: their json and patch tags, the
// descriptions in SwaggerDoc, and the formats of types with an encoding of
// their own. What Kubernetes keeps in comments alone, the keys of some lists
// and a few defaults, is in markers.go.
//
// Documents are made when first asked for and kept compressed: most processes
// never serve one.
package openapi
