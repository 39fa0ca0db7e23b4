package rule

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"bihuan/internal/fault"
	"bihuan/internal/job"
)

// What a name means is made up; nothing of it is asked of a network.
func fakeNames(m map[string]string) func(context.Context, string) ([]netip.Addr, error) {
	return func(_ context.Context, host string) (out []netip.Addr, err error) {
		for a := range strings.SplitSeq(m[host], " ") {
			if a == "" {
				return nil, errors.New("no such host")
			}
			out = append(out, netip.MustParseAddr(a))
		}
		return out, nil
	}
}

func TestWhereWebhooksMayGo(t *testing.T) {
	t.Parallel()
	o := outbound{lookup: fakeNames(map[string]string{"api.example.com": "93.184.216.34", "both.example.com": "93.184.216.34 10.0.0.5", "internal.example.com": "192.168.1.9", "meta.example.com": "169.254.169.254",
		"v6.example.com": "2606:4700::1111", "local6.example.com": "fd00::1", "2130706433": "127.0.0.1", "0x7f.1": "127.0.0.1", "127.1": "127.0.0.1", "017700000001": "127.0.0.1", "localhost": "127.0.0.1 ::1", "hooks.corp": "10.1.2.3"})}
	allow := allowList{"hooks.corp", "10.20.0.0/16", "192.168.7.7"}
	for text, want := range map[string]string{
		"https://api.example.com/x": "", "http://api.example.com:8080": "", "https://v6.example.com": "", "https://93.184.216.34/": "",
		"https://both.example.com":         "rule.hook.private", // one bad address is enough
		"https://internal.example.com":     "rule.hook.private",
		"https://meta.example.com":         "rule.hook.private",
		"https://local6.example.com":       "rule.hook.private",
		"http://localhost/":                "rule.hook.private",
		"http://127.0.0.1:9104/":           "rule.hook.private",
		"http://2130706433/":               "rule.hook.private",
		"http://0x7f.1/":                   "rule.hook.private",
		"http://127.1/":                    "rule.hook.private",
		"http://017700000001/":             "rule.hook.private",
		"http://0.0.0.0/":                  "rule.hook.private",
		"http://[::1]/":                    "rule.hook.private",
		"http://[::]/":                     "rule.hook.private",
		"http://[::ffff:127.0.0.1]/":       "rule.hook.private",
		"http://[::ffff:a9fe:a9fe]/":       "rule.hook.private",
		"http://[64:ff9b::a9fe:a9fe]/":     "rule.hook.private",
		"http://[2002:7f00:1::]/":          "rule.hook.private",
		"http://[fe80::1]/":                "rule.hook.private",
		"http://[fd00:ec2::254]/":          "rule.hook.private",
		"http://169.254.169.254/latest/":   "rule.hook.private",
		"http://100.100.100.200/":          "rule.hook.private",
		"http://100.64.0.1/":               "rule.hook.private",
		"http://172.16.0.1/":               "rule.hook.private",
		"http://198.18.0.1/":               "rule.hook.private",
		"http://224.0.0.1/":                "rule.hook.private",
		"http://255.255.255.255/":          "rule.hook.private",
		"http://hooks.corp/x":              "", // allowed by name
		"http://HOOKS.CORP./x":             "rule.hook.unknown_host",
		"http://10.20.3.4/":                "",
		"http://192.168.7.7/":              "",
		"http://10.21.3.4/":                "rule.hook.private",
		"http://nobody.example/":           "rule.hook.unknown_host",
		"ftp://api.example.com/":           "rule.hook.url",
		"file:///etc/passwd":               "rule.hook.url",
		"gopher://api.example.com":         "rule.hook.url",
		"https://":                         "rule.hook.url",
		"//api.example.com":                "rule.hook.url",
		"http://a:b@api.example.com/":      "rule.hook.user",
		"http://api.example.com@10.0.0.1/": "rule.hook.user",
		"http://[fe80::1%25eth0]/":         "rule.hook.url",
		"":                                 "rule.hook.url",
	} {
		err := o.check(context.Background(), text, allow)
		got := ""
		if f, ok := fault.As(err); ok {
			got = f.Key
		} else if err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
	for _, a := range []string{"169.254.169.254", "0.0.0.0", "fe80::1", "fd00:ec2::254", "::ffff:169.254.169.254"} {
		if (allowList{"x", a, "169.254.0.0/16", "::/0", "0.0.0.0/0"}).may("x", netip.MustParseAddr(a)) {
			t.Errorf("%s can be allowed", a)
		}
	}
}

// A name that meant something else when the rule was saved, and a redirect, do
// not lead to this machine.
func TestConnecting(t *testing.T) {
	t.Parallel()
	hit := 0
	inside := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { hit++ }))
	defer inside.Close()
	var o outbound
	if res, err := o.client("rebound.example.com", nil).Post(inside.URL, "text/plain", nil); err == nil {
		res.Body.Close()
		t.Error("connected to this machine")
	} else if !errors.Is(err, errPrivate) {
		t.Error(err)
	}
	redirecting := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, inside.URL, http.StatusFound) }))
	defer redirecting.Close()
	host, _, _ := net.SplitHostPort(strings.TrimPrefix(redirecting.URL, "http://"))
	res, err := o.client(host, allowList{host}).Post(redirecting.URL, "text/plain", nil)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusFound || hit != 0 {
		t.Errorf("status %d, %d hits inside: a redirect was followed", res.StatusCode, hit)
	}
}

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
		if f, ok := fault.As(err); !ok || len(f.Fields) != 2 || f.Fields[0].Key != "rule.hook.no_secret" || f.Fields[1].Key != "rule.hook.private" {
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
		if c.header.Get("X-Bihuan-Signature") != Signature(secret, c.header.Get("X-Bihuan-Timestamp"), []byte(c.body)) || !strings.Contains(c.body, x.Number) || strings.Contains(c.body, w.Cust.Name) {
			t.Errorf("%v %s", c.header, c.body)
		}
		if got := w.firings(LogFilter{Rule: r.ID}); len(got) != 1 || got[0] != "done webhook:queued" {
			t.Errorf("log %q", got)
		}
		// No longer allowed when it is called.
		w.OK(w.S.SetAllow(w.Ctx, w.Admin, Hooks{Version: 1}))
		w.Register()
		w.drain()
		if _, err := w.Jobs.RunDue(w.Ctx); !errors.Is(err, errPrivate) || len(calls) != 2 {
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
