package push

import (
	"context"
	"crypto/ecdh"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"bihuan/internal/outbound"
	"bihuan/internal/outbound/push/pushtest"
)

func dec(t *testing.T, s string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The example of RFC 8291, appendix A.
func TestRFC8291(t *testing.T) {
	t.Parallel()
	own, err := ecdh.P256().NewPrivateKey(dec(t, "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"))
	if err != nil {
		t.Fatal(err)
	}
	s := Subscription{P256dh: "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4", Auth: "BTBZMqHH6r4Tts7J_aSIgg"}
	got, err := seal(s, []byte("When I grow up, I want to be a watermelon"), dec(t, "DGv6ra1nlYgDCS1FRnbzlw"), own)
	if err != nil {
		t.Fatal(err)
	}
	want := "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
	if g := base64.RawURLEncoding.EncodeToString(got); g != want {
		t.Errorf("%s, want %s", g, want)
	}
}

func TestSend(t *testing.T) {
	t.Parallel()
	now := time.Unix(1795305600, 0)
	text, err := NewKeys()
	if err != nil {
		t.Fatal(err)
	}
	keys, err := ParseKeys(text)
	if err != nil {
		t.Fatal(err)
	}
	s := pushtest.New(t, keys.Public, func() time.Time { return now })
	b := s.Subscribe()
	sub := Subscription{b.Endpoint, b.P256dh, b.Auth}
	svc := Service{Keys: keys, Contact: "mailto:crm@example.cn", Net: outbound.New(), Allow: outbound.Allow{"127.0.0.1"}}
	p := Payload{Title: "【紧急】TASK1", Body: strings.Repeat("很长", 3000), URL: "/notifications/1", Tag: "notice.1", Urgent: true, Lang: "zh-CN"}
	if a, err := svc.Send(context.Background(), sub, p, now); err != nil || !strings.Contains(a, "201") {
		t.Fatalf("%q, %v", a, err)
	}
	m := s.Got(b)[0]
	var got Payload
	if err := json.Unmarshal(m.Plain, &got); err != nil || got.Title != p.Title || got.URL != p.URL || m.Urgency != "high" || len(m.Topic) != 32 || len(m.Plain) > recordSize-100 || m.Sub != svc.Contact {
		t.Errorf("%+v %s %s %s", got, m.Urgency, m.Topic, m.TTL)
	}
	other, err := NewKeys()
	if err != nil {
		t.Fatal(err)
	}
	foreign := svc
	if foreign.Keys, err = ParseKeys(other); err != nil {
		t.Fatal(err)
	}
	kind := func(svc Service, sub Subscription) (outbound.Kind, bool) {
		_, err := svc.Send(context.Background(), sub, p, now)
		if err == nil {
			return "", false
		}
		return outbound.FailOf(err).Kind, errors.Is(err, ErrGone)
	}
	if k, gone := kind(foreign, sub); k != outbound.Address || !gone {
		t.Errorf("other keys: %s %v", k, gone)
	}
	s.Answer(503)
	if k, gone := kind(svc, sub); k != outbound.Later || gone {
		t.Errorf("503: %s %v", k, gone)
	}
	s.Answer(429)
	if k, _ := kind(svc, sub); k != outbound.Throttled {
		t.Errorf("429: %s", k)
	}
	s.Answer(0)
	s.Drop(b)
	if k, gone := kind(svc, sub); k != outbound.Address || !gone {
		t.Errorf("unsubscribed: %s %v", k, gone)
	}
	// A browser's word is no reason to call this machine.
	svc.Allow = nil
	if k, _ := kind(svc, sub); k != outbound.Settings {
		t.Errorf("inside: %s", k)
	}
	for _, bad := range []Subscription{{}, {Endpoint: b.Endpoint, P256dh: b.P256dh, Auth: "x"}, {Endpoint: "javascript:x", P256dh: b.P256dh, Auth: b.Auth}, {Endpoint: b.Endpoint, P256dh: "AAAA", Auth: b.Auth}} {
		if bad.Check() == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
	if err := sub.Check(); err != nil {
		t.Error(err)
	}
}
