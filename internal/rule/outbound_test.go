package rule

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"bihuan/internal/fault"
	"bihuan/internal/job"
	"bihuan/internal/outbound"
)

// A webhook is a job: signed, tried again, given up when it makes no sense.
func TestWebhook(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		type got struct {
			header http.Header
			body   string
		}
		var calls []got
		status := http.StatusInternalServerError
		server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			calls = append(calls, got{r.Header, string(b)})
			rw.WriteHeader(status)
		}))
		defer server.Close()
		act := Act{Do: DoWebhook, Values: map[string]string{"url": server.URL + "/hook"}}
		draft := Rule{Name: "hook", Enabled: true, When: on("registered"), Then: []Act{act}}
		_, err := w.S.Save(w.Ctx, w.Admin, draft)
		if f, ok := fault.As(err); !ok || len(f.Fields) != 2 || f.Fields[0].Key != "rule.hook.no_secret" || f.Fields[1].Key != "outbound.private" {
			t.Fatalf("%v", err)
		}
		secret, err := w.S.MakeSecret(w.Ctx, w.Admin)
		w.OK(err)
		w.OK(w.S.SetAllow(w.Ctx, w.Admin, Hooks{Allow: []string{"127.0.0.1"}}))
		r := w.rule(draft)
		x := w.Register()
		w.drain()
		if _, err := w.Jobs.RunDue(w.Ctx); err == nil || len(calls) != 1 {
			t.Fatalf("%d calls, %v", len(calls), err)
		}
		status = http.StatusNoContent
		w.Clock.Advance(time.Hour)
		_, err = w.Jobs.RunDue(w.Ctx)
		w.OK(err)
		if len(calls) != 2 || calls[0].header.Get("X-Bihuan-Delivery") != calls[1].header.Get("X-Bihuan-Delivery") || calls[0].body != calls[1].body {
			t.Fatalf("%d calls", len(calls))
		}
		c := calls[1]
		if c.header.Get("X-Bihuan-Signature") != outbound.Sign(secret, c.header.Get("X-Bihuan-Timestamp"), []byte(c.body)) || !strings.Contains(c.body, x.Number) || strings.Contains(c.body, w.Cust.Name) {
			t.Errorf("%v %s", c.header, c.body)
		}
		if got := w.firings(LogFilter{Rule: r.ID}); len(got) != 1 || got[0] != "done webhook:queued" {
			t.Errorf("log %q", got)
		}
		// No longer allowed when it is called.
		w.OK(w.S.SetAllow(w.Ctx, w.Admin, Hooks{Version: 1}))
		w.Register()
		w.drain()
		if _, err := w.Jobs.RunDue(w.Ctx); !errors.Is(err, outbound.ErrPrivate) || len(calls) != 2 {
			t.Errorf("%d calls, %v", len(calls), err)
		}
		if n := w.count(`SELECT COUNT(*) FROM jobs WHERE kind = $1 AND state = $2`, webhookJob, string(job.Discarded)); n != 1 {
			t.Errorf("%d given up", n)
		}
		if raw := w.text(`SELECT CAST(COUNT(*) AS TEXT) FROM events WHERE data LIKE '%whsec%'`); raw != "0" {
			t.Error("the secret is in the audit trail")
		}
	})
}
