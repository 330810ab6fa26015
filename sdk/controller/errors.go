package controller

import "errors"

// Terminal marks an error that trying again does not heal: the key is due
// again when something watched changes.
func Terminal(err error) error {
	if err == nil {
		return nil
	}
	return &terminalError{err}
}

type terminalError struct{ error }

func (e *terminalError) Unwrap() error { return e.error }

func isTerminal(err error) bool {
	var t *terminalError
	return errors.As(err, &t)
}
