package loop

import (
	"container/list"
	"slices"
	"sync"
	"time"
)

// Record is one decision as it is kept.
type Record struct {
	// Loop that decided, and as whom it acted.
	Loop, Identity string
	Key            Key
	// Revision up to which the loop had seen the state.
	Revision uint64
	// Attempt is how often the key had failed before.
	Attempt int
	Reason  string
	// Error is why the key could not be decided.
	Error string
	// Shadow decisions were not applied.
	Shadow  bool
	Actions []ActionRecord
	// Due is when the key became due, Sent when the loop was asked, Decided
	// when it answered, and Applied when that was done.
	Due, Sent, Decided, Applied time.Time
	// RequeueAfter is what the decision asked for.
	RequeueAfter time.Duration
	// Repeated is how often the same decision, without actions, was made since.
	Repeated int
}

// ActionRecord is one action of a decision and its outcome.
type ActionRecord struct {
	Verb    string
	Object  Key
	Node    string // of a bind
	Message string // of an event
	// Revision that the action left; 0 where it was not applied.
	Revision uint64
	// Code, Reason and Error are the API's refusal; empty where it was applied.
	Code    int32
	Reason  string
	Error   string
	Skipped bool
}

// Journal keeps the newest decisions about each object: those about it as a
// key, and those that acted on it. It is bounded: objects that were not written
// about for longest are dropped first.
type Journal struct {
	objects, perObject int

	mu      sync.Mutex
	stories map[Key]*list.Element // of *story
	recent  list.List             // most recent first
}

type story struct {
	key     Key
	records []*Record
}

// Defaults of NewJournal.
const (
	DefaultJournalObjects   = 20_000
	DefaultJournalPerObject = 16
)

// NewJournal makes a journal with these bounds; 0 for the defaults.
func NewJournal(objects, perObject int) *Journal {
	set(&objects, DefaultJournalObjects)
	set(&perObject, DefaultJournalPerObject)
	return &Journal{objects: objects, perObject: perObject, stories: map[Key]*list.Element{}}
}

// Explain returns what is known of an object, oldest first.
func (j *Journal) Explain(object Key) []Record {
	j.mu.Lock()
	defer j.mu.Unlock()
	e := j.stories[object]
	if e == nil {
		return nil
	}
	var out []Record
	for _, r := range e.Value.(*story).records {
		out = append(out, *r)
	}
	return out
}

func (j *Journal) add(r *Record) {
	j.mu.Lock()
	defer j.mu.Unlock()
	about := []Key{r.Key}
	for _, a := range r.Actions {
		if a.Object.Name != "" && !slices.Contains(about, a.Object) {
			about = append(about, a.Object)
		}
		// A decision about thousands is found under its key.
		if len(about) > 1024 {
			break
		}
	}
	for _, key := range about {
		j.addTo(key, r)
	}
}

func (j *Journal) addTo(key Key, r *Record) {
	e := j.stories[key]
	if e == nil {
		e = j.recent.PushFront(&story{key: key})
		j.stories[key] = e
		if j.recent.Len() > j.objects {
			oldest := j.recent.Back()
			j.recent.Remove(oldest)
			delete(j.stories, oldest.Value.(*story).key)
		}
	} else {
		j.recent.MoveToFront(e)
	}
	s := e.Value.(*story)
	if n := len(s.records); n > 0 && len(r.Actions) == 0 && sameAgain(s.records[n-1], r) {
		r.Repeated = s.records[n-1].Repeated + 1
		s.records[n-1] = r
		return
	}
	s.records = append(s.records, r)
	if len(s.records) > j.perObject {
		s.records = slices.Delete(s.records, 0, 1)
	}
}

// sameAgain tells whether a decision without actions says what the last one
// said, so that idle looks don't push out what happened.
func sameAgain(last, r *Record) bool {
	return last.Loop == r.Loop && last.Key == r.Key && last.Reason == r.Reason && last.Error == r.Error &&
		len(last.Actions) == 0 && last.Shadow == r.Shadow
}
