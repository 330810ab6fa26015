package loop

import (
	"fmt"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

type fakeClock struct{ t time.Time }

func (c *fakeClock) now() time.Time { return c.t }

func testQueue() (*queue, *fakeClock) {
	c := &fakeClock{time.Unix(1_000_000, 0)}
	return newQueue(Backoff{Base: 10 * time.Millisecond, Max: time.Second}, c.now), c
}

func testKey(name string) Key {
	return Key{Kind: schema.GroupKind{Kind: "Pod"}, Namespace: "n", Name: name}
}

func names(items []*item) string {
	out := ""
	for _, it := range items {
		out += it.key.Name
	}
	return out
}

func TestQueueGivesEachKeyOnceInOrder(t *testing.T) {
	q, _ := testQueue()
	for _, n := range []string{"a", "b", "a", "c", "b"} {
		q.add(testKey(n), 0)
	}
	first := q.next(2, 0)
	if names(first) != "ab" {
		t.Fatalf("got %s", names(first))
	}
	q.add(testKey("a"), 0)
	if got := names(q.next(9, 0)); got != "c" {
		t.Errorf("a key in flight was given out again: %s", got)
	}
	q.done(first[0], result{})
	if got := names(q.next(9, 0)); got != "a" {
		t.Errorf("a key that became due in flight: got %q", got)
	}
}

func TestQueueHoldsKeysBackUntilTheirChangesWereSent(t *testing.T) {
	q, _ := testQueue()
	q.add(testKey("a"), 5)
	q.add(testKey("b"), 3)
	if got := names(q.next(9, 3)); got != "b" {
		t.Fatalf("got %q", got)
	}
	got := q.next(9, 5)
	if names(got) != "a" {
		t.Fatalf("got %q", names(got))
	}
	q.done(got[0], result{revision: 9})
	q.add(testKey("a"), 6)
	if got := names(q.next(9, 8)); got != "" {
		t.Errorf("given out before its own write was sent: %q", got)
	}
	if got := names(q.next(9, 9)); got != "a" {
		t.Errorf("got %q", got)
	}
}

func TestQueueForgetsKeysWithNothingToRemember(t *testing.T) {
	q, _ := testQueue()
	for i := range 100 {
		q.add(testKey(fmt.Sprint(i)), 0)
	}
	for _, it := range q.next(100, 0) {
		q.done(it, result{revision: 7})
	}
	q.next(1, 7)
	if n := q.len(); n != 0 {
		t.Errorf("%d keys are remembered", n)
	}
}

func TestQueueBacksOff(t *testing.T) {
	q, clock := testQueue()
	q.add(testKey("a"), 0)
	var before time.Duration
	for try := range 5 {
		got := q.next(1, 0)
		if len(got) != 1 || got[0].attempt != try {
			t.Fatalf("try %d: %+v", try, got)
		}
		q.done(got[0], result{failed: true})
		wait, ok := q.wait()
		if !ok || wait <= before*5/4 {
			t.Fatalf("try %d: waits %s after %s", try, wait, before)
		}
		before = wait
		if names(q.next(1, 0)) != "" {
			t.Fatal("given out before its time")
		}
		clock.t = clock.t.Add(wait)
	}
	got := q.next(1, 0)
	q.done(got[0], result{})
	q.next(1, 0)
	if q.len() != 0 {
		t.Error("a success did not end the failures")
	}
}

func TestQueueTerminalFailureWaitsForAChange(t *testing.T) {
	q, clock := testQueue()
	q.add(testKey("a"), 0)
	q.done(q.next(1, 0)[0], result{failed: true, terminal: true})
	clock.t = clock.t.Add(time.Hour)
	if got := names(q.next(1, 0)); got != "" {
		t.Fatalf("came again by itself")
	}
	q.add(testKey("a"), 0)
	if got := q.next(1, 0); names(got) != "a" || got[0].attempt != 1 {
		t.Errorf("got %+v", got)
	}
}

func TestQueueChangesDontMakeAFailingKeySpin(t *testing.T) {
	q, clock := testQueue()
	q.add(testKey("a"), 0)
	for range 20 {
		for _, it := range q.next(1, 0) {
			q.done(it, result{failed: true})
		}
		wait, _ := q.wait()
		clock.t = clock.t.Add(wait)
	}
	for _, it := range q.next(1, 0) {
		q.done(it, result{failed: true})
	}
	q.add(testKey("a"), 0)
	if names(q.next(1, 0)) != "" {
		t.Error("a change brought a failing key back at once")
	}
	clock.t = clock.t.Add(maxPause)
	if names(q.next(1, 0)) != "a" {
		t.Error("a change did not bring a failing key back after the pause")
	}
}

func TestQueueRequeues(t *testing.T) {
	q, clock := testQueue()
	q.add(testKey("a"), 0)
	q.done(q.next(1, 0)[0], result{requeue: time.Minute})
	if names(q.next(1, 0)) != "" {
		t.Fatal("too soon")
	}
	clock.t = clock.t.Add(time.Minute)
	if names(q.next(1, 0)) != "a" {
		t.Error("not given out when it was due")
	}
}

func TestQueuePacesAKeyThatIsWorkedOnWithoutPause(t *testing.T) {
	q, clock := testQueue()
	n := 0
	for range 10 * maxPerSecond {
		q.add(testKey("a"), 0)
		for _, it := range q.next(1, 0) {
			n++
			q.done(it, result{})
		}
	}
	if n != maxPerSecond {
		t.Errorf("worked on %d times within a moment", n)
	}
	clock.t = clock.t.Add(time.Second)
	if names(q.next(1, 0)) != "a" {
		t.Error("not given out in the next second")
	}
}
