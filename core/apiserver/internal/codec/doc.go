// Package codec turns request bodies into objects and objects into answers:
// JSON, YAML and Kubernetes protobuf, with Kubernetes' rules for fields that
// the server does not know.
//
// It works on the kinds' own types and writes the protobuf envelope by itself,
// since the general serializers of apimachinery look types up by name, parse
// a body twice and copy objects, for each request.
package codec
