// Package loop runs controllers and schedulers: it shows them the state and its
// changes, tells them which key is due, and applies what they decide.
//
// A Runner belongs to one loop, whatever executable serves it at the moment.
// It owns what outlives a plugin: the queue with its backoff, and the record of
// decisions. A Session is one stream to one instance: Run opens one, and opens
// another when it breaks. Running a second Loop on the same Runner is a swap:
// the new one gets the whole state first, then the old one drains and the new
// one takes the queue over.
//
// # What flows where
//
//	core/api watch → feeder → pending → sender → plugin
//	                    └ triggers → queue ──┘      │
//	                                   ↑            ↓
//	                                  done ← apply ← receiver
//
// Goroutines of a session, each of which ends with it:
//
//	feeder    reads one watch over all kinds of the loop, works out which
//	          watches select an object and which keys a change makes due. It
//	          never waits for the plugin.
//	sender    alone sends on the stream: changes, outcomes, work. It is the
//	          one that waits for a slow plugin.
//	receiver  reads decisions, refuses those that answer nothing, and starts
//	          one apply for each of the others.
//	apply     one for each decision, so never more than work in flight.
//
// Buffers and what happens when they are full:
//
//	pending   changes not yet sent. A newer change of an object replaces the
//	          older one, so it never holds more than the state itself.
//	queue     keys that are due, each once; bounded by Options.MaxKeys, beyond
//	          which a plugin that asks for more keys is cut off.
//	window    work in flight, LoopSpec.max_in_flight and at most
//	          Options.MaxInFlight; keys wait in the queue.
//	outcomes  no more than decisions taken, plus a bounded number of refusals;
//	          what is over is counted and not told.
//	events    Options.EventBuffer; what is over is dropped and counted.
//	journal   the newest decisions of the newest keys, see Journal.
//
// # Reads its own writes
//
// A key carries the revision up to which its changes must have been sent before
// it is worked on again: that of the change which made it due, or that of the
// last object which its decision wrote. It is held back until the sender is
// past that revision. Only changes of kinds that the loop watches count, since
// others are not in its view. An instance that takes over must first have been
// sent all that the loop ever wrote: its own watch may be behind.
package loop
