package badger

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/pintle-io/pintle/core/store"
)

func TestSmoke(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	s, err := Open(Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	w, err := s.Watch(ctx, store.WatchRequest{Prefix: "/a/", Bookmarks: true})
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	var wg sync.WaitGroup
	for c := range 64 {
		wg.Go(func() {
			for i := range 50 {
				_, err := s.Write(ctx, store.WriteRequest{Key: fmt.Sprintf("/a/%d-%d", c, i), Op: store.OpCreate, Value: bytes.Repeat([]byte("x"), 1024)})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	t.Log(time.Since(start))
	n := 0
	var last uint64
	for b := range w.Events() {
		for _, e := range b {
			if e.Type == store.EventBookmark {
				continue
			}
			if e.Revision != last+1 {
				t.Fatal(e.Revision, last)
			}
			last = e.Revision
			n++
		}
		if n == 3200 {
			break
		}
	}
	res, err := s.List(ctx, store.ListRequest{Prefix: "/a/", Revision: 1001})
	if err != nil || len(res.Entries) != 1001 {
		t.Fatal(err, len(res.Entries))
	}
	var buf bytes.Buffer
	if _, err := s.Save(ctx, &buf); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	dir2 := t.TempDir()
	if _, err := Restore(ctx, Options{Dir: dir2}, &buf); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{dir, dir2} {
		start = time.Now()
		s, err = Open(Options{Dir: d})
		if err != nil {
			t.Fatal(err)
		}
		t.Log(time.Since(start))
		res, err = s.List(ctx, store.ListRequest{Prefix: "/a/"})
		if err != nil || len(res.Entries) != 3200 || res.Revision != 3200 {
			t.Fatal(err, len(res.Entries))
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
