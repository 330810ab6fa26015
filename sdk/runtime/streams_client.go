package runtime

import (
	"context"
	"errors"
	"io"
	"sync"

	"github.com/pintle-io/pintle/sdk/errs"
)

type inputSender struct {
	stdin      func([]byte) error
	resize     func(*TerminalSize) error
	closeStdin func() error
}

// sendInput forwards input and sizes until the call ends. The goroutine that
// reads Stdin lives on until that read returns: a reader can't be interrupted,
// and it is the caller's.
func sendInput(ctx context.Context, streams Streams, sender inputSender) {
	var sending sync.Mutex
	locked := func(send func() error) error {
		sending.Lock()
		defer sending.Unlock()
		return send()
	}
	if streams.Stdin == nil {
		_ = locked(sender.closeStdin)
	} else {
		go func() {
			buf := make([]byte, streamChunk)
			for ctx.Err() == nil {
				n, err := streams.Stdin.Read(buf)
				if n > 0 && locked(func() error { return sender.stdin(buf[:n]) }) != nil {
					return
				}
				if err != nil {
					_ = locked(sender.closeStdin)
					return
				}
			}
		}()
	}
	if streams.Resize != nil {
		go func() {
			for {
				select {
				case <-ctx.Done():
					return
				case size, ok := <-streams.Resize:
					if !ok || locked(func() error { return sender.resize(size) }) != nil {
						return
					}
				}
			}
		}()
	}
}

// outputMessage is what the responses of Exec and Attach have in common.
type outputMessage interface {
	GetStdout() []byte
	GetStderr() []byte
	GetExit() *ExitStatus
}

// receiveOutput writes output until the exit status arrives. A writer that
// fails ends the call.
func receiveOutput(streams Streams, recv func() (outputMessage, error)) (*ExitStatus, error) {
	for {
		msg, err := recv()
		if errors.Is(err, io.EOF) {
			return nil, errs.Internal("the plugin ended the stream without an exit status")
		}
		if err != nil {
			return nil, err
		}
		if exit := msg.GetExit(); exit != nil {
			return exit, nil
		}
		if err := write(streams.Stdout, msg.GetStdout()); err != nil {
			return nil, err
		}
		if err := write(streams.Stderr, msg.GetStderr()); err != nil {
			return nil, err
		}
	}
}

func write(w io.Writer, p []byte) error {
	if w == nil || len(p) == 0 {
		return nil
	}
	_, err := w.Write(p)
	return err
}
