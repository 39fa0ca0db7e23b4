// Package smstest is Aliyun's and Tencent's short message service on this machine
// for tests: it checks signatures, times, templates and the limits per number.
package smstest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// The account both platforms know.
const (
	KeyID     = "LTAItest"
	KeySecret = "SKtest"
	SignName  = "闭环客服"
	Template  = "SMS_100001"
	AppID     = "1400000000"
)

// Message is what was taken.
type Message struct {
	To, ID string
	Params []string // number, event
	At     time.Time
}

// Server is the platform.
type Server struct {
	URL string

	now  func() time.Time
	mu   sync.Mutex
	sent []Message
	used map[string]bool // nonces
}

// NewAliyun starts one that speaks Aliyun's protocol.
func NewAliyun(t testing.TB, now func() time.Time) *Server { return start(t, now, (*Server).aliyun) }

// NewTencent starts one that speaks Tencent's.
func NewTencent(t testing.TB, now func() time.Time) *Server { return start(t, now, (*Server).tencent) }

func start(t testing.TB, now func() time.Time, f func(*Server, http.ResponseWriter, *http.Request)) *Server {
	t.Helper()
	s := &Server{now: now, used: map[string]bool{}}
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		f(s, w, r)
	}))
	t.Cleanup(h.Close)
	s.URL = h.URL
	return s
}

// Sent returns what was taken.
func (s *Server) Sent() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Message(nil), s.sent...)
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

func sum(s string) string { h := sha256.Sum256([]byte(s)); return hex.EncodeToString(h[:]) }

func (s *Server) limited(to string, now time.Time) bool {
	n := map[time.Duration]int{}
	for _, m := range s.sent {
		for _, d := range []time.Duration{time.Minute, time.Hour, 24 * time.Hour} {
			if m.To == to && now.Sub(m.At) < d {
				n[d]++
			}
		}
	}
	return n[time.Minute] >= 1 || n[time.Hour] >= 5 || n[24*time.Hour] >= 10
}

func part(auth, name string) string {
	for _, p := range strings.FieldsFunc(auth, func(r rune) bool { return r == ',' || r == ' ' }) {
		if v, ok := strings.CutPrefix(p, name+"="); ok {
			return v
		}
	}
	return ""
}

