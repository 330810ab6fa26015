package store

import (
	"errors"
	"sync"
	"testing"
)

func TestDerivedIsComputedOnce(t *testing.T) {
	var d Derived
	var mu sync.Mutex
	computed := map[string]int{}
	var wg sync.WaitGroup
	for i := range 50 {
		key := []string{"json", "protobuf"}[i%2]
		wg.Go(func() {
			v, err := d.Do(key, func() (any, error) {
				mu.Lock()
				defer mu.Unlock()
				computed[key]++
				return key + "!", nil
			})
			if v != key+"!" || err != nil {
				t.Errorf("%s is %v, %v", key, v, err)
			}
		})
	}
	wg.Wait()
	if computed["json"] != 1 || computed["protobuf"] != 1 {
		t.Errorf("computed %v times", computed)
	}
	failure := errors.New("no")
	for range 2 {
		if _, err := d.Do("bad", func() (any, error) { return nil, failure }); !errors.Is(err, failure) {
			t.Errorf("error is %v", err)
		}
	}
}
