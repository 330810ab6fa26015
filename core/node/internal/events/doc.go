// Package events names what events are about and makes the recorder that sends
// them, aggregated and limited as client-go's correlator does.
package events