func (s *Server) aliyun(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	now := s.now()
	say := func(status int, code, msg string) {
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"Code":%q,"Message":%q,"RequestId":"R","BizId":"B"}`, code, msg)
	}
	auth := r.Header.Get("Authorization")
	names := strings.Split(part(auth, "SignedHeaders"), ";")
	var lines []string
	for _, n := range names {
		v := r.Header.Get(n)
		if n == "host" {
			v = r.Host
		}
		lines = append(lines, n+":"+v+"\n")
	}
	q := strings.Split(r.URL.RawQuery, "&")
	slices.Sort(q)
	canonical := r.Method + "\n" + r.URL.Path + "\n" + strings.Join(q, "&") + "\n" + strings.Join(lines, "") + "\n" + strings.Join(names, ";") + "\n" + sum(string(body))
	date, err := time.Parse("2006-01-02T15:04:05Z", r.Header.Get("x-acs-date"))
	nonce := r.Header.Get("x-acs-signature-nonce")
	p := r.URL.Query()
	var params struct{ Number, Event string }
	switch {
	case part(auth, "Credential") != KeyID:
		say(404, "InvalidAccessKeyId.NotFound", "Specified access key is not found.")
		return
	case part(auth, "Signature") != hex.EncodeToString(mac([]byte(KeySecret), "ACS3-HMAC-SHA256\n"+sum(canonical))):
		say(400, "SignatureDoesNotMatch", "Specified signature is not matched with our calculation.")
		return
	case err != nil || now.Sub(date).Abs() > 15*time.Minute:
		say(400, "InvalidTimeStamp.Expired", "Specified time stamp or date value is expired.")
		return
	case nonce == "" || s.used[nonce]:
		say(400, "SignatureNonceUsed", "Specified signature nonce was used already.")
		return
	case p.Get("SignName") != SignName:
		say(200, "isv.SMS_SIGNATURE_ILLEGAL", "签名不合法")
		return
	case p.Get("TemplateCode") != Template || json.Unmarshal([]byte(p.Get("TemplateParam")), &params) != nil || params.Number == "" || params.Event == "":
		say(200, "isv.SMS_TEMPLATE_ILLEGAL", "模板不合法")
		return
	case len(p.Get("PhoneNumbers")) != 11:
		say(200, "isv.MOBILE_NUMBER_ILLEGAL", "非法手机号")
		return
	case s.limited(p.Get("PhoneNumbers"), now):
		say(200, "isv.BUSINESS_LIMIT_CONTROL", "触发分钟级流控Permits:1")
		return
	}
	s.used[nonce] = true
	s.sent = append(s.sent, Message{p.Get("PhoneNumbers"), p.Get("OutId"), []string{params.Number, params.Event}, now})
	say(200, "OK", "OK")
}

func (s *Server) tencent(w http.ResponseWriter, r *http.Request) {
	raw, _ := io.ReadAll(r.Body)
	now := s.now()
	wrong := func(code, msg string) {
		fmt.Fprintf(w, `{"Response":{"Error":{"Code":%q,"Message":%q},"RequestId":"R"}}`, code, msg)
	}
	at, _ := strconv.ParseInt(r.Header.Get("X-TC-Timestamp"), 10, 64)
	date := time.Unix(at, 0).UTC().Format(time.DateOnly)
	auth := r.Header.Get("Authorization")
	canonical := "POST\n/\n\ncontent-type:" + r.Header.Get("Content-Type") + "\nhost:" + r.Host + "\nx-tc-action:" + strings.ToLower(r.Header.Get("X-TC-Action")) + "\n\ncontent-type;host;x-tc-action\n" + sum(string(raw))
	scope := date + "/sms/tc3_request"
	sig := hex.EncodeToString(mac(mac(mac(mac([]byte("TC3"+KeySecret), date), "sms"), "tc3_request"), "TC3-HMAC-SHA256\n"+strconv.FormatInt(at, 10)+"\n"+scope+"\n"+sum(canonical)))
	var b struct {
		PhoneNumberSet   []string
		SmsSdkAppId      string
		SignName         string
		TemplateId       string
		TemplateParamSet []string
		SessionContext   string
	}
	status := func(code, msg string) {
		fmt.Fprintf(w, `{"Response":{"SendStatusSet":[{"SerialNo":"S1","Code":%q,"Message":%q}],"RequestId":"R"}}`, code, msg)
	}
	switch {
	case part(auth, "Credential") != KeyID+"/"+scope || part(auth, "Signature") != sig:
		wrong("AuthFailure.SignatureFailure", "The provided credentials could not be validated.")
		return
	case now.Unix()-at > 300 || at-now.Unix() > 300:
		wrong("AuthFailure.SignatureExpire", "Signature expired.")
		return
	case r.Header.Get("X-TC-Version") != "2021-01-11" || json.Unmarshal(raw, &b) != nil || len(b.PhoneNumberSet) != 1:
		wrong("InvalidParameter", "bad request")
		return
	case b.SmsSdkAppId != AppID:
		wrong("UnauthorizedOperation.SdkAppIdIsDisabled", "SdkAppId")
		return
	case b.SignName != SignName:
		status("FailedOperation.SignatureIncorrectOrUnapproved", "sign")
		return
	case b.TemplateId != Template || len(b.TemplateParamSet) != 2:
		status("FailedOperation.TemplateIncorrectOrUnapproved", "template")
		return
	case !strings.HasPrefix(b.PhoneNumberSet[0], "+86") || len(b.PhoneNumberSet[0]) != 14:
		status("InvalidParameterValue.IncorrectPhoneNumber", "number")
		return
	case s.limited(b.PhoneNumberSet[0], now):
		status("LimitExceeded.PhoneNumberThirtySecondLimit", "limit")
		return
	}
	s.sent = append(s.sent, Message{b.PhoneNumberSet[0], b.SessionContext, b.TemplateParamSet, now})
	status("Ok", "send success")
}
