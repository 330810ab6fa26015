// Package layout holds the tests of the repository's own rules: who may import
// whom, that every package says what it is for, and what lies at the top.
package layout
