package badger

import (
	"fmt"
	"time"
)

// Maintain runs what the store does by itself every few seconds.
func Maintain(s *Store) { s.maintainOnce(time.Now()) }

// Tables tells which tables Badger has.
func Tables(s *Store) string {
	var all string
	for _, t := range s.db.Tables() {
		all += fmt.Sprintf("%d/%d ", t.Level, t.ID)
	}
	return all
}
