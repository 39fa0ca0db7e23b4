package app

import (
	"context"
	"net/http/httptest"
	"testing"
)

// Figures are for this machine and for who has the token; what a proxy on this
// machine passes on comes from elsewhere.
func TestMetricsAreNotForEverybody(t *testing.T) {
	t.Parallel()
	a, err := Open(context.Background(), Config{Data: t.TempDir(), MetricsToken: "s3cret"}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	for _, c := range []struct {
		from, header, value string
		status              int
	}{
		{"127.0.0.1:1", "", "", 200}, {"[::1]:1", "", "", 200}, {"203.0.113.7:1", "", "", 404}, {"", "", "", 404},
		{"127.0.0.1:1", "X-Forwarded-For", "127.0.0.1", 404}, {"127.0.0.1:1", "X-Real-IP", "203.0.113.7", 404},
		{"127.0.0.1:1", "Forwarded", "for=203.0.113.7", 404}, {"127.0.0.1:1", "Via", "1.1 gate", 404},
		{"203.0.113.7:1", "Authorization", "Bearer s3cret", 200}, {"203.0.113.7:1", "Authorization", "Bearer wrong", 404},
		{"203.0.113.7:1", "X-Forwarded-For", "127.0.0.1", 404},
	} {
		r := httptest.NewRequest("GET", "/metrics", nil)
		r.RemoteAddr = c.from
		if c.header != "" {
			r.Header.Set(c.header, c.value)
		}
		w := httptest.NewRecorder()
		a.Router.ServeHTTP(w, r)
		if w.Code != c.status {
			t.Errorf("%+v: %d", c, w.Code)
		}
	}
}
