// Package record encodes and decodes what stores keep: a byte for the version,
// then unsigned varints, and strings with their length before them.
package record
