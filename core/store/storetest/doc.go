// Package storetest is the test suite of store.Store: what its interface
// promises, as tests that every implementation runs from one call of Run.
//
// After each test the store's consistency is checked: its entries, its history
// and its reservations must tell the same story.
package storetest
