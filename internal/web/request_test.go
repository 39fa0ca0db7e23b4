package web

import (
	"net/http/httptest"
	"testing"
)

// A browser that names itself in GBK, or with NUL, must not make every action of
// its user fail on PostgreSQL.
func TestUserAgent(t *testing.T) {
	t.Parallel()
	r := &Request{Request: httptest.NewRequest("GET", "/", nil)}
	r.Header.Set("User-Agent", "MyApp/1.0 \xb9\xfa\x00 Windows")
	if got, want := r.UserAgent(), "MyApp/1.0  Windows"; got != want {
		t.Errorf("user agent %q, want %q", got, want)
	}
}
