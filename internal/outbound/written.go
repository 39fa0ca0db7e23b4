package outbound

import (
	"context"
	"net/http/httptrace"
	"sync/atomic"
)

// written notes whether the request left this machine: after that, silence does
// not mean that nothing arrived.
type written struct{ yes atomic.Bool }

func (w *written) trace(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteRequest: func(i httptrace.WroteRequestInfo) { w.yes.Store(i.Err == nil) }})
}

func (w *written) done() bool { return w.yes.Load() }
