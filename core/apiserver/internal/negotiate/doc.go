// Package negotiate chooses the form of an answer from the Accept header: the
// encoding (JSON, YAML, Kubernetes protobuf) and what the object is shown as
// (itself, a Table, its metadata alone).
package negotiate
