package api

import (
	"io"

	"bihuan/internal/blob"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

// Send answers an operation with a file instead of JSON; its Op names the media
// type. It closes content.
func Send(f blob.File, content io.ReadSeekCloser) *huma.StreamResponse {
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		defer content.Close()
		r, w := humago.Unwrap(ctx)
		blob.Serve(w, r, f, content, false)
	}}
}
