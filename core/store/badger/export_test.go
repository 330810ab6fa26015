package badger

import "time"

// Maintain runs what the store does by itself every few seconds.
func Maintain(s *Store) { s.maintainOnce(time.Now()) }
